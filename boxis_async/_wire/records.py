"""Rows as the provider sends them → `CDR`, by one cattrs converter; and what each is known by.

The fields are those of the page "Get Calls History". "Everything in a record is a string or null"
there; whatever else comes is read as the text that it stands for.

Most of what a stream computes is this, so it is written for speed. Three tricks, each beside what
it replaces, measured on a thousand rows of the stand-in:

- A record is built as an instance of `_draft()`, a class of the same slots that is not frozen, and
  its class is then changed to `CDR`. A frozen class sets each of 39 fields by a call of its own,
  which takes nine times as long.
- Times are looked up by their hour, see `WallClock.moment`. To read each takes four times as long.
- What the texts of a field mean is remembered, as most come again and again. To read each takes
  three times as long.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache
from hashlib import blake2b
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import attrs

from boxis_async._wire.wallclock import YEARS, read_wall
from boxis_async.errors import RecordError
from boxis_async.models import CDR, Disposition, Extra, Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import cattrs

    from boxis_async._wire.wallclock import WallClock

__all__ = ["FINGERPRINT_SIZE", "Fingerprinter", "Records", "leg_text", "make_converter"]

T = TypeVar("T")

FINGERPRINT_SIZE = 16
"""Bytes of a fingerprint: at 128 bits, no two contents share one by chance."""

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

# Characters of a text whose meaning is remembered.
_LONGEST_REMEMBERED = 64

# What no record comes near. Without a limit, a hostile one could take seconds and gigabytes here,
# or raise what nobody expects of a sum, a time zone or a file.
_LONGEST_RECORD: Final = 128 * 1024
"""Characters of all texts of a record; in real ones some 600."""
_MOST_OTHER_FIELDS: Final = 1000
_MOST_NESTED: Final = 1000
"""Values within a value that nobody documented."""
_MOST_DIGITS: Final = 128
_COST_EXPONENTS: Final = range(-128, 33)
_LONGEST_WORD: Final = 10_000

# ASCII's unit separator; see `_content_text`.
_SEPARATOR = "\x1f"


@attrs.frozen(eq=False, repr=False)
class Records:
    """Records, and beside each its fingerprints, two in one `bytes`.

    The first is of the record's leg. The second is of its content, all that was sent: null, empty
    and missing are the same there, and so is the order of the fields. A record without a `uniqueid`
    is known by its content alone, which then stands twice.

    Two lists, as Python's garbage collector would visit a pair for each record time and again.
    """

    cdrs: list[CDR] = attrs.field(factory=list[CDR])
    fingerprints: list[bytes] = attrs.field(factory=list[bytes])
    rejects: tuple[Reject, ...] = ()
    """What could not be read of the same answer."""

    def __len__(self) -> int:
        """How many records there are, with those that could not be read."""
        return len(self.cdrs) + len(self.rejects)

    def extend(self, other: Records) -> None:
        """Put further records behind these."""
        self.cdrs.extend(other.cdrs)
        self.fingerprints.extend(other.fingerprints)


class Fingerprinter:
    """Gives what a text is known by: BLAKE2b of 128 bits, keyed.

    The key is drawn for each run and kept in its coverage. So a resumed run knows the records
    again, and nobody who chooses what stands in a record can make two of them look the same.
    """

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        self._keyed = blake2b(key=key, digest_size=FINGERPRINT_SIZE)

    def of(self, text: str) -> bytes:
        """Give the fingerprint of a text."""
        return self.of_bytes(text.encode("utf-8", "surrogatepass"))

    def of_bytes(self, encoded: bytes) -> bytes:
        """Give the fingerprint of a text that is encoded as UTF-8."""
        # To copy a keyed hash takes half the time of making one.
        keyed = self._keyed.copy()
        keyed.update(encoded)
        return keyed.digest()


def make_converter(clock: WallClock, fingerprinter: Fingerprinter) -> cattrs.BaseConverter:
    """Make the converter that structures a row, a dict of the API's names, as a `CDR`.

    Many rows at once are structured as `Records`.

    Structuring raises `RecordError`, naming the field and the value that cannot be read.
    """
    import cattrs  # noqa: PLC0415 - it takes as long to load as all of this package

    # Both hooks are ours. To prepare the others, as `Converter` does, takes 0.3 ms instead of 0.06:
    # a tenth of what a look of a watch takes that finds nothing new.
    converter = cattrs.BaseConverter()
    read = _row_reader(clock, fingerprinter)
    converter.register_structure_hook(CDR, read)

    def read_many(rows: Iterable[Any], _: object) -> Records:
        fingerprints: list[bytes] = []
        return Records([read(row, CDR, fingerprints) for row in rows], fingerprints)

    converter.register_structure_hook(Records, read_many)
    return converter


def leg_text(cdr: CDR) -> str:
    """Write `CDR.leg` as one text, which no other leg has."""
    # Nearly every leg has a sequence, so we do not build the tuple first. The text of any other leg
    # begins with a colon, and so equals none of these.
    if cdr.sequence:
        return f"{cdr.sequence} {cdr.uniqueid}"
    return _with_lengths(cdr.leg)


def _row_reader(clock: WallClock, fingerprinter: Fingerprinter) -> Callable[..., CDR]:
    """Make the function that reads one row, and appends its fingerprints to a list."""
    moment, draft, fingerprint = clock.moment, _draft(), fingerprinter.of_bytes

    def read(row: Any, _: object, fingerprints: list[bytes] | None = None) -> CDR:  # noqa: ANN401
        sent, others = _fields_of(row)
        texts, rest = sent[:_TEXT_COUNT], sent[_TEXT_COUNT:]
        try:
            # There is no quicker way to check that all are texts.
            joined = _SEPARATOR.join(texts)
        except TypeError:
            texts = tuple(map(_text, _TEXTS, texts))
            joined = _SEPARATOR.join(texts)
        (
            start,
            answer,
            end,
            duration,
            billsec,
            disposition,
            sequence,
            prevsequence,
            cc_date,
            cc_type_id,
            cc_cost,
        ) = rest
        try:
            moments = (
                moment(start),
                None if answer in _UNSET else moment(answer),
                None if end in _UNSET else moment(end),
            )
        except (KeyError, TypeError):
            moments = _moments(row, texts[0], clock)
        if len(joined) > _LONGEST_RECORD:
            raise _too_long(dict(zip(_TEXTS, texts, strict=True)))
        extra = _others(row, others) if others else _NO_EXTRA
        try:
            values = (
                _seconds(duration),
                _seconds(billsec),
                _disposition(disposition),
                # Not remembered, as it is another one for each leg.
                None if sequence in _UNSET else _whole(sequence),
                None if prevsequence in _UNSET else _whole(prevsequence),
                _day(cc_date),
                _kind(cc_type_id),
                _amount(cc_cost),
                extra,
            )
        except (TypeError, ValueError, AttributeError):
            # One cannot be read, or is too long to be remembered.
            values = None
        if values is None:
            values = (*_values(rest), extra)
        # To unpack each of the three would take a fifth longer.
        cdr: CDR = draft(*texts + moments + values)
        cdr.__class__ = CDR
        if fingerprints is not None:
            fields = (
                start,
                joined,
                answer or "",
                end or "",
                duration or "",
                billsec or "",
                disposition or "",
                sequence or "",
                prevsequence or "",
                cc_date or "",
                cc_type_id or "",
                cc_cost or "",
            )
            content = fingerprint(_encoded(_content_text(fields, texts, extra)))
            leg = fingerprint(leg_text(cdr).encode()) if texts[0] else content
            fingerprints.append(leg + content)
        return cdr

    return read


def _fields_of(row: Any) -> tuple[tuple[Any, ...], Sequence[str]]:  # noqa: ANN401
    """List the values of the documented fields, texts first, and the names of the other fields."""
    try:
        sent = _documented(row)
        if len(row) == _FIELD_COUNT:
            return sent, ()
    except (KeyError, TypeError):
        if not row or type(row) is not dict:
            raise RecordError("a record must be a map of fields", value=row) from None
        sent = tuple(map(cast("Mapping[str, Any]", row).get, _FIELDS))
    return sent, [name for name in cast("Mapping[str, Any]", row) if name not in _ATTRIBUTES]


def _content_text(fields: tuple[str, ...], texts: tuple[str, ...], extra: Extra) -> str:
    """Write all that a row says as one text, which no other content has.

    Args:
        fields: The start, the joined texts, and the other fields.
        texts: The texts, one by one.
        extra: The fields that nobody documented.
    """
    if extra:
        fields += tuple(part for field in sorted(extra.items()) if field[1] for part in field)
    text = _SEPARATOR.join(fields)
    # Where no value holds the separator, it shows where each begins. To write the length of each
    # instead takes twelve times as long as to join and to count.
    if text.count(_SEPARATOR) == len(texts) + len(fields) - 2:
        return text
    # This one begins with a colon, and the other one with the digits of a time.
    return _with_lengths((*fields, *texts))


def _encoded(text: str) -> bytes:
    """Encode a text as UTF-8, and refuse halves of characters, which JSON's escapes can spell.

    We have to encode it anyway. To search the JSON for such escapes would take 0.34 us a record.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise RecordError("half a character", value=text) from None


