"""What a record is known by: the same for what is the same, and for nothing else, by one key."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from hashlib import blake2b
from itertools import pairwise, product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import FIELDS, TYPED, rows, texts

from boxis_async._wire.records import (
    FINGERPRINT_SIZE,
    Fingerprinter,
    Records,
    _content_text,
    leg_text,
    make_converter,
)
from boxis_async._wire.wallclock import WallClock
from boxis_async.models import CDR, Extra

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cattrs import Converter
    from strategies import Row

START = "2024-03-05 12:00:00"
SEPARATOR = "\x1f"
CLOCK = WallClock("Europe/Zurich")
TEXTS = [name for name in FIELDS if name not in TYPED]
"""The documented fields of text, in the order in which they are joined."""


@cache
def converter(key: bytes) -> Converter:
    return make_converter(CLOCK, Fingerprinter(key))


def converted(*sent: Mapping[str, object], key: bytes = b"key") -> list[bytes]:
    """Give what rows are known by: each two fingerprints, of its leg and of its content."""
    return converter(key).structure(sent, Records).fingerprints


def content(row: Mapping[str, object], key: bytes = b"key") -> bytes:
    """Give the fingerprint of all that was sent."""
    (both,) = converted({"start": START} | dict(row), key=key)
    return both[FINGERPRINT_SIZE:]


def says(row: Mapping[str, str | None]) -> dict[str, str]:
    """Give what a row says: null, empty and missing are the same."""
    return {name: value for name, value in row.items() if value}


# The fingerprint of a text


@given(texts, st.binary(min_size=1, max_size=64))
def test_it_is_keyed_blake2b(text: str, key: bytes) -> None:
    """A fingerprint is what anybody can compute who has the key: BLAKE2b of the text in UTF-8."""
    fingerprinter = Fingerprinter(key)
    # Twice, as none must leave its trace in the next.
    for _ in range(2):
        wanted = blake2b(text.encode(), key=key, digest_size=FINGERPRINT_SIZE).digest()
        assert fingerprinter.of(text) == wanted


def test_halves_of_characters() -> None:
    """A text that cannot be written as UTF-8 has a fingerprint of its own."""
    of = Fingerprinter(b"key").of
    assert len({of(text) for text in ("\ud800", "\udc00", "\ufffd", "?", "", "\ud800\udc00")}) == 6


# Which are equal


@given(rows(), rows())
def test_equal_exactly_if_the_same_was_sent(one: Row, other: Row) -> None:
    """Two rows have one content exactly if they say the same, whatever their order."""
    assert (content(one) == content(other)) is (says(one) == says(other))
    assert content(one) == content(dict(reversed(one.items())))


evil = st.lists(
    st.sampled_from([SEPARATOR, ":", "1", "2:", ":1:", "a", "é", "\0", "😀"]), max_size=4
).map("".join)
"""Texts that hold what parts, counts or begins."""

evil_rows = st.dictionaries(
    st.one_of(st.sampled_from(TEXTS[:3] + TEXTS[-2:]), evil.filter(bool)), evil, max_size=4
)


@given(evil_rows, evil_rows)
def test_no_value_passes_for_two(one: dict[str, str], other: dict[str, str]) -> None:
    """What parts values, or tells of their lengths, may stand in them and in unknown names."""
    assert (content(one) == content(other)) is (says(one) == says(other))


@st.composite
def splits(draw: st.DrawFn, parts: int) -> tuple[list[str], list[str]]:
    """Draw two ways to split one text at its separators into so many parts."""
    pieces = draw(st.lists(st.sampled_from(["", "1", ":1:", "a"]), min_size=parts, max_size=99))

    def split() -> list[str]:
        places = st.integers(1, len(pieces) - 1)
        cuts = sorted(draw(st.lists(places, min_size=parts - 1, max_size=parts - 1, unique=True)))
        ends = [0, *cuts, len(pieces)]
        return [SEPARATOR.join(pieces[begin:end]) for begin, end in pairwise(ends)]

    return split(), split()


@given(splits(len(TEXTS)))
def test_texts_that_join_to_the_same(both: tuple[list[str], list[str]]) -> None:
    """Rows whose texts read the same when they are joined are different, if one text is."""
    one, other = (dict(zip(TEXTS, values, strict=True)) for values in both)
    assert SEPARATOR.join(one.values()) == SEPARATOR.join(other.values())
    assert (content(one) == content(other)) is (one == other)


@given(splits(4), splits(2))
def test_unknown_fields_that_join_to_the_same(
    four: tuple[list[str], list[str]], two: tuple[list[str], list[str]]
) -> None:
    """Likewise for the names and values of fields that nobody documented, be they one or two."""
    sent = [{parts[0]: parts[1], parts[2]: parts[3]} for parts in four]
    sent += [{parts[0]: parts[1]} for parts in two]
    # As many separators as two fields have, in one.
    sent += [{parts[0]: SEPARATOR.join(parts[1:])} for parts in four]
    for one, other in product(sent, repeat=2):
        assert (content(one) == content(other)) is (says(one) == says(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # Joined, these are the same.
        ({"channel": "a\x1fb", "dstchannel": ""}, {"channel": "a", "dstchannel": "b\x1f"}),
        ({"a": "b", "c": "d"}, {"a": "b\x1fc\x1fd"}),
        ({"a": "b", "c": "d"}, {"a\x1fb": "c\x1fd"}),
        ({"a": "b\x1fc"}, {"a\x1fb": "c"}),
        # And these, behind their lengths, would be if a length could be read in two ways.
        ({"src": "\x1f1:a:1", "dst": "b"}, {"src": "\x1f1:a", "dst": "1:b"}),
        ({"src": ":1:a"}, {"src": "a"}),
    ],
)
def test_what_reads_the_same_joined(one: dict[str, str], other: dict[str, str]) -> None:
    """Rows that could be mixed up by what stands in their values are told apart."""
    assert content(one) != content(other)


def test_no_two_contents_share_a_text() -> None:
    """Of all small rows of evil values, each is written as a text of its own."""
    values = [
        "".join(of) for size in range(3) for of in product((SEPARATOR, ":", "1"), repeat=size)
    ]
    extras = [Extra(), *(Extra({name: value}) for name in values for value in values[1:4])]
    extras += [Extra({"1": value, name: "1"}) for name in values for value in values[1:4]]
    contents: dict[str, tuple[object, ...]] = {}
    for first, second, cost, extra in product(values, values, ("", "1"), extras):
        sent = ((first, second), cost, tuple(sorted(extra.items())))
        joined = SEPARATOR.join((first, second))
        text = _content_text((START, joined, cost), (first, second), extra)
        assert contents.setdefault(text, sent) == sent
    assert len(contents) == len(set(contents.values()))


@given(evil, evil)
def test_no_leg_has_the_text_of_a_content(uniqueid: str, channel: str) -> None:
    """A leg cannot be made to look like a content, nor like another leg."""
    cdr = CDR(uniqueid=uniqueid, channel=channel, start=CLOCK.now(0))
    with_sequence = CDR(uniqueid=uniqueid, sequence=1, start=CLOCK.now(0))
    legs = {leg_text(cdr), leg_text(with_sequence)}
    assert len(legs) == 2
    said = (START, SEPARATOR.join((uniqueid, channel)))
    assert _content_text(said, (uniqueid, channel), Extra()) not in legs


# By which key


@given(rows())
def test_another_key_gives_others(row: Row) -> None:
    """Nothing that is known by one key can be told by another; by the same one it is the same."""
    (one,) = converted(row, key=b"one")
    (other,) = converted(row, key=b"other")
    assert converted(row, key=b"one") == [one]
    assert one[:FINGERPRINT_SIZE] != other[:FINGERPRINT_SIZE]
    assert one[FINGERPRINT_SIZE:] != other[FINGERPRINT_SIZE:]
    assert len(one) == len(other) == 2 * FINGERPRINT_SIZE


_PRINT = """
import sys
sys.path[:0] = sys.argv[1:]
from boxis_async._wire.records import Fingerprinter, Records, make_converter
from boxis_async._wire.wallclock import WallClock

