"""A body while it is received: decompressed in short steps, up to a limit, whole or an error."""

from __future__ import annotations

import gzip
import itertools
import os
import time
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxis_async._http.response_body import Body
from boxis_async.errors import MalformedAnswerError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST = 2**20
TEXT = b'{"result":"1","params":{}}'
BLANKS = b" " * MOST


def raw_deflate(data: bytes, level: int = 6) -> bytes:
    """Compress without any format around it."""
    deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


WAYS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "raw deflate": raw_deflate,
}
by_way = pytest.mark.parametrize("way", WAYS)


def coding(way: str) -> str:
    return way.rpartition(" ")[2]


def read(name: str, chunks: Iterable[bytes], most: int = MOST) -> bytes:
    """Receive a body as it comes."""
    body = Body(name, most)
    for chunk in chunks:
        for _ in body.add(chunk):
            pass
    return body.whole()


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@given(
    way=st.sampled_from(sorted(WAYS)),
    parts=st.lists(st.binary(max_size=200), min_size=1, max_size=4),
    zeros=st.lists(st.integers(0, 9), min_size=4, max_size=4),
    size=st.integers(1, 70),
)
def test_whatever_is_compressed_comes_back(
    way: str, parts: list[bytes], zeros: list[int], size: int
) -> None:
    """However it is cut on its way, a body is what was compressed: gzip's members, each."""
    if way == "gzip":
        pairs = zip(parts, zeros, strict=False)
        packed = b"".join(gzip.compress(part) + b"\0" * count for part, count in pairs)
        data = b"".join(parts)
    else:
        data = parts[0]
        packed = WAYS[way](data)
    assert read(coding(way), cut(packed, size)) == data


@given(st.binary(max_size=400), st.data())
def test_what_ends_too_early_is_an_error(data: bytes, drawn: st.DataObject) -> None:
    """A body that is cut anywhere is never taken for whole."""
    way = drawn.draw(st.sampled_from(sorted(WAYS)))
    packed = WAYS[way](data)
    end = drawn.draw(st.integers(1, len(packed) - 1))
    with pytest.raises(MalformedAnswerError, match="ends too early"):
        read(coding(way), [packed[:end]])


@by_way
def test_nothing_is_nothing(way: str) -> None:
    """An empty body is empty, also where it is said to be compressed."""
    assert read(coding(way), []) == read(coding(way), [b""]) == b""


@pytest.mark.parametrize(
    "name",
    ["", " ", "identity", "none", "NONE", "utf-8", "8bit", "binary", "UTF-8, none", "x", "\x80"],
)
def test_what_is_no_coding_is_passed_over(name: str) -> None:
    """A header that names no coding changes nothing of the body."""
    assert read(name, cut(TEXT, 5)) == TEXT


@pytest.mark.parametrize("name", ["GZIP", "x-gzip", "identity, gzip", "gzip,", " gzip , utf-8 "])
def test_names_of_gzip(name: str) -> None:
    """Upper case, the old name, and what is no coding beside it change nothing."""
    assert read(name, [gzip.compress(TEXT)]) == TEXT


@pytest.mark.parametrize("name", ["br", "zstd", "gzip, gzip", "gzip, br", "compress", "xz"])
def test_other_codings_are_named(name: str) -> None:
    """What was not asked for and cannot be undone is named, and not guessed at."""
    with pytest.raises(MalformedAnswerError, match=f"compressed as '{name}', unasked for"):
        Body(name, MOST)


@by_way
@pytest.mark.parametrize("behind", [b"more", b"{", b"\0\0{"])
def test_other_bytes_behind_the_end(way: str, behind: bytes) -> None:
    """What stands behind the end is an error, not the first or the last of two answers."""
    with pytest.raises(MalformedAnswerError, match="goes on after the end of its compression"):
        read(coding(way), [WAYS[way](TEXT) + behind])


@by_way
def test_what_is_not_compressed(way: str) -> None:
    """A plain body that is said to be compressed is an error."""
    with pytest.raises(MalformedAnswerError, match="compression"):
        read(coding(way), [TEXT])


# The limit


@by_way
@pytest.mark.parametrize("data", [BLANKS, os.urandom(MOST)], ids=["blanks", "noise"])
def test_the_limit_is_reached(way: str, data: bytes) -> None:
    """A body of as many bytes as there may be is taken, and one of a byte more is not."""
    packed = WAYS[way](data)
    assert read(coding(way), [packed]) == data
    with pytest.raises(TooLargeError):
        read(coding(way), [packed], MOST - 1)


@pytest.mark.parametrize(
    "part",
    [gzip.compress(b""), gzip.compress(b" "), gzip.compress(b"") + b"\0" * 99],
    ids=["empty", "blank", "zeros"],
)
def test_members_without_end_are_too_large(part: bytes) -> None:
    """Members that hold next to nothing are bounded by what they take up themselves."""
    with pytest.raises(TooLargeError):
        read("gzip", itertools.repeat(part * 1000))


@pytest.mark.slow
@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(b" " * 2**26),
        gzip.compress(b"") * 200_000,
        gzip.compress(b" ") + b"\0" * 2**24,
    ],
    ids=["blanks", "members", "zeros"],
)
def test_a_step_is_short(packed: bytes) -> None:
    """Whatever a chunk holds, other tasks get their turn every few milliseconds."""
    longest = 0.0
    steps = Body("gzip", 2**26).add(packed)
    while True:
        before = time.thread_time()
        ended = next(steps, "ended")
        longest = max(longest, time.thread_time() - before)
        if ended:
            break
    assert longest < 0.02
