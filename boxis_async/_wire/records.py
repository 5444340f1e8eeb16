"""Rows as the provider sends them → `CDR`, by one cattrs converter.

The fields are those of the page "Get Calls History"; "everything in a record is a string or
null" there, and what else comes is read as the text it stands for.
"""

from __future__ import annotations

import json
import marshal
import struct
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from hashlib import blake2b
from operator import getitem, itemgetter
from os import urandom
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import attrs

from boxis_async.errors import RecordError
from boxis_async.models import CDR, Disposition, Extra

from .wallclock import read_wall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import cattrs

    from .wallclock import WallClock

__all__ = ["DIGEST_SIZE", "Readings", "digest", "fingerprint", "leg_text", "make_converter"]

T = TypeVar("T")

# Two control characters that nobody knows, so that they are in no text: no value can pass for a
# part of its neighbour.
_PARTED_BY = "".join(chr(0x80 + byte % 0x20) for byte in urandom(2))

DIGEST_SIZE = 16
"""Bytes of a digest or a fingerprint: at 128 bits, no two contents share one by chance."""

_two_hashes = struct.Struct("qq").pack
_four_hashes = struct.Struct("qqqq").pack

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


Readings: TypeAlias = tuple[list[CDR], list[bytes]]
"""What rows read as: the records, and what each is known by, two fingerprints in one `bytes`.

The first is of the record's leg, and the second of its content: of all that was sent. That one is
equal for a row that is sent again, else different. Null, empty and missing are the same to it; so
is the order of the fields. Neither tells anything to another process. A record without a
`uniqueid` is known by its content alone, and by the same everywhere: its `digest` stands twice.

Two lists, as the garbage collector would look at a pair for each record time and again.
"""


def make_converter(clock: WallClock) -> cattrs.Converter:
    """Make the converter that structures a row, a dict of the API's names, as a `CDR`.

    Many rows at once are structured as `Readings`.

    Structuring raises `RecordError`, naming the field and the value that cannot be read.
    """
    import cattrs  # noqa: PLC0415 - only who makes a client waits for it

    converter = cattrs.Converter()
    read = _row_reader(clock)
    converter.register_structure_hook(CDR, read)

    def read_many(rows: Iterable[Any], _: object) -> Readings:
        known_by: list[bytes] = []
        return [read(row, CDR, known_by) for row in rows], known_by

    converter.register_structure_hook_func(lambda kind: kind is Readings, read_many)
    return converter


def fingerprint(text: str) -> bytes:
    """Give what a text is known by throughout this process, in a fraction of a digest's time.

    It is two of Python's own hashes, of 64 bits each, by a key that the process drew. What they
    are of differs in length, so that one is as good as independent of the other.
    """
    return _two_hashes(hash(text), hash(text + "."))


def leg_text(cdr: CDR) -> str:
    """Write `CDR.leg` as one text, which no other leg has."""
    sequence = cdr.sequence
    if sequence is not None:
        return f"{sequence} {cdr.uniqueid}"
    # Each part behind its length: ("ab", "c") and ("a", "bc") are different legs.
    return "".join(f":{len(part)}:{part}" for part in cdr.leg)


def digest(cdr: CDR) -> bytes:
    """Give a digest of all that a record says, the same in every process."""
    values = (getattr(cdr, name) for name in _ATTRIBUTES.values())
    said = ["" if value is None else str(value) for value in values]
    said += _told(cdr.extra)
    # Version 2 writes each text with its length and never by reference: no two lists share it.
    return blake2b(marshal.dumps(said, 2), digest_size=DIGEST_SIZE).digest()


