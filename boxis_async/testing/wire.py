"""Answers as bytes: JSON as PHP's `json_encode` writes it, and the provider's XML."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boxis_async.testing.ledger import Row

EmptyForm: TypeAlias = Literal[
    "list", "cdr_list", "object", "cdr_object", "string", "null", "missing"
]
"""How an answer without calls looks; the page shows none, so a client must read each of them."""

ResultAs: TypeAlias = Literal["text", "number"]
"""Whether `result` is `"1"`, as the page shows it, or `1`."""

# PHP writes an empty map as `[]`: that is why the list forms come first on any client's list.
_EMPTY: dict[EmptyForm, object] = {
    "list": [],
    "cdr_list": {"cdr": []},
    "object": {},
    "cdr_object": {"cdr": {}},
    "string": "",
    "null": None,
}

_FORBIDDEN_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONTROL = re.compile(r"[\x00-\x1f\"\\]")
_dump = json.JSONEncoder(separators=(",", ":")).encode


def numbered(rows: Sequence[Row], empty: EmptyForm) -> dict[str, object]:
    """Build the answer's `params` entry: `{"params": {"cdr": {"call_1": ...}}}`.

    Args:
        rows: The records, in the answer's order.
        empty: What stands there when `rows` is empty; `"missing"` leaves the entry out.
    """
    if rows:
        return {"params": {"cdr": {f"call_{at}": row for at, row in enumerate(rows, 1)}}}
    return {} if empty == "missing" else {"params": _EMPTY[empty]}


def write_json(value: object) -> bytes:
    r"""Encode as PHP does: no blanks, `\/` for a slash, `\uXXXX` for all that is not ASCII.

    A `bytes` value keeps its bytes, valid or not: only JSON's own characters are escaped in it.
    """
    if isinstance(value, bytes):
        text = _CONTROL.sub(lambda found: _dump(found[0])[1:-1], value.decode("latin-1"))
        return b'"' + text.replace("/", "\\/").encode("latin-1") + b'"'
    if isinstance(value, Mapping):
        items = cast("Mapping[str, object]", value)
        if any(isinstance(item, (bytes, Mapping)) for item in items.values()):
            inside = b",".join(write_json(key) + b":" + write_json(items[key]) for key in items)
            return b"{" + inside + b"}"
        # A whole record in one go: the encoder in C is what makes 100,000 rows bearable.
        value = dict(items)
    return _dump(value).replace("/", "\\/").encode("ascii")


def write_xml(value: Mapping[str, object]) -> bytes:
    """Encode as a UTF-8 document with the root `<return>`.

    None and the empty string are both an empty element, and characters that XML 1.0 forbids are
    dropped: what a reader gets from XML is less than what it gets from JSON.
    """
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + _element("return", value) + b"\n"


def _element(name: str, value: object) -> bytes:
    if isinstance(value, Mapping):
        items = cast("Mapping[str, object]", value)
        inside = b"".join(_element(key, item) for key, item in items.items())
    elif isinstance(value, (list, tuple)):
        entries = cast("Sequence[object]", value)
        inside = b"".join(_element("item", entry) for entry in entries)
    elif isinstance(value, bytes):
        inside = _escape(value.decode("latin-1")).encode("latin-1")
    else:
        inside = b"" if value is None else _escape(str(value)).encode()
    tag = name.encode()
    return b"<%b>%b</%b>" % (tag, inside, tag) if inside else b"<%b/>" % tag


def _escape(text: str) -> str:
    # A carriage return written plainly would come back as a line feed: XML folds line ends.
    return (
        _FORBIDDEN_IN_XML.sub("", text)
        .replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace('"', "&quot;")
        .replace("\r", "&#13;")
    )
