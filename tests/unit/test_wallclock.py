"""The wall clock: what is asked for in it, and which moment a time in it means."""

# Naive datetimes here are the provider's wall clock.
# ruff: noqa: DTZ001, DTZ901

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import attrs
import pytest
from calls import HOUR, MINUTE, SECOND
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    TURNED_BACK,
    TURNED_FORWARD,
    ZURICH,
    ClockChange,
    around,
    seconds_in,
    uniqueid,
    wall,
)

from boxis_async._wire.wallclock import Range, WallClock, read_wall, write_wall
from boxis_async.errors import UsageError
from boxis_async.models import CDR

if TYPE_CHECKING:
    from collections.abc import Callable

CLOCK = WallClock("Europe/Zurich")
HALF_PAST = datetime(2026, 10, 25, 2, 30)
SUMMER = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
WINTER = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
ZONES = ["Europe/Zurich", "Australia/Lord_Howe", "America/Sao_Paulo", "America/St_Johns", "UTC"]

back = pytest.mark.parametrize("change", TURNED_BACK, ids=str)
both_ways = pytest.mark.parametrize("change", [*TURNED_BACK, *TURNED_FORWARD], ids=str)


def record(
    start: datetime,
    end: datetime | None = None,
    *,
    epoch: float | None = None,
    zone: tzinfo = ZURICH,
) -> CDR:
    """Make a call between two moments, the way that it is told on the wire and read from it."""
    name = "no-epoch" if epoch is None else uniqueid(epoch)
    began, _, ended = WallClock(zone).moments(
        wall(start, zone), None, None if end is None else wall(end, zone), name
    )
    duration = None if end is None else int((end - start).total_seconds())
    return CDR(start=began, end=ended, uniqueid=name, duration=duration)


# Times as text


def test_times_as_text() -> None:
    """A wall time is read and written the way that the page shows it."""
    assert read_wall("2018-02-06 20:12:56") == datetime(2018, 2, 6, 20, 12, 56)
    assert write_wall(datetime(2018, 2, 6, 20, 12, 56)) == "2018-02-06 20:12:56"


@given(st.datetimes().map(lambda moment: moment.replace(microsecond=0)))
def test_times_as_text_round_trip(moment: datetime) -> None:
    """Any wall time comes back from its text."""
    assert read_wall(write_wall(moment)) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2018-02-06",
        "2018-02-06T20:12:56",
        "2018-W06-2 20:12:56",
        "2018-02-06 20.12.56",
        "x" * 19,
    ],
)
def test_times_in_another_form(text: str) -> None:
    """A time in any other form is refused."""
    with pytest.raises(ValueError, match=r"time|Invalid|invalid"):
        read_wall(text)


# The zone


@pytest.mark.parametrize(
    "zone", ["Europe/Zürich", "", "../etc/passwd", "CEST+1", "Europe", "\0", 7]
)
def test_unknown_zones(zone: str) -> None:
    """A zone that is not known is an error that says what to give."""
    with pytest.raises(UsageError, match="IANA"):
        WallClock(zone)


def test_zones_of_other_kinds() -> None:
    """A tzinfo is taken as it is."""
    plus_two = timezone(timedelta(hours=2))
    assert WallClock(plus_two).zone is plus_two
    asked = WallClock(plus_two).range(SUMMER, WINTER)
    assert (asked.start, asked.end) == (
        datetime(2026, 10, 25, 2, 30),
        datetime(2026, 10, 25, 3, 30),
    )
    assert not asked.reaches_too_far


def test_now() -> None:
    """The local time is that of the zone."""
    assert CLOCK.now(1517944376) == datetime(2018, 2, 6, 20, 12, 56, tzinfo=ZURICH)
    assert CLOCK.now(WINTER.timestamp()).fold == 1


# Ends


