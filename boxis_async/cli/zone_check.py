"""Check the time zone: do the records' local times fit the epochs in their `uniqueid`s?"""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from zoneinfo import ZoneInfo

    from boxis_async import CDR

__all__ = ["ZoneCheck", "check_zone"]

_EPOCH = re.compile(r"(?:\A|-)([0-9]{9,11})\.[0-9]+\Z", re.ASCII)

# Offsets from UTC are whole quarters of an hour, all over the world.
_QUARTER = 15 * 60


@attrs.frozen
class ZoneCheck:
    """How the records agree with the zone that is set.

    Attributes:
        records: How many records have an epoch.
        fits: Whether most of them agree with the zone.
        offset: The offset from UTC that most of them show, as `+02:00`.
        expected: The offset that the zone had at the same moments.
    """

    records: int
    fits: bool
    offset: str
    expected: str


def check_zone(cdrs: Iterable[CDR], zone: ZoneInfo) -> ZoneCheck | None:
    """Compare each record's wall-clock start with the epoch inside its `uniqueid`.

    A `uniqueid` has the moment at which the caller's channel began, and a later leg begins minutes
    after that. So the most common difference counts, rounded to a quarter of an hour.

    Returns:
        What most records show; None where no record has an epoch.
    """
    found: Counter[tuple[int, int]] = Counter()
    for cdr in cdrs:
        epoch = _EPOCH.search(cdr.uniqueid)
        if epoch is None:
            continue
        moment = datetime.fromtimestamp(int(epoch[1]), UTC)
        wall = cdr.start.replace(tzinfo=UTC, fold=0)
        expected_offset = moment.astimezone(zone).utcoffset() or timedelta(0)
        found[_rounded(wall - moment), _rounded(expected_offset)] += 1
    if not found:
        return None
    (shown, expected), _ = found.most_common(1)[0]
    return ZoneCheck(found.total(), shown == expected, _written(shown), _written(expected))


def _rounded(offset: timedelta) -> int:
    """Return an offset in quarters of an hour."""
    return round(offset.total_seconds() / _QUARTER)


def _written(quarters: int) -> str:
    offset = timedelta(seconds=quarters * _QUARTER)
    if abs(offset) >= timedelta(hours=24):
        return "more than a day"  # not a zone: the epochs are not those of the calls
    sign = "-" if offset < timedelta(0) else "+"
    minutes = abs(offset) // timedelta(minutes=1)
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}"
