"""The JSON of an answer, chunk by chunk, so that a long answer does not stop the event loop.

The strategy: read the envelope ourselves, member by member. Cut the records at likely boundaries,
`}, "call_17": {`, which may also stand inside a text; so a cut is a guess, and json checks each
chunk, as one that was cut wrongly is not complete. On any doubt leave the whole answer to json,
which then says in its own words what is wrong.

json's scanner reads every value, many records at a time: called for each record alone it forgets
the keys that it has seen, and would write 38 of them anew for each record, which takes longer than
the values do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

if TYPE_CHECKING:
    import json

    from boxis_async._wire.cooperative import Chunks

__all__ = ["Chunked", "ReadRows", "read_object"]

ReadRows: TypeAlias = Callable[[str], Any]
"""Reads the JSON of some rows, an object or an array; None if it cannot vouch for the result."""

# Characters of a chunk. What is made of it stays in the processor's caches until its records are
# built. Keys are read anew for each chunk, so smaller ones are slower too (docs/performance.md).
_CHUNK = 32 * 1024
# Members of the envelope that are read between two pauses.
_MEMBERS = 64

_HOLDERS = frozenset({"params", "cdr"})
"""The names under which records stand."""

_OBJECT_BEGINS = re.compile(r'\{[ \t\n\r]*(?=["}])')
_NAME_ENDS = re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
_MEMBER_ENDS = re.compile(r'[ \t\n\r]*(?:,[ \t\n\r]*(?=")|(?=\}))')
_BETWEEN_ROWS = {
    "{": re.compile(r'\}[ \t\n\r]*,[ \t\n\r]*(?="[^"\\]*"[ \t\n\r]*:[ \t\n\r]*\{)'),
    "[": re.compile(r"\}[ \t\n\r]*,[ \t\n\r]*(?=\{)"),
}
_CLOSING = {"{": "}", "[": "]"}


@attrs.frozen(eq=False)
class Chunked:
    """Stands in an answer where the rows stood that were handed over chunk by chunk."""

    count: int
    """How many rows they were."""
    in_order: bool = True
    """Whether they stood in one place, so that their order is that of the answer."""


def read_object(
    text: str,
    begin: int,
    decoder: json.JSONDecoder,
    read_rows: ReadRows | None = None,
    *,
    chunked: bool = False,
) -> Chunks[tuple[Any, int]]:
    """Decode the object that begins at a place in a text, as `decoder.raw_decode` does.

    Args:
        text: The text.
        begin: The place.
        decoder: Whose rules and hooks count.
        read_rows: Reads the rows of a chunk faster than the decoder does.
        chunked: Whether to hand over the rows of each chunk, with a `Chunked` in their place at
            the end. If the rows themselves stand there all the same, what was handed over before
            is void: the chunks were given up, and the whole was read by json.

    Returns:
        The object, and where it ends.

    Raises:
        ValueError: It is not what the decoder takes for JSON, in json's own words.
        RecursionError: It is nested too deep.
    """
    parser = _Parser(text, decoder, read_rows, is_chunked=chunked)
    try:
        return (yield from parser.holder(begin, _HOLDERS))
    except (ValueError, RecursionError):
        # Broken, or only cut at the wrong place.
        pass
    return decoder.raw_decode(text, begin)


class _Parser:
    """Reads one text. Where it meets anything unusual, it raises a `ValueError`."""

    __slots__ = ("_decode", "_is_chunked", "_object", "_read_rows", "_text")

    def __init__(
        self,
        text: str,
        decoder: json.JSONDecoder,
        read_rows: ReadRows | None,
        *,
        is_chunked: bool,
    ) -> None:
        self._text = text
        self._decode = decoder.raw_decode
        self._object = decoder.object_pairs_hook
        self._read_rows = read_rows
        self._is_chunked = is_chunked

    def holder(self, begin: int, holders: frozenset[str]) -> Chunks[tuple[Any, int]]:
        """Read an object member by member: the answer itself, or its `params`."""
        text, decode = self._text, self._decode
        pairs: list[tuple[str, Any]] = []
        at = _end(_OBJECT_BEGINS.match(text, begin))
        while not text.startswith("}", at):
            name, at = decode(text, at)
            at = _end(_NAME_ENDS.match(text, at))
            if name not in holders or not text.startswith(("{", "["), at):
                value, at = decode(text, at)
            elif name == "params" and text.startswith("{", at):
                value, at = yield from self.holder(at, holders - {name})
            else:
                value, at = yield from self._rows(at)
            pairs.append((name, value))
            at = _end(_MEMBER_ENDS.match(text, at))
            if not len(pairs) % _MEMBERS:
                yield []
        return self._object(pairs), at + 1

    def _rows(self, begin: int) -> Chunks[tuple[Any, int]]:
        """Read an object or an array of rows, chunk by chunk."""
        text, opening = self._text, self._text[begin]
        next_cut = _BETWEEN_ROWS[opening].search
        chunks: list[Any] = []
        at = begin + 1
        while True:
            cut = next_cut(text, at + _CHUNK)
            end = len(text) if cut is None else cut.start() + 1
            rows, length = self._chunk(f"{opening}{text[at:end]}", is_last=cut is None)
            # If the closing that was put behind a chunk was not reached, the rows end before it.
            is_last = cut is None or length < end - at + 2
            if self._is_chunked and rows:
                yield list(rows.values()) if opening == "{" else rows
                # The keys alone are of further use: none may come twice.
                rows = dict.fromkeys(rows) if opening == "{" else range(len(rows))
            elif not is_last:
                yield []
            chunks.append(rows)
            if cut is None or is_last:
                break
            at = cut.end()
        found: list[Any] | dict[str, Any]
        if opening == "[":
            found = list(chain.from_iterable(chunks))
        else:
            found = {}
            for rows in chunks:
                found.update(rows)
            if len(found) != sum(map(len, chunks)):
                raise ValueError
        return Chunked(len(found)) if self._is_chunked and found else found, at + length - 1

    def _chunk(self, text: str, *, is_last: bool) -> tuple[Any, int]:
        """Read the rows of a chunk, which begins with the opening of all; give their length too."""
        closing = _CLOSING[text[0]]
        if is_last:
            # The first place where the rows may end. If it is inside a text, what is before it is
            # not complete, and no reader takes it.
            whole = text[: text.find(f"}}{closing}") + 2]
        else:
            # We close what we cut. The decoder reaches that only if the cut lies between two rows.
            text = whole = f"{text}{closing}"
        rows = None if self._read_rows is None else self._read_rows(whole)
        return self._decode(text, 0) if rows is None else (rows, len(whole))


def _end(found: re.Match[str] | None) -> int:
    if found is None:
        raise ValueError
    return found.end()