def _with_lengths(parts: Iterable[str]) -> str:
    """Join texts, each behind its length: ("ab", "c") and ("a", "bc") are different."""
    return "".join(f":{len(part)}:{part}" for part in parts)


def _moments(
    row: dict[str, object], uniqueid: str, clock: WallClock
) -> tuple[datetime, datetime | None, datetime | None]:
    start = _read("start", row.get("start"), _time)
    if start is None:
        raise RecordError(
            "a record must have a start", field="start", value=row.get("start", "nothing")
        )
    answer = _read("answer", row.get("answer"), _time)
    end = _read("end", row.get("end"), _time)
    return clock.moments(start, answer, end, uniqueid)


def _values(rest: Sequence[object]) -> tuple[Any, ...]:
    """Read the fields that are neither text nor time, one by one, and remember none."""
    sent = rest[len(_TIMES) :]
    return tuple(
        _read(field, value, read)
        for (field, read), value in zip(_READERS.items(), sent, strict=True)
    )


def _read(field: str, sent: object, read: Callable[[str], T]) -> T | None:
    """Read one field that is no text; unset is None."""
    if sent is not None and not isinstance(sent, str):
        raise _no_text(field, sent)
    if sent is None or sent in _UNSET:
        return None
    try:
        return read(sent)
    except ValueError as error:
        raise RecordError(str(error), field=field, value=sent) from None


