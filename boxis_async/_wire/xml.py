"""Answers in XML → the same plain dicts as from JSON, through defusedxml (extra `xml`).

The root is `<return>` with `<result>`, `<resulttxt>`, `<params>` and `<timestamp>`; records are
numbered elements (pages "Get Line List", "Get Line Details", "SMS Get History").
"""

from __future__ import annotations

import codecs
import logging
import re
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import TreeBuilder

from boxis_async._wire.cooperative import at_once
from boxis_async.errors import MalformedAnswerError, MissingExtraError

try:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, XMLParser
except ImportError as error:
    raise MissingExtraError(
        'returntype="xml" needs defusedxml: pip install "boxis-async[xml]"'
    ) from error

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from boxis_async._wire.cooperative import Chunks

__all__ = ["read_xml", "xml_in_chunks"]

logger = logging.getLogger("boxis_async")

_BEGIN = re.compile(rb"<\?xml\b|<return\b")
_ENCODING = re.compile(rb"""<\?xml[^>]*?\bencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_DEEPEST = 16

# Characters that are parsed, or elements that are made into dicts, between two pauses.
_CHARACTERS = 16 * 1024
_ELEMENTS = 64
# The elements in which records stand.
_HOLDERS = frozenset({"return", "params", "cdr"})


def read_xml(body: bytes) -> dict[str, Any]:
    """Read an XML answer at once; otherwise as `xml_in_chunks`."""
    return at_once(xml_in_chunks(body))


def xml_in_chunks(body: bytes) -> Chunks[dict[str, Any]]:
    """Read an XML answer: an element with children is a dict, any other its text.

    Raises:
        MalformedAnswerError: It is not complete and well formed, has another root, defines
            entities, or has two elements of one name side by side.
    """
    begin = _BEGIN.search(body)
    if begin is None:
        raise MalformedAnswerError("the answer is not XML: it has no <return>")
    if body[: begin.start()].strip():
        logger.warning("%d bytes stand before the answer; they are skipped", begin.start())
    try:
        root = yield from _parsed(_decoded(body[begin.start() :]))
    except (ParseError, DefusedXmlException, ValueError, RecursionError) as error:
        raise MalformedAnswerError(f"the answer is not complete, safe XML: {error}") from None
    if root.tag != "return":
        raise MalformedAnswerError(f"the answer's root must be <return>, not <{root.tag[:80]}>")
    answer = yield from _value_in_chunks(root, _DEEPEST)
    return answer if isinstance(answer, dict) else {}


def _parsed(text: str) -> Chunks[Element]:
    parser = XMLParser(target=TreeBuilder())
    for begin in range(0, len(text), _CHARACTERS):
        if begin:
            yield []
        parser.feed(text[begin : begin + _CHARACTERS])
    return parser.close()


def _decoded(body: bytes) -> str:
    """Decode as declared; what is not valid becomes replacement characters, not an error."""
    declared = _ENCODING.match(body)
    encoding = "utf-8" if declared is None else declared[1].decode("ascii")
    try:
        codecs.lookup(encoding)
        return body.decode(encoding, "replace")
    except (LookupError, ValueError):
        return body.decode("utf-8", "replace")


def _value_in_chunks(element: Element, depth: int) -> Chunks[dict[str, Any] | str]:
    if element.tag not in _HOLDERS or not len(element):
        return _value(element, depth)
    _check_what_holds_others(element, depth)
    found: dict[str, Any] = {}
    for number, child in enumerate(element, 1):
        found[child.tag] = yield from _value_in_chunks(child, depth - 1)
        # So that the tree is freed bit by bit too.
        child.clear()
        if not number % _ELEMENTS:
            yield []
    return _each_once(found, element)


def _value(element: Element, depth: int) -> dict[str, Any] | str:
    if not len(element):
        return element.text or ""
    _check_what_holds_others(element, depth)
    return _each_once({child.tag: _value(child, depth - 1) for child in element}, element)


def _check_what_holds_others(element: Element, depth: int) -> None:
    if not depth:
        raise MalformedAnswerError("the answer's XML is nested too deep")
    if (element.text or "").strip() or any((child.tail or "").strip() for child in element):
        raise MalformedAnswerError(f"text stands between the elements of <{element.tag[:80]}>")


def _each_once(found: dict[str, Any], element: Element) -> dict[str, Any]:
    if len(found) != len(element):
        raise MalformedAnswerError(f"an element comes twice in <{element.tag[:80]}>")
    return found
