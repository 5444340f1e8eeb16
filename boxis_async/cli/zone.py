"""Which time zone the records' wall clock keeps, as far as the records themselves tell."""

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

__all__ = ["Finding", "observe"]

_EPOCH = re.compile(r"(?:\A|-)([0-9]{9,11})\.[0-9]+\Z", re.ASCII)

# Offsets from UTC are whole quarters of an hour, all over the world.
_QUARTER = 15 * 60


@attrs.frozen
class Finding:
    """What the records say of the zone that was set.

    Attributes:
        records: How many records told something.
        fits: Whether most of them agree with the zone.
        offset: The offset from UTC that most of them show, as `+02:00`.
        expected: The offset that the zone had at the same moments.
    """

    records: int
    fits: bool
    offset: str
    expected: str


def observe(cdrs: Iterable[CDR], zone: ZoneInfo) -> Finding | None:
    """Compare each record's wall-clock start with the epoch inside its `uniqueid`.

    A later leg begins minutes after its caller's channel, so the most common difference counts,
    rounded to a quarter of an hour.

    Returns:
        What most records say; None when none says anything.
    """
    found: Counter[tuple[int, int]] = Counter()
    for cdr in cdrs:
        epoch = _EPOCH.search(cdr.uniqueid)
        if epoch is None:
            continue
        moment = datetime.fromtimestamp(int(epoch[1]), UTC)
        wall = cdr.start.replace(tzinfo=UTC, fold=0)
        set_to = moment.astimezone(zone).utcoffset() or timedelta(0)
        found[_rounded(wall - moment), _rounded(set_to)] += 1
    if not found:
        return None
    (shown, expected), _ = found.most_common(1)[0]
    return Finding(found.total(), shown == expected, _written(shown), _written(expected))


def _rounded(offset: timedelta) -> int:
    """Give an offset in quarters of an hour."""
    return round(offset.total_seconds() / _QUARTER)


def _written(quarters: int) -> str:
    offset = timedelta(seconds=quarters * _QUARTER)
    if abs(offset) >= timedelta(hours=24):
        return "more than a day"  # no zone at all: the epochs are not those of the calls
    sign = "-" if offset < timedelta(0) else "+"
    minutes = abs(offset) // timedelta(minutes=1)
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}"
