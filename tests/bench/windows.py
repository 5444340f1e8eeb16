"""How many requests windows that size themselves take, beside the best windows of one length.

No server and no time: traffic is drawn, answers come back after log-normal latencies, and requests
are counted, as are the records in the largest windows. Each shape of traffic is one line; in it
the number of requests at once is 1, 8 and 32. The best length is the one by which an answer holds
1,000 records on average, or 31 days where there are fewer. With a row limit of 500, answers that
would be cut off are asked for again in halves, by both. The aim is that of 1 and 8 at once, the
default: with 32 a tenant that falls silent has many short windows in flight before it shows.
"""

from __future__ import annotations

import heapq
import random
import sys
from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol, TypeAlias

import attrs

from boxis_async import CDR, Window
from boxis_async._run.adaptive_windows import AdaptiveWindows, Traffic
from boxis_async._run.windows import halve
from boxis_async.testing import generate_calls

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2025, 1, 6)  # noqa: DTZ001 - the provider's wall clock; a Monday
AT_ONCE, JUDGED, LOOK_AHEAD, AIM = (1, 8, 32), 2, 4, 1.3

OFFICE = (
    2,
    1,
    1,
    1,
    1,
    3,
    12,
    40,
    90,
    130,
    135,
    105,
    50,
    75,
    125,
    130,
    105,
    70,
    30,
    16,
    10,
    7,
    5,
    3,
)
EMPTY_NIGHTS = (0,) * 7 + OFFICE[7:18] + (0,) * 6
NIGHT_SHIFT = (3, 3, 2, 1, *(0,) * 18, 1, 2)
FLAT = (1,) * 24
WORKING_WEEK = (27, 26, 25, 26, 24, 8, 4)

Starts: TypeAlias = list[datetime]


def drawn(
    days: int,
    per_day: float,
    hours: tuple[int, ...] = OFFICE,
    *,
    week: tuple[int, ...] = WORKING_WEEK,
    factor: Callable[[int], float] = lambda _: 1.0,
) -> Starts:
    """Draw when records start, so many a day on average."""
    rng = random.Random(0)
    starts: Starts = []
    for day in range(days):
        count = per_day * 7 * week[day % 7] / sum(week) * factor(day)
        for hour in rng.choices(range(24), hours, k=int(count + rng.random())):
            starts.append(START + timedelta(days=day, hours=hour, seconds=rng.randrange(3600)))
    return sorted(starts)


def generated(days: int, per_day: float) -> Starts:
    """Give when the records of `generate_calls` start."""
    first = START.date()
    rows = generate_calls(first, first + timedelta(days=days), calls_per_day=per_day)
    return sorted(datetime.fromisoformat(row["start"] or "") for row in rows)


def with_burst(starts: Starts, day: int, records: int) -> Starts:
    """Add so many records within an hour."""
    rng = random.Random(0)
    hour = START + timedelta(days=day, hours=10)
    return sorted(starts + [hour + timedelta(seconds=rng.randrange(3600)) for _ in range(records)])


SHAPES: dict[str, tuple[int, Callable[[], Starts]]] = {
    "generate_calls, 300 a day": (365, lambda: generated(365, 300)),
    "office, 2,740 a day": (365, lambda: drawn(365, 2740)),
    "office, 100,000 a day": (28, lambda: drawn(28, 100_000)),
    "flat, 3,000 a day": (60, lambda: drawn(60, 3000, FLAT, week=FLAT[:7])),
    "no nights, no weekends": (28, lambda: drawn(28, 10_000, EMPTY_NIGHTS, week=(1,) * 5 + (0, 0))),
    "a night shift": (28, lambda: drawn(28, 10_000, NIGHT_SHIFT)),
    "500 a day": (92, lambda: drawn(92, 500)),
    "50 a month": (365, lambda: drawn(365, 50 / 30.4)),
    "30,000 in one hour": (90, lambda: with_burst(drawn(90, 3000), 30, 30_000)),
    "five times as many for 4 days": (
        42,
        lambda: drawn(42, 2000, factor=lambda day: 5 if 28 <= day < 32 else 1),
    ),
    "a year that doubles": (365, lambda: drawn(365, 1000, factor=lambda day: 1 + day / 365)),
    "falls silent after 30 days": (
        365,
        lambda: drawn(365, 10_000, factor=lambda day: 1 if day < 30 else 0.01),
    ),
    "two weeks closed": (
        60,
        lambda: drawn(60, 3000, factor=lambda day: 0 if 20 <= day < 34 else 1),
    ),
}


