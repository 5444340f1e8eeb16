"""The API's answers as bytes: JSON as PHP's `json_encode` writes it, and the provider's XML."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .rows import Row

EmptyForm: TypeAlias = Literal[
    "list", "cdr_list", "object", "cdr_object", "string", "null", "missing"
]
"""How an answer without calls looks. The page shows none, so a client must read each form."""

ResultAs: TypeAlias = Literal["text", "number"]
"""Whether `result` is `"1"`, as the page shows it, or `1`."""

# PHP writes an empty map as `[]`, so the two list forms are the likely ones.
_EMPTY_PARAMS: dict[EmptyForm, object] = {
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


def params_entry(rows: Sequence[Row], empty: EmptyForm) -> dict[str, object]:
    """Return an answer's `params` entry with numbered records.

    It is `{"params": {"cdr": {"call_1": ..., "call_2": ...}}}`.

    Args:
        rows: The records, in the answer's order.
        empty: What stands there when `rows` is empty; `"missing"` leaves the entry out.
    """
    if rows:
        return {"params": {"cdr": {f"call_{at}": row for at, row in enumerate(rows, 1)}}}
    return {} if empty == "missing" else {"params": _EMPTY_PARAMS[empty]}


def write_json(value: object) -> bytes:
    r"""Encode as PHP does: no blanks, `\/` for a slash, `\uXXXX` for what is not ASCII.

    A `bytes` value keeps its bytes, valid UTF-8 or not. We escape only JSON's own characters in it.
    """
    if isinstance(value, bytes):
        text = _CONTROL.sub(lambda match: _dump(match[0])[1:-1], value.decode("latin-1"))
        return b'"' + text.replace("/", "\\/").encode("latin-1") + b'"'
    if not isinstance(value, Mapping):
        return _escaped(value)
    items = cast("Mapping[str, object]", value)
    # Give a whole record to the encoder in C: an answer can have 100,000 of them. It refuses
    # `bytes`, and a mapping that is no dict. To try takes 15 µs a record; with a look at each of
    # its values first, it took 20.
    if dict not in map(type, items.values()):
        with suppress(TypeError):
            return _escaped(dict(items))
    return b"{" + b",".join(write_json(key) + b":" + write_json(items[key]) for key in items) + b"}"


def _escaped(value: object) -> bytes:
    return _dump(value).replace("/", "\\/").encode("ascii")


def write_xml(value: Mapping[str, object]) -> bytes:
    """Encode as a UTF-8 document with the root `<return>`.

    XML says less than JSON: None and the empty string are both an empty element, and characters
    that XML 1.0 forbids are dropped.
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
    # XML parsers turn a plain carriage return into a line feed, so we write it as a reference.
    return (
        _FORBIDDEN_IN_XML.sub("", text)
        .replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace('"', "&quot;")
        .replace("\r", "&#13;")
    )