@pytest.mark.parametrize(
    ("end", "asked"),
    [
        (datetime(2024, 3, 5, 9), datetime(2024, 3, 5, 9)),
        (datetime(2024, 3, 5, 9, tzinfo=UTC), datetime(2024, 3, 5, 10)),
        (datetime(2024, 7, 5, 9, tzinfo=UTC), datetime(2024, 7, 5, 11)),
        (datetime(2024, 3, 5, 9, tzinfo=ZURICH), datetime(2024, 3, 5, 9)),
        (datetime(2024, 3, 5, 9, tzinfo=ZoneInfo("Asia/Kolkata")), datetime(2024, 3, 5, 4, 30)),
        (datetime(2024, 3, 5, 9, tzinfo=timezone(-12 * HOUR)), datetime(2024, 3, 5, 22)),
        (date(2024, 3, 5), datetime(2024, 3, 5)),
    ],
)
def test_ends(end: date, asked: datetime) -> None:
    """Aware ends are converted, naive ones taken as they are, dates as midnight."""
    found = CLOCK.range(end, end)
    assert (found.start, found.end) == (asked, asked)
    assert found.start.tzinfo is found.end.tzinfo is None
    assert not found.reaches_too_far


def test_a_tzinfo_that_tells_nothing() -> None:
    """A tzinfo without an offset makes a datetime naive, as Python has it."""

    class Nowhere(tzinfo):
        def utcoffset(self, _: datetime | None) -> None:
            return None

        def dst(self, _: datetime | None) -> None:
            return None

        def tzname(self, _: datetime | None) -> None:
            return None

    found = CLOCK.range(datetime(2024, 3, 5, 9, tzinfo=Nowhere()), datetime(2024, 3, 5, 10))
    assert found.start == datetime(2024, 3, 5, 9)


@pytest.mark.parametrize("zone", [None, UTC])
def test_whole_seconds(zone: tzinfo | None) -> None:
    """The start is floored and the end raised to the whole second; whole ones stay."""
    clock = WallClock("UTC")
    given = datetime(2024, 3, 5, 9, 0, 0, 1, tzinfo=zone)
    found = clock.range(given, given)
    assert (found.start, found.end) == (datetime(2024, 3, 5, 9), datetime(2024, 3, 5, 9, 0, 1))
    assert (found.clip_from, found.clip_to) == (given, given)
    last = datetime(2024, 3, 5, 9, 59, 59, 999_999, tzinfo=zone)
    assert clock.range(last, last).end == datetime(2024, 3, 5, 10)


def order_of_ends() -> list[tuple[date, date]]:
    """Give pairs of ends, the first later than the second."""
    return [
        (datetime(2024, 3, 5, 9, 0, 1), datetime(2024, 3, 5, 9)),
        (datetime(2024, 3, 5, 9, 0, 0, 1), datetime(2024, 3, 5, 9)),
        (date(2024, 3, 6), date(2024, 3, 5)),
        (datetime(2024, 3, 5, 0, 1), date(2024, 3, 5)),
        (datetime(2024, 3, 5, 9, tzinfo=UTC), datetime(2024, 3, 5, 9)),
        # On the wall clock the other way round: 02:40, then 02:20 an hour later.
        (WINTER - 10 * timedelta(minutes=1), SUMMER + 10 * timedelta(minutes=1)),
    ]


@pytest.mark.parametrize(("datefrom", "dateto"), order_of_ends())
def test_start_after_end(datefrom: date, dateto: date) -> None:
    """A start after the end is an error, not an empty range."""
    with pytest.raises(UsageError, match="after"):
        CLOCK.range(datefrom, dateto)


def test_start_before_end_though_not_on_the_wall() -> None:
    """In the repeated hour a range may begin later on the wall clock than it ends."""
    found = CLOCK.range(SUMMER + HOUR / 3, WINTER - HOUR / 3)
    assert (found.start, found.end) == (datetime(2026, 10, 25, 2), datetime(2026, 10, 25, 3))


@pytest.mark.parametrize("zone", [*ZONES, timezone(14 * HOUR), timezone(-12 * HOUR)])
@pytest.mark.parametrize(
    "far",
    [
        datetime.min,
        datetime.max,
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=timezone(14 * HOUR)),
        datetime.max.replace(tzinfo=timezone(-12 * HOUR)),
        datetime.max.replace(tzinfo=ZURICH, microsecond=0),
        datetime.min.replace(tzinfo=ZURICH),
        date.min,
        date.max,
        datetime.max.replace(microsecond=0),
    ],
    ids=str,
)
def test_ends_too_far(far: date, zone: str | tzinfo) -> None:
    """An end at the end of time is asked for, or is an error that says what to give."""
    clock = WallClock(zone)
    # The other end lies some years away: ten thousand are looked through a week at a time.
    early, late = (date.min, date(9, 1, 1)) if far.year == 1 else (date(9990, 1, 1), date.max)
    for ends in ((far, far), (early, far), (far, late)):
        # Anything but an error of ours fails the test.
        with contextlib.suppress(UsageError):
            found = clock.range(*ends)
            assert found.start <= found.end