def _no_text(field: str, sent: object) -> RecordError:
    return RecordError("neither a text nor null", field=field, value=sent)


def _text(field: str, value: object) -> str:
    """Give a documented field as text: null and missing are empty."""
    if isinstance(value, (dict, list)):
        raise _no_text(field, cast("object", value))
    return _extra(field, value)


def _extra(field: str, value: object) -> str:
    """Give whatever else was sent as text, a nested value as JSON.

    Numbers come as texts. One that does not has lost its spelling: whether it was `1.50` or `1.5`.
    """
    if value is None or isinstance(value, str):
        return value or ""
    try:
        if _holds_number(field, value):
            raise RecordError("a number that is no text", field=field, value=value)
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    except RecursionError:
        raise RecordError("nested too deep", field=field, value=value) from None


def _others(row: Mapping[str, object], names: Sequence[str]) -> Extra:
    """Give the fields that nobody documented."""
    if len(names) > _MOST_OTHER_FIELDS:
        raise RecordError(f"over {_MOST_OTHER_FIELDS:,} fields that nobody documented", value=row)
    _encoded("".join(names))
    extra = Extra((name, _extra(name, row[name])) for name in names)
    if sum(map(len, extra.values())) + sum(map(len, extra)) > _LONGEST_RECORD:
        raise _too_long(extra)
    return extra


