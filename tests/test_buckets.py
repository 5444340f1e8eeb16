"""The table of digests: everything found again, little kept, no sudden growth."""

from __future__ import annotations

import tracemalloc
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxis_async.buckets import PLACE_SIZE, Buckets


def entry(number: int, size: int = 48) -> tuple[bytes, bytes]:
    """Make an entry of its own, as its place and the rest."""
    digest = blake2b(b"%d" % number, digest_size=size).digest()
    return digest[:PLACE_SIZE], digest[PLACE_SIZE:]


@given(st.lists(st.integers(0, 60)), st.integers(PLACE_SIZE, 64))
def test_entries_are_stored_once(numbers: list[int], size: int) -> None:
    """An entry is stored if none has its place; else what is there is given."""
    buckets = Buckets(size)
    known: set[int] = set()
    for number in numbers:
        place, rest = entry(number, size)
        held = buckets.hold(place, rest)
        assert (held is None) is (number not in known)
        assert held is None or place + rest in held
        known.add(number)


@pytest.mark.parametrize("size", [PLACE_SIZE, 32, 48])
def test_many_entries(size: int) -> None:
    """However far the table has grown, all entries are found, beside a few others only."""
    buckets = Buckets(size)
    total = 0
    for count in (1, 2, 11, 100, 1000, 9000):
        for number in range(total, total + count):
            assert buckets.hold(*entry(number, size)) is None
        total += count
        for number in range(total):
            held = buckets.hold(entry(number, size)[0], b"")
            assert held is not None
            assert b"".join(entry(number, size)) in held
            assert len(held) % size == 0
            assert len(held) <= 100 * size


def test_another_entry_of_the_same_place() -> None:
    """An entry whose place is taken is not stored, whatever else it says."""
    buckets = Buckets(48)
    place, rest = entry(1)
    assert buckets.hold(place, rest) is None
    for number in range(2, 200):
        held = buckets.hold(place, entry(number)[1])
        assert held is not None
        assert place + rest in held
        assert entry(number)[1] not in held


def test_memory() -> None:
    """An entry of 48 bytes takes less than 80 at any size, and growing takes hardly more."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        buckets = Buckets(48)
        for number in range(1, 30_001):
            buckets.hold(*entry(number))
            if number > 1000 and number % 500 == 0:
                now, peak = tracemalloc.get_traced_memory()
                tracemalloc.reset_peak()
                assert now - before < 80 * number
                assert peak - before < 85 * number
    finally:
        tracemalloc.stop()
