"""Rows as the provider sends them → `CDR`, by one cattrs converter.

The fields are those of the page "Get Calls History"; "everything in a record is a string or
null" there, and what else comes is read as the text it stands for.
"""

from __future__ import annotations

import json
import marshal
from datetime import date
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeVar, cast

import attrs
import cattrs

from .errors import RecordError
from .models import CDR, Disposition, Extra
from .wallclock import read_wall

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .wallclock import WallClock

__all__ = ["DIGEST_SIZE", "content", "make_converter"]

T = TypeVar("T")

DIGEST_SIZE = 16
"""Bytes of a content digest: at 128 bits, two contents never share one by chance."""

_API_NAMES = {"src_call_id": "srcCallID"}
_ATTRIBUTES: dict[str, str] = {
    _API_NAMES.get(name, name): name for name in attrs.fields_dict(CDR) if name != "extra"
}
_TEXTS: dict[str, str] = {
    api_name: name
    for api_name, name in _ATTRIBUTES.items()
    if attrs.fields_dict(CDR)[name].type in (str, "str")
}

# Asterisk's number for a disposition, as some of its back ends store it.
_DISPOSITIONS = {str(word): word for word in Disposition} | {
    "0": Disposition.NO_ANSWER,
    "2": Disposition.FAILED,
    "4": Disposition.BUSY,
    "8": Disposition.ANSWERED,
    "16": Disposition.CONGESTION,
}

# What stands for "unset" where something else than text is expected. MySQL's zero dates are
# documented on the page (`answer` of an unanswered call); `NULL` was seen in real records.
_UNSET = frozenset({"", "NULL", "0000-00-00 00:00:00", "0000-00-00"})


def make_converter(clock: WallClock) -> cattrs.Converter:
    """Make the converter that structures a row, a dict of the API's names, into a `CDR`.

    Structuring raises `RecordError`, naming the field and the value that cannot be read.
    """
    converter = cattrs.Converter()

    def structure(row: object, _: type[CDR]) -> CDR:
        if not isinstance(row, dict) or not row:
            raise RecordError("a record must be a map of fields", value=row)  # pyright: ignore[reportUnknownArgumentType]
        return _build(cast("dict[str, object]", row), clock)

    converter.register_structure_hook(CDR, structure)
    return converter


def content(row: Mapping[str, object]) -> bytes:
    """Give a digest of all that a readable row says: equal for a row sent again, else different.

    Null, empty and missing are the same; so is the order of the fields.
    """
    known: list[object] = [
        "" if (value := row.get(name)) is None else value for name in _ATTRIBUTES
    ]
    if row.keys() != _ATTRIBUTES.keys():
        for name in sorted(row.keys() - _ATTRIBUTES.keys()):
            if told := _extra(row[name]):
                known += (name, told)
    # Version 2 writes each text with its length and never by reference: no two lists share it.
    return blake2b(marshal.dumps(known, 2), digest_size=DIGEST_SIZE).digest()


def _build(row: dict[str, object], clock: WallClock) -> CDR:
    values: dict[str, object] = {
        name: value if isinstance(value := row.get(api_name), str) else _text(api_name, value)
        for api_name, name in _TEXTS.items()
    }
    start = _read(row, "start", read_wall)
    if start is None:
        raise RecordError(
            "a record must have a start", field="start", value=row.get("start", "nothing")
        )
    began, answered, ended = clock.moments(
        start,
        _read(row, "answer", read_wall),
        _read(row, "end", read_wall),
        cast("str", values["uniqueid"]),
    )
    if row.keys() - _ATTRIBUTES.keys():
        values["extra"] = Extra(
            (name, _extra(value)) for name, value in row.items() if name not in _ATTRIBUTES
        )
    return CDR(
        start=began,
        answer=answered,
        end=ended,
        duration=_read(row, "duration", _whole),
        billsec=_read(row, "billsec", _whole),
        disposition=_read(row, "disposition", _disposition),
        sequence=_read(row, "sequence", _whole),
        prevsequence=_read(row, "prevsequence", _whole),
        cc_date=_read(row, "cc_date", _day),
        cc_type_id=_read(row, "cc_type_id", _whole),
        cc_cost=_read(row, "cc_cost", _amount),
        **values,  # type: ignore[arg-type]
    )


def _read(row: dict[str, object], field: str, read: Callable[[str], T]) -> T | None:
    """Read one field that is no text; unset is None."""
    value = row.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        raise RecordError("neither a text nor null", field=field, value=value)
    if value in _UNSET:
        return None
    try:
        return read(value)
    except (ValueError, InvalidOperation) as error:
        raise RecordError(str(error), field=field, value=value) from None


def _text(field: str, value: object) -> str:
    """Give a documented field as text: null and missing are empty."""
    if isinstance(value, (dict, list)):
        raise RecordError("neither a text nor null", field=field, value=cast("object", value))
    return _extra(value)


def _extra(value: object) -> str:
    """Give whatever else was sent as text, a nested value as JSON."""
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)
    except RecursionError:
        raise RecordError("nested too deep", value=value) from None


def _whole(text: str) -> int:
    digits = text.strip()
    if not digits.isascii() or not digits.removeprefix("-").isdigit():
        raise ValueError("not a whole number")
    return int(digits)


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError("not a decimal number") from None
    if not amount.is_finite() or "_" in text or not text.isascii():
        raise ValueError("not a decimal number")
    return amount


def _day(text: str) -> date:
    if len(text) != len("2018-02-06") or text[4] != "-" or text[7] != "-":
        raise ValueError("not a date of the form yyyy-mm-dd")
    return date.fromisoformat(text)


def _disposition(text: str) -> Disposition:
    return _DISPOSITIONS.get(text.strip().upper()) or Disposition(text)