def _too_long(fields: Mapping[str, str]) -> RecordError:
    longest = max(fields, key=lambda name: len(fields[name]))
    return RecordError(
        f"the texts of a record may have {_LONGEST_RECORD:,} characters in all",
        field=longest,
        value=fields[longest],
    )


def _holds_number(field: str, value: object) -> bool:
    """Report whether a value is a number, or holds one.

    Raises:
        RecordError: It holds too much to be looked through.
    """
    values, length = [value], 0
    # It grows while we walk over it.
    for one in values:
        if isinstance(one, str):
            length += len(one)
        elif isinstance(one, dict):
            fields = cast("dict[str, object]", one)
            values += fields.values()
            length += sum(map(len, fields))
        elif isinstance(one, list):
            values += cast("list[object]", one)
        elif isinstance(one, (int, float)) and not isinstance(one, bool):
            return True
        if len(values) > _MOST_NESTED or length > _LONGEST_RECORD:
            raise RecordError("nested too deep, or with too much in it", field=field, value=value)
    return False


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of more than {_MOST_DIGITS} digits")
    if text.isascii() and text.isdigit():
        return int(text)
    digits = text.strip()
    if not digits.isascii() or not digits.removeprefix("-").isdigit():
        raise ValueError("not a whole number")
    return int(digits)


def _decimal(text: str) -> Decimal:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a decimal number of more than {_MOST_DIGITS} digits")
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError("not a decimal number") from None
    if not amount.is_finite() or "_" in text or not text.isascii():
        raise ValueError("not a decimal number")
    if (
        amount.as_tuple().exponent not in _COST_EXPONENTS
        or amount.adjusted() not in _COST_EXPONENTS
    ):
        raise ValueError("no amount of money is as large, or has as many decimals")
    return amount


def _date(text: str) -> date:
    if len(text) != len("2018-02-06") or text[4] != "-" or text[7] != "-":
        raise ValueError("not a date of the form yyyy-mm-dd")
    return date.fromisoformat(text)


def _time(text: str) -> datetime:
    wall = read_wall(text)
    if wall.year not in YEARS:
        raise ValueError(f"no time of the years {YEARS[0]} to {YEARS[-1]}")
    return wall


def _word(text: str) -> Disposition:
    if len(text) > _LONGEST_WORD:
        raise ValueError(f"a word of more than {_LONGEST_WORD} characters")
    return _DISPOSITIONS.get(text.strip().upper()) or Disposition(text)


def _remembering(read: Callable[[str], T]) -> Callable[[str | None], T | None]:
    """Remember what the latest texts of a field mean; whatever is unset is None."""

    @lru_cache(maxsize=2048)
    def remember(sent: str | None) -> T | None:
        if sent is None or sent in _UNSET:
            return None
        if len(sent) > _LONGEST_REMEMBERED:
            raise ValueError("to remember it would take more memory than it saves time")
        return read(sent)

    return remember


_seconds = _remembering(_whole)
_disposition = _remembering(_word)
_day = _remembering(_date)
_kind = _remembering(_whole)
_amount = _remembering(_decimal)
_READERS: dict[str, Callable[[str], object]] = {
    "duration": _whole,
    "billsec": _whole,
    "disposition": _word,
    "sequence": _whole,
    "prevsequence": _whole,
    "cc_date": _date,
    "cc_type_id": _whole,
    "cc_cost": _decimal,
}
_FIELDS = (*_TEXTS, *_TIMES, *_READERS)
_TEXT_COUNT, _FIELD_COUNT = len(_TEXTS), len(_FIELDS)
_documented = cast("Callable[[Mapping[str, object]], tuple[object, ...]]", itemgetter(*_FIELDS))


@cache
def _draft() -> Any:  # noqa: ANN401
    """Make a class of the same slots as `CDR`, not frozen, whose instances can become one."""
    return attrs.make_class(
        "_Draft",
        [*map(_ATTRIBUTES.__getitem__, _FIELDS), "extra"],
        bases=CDR.__bases__,
        slots=True,
        weakref_slot=False,
        eq=False,
        repr=False,
    )
