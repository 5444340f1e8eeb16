"""Rows as the provider sends them → `CDR`, by one cattrs converter.

The fields are those of the page "Get Calls History"; "everything in a record is a string or
null" there, and what else comes is read as the text it stands for.
"""

from __future__ import annotations

import json
import marshal
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from operator import getitem, itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import attrs
import cattrs

from .errors import RecordError
from .models import CDR, Disposition, Extra
from .wallclock import read_wall

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .wallclock import WallClock

__all__ = ["DIGEST_SIZE", "Reading", "make_converter"]

T = TypeVar("T")

_PARTED_BY = "\0"

DIGEST_SIZE = 16
"""Bytes of a content digest: at 128 bits, two contents never share one by chance."""

_API_NAMES = {"src_call_id": "srcCallID"}
_ATTRIBUTES: dict[str, str] = {
    _API_NAMES.get(name, name): name for name in attrs.fields_dict(CDR) if name != "extra"
}
_IS_TEXT = {name: field.type in (str, "str") for name, field in attrs.fields_dict(CDR).items()}
_TEXTS = tuple(api_name for api_name, name in _ATTRIBUTES.items() if _IS_TEXT[name])
_TIMES = ("start", "answer", "end")
_NO_EXTRA = CDR(start=datetime.min).extra  # noqa: DTZ901 - of any record without other fields

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
_UNSET = frozenset({None, "", "NULL", "0000-00-00 00:00:00", "0000-00-00"})


class Reading(NamedTuple):
    """What a row reads as: the record, and a digest of all that was sent for it.

    The digest is equal for a row that is sent again, else different. Null, empty and missing
    are the same to it; so is the order of the fields.
    """

    cdr: CDR
    content: bytes


def make_converter(clock: WallClock) -> cattrs.Converter:
    """Make the converter that structures a row, a dict of the API's names: `CDR` or `Reading`.

    Structuring raises `RecordError`, naming the field and the value that cannot be read.
    """
    converter = cattrs.Converter()
    converter.register_structure_hook(CDR, lambda row, _: _read_row(row, clock, digests=False).cdr)
    converter.register_structure_hook(Reading, lambda row, _: _read_row(row, clock, digests=True))
    return converter


def _read_row(row: object, clock: WallClock, *, digests: bool) -> Reading:
    """Read a row; most of what a stream computes is this, so it is written for speed."""
    if not isinstance(row, dict) or not row:
        raise RecordError("a record must be a map of fields", value=row)  # pyright: ignore[reportUnknownArgumentType]
    row = cast("dict[str, object]", row)
    sent, others = _sent(row)
    said: Sequence[object] = sent[: len(_TEXTS)]
    texts = said
    joined = _joined(said)
    if joined is None:
        texts = tuple(map(_text, _TEXTS, texts))
        # Not of these: a value that is read as a text need not be one.
        said = _unset_as_empty(sent[: len(_TEXTS)])
        joined = _joined(said)
    start, answer, end, *values = sent[len(_TEXTS) :]
    try:
        moments = (
            clock.moment(cast("str", start)),
            None if answer in _UNSET else clock.moment(cast("str", answer)),
            None if end in _UNSET else clock.moment(cast("str", end)),
        )
    except (KeyError, TypeError):
        moments = _moments(row, cast("str", texts[0]), clock)
    extra = Extra((name, _extra(row[name])) for name in others) if others else _NO_EXTRA
    try:
        known = [*map(getitem, _KNOWN, values)]
    except TypeError:
        field, value = next(
            (field, cast("object", value))
            for field, value in zip(_READERS, values, strict=True)
            if isinstance(value, (dict, list))
        )
        raise _no_text(field, value) from None
    cdr = _Draft(*texts, *moments, *known, extra)
    cdr.__class__ = CDR
    content = _digest(row, said, joined, sent, others) if digests else b""
    return Reading(cast("CDR", cdr), content)


