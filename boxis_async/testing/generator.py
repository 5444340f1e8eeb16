"""Realistic call records, for tests and demonstrations that need many.

We draw the start of each call from the shape of a working week, let a simulated PBX write its
records, and sort all records by the moment at which a PBX would have written them.
"""

# No `from __future__ import annotations` here, see true_call.py.

import random
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from typing import NamedTuple

from .call_script import CallScript, Leg
from .exchanges import Exchanges
from .local_clock import LocalClock
from .pbx import PBX
from .true_call import TrueCall

# The relative number of calls in each hour of a day: two peaks, a lunch, a quiet night.
_CALLS_BY_HOUR = (
    *(2, 1, 1, 1, 1, 3, 12, 40, 90, 130, 135, 105),
    *(50, 75, 125, 130, 105, 70, 30, 16, 10, 7, 5, 3),
)
# The relative number of calls on each day of a week, from Monday.
_CALLS_BY_WEEKDAY = (27, 26, 25, 26, 24, 8, 4)
# On so many days, several calls arrive in one second.
_BURST_PROBABILITY = 0.25


class History(NamedTuple):
    """Generated records, and the calls that they are the legs of."""

    rows: list[dict[str, str | None]]
    """All records, as `generate_calls` returns them."""
    calls: list[TrueCall]
    """What happened in each call, by its start."""


def generate_calls(
    datefrom: date,
    dateto: date,
    *,
    calls_per_day: float = 120,
    seed: int = 0,
    timezone: str = "Europe/Zurich",
) -> list[dict[str, str | None]]:
    """Generate the records of a small company's telephones.

    Working days are busy and weekends quiet. Calls wait in queues, go through menus, end in
    voicemail boxes, are forwarded or transferred, go on to another exchange under another
    `linkedid`, or ring until the caller gives up. Now and then a dozen arrive in one second. On the
    days on which the clock changes, there are calls across the change. In autumn, there are calls
    in both passes of the repeated hour, with the same local time.

    Args:
        datefrom: The first day.
        dateto: The day after the last. A call belongs to the day on which its first leg starts; its
            later legs can run past midnight.
        calls_per_day: The mean number of calls. Over the whole range it is exact, rounded down.
            There are about as many records again, since most calls that come in leave several.
        seed: Another seed gives other calls. The same arguments give the same records on every
            machine.
        timezone: The zone of the wall clock.

    Returns:
        Records with the page's 38 fields, in the order in which a PBX writes them: at hang-up, and
        so not by `start`. `(uniqueid, sequence)` is unique. The number after the host in a
        `linkedid` is the true Unix time at which the call reached that host.

    Raises:
        zoneinfo.ZoneInfoNotFoundError: There is no such zone.
    """
    scripts = _happened(datefrom, dateto, calls_per_day, seed, timezone)
    return _rows([leg for script in scripts for leg in script.legs])


def generate_history(
    datefrom: date,
    dateto: date,
    *,
    calls_per_day: float = 120,
    seed: int = 0,
    timezone: str = "Europe/Zurich",
) -> History:
    """Generate the same records as `generate_calls`, with the truth about each call.

    Compare it with what your code makes of the records: who answered, and for how long they talked.

    Args:
        datefrom: The first day.
        dateto: The day after the last.
        calls_per_day: The mean number of calls.
        seed: Another seed gives other calls.
        timezone: The zone of the wall clock, and of the times of the calls.

    Raises:
        zoneinfo.ZoneInfoNotFoundError: There is no such zone.
    """
    legs: list[Leg] = []
    calls: list[TrueCall] = []
    for script in _happened(datefrom, dateto, calls_per_day, seed, timezone):
        legs += script.legs
        calls.append(script.truth())
    return History(_rows(legs), calls)


def _happened(
    datefrom: date, dateto: date, calls_per_day: float, seed: int, timezone: str
) -> Iterator[CallScript]:
    """Let all calls of a range happen, in the order of their starts."""
    rng = random.Random(seed)  # noqa: S311, repeatable, not secret
    clock = LocalClock(timezone)
    pbx = PBX(Exchanges(rng, clock))
    days = [datefrom + timedelta(days=n) for n in range((dateto - datefrom).days)]
    for day, quota in zip(days, _quotas(days, calls_per_day), strict=True):
        for start in _starts(rng, clock, day, quota):
            yield pbx.call(start)


def _rows(legs: list[Leg]) -> list[dict[str, str | None]]:
    """Return the records of all calls in the order in which a PBX writes them."""
    # The sort is stable: legs that end in the same second stay in the order of their calls.
    legs.sort(key=lambda leg: leg.ended_at)
    return [leg.row for leg in legs]


def _quotas(days: list[date], calls_per_day: float) -> list[int]:
    """Distribute the calls of the range over its days, without loss to rounding."""
    weights = [_CALLS_BY_WEEKDAY[day.weekday()] for day in days]
    total = int(calls_per_day * len(days))
    cumulative = [sum(weights[:at]) for at in range(len(days) + 1)]
    running = [total * weight // max(cumulative[-1], 1) for weight in cumulative]
    return [after - before for before, after in pairwise(running)]


def _starts(rng: random.Random, clock: LocalClock, day: date, quota: int) -> list[int]:
    """Draw the starts of a day's calls, in Unix seconds, sorted."""
    begin, end = clock.midnight(day), clock.midnight(day + timedelta(days=1))
    starts: list[int] = []
    for instant, forward in clock.clock_changes(begin, end):
        starts.append(instant - 1)
        for _ in range(1 + quota // 20):
            # Where the clock goes back, both instants have the same local time.
            first = rng.randrange(instant - abs(forward), instant)
            starts += [first, first + abs(forward)]
    if quota and rng.random() < _BURST_PROBABILITY:
        starts += [_moment(rng, clock, begin, end)] * min(rng.randint(4, 13), quota // 4)
    del starts[quota:]
    starts += [_moment(rng, clock, begin, end) for _ in range(quota - len(starts))]
    return sorted(starts)


def _moment(rng: random.Random, clock: LocalClock, begin: int, end: int) -> int:
    # Rejection sampling follows the hours of local time, on days of 23 and 25 hours too.
    highest = max(_CALLS_BY_HOUR)
    while True:
        moment = rng.randrange(begin, end)
        if rng.random() * highest < _CALLS_BY_HOUR[clock.hour(moment)]:
            return moment
