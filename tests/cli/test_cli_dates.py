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
        ("30m", wall(2026, 11, 25, 14, 0, 15)),
        ("12h", wall(2026, 11, 25, 2, 30, 15)),
        ("7d", wall(2026, 11, 18, 14, 30, 15)),
        ("2w", wall(2026, 11, 11, 14, 30, 15)),
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
     "2026-10-01+02:00"],
)  # fmt: skip
def test_not_a_date(text: str) -> None:
    """Anything else is refused; the message repeats it and says what would be right."""
    with pytest.raises(ValueError, match=re.escape(repr(text))) as caught:
        parse_moment(text, now=NOW)
    assert FORMS in str(caught.value) or "there is no such date" in str(caught.value)


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
    """A length counts back from now on the wall clock, to the whole second."""
    lengths = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    at = now.replace(tzinfo=None, microsecond=0, fold=0)
    assert parse_moment(f"{count}{unit}", now=now) == at - timedelta(**{lengths[unit]: count})


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
    """A range needs its start; without an end it ends now; a month is a whole range."""
    assert parse_range(None, None, None, now=NOW) is None
    now = NOW.replace(microsecond=0)
    assert parse_range("2026-10", None, None, now=NOW) == DateRange(wall(2026, 10, 1), now)
    assert parse_range("7d", "today", None, now=NOW) == DateRange(
        wall(2026, 11, 18, 14, 30, 15), wall(2026, 11, 25)
    )
    month = parse_range(None, None, "2026-12", now=NOW)
    assert month == DateRange(wall(2026, 12, 1), wall(2027, 1, 1), is_month=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("today", "yesterday", None), "is after --to"),
        (("tomorrow", None, None), "is after now"),
        ((None, "today", None), "--to needs --from"),
        (("today", None, "2026-10"), "--month is a whole range"),
        ((None, "today", "2026-10"), "--month is a whole range"),
        (("2026-10-25 02:10+01:00", "2026-10-25 02:50+02:00", None), "is after --to"),
        (("0001-01-01 00:00+14:00", None, None), "too near to the end of time"),
    ],
)
def test_ranges_that_contradict_themselves(given: tuple[str | None, ...], message: str) -> None:
    """Ranges that contradict themselves are refused."""
    with pytest.raises(ValueError, match=message):
        parse_range(*given, now=NOW)


def test_the_repeated_hour() -> None:
    """In autumn's repeated hour offsets decide which moment is earlier; now is one moment."""
    found = parse_range("2026-10-25 02:50+02:00", "2026-10-25 02:10+01:00", None, now=NOW)
    assert found is not None
    assert found.datefrom < found.dateto
    second = datetime(2026, 10, 25, 2, 30, tzinfo=ZURICH, fold=1)
    until_now = parse_range("1h", None, None, now=second)
    assert until_now is not None
    assert until_now.dateto.timestamp() == second.timestamp()


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
