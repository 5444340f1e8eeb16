"""Windows: together they are the range, and their answers are the undivided request's."""

# Naive datetimes here are the provider's wall clock.
# ruff: noqa: DTZ001, DTZ901

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from random import Random
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import pytest
from calls import HOUR, SECOND
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from strategies import TURNED_BACK, TURNED_FORWARD, ClockChange, seconds_in, wall

from boxis_async._checks import problem_with_window
from boxis_async._run.windows import plan_of
from boxis_async._wire.wallclock import WallClock
from boxis_async.models import Plan, Window

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import tzinfo

    from boxis_async._wire.wallclock import Range


class Rule(NamedTuple):
    """How a server compares a call with the two dates of a request."""

    by: Literal["start", "end", "either", "overlap"]
    include_from: bool
    include_to: bool


Row: TypeAlias = tuple[datetime, datetime, int]

DAY = timedelta(days=1)
NOON = datetime(2024, 3, 5, 12)
RULES = [
    Rule(by, include_from, include_to)
    for by in ("start", "end", "either", "overlap")
    for include_from in (True, False)
    for include_to in (True, False)
]
rules = pytest.mark.parametrize("rule", RULES, ids=str)

lengths = st.one_of(
    st.integers(1, 120), st.sampled_from([3600, 86_400, 31 * 86_400]), st.integers(1, 10**9)
).map(lambda seconds: timedelta(seconds=seconds))


def asked(start: datetime, end: datetime, zone: str | tzinfo = UTC) -> Range:
    """Ask for a range on the wall clock."""
    return WallClock(zone).range(start, end)


def cut(asked: Range | None, length: timedelta | None) -> Plan:
    """Cut all of a range."""
    return plan_of(asked, length, [] if asked is None else [(asked.start, asked.end)])


def answer(rule: Rule, rows: Iterable[Row], window: Window) -> set[Row]:
    """Give what a server that filters in this way answers, of rows by whole seconds."""
    assert window.start is not None
    assert window.end is not None
    # Compared with the first and the last second that count: millions of rows are.
    low = window.start if rule.include_from else window.start + SECOND
    high = window.end if rule.include_to else window.end - SECOND
    match rule.by:
        case "start":
            return {row for row in rows if low <= row[0] <= high}
        case "end":
            return {row for row in rows if low <= row[1] <= high}
        case "either":
            return {row for row in rows if low <= row[0] <= high or low <= row[1] <= high}
        case "overlap":
            return {row for row in rows if row[0] <= high and row[1] >= low}


# Lengths


