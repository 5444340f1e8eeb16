"""Rows as lines of text: CSV by RFC 4180, and JSON Lines.

A batch is written column by column: each column becomes a list of texts, and then the lists become
lines. One look at all texts of a column shows whether any of them needs quotes or an escape, and
most columns need none. That took 8 and 12 us a leg, where `csv` and `json`,
which look at each text, took 14 and 18 (`tests/bench/export_cost.py` has it beside the stream).
"""

from __future__ import annotations

import json
import re
from itertools import repeat
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from boxis_async import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from boxis_async import CDR, Call
    from boxis_async.export.columns import Kind
    from boxis_async.export.files import Output
    from boxis_async.export.layout import Layout

__all__ = ["CSVWriter", "JSONLinesWriter"]

_Values: TypeAlias = "list[Any]"
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


class CSVWriter:
    """Writes rows as CSV by RFC 4180: a header, commas, CRLF, quotes where they are needed.

    Datetimes are ISO 8601 with their offset, costs are plain digits, and `extra` is a JSON
    object. Unset values and an empty `extra` are empty fields. The encoding is UTF-8. The layout
    may say otherwise of the delimiter, a byte order mark, times and decimals. Texts are as they
    are, whatever characters they have.

    Args:
        file: The output, open for bytes.
        layout: The columns, and the spelling. Where it is `formula_safe`, a `'` is put before
            each text, and before each part of one behind what may be a delimiter, that a
            spreadsheet would take for a formula, and before each that begins with a `'`.
    """

    def __init__(self, file: Output, layout: Layout) -> None:
        self._file = file
        self._columns = layout.columns
        self._delimiter = layout.delimiter
        self._bom = "\ufeff" if layout.bom else ""
        formatters: dict[Kind, Callable[[_Values], _Texts]] = {
            "text": _guarded if layout.formula_safe else _as_they_are,
            "word": _guarded_words if layout.formula_safe else _words,
            "datetime": _local_times if layout.local_times else _isoformat,
            "date": _isoformat,
            "integer": _digits,
            "seconds": _digits,
            "decimal": _digits_with_comma if layout.decimal_comma else _plain_digits,
            "boolean": _booleans,
            "mapping": _safe_json if layout.formula_safe else _json,
        }
        self._formatters = [formatters[column.kind] for column in layout.columns.all]

    def begin(self) -> None:
        """Write the header."""
        names = self._delimiter.join(column.name for column in self._columns.all)
        self._file.write(f"{self._bom}{names}\r\n".encode())

    def write(self, rows: Sequence[CDR | Call]) -> None:
        """Write rows."""
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
        lines.append("")
        self._file.write("\r\n".join(lines).encode("utf-8"))

    def end(self) -> None:
        """Do nothing: the format has no end of its own."""

    def abandon(self) -> None:
        """Do nothing: nothing is buffered."""

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


class JSONLinesWriter:
    """Writes each row as a JSON object on a line of its own.

    Datetimes and dates are ISO 8601. Costs are texts, so that no digit is lost. Unset values
    are null, and `extra` is an object. The encoding is UTF-8. Characters that control, separate or
    cannot be seen are escaped, as `printable` does it, so a line is one for every reader.

    Args:
        file: The output, open for bytes.
        layout: The columns.
    """

    def __init__(self, file: Output, layout: Layout) -> None:
        self._file = file
        self._columns = layout.columns
        # What stands before each value, and at the end.
        names = [f"{json.dumps(column.name)}:" for column in layout.columns.all]
        self._before = [f"{'{' if not at else ','}{name}" for at, name in enumerate(names)]

    def begin(self) -> None:
        """Do nothing: the format has no header."""

    def write(self, rows: Sequence[CDR | Call]) -> None:
        """Write rows."""
        parts: list[_Texts | str] = []
        for column, before, values in zip(
            self._columns.all, self._before, self._columns.values(rows), strict=True
        ):
            parts.append(before)
            format_ = _JSON_FORMATTERS[column.kind]
            if _are_same(values):
                parts += format_(values[:1])
            elif column.kind == "text" and not _needs_escape(values):
                parts += ('"', values, '"')
            else:
                parts.append(format_(values))
        parts.append("}")
        lines = _joined(parts, len(rows))
        lines.append("")
        self._file.write("\n".join(lines).encode("utf-8"))

    def end(self) -> None:
        """Do nothing: the format has no end of its own."""

    def abandon(self) -> None:
        """Do nothing: nothing is buffered."""


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


def _isoformat(values: _Values) -> _Texts:
    return ["" if value is None else value.isoformat() for value in values]


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


def _needs_escape(texts: _Texts) -> bool:
    together = "".join(texts)
    if together.isascii() and together.isprintable():
        return '"' in together or "\\" in together
    # Each escape makes a text longer.
    return len(printable(encode_basestring(together))) != len(together) + 2


def _all_printable(texts: list[str]) -> _Texts:
    """Escape what acts on a terminal, or ends a line for some readers, in texts of JSON.

    They keep their values. One look at all takes a third of the time that a look at each takes.
    """
    together = "".join(texts)
    return texts if printable(together) is together else list(map(printable, texts))


def _json_texts(values: _Values) -> _Texts:
    return _all_printable(list(map(encode_basestring, values)))


def _json_words(values: _Values) -> _Texts:
    return _all_printable(
        ["null" if value is None else encode_basestring(value) for value in values]
    )


def _json_moments(values: _Values) -> _Texts:
    return ["null" if value is None else f'"{value.isoformat()}"' for value in values]


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
    "date": _json_moments,
    "integer": _json_numbers,
    "seconds": _json_numbers,
    "decimal": _json_decimals,
    "boolean": lambda values: ["true" if value else "false" for value in values],
    "mapping": _json_objects,
}