@pytest.mark.slow
def test_all_of_time() -> None:
    """A range may reach from one end of time to the other."""
    found = CLOCK.range(datetime.min.replace(tzinfo=UTC), date.max)
    assert (found.start.year, found.end.year) == (1, 9999)


def test_what_to_give_instead() -> None:
    """An end that cannot be asked for is an error that says what can be."""
    with pytest.raises(UsageError, match=r"end of time.* 2 to 9998"):
        CLOCK.range(date(2024, 1, 1), datetime.max.replace(tzinfo=UTC))


# The repeated hour: which moment a start is


@pytest.mark.parametrize(
    ("epoch", "wanted"),
    [
        # Before both, even long before: the first. Between: the second. After both: the second.
        (SUMMER - 24 * HOUR, SUMMER),
        (SUMMER - HOUR, SUMMER),
        (SUMMER - SECOND, SUMMER),
        (SUMMER, SUMMER),
        (SUMMER + SECOND, WINTER),
        (WINTER, WINTER),
        (WINTER + SECOND, WINTER),
        (WINTER + 24 * HOUR, WINTER),
        (None, SUMMER),
    ],
)
def test_start_in_the_repeated_hour(epoch: datetime | None, wanted: datetime) -> None:
    """A start is the earliest occurrence not before the epoch; without one, the first."""
    name = "" if epoch is None else uniqueid(epoch.timestamp())
    start, answer, end = CLOCK.moments(HALF_PAST, None, None, name)
    assert start.timestamp() == wanted.timestamp()
    assert start.utcoffset() == (2 if wanted is SUMMER else 1) * HOUR
    assert start.replace(tzinfo=None, fold=0) == HALF_PAST
    assert (answer, end) == (None, None)


@pytest.mark.parametrize(
    ("name", "has_epoch"),
    [
        ("sip022.voice.boxis.net-1792891800.108168", True),
        ("1792891800.1", True),
        ("a-b-1792891800.1", True),
        ("1792891800", False),
        ("1792891800.", False),
        ("x1792891800.1", False),
        ("sip022.voice.boxis.net-1792891800.x", False),
        ("sip022.voice.boxis.net-17928918000000.1", False),
        ("sip022.voice.boxis.net-12.1", False),
        ("-1792891800.1\n", False),
        ("-١٧٩٢٨٩١٨٠٠.1", False),
        ("", False),
    ],
)
def test_epochs(name: str, has_epoch: bool) -> None:  # noqa: FBT001
    """The epoch is the number before the last dot of a uniqueid, as Asterisk writes it."""
    start, _, _ = CLOCK.moments(HALF_PAST, None, None, name)
    assert start.timestamp() == (WINTER if has_epoch else SUMMER).timestamp()


@pytest.mark.parametrize(
    ("start", "told", "wanted"),
    [
        # In the first occurrence, and later on the wall: in the first too.
        (SUMMER, datetime(2026, 10, 25, 2, 45), SUMMER + HOUR / 4),
        (SUMMER, HALF_PAST, SUMMER),
        # Earlier on the wall than the start: the hour was repeated in between.
        (SUMMER, datetime(2026, 10, 25, 2, 29, 59), WINTER - SECOND),
        (SUMMER, datetime(2026, 10, 25, 2), WINTER - HOUR / 2),
        (SUMMER, datetime(2026, 10, 25, 3), WINTER + HOUR / 2),
        (SUMMER, datetime(2026, 10, 25, 4), WINTER + HOUR * 1.5),
        (WINTER, HALF_PAST, WINTER),
        (WINTER, datetime(2026, 10, 25, 2, 45), WINTER + HOUR / 4),
        # From before the hour: the first.
        (SUMMER - HOUR, HALF_PAST, SUMMER),
        (SUMMER - 24 * HOUR, HALF_PAST, SUMMER),
        # From after it: none is right, the last is nearest.
        (WINTER + HOUR, HALF_PAST, WINTER),
    ],
)
def test_answer_and_end(start: datetime, told: datetime, wanted: datetime) -> None:
    """Answer and end are each the earliest occurrence not before the start."""
    for answer, end in ((told, None), (None, told), (told, told)):
        found = CLOCK.moments(wall(start), answer, end, uniqueid(start.timestamp()))
        assert found[0].timestamp() == start.timestamp()
        for moment in found[1:]:
            assert moment is None or moment.timestamp() == wanted.timestamp()


