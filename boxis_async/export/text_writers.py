"""Records as lines of text: CSV by RFC 4180, and JSON Lines."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any, cast

from boxis_async import printable
from boxis_async.export.columns import COLUMNS, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from boxis_async import CDR
    from boxis_async.export.files import Output

__all__ = ["CSVWriter", "JSONLinesWriter"]

# A spreadsheet takes a text that begins like this for a formula (OWASP, "CSV Injection"), some also
# in the full-width forms. The `'` is here so that to remove the first one always gives the text.
_FORMULA = re.compile(r"[=+\-@\t\r\n'＝＋－＠]")  # noqa: RUF001


class CSVWriter:
    """Writes records as CSV by RFC 4180: a header, commas, CRLF, quotes where they are needed.

    Datetimes are ISO 8601 with their offset, costs are plain digits, and `extra` is a JSON
    object. Unset values and an empty `extra` are empty fields. The encoding is UTF-8. Texts are as
    they are, whatever characters they have.

    Args:
        file: The output, open for bytes.
        formula_safe: Whether to put a `'` before each text that a spreadsheet would take for a
            formula, and before each that begins with a `'`.
    """

    def __init__(self, file: Output, *, formula_safe: bool = False) -> None:
        self._file = file
        formatters = {
            "datetime": _isoformat,
            "decimal": _plain_digits,
            "mapping": _json_object,
            **({"text": _escaped, "disposition": _escaped} if formula_safe else {}),
        }
        self._formatters: list[tuple[int, Callable[[Any], object]]] = [
            (at, formatters[kind]) for at, kind in enumerate(COLUMNS.values()) if kind in formatters
        ]

    def begin(self) -> None:
        """Write the header."""
        self._write([list(COLUMNS)])

    def write(self, cdrs: Sequence[CDR]) -> None:
        """Write records."""
        formatters = self._formatters
        rows: list[list[object]] = []
        for cdr in cdrs:
            row = list(values_of(cdr))
            for at, formatted in formatters:
                row[at] = formatted(row[at])
            rows.append(row)
        self._write(rows)

    def end(self) -> None:
        """Do nothing: the format has no end of its own."""

    def abandon(self) -> None:
        """Do nothing: nothing is buffered."""

    def _write(self, rows: list[list[Any]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\r\n").writerows(rows)
        self._file.write(text.getvalue().encode("utf-8"))


class JSONLinesWriter:
    """Writes each record as a JSON object on a line of its own.

    Datetimes and dates are ISO 8601. Costs are texts, so that no digit is lost. Unset values
    are null, and `extra` is an object. The encoding is UTF-8. Characters that control, separate or
    cannot be seen are escaped, as `printable` does it, so a line is one for every reader.

    Args:
        file: The output, open for bytes.
    """

    def __init__(self, file: Output) -> None:
        self._file = file
        formatters = {"datetime": _isoformat, "date": _isoformat, "decimal": _plain_digits}
        self._formatters: list[tuple[str, Callable[[Any], object]]] = [
            (name, formatters[kind]) for name, kind in COLUMNS.items() if kind in formatters
        ]

    def begin(self) -> None:
        """Do nothing: the format has no header."""

    def write(self, cdrs: Sequence[CDR]) -> None:
        """Write records."""
        names, formatters, encode = tuple(COLUMNS), self._formatters, _ENCODER.encode
        lines: list[str] = []
        for cdr in cdrs:
            row: dict[str, object] = dict(zip(names, values_of(cdr), strict=True))
            for name, formatted in formatters:
                row[name] = formatted(row[name])
            # The same values: what acts on a terminal, or ends a line for some readers, is escaped.
            lines.append(printable(encode(row)))
        lines.append("")
        self._file.write("\n".join(lines).encode("utf-8"))

    def end(self) -> None:
        """Do nothing: the format has no end of its own."""

    def abandon(self) -> None:
        """Do nothing: nothing is buffered."""


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def _isoformat(value: Any) -> str | None:  # noqa: ANN401 - date | None, from a row of all kinds
    return None if value is None else value.isoformat()


def _plain_digits(value: Any) -> str | None:  # noqa: ANN401 - Decimal | None
    # Never an exponent: "0.0000001", not "1E-7".
    return None if value is None else f"{value:f}"


def _json_object(value: Any) -> str:  # noqa: ANN401 - Extra
    return printable(_ENCODER.encode(value)) if value else ""


def _escaped(value: Any) -> str | None:  # noqa: ANN401 - str | None
    text = cast("str | None", value)
    return f"'{text}" if text and _FORMULA.match(text) else text
