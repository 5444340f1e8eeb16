"""The rows of one tenant, and which of them a range of dates selects."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

FilterMode: TypeAlias = Literal["start", "start_half_open", "end", "overlap"]
"""What `datefrom` and `dateto` are compared with; the provider's page does not say."""

Row: TypeAlias = Mapping[str, str | bytes | None]
"""One record under the page's names. `bytes` go onto the wire as they are, valid UTF-8 or not."""


def _wall_clock(row: Row, name: str) -> str | None:
    value = row.get(name)
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _checked(row: Mapping[str, object]) -> Row:
    for name, value in row.items():
        if isinstance(value, (int, float)):
            raise TypeError(f"{name} must be a text or None, as on the wire, not {value!r}")
    return dict(cast("Row", row))


@frozen
class _Index:
    """Rows sorted by `start` and by `end`, each beside its place in the order of insertion."""

    size: int
    starts: list[str]
    by_start: list[int]
    ends: list[str]
    by_end: list[int]
    # For overlap: the end of each row in `by_start`, and the latest end up to and including it.
    start_ends: list[str]
    latest_ends: list[str]

    @classmethod
    def of(cls, rows: list[Row]) -> _Index:
        # A row without the column is NULL to an SQL server: no comparison ever selects it.
        begun = [(key, at) for at, row in enumerate(rows) if (key := _wall_clock(row, "start"))]
        ended = [(key, at) for at, row in enumerate(rows) if (key := _wall_clock(row, "end"))]
        begun.sort()
        ended.sort()
        start_ends = [_wall_clock(rows[at], "end") or "" for _, at in begun]
        return cls(
            size=len(rows),
            starts=[key for key, _ in begun],
            by_start=[at for _, at in begun],
            ends=[key for key, _ in ended],
            by_end=[at for _, at in ended],
            start_ends=start_ends,
            latest_ends=list(accumulate(start_ends, max)),
        )

    def positions(self, mode: FilterMode, datefrom: str, dateto: str) -> list[int]:
        """Find the places of the rows in a range, in the order of insertion."""
        if mode == "end":
            low, high = bisect_left(self.ends, datefrom), bisect_right(self.ends, dateto)
            return sorted(self.by_end[low:high])
        if mode == "start_half_open":
            low, high = bisect_left(self.starts, datefrom), bisect_left(self.starts, dateto)
            return sorted(self.by_start[low:high])
        high = bisect_right(self.starts, dateto)
        if mode == "start":
            return sorted(self.by_start[bisect_left(self.starts, datefrom) : high])
        # No row before the first whose running maximum reaches `datefrom` can overlap the range:
        # that leaves about the longest call's length of rows to look at, not the whole history.
        low = bisect_left(self.latest_ends, datefrom)
        return sorted(
            self.by_start[at] for at in range(low, high) if self.start_ends[at] >= datefrom
        )


@define(eq=False)
class Ledger:
    """Hold one tenant's rows in the order in which they were added."""

    rows: list[Row] = field(factory=list[Row])
    _index: _Index | None = field(default=None, init=False, repr=False)

    def add(self, rows: Iterable[Row]) -> None:
        """Append copies of `rows`; the caller's own may change afterwards.

        Raises:
            TypeError: A value is a number: the provider sends all of a record as text.
        """
        self.rows.extend(map(_checked, rows))

    def select(self, mode: FilterMode, datefrom: str, dateto: str) -> list[Row]:
        """Return the rows of a range, in the order of insertion.

        Args:
            mode: What the two dates are compared with.
            datefrom: `yyyy-mm-dd hh:mm:ss`, compared as text, as SQL compares its dates.
            dateto: Likewise.
        """
        index = self._index
        # The size tells a stale index, with no flag for two threads to disagree about.
        if index is None or index.size != len(self.rows):
            index = self._index = _Index.of(list(self.rows))
        return [self.rows[at] for at in index.positions(mode, datefrom, dateto)]