@pytest.mark.slow
@both_ways
@given(data=st.data())
def test_any_moment_comes_back(change: ClockChange, data: st.DataObject) -> None:
    """Told by its wall time and an epoch less than the jump before it, any moment comes back."""
    clock = WallClock(change.zone)
    near = (change.jump or HOUR) - SECOND
    start = data.draw(around(change, 30 * HOUR), label="start")
    epoch = data.draw(seconds_in(start - near, start), label="epoch")
    answer = data.draw(seconds_in(start, start + near), label="answer")
    end = data.draw(seconds_in(start, start + near), label="end")
    told = [wall(moment, change.zone) for moment in (start, answer, end)]
    found = clock.moments(told[0], told[1], told[2], uniqueid(epoch.timestamp()))
    assert [moment and moment.timestamp() for moment in found] == [
        start.timestamp(),
        answer.timestamp(),
        end.timestamp(),
    ]


@pytest.mark.slow
@both_ways
@given(data=st.data())
def test_wall_times_are_carried_as_sent(change: ClockChange, data: st.DataObject) -> None:
    """Whatever a record tells, its times show on the wall what was sent, in the zone."""
    sent = wall(change.moment, change.zone)
    times = [data.draw(seconds_in(sent - 3 * HOUR, sent + 3 * HOUR)) for _ in range(3)]
    name = data.draw(st.sampled_from(["", uniqueid(change.moment.timestamp())]))
    found = WallClock(change.zone).moments(times[0], times[1], times[2], name)
    for moment, told in zip(found, times, strict=True):
        assert moment is not None
        assert moment.replace(tzinfo=None, fold=0) == told
        assert moment.tzinfo is change.zone


@pytest.mark.parametrize("minute", [0, 30, 59])
def test_the_gap_in_spring(minute: int) -> None:
    """A wall time that does not exist in spring is carried as sent."""
    told = datetime(2026, 3, 29, 2, minute)
    start, answer, end = CLOCK.moments(told, told, told, uniqueid(1774746000))
    for moment in (start, answer, end):
        assert moment == datetime(2026, 3, 29, 2, minute, tzinfo=ZURICH)
        assert moment.fold == 0


@given(st.sampled_from(ZONES), st.data())
def test_moments_read_at_once(zone: str, data: st.DataObject) -> None:
    """A time that is read at once, and remembered by its hour, is the moment that it means."""
    clock = WallClock(zone)
    near = data.draw(st.sampled_from([*TURNED_BACK, *TURNED_FORWARD])).moment
    for _ in range(3):
        moment = data.draw(seconds_in(near - 40 * HOUR, near + 40 * HOUR))
        told = wall(moment, clock.zone)
        for _ in ("read", "remembered"):
            try:
                found = clock.moment(write_wall(told))
            except KeyError:
                # Half an hour is what some zones turn their clocks back by.
                near_it = (told + timedelta(minutes=30 * steps) for steps in range(-50, 51))
                assert any(_is_repeated(time, clock.zone) for time in near_it)
            else:
                wanted, _, _ = clock.moments(told, None, None, uniqueid(moment.timestamp()))
                assert (found, found.fold, found.tzinfo) == (wanted, wanted.fold, clock.zone)
                assert found.timestamp() == moment.timestamp()