def _digest(
    row: Mapping[str, object],
    texts: Sequence[object],
    joined: str | None,
    sent: tuple[object, ...],
    others: Sequence[str],
) -> bytes:
    """Give the digest of a row, whose texts may have been joined already."""
    rest = _unset_as_empty(sent[len(_TEXTS) :])
    for name in sorted(others):
        if told := _extra(row[name]):
            rest += (name, told)
    said = None if joined is None else _joined([joined, *rest])
    if said is not None and said.count(_PARTED_BY) == len(texts) + len(rest) - 1:
        # What parts the values is in none of them: no other values read the same.
        return blake2b(said.encode("utf-8", "surrogatepass"), digest_size=DIGEST_SIZE).digest()
    # Version 2 writes each text with its length and never by reference: no two lists share it.
    written = marshal.dumps([*texts, *rest], 2)
    return blake2b(written, digest_size=DIGEST_SIZE, person=b"marshal").digest()


def _unset_as_empty(values: Sequence[object]) -> list[object]:
    return ["" if value is None else value for value in values]


def _joined(values: Sequence[object]) -> str | None:
    """Join values that are all texts; None where one is not: there is no quicker way to ask."""
    try:
        return _PARTED_BY.join(cast("Sequence[str]", values))
    except TypeError:
        return None


def _sent(row: Mapping[str, object]) -> tuple[tuple[object, ...], Sequence[str]]:
    """List what the documented fields say, texts first, and the names of the other fields."""
    try:
        sent = _documented(row)
        is_all = len(row) == len(sent)
    except KeyError:
        sent = tuple(map(row.get, _FIELDS))
        is_all = False
    return sent, () if is_all else [name for name in row if name not in _ATTRIBUTES]


def _moments(
    row: dict[str, object], uniqueid: str, clock: WallClock
) -> tuple[datetime, datetime | None, datetime | None]:
    start = _read("start", row.get("start"), read_wall)
    if start is None:
        raise RecordError(
            "a record must have a start", field="start", value=row.get("start", "nothing")
        )
    answer = _read("answer", row.get("answer"), read_wall)
    end = _read("end", row.get("end"), read_wall)
    return clock.moments(start, answer, end, uniqueid)


class _Known(dict[object, object]):
    """What the texts of one field stand for: most come again and again, and are read once."""

    __slots__ = ("_field", "_read")

    def __init__(self, field: str, read: Callable[[str], object]) -> None:
        super().__init__(dict.fromkeys(_UNSET))
        self._field = field
        self._read = read

    def __missing__(self, sent: object) -> object:
        value = _read(self._field, sent, self._read)
        if len(self) < _REMEMBERED and len(cast("str", sent)) <= _SHORT:
            self[sent] = value
        return value


def _read(field: str, sent: object, read: Callable[[str], T]) -> T | None:
    """Read one field that is no text; unset is None."""
    if sent is not None and not isinstance(sent, str):
        raise _no_text(field, sent)
    if sent is None or sent in _UNSET:
        return None
    try:
        return read(sent)
    except (ValueError, InvalidOperation) as error:
        raise RecordError(str(error), field=field, value=sent) from None


def _no_text(field: str, sent: object) -> RecordError:
    return RecordError("neither a text nor null", field=field, value=sent)


def _text(field: str, value: object) -> str:
    """Give a documented field as text: null and missing are empty."""
    if isinstance(value, (dict, list)):
        raise _no_text(field, cast("object", value))
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
    if text.isascii() and text.isdigit():
        return int(text)
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


_REMEMBERED = 2048  # texts for each field, and none that is longer than:
_SHORT = 64
_READERS: dict[str, Callable[[str], object]] = {
    "duration": _whole,
    "billsec": _whole,
    "disposition": _disposition,
    "sequence": _whole,
    "prevsequence": _whole,
    "cc_date": _day,
    "cc_type_id": _whole,
    "cc_cost": _amount,
}
_KNOWN = tuple(_Known(field, read) for field, read in _READERS.items())
_FIELDS = (*_TEXTS, *_TIMES, *_READERS)
_documented = cast("Callable[[Mapping[str, object]], tuple[object, ...]]", itemgetter(*_FIELDS))

# The constructor of a frozen class sets each field by a call of its own. Another class with the
# same slots does without, which is many times as fast; what it makes then becomes a CDR.
_Draft: Any = attrs.make_class(
    "_Draft",
    [*map(_ATTRIBUTES.__getitem__, _FIELDS), "extra"],
    bases=CDR.__bases__,
    slots=True,
    weakref_slot=False,
    eq=False,
    repr=False,
)
