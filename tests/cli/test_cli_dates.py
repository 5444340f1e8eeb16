"""Dates as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxis_async.cli.dates import (
    FORMS,
    DateRange,
    parse_day,
    parse_length,
    parse_moment,
    parse_month,
    parse_range,
    write_length,
    write_moment,
)

ZURICH = ZoneInfo("Europe/Zurich")
# A Wednesday.
NOW = datetime(2026, 11, 25, 14, 30, 15, 999_999, tzinfo=ZURICH)

walls = st.datetimes(datetime(1950, 1, 1), datetime(2200, 1, 1))  # noqa: DTZ001
nows = walls.map(lambda wall: wall.replace(tzinfo=ZURICH))


def wall(*parts: int) -> datetime:
    return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-10-01", wall(2026, 10, 1)),
        ("2026-10-01 08:00", wall(2026, 10, 1, 8)),
        ("2026-10-01T08:00:30", wall(2026, 10, 1, 8, 0, 30)),
        ("2026-1-2 8:05", wall(2026, 1, 2, 8, 5)),
        ("01.10.2026", wall(2026, 10, 1)),
        ("1.2.2026 8:15", wall(2026, 2, 1, 8, 15)),
        ("2026-10", wall(2026, 10, 1)),
        ("2026", wall(2026, 1, 1)),
        ("  Today ", wall(2026, 11, 25)),
        ("yesterday", wall(2026, 11, 24)),
        ("tomorrow", wall(2026, 11, 26)),
        ("this week", wall(2026, 11, 23)),
        ("LAST  week", wall(2026, 11, 16)),
        ("this month", wall(2026, 11, 1)),
        ("last month", wall(2026, 10, 1)),
        ("this year", wall(2026, 1, 1)),
        ("last year", wall(2025, 1, 1)),
        ("30m", datetime(2026, 11, 25, 14, 0, 15, tzinfo=ZURICH)),
        ("12h", datetime(2026, 11, 25, 2, 30, 15, tzinfo=ZURICH)),
        ("7d", wall(2026, 11, 18)),
        ("2W", wall(2026, 11, 11)),
        ("3mo", wall(2026, 8, 25)),
        ("11MO", wall(2025, 12, 25)),
        ("9mo", wall(2026, 2, 25)),
        ("now", datetime(2026, 11, 25, 14, 30, 15, tzinfo=ZURICH)),
        ("2026-10-01 08:00+02:00", datetime(2026, 10, 1, 6, tzinfo=UTC)),
        ("2026-10-01T08:00:00Z", datetime(2026, 10, 1, 8, tzinfo=UTC)),
        ("2026-10-01 08:00 -0330", datetime(2026, 10, 1, 11, 30, tzinfo=UTC)),
    ],
)
def test_forms(text: str, moment: datetime) -> None:
    """A word or a date is the moment at which it begins."""
    assert parse_moment(text, now=NOW) == moment


@pytest.mark.parametrize(
    "text",
    ["", "soon", "next week", "last", "2026-13", "2026-02-30", "31.11.2026", "2026-10-01 25:00",
     "26-10-01", "01/10/2026", "7", "7y", "-7d", "2026-10-01 08", "999999w", "0000", "٢٠٢٦",
     "2026-10-01+02:00", "999999mo", "99999mo", "3M", "30M", "3 m", "M", "mo"],
)  # fmt: skip
def test_not_a_date(text: str) -> None:
    """Anything else is refused; the message repeats it and says what would be right."""
    with pytest.raises(ValueError, match=re.escape(repr(text))) as caught:
        parse_moment(text, now=NOW)
    message = str(caught.value)
    assert FORMS in message or "there is no such date" in message or "mo? That is" in message


@pytest.mark.parametrize("text", ["3M", " 3M"])
def test_a_capital_m_is_not_guessed(text: str) -> None:
    """`3M` could be minutes or months, so it is refused with both spellings."""
    with pytest.raises(ValueError, match=r"3mo\? That is 3 months ago, and 3m is 3 minutes ago"):
        parse_moment(text, now=NOW)
    with pytest.raises(ValueError, match=r"3m\? That is minutes"):
        parse_length(text)


@pytest.mark.parametrize(
    ("today", "text", "first"),
    [
        ((2026, 5, 31), "3mo", (2026, 2, 28)),
        ((2028, 5, 31), "3mo", (2028, 2, 29)),
        ((2026, 3, 31), "1mo", (2026, 2, 28)),
        ((2026, 1, 15), "1mo", (2025, 12, 15)),
        ((2026, 1, 15), "12mo", (2025, 1, 15)),
        ((2026, 1, 15), "0mo", (2026, 1, 15)),
    ],
)
def test_months_ago(today: tuple[int, int, int], text: str, first: tuple[int, int, int]) -> None:
    """A month ago is the same day, or the last one of a shorter month, at midnight."""
    assert parse_moment(text, now=datetime(*today, 9, tzinfo=ZURICH)) == wall(*first)


@given(moment=walls, now=nows)
def test_written_dates_are_read_back(moment: datetime, now: datetime) -> None:
    """However a wall time is written, it is read as that one, whatever the present is."""
    exact = moment.replace(microsecond=0)
    for text in (f"{exact}", f"{exact:%d.%m.%Y %H:%M:%S}", exact.isoformat()):
        assert parse_moment(text, now=now) == exact
    day = exact.replace(hour=0, minute=0, second=0)
    for text in (f"{day:%Y-%m-%d}", f"{day.day}.{day.month}.{day.year}"):
        assert parse_moment(text, now=now) == day
    assert parse_moment(write_moment(exact, ZURICH), now=now) == exact


@given(moment=walls, minutes=st.integers(-12 * 60, 14 * 60), now=nows)
def test_offsets_are_kept(moment: datetime, minutes: int, now: datetime) -> None:
    """A date with an offset is the moment that it names."""
    exact = moment.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse_moment(exact.isoformat(), now=now) == exact


@given(now=nows)
def test_words_begin_what_they_name(now: datetime) -> None:
    """Days, weeks, months and years touch each other, and now is in this one."""
    at = now.replace(tzinfo=None)

    def read(text: str) -> datetime:
        return parse_moment(text, now=now)

    assert read("yesterday") + timedelta(days=1) == read("today") <= at < read("tomorrow")
    assert read("last week") + timedelta(weeks=1) == read("this week") <= at
    assert read("this week").weekday() == 0
    assert at - read("this week") < timedelta(weeks=1)
    assert (read("last month") + timedelta(days=31)).replace(day=1) == read("this month") <= at
    assert read("last year").year + 1 == read("this year").year == at.year
    for word in ("today", "this week", "this month", "this year"):
        assert read(word).time() == at.time().min


@given(now=nows, count=st.integers(0, 5000), unit=st.sampled_from("mhdw"))
def test_how_long_ago(now: datetime, count: int, unit: str) -> None:
    """Hours and minutes count back from now as they pass, days and weeks from midnight."""
    lengths = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    length = timedelta(**{lengths[unit]: count})
    found = parse_moment(f"{count}{unit}", now=now)
    if unit in "dw":
        assert found == datetime.combine(now.date(), now.time().min) - length
    else:
        assert found.timestamp() == now.replace(microsecond=0).timestamp() - length.total_seconds()


@pytest.mark.parametrize(
    ("now", "text", "found"),
    [
        # In spring 02:00 to 03:00 does not exist: an hour before 03:30 it was 01:30.
        ("2026-03-29T03:30:00+02:00", "1h", "2026-03-29T01:30:00+01:00"),
        ("2026-03-29T03:30:00+02:00", "8h", "2026-03-28T18:30:00+01:00"),
        # In autumn it is 02:30 twice.
        ("2026-10-25T03:30:00+01:00", "1h", "2026-10-25T02:30:00+01:00"),
        ("2026-10-25T03:30:00+01:00", "2h", "2026-10-25T02:30:00+02:00"),
        ("2026-10-25T02:30:00+01:00", "60m", "2026-10-25T02:30:00+02:00"),
    ],
)
def test_hours_ago_at_the_clock_changes(now: str, text: str, found: str) -> None:
    """So many hours ago is that many hours of time, also where the clock was changed since."""
    present = datetime.fromisoformat(now).astimezone(ZURICH)
    assert parse_moment(text, now=present).isoformat() == found


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)]
)
def test_a_day_is_a_day_at_the_clock_changes(day: str, hours: int) -> None:
    """A day runs from its midnight to the next, however many hours that takes."""
    first, after = parse_day(day, now=NOW)
    assert (first.time(), after.time()) == (first.time().min, first.time().min)
    ends = (moment.replace(tzinfo=ZURICH).timestamp() for moment in (after, first))
    assert next(ends) - next(ends) == hours * 3600
    # So does a day that is found by counting back over the change.
    later = datetime.combine(after.date(), after.time(), ZURICH) + timedelta(hours=1)
    assert parse_moment("1d", now=later) == first


@given(now=nows)
def test_days(now: datetime) -> None:
    """A day runs to the next midnight; yesterday ends where today begins."""
    first, after = parse_day("today", now=now)
    assert parse_day("yesterday", now=now)[1] == first
    assert parse_day("tomorrow", now=now)[0] == after == first + timedelta(days=1)
    assert first <= now.replace(tzinfo=None) < after
    for text in (f"{first:%Y-%m-%d}", f"{first.day}.{first.month}.{first.year}"):
        assert parse_day(text, now=now) == (first, after)


@pytest.mark.parametrize(
    "text", ["2026", "2026-10", "2026-10-05 08:00", "2026-02-30", "7d", "now", "last week", "",
             "9999-12-31"]
)  # fmt: skip
def test_not_a_day(text: str) -> None:
    """Anything else is not a day; the message says what is."""
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parse_day(text, now=NOW)


@given(now=nows)
def test_months(now: datetime) -> None:
    """A month runs to the first of the next; last month ends where this one begins."""
    first, after = parse_month("this month", now=now)
    assert parse_month(f"{first:%Y-%m}", now=now) == (first, after)
    assert parse_month(f"{first:%m.%Y}", now=now) == (first, after)
    assert first.day == after.day == 1
    assert after - timedelta(days=1) < first + timedelta(days=31)
    assert parse_month("last month", now=now)[1] == first


@pytest.mark.parametrize("text", ["2026", "2026-13", "today", "last week", "2026-10-01", "9999-12"])
def test_not_a_month(text: str) -> None:
    """Anything else is not a month."""
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parse_month(text, now=NOW)


def test_ranges() -> None:
    """A range needs its start; without an end it ends now; a month or a day is a whole range."""
    assert parse_range(None, None, None, None, now=NOW) is None
    now = NOW.replace(microsecond=0)
    assert parse_range("2026-10", None, None, None, now=NOW) == DateRange(wall(2026, 10, 1), now)
    assert parse_range("7d", "today", None, None, now=NOW) == DateRange(
        wall(2026, 11, 18), wall(2026, 11, 25)
    )
    month = parse_range(None, None, "2026-11", None, now=NOW)
    assert month == DateRange(wall(2026, 11, 1), wall(2026, 12, 1), is_whole=True)
    day = parse_range(None, None, None, "yesterday", now=NOW)
    assert day == DateRange(wall(2026, 11, 24), wall(2026, 11, 25), is_whole=True)
    today = parse_range(None, None, None, "today", now=NOW)
    assert today == DateRange(wall(2026, 11, 25), wall(2026, 11, 26), is_whole=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("today", "yesterday", None, None), "is after --to"),
        (("tomorrow", None, None, None), "is after now"),
        ((None, "today", None, None), "--to needs --from"),
        (("today", None, "2026-10", None), "--month is a whole range"),
        ((None, "today", "2026-10", None), "--month is a whole range"),
        (("today", None, None, "today"), "--day is a whole range"),
        ((None, None, "2026-10", "today"), "--month and --day"),
        (("2026-10-25 02:10+01:00", "2026-10-25 02:50+02:00", None, None), "is after --to"),
        (("0001-01-01 00:00+14:00", None, None, None), "too near to the end of time"),
        (("2026-10-05", "2026-10-05", None, None), "is empty.*for the day, --day 2026-10-05"),
        (("5.10.2026", "2026-10-05 00:00", None, None), "is empty.*--day 2026-10-05"),
        (("yesterday", "yesterday", None, None), "is empty.*--day 2026-11-24"),
        (("2026-10", "2026-10", None, None), 'is empty.*for the month, --month "2026-10"'),
        (("last month", "2026-10", None, None), 'is empty.*--month "last month"'),
        (("2026-10-05 08:00", "2026-10-05 08:00", None, None), "is empty.*a later --to"),
        (("now", None, None, None), "is empty.*give an earlier one"),
        (("tomorrow", "2027", None, None), "lies in the future.*2026-11-26 .*2026-11-25 14:30:15"),
        (("2026-11-25 14:30:16+01:00", "2027", None, None), "lies in the future"),
        ((None, None, "2026-12", None), "lies in the future"),
        ((None, None, None, "tomorrow"), "lies in the future"),
    ],
)
def test_ranges_that_contradict_themselves(given: tuple[str | None, ...], message: str) -> None:
    """Ranges that contradict themselves are refused."""
    with pytest.raises(ValueError, match=message):
        parse_range(*given, now=NOW)


def test_the_repeated_hour() -> None:
    """In autumn's repeated hour offsets decide which moment is earlier; now is one moment."""
    found = parse_range("2026-10-25 02:50+02:00", "2026-10-25 02:10+01:00", None, None, now=NOW)
    assert found is not None
    hour = parse_range("2026-10-25 02:30+02:00", "2026-10-25 02:30+01:00", None, None, now=NOW)
    assert hour is not None
    assert found.datefrom < found.dateto
    second = datetime(2026, 10, 25, 2, 30, tzinfo=ZURICH, fold=1)
    until_now = parse_range("1h", None, None, None, now=second)
    assert until_now is not None
    assert until_now.dateto.timestamp() == second.timestamp()
    assert until_now.datefrom.timestamp() == second.timestamp() - 3600


@pytest.mark.parametrize(
    ("text", "length"),
    [("90s", timedelta(seconds=90)), ("6h", timedelta(hours=6)), ("1W", timedelta(weeks=1))],
)
def test_lengths(text: str, length: timedelta) -> None:
    """A length is a number and a unit."""
    assert parse_length(text) == length
    assert parse_length(write_length(length)) == length


@pytest.mark.parametrize("text", ["", "6", "h", "0h", "-1h", "1.5h", "1y", "999999999w"])
def test_not_a_length(text: str) -> None:
    """Anything else, and an empty text, is not a length."""
    with pytest.raises(ValueError, match="is not a length of time"):
        parse_length(text)
