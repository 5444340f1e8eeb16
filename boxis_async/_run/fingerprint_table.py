"""A table of fingerprints that is small for its entries, and quick to be asked for many at once.

A Python set keeps each fingerprint as an object of its own: 64 bytes for 16, and up to 53 more
for its place; when it grows, old and new stand side by side. Here some entries share one `bytes`.
"""

from __future__ import annotations

from array import array
from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["PLACE_SIZE", "Buckets"]

PLACE_SIZE = 16
"""Bytes of a place: a fingerprint or a digest, so that they scatter, and none meet by chance."""

# Few, so that a short stream costs little; then as many as two bytes can tell apart, which is
# enough for good. At ten million entries, what is looked through for one is some kilobytes.
_AT_FIRST, _IN_THE_END = 1 << 12, 1 << 16
# So many entries for each bucket are moved on to more buckets, which takes some milliseconds.
_LOAD = 4
_AT_A_TIME = 64


class Buckets:
    """Entries of one size, each begins with its place."""

    __slots__ = ("_buckets", "_room", "_size")

    def __init__(self, size: int) -> None:
        """Make a table for entries of so many bytes, an even number, their place included."""
        self._size = size
        self._buckets = [b""] * _AT_FIRST
        self._room = _LOAD * _AT_FIRST

    def hold(self, entries: Sequence[bytes]) -> dict[int, bytes]:
        """Store entries, each unless there is one with its place.

        Returns:
            For each that was not stored, by its number, the entries beside which it would have
            stood, one after the other: the one with its place, and a few others.
        """
        if self._room < 0 and len(self._buckets) < _IN_THE_END:
            self._spread()
        buckets = self._buckets
        held_by: dict[int, bytes] = {}
        numbers = range(len(entries))
        for number, at, entry in zip(numbers, self._places(entries), entries, strict=True):
            held = buckets[at]
            # A place is found across the border of two entries as rarely as two places are equal.
            # `in` takes three times as long, as it first asks whether it is to find a number.
            if held and held.find(entry[:PLACE_SIZE]) >= 0:
                held_by[number] = held
            else:
                buckets[at] = held + entry
        self._room -= len(entries) - len(held_by)
        return held_by

    def _places(self, entries: Iterable[bytes]) -> Sequence[int]:
        """Tell in which bucket each entry belongs: what its first two bytes are as a number."""
        numbers = array("H", b"".join(entries))[:: self._size // 2]
        few = len(self._buckets) < _IN_THE_END
        return [number % _AT_FIRST for number in numbers] if few else numbers

    def _spread(self) -> None:
        """Move all entries to more buckets."""
        unpack = Struct(f"{self._size}s").iter_unpack
        few, many = self._buckets, [b""] * _IN_THE_END
        self._buckets = many
        while few:
            # A few buckets at a time, that not all entries stand there twice.
            entries = [entry for (entry,) in unpack(b"".join(few[-_AT_A_TIME:]))]
            del few[-_AT_A_TIME:]
            for at, entry in zip(self._places(entries), entries, strict=True):
                many[at] += entry
