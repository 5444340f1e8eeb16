"""A table of fingerprints that is small for its entries, and quick to be asked for many at once.

A Python set keeps each fingerprint as an object of its own: 64 bytes for 16, and up to 53 more
for its place; when it grows, old and new stand side by side. Here some entries share one `bytes`.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PLACE_SIZE", "Buckets"]

PLACE_SIZE = 16
"""Bytes of a place: a fingerprint or a digest, so that they scatter, and none meet by chance."""

# Few, so that a short stream costs little; then enough for good. At ten million entries, what is
# looked through for one is some kilobytes.
_AT_FIRST, _IN_THE_END = 1 << 12, 1 << 16
# So many entries for each bucket are moved on to more buckets, which takes some ten milliseconds.
_LOAD = 4


class Buckets:
    """Entries of one size, each behind its place."""

    __slots__ = ("_buckets", "_entries", "_room")

    def __init__(self, size: int) -> None:
        """Make a table for entries of so many bytes, their place included."""
        self._entries = Struct(f"{size}s")
        self._buckets = [b""] * _AT_FIRST
        self._room = _LOAD * _AT_FIRST

    def hold(self, places: Sequence[bytes], rests: Sequence[bytes]) -> dict[int, bytes]:
        """Store entries, each unless there is one with its place.

        Returns:
            For each that was not stored, by its number, the entries beside which it would have
            stood, one after the other: those with its place, and a few others.
        """
        if self._room < 0 and len(self._buckets) < _IN_THE_END:
            self._spread()
        buckets = self._buckets
        last = len(buckets) - 1
        held_by: dict[int, bytes] = {}
        for number, place in enumerate(places):
            at = hash(place) & last
            held = buckets[at]
            # A place is found across the border of two entries as rarely as two places are equal.
            if place in held:
                held_by[number] = held
            else:
                buckets[at] = held + place + rests[number]
        self._room -= len(places) - len(held_by)
        return held_by

    def _spread(self) -> None:
        """Move all entries to more buckets."""
        few, many = self._buckets, [b""] * _IN_THE_END
        while few:
            for (entry,) in self._entries.iter_unpack(few.pop()):
                many[hash(entry[:PLACE_SIZE]) & (_IN_THE_END - 1)] += entry
        self._buckets = many
