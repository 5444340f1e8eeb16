"""Windows that are sized by what comes back: they cover the range, and bring what they aim at."""

# Naive datetimes here are the provider's wall clock.
# ruff: noqa: DTZ001, DTZ901

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left, bisect_right
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from calls import DAY, HOUR, NEXT_DAY, SECOND, call, ids, ids_of
from hypothesis import given
from hypothesis import strategies as st
from strategies import ZURICH, seconds_in

from boxis_async import Contract
from boxis_async._run.adaptive_windows import AdaptiveWindows, Traffic
from boxis_async._run.windows import halve
from boxis_async.models import CDR, Window
from boxis_async.testing import Fault, Provider, generate_calls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import MakeClient

    from boxis_async._run.fetch import Piece


AUTUMN = datetime(2024, 10, 27, 2), datetime(2024, 10, 27, 3)
"""The hour that comes twice."""
LONGEST, SHORTEST = timedelta(days=31), timedelta(minutes=1)
# How busy the hours of a day are.
OFFICE = dict(zip(range(7, 19), (2, 6, 10, 10, 8, 4, 5, 9, 10, 8, 5, 1), strict=True))
SHIFTS = {22: 1.0, 23: 2.0, 0: 3.0, 1: 3.0, 2: 2.0, 3: 1.0}
FLAT = dict.fromkeys(range(24), 1.0)


@st.composite
def learned(draw: st.DrawFn) -> Traffic:
    """Draw what may have been learned: any windows, with any records in them."""
    traffic = Traffic()
    for _ in range(draw(st.integers(0, 6))):
        start = draw(seconds_in(datetime(2024, 10, 1), datetime(2024, 11, 30)))
        length = draw(st.sampled_from([0, 1, 59, 3600, 86_400, 40 * 86_400]))
        count = draw(st.sampled_from([0, 1, 900, 20_000]))
        traffic.learn(Window(start, start + timedelta(seconds=length)), count)
    return traffic


def overlap_by_a_second(windows: list[Window]) -> bool:
    """Tell whether each begins a second before the one before it ends."""
    return all(
        one.end is not None and other.start == one.end - SECOND for one, other in pairwise(windows)
    )


def taken(windows: AdaptiveWindows) -> Iterator[Window]:
    """Take all windows, as if each came back before the next is chosen."""
    while windows.left:
        window = windows.next(is_busy=False)
        assert window is not None
        yield window


@given(
    learned(),
    seconds_in(datetime(2024, 10, 20), datetime(2024, 10, 30)),
    st.one_of(st.integers(0, 7200), st.integers(0, 90 * 86_400)),
    st.one_of(st.none(), st.integers(1, 5000)),
)
def test_they_cover_the_range(
    traffic: Traffic, start: datetime, seconds: int, row_limit: int | None
) -> None:
    """Whatever was learned, the windows tile the range by whole seconds, within sane bounds."""
    end = start + timedelta(seconds=seconds)
    windows = list(taken(AdaptiveWindows([(start, end)], [AUTUMN], traffic, lambda: row_limit)))
    assert (windows[0].start, windows[-1].end) == (start, end)
    assert overlap_by_a_second(windows)
    for window in windows[:-1]:
        assert window.end is not None
        assert window.end.microsecond == 0
        assert not AUTUMN[0] < window.end < AUTUMN[1]
        assert SHORTEST <= window.length <= LONGEST + HOUR
    assert windows[-1].length <= LONGEST + HOUR


@given(learned())
def test_spans_are_kept_apart(traffic: Traffic) -> None:
    """What need not be asked for is not, and each part begins with a window of its own."""
    spans = [(DAY, DAY + HOUR), (DAY + 5 * HOUR, DAY + 5 * HOUR), (NEXT_DAY, NEXT_DAY + 9 * HOUR)]
    windows = list(taken(AdaptiveWindows(spans, [], traffic, lambda: None)))
    assert {window.start for window in windows} >= {start for start, _ in spans}
    assert {window.end for window in windows} >= {end for _, end in spans}
    overlaps = (len(windows) - len(spans)) * SECOND
    assert sum((window.length for window in windows), timedelta(0)) == 10 * HOUR + overlaps


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (datetime.min, datetime(1, 3, 1)),
        (datetime(9999, 11, 1), datetime(9999, 12, 31, 23, 59, 59)),
    ],
)
def test_the_ends_of_time(start: datetime, end: datetime) -> None:
    """The first and the last windows that there can be are chosen as all others."""
    traffic = Traffic()
    windows = AdaptiveWindows([(start, end)], [], traffic, lambda: None)
    found: list[Window] = []
    for window in taken(windows):
        found.append(window)
        windows.learn(window, [])
    assert (found[0].start, found[-1].end) == (start, end)
    assert overlap_by_a_second(found)