@pytest.mark.parametrize(
    "window", [None, SECOND, HOUR, DAY, 400 * DAY, timedelta.max // SECOND * SECOND]
)
def test_lengths(window: timedelta | None) -> None:
    """A window is any number of whole seconds, or for the client to choose."""
    assert problem_with_window(window) is None


@pytest.mark.parametrize(
    "window",
    [
        timedelta(0),
        -HOUR,
        timedelta(milliseconds=999),
        timedelta(seconds=1, microseconds=1),
        3600,
        "1h",
        True,
    ],
)
def test_bad_lengths(window: object) -> None:
    """Anything else is told by what it is."""
    assert "window must" in (problem_with_window(window) or "")


# The cut


@given(st.data(), lengths)
def test_windows_cover_the_range_exactly(data: st.DataObject, length: timedelta) -> None:
    """Windows begin and end with the range, overlap by one second, and tile it by the length."""
    start = data.draw(st.datetimes().map(lambda moment: moment.replace(microsecond=0)))
    count = data.draw(st.integers(0, 50))
    rest = data.draw(st.integers(0, length // SECOND)) * SECOND
    try:
        end = start + count * length + rest
    except OverflowError:
        end = datetime.max.replace(microsecond=0)
    plan = cut(asked(start, end), length)
    assert len(plan) == max(1, -((start - end) // length))
    assert not plan.guess
    windows = list(islice(plan, 60))
    assert windows[0].start == start
    assert plan[-1].end == end
    ends = [start, *(window.end for window in windows)]
    for number, (window, following) in enumerate(pairwise(windows)):
        assert window.end is not None
        assert following.start == window.end - SECOND
        assert window.end == start + (number + 1) * length
        assert window.length == length + (SECOND if number else timedelta(0))
    longest = length + (SECOND if len(plan) > 1 else timedelta(0))
    assert timedelta(0) <= plan[-1].length <= longest
    assert all(one < other for one, other in pairwise(filter(None, ends))) or start == end


@given(st.data())
def test_windows_near_the_end_of_time(data: st.DataObject) -> None:
    """Windows at either end of what a datetime holds are cut like any other."""
    length = data.draw(st.integers(1, 10)) * SECOND
    for low, high in (
        (datetime.min, datetime.min + 20 * SECOND),
        (datetime.max.replace(microsecond=0) - 20 * SECOND, datetime.max.replace(microsecond=0)),
    ):
        start, end = sorted(data.draw(seconds_in(low, high)) for _ in range(2))
        windows = list(cut(asked(start, end), length))
        assert (windows[0].start, windows[-1].end) == (start, end)
        overlaps = (len(windows) - 1) * SECOND
        assert sum((window.length for window in windows), timedelta(0)) == end - start + overlaps


def test_everything_is_one_window() -> None:
    """Without dates there is one window, of everything."""
    for length in (None, HOUR):
        plan = cut(None, length)
        assert list(plan) == [Window(None, None)]
        assert not plan.guess
        assert plan[0].length == timedelta(0)


def test_a_moment_is_one_window() -> None:
    """A range without a length is one window without a length."""
    assert list(cut(asked(NOON, NOON), HOUR)) == [Window(NOON, NOON)]


def test_a_first_guess() -> None:
    """Without a length the plan is a guess, marked as one, and covers the range."""
    plan = cut(asked(NOON, NOON + 10 * DAY), None)
    assert plan.guess
    assert (plan[0].start, plan[-1].end) == (NOON, NOON + 10 * DAY)


def test_counted_from_the_start() -> None:
    """A length is counted from the start of the range, not from a calendar; the last is shorter."""
    plan = cut(asked(NOON, NOON + 25 * HOUR), DAY)
    assert list(plan) == [
        Window(NOON, NOON + DAY),
        Window(NOON + DAY - SECOND, NOON + DAY + HOUR),
    ]


# The plan as a sequence


@given(st.integers(0, 12), st.integers(-15, 15), st.slices(12))
def test_a_plan_is_a_sequence(hours: int, index: int, part: slice) -> None:
    """A plan has a length, indexes, slices, an order and members, as a list of its windows has."""
    plan = cut(asked(NOON, NOON + hours * HOUR), HOUR)
    windows = [
        Window(NOON + hour * HOUR - (SECOND if hour else timedelta(0)), NOON + (hour + 1) * HOUR)
        for hour in range(hours)
    ] or [Window(NOON, NOON)]
    assert isinstance(plan, Sequence)
    assert list(plan) == windows
    assert len(plan) == len(windows)
    assert plan[part] == windows[part]
    assert list(reversed(plan)) == windows[::-1]
    assert windows[-1] in plan
    assert plan.index(windows[-1]) == len(windows) - 1
    if -len(windows) <= index < len(windows):
        assert plan[index] == windows[index]
    else:
        with pytest.raises(IndexError):
            plan[index]


def test_a_plan_computes_its_windows() -> None:
    """A plan of centuries by the second takes no room, and says how long it is."""
    plan = cut(asked(datetime(1, 1, 1), datetime(9999, 12, 31)), SECOND)
    assert len(plan) == 315_537_811_200
    assert plan[-1].end == datetime(9999, 12, 31)
    assert plan[0].length == SECOND
    assert plan[10**11].length == 2 * SECOND


def test_a_plan_is_a_value() -> None:
    """Plans of the same windows are equal, hash alike, and show themselves in short."""
    one, other = (cut(asked(NOON, NOON + DAY), HOUR) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert one != cut(asked(NOON, NOON + DAY), DAY)
    assert "24 windows of 1:00:00" in repr(one)
    assert "guess" in repr(cut(asked(NOON, NOON + DAY), None))
    assert "everything" in repr(cut(None, None))
    with pytest.raises(AttributeError):
        one.guess = True  # type: ignore[misc]


# The oracle


def rows_around(low: datetime, high: datetime) -> st.SearchStrategy[list[Row]]:
    """Draw rows that begin around a range, many of them in one second, none ending earlier."""
    starts = seconds_in(low - 2 * HOUR, high + 2 * HOUR)
    longs = st.one_of(st.sampled_from([0, 1, 2]), st.integers(0, 10_000))
    return st.lists(
        st.builds(
            lambda start, seconds, number: (start, start + seconds * SECOND, number),
            st.one_of(starts, st.sampled_from([low, high])),
            longs,
            st.integers(0, 3),
        ),
        max_size=30,
    )


def assert_answers_unite(rows: Iterable[Row], plan: Iterable[Window], whole: Window) -> None:
    """Hold the windows' answers to be the undivided one's, by whichever rule a server filters."""
    rows, windows = [*rows], [*plan]
    for rule in RULES:
        united = set().union(*(answer(rule, rows, window) for window in windows))
        assert united == answer(rule, rows, whole), rule


# What is drawn costs more than to answer it by one rule: each example serves all of them.


@pytest.mark.slow
@given(data=st.data())
def test_windows_answer_as_the_undivided_request(data: st.DataObject) -> None:
    """Whichever rule the server filters by, the windows' answers are the undivided one's."""
    start = data.draw(seconds_in(NOON, NOON + DAY))
    length = data.draw(st.one_of(st.integers(1, 5), st.integers(1, 7200))) * SECOND
    end = start + data.draw(st.integers(0, 40)) * length + data.draw(st.integers(0, 99)) * SECOND
    rows = data.draw(rows_around(start, end))
    plan = cut(asked(start, end), length)
    # Calls exactly on boundaries, where a rule with an open end could lose them.
    edges = [boundary for window in plan[:20] for boundary in (window.start, window.end)]
    rows += [(one, other, 9) for one in edges for other in edges if one and other and one <= other]
    assert_answers_unite(rows, plan, Window(start, end))


@pytest.mark.parametrize("change", [*TURNED_BACK, *TURNED_FORWARD], ids=str)
@given(data=st.data())
@settings(max_examples=50, phases=set(Phase) - {Phase.shrink})
def test_windows_over_a_clock_change(change: ClockChange, data: st.DataObject) -> None:
    """Over both clock changes the windows' answers are the undivided one's.

    Going back, a call may end earlier on the wall clock than it starts.
    """

    def shown(moment: datetime) -> datetime:
        return wall(moment, change.zone)

    # By five minutes: boundaries and calls then meet often, and few examples find much.
    step = timedelta(minutes=5)
    # Nothing is shrunk, so what hypothesis would know of each call is of no use, and costs most.
    turns = Random(data.draw(st.integers(0, 2**32)))
    rows: list[Row] = []
    for number in range(turns.randint(10, 20)):
        begin = change.moment + turns.randint(-24, 24) * step
        rows.append((shown(begin), shown(begin + turns.randint(0, 18) * step), number))
    start = shown(change.moment) + data.draw(st.integers(-30, 6)) * step
    end = start + data.draw(st.integers(0, 48)) * step
    length = data.draw(st.integers(1, 24)) * step
    plan = cut(asked(start, end, change.zone), length)
    assert_answers_unite(rows, plan, Window(start, end))


@rules
def test_a_call_that_ends_before_it_starts_on_the_wall(rule: Rule) -> None:
    """A call over the end of summer time is in the answer of a window, wherever that is cut."""
    # From 02:50 summer time to 02:10 winter time: twenty minutes.
    rows: list[Row] = [(datetime(2026, 10, 25, 2, 50), datetime(2026, 10, 25, 2, 10), 1)]
    whole = Window(datetime(2026, 10, 25, 0, 30), datetime(2026, 10, 25, 23, 30))
    assert whole.start is not None
    assert whole.end is not None
    plan = cut(asked(whole.start, whole.end, "Europe/Zurich"), HOUR)
    united = set().union(*(answer(rule, rows, window) for window in plan))
    assert united == answer(rule, rows, whole)


@example(seconds=1)
@given(seconds=st.integers(1, 50))
@rules
def test_many_calls_in_one_second(rule: Rule, seconds: int) -> None:
    """However many calls share a second that two windows share, none is lost."""
    boundary = NOON + seconds * SECOND
    rows: list[Row] = [(boundary, boundary, number) for number in range(1000)]
    plan = cut(asked(NOON, NOON + 2 * seconds * SECOND), seconds * SECOND)
    united = set().union(*(answer(rule, rows, window) for window in plan))
    assert len(united) == 1000
