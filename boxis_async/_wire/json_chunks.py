"""The JSON of an answer in steps: its upper levels by hand, its records many at a time.

json's own scanner reads every value. Were it given each record alone, each would have keys of its
own in memory, which takes longer to write, and longer yet to look up.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Any

from .cooperative import Built

if TYPE_CHECKING:
    import json

    from .cooperative import Build, ReadRecords, Steps

__all__ = ["walk"]

# So many characters are a piece. What is made of it stays in the processor's caches until its
# records are built, and then goes. Its keys are met for the first time in each piece, so a smaller
# one is slower too.
_PIECE = 32 * 1024
# So many pieces make a step, half a millisecond of json's scanner; or so many members, where they
# are read one by one.
_PIECES = 2
_MEMBERS = 64

_HOLDERS = frozenset({"params", "cdr"})
"""The names under which records stand."""

# Patterns are texts, so that `re` compiles them with the first answer, and not at import.
_OBJECT_BEGINS = r'\{[ \t\n\r]*(?=["}])'
_NAME_ENDS = r"[ \t\n\r]*:[ \t\n\r]*"
_MEMBER_ENDS = r'[ \t\n\r]*(?:,[ \t\n\r]*(?=")|(?=\}))'

# What stands between two records. It may also stand within one, so a cut there is only a guess.
_BETWEEN_RECORDS = {
    "{": r'\}[ \t\n\r]*,[ \t\n\r]*(?="[^"\\]*"[ \t\n\r]*:[ \t\n\r]*\{)',
    "[": r"\}[ \t\n\r]*,[ \t\n\r]*(?=\{)",
}
_CLOSING = {"{": "}", "[": "]"}


def walk(
    text: str,
    begin: int,
    decoder: json.JSONDecoder,
    build: Build | None = None,
    read_records: ReadRecords | None = None,
) -> Steps[tuple[Any, int]]:
    """Decode what begins at a place in a text, as `decoder.raw_decode` does, but in steps.

    Args:
        text: The text.
        begin: The place.
        decoder: Whose rules and hooks count.
        build: Builds something of each step's records, unless they stand elsewhere than usual:
            a `Built` is then in their place. To do so with the step takes less time than to
            build all from rows that have left the processor's caches.
        read_records: Reads an object or an array of records faster than the decoder does, or
            gives None where it is not certain to give the same.

    Returns:
        What stands there, and where it ends.

    Raises:
        ValueError: It is not what the decoder takes for JSON, in json's own words.
        RecursionError: It is nested too deep.
    """
    try:
        return (yield from _Walk(text, decoder, build, read_records).holder(begin, _HOLDERS))
    except (ValueError, RecursionError):
        # Broken, or only cut at the wrong place: json knows, and says it in its own words.
        pass
    return decoder.raw_decode(text, begin)


class _Walk:
    """A walk through one text. Where it meets anything odd, it raises a `ValueError`."""

    __slots__ = ("_build", "_decode", "_object", "_read_records", "_text")

    def __init__(
        self,
        text: str,
        decoder: json.JSONDecoder,
        build: Build | None,
        read_records: ReadRecords | None,
    ) -> None:
        self._text = text
        self._decode = decoder.raw_decode
        self._object = decoder.object_pairs_hook
        self._build = build
        self._read_records = read_records or _leave_it

    def holder(self, begin: int, holders: frozenset[str]) -> Steps[tuple[Any, int]]:
        """Read an object member by member: the answer itself, or its `params`."""
        text, decode = self._text, self._decode
        pairs: list[tuple[str, Any]] = []
        name_ends, member_ends = re.compile(_NAME_ENDS).match, re.compile(_MEMBER_ENDS).match
        at = _end(re.compile(_OBJECT_BEGINS).match(text, begin))
        while not text.startswith("}", at):
            name, at = decode(text, at)
            at = _end(name_ends(text, at))
            if name not in holders or not text.startswith(("{", "["), at):
                value, at = decode(text, at)
            elif name == "params" and text.startswith("{", at):
                value, at = yield from self.holder(at, holders - {name})
            else:
                value, at = yield from self._records(at)
            pairs.append((name, value))
            at = _end(member_ends(text, at))
            if not len(pairs) % _MEMBERS:
                yield
        return self._object(pairs), at + 1

    def _records(self, begin: int) -> Steps[tuple[Any, int]]:
        """Read an object or an array of records, piece by piece."""
        text, build = self._text, self._build
        opening = text[begin]
        next_cut = re.compile(_BETWEEN_RECORDS[opening]).search
        pieces: list[Any] = []
        built = Built()
        at = begin + 1
        while True:
            cut = next_cut(text, at + _PIECE)
            if cut is None:
                piece = f"{opening}{text[at:]}"
                # Where the records end, unless it is within a text: then it is not whole.
                whole = piece[: piece.find(f"}}{_CLOSING[opening]}") + 2]
            else:
                piece = whole = f"{opening}{text[at : cut.start() + 1]}{_CLOSING[opening]}"
            records, length = self._read_records(whole), len(whole)
            if records is None:
                records, length = self._decode(piece, 0)
            if build is not None and records:
                built.append(build(records if opening == "[" else records.values()))
                # Only the names are of further use.
                records = dict.fromkeys(records) if opening == "{" else ()
            pieces.append(records)
            if cut is None or length < len(piece):
                break
            # The closing was taken that was put behind the cut, so it lies between two records: in
            # a text or further inside, the piece would not have been whole.
            at = cut.end()
            if not len(pieces) % _PIECES:
                yield
        end = at + length - 1
        found: list[Any] | dict[str, Any]
        if opening == "[":
            found = list(chain.from_iterable(pieces))
        else:
            found = {}
            for piece in pieces:
                found.update(piece)
            if len(found) != sum(map(len, pieces)):
                raise ValueError
        return found if build is None else built, end


def _leave_it(_: str) -> None:
    """Leave reading to the decoder."""


def _end(found: re.Match[str] | None) -> int:
    if found is None:
        raise ValueError
    return found.end()