def test_it_waits_for_what_it_cannot_know() -> None:
    """While nothing is known, one window is sent ahead; far beyond what is known, one again."""
    windows = AdaptiveWindows([(DAY, DAY + timedelta(days=365))], [], Traffic(), lambda: None)
    first = windows.next(is_busy=False)
    assert first == Window(DAY, DAY + 6 * HOUR)
    assert windows.next(is_busy=True) is None
    windows.learn(first, [])
    assert windows.next(is_busy=True) is None
    second = windows.next(is_busy=False)
    assert second is not None
    assert 4 * first.length <= second.length <= 5 * first.length


def test_short_gaps_are_not_waited_for() -> None:
    """Small parts, as a resumed run has, are sent at once while nothing is known."""
    gaps = [(DAY + n * HOUR, DAY + n * HOUR + timedelta(minutes=10)) for n in range(40)]
    windows = AdaptiveWindows(gaps, [], Traffic(), lambda: None)
    assert [windows.next(is_busy=True) for _ in gaps] == [Window(*gap) for gap in gaps]


def test_a_day_is_asked_for_at_once() -> None:
    """Up to a day is one window while nothing is known."""
    for missing in (Window(DAY, NEXT_DAY), Window(DAY - SECOND, NEXT_DAY + SECOND)):
        assert missing.start is not None
        assert missing.end is not None
        windows = AdaptiveWindows([(missing.start, missing.end)], [], Traffic(), lambda: None)
        assert list(taken(windows)) == [missing]


def test_no_small_rest_is_left() -> None:
    """A last window that is a little longer than expected is not parted."""
    traffic = Traffic()
    traffic.learn(Window(DAY - timedelta(days=10), DAY), 10_000)
    end = DAY + timedelta(days=1, hours=6)
    windows = AdaptiveWindows([(DAY, end)], [], traffic, lambda: None)
    assert list(taken(windows)) == [Window(DAY, end)]


def starts_by_day(
    days: int, records: int, hours: dict[int, float], seed: int = 0
) -> list[datetime]:
    """Make up when calls start: so many each working day, a fifth of it at weekends."""
    return _starts_by_day(days, records, tuple(hours.items()), seed)


@lru_cache(maxsize=16)
def _starts_by_day(
    days: int, records: int, hours: tuple[tuple[int, float], ...], seed: int
) -> list[datetime]:
    names, weights = zip(*hours, strict=True)
    rng = random.Random(seed)
    found: list[datetime] = []
    for day in (DAY + timedelta(days=number) for number in range(days)):
        count = records if day.weekday() < 5 else records // 5
        drawn = rng.choices(names, weights, k=count)
        found += [day + timedelta(hours=hour, seconds=rng.randrange(3600)) for hour in drawn]
    return sorted(found)


def found_in(starts: list[datetime], window: Window) -> int:
    """Count the records that a window brings."""
    assert window.start is not None
    assert window.end is not None
    return bisect_right(starts, window.end) - bisect_left(starts, window.start)