start = {"start": "2024-03-05 12:00:00"}
rows = [
    start | {"uniqueid": "a", "sequence": "1", "disposition": "8", "odd": "x", "other": "y"},
    start | {"uniqueid": "a", "channel": "x\\x1fy"},
    start | {"src": "1"},
]
converter = make_converter(WallClock("Europe/Zurich"), Fingerprinter(b"key"))
for both in converter.structure(rows, Records).fingerprints:
    print(both.hex())
"""


@pytest.mark.subprocess
def test_nothing_depends_on_the_process() -> None:
    """The same rows have the same fingerprints in every process, as a coverage is to be read."""
    found = {
        subprocess.run(
            [sys.executable, "-W", "error", "-c", _PRINT, *sys.path],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "random")
    }
    assert len(found) == 1
    lines = found.pop().split()
    assert len({line[:32] for line in lines}) == len({line[32:] for line in lines}) == 3
    # The one without a uniqueid is known by its content alone.
    assert [line[:32] == line[32:] for line in lines] == [False, False, True]
    # And in this one.
    start = {"start": START}
    assert converted(
        start | {"uniqueid": "a", "sequence": "1", "disposition": "8", "odd": "x", "other": "y"},
        start | {"uniqueid": "a", "channel": "x\x1fy"},
        start | {"src": "1"},
    ) == [*map(bytes.fromhex, lines)]
