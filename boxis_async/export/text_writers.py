"""Rows as lines of text: CSV by RFC 4180, and JSON Lines.

Rows are taken column by column: each column becomes a list of texts, and then the lists become
lines. One look at all texts of a column shows whether any of them needs quotes or an escape, and
most columns need none. That takes 6 and 7 us a leg, where `csv` and `json`,
which look at each text, take 14 and 18 (`tests/bench/export_cost.py` has it beside the stream).
"""

from __future__ import annotations

import json
import re
from itertools import repeat
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from boxis_async import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import date, datetime

    from boxis_async import CDR, Call
    from boxis_async.export.columns import Kind
    from boxis_async.export.files import Output
    from boxis_async.export.layout import Layout

__all__ = ["CSVLines", "JSONLines", "Lines", "TextWriter"]

_Values: TypeAlias = "Sequence[Any]"
_Texts: TypeAlias = "Sequence[str]"

# A spreadsheet takes a text that begins like this for a formula (OWASP, "CSV Injection"), some also
# in the full-width forms. It may split a line at another delimiter than the file's own, or at the
# end of a line within quotes, so that a cell begins in the middle of a text, and there the quotes
# are its own. The `'` is here so that to remove the first one always gives the text.
_SPLITS: Final = ",;|:\t\r\n"
_FORMULA: Final = r"=+\-@\t\r\n＝＋－＠"  # noqa: RUF001
_MAY_BEGIN: Final = frozenset("=+-@\t\r\n＝＋－＠'\"")  # noqa: RUF001
_CELL = re.compile(rf"""(\A|[{_SPLITS}])(?="*[{_FORMULA}'])""")
# In JSON a sign is escaped where it stands at the beginning of such a cell.
_CELL_IN_JSON = re.compile(rf"""([{_SPLITS}]["]*)([=+\-@＝＋－＠])""")  # noqa: RUF001

# What JSON escapes in ASCII, and what cannot be seen.
_SPECIAL: Final = bytes([*range(0x20), 0x7F]) + b'"\\'
_SIXTIETHS: Final = [f":{number:02}" for number in range(60)]
"""How the minutes of an hour are written, and the seconds of a minute."""


class Lines(Protocol):
    """Makes lines of rows."""

    @property
    def header(self) -> bytes:
        """What precedes the first row."""
        ...

    def encode(self, rows: Sequence[CDR | Call]) -> bytes:
        """Make a line of each row."""
        ...


class TextWriter:
    """Writes rows to a file, each as a line.

    Args:
        file: The output, open for bytes.
        lines: Makes the lines.
    """

    def __init__(self, file: Output, lines: Lines) -> None:
        self.file = file
        self.lines = lines

    def begin(self) -> None:
        """Write the header."""
        self.file.write(self.lines.header)

    def write(self, rows: Sequence[CDR | Call]) -> None:
        """Write rows."""
        self.file.write(self.lines.encode(rows))

    def end(self) -> None:
        """Do nothing: lines have no end of their own."""

    def abandon(self) -> None:
        """Do nothing: nothing is buffered."""


class CSVLines:
    """Makes CSV by RFC 4180: a header, commas, CRLF, quotes where they are needed.

    Datetimes are ISO 8601 with their offset, costs are plain digits, and `extra` is a JSON
    object. Unset values and an empty `extra` are empty fields. The encoding is UTF-8. The layout
    may say otherwise of the delimiter, a byte order mark, times and decimals. Texts are as they
    are, whatever characters they have.

    Args:
        layout: The columns, and the spelling. Where it is `formula_safe`, a `'` is put before
            each text, and before each part of one behind what may be a delimiter, that a
            spreadsheet would take for a formula, and before each that begins with a `'`.
    """

    def __init__(self, layout: Layout) -> None:
        self._columns = layout.columns
        self._delimiter = layout.delimiter
        self._bom = "\ufeff" if layout.bom else ""
        formatters: dict[Kind, Callable[[_Values], _Texts]] = {
            "text": _guarded if layout.formula_safe else _as_they_are,
            "word": _guarded_words if layout.formula_safe else _words,
            "datetime": _local_times if layout.local_times else _moments,
            "date": _dates,
            "integer": _digits,
            "seconds": _digits,
            "decimal": _digits_with_comma if layout.decimal_comma else _plain_digits,
            "boolean": _booleans,
            "mapping": _safe_json if layout.formula_safe else _json,
        }
        self._formatters = [formatters[column.kind] for column in layout.columns.all]

    @property
    def header(self) -> bytes:
        """The names of the columns."""
        names = self._delimiter.join(column.name for column in self._columns.all)
        return f"{self._bom}{names}\r\n".encode()

    def encode(self, rows: Sequence[CDR | Call]) -> bytes:
        """Make a line of each row."""
        parts: list[_Texts | str] = []
        for format_, values in zip(self._formatters, self._columns.values(rows), strict=True):
            parts.append(self._delimiter if parts else "")
            if _are_same(values):
                parts += self._quoted(format_(values[:1]))
            else:
                parts.append(self._quoted(format_(values)))
        lines = _joined(parts, len(rows))
        if len(self._formatters) == 1:
            # An empty line would be no record.
            lines = [line or '""' for line in lines]
        return _encoded(lines, b"\r\n")

    def _quoted(self, texts: _Texts) -> _Texts:
        """Put quotes around the texts that need them."""
        delimiter, together = self._delimiter, "".join(texts)
        if not any(sign in together for sign in (delimiter, '"', "\r", "\n")):
            return texts
        return [
            '"' + text.replace('"', '""') + '"'
            if '"' in text or delimiter in text or "\r" in text or "\n" in text
            else text
            for text in texts
        ]