def asked_for(  # noqa: PLR0913 - each is one thing to set, by name
    starts: list[datetime],
    days: int,
    *,
    traffic: Traffic | None = None,
    concurrency: int = 8,
    row_limit: int | None = None,
    failing: float = 0.0,
    seed: int = 0,
) -> list[tuple[Window, int]]:
    """Ask for all of them, some windows at a time, and tell how many records each brought.

    Answers come back in any order. A window that would be cut off is asked for again in halves,
    which are in the list too. One that fails brings nothing.
    """
    rng = random.Random(seed)
    traffic = Traffic() if traffic is None else traffic
    windows = AdaptiveWindows([(DAY, DAY + timedelta(days=days))], [], traffic, lambda: row_limit)
    under_way: list[Window] = []
    found: list[tuple[Window, int]] = []
    while windows.left or under_way:
        if windows.left and len(under_way) < concurrency:
            window = windows.next(is_busy=bool(under_way))
            if window is not None:
                under_way.append(window)
                continue
        window = under_way.pop(rng.randrange(len(under_way)))
        if rng.random() < failing:
            windows.fail(window)
            found.append((window, 0))
            continue
        parts = [window]
        while parts:
            part = parts.pop()
            count = found_in(starts, part)
            found.append((part, count))
            halves = None if row_limit is None or count < row_limit else halve(part, [])
            if halves is None:
                windows.learn(part, [CDR(start=part.start)] * count)
            else:
                parts += halves
    return sorted(found, key=lambda pair: pair[0].start or DAY)