def _is_repeated(told: datetime, zone: tzinfo) -> bool:
    first, second = (told.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    assert first is not None
    assert second is not None
    return first > second


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2018-02-06",
        "2018-02-06T20:12:56",
        "2018-02-06 20:12",
        "2018-02-06 20:12:5Z",
        "2018-02-06 20:60:00",
        "2018-02-06 24:00:00",
        "2018-02-30 20:12:56",
        "0000-00-00 00:00:00",
        "２018-02-06 20:12:56",  # noqa: RUF001
        "2018-02-06 20:12:56.5",
        "2026-10-25 12:00:00",
    ],
)
def test_times_that_are_not_read_at_once(text: str) -> None:
    """A time in another form, or of a day with a repeated hour, is left to a closer look."""
    clock = WallClock("Europe/Zurich")
    for _ in range(2):
        with pytest.raises(KeyError):
            clock.moment(text)


def test_many_days() -> None:
    """What is remembered of days never mixes two up."""
    clock = WallClock("Europe/Zurich")
    for _ in range(2):
        for days in range(5000):
            noon = datetime(2013, 1, 1, 12) + timedelta(days=days)
            told, _, _ = clock.moments(noon, None, None, "")
            with contextlib.suppress(KeyError):
                assert clock.moment(write_wall(noon)) == told
        start, _, _ = clock.moments(HALF_PAST, None, None, uniqueid(WINTER.timestamp()))
        assert start.timestamp() == WINTER.timestamp()


# The repeated hour: what is asked for, and what of it is kept


@pytest.mark.parametrize(
    ("datefrom", "dateto", "start", "end", "sifted"),
    [
        (SUMMER, SUMMER, "02:00:00", "03:00:00", True),
        (WINTER, WINTER, "02:00:00", "03:00:00", True),
        (SUMMER, WINTER, "02:00:00", "03:00:00", True),
        (SUMMER - HOUR, WINTER, "01:30:00", "03:00:00", True),
        (SUMMER - HOUR, SUMMER, "01:30:00", "03:00:00", True),
        (SUMMER, WINTER + HOUR, "02:00:00", "03:30:00", True),
        (WINTER, WINTER + HOUR, "02:00:00", "03:30:00", True),
        (SUMMER - HOUR, WINTER + HOUR, "01:30:00", "03:30:00", False),
        # The hour's own ends: 02:00 is in it both times, 03:00 is not.
        (SUMMER - HOUR / 2, WINTER + HOUR, "02:00:00", "03:30:00", True),
        (SUMMER - HOUR, SUMMER - HOUR / 2, "01:30:00", "03:00:00", True),
        (SUMMER - HOUR, SUMMER - HOUR / 2 - SECOND, "01:30:00", "01:59:59", False),
        (SUMMER - HOUR, WINTER + HOUR / 2, "01:30:00", "03:00:00", False),
        (WINTER + HOUR / 2, WINTER + HOUR, "03:00:00", "03:30:00", False),
        # Raised into the hour, and out of it.
        (SUMMER - HOUR, SUMMER - HOUR / 2 - SECOND / 2, "01:30:00", "03:00:00", True),
        (SUMMER - HOUR, WINTER + HOUR / 2 - SECOND / 2, "01:30:00", "03:00:00", True),
    ],
)
def test_aware_ranges_ask_for_the_whole_hour(
    datefrom: datetime,
    dateto: datetime,
    start: str,
    end: str,
    sifted: bool,  # noqa: FBT001
) -> None:
    """An aware range with an end in the repeated hour asks for all of the hour."""
    for zone in (UTC, ZURICH, ZoneInfo("Asia/Kolkata")):
        found = CLOCK.range(datefrom.astimezone(zone), dateto.astimezone(zone))
        assert write_wall(found.start) == f"2026-10-25 {start}"
        assert write_wall(found.end) == f"2026-10-25 {end}"
        assert found.reaches_too_far is sifted


def test_naive_ranges_ask_for_what_was_said() -> None:
    """A naive range is the wall clock's own: nothing is added, nothing left out."""
    found = CLOCK.range(HALF_PAST, HALF_PAST.replace(fold=1))
    assert (found.start, found.end) == (HALF_PAST, HALF_PAST)
    assert not found.reaches_too_far
    for moment in (SUMMER - 2 * HOUR, SUMMER, WINTER, WINTER + 2 * HOUR):
        assert found.contains(record(moment, epoch=moment.timestamp()))


