"""A table of digests that is small for its entries, and grows a little at a time.

A Python set keeps each digest as an object of its own: 64 bytes for 16, and up to 53 more for
its place; when it grows, old and new stand side by side. Here a few entries share one `bytes`.
"""

from __future__ import annotations

from itertools import repeat
from struct import Struct

__all__ = ["PLACE_SIZE", "Buckets"]

PLACE_SIZE = 16
"""Bytes of a place: it is a digest, so that places scatter evenly and no two meet by chance."""

# Entries for each bucket on average. Fewer cost more room for the objects around them; more
# take longer to look through.
_LOAD = 4
# A level has so many times the buckets of the one before: the less often an entry is moved.
_FACTOR = 8


class Buckets:
    """Entries of one size, each behind the digest that is its place.

    Linear hashing: whenever enough entries were added, the next bucket in turn is parted into
    eight, so that growing neither takes long at any one time nor needs the space twice.
    """

    __slots__ = ("_buckets", "_half", "_mask", "_parted", "_room", "_unpack")

    def __init__(self, size: int) -> None:
        """Make a table for entries of so many bytes, their place included."""
        self._unpack = Struct(f"{PLACE_SIZE}s{size - PLACE_SIZE}s").iter_unpack
        self._buckets = [b""] * _FACTOR
        # A digest's bucket is told by the lowest bits of its hash: by those of `_mask` where
        # the bucket of the level before, told by those of `_half`, is parted already.
        self._mask = _FACTOR - 1
        self._half = 0
        self._parted = 0
        self._room = _LOAD

    def hold(self, place: bytes, rest: bytes) -> bytes | None:
        """Store an entry, unless there is one with its place.

        Returns:
            None when it was stored; else the entries beside which it would have stood, one
            after the other: those with its place, and a few others.
        """
        at = hash(place) & self._mask
        if at & self._half >= self._parted:
            at &= self._half
        held = self._buckets[at]
        # A digest is found across the border of two entries as rarely as two digests are equal.
        if held.find(place) >= 0:
            return held
        self._buckets[at] = held + (place + rest)
        self._room -= 1
        if not self._room:
            self._part()
        return None

    def _part(self) -> None:
        """Part the next bucket in turn."""
        self._room = _LOAD * (_FACTOR - 1)
        mask = self._mask
        parts: dict[int, list[bytes]] = {
            at: [] for at in range(self._parted, mask + 1, self._half + 1)
        }
        for entry in self._unpack(self._buckets[self._parted]):
            parts[hash(entry[0]) & mask] += entry
        for at, entries in parts.items():
            self._buckets[at] = b"".join(entries)
        self._parted += 1
        if self._parted > self._half:
            self._half, self._mask = mask, mask * _FACTOR + _FACTOR - 1
            self._parted = 0
            self._buckets.extend(repeat(b"", self._mask - mask))
