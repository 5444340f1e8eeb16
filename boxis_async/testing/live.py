"""Which records a provider has by now, while its calls still happen.

A PBX writes a record when its leg ends, and costs are worked out later. So a record appears once
its end is past, and its costs appear some time after that. The rows carry local time, which means
two instants in the repeated hour of autumn. There we look for the instant that fits the epoch in
`uniqueid` and the `duration`. Where nothing tells, the later one counts, so that no record appears
before its call is over.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import define, field

from .local_clock import LocalClock
from .rows import local_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .rows import Row

_DAY_SECONDS = 86_400
_FIRST_YEAR = "0001"  # later than the zero date, which is no time
# Asterisk writes the Unix time at which it opened the channel: `sip022-1517944376.108168`.
_EPOCH = re.compile(r"(?:\A|-)([0-9]{9,11})\.[0-9]+\Z")


@define
class LiveRows:
    """Show rows as they are at an instant."""

    _clock: LocalClock = field(converter=LocalClock, alias="timezone")

    def at(self, rows: Iterable[Row], now: float, cost_delay: float) -> list[Row]:
        """Return the rows of the legs that have ended, without costs that are still unknown.

        Args:
            rows: The rows as they are in the end.
            now: The provider's clock, in Unix seconds.
            cost_delay: How many seconds after the end of a leg its costs are known.
        """
        # An end that is older than this by its text alone is long past, whatever the clock changes.
        # A history of 100,000 records would otherwise take seconds for each answer.
        old = self._clock.text(int(now - cost_delay) - _DAY_SECONDS)
        shown: list[Row] = []
        for row in rows:
            if _FIRST_YEAR < (local_time(row, "end") or "") < old:
                shown.append(row)
                continue
            ended_at = self._ended_at(row)
            if ended_at <= now:
                shown.append(row if ended_at + cost_delay <= now else _without_costs(row))
        return shown

    def _ended_at(self, row: Row) -> float:
        """Return the instant at which a leg ended; a row without a time always existed."""
        starts = self._clock.instants(local_time(row, "start") or "")
        ends = self._clock.instants(local_time(row, "end") or "")
        duration = _seconds(row)
        epoch = _EPOCH.search(local_time(row, "uniqueid") or "")
        if len(starts) > 1 and epoch is not None:
            # A leg starts when its channel is opened, or later.
            starts = [start for start in starts if start >= int(epoch[1])][:1] or starts[-1:]
        if not ends:
            return starts[-1] + (duration or 0) if starts else float("-inf")
        if len(ends) > 1 and len(starts) == 1:
            (start,) = starts
            if duration is not None:
                return min(ends, key=lambda end: abs(end - start - duration))
            ends = [end for end in ends if end >= start] or ends
        return ends[-1]


def _seconds(row: Row) -> int | None:
    text = local_time(row, "duration") or ""
    return int(text) if text.isascii() and text.isdigit() else None


def _without_costs(row: Row) -> Row:
    """Return a row with its `cc_` fields unset, as null where they are null in the end."""
    return {
        name: "" if value is not None and name.startswith("cc_") else value
        for name, value in row.items()
    }
