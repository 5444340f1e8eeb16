"""What a run remembers, small: 48 bytes a record, or 32, and little more.

A set keeps each fingerprint as an object of its own: 64 bytes for 16, and up to 53 more for its
slot; while it grows, the old and the new one are there together. A million records would take 117
bytes each. Here the entries of a bucket share one `bytes` object, which takes 53 to 83 in all
(docs/performance.md). A window's entries are looked up in one call.
"""

from __future__ import annotations

from array import array
from struct import Struct
from typing import TYPE_CHECKING

from boxis_async._wire.records import FINGERPRINT_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["FingerprintTable"]

# Few buckets, so that a short stream costs little; then as many as two bytes can tell apart, which
# is enough for good: of ten million entries a bucket holds 150, some kilobytes to look through.
_FEW, _MANY = 1 << 12, 1 << 16
# At so many entries a bucket they move to more buckets, once, in some milliseconds.
_LOAD = 4
_BUCKETS_AT_A_TIME = 64


class FingerprintTable:
    """Entries of one size; each begins with the fingerprint by which it is found."""

    __slots__ = ("_buckets", "_room", "_size")

    def __init__(self, size: int) -> None:
        """Make a table for entries of so many bytes, an even number."""
        self._size = size
        self._buckets = [b""] * _FEW
        self._room = _LOAD * _FEW

    def add(self, entries: Sequence[bytes]) -> dict[int, bytes]:
        """Add entries, each unless there is one that begins with the same fingerprint.

        Returns:
            For each that was not added, by its number, the entries of its bucket, one after the
            other: the one that begins with the same fingerprint, and a few others.
        """
        if self._room < 0 and len(self._buckets) < _MANY:
            self._grow()
        buckets = self._buckets
        neighbours: dict[int, bytes] = {}
        numbers = range(len(entries))
        for number, at, entry in zip(numbers, self._places(entries), entries, strict=True):
            bucket = buckets[at]
            # A fingerprint is found across the border of two entries as rarely as two are equal.
            # `in` takes three times as long, as it first checks whether it is to find a number.
            if bucket and bucket.find(entry[:FINGERPRINT_SIZE]) >= 0:
                neighbours[number] = bucket
            else:
                buckets[at] = bucket + entry
        self._room -= len(entries) - len(neighbours)
        return neighbours

    def _places(self, entries: Iterable[bytes]) -> Sequence[int]:
        """Give the bucket of each entry: its first two bytes as a number."""
        numbers = array("H", b"".join(entries))[:: self._size // 2]
        is_small = len(self._buckets) < _MANY
        return [number % _FEW for number in numbers] if is_small else numbers

    def _grow(self) -> None:
        """Move all entries to more buckets."""
        unpack = Struct(f"{self._size}s").iter_unpack
        few, many = self._buckets, [b""] * _MANY
        self._buckets = many
        while few:
            # A few buckets at a time, so that not all entries are there twice.
            entries = [entry for (entry,) in unpack(b"".join(few[-_BUCKETS_AT_A_TIME:]))]
            del few[-_BUCKETS_AT_A_TIME:]
            for at, entry in zip(self._places(entries), entries, strict=True):
                many[at] += entry
