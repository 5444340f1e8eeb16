"""Which rows a request's two dates select.

The provider's page does not say what `datefrom` and `dateto` are compared with, so a `FilterMode`
does. We compare text with text, as SQL compares its dates, and search sorted copies of the columns:
a test that fetches a year in many windows would otherwise scan the whole year for each.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Literal, TypeAlias

from attrs import frozen

from .rows import local_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .rows import Row

FilterMode: TypeAlias = Literal["start", "start_half_open", "end", "overlap"]
"""What `datefrom` and `dateto` are compared with; the provider's page does not say."""


@frozen
class DateIndex:
    """The rows sorted by `start` and by `end`, each with its place in the order of insertion."""

    starts: list[str]
    by_start: list[int]
    ends: list[str]
    by_end: list[int]
    # For overlap: the end of each row in `by_start`, and the latest end up to and including it.
    start_ends: list[str]
    latest_ends: list[str]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> DateIndex:
        """Index rows that stay as they are."""
        # A row without the column is NULL to an SQL server, and no comparison selects it.
        starts = [(text, at) for at, row in enumerate(rows) if (text := local_time(row, "start"))]
        ends = [(text, at) for at, row in enumerate(rows) if (text := local_time(row, "end"))]
        starts.sort()
        ends.sort()
        start_ends = [local_time(rows[at], "end") or "" for _, at in starts]
        return cls(
            starts=[text for text, _ in starts],
            by_start=[at for _, at in starts],
            ends=[text for text, _ in ends],
            by_end=[at for _, at in ends],
            start_ends=start_ends,
            latest_ends=list(accumulate(start_ends, max)),
        )

    def select(self, mode: FilterMode, datefrom: str, dateto: str) -> list[int]:
        """Return the places of the selected rows, in the order of insertion."""
        if mode == "end":
            low, high = bisect_left(self.ends, datefrom), bisect_right(self.ends, dateto)
            return sorted(self.by_end[low:high])
        if mode == "start_half_open":
            low, high = bisect_left(self.starts, datefrom), bisect_left(self.starts, dateto)
            return sorted(self.by_start[low:high])
        high = bisect_right(self.starts, dateto)
        if mode == "start":
            return sorted(self.by_start[bisect_left(self.starts, datefrom) : high])
        # No row before the first whose running maximum reaches `datefrom` can overlap the range.
        # So we look at about the longest call's length of rows, not at the whole history.
        low = bisect_left(self.latest_ends, datefrom)
        return sorted(
            self.by_start[at] for at in range(low, high) if self.start_ends[at] >= datefrom
        )
