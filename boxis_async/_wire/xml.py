"""Answers in XML → the same plain dicts as from JSON, through defusedxml (extra `xml`).

The root is `<return>` with `<result>`, `<resulttxt>`, `<params>` and `<timestamp>`; records are
numbered elements (pages "Get Line List", "Get Line Details", "SMS Get History"). Each element
becomes a dict or a text when it ends, so there is never a tree of elements, which would take many
times the memory of the answer.
"""

from __future__ import annotations

import logging
import re
from encodings import normalize_encoding
from encodings.aliases import aliases
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from boxis_async._wire.body_text import BodyText
from boxis_async._wire.cooperative import at_once
from boxis_async._wire.json_chunks import Chunked
from boxis_async._wire.members import is_row
from boxis_async.errors import MalformedAnswerError, MissingExtraError

try:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, XMLParser
except ImportError as error:
    raise MissingExtraError(
        'returntype="xml" needs defusedxml: pip install "boxis-async[xml]"'
    ) from error

if TYPE_CHECKING:
    from xml.parsers.expat import XMLParserType

    from boxis_async._wire.cooperative import Chunks

__all__ = ["read_xml", "xml_in_chunks"]

Value: TypeAlias = "dict[str, Any] | str | Chunked"

logger = logging.getLogger("boxis_async")

