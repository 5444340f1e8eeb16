"""The names of calls that a stream has handed over, small: 8 bytes each, and little more.

A stream that runs for a year must still know a leg of a call that it closed in spring. A set would
keep each name as an object with a slot of its own, about 60 bytes. Here those of a bucket share one
`bytes` object.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ClosedNames"]

# Of ten million names a bucket holds some 150, a kilobyte to look through.
_BUCKETS = 1 << 16
_pack = Struct("q").pack


class ClosedNames:
    """A set of texts that only grows, and knows each by 64 bits of its hash."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: list[bytes] = []

    def add(self, names: Iterable[str]) -> None:
        """Add names."""
        # Made when first needed, as most streams are short.
        buckets = self._buckets = self._buckets or [b""] * _BUCKETS
        for name in names:
            # Python draws the key of its hash for each process, so nobody can choose collisions.
            hashed = hash(name)
            buckets[hashed % _BUCKETS] += _pack(hashed)

    def __contains__(self, name: str) -> bool:
        if not self._buckets:
            return False
        hashed = hash(name)
        bucket = self._buckets[hashed % _BUCKETS]
        return bool(bucket) and bucket.find(_pack(hashed)) >= 0