class JSONLines:
    """Makes a JSON object of each row, on a line of its own.

    Datetimes and dates are ISO 8601. Costs are texts, so that no digit is lost. Unset values
    are null, and `extra` is an object. The encoding is UTF-8. Characters that control, separate or
    cannot be seen are escaped, as `printable` does it, so a line is one for every reader.

    Args:
        layout: The columns.

    Attributes:
        header: Nothing.
    """

    header = b""

    def __init__(self, layout: Layout) -> None:
        self._columns = layout.columns
        # What stands before each value, and at the end.
        names = [f"{json.dumps(column.name)}:" for column in layout.columns.all]
        self._before = [f"{'{' if not at else ','}{name}" for at, name in enumerate(names)]

    def encode(self, rows: Sequence[CDR | Call]) -> bytes:
        """Make a line of each row."""
        parts: list[_Texts | str] = []
        for column, before, values in zip(
            self._columns.all, self._before, self._columns.values(rows), strict=True
        ):
            parts.append(before)
            format_ = _JSON_FORMATTERS[column.kind]
            if _are_same(values):
                parts += format_(values[:1])
            elif column.kind == "text":
                parts += ('"', _escaped(values), '"')
            else:
                parts.append(format_(values))
        parts.append("}")
        return _encoded(_joined(parts, len(rows)), b"\n")


def _are_same(values: _Values) -> bool:
    """Say whether all values of a column are one text, or all are unset."""
    first = values[0] if values else 0
    # Numbers and times can be equal, and written in different ways.
    return (first is None or isinstance(first, str)) and (
        first == values[-1] and values.count(first) == len(values)
    )


def _joined(parts: Iterable[_Texts | str], count: int) -> list[str]:
    """Make lines of what is the same in each of them, and of what each has of its own."""
    pieces: list[Iterable[str]] = []
    same = ""
    for part in parts:
        if isinstance(part, str):
            same += part
        else:
            pieces += (repeat(same, count), part)
            same = ""
    pieces.append(repeat(same, count))
    return list(map("".join, zip(*pieces, strict=True)))


def _encoded(lines: Iterable[str], end: bytes) -> bytes:
    """Encode lines, each with its end, one by one: most are ASCII, and all together seldom."""
    encoded = [line.encode() for line in lines]
    encoded.append(b"")
    return end.join(encoded)


def _as_they_are(values: _Values) -> _Texts:
    return values


def _words(values: _Values) -> _Texts:
    return [value or "" for value in values]


def _guarded(values: _Values) -> _Texts:
    together = "".join(values)
    first = {text[:1] for text in values}
    if first.isdisjoint(_MAY_BEGIN) and not any(sign in together for sign in _SPLITS):
        return values
    return [_CELL.sub(r"\1'", text) for text in values]


def _guarded_words(values: _Values) -> _Texts:
    return _guarded(list(_words(values)))


def _dates(values: _Values, none: str = "", quote: str = "") -> _Texts:
    # Few of them differ.
    texts = {
        value: none if value is None else f"{quote}{value.isoformat()}{quote}"
        for value in set(values)
    }
    return [texts[value] for value in values]