_BEGIN: Final = re.compile(rb"<\?xml\b|<return\b")
_ENCODING: Final = re.compile(rb"""<\?xml[^>]*?\bencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_NOTICE_LENGTH: Final = 64 * 1024
_DECLARATION_LENGTH: Final = 1000

# Each of these reads a byte at a time. Others take time by the square of the length, or import
# code; and what is declared as UTF-16 and read as UTF-8 would be garbage.
_ENCODINGS: Final = re.compile(r"utf_8|ascii|latin_1|iso8859_\d+|cp125\d")
_NO_ENCODINGS: Final = re.compile(r".*_codec|rot_13")
"""Python's names for what is no encoding of text."""

# Characters, and tags, that are parsed between two pauses.
_CHARACTERS: Final = 16 * 1024
_TAGS: Final = 512
# Bytes of a tag or a comment that has not ended: it is read again from its beginning with each
# further part, and that would take the square of its length.
_LONGEST_TAG: Final = 4096
_DEEPEST: Final = 16
# How many elements are open, at most, where one begins in the answer itself or in its `params`.
_ENVELOPE_DEPTH: Final = 2
# What an element becomes takes 100 bytes and more. So beyond a number that no answer has, each tag
# and each record needs so many characters; a record has few fields; and few elements stand beside
# the records that are handed over.
_FREE_TAGS, _FREE_RECORDS = 100_000, 20_000
_CHARACTERS_A_TAG: Final = 8
_CHARACTERS_A_RECORD: Final = 32
_MOST_FIELDS, _MOST_MEMBERS = 2000, 50_000
# Of a text, which comes in parts of some kilobytes.
_MOST_PARTS: Final = 256
_MOST_BESIDE: Final = 256 * 1024
_MOST_ELEMENTS_BESIDE: Final = 10_000
_SHOWN: Final = 80
_SHOWN_PROBLEM: Final = 200


def read_xml(body: bytes) -> dict[str, Any]:
    """Read an XML answer at once; otherwise as `xml_in_chunks`."""
    return at_once(xml_in_chunks(body))


def xml_in_chunks(
    body: bytes, *, begin: int = 0, chunked: bool = False, named: bool = False
) -> Chunks[dict[str, Any]]:
    """Read an XML answer: an element with children is a dict, any other its text.

    Args:
        body: The whole body.
        begin: How many of its bytes are no part of the answer, such as a byte order mark.
        chunked: Whether to hand over the records chunk by chunk, as `json_in_chunks` does.
        named: Whether to hand over pairs, of a row's key and the row.

    Raises:
        MalformedAnswerError: It is not complete and well formed, has another root or a document
            type, has two elements of one name side by side, or more than an answer can have.
    """
    found = _BEGIN.search(body, begin, begin + _NOTICE_LENGTH)
    before = body[begin : begin + _NOTICE_LENGTH] if found is None else body[begin : found.start()]
    if found is None:
        if len(body) - begin <= _NOTICE_LENGTH and not before.strip():
            raise MalformedAnswerError("the answer is empty, though the request was accepted")
        raise MalformedAnswerError("the answer is not XML: it has no <return>")
    if before.strip():
        logger.warning("%d bytes stand before the answer; they are skipped", len(before))
    source = BodyText(body, _encoding_of(body, found.start()), found.start())
    parser = XMLParser(target=object(), encoding="utf-8", forbid_dtd=True)
    builder = _Builder(parser.parser, hands_over=chunked)
    problem, read, tags = None, 0, 0
    try:
        while source.has(1):
            part = _next_part(source)
            tags += part.count("<")
            _check_number("tags", tags, _FREE_TAGS, source.place // _CHARACTERS_A_TAG)
            encoded = part.encode()
            parser.feed(encoded)
            read += len(encoded)
            builder.check(read, source.place)
            rows = builder.take()
            yield list(rows.items() if named else rows.values())
        parser.close()
    except (ParseError, DefusedXmlException, ValueError, RecursionError) as error:
        if isinstance(error, MalformedAnswerError):
            raise
        problem = str(error)[:_SHOWN_PROBLEM]
    if problem is not None:
        raise MalformedAnswerError(f"the answer is not complete, safe XML: {problem}")
    return builder.answer


def _encoding_of(body: bytes, begin: int) -> str:
    """Give Python's name for the encoding that is declared; UTF-8, if there is no such encoding.

    Raises:
        MalformedAnswerError: It is one that is not read.
    """
    declared = _ENCODING.match(body, begin, begin + _DECLARATION_LENGTH)
    name = "utf-8" if declared is None else declared[1].decode("ascii")
    name = normalize_encoding(name).lower()
    name = aliases.get(name, name)
    if name not in aliases.values() or _NO_ENCODINGS.fullmatch(name):
        return "utf-8"
    if not _ENCODINGS.fullmatch(name):
        raise MalformedAnswerError(
            f"the answer's XML is in {name}, and only UTF-8 and encodings of one byte are read"
        )
    return "utf-8" if name == "utf_8" else name


def _next_part(source: BodyText) -> str:
    """Give the next part of a text, with not too many tags."""
    part = source.ahead(_CHARACTERS)
    parts = part.split("<", _TAGS)
    if len(parts) > _TAGS:
        part = part[: -1 - len(parts[-1])]
    source.at += len(part)
    return part


def _check_number(what: str, number: int, free: int, paid: int) -> None:
    """Refuse what is too much for what was read so far."""
    if number > free + paid:
        raise MalformedAnswerError(
            f"the answer is refused: it has over {free + paid:,} {what}, with little in them"
        )


class _Builder:
    """Makes a dict or a text of each element when it ends, by the events of expat.

    These come three times an element, so what is done in each is little.
    """

    __slots__ = (
        "_begin_beside",
        "_beside",
        "_children",
        "_expat",
        "_hands_over",
        "_holder_depth",
        "_rows",
        "_rows_names",
        "_tags",
        "_texts",
        "answer",
    )

    def __init__(self, expat: XMLParserType, *, hands_over: bool) -> None:
        self._hands_over = hands_over
        # The elements that are open, with what is in each so far: None, if nothing is.
        self._tags: list[str] = []
        self._children: list[dict[str, Any] | None] = []
        # What was read since the last tag.
        self._texts: list[str] = []
        # Of the element that holds the records that are handed over, how many are open with it.
        self._holder_depth = 0
        self._rows: dict[str, Any] = {}
        self._rows_names: set[str] = set()
        # Bytes beside the records, and where the element there begins that is open.
        self._beside = 0
        self._begin_beside: int | None = None
        self.answer: dict[str, Any] = {}
        self._expat = expat
        expat.StartElementHandler = self._start
        expat.CharacterDataHandler = self._texts.append
        expat.EndElementHandler = self._end

    def take(self) -> dict[str, Any]:
        """Give the records that ended since the last time."""
        rows, self._rows = self._rows, {}
        return rows

    def check(self, read: int, place: int) -> None:
        """Refuse what is too much to be read further, at so many bytes and characters."""
        if read - self._expat.CurrentByteIndex > _LONGEST_TAG + 4 * _CHARACTERS:
            raise MalformedAnswerError(
                f"the answer is refused: a tag in it has over {_LONGEST_TAG:,} bytes"
            )
        if self._begin_beside is not None:
            self._check_beside(self._beside + read - self._begin_beside)
        most = _MOST_FIELDS if self._holder_depth else _MOST_MEMBERS
        if any(len(each or ()) > most for each in self._children[self._holder_depth :]):
            raise MalformedAnswerError(
                f"the answer is refused: an element in it has over {most:,} others"
            )
        if self._holder_depth:
            if len(self._texts) > _MOST_PARTS:
                raise MalformedAnswerError("the answer is refused: a text in it is very long")
            records = len(self._rows_names)
            _check_number("records", records, _FREE_RECORDS, place // _CHARACTERS_A_RECORD)

    def _start(self, tag: str, _: object) -> None:
        tags = self._tags
        if self._texts:
            self._check_space(tags[-1])
        depth = len(tags)
        if depth > _DEEPEST:
            raise MalformedAnswerError("the answer's XML is nested too deep")
        if "}" in tag:
            # expat writes the name of the namespace before each, and that may be long.
            raise MalformedAnswerError("the answer is refused: its XML has namespaces")
        if depth <= _ENVELOPE_DEPTH and not self._holder_depth:
            self._start_in_envelope(tag, depth)
        tags.append(tag)
        self._children.append(None)

    def _end(self, tag: str) -> None:
        tags, children, texts = self._tags, self._children, self._texts
        tags.pop()
        value: Value | None = children.pop()
        if value is None:
            value = "".join(texts)
            texts.clear()
        elif texts:
            self._check_space(tag)
        depth = len(tags)
        if depth == self._holder_depth - 1:
            self._holder_depth = 0
            value = self._end_of_holder(value)
        if not depth:
            self.answer = value if isinstance(value, dict) else {}
            return
        if depth == self._holder_depth:
            # A record. Its name alone is of further use: none may come twice.
            if tag in self._rows_names:
                raise _comes_twice(tags[-1])
            self._rows_names.add(tag)
            self._rows[tag] = value
            children[-1] = {}
            return
        others = children[-1]
        if others is None:
            children[-1] = {tag: value}
        elif tag in others:
            raise _comes_twice(tags[-1])
        else:
            others[tag] = value
        if self._begin_beside is not None and depth <= _ENVELOPE_DEPTH:
            self._end_in_envelope(tag, depth, value)

    def _check_space(self, tag: str) -> None:
        """Let go of white space between the elements of one; anything else is an error."""
        if any(map(str.strip, self._texts)):
            raise MalformedAnswerError(f"text stands between the elements of <{tag[:_SHOWN]}>")
        self._texts.clear()

    def _start_in_envelope(self, tag: str, depth: int) -> None:
        """Begin the answer itself, or what is in it or in its `params`."""
        if not depth:
            if tag != "return":
                raise MalformedAnswerError(
                    f"the answer's root must be <return>, not <{tag[:_SHOWN]}>"
                )
        elif not self._hands_over or (depth > 1 and self._tags[1] != "params"):
            pass
        elif tag == "cdr":
            self._holder_depth = depth + 1
        elif depth > 1 or tag != "params":
            self._begin_beside = self._expat.CurrentByteIndex

    def _end_in_envelope(self, tag: str, depth: int, value: Value) -> None:
        """Take note of how much stood beside the records."""
        if self._begin_beside is None or (depth > 1 and self._tags[1] != "params"):
            return
        begin, self._begin_beside = self._begin_beside, None
        # A row is one, wherever it stands.
        if not is_row(tag, value):
            length = self._expat.CurrentByteIndex - begin
            self._beside += max(length, _MOST_BESIDE // _MOST_ELEMENTS_BESIDE)
            self._check_beside(self._beside)

    def _check_beside(self, beside: int) -> None:
        if beside > _MOST_BESIDE:
            raise MalformedAnswerError(
                f"the answer is refused: over {_MOST_BESIDE:,} bytes or "
                f"{_MOST_ELEMENTS_BESIDE:,} elements stand beside its records"
            )

    def _end_of_holder(self, value: Value) -> Value:
        """Put how many there were in the place of the records that were handed over."""
        names, self._rows_names = self._rows_names, set()
        return Chunked(len(names)) if names else value


def _comes_twice(tag: str) -> MalformedAnswerError:
    return MalformedAnswerError(f"an element comes twice in <{tag[:_SHOWN]}>")
