"""The rows of one tenant, in the order in which they were added."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from attrs import define, field

from .date_filter import DateIndex, FilterMode
from .rows import Row, checked_copy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@define(eq=False)
class RowStore:
    """Store one tenant's rows, and select from them by date."""

    _rows: list[Row] = field(factory=list[Row], init=False)
    # None: the rows have changed since the last selection.
    _index: DateIndex | None = field(default=None, init=False, repr=False)
    # A test adds rows in its own thread while `LoopbackServer` selects in another. Without the
    # lock, an index could be built of the rows before an addition and kept after it.
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        with self._lock:
            return iter(self._rows.copy())

    def add(self, rows: Iterable[Row]) -> None:
        """Append copies of `rows`; the caller's own may change afterwards.

        Raises:
            TypeError: A value is a number: the provider sends every value of a record as text.
        """
        copies = [checked_copy(row) for row in rows]
        with self._lock:
            self._rows += copies
            self._index = None

    def select(self, mode: FilterMode, datefrom: str, dateto: str) -> list[Row]:
        """Return the rows of a range, in the order of insertion.

        Args:
            mode: What the two dates are compared with.
            datefrom: The first date, `yyyy-mm-dd hh:mm:ss`.
            dateto: The second date, `yyyy-mm-dd hh:mm:ss`.
        """
        with self._lock:
            if self._index is None:
                self._index = DateIndex.of(self._rows)
            return [self._rows[at] for at in self._index.select(mode, datefrom, dateto)]
