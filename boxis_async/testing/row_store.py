"""The rows of one tenant, in the order in which they were added.

Rows can be added, changed and removed while a server selects from them in another thread. A row in
an answer is never changed in place: a change replaces the row.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from attrs import define, field

from .date_filter import DateIndex, DateRule
from .rows import Row, checked_copy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@define(eq=False)
class RowStore:
    """Store one tenant's rows, and select from them by date."""

    _rows: list[Row] = field(factory=list[Row], init=False)
    # None: the rows have changed since the last selection.
    _index: DateIndex | None = field(default=None, init=False, repr=False)
    # A test changes rows in its own thread while `LoopbackServer` selects in another. Without the
    # lock, an index could be built of the rows before a change and kept after it.
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

    def change(self, where: Row, changes: Row) -> int:
        """Replace fields of each row that has the values of `where`.

        Returns:
            How many rows have changed. They keep their places.

        Raises:
            TypeError: A value is a number: the provider sends every value of a record as text.
        """
        changes = checked_copy(changes)
        with self._lock:
            places = [at for at, row in enumerate(self._rows) if _matches(row, where)]
            for at in places:
                self._rows[at] = {**self._rows[at], **changes}
            self._index = None
        return len(places)

    def remove(self, where: Row) -> int:
        """Remove each row that has the values of `where`, and return how many had."""
        with self._lock:
            kept = [row for row in self._rows if not _matches(row, where)]
            removed = len(self._rows) - len(kept)
            self._rows = kept
            self._index = None
        return removed

    def select(self, rule: DateRule, datefrom: str, dateto: str) -> list[Row]:
        """Return the rows of a range, in the order of insertion.

        Args:
            rule: How the rows are compared with the two dates.
            datefrom: The first date, `yyyy-mm-dd hh:mm:ss`.
            dateto: The second date, `yyyy-mm-dd hh:mm:ss`.
        """
        with self._lock:
            if self._index is None:
                self._index = DateIndex.of(self._rows)
            return [self._rows[at] for at in self._index.select(rule, datefrom, dateto)]


def _matches(row: Row, where: Row) -> bool:
    return all(row.get(name) == value for name, value in where.items())