def test_mixed_ranges() -> None:
    """Of an aware and a naive end only the aware one is widened."""
    found = CLOCK.range(WINTER, datetime(2026, 10, 25, 2, 45))
    assert (found.start, found.end) == (datetime(2026, 10, 25, 2), datetime(2026, 10, 25, 2, 45))
    assert (found.not_before, found.not_after) == (WINTER, None)
    found = CLOCK.range(datetime(2026, 10, 25, 2, 15), SUMMER)
    assert (found.start, found.end) == (datetime(2026, 10, 25, 2, 15), datetime(2026, 10, 25, 3))
    assert (found.not_before, found.not_after) == (None, SUMMER)


@pytest.mark.parametrize(
    ("start", "end", "held"),
    [
        (WINTER, WINTER, True),
        (WINTER + MINUTE, WINTER + 2 * MINUTE, True),
        # On the same wall times an hour before: it misses the range.
        (SUMMER, SUMMER + MINUTE, False),
        (SUMMER + 5 * MINUTE, SUMMER + 6 * MINUTE, False),
        # It began before and goes on into the range.
        (SUMMER + MINUTE, WINTER, True),
        (SUMMER + 5 * MINUTE, WINTER + 4 * MINUTE, True),
        (WINTER - MINUTE, WINTER, True),
        (WINTER - MINUTE, WINTER - SECOND, False),
        # It ends after the range.
        (WINTER + 9 * MINUTE, WINTER + 99 * MINUTE, True),
        (WINTER + 10 * MINUTE, WINTER + 11 * MINUTE, True),
        (WINTER + 10 * MINUTE + SECOND, WINTER + 11 * MINUTE, False),
        # Around all of it.
        (SUMMER - HOUR, WINTER + HOUR, True),
        # Without an end its start alone tells.
        (WINTER, None, True),
        (SUMMER, None, False),
    ],
)
def test_range_in_the_repeated_hour(
    start: datetime,
    end: datetime | None,
    held: bool,  # noqa: FBT001
) -> None:
    """Of the repeated hour a record is left out only if its span, told apart, misses the range."""
    asked = CLOCK.range(WINTER, WINTER + 10 * MINUTE)
    assert asked.contains(record(start, end, epoch=start.timestamp())) is held


@pytest.mark.parametrize(
    ("duration", "held"),
    [(4200, True), (4201, True), (4199, True), (None, True), (0, True), (600, False), (601, False)],
)
def test_an_end_that_may_lie_in_either_pass(
    duration: int | None,
    held: bool,  # noqa: FBT001
) -> None:
    """A call from 01:50 to 02:00 lasted 10 minutes or 70: its duration tells, if it fits one."""
    start = SUMMER - 40 * MINUTE
    cdr = attrs.evolve(
        record(start, WINTER - 30 * MINUTE, epoch=start.timestamp()), duration=duration
    )
    assert cdr.end is not None
    assert [write_wall(moment.replace(tzinfo=None)) for moment in (cdr.start, cdr.end)] == [
        "2026-10-25 01:50:00",
        "2026-10-25 02:00:00",
    ]
    assert CLOCK.range(WINTER - 30 * MINUTE, WINTER + HOUR).contains(cdr) is held
    # Where the range ends early, and the start tells, nothing changes.
    assert CLOCK.range(SUMMER - 2 * HOUR, SUMMER).contains(cdr)


def test_parts_of_a_second_in_the_repeated_hour() -> None:
    """Sifted is by whole seconds, as it is asked for: the start floored, the end raised."""
    asked = CLOCK.range(SUMMER + SECOND / 2, SUMMER + 2 * SECOND + SECOND / 2)
    held = [
        asked.contains(record(SUMMER + number * SECOND, epoch=SUMMER.timestamp() - 1))
        for number in range(-1, 5)
    ]
    assert held == [False, True, True, True, True, False]


@pytest.mark.parametrize("ends", [(WINTER, WINTER + HOUR / 4), (SUMMER, SUMMER + HOUR / 4)])
@pytest.mark.parametrize("end", [None, SUMMER + MINUTE])
def test_records_without_an_epoch_are_kept(
    ends: tuple[datetime, datetime], end: datetime | None
) -> None:
    """A record that cannot be told apart is not left out on a guess."""
    assert CLOCK.range(*ends).contains(record(SUMMER, end))