class Windows(Protocol):
    """What chooses windows."""

    @property
    def left(self) -> bool: ...
    def next(self, *, is_busy: bool) -> Window | None: ...
    def learn(self, window: Window, cdrs: list[CDR]) -> None: ...
    def fail(self, window: Window) -> None: ...


class OneLength:
    """Windows of one length."""

    def __init__(self, days: int, length: timedelta) -> None:
        ends = [START + length * n for n in range(-(timedelta(days=-days) // length) + 1)]
        self._windows = [Window(*pair) for pair in pairwise(ends)]

    @property
    def left(self) -> bool:
        return bool(self._windows)

    def next(self, *, is_busy: bool) -> Window | None:  # noqa: ARG002 - nothing is waited for
        return self._windows.pop(0)

    def learn(self, window: Window, cdrs: list[CDR]) -> None: ...
    def fail(self, window: Window) -> None: ...


@attrs.define
class Count:
    """What a range took."""

    requests: int = 0
    sizes: list[int] = attrs.Factory(list)

    @property
    def largest(self) -> str:
        """How many records are in 99 of 100 windows at most, and in all."""
        ordered = sorted(self.sizes)
        return f"{ordered[int(0.99 * (len(ordered) - 1))]:6,} {ordered[-1]:7,}"


def counted(
    starts: Starts, windows: Windows, at_once: int, *, row_limit: int | None, failing: float
) -> Count:
    """Ask for all windows, so many at once, at most four times as many ahead of the consumer."""
    rng = random.Random(0)
    count = Count()
    now, begun, handed_over = 0.0, 0, 0
    done: set[int] = set()
    in_flight: list[tuple[float, int, Window]] = []

    def learn(window: Window) -> None:
        count.requests += 1
        assert window.start is not None
        assert window.end is not None
        records = bisect_right(starts, window.end) - bisect_left(starts, window.start)
        halves = None if row_limit is None or records < row_limit else halve(window, [])
        for half in halves or ():
            learn(half)
        if halves is None:
            count.sizes.append(records)
            windows.learn(window, [CDR(start=window.start)] * records)

    while windows.left or in_flight:
        while (
            windows.left and len(in_flight) < at_once and begun - handed_over < LOOK_AHEAD * at_once
        ):
            window = windows.next(is_busy=bool(in_flight))
            if window is None:
                break
            heapq.heappush(in_flight, (now + rng.lognormvariate(0, 1), begun, window))
            begun += 1
        now, number, window = heapq.heappop(in_flight)
        if rng.random() < failing:
            count.requests += 1
            windows.fail(window)
        else:
            learn(window)
        done.add(number)
        while handed_over in done:
            handed_over += 1
    return count


def compare(*, row_limit: int | None = None, failing: float = 0.0) -> float:
    """Print a line for each shape, and give the worst share."""
    worst = 0.0
    target = 1000 if row_limit is None else row_limit // 2
    for name, (days, make) in SHAPES.items():
        starts = make()
        length = timedelta(days=min(31.0, days * target / len(starts)))
        fixed = counted(starts, OneLength(days, length), 8, row_limit=row_limit, failing=failing)
        found: list[Count] = []
        for at_once in AT_ONCE:
            span = (START, START + timedelta(days=days))
            windows = AdaptiveWindows([span], [], Traffic(), lambda: row_limit)
            found.append(counted(starts, windows, at_once, row_limit=row_limit, failing=failing))
        worst = max(worst, *(count.requests / fixed.requests for count in found[:JUDGED]))
        requests = "  ".join(
            f"{one.requests:6,} {one.requests / fixed.requests:5.2f}" for one in found
        )
        print(f"{name:30} {fixed.requests:6,}  {requests}    {fixed.largest}  {found[1].largest}")
    return worst


def main() -> bool:
    """Print the requests, for each shape, and whether they are within the aim."""
    worst = 0.0
    for row_limit, failing in ((None, 0.0), (500, 0.0), (None, 0.05)):
        print(f"row limit {row_limit}, {failing:.0%} of the windows fail")
        titles = f"{'':30} {'best':>6}  {'1 at once':>12}  {'8':>12}  {'32':>12}"
        print(f"{titles}    p99 and largest: best, ours")
        worst = max(worst, compare(row_limit=row_limit, failing=failing))
    print(f"at most {worst:.2f} of the requests of the best windows of one length (aim: {AIM:.2f})")
    return worst <= AIM


if __name__ == "__main__":
    sys.exit(not main())