def of_one_length(
    starts: list[datetime],
    days: int,
    records: int = 1000,
    *,
    row_limit: int | None = None,
    begin: datetime = DAY,
) -> list[int]:
    """Tell how many records the best windows of one length bring: so many each, on average."""
    length = timedelta(days=min(31, days * records / max(1, len(starts))))
    number = -(timedelta(days=-days) // length)
    parts = [Window(begin + length * n, begin + length * (n + 1)) for n in range(number)]
    found: list[int] = []
    while parts:
        part = parts.pop()
        found.append(found_in(starts, part))
        if row_limit is not None and found[-1] >= row_limit:
            parts += halve(part, []) or ()
    return sorted(found)


def share_of(counts: list[int], share: float) -> int:
    """Tell how many records are in all but the largest windows."""
    return sorted(counts)[int(share * (len(counts) - 1))]


@given(
    st.integers(0, 2000),
    st.integers(1, 60),
    st.sampled_from([1, 8, 32]),
    st.sampled_from([0.0, 0.1, 1.0]),
    st.integers(0, 100),
)
def test_never_stuck(records: int, days: int, concurrency: int, failing: float, seed: int) -> None:
    """Whatever comes back, in whatever order, all of the range is asked for."""
    starts = starts_by_day(days, records // days, OFFICE, seed)
    found = asked_for(starts, days, concurrency=concurrency, failing=failing, seed=seed)
    windows = [window for window, _ in found]
    assert (windows[0].start, windows[-1].end) == (DAY, DAY + timedelta(days=days))
    assert overlap_by_a_second(windows)
    assert len(windows) <= 4 * days + 4


def test_records_from_elsewhere_make_no_window_shorter() -> None:
    """Where a server minds no dates, or gives ended calls, a shorter window brings no fewer."""
    starts = starts_by_day(60, 500, OFFICE)
    cdrs = [CDR(start=start.replace(tzinfo=ZURICH)) for start in starts]
    found: list[list[Window]] = []
    for gives_all in (False, True):
        windows = AdaptiveWindows([(DAY, DAY + timedelta(days=60))], [], Traffic(), lambda: None)
        found.append([])
        for window in taken(windows):
            assert window.start is not None
            assert window.end is not None
            part = slice(bisect_left(starts, window.start), bisect_right(starts, window.end))
            windows.learn(window, cdrs if gives_all else cdrs[part])
            found[-1].append(window)
    assert found[0] == found[1]
    assert len(found[0]) < 40


@pytest.mark.parametrize("way", ["answers", "errors"])
async def test_an_outage_is_not_waited_through(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Windows that fail teach nothing: the next ones are sent at once, and not one by one."""
    provider = Provider(faults=lambda _: Fault("refuse"), latency=0.01)
    client = make_client(provider)
    under_way: set[object] = set()
    most = 0

    async def fail(window: Window, job: object) -> list[Piece]:
        nonlocal most
        under_way.add(window)
        most = max(most, len(under_way))
        await asyncio.sleep(0.01)
        under_way.remove(window)
        raise ZeroDivisionError(f"{window} {job}")

    if way == "errors":
        # An error that is none of a window: no provider can cause it.
        monkeypatch.setattr(client._fetcher, "fetch", fail)  # noqa: SLF001 - as above
    stream = client.cdrs(DAY, DAY + timedelta(days=90), on_error="collect")
    assert await stream.to_list() == []
    assert max(most, provider.peak_in_flight) == 8
    # About a day each, as far as it is guessed.
    assert 30 < len(stream.failures) < 180


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [1, 8, 32])
@pytest.mark.parametrize("hours", [OFFICE, SHIFTS, FLAT], ids=["office", "shifts", "flat"])
@pytest.mark.parametrize(
    ("records", "days"), [(2, 365), (20, 365), (500, 92), (3000, 60), (10_000, 28)], ids=str
)
def test_hardly_more_requests_than_the_best(
    records: int, days: int, hours: dict[int, float], concurrency: int
) -> None:
    """It takes at most 1.3 times the requests of the best length, for quiet tenants and busy."""
    starts = starts_by_day(days, records, hours)
    found = [count for _, count in asked_for(starts, days, concurrency=concurrency)]
    # Of windows of one length whose answers hold 1,000 records on average, or of 31 days.
    best = max(len(starts) / 1000, days / 31)
    assert len(found) <= 1.3 * best + 1
    if records >= 500:
        # Nor are they larger, but for the first ones, which were sent before much was known.
        fixed = of_one_length(starts, days)
        assert share_of(found, 0.95) <= 1.5 * share_of(fixed, 0.95)
        assert max(found) <= 8 * share_of(fixed, 0.99)


@pytest.mark.parametrize("hours", [OFFICE, FLAT], ids=["office", "flat"])
def test_hardly_more_requests_where_answers_are_cut_off(hours: dict[int, float]) -> None:
    """The same where some windows are asked for again in halves, as those of one length are."""
    starts = starts_by_day(60, 3000, hours)
    best = len(of_one_length(starts, 60, 250, row_limit=500))
    found = asked_for(starts, 60, row_limit=500)
    assert len(found) <= 1.3 * best


def test_hardly_more_requests_where_some_fail() -> None:
    """Nor does a window that fails now and then make others shorter, or longer."""
    starts = starts_by_day(60, 3000, OFFICE)
    found = [count for _, count in asked_for(starts, 60, failing=0.1)]
    fixed = of_one_length(starts, 60)
    assert len(found) <= 1.3 * len(fixed)
    assert share_of(found, 0.95) <= 1.5 * share_of(fixed, 0.95)


def test_steady_traffic_brings_what_was_aimed_at() -> None:
    """Where calls come evenly, each answer but the first ones holds about 1,000 records."""
    starts = [DAY + timedelta(seconds=29 * n) for n in range(200_000)]
    found = [count for _, count in asked_for(starts, 67)]
    assert len(found) > 190
    assert all(900 <= count <= 1100 for count in found[15:-1])


def test_the_night_makes_no_morning_long() -> None:
    """Windows are hardly longer after a quiet night or a weekend than at noon."""
    found = asked_for(starts_by_day(28, 10_000, OFFICE), 28)
    lengths = sorted(window.length for window, _ in found[len(found) // 4 : -1])
    assert len(lengths) > 100
    assert lengths[-1] < 3 * lengths[0]


@pytest.mark.slow
def test_the_first_day_of_a_busy_tenant() -> None:
    """Six hours of the night do not make the first morning's windows far too large."""
    hours = dict.fromkeys(range(24), 0.1) | OFFICE
    found = asked_for(starts_by_day(7, 100_000, hours), 7)
    assert found[0][0].length == 6 * HOUR
    assert max(count for _, count in found) < 15_000


@pytest.mark.slow
def test_a_tenant_that_grows() -> None:
    """Over a year in which calls double, windows become shorter, and no larger."""
    days = [starts_by_day(365, 1000, OFFICE), starts_by_day(365, 1000, OFFICE, seed=1)]
    rng = random.Random(0)
    grown = [start for start in days[1] if rng.random() * 365 < (start - DAY).days]
    starts = sorted(days[0] + grown)
    found = asked_for(starts, 365)
    assert len(found) <= 1.3 * len(starts) / 1000
    last = [count for window, count in found if window.start and (window.start - DAY).days > 300]
    assert 750 <= sum(last) / len(last) <= 1250


@pytest.mark.slow
def test_a_rush() -> None:
    """Days on which five times as many call are asked for in shorter windows before long."""
    calm, rush = (starts_by_day(56, records, OFFICE) for records in (2000, 10_000))
    begin, known, end = (DAY + timedelta(days=days) for days in (28, 34, 42))
    starts = sorted(
        [start for start in calm if not begin <= start < end]
        + [start for start in rush if begin <= start < end]
    )
    found = asked_for(starts, 56)
    in_the_rush = [count for window, count in found if window.start and known <= window.start < end]
    assert sum(in_the_rush) > 50_000
    assert sorted(in_the_rush)[len(in_the_rush) // 2] < 2000
    assert sum(in_the_rush) / len(in_the_rush) < 2000
    after = [count for window, count in found if window.start and window.start > end + 3 * HOUR]
    assert sum(after) / len(after) > 300


def test_a_tenant_that_falls_silent() -> None:
    """What was learned of busy days fades: a quiet year after them takes few requests."""
    traffic = Traffic()
    asked_for(starts_by_day(28, 3000, OFFICE), 28, traffic=traffic)
    assert len(asked_for([], 365, traffic=traffic)) < 60


async def test_what_was_learned_serves_the_next_stream(make_client: MakeClient) -> None:
    """A client remembers how busy a tenant is, and apart from others."""
    start, end = date(2025, 1, 6), date(2025, 2, 3)
    rows = generate_calls(start, end, calls_per_day=50)
    provider = Provider(rows, tenants={"VOICE-2": rows})
    client = make_client(provider, contract=Contract(rule="start", no_cap_up_to=10_000))
    first = client.cdrs(start, end, unique_by="leg")
    again = client.cdrs(start, end, unique_by="leg")
    other = client.cdrs(start, end, unique_by="leg", tenant="VOICE-2")
    for stream in (first, again, other):
        assert len(await stream.to_list()) == len(rows)
    assert again.stats.requests < first.stats.requests == other.stats.requests


async def test_of_many_tenants_the_first_is_forgotten(make_client: MakeClient) -> None:
    """What a client remembers is bounded."""
    client = make_client(Provider())
    for number in range(1100):
        client.cdrs(DAY, NEXT_DAY, tenant=f"VOICE-{number}")
    traffic = client._traffic  # noqa: SLF001 - that no more is kept shows nowhere else
    assert len(traffic) == 1000
    assert "VOICE-1099" in traffic
    assert "VOICE-0" not in traffic


@pytest.mark.slow
async def test_the_row_limit_is_minded(make_client: MakeClient) -> None:
    """Where answers are cut off at so many records, windows aim at half of that."""
    start, end = date(2025, 1, 1), date(2025, 1, 29)
    rows = generate_calls(start, end, calls_per_day=200)
    provider = Provider(rows, row_limit=200)
    stream = make_client(provider).cdrs(start, end, unique_by="leg", row_limit=200)
    found = [len(batch.cdrs) async for batch in stream.batches()]
    assert sum(found) == len(rows)
    assert 60 <= sum(found) / len(found) <= 160
    starts = sorted(datetime.fromisoformat(row["start"] or "") for row in rows)
    best = of_one_length(starts, 28, 100, row_limit=200, begin=datetime(2025, 1, 1))
    assert stream.stats.requests <= 1.3 * len(best)


async def test_order_of_completion(make_client: MakeClient) -> None:
    """Windows that are handed over as they arrive are sized as well."""
    rows = [call(f"{DAY + timedelta(minutes=17 * n)}") for n in range(3000)]
    provider = Provider(rows)
    stream = make_client(provider).cdrs(DAY, DAY + timedelta(days=40), order="completion")
    assert sorted(ids(await stream.to_list())) == sorted(ids_of(rows))
    assert stream.stats.covered == 1.0


async def test_a_stream_that_is_left_while_windows_wait(make_client: MakeClient) -> None:
    """Workers that wait for what the first window brings end with the stream."""
    entered = asyncio.Event()

    async def gate(_: object) -> None:
        entered.set()
        await asyncio.Event().wait()

    provider = Provider(gate=gate)
    stream = make_client(provider).cdrs(DAY, DAY + timedelta(days=40))
    item = asyncio.ensure_future(anext(stream))
    await entered.wait()
    assert provider.in_flight == 1
    item.cancel()
    await stream.aclose()
    assert provider.in_flight == 0
