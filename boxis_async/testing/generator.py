"""Believable call records, for tests and demonstrations that need many."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from boxis_async.testing.clock import WallClock
from boxis_async.testing.legs import Exchange

if TYPE_CHECKING:
    from datetime import date

# Shares of a day's calls by the hour on the wall: two peaks, a lunch, a quiet night.
_HOURS = (
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
# And of a week's by the day, from Monday.
_WEEKDAYS = (27, 26, 25, 26, 24, 8, 4)
_BURST_SHARE = 0.25


def generate_calls(
    datefrom: date,
    dateto: date,
    *,
    calls_per_day: float = 120,
    seed: int = 0,
    timezone: str = "Europe/Zurich",
) -> list[dict[str, str | None]]:
    """Invent the records of a small company's telephones.

    Working days are busy and weekends quiet; calls queue, are transferred, ring out; now and then
    a dozen arrive in one second, and on the days on which the clock changes there are calls across
    the change and, in autumn, in both passes of the repeated hour, at the same text on the wall.

    Args:
        datefrom: The first day.
        dateto: The day after the last. A call is of the day on which its first leg begins; what
            follows may run on past midnight.
        calls_per_day: The mean number of calls, that is of different values of `linkedid`; over
            the whole range it is met exactly, rounded down. Records are about two thirds more,
            since a queue or a transfer writes several for one call.
        seed: Other seeds give other calls; the same arguments give the same records anywhere.
        timezone: The zone of the wall clock.

    Returns:
        Records under the page's 38 names, in the order in which they were written: at hang-up, and
        so not by `start`. `(uniqueid, sequence)` is unique, and the number after the host in a
        `linkedid` is the true Unix time of the call's start.

    Raises:
        zoneinfo.ZoneInfoNotFoundError: There is no such zone.
    """
    rng = random.Random(seed)  # noqa: S311, repeatable, not secret
    clock = WallClock(timezone)
    exchange = Exchange(rng, clock)
    days = [datefrom + timedelta(days=n) for n in range((dateto - datefrom).days)]
    legs = [
        leg
        for day, quota in zip(days, _quotas(days, calls_per_day), strict=True)
        for start in _starts(rng, clock, day, quota)
        for leg in exchange.call(start)
    ]
    # Asterisk writes a record when its leg ends. The sort is stable: within a second, as begun.
    legs.sort(key=lambda leg: leg[0])
    return [row for _, row in legs]


def _quotas(days: list[date], calls_per_day: float) -> list[int]:
    """Share the calls of the whole range among its days; rounding is carried on, never lost."""
    weights = [_WEEKDAYS[day.weekday()] for day in days]
    total = int(calls_per_day * len(days))
    cumulative = [sum(weights[:at]) for at in range(len(days) + 1)]
    reached = [total * weight // max(cumulative[-1], 1) for weight in cumulative]
    return [after - before for before, after in pairwise(reached)]


def _starts(rng: random.Random, clock: WallClock, day: date, quota: int) -> list[int]:
    """Draw when a day's calls begin, in Unix seconds, in order."""
    begin, end = clock.midnight(day), clock.midnight(day + timedelta(days=1))
    starts: list[int] = []
    for instant, forward in clock.changes(begin, end):
        starts.append(instant - 1)
        for _ in range(1 + quota // 20):
            # The same text on the wall before and after, where the clock goes back.
            first = rng.randrange(instant - abs(forward), instant)
            starts += [first, first + abs(forward)]
    if quota and rng.random() < _BURST_SHARE:
        starts += [_moment(rng, clock, begin, end)] * min(rng.randint(4, 13), quota // 4)
    del starts[quota:]
    starts += [_moment(rng, clock, begin, end) for _ in range(quota - len(starts))]
    return sorted(starts)


def _moment(rng: random.Random, clock: WallClock, begin: int, end: int) -> int:
    # By rejection: the shape is that of the hours on the wall, whatever length the day has.
    highest = max(_HOURS)
    while True:
        moment = rng.randrange(begin, end)
        if rng.random() * highest < _HOURS[clock.hour(moment)]:
            return moment
