"""Where a probe looks: for calls, for many of them, and for some in another season.

All windows are at rest. Each baseline, and the window for the cap, holds those before it: by every
rule a wider window holds whatever a narrower one holds, so that an answer that lacks some was cut.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from boxis_async.errors import UsageError

if TYPE_CHECKING:
    from datetime import tzinfo

    from boxis_async._run.date_rules import Ends
    from boxis_async._wire.wallclock import WallClock

__all__ = [
    "MANY_RECORDS",
    "SETTLE",
    "baselines",
    "centre_of",
    "other_side",
    "widened",
    "wider",
]

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_WEEK: Final = 7 * _DAY
_YEAR: Final = 366 * _DAY
SETTLE: Final = _DAY
"""How old a record must be to be at rest, as in `BoxisClient.cdrs`."""
_WEEKS_BACK: Final = 53
_FIRST_YEAR: Final = 1980

_BASELINES: Final = (_HOUR, 8 * _HOUR, 3 * _DAY, 30 * _DAY, _YEAR)
"""Lengths of the baseline, tried one after the other: each holds the one before."""

MANY_RECORDS: Final = 3000
"""For so many records in one answer we look for a cap: some 3 MB."""
_PEAK: Final = 2
"""A window of hours is most likely one of a working day: nights and weekends have less."""


def centre_of(around: date | None, wall_clock: WallClock) -> datetime | None:
    """Give the wall time around which to look; of a day its noon."""
    if around is None:
        return None
    if not isinstance(around, datetime):
        around = datetime.combine(around, time(12))
    return wall_clock.range(around, around).start


def baselines(horizon: datetime, centre: datetime | None) -> list[Ends]:
    """List the windows in which to look for calls, each around the one before, all at rest.

    Raises:
        UsageError: The centre lies where no calls can be.
    """
    if centre is not None and centre > horizon + SETTLE + _DAY:
        raise UsageError(f"around ({centre}) lies in the future: there are no calls yet")
    if centre is not None and centre.year < _FIRST_YEAR:
        raise UsageError(f"around ({centre}) lies too far back: give {_FIRST_YEAR} or later")
    windows: list[Ends] = []
    for length in _BASELINES:
        end = horizon if centre is None else min(centre + length / 2, horizon)
        windows.append((end - length, end))
    return windows


def wider(window: Ends, records: int, horizon: datetime) -> Ends:
    """Give a window around another that holds many records, if the traffic stays like that."""
    length = window[1] - window[0]
    factor = max(4.0, MANY_RECORDS / max(records, 1))
    wanted = length * factor * (_PEAK if length < _DAY else 1)
    return _around(window, min(wanted, max(_YEAR, length)), horizon)


def widened(window: Ends, horizon: datetime) -> Ends:
    """Give a window around another that is twice as long."""
    return _around(window, 2 * (window[1] - window[0]), horizon)


def _around(window: Ends, length: timedelta, horizon: datetime) -> Ends:
    """Give a window of some length around another, at rest."""
    more = length - (window[1] - window[0])
    # More of it before: what comes after may not be at rest.
    end = min(window[1] + (more / 4), horizon).replace(microsecond=0)
    return min(window[0], (end - length).replace(microsecond=0)), max(window[1], end)


def other_side(window: Ends, zone: tzinfo) -> Ends | None:
    """Give the same hours of the same weekday, some weeks before the clock was last changed."""
    begin, end = window
    for weeks in range(1, _WEEKS_BACK):
        earlier = begin - weeks * _WEEK
        offset = earlier.replace(tzinfo=zone).utcoffset()
        if offset != begin.replace(tzinfo=zone).utcoffset():
            # One week more, so that none of its calls is near the change; more for a long window.
            more = (weeks + 1 + (end - begin) // _WEEK) * _WEEK
            return begin - more, end - more
    return None
