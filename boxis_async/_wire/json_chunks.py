"""The JSON of an answer, chunk by chunk, as json would read it at once.

We read the envelope ourselves, and cut the records where a boundary between two of them seems to
be, such as `}, "call_17": {`. That may also stand inside a text, so a cut is a guess. json checks
it: a chunk that was cut wrongly is not complete. Where a guess fails, and wherever else a value is
longer than a chunk, we read member by member for a while. So whatever an answer holds, json never
reads more than a chunk in one go, and what is wrong is said in json's own words.

Of an answer of 10,000 records, 10 MB, json makes 7 microseconds a record, in one step of 70
milliseconds. By chunks it is 8, in steps of one millisecond at most. Member by member, without a
guess, it would be 24: json forgets the keys of records from one call to the next.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias, cast

import attrs

from boxis_async._wire.members import is_row

if TYPE_CHECKING:
    from boxis_async._wire.body_text import BodyText
    from boxis_async._wire.cooperative import Chunks

__all__ = ["BeyondError", "Chunked", "ReadRows", "read_object"]

ReadRows: TypeAlias = Callable[[str], Any]
"""Reads the JSON of some rows, an object or an array; None if it cannot vouch for the result."""

DecodeRows: TypeAlias = Callable[[str, int], tuple[Any, int]]
"""Decodes the JSON of some rows from a place on, as `JSONDecoder.raw_decode` does."""

# Characters of a chunk. What is made of it stays in the processor's caches until its records are
# built. Keys are read anew for each chunk, so smaller ones are slower too (docs/performance.md).
_CHUNK: Final = 32 * 1024
# Characters in which a value ends that is read at once: nearly any, and else some more.
_SMALL, _LARGE = 4 * 1024, 16 * 1024
# Members, or characters, that are read one by one between two pauses; and containers in a member
# that take as long as another one.
_MEMBERS: Final = 64
_CONTAINERS_A_MEMBER: Final = 32
_CHARACTERS: Final = 2 * _CHUNK
# Containers within each other that are longer than a chunk: an answer has three or four.
_DEEPEST: Final = 8
_LONGEST_SPACE: Final = 1024 * 1024
# Of a text, where rows are handed over: one of a record is shorter by far.
_LONGEST_TEXT: Final = 1024 * 1024

# A container takes 64 bytes and more, and a member that is read by itself some microseconds. So
# beyond a number that no answer has, each needs so many characters: `[],` a million times would
# fill the memory.
_FREE, _FREE_BESIDE_ROWS = 50_000, 20_000
_CHARACTERS_A_CONTAINER: Final = 16
_CHARACTERS_A_ROW: Final = 32
_CHARACTERS_A_MEMBER: Final = 64
# A chunk of records has some hundred; one of many, deep within each other, takes json long.
_MOST_CONTAINERS_A_CHUNK: Final = 2000
# Names of records that are let go of at a time.
_NAMES: Final = 4096

# Characters, and members, that may stand beside the records that are handed over.
_MOST_BESIDE: Final = 256 * 1024
_MOST_MEMBERS_BESIDE: Final = 10_000

_HOLDERS: Final = frozenset({"params", "cdr"})
"""The names under which records stand."""

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_BETWEEN_ROWS: Final = {
    "{": re.compile(r'\}[ \t\n\r]*,[ \t\n\r]*(?="[^"\\]*"[ \t\n\r]*:[ \t\n\r]*\{)'),
    "[": re.compile(r"\}[ \t\n\r]*,[ \t\n\r]*(?=\{)"),
}
_CLOSING: Final = {"{": "}", "[": "]"}
# What to put before the rest of a text, so that json says what it misses there.
_BEHIND_MEMBER: Final = {"{": '{"":""', "[": '[""'}
_BEHIND_NAME: Final = '{""'
# Of a text, what can be decoded by itself: no escape is parted, and no two halves of a character.
_WHOLE_CHARACTERS: Final = re.compile(
    r'(?:[^"\\\x00-\x1f]+'
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}(?=[^\\]|\\[^u]|\\u[^dD]|\\u[dD][^c-fC-F])"
    r"|\\u(?![dD][89abAB])[0-9a-fA-F]{4}"
    r"|\\[^u])*"
)


class BeyondError(ValueError):
    """What is read may be JSON, but is beyond what an answer holds."""


@attrs.frozen(eq=False, repr=False)
class Chunked:
    """Stands in an answer where the rows stood that were handed over chunk by chunk."""

    count: int
    """How many rows they were."""
    in_order: bool = True
    """Whether they stood in one place, so that their order is that of the answer."""


def read_object(  # noqa: PLR0913 - what is read, by what, and how
    source: BodyText,
    decoder: json.JSONDecoder,
    read_rows: ReadRows | None = None,
    *,
    decode_rows: DecodeRows | None = None,
    chunked: bool = False,
    named: bool = False,
) -> Chunks[Any]:
    """Decode the object that begins at a place in a text, as `decoder.raw_decode` does.

    Args:
        source: The text; afterwards it is read up to the end of the object.
        decoder: Whose rules and hooks count.
        read_rows: Reads the rows of a chunk faster than the decoder does.
        decode_rows: Decodes the rows of a chunk in place of `decoder.raw_decode`.
        chunked: Whether to hand over the rows of each chunk, with a `Chunked` in their place at
            the end.
        named: Whether to hand over pairs, of a row's key and the row.

    Raises:
        BeyondError: It is beyond what an answer holds.
        ValueError: It is not what the decoder takes for JSON, in json's own words.
        RecursionError: It is nested too deep.
    """
    source.has(1)
    parser = _Parser(source, decoder, decode_rows, read_rows, is_chunked=chunked, is_named=named)
    return (yield from parser.container(_DEEPEST, _HOLDERS))


class _Parser:
    """Reads one text."""

    __slots__ = (
        "_alone",
        "_beside",
        "_containers",
        "_containers_beside",
        "_decode",
        "_decode_rows",
        "_end_beside",
        "_free",
        "_is_chunked",
        "_is_named",
        "_paused",
        "_read_rows",
        "_source",
        "_unpaused",
    )

    def __init__(  # noqa: PLR0913 - as `read_object`
        self,
        source: BodyText,
        decoder: json.JSONDecoder,
        decode_rows: DecodeRows | None,
        read_rows: ReadRows | None,
        *,
        is_chunked: bool,
        is_named: bool,
    ) -> None:
        self._source = source
        self._decode = decoder.raw_decode
        self._decode_rows = decode_rows or decoder.raw_decode
        self._read_rows = read_rows
        self._is_chunked = is_chunked
        self._is_named = is_named
        self._free = _FREE_BESIDE_ROWS if is_chunked else _FREE
        # Members since the last pause, and the place of that.
        self._unpaused = self._paused = 0
        # Containers, and members, that were read by themselves.
        self._containers = self._alone = 0
        # What stands beside the rows that are handed over: characters, containers, and where there
        # are too many if we are within such a member.
        self._beside = self._containers_beside = 0
        self._end_beside: float = inf

    def container(
        self, depth: int, holders: frozenset[str] = frozenset(), *, holds_rows: bool = False
    ) -> Chunks[Any]:
        """Read an object or an array.

        Args:
            depth: How many containers may lie within each other, if they are longer than a chunk.
            holders: The names of the members that hold rows: of the answer itself, or its `params`.
            holds_rows: Whether its members are rows.
        """
        if not depth:
            raise BeyondError("long values in it are nested too deep")
        source = self._source
        opening = source.text[source.at]
        closing, is_object = _CLOSING[opening], opening == "{"
        members = _Members(
            is_object=is_object, hands_over=holds_rows and self._is_chunked, is_named=self._is_named
        )
        prefix, next_chunk = opening, source.place
        source.at += 1
        while True:
            if holds_rows and source.place >= next_chunk:
                if (yield from self._chunks(opening, members)):
                    break
                next_chunk = source.place + _CHUNK
                prefix = _BEHIND_MEMBER[opening] if members.count else opening
            self._skip_space()
            if prefix == opening and source.text.startswith(closing, source.at):
                source.at += 1
                break
            name = (yield from self._name(prefix)) if is_object else ""
            value = yield from self._member(name, depth - 1, holders)
            members.add({name: value} if is_object else [value])
            if self._is_pause_due():
                yield self._pause(members)
            if self._is_behind_last(opening):
                break
            prefix = _BEHIND_MEMBER[opening]
        if members.are_waiting:
            yield self._pause(members)
        yield from members.let_go()
        if members.is_doubled:
            # To keep the last of two would lose a record, or mix two into one.
            raise ValueError("a key comes twice in one object")
        return members.result()

    def _member(self, name: str, depth: int, holders: frozenset[str]) -> Chunks[Any]:
        """Read the value of a member, by what its name says of it."""
        source = self._source
        begin = source.place
        opening = source.ahead(1)
        self._alone += 1
        self._check(self._alone, _CHARACTERS_A_MEMBER)
        if name in holders and opening in _CLOSING:
            if name == "params" and opening == "{":
                return (yield from self.container(depth, holders - {name}))
            return (yield from self.container(depth, holds_rows=True))
        if not holders or not self._is_chunked:
            return (yield from self.value(depth))
        self._end_beside = begin + _MOST_BESIDE - self._beside
        containers = self._containers_beside
        value = yield from self.value(depth)
        self._end_beside = inf
        if is_row(name, value):
            # A row is one, wherever it stands.
            self._containers_beside = containers
        else:
            length = source.place - begin + len(name)
            self._beside += max(length, _MOST_BESIDE // _MOST_MEMBERS_BESIDE)
            self._check_beside()
        return value

    def value(self, depth: int) -> Chunks[Any]:
        """Read any value: at once, unless it is longer than a chunk."""
        source = self._source
        problem: ValueError | None = None
        value: Any
        for length in (_SMALL, _LARGE):
            piece = source.ahead(length)
            is_rest = len(piece) < length
            try:
                value, end = self._decode(piece, 0)
            except ValueError as error:
                problem = error
            else:
                # At the end of the piece a number may not have ended: `12` may be of `12e+3`.
                if is_rest or end < len(piece) - len("e+3"):
                    if piece[0] in _CLOSING:
                        self._count_containers(piece.count("{", 0, end) + piece.count("[", 0, end))
                    source.at += end
                    return value
            if is_rest:
                break
        else:
            if piece[0] in _CLOSING:
                return (yield from self.container(depth))
            if piece[0] == '"':
                return (yield from self._long_text())
        if problem is None:
            raise BeyondError(f"a number in it has more than {_LARGE:,} digits")
        self._refuse(problem, source.at)

    def _chunks(self, opening: str, members: _Members) -> Chunks[bool]:
        """Read chunk after chunk, unless one is cut at the wrong place.

        Returns:
            Whether the rows have ended.
        """
        while (is_last := self._add_chunk(opening, members)) is not None:
            if members.are_waiting or not is_last:
                yield self._pause(members)
            if is_last:
                return True
        return False

    def _add_chunk(self, opening: str, members: _Members) -> bool | None:
        """Read as many rows as lie in a chunk.

        Returns:
            Whether they are the last; None if it was cut at the wrong place, and none were read.
        """
        source, closing = self._source, _CLOSING[opening]
        cut = None
        # Most rows end soon; to have much ahead would mean to copy it whenever more is decoded.
        for reach in (_CHUNK + _SMALL, 2 * _CHUNK):
            goes_on = source.has(reach)
            text, begin = source.text, source.at
            cut = _BETWEEN_ROWS[opening].search(text, begin + _CHUNK, begin + reach)
            if cut is not None or not goes_on:
                break
        if cut is not None:
            # We close what we cut. The decoder reaches that only if it lies between two rows.
            part = whole = f"{opening}{text[begin : cut.start() + 1]}{closing}"
        elif goes_on:
            return None
        else:
            part = f"{opening}{text[begin:]}"
            # The first place where the rows may end. If it is inside a text, what is before it is
            # not complete, and no reader takes it.
            whole = part[: part.find(f"}}{closing}") + 2]
        if _holds_more_than(_MOST_CONTAINERS_A_CHUNK, whole, "{", "["):
            return None
        rows: Any
        try:
            rows = None if self._read_rows is None else self._read_rows(whole)
            rows, length = self._decode_rows(part, 0) if rows is None else (rows, len(whole))
        except (ValueError, RecursionError):
            return None
        # If the closing that we put behind a chunk was not reached, the rows end before it.
        is_last = cut is None or length < len(part)
        source.at = begin + length - 1 if cut is None or is_last else cut.end()
        members.add(rows)
        self._check(members.count, _CHARACTERS_A_ROW)
        return is_last

    def _pause(self, members: _Members) -> list[Any]:
        """Give the rows to hand over at a pause."""
        self._unpaused, self._paused = 0, self._source.place
        return members.take()

    def _name(self, prefix: str) -> Chunks[str]:
        """Read the name of a member, and what is between it and its value."""
        source = self._source
        if not source.text.startswith('"', source.at):
            self._say_what_is_missing(prefix)
        name: str = yield from self.value(0)
        self._skip_space()
        if not source.text.startswith(":", source.at):
            self._say_what_is_missing(_BEHIND_NAME)
        source.at += 1
        self._skip_space()
        return name

    def _is_behind_last(self, opening: str) -> bool:
        """Go on to the next member, or behind the end of the container."""
        source, closing = self._source, _CLOSING[opening]
        self._skip_space()
        if source.text.startswith(closing, source.at):
            source.at += 1
            return True
        source.has(_SMALL)
        text, at = source.text, source.at
        next_at = cast("re.Match[str]", _SPACE.match(text, at + 1)).end()
        if (
            not text.startswith(",", at)
            or text.startswith(closing, next_at)
            or (opening == "{" and not text.startswith('"', next_at))
        ):
            self._say_what_is_missing(_BEHIND_MEMBER[opening])
        source.at = next_at
        return False

    def _long_text(self) -> Chunks[str]:
        """Read a text that is longer than a chunk."""
        source = self._source
        began, begin = source.describe(source.at), source.place
        source.at += 1
        parts: list[str] = []
        while not source.text.startswith('"', source.at):
            piece = source.ahead(_CHUNK)
            end = cast("re.Match[str]", _WHOLE_CHARACTERS.match(piece)).end()
            try:
                text, _ = self._decode(f'"{piece[:end]}"' if end else f'"{piece}', 0)
            except json.JSONDecodeError as problem:
                if problem.pos:
                    self._refuse(problem, source.at - 1)
                # json misses the end of the text that we began anew.
                raise ValueError(f"{problem.msg}: {began}") from None
            parts.append(text)
            source.at += end
            self._check_beside()
            if self._is_chunked and source.place - begin > _LONGEST_TEXT:
                raise BeyondError(f"a text in it has over {_LONGEST_TEXT:,} characters")
            source.has(1)
            yield []
        source.at += 1
        return "".join(parts)

    def _skip_space(self) -> None:
        source = self._source
        begin = source.place
        while source.has(1):
            at = cast("re.Match[str]", _SPACE.match(source.text, source.at)).end()
            source.at = at
            if at < len(source.text):
                break
            if source.place - begin > _LONGEST_SPACE:
                raise BeyondError(
                    f"it has over {_LONGEST_SPACE:,} characters of white space in a row"
                )

    def _is_pause_due(self) -> bool:
        self._check_beside()
        self._unpaused += 1
        return self._unpaused >= _MEMBERS or self._source.place - self._paused >= _CHARACTERS

    def _count_containers(self, number: int) -> None:
        self._containers += number
        self._unpaused += number // _CONTAINERS_A_MEMBER
        self._check(self._containers, _CHARACTERS_A_CONTAINER)
        if self._end_beside < inf:
            self._containers_beside += number
            self._check_beside()

    def _check(self, number: int, each: int) -> None:
        """Refuse values that are too many for what was read so far."""
        place = self._source.place
        most = self._free + place // each
        if number > most:
            raise BeyondError(f"it has over {most:,} values in {place:,} characters")

    def _check_beside(self) -> None:
        if (
            self._beside > _MOST_BESIDE
            or self._source.place > self._end_beside
            or self._containers_beside > _MOST_MEMBERS_BESIDE
        ):
            raise BeyondError(
                f"over {_MOST_BESIDE:,} characters or {_MOST_MEMBERS_BESIDE:,} members stand "
                "beside its records"
            )

    def _say_what_is_missing(self, prefix: str) -> NoReturn:
        """Let json say what it misses behind what comes before this place."""
        try:
            self._decode(prefix + self._source.ahead(_SMALL), 0)
        except json.JSONDecodeError as error:
            self._refuse(error, self._source.at - len(prefix))
        raise ValueError(f"Expecting value: {self._source.describe(self._source.at)}")

    def _refuse(self, problem: ValueError, at: int) -> NoReturn:
        """Say what is wrong as json would, of a piece that began at this place of the text."""
        if not isinstance(problem, json.JSONDecodeError):
            raise problem
        place = self._source.describe(at + problem.pos)
        raise ValueError(f"{problem.msg}: {place}") from None


class _Members:
    """The members of one container: all, or of rows that are handed over the names alone."""

    __slots__ = ("_hands_over", "_is_named", "_kept", "_names", "_waiting", "count", "is_doubled")

    def __init__(self, *, is_object: bool, hands_over: bool, is_named: bool) -> None:
        self._hands_over = hands_over
        self._is_named = is_named
        self._kept: dict[str, Any] | list[Any] = {} if is_object else []
        # Of rows that are handed over: none may come twice.
        self._names: set[str] = set()
        self._waiting: list[dict[str, Any] | list[Any]] = []
        self.count = 0
        self.is_doubled = False

    @property
    def are_waiting(self) -> bool:
        """Whether there are rows to hand over."""
        return bool(self._waiting)

    def add(self, members: Any) -> None:  # noqa: ANN401
        """Add some, as an object or an array."""
        self.count += len(members)
        if self._hands_over:
            if members:
                self._waiting.append(members)
            if isinstance(members, dict):
                self._names.update(cast("dict[str, Any]", members))
                self.is_doubled = self.is_doubled or len(self._names) < self.count
        elif isinstance(self._kept, list):
            self._kept += members
        else:
            self._kept.update(members)
            self.is_doubled = self.is_doubled or len(self._kept) < self.count

    def take(self) -> list[Any]:
        """Take the rows that are to be handed over: if they are named, each behind its key."""
        waiting, self._waiting = self._waiting, []
        rows: list[Any] = []
        for some in waiting:
            if isinstance(some, list):
                rows += some
            elif self._is_named:
                rows += some.items()
            else:
                rows += some.values()
        if self._is_named and isinstance(self._kept, list):
            first = self.count - len(rows) + 1
            return [(f"call_{number}", row) for number, row in enumerate(rows, first)]
        return rows

    def let_go(self) -> Chunks[None]:
        """Forget the names, bit by bit if they are many."""
        while len(self._names) > _NAMES:
            for _ in range(_NAMES):
                self._names.pop()
            yield []

    def result(self) -> Chunked | dict[str, Any] | list[Any]:
        """Give what stands in its place in the answer, at the end."""
        return Chunked(self.count) if self._hands_over and self.count else self._kept


def _holds_more_than(most: int, text: str, *characters: str) -> bool:
    """Report whether some characters come more often in a text.

    To count them all took 0.6 us a record, and this takes 0.2.
    """
    number = 0
    for character in characters:
        at = text.find(character)
        while at >= 0 and number <= most:
            number += 1
            at = text.find(character, at + 1)
    return number > most
