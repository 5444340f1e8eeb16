"""Answers in XML → the same plain dicts as from JSON, through defusedxml (extra `xml`).

The root is `<return>` with `<result>`, `<resulttxt>`, `<params>` and `<timestamp>`; records are
numbered elements (pages "Get Line List", "Get Line Details", "SMS Get History").
"""

from __future__ import annotations

import codecs
import logging
import re
from typing import TYPE_CHECKING, Any

from .errors import MalformedAnswerError, MissingExtraError

try:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring
except ImportError as error:
    raise MissingExtraError(
        'returntype="xml" needs defusedxml: pip install "boxis-async[xml]"'
    ) from error

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["read_xml"]

logger = logging.getLogger("boxis_async")

_BEGIN = re.compile(rb"<\?xml\b|<return\b")
_ENCODING = re.compile(rb"""<\?xml[^>]*?\bencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_DEEPEST = 16


def read_xml(body: bytes) -> dict[str, Any]:
    """Read an XML answer: an element with children is a dict, any other its text.

    Raises:
        MalformedAnswerError: It is not complete and well formed, has another root, defines
            entities, or has two elements of one name side by side.
    """
    begin = _BEGIN.search(body)
    if begin is None:
        raise MalformedAnswerError("the answer is not XML: it has no <return>")
    if body[: begin.start()].strip():
        logger.warning("%d bytes stand before the answer; they are read past", begin.start())
    try:
        root = fromstring(_decoded(body[begin.start() :]))
    except (ParseError, DefusedXmlException, ValueError, RecursionError) as error:
        raise MalformedAnswerError(f"the answer is not complete, safe XML: {error}") from None
    if root.tag != "return":
        raise MalformedAnswerError(f"the answer's root must be <return>, not <{root.tag[:80]}>")
    answer = _value(root, _DEEPEST)
    return answer if isinstance(answer, dict) else {}


def _decoded(body: bytes) -> str:
    """Decode as declared; what is not valid becomes replacement characters, not an error."""
    declared = _ENCODING.match(body)
    encoding = "utf-8" if declared is None else declared[1].decode("ascii")
    try:
        codecs.lookup(encoding)
        return body.decode(encoding, "replace")
    except (LookupError, ValueError):
        return body.decode("utf-8", "replace")


def _value(element: Element, depth: int) -> dict[str, Any] | str:
    if not len(element):
        return element.text or ""
    if not depth:
        raise MalformedAnswerError("the answer's XML is nested too deep")
    if (element.text or "").strip() or any((child.tail or "").strip() for child in element):
        raise MalformedAnswerError(f"text stands between the elements of <{element.tag[:80]}>")
    found = {child.tag: _value(child, depth - 1) for child in element}
    if len(found) != len(element):
        raise MalformedAnswerError(f"an element comes twice in <{element.tag[:80]}>")
    return found