@pytest.mark.slow
@back
@given(data=st.data())
def test_whatever_lies_in_an_aware_range_is_asked_for_and_kept(
    change: ClockChange, data: st.DataObject
) -> None:
    """Each call that meets an aware range lies in what is asked for, and is not sifted out."""
    clock = WallClock(change.zone)
    near = change.jump - SECOND
    datefrom, dateto = sorted(data.draw(around(change, 3 * HOUR)) for _ in range(2))
    part = timedelta(microseconds=data.draw(st.integers(0, 999_999)))
    early = timedelta(microseconds=data.draw(st.integers(0, 999_999)))
    asked = clock.range(datefrom + early, max(datefrom + early, dateto + part))
    start = data.draw(around(change, 3 * HOUR), label="start")
    end = data.draw(seconds_in(start, start + 3 * HOUR), label="end")
    epoch = data.draw(seconds_in(start - near, start), label="epoch")
    cdr = record(start, end, epoch=epoch.timestamp(), zone=change.zone)
    # What is asked for in whole seconds is kept by whole seconds.
    last = dateto + (SECOND if max(datefrom + early, dateto + part) > dateto else timedelta(0))
    for moment in (start, end):
        if datefrom <= moment <= last:
            assert asked.start <= wall(moment, change.zone) <= asked.end
    meets = start <= last and end >= datefrom
    if meets:
        assert asked.contains(cdr)
    elif (end < datefrom and asked.not_before) or (start > last and asked.not_after):
        assert not asked.contains(cdr)


# Clipping


@pytest.mark.parametrize("make", [lambda end: end, lambda end: end.replace(tzinfo=ZURICH)])
def test_clipping(make: Callable[[datetime], datetime]) -> None:
    """Clipped is to starts from the start on and before the end, so that neighbours share none."""
    first, last = datetime(2024, 3, 1), datetime(2024, 4, 1)
    month = CLOCK.range(make(first), make(last))
    following = CLOCK.range(make(last), make(datetime(2024, 5, 1)))
    for start, held in (
        (first - SECOND, False),
        (first, True),
        (last - SECOND, True),
        (last, False),
        (last + SECOND, False),
    ):
        aware = start.replace(tzinfo=ZURICH)
        assert month.starts_within(aware) is held
        assert following.starts_within(aware) is (start >= last)


def test_clipping_to_parts_of_a_second() -> None:
    """Clipped is to the ends as given, not as rounded for asking."""
    asked = CLOCK.range(datetime(2024, 3, 1, 9, 0, 0, 1), datetime(2024, 3, 1, 9, 0, 2, 1))
    starts = [datetime(2024, 3, 1, 9, 0, second, tzinfo=ZURICH) for second in range(4)]
    assert [asked.starts_within(start) for start in starts] == [False, True, True, False]


@pytest.mark.parametrize(
    ("ends", "held"),
    [((SUMMER, WINTER), (True, False)), ((WINTER, WINTER + HOUR), (False, True))],
)
def test_clipping_in_the_repeated_hour(
    ends: tuple[datetime, datetime], held: tuple[bool, bool]
) -> None:
    """Aware ends clip by moments: neighbours that meet in the repeated hour share no call."""
    asked = CLOCK.range(*ends)
    starts = [record(moment, epoch=moment.timestamp()).start for moment in (SUMMER, WINTER)]
    assert tuple(asked.starts_within(start) for start in starts) == held


@pytest.mark.slow
@back
@given(data=st.data())
def test_clipped_neighbours_share_no_call_and_lose_none(
    change: ClockChange, data: st.DataObject
) -> None:
    """A call that starts between the ends of two clipped neighbours is in exactly one of them."""
    clock = WallClock(change.zone)
    low, middle, high = sorted(data.draw(around(change, 3 * HOUR)) for _ in range(3))
    start = data.draw(around(change, 3 * HOUR))
    cdr = record(start, epoch=start.timestamp(), zone=change.zone)

    def clipped(asked: Range) -> bool:
        fetched = asked.start <= wall(start, change.zone) <= asked.end and asked.contains(cdr)
        return fetched and asked.starts_within(cdr.start)

    parts = [clock.range(low, middle), clock.range(middle, high)]
    assert sum(map(clipped, parts)) == (low <= start < high)
    assert clipped(clock.range(low, high)) == (low <= start < high)
