"""The table of digests: everything found again, little kept, no sudden growth."""

from __future__ import annotations

import tracemalloc
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxis_async._run.fingerprint_table import FingerprintTable
from boxis_async._wire.records import FINGERPRINT_SIZE

SIZES = [FINGERPRINT_SIZE, 32, 48]


def entry(number: int, size: int = 48) -> bytes:
    """Make an entry of its own."""
    return blake2b(b"%d" % number, digest_size=size).digest()


def hold(buckets: FingerprintTable, one: bytes) -> bytes | None:
    """Store one entry, or give what is there."""
    return buckets.add([one]).get(0)


@given(st.lists(st.lists(st.integers(0, 60))), st.sampled_from(SIZES))
def test_entries_are_stored_once(batches: list[list[int]], size: int) -> None:
    """An entry is stored if none has its place, also of the same batch; else it is told of."""
    buckets = FingerprintTable(size)
    known: set[int] = set()
    for numbers in batches:
        entries = [entry(number, size) for number in numbers]
        held_by = buckets.add(entries)
        for at, number in enumerate(numbers):
            assert (at in held_by) is (number in known)
            assert at not in held_by or entries[at] in held_by[at]
            known.add(number)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("batch", [1, 700])
def test_many_entries(size: int, batch: int) -> None:
    """However far the table has grown, all entries are found, beside a few others only."""
    buckets = FingerprintTable(size)
    entries = [entry(number, size) for number in range(20_000)]
    for begin in range(0, len(entries), batch):
        assert not buckets.add(entries[begin : begin + batch])
    held_by = buckets.add(
        [one[:FINGERPRINT_SIZE] + bytes(size - FINGERPRINT_SIZE) for one in entries]
    )
    for number, one in enumerate(entries):
        assert one in held_by[number]
        assert len(held_by[number]) % size == 0
        assert len(held_by[number]) <= 20 * size


def test_another_entry_of_the_same_place() -> None:
    """An entry whose place is taken is not stored, whatever else it says."""
    buckets = FingerprintTable(48)
    first = entry(1)
    assert hold(buckets, first) is None
    for number in range(2, 200):
        rest = entry(number)[FINGERPRINT_SIZE:]
        held = hold(buckets, first[:FINGERPRINT_SIZE] + rest)
        assert held is not None
        assert first in held
        assert rest not in held


def test_memory() -> None:
    """An entry of 48 bytes takes less than 115 at any size, once there are some thousands."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        buckets = FingerprintTable(48)
        for number in range(1, 30_001):
            hold(buckets, entry(number))
            if number >= 3000 and number % 100 == 0:
                now, peak = tracemalloc.get_traced_memory()
                tracemalloc.reset_peak()
                assert now - before < 115 * number
                assert peak - before < 115 * number
    finally:
        tracemalloc.stop()
