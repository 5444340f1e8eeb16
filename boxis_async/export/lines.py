"""Records as lines of text: CSV as RFC 4180 has it, and JSON Lines."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any, cast

from boxis_async.export.columns import COLUMNS, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from boxis_async import CDR
    from boxis_async.export.files import Output

__all__ = ["CSVWriter", "JSONLinesWriter"]

# What makes a spreadsheet take a text for a formula (OWASP, "CSV Injection"), in full width too,
# as some of them read that; and the mark itself, so that it can be taken away again for sure.
_FORMULA = re.compile(r"[=+\-@\t\r\n'＝＋－＠]")  # noqa: RUF001


class CSVWriter:
    """Writes records as RFC 4180 has them: a header, commas, CRLF, quotes where need be.

    Datetimes are ISO 8601 with their offset, costs plain digits, what is unset is empty, and
    `extra` is a JSON object, or empty. The encoding is UTF-8.

    Args:
        file: Where to, open for bytes.
        formula_safe: Whether to put a `'` before each text that a spreadsheet would take for a
            formula, and before each that begins with a `'`.
    """

    def __init__(self, file: Output, *, formula_safe: bool = False) -> None:
        self._file = file
        shown = {
            "moment": _moment,
            "amount": _amount,
            "extra": _as_json,
            **({"text": _guarded, "word": _guarded} if formula_safe else {}),
        }
        self._shown: list[tuple[int, Callable[[Any], object]]] = [
            (at, shown[kind]) for at, kind in enumerate(COLUMNS.values()) if kind in shown
        ]

    def begin(self) -> None:
        """Write what stands before the first record: the header."""
        self._write([list(COLUMNS)])

    def write(self, cdrs: Sequence[CDR]) -> None:
        """Write records."""
        shown = self._shown
        rows: list[list[object]] = []
        for cdr in cdrs:
            row = list(values_of(cdr))
            for at, show in shown:
                row[at] = show(row[at])
            rows.append(row)
        self._write(rows)

    def end(self) -> None:
        """Write what stands after the last record: nothing."""

    def abandon(self) -> None:
        """Write nothing more."""

    def _write(self, rows: list[list[Any]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\r\n").writerows(rows)
        self._file.write(text.getvalue().encode("utf-8"))


class JSONLinesWriter:
    """Writes each record as a JSON object on a line of its own.

    Datetimes and dates are ISO 8601, costs are texts, so that no digit is lost, what is unset
    is null, and `extra` is an object. The encoding is UTF-8.

    Args:
        file: Where to, open for bytes.
    """

    def __init__(self, file: Output) -> None:
        self._file = file
        self._shown: list[tuple[str, Callable[[Any], object]]] = [
            (name, {"moment": _moment, "day": _day, "amount": _amount}[kind])
            for name, kind in COLUMNS.items()
            if kind in ("moment", "day", "amount")
        ]

    def begin(self) -> None:
        """Write what stands before the first record: nothing."""

    def write(self, cdrs: Sequence[CDR]) -> None:
        """Write records."""
        names, shown, encode = tuple(COLUMNS), self._shown, _ENCODER.encode
        lines: list[str] = []
        for cdr in cdrs:
            row: dict[str, object] = dict(zip(names, values_of(cdr), strict=True))
            for name, show in shown:
                row[name] = show(row[name])
            lines.append(encode(row))
        lines.append("")
        self._file.write("\n".join(lines).encode("utf-8"))

    def end(self) -> None:
        """Write what stands after the last record: nothing."""

    def abandon(self) -> None:
        """Write nothing more."""


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def _moment(value: Any) -> str | None:  # noqa: ANN401 - datetime | None, from a list of all kinds
    return None if value is None else value.isoformat()


_day = _moment


def _amount(value: Any) -> str | None:  # noqa: ANN401 - Decimal | None
    # Plain digits, never an exponent: "0.0000001", not "1E-7".
    return None if value is None else f"{value:f}"


def _as_json(value: Any) -> str:  # noqa: ANN401 - Extra
    return _ENCODER.encode(value) if value else ""


def _guarded(value: Any) -> str | None:  # noqa: ANN401 - str | None
    text = cast("str | None", value)
    return f"'{text}" if text and _FORMULA.match(text) else text