def _moments(values: _Values, none: str = "", quote: str = "") -> _Texts:
    """Write datetimes as `isoformat` does, by the hours in which they lie.

    That takes 0.2 us a datetime in place of 0.8, of which a leg has three.
    """
    texts: list[str] = []
    hours: dict[tuple[date, int, int], tuple[str, str] | None] = {}
    for value in values:
        if value is None:
            texts.append(none)
            continue
        key = value.date(), value.hour, id(value.tzinfo)
        if key not in hours:
            hours[key] = _around_minutes(value, quote)
        around = hours[key]
        if around is None or value.microsecond:
            texts.append(f"{quote}{value.isoformat()}{quote}")
        else:
            before, after = around
            texts.append(f"{before}{_SIXTIETHS[value.minute]}{_SIXTIETHS[value.second]}{after}")
    return texts


def _around_minutes(moment: datetime, quote: str) -> tuple[str, str] | None:
    """Give what stands before and behind the minutes and seconds of all times in an hour.

    It is None if the clock is changed in that hour.
    """
    first = moment.replace(minute=0, second=0, microsecond=0, fold=0)
    last = first.replace(minute=59, second=59, fold=1)
    if first.utcoffset() != last.utcoffset():
        return None
    text = first.isoformat()
    zeros = text.index(":00:00")
    return f"{quote}{text[:zeros]}", f"{text[zeros + len(':00:00') :]}{quote}"


def _local_times(values: _Values) -> _Texts:
    return ["" if value is None else value.replace(tzinfo=None).isoformat(" ") for value in values]


def _digits(values: _Values) -> _Texts:
    return ["" if value is None else str(value) for value in values]


def _plain_digits(values: _Values) -> _Texts:
    # Never an exponent: "0.0000001", not "1E-7".
    return ["" if value is None else f"{value:f}" for value in values]


def _digits_with_comma(values: _Values) -> _Texts:
    return [text.replace(".", ",") for text in _plain_digits(values)]


def _booleans(values: _Values) -> _Texts:
    return ["true" if value else "false" for value in values]


def _json(values: _Values) -> _Texts:
    return _all_printable([_ENCODER.encode(value) if value else "" for value in values])


def _safe_json(values: _Values) -> _Texts:
    return [_CELL_IN_JSON.sub(_escaped_sign, text) for text in _json(values)]


def _escaped_sign(found: re.Match[str]) -> str:
    return f"{found[1]}\\u{ord(found[2]):04x}"


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def _escaped(texts: _Texts) -> _Texts:
    """Escape texts as JSON does, and what acts on a terminal, or ends a line for some readers."""
    together = "".join(texts)
    # A quarter of the time that `isprintable` takes.
    if together.isascii() and len(together.encode().translate(None, _SPECIAL)) == len(together):
        return texts
    # All at once takes half of the time. A text that holds what parts them shows by their number.
    parts = printable(encode_basestring("\0".join(texts)))[1:-1].split(r"\u0000")
    if len(parts) == len(texts):
        return parts
    return [printable(encode_basestring(text))[1:-1] for text in texts]


def _all_printable(texts: list[str]) -> _Texts:
    """Escape what acts on a terminal, or ends a line for some readers, in texts of JSON.

    They keep their values. One look at all takes a third of the time that a look at each takes.
    """
    together = "".join(texts)
    return texts if printable(together) is together else list(map(printable, texts))


def _json_texts(values: _Values) -> _Texts:
    return [f'"{text}"' for text in _escaped(values)]


def _json_words(values: _Values) -> _Texts:
    return _all_printable(
        ["null" if value is None else encode_basestring(value) for value in values]
    )


def _json_moments(values: _Values) -> _Texts:
    return _moments(values, "null", '"')


def _json_dates(values: _Values) -> _Texts:
    return _dates(values, "null", '"')


def _json_numbers(values: _Values) -> _Texts:
    return ["null" if value is None else str(value) for value in values]


def _json_decimals(values: _Values) -> _Texts:
    return ["null" if value is None else f'"{value:f}"' for value in values]


def _json_objects(values: _Values) -> _Texts:
    return _all_printable([_ENCODER.encode(value) if value else "{}" for value in values])


_JSON_FORMATTERS: Final[dict[Kind, Callable[[_Values], _Texts]]] = {
    "text": _json_texts,
    "word": _json_words,
    "datetime": _json_moments,
    "date": _json_dates,
    "integer": _json_numbers,
    "seconds": _json_numbers,
    "decimal": _json_decimals,
    "boolean": lambda values: ["true" if value else "false" for value in values],
    "mapping": _json_objects,
}