def _row_reader(clock: WallClock) -> Callable[..., CDR]:
    """Make what reads rows; most of what a stream computes is this, so it is written for speed."""
    moment, draft, join = clock.moment, _draft(), _PARTED_BY.join

    def read(row: Any, _: object, known_by: list[bytes] | None = None) -> CDR:  # noqa: ANN401
        sent, others = _sent(row)
        texts, rest = sent[:_TEXT_COUNT], sent[_TEXT_COUNT:]
        try:
            # There is no quicker way to ask whether all are texts.
            joined = join(texts)
        except TypeError:
            texts = tuple(
                text if isinstance(text, str) else _text(name, text)
                for name, text in zip(_TEXTS, texts, strict=True)
            )
            joined = join(texts)
        # Each by itself: to go through them takes twice as long as to write them down.
        start, answer, end, duration, billsec, disposition, sequence, before, day, kind, cost = rest
        try:
            moments = (
                moment(start),
                None if answer in _UNSET else moment(answer),
                None if end in _UNSET else moment(end),
            )
        except (KeyError, TypeError):
            moments = _moments(row, texts[0], clock)
        extra = Extra((name, _extra(row[name])) for name in others) if others else _NO_EXTRA
        try:
            known = [*map(getitem, _KNOWN, rest[_TIME_COUNT:])]
        except TypeError:
            field, nested = next(
                (field, cast("object", value))
                for field, value in zip(_READERS, rest[_TIME_COUNT:], strict=True)
                if isinstance(value, (dict, list))
            )
            raise _no_text(field, nested) from None
        cdr: CDR = draft(*texts, *moments, *known, extra)
        cdr.__class__ = CDR
        if known_by is None:
            return cdr
        uniqueid = texts[0]
        if not uniqueid:
            known_by.append(digest(cdr) * 2)
            return cdr
        content = join(
            (
                joined,
                start,
                answer or "",
                end or "",
                duration or "",
                billsec or "",
                disposition or "",
                sequence or "",
                before or "",
                day or "",
                kind or "",
                cost or "",
            )
        )
        if extra:
            content = join((content, *_told(extra)))
        number: Any = cdr.sequence
        try:
            known_by.append(
                _four_hashes(
                    # Within a uniqueid no two sequences give the same.
                    hash(uniqueid) ^ number,
                    hash(uniqueid + "."),
                    # As `fingerprint` gives it.
                    hash(content),
                    hash(content + "."),
                )
            )
        except (TypeError, struct.error):
            # There is no sequence, or a huge one.
            known_by.append(fingerprint(leg_text(cdr)) + fingerprint(content))
        return cdr

    return read


def _sent(row: Any) -> tuple[tuple[Any, ...], Sequence[str]]:  # noqa: ANN401
    """List what the documented fields say, texts first, and the names of the other fields."""
    try:
        sent = _documented(row)
        if len(row) == _FIELD_COUNT:
            return sent, ()
    except (KeyError, TypeError):
        if not row or type(row) is not dict:
            raise RecordError("a record must be a map of fields", value=row) from None
        sent = tuple(map(cast("Mapping[str, Any]", row).get, _FIELDS))
    return sent, [name for name in cast("Mapping[str, Any]", row) if name not in _ATTRIBUTES]


def _told(extra: Extra) -> list[str]:
    """List the names and texts of the other fields, of those that say something."""
    fields = sorted((name, told) for name, told in extra.items() if told)
    return [part for field in fields for part in field]


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
    """Give whatever else was sent as text, a nested value as JSON.

    Numbers come as texts. One that does not has lost its spelling: whether it was `1.50` or `1.5`.
    """
    if isinstance(value, str):
        return value
    try:
        if _holds_number(value):
            raise RecordError("a number that is no text", value=value)
        return "" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)
    except RecursionError:
        raise RecordError("nested too deep", value=value) from None


def _holds_number(value: object) -> bool:
    if isinstance(value, dict):
        value = list(cast("dict[str, object]", value).values())
    if isinstance(value, list):
        return any(map(_holds_number, cast("list[object]", value)))
    return isinstance(value, (int, float)) and not isinstance(value, bool)


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
_TEXT_COUNT, _TIME_COUNT, _FIELD_COUNT = len(_TEXTS), len(_TIMES), len(_FIELDS)
_documented = cast("Callable[[Mapping[str, object]], tuple[object, ...]]", itemgetter(*_FIELDS))


@cache
def _draft() -> Any:  # noqa: ANN401
    """Make a class of the same slots as `CDR`, whose instances can become one.

    The constructor of a frozen class sets each field by a call of its own. One that is not frozen
    does without, which is many times as fast.
    """
    return attrs.make_class(
        "_Draft",
        [*map(_ATTRIBUTES.__getitem__, _FIELDS), "extra"],
        bases=CDR.__bases__,
        slots=True,
        weakref_slot=False,
        eq=False,
        repr=False,
    )
