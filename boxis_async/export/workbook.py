"""Rows as a workbook for spreadsheet programs, by XlsxWriter (extra `excel`).

The only module that imports XlsxWriter, and only when it is needed. XlsxWriter keeps one row in
memory, and the sheets in files of its own until the workbook is complete; we give it a folder for
them, which is removed in any case.
"""

# XlsxWriter carries no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import json
import tempfile
from datetime import date, datetime
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from boxis_async import MissingExtraError
from boxis_async.export.errors import UnfitValueError
from boxis_async.export.files import CountingOutput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from boxis_async import CDR, Call, Extra
    from boxis_async.export.columns import Column, Kind
    from boxis_async.export.files import Output
    from boxis_async.export.layout import Layout

__all__ = ["SHEETS", "WorkbookWriter", "require_xlsxwriter"]

SHEETS: Final = "sheet-*"
"""The names of the folders for sheets that are not complete yet."""

MOST_ROWS = 1_048_576
"""The rows of a sheet, the header included."""

_MOST_CHARACTERS: Final = 32_767
# A number has so many digits in a spreadsheet; further ones would become zeros.
_MOST_DIGITS: Final = 15
# More digits than any number has: the default rounds to 28 without a word.
_EXACT: Final = Context(prec=10_000)
_DAY: Final = 86_400.0
_FIRST_DAY: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - a spreadsheet has no zones
# Lotus 1-2-3 took 1900 for a leap year, so days are counted otherwise before.
_FIRST_EXACT: Final = datetime(1900, 3, 1)  # noqa: DTZ001 - likewise
_FORMATS: Final[dict[Kind, str]] = {
    "text": "@",
    "word": "@",
    "mapping": "@",
    "datetime": "yyyy-mm-dd hh:mm:ss",
    "date": "yyyy-mm-dd",
    "seconds": "[h]:mm:ss",
    "decimal": "#,##0.00########",
    "integer": "0",
}
_WIDTHS: Final[dict[Kind, int]] = {"datetime": 19, "date": 11, "text": 18, "mapping": 18}
_WIDTH: Final = 12
_OPTIONS: Final = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
}


class WorkbookWriter:
    """Writes rows as a workbook: a fixed header, a filter, and a further sheet when one is full.

    Texts are texts, telephone numbers too, and never a formula or a link. Times are on the wall
    clock, as a spreadsheet has no zones. Seconds are durations, and costs numbers.

    Args:
        file: The output, open for bytes.
        layout: The columns.
        folder: Where the sheets lie until the workbook is complete; None is the system's place
            for temporary files.
    """

    def __init__(self, file: Output, layout: Layout, *, folder: Path | None = None) -> None:
        self._xlsxwriter = require_xlsxwriter()
        self._columns = layout.columns
        self._title = "Legs" if layout.rows == "legs" else "Calls"
        self._sink = CountingOutput(file)
        self._folder = folder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._book: Any = None
        self._sheet: Any = None
        self._header: Any = None
        self._by_place: list[Any] = []
        self._row = 0

    def begin(self) -> None:
        """Begin the first sheet."""
        self._temporary = tempfile.TemporaryDirectory(prefix=SHEETS[:-1], dir=self._folder)
        options = _OPTIONS | {"tmpdir": self._temporary.name}
        self._book = self._xlsxwriter.Workbook(self._sink, options)
        # A sheet of a million rows and many columns takes more than 2 GiB.
        self._book.use_zip64()
        formats = {
            kind: self._book.add_format({"num_format": text}) for kind, text in _FORMATS.items()
        }
        self._by_place = [formats.get(column.kind) for column in self._columns.all]
        self._header = self._book.add_format({"bold": True, "num_format": "@"})
        self._begin_sheet()

    def write(self, rows: Sequence[CDR | Call]) -> None:
        """Write rows.

        Raises:
            UnfitValueError: A text is too long for a cell, or a number has too many digits.
        """
        cells = [
            _CELLS[column.kind](column, values)
            for column, values in zip(self._columns.all, self._columns.values(rows), strict=True)
        ]
        for row in zip(*cells, strict=True):
            if self._row == MOST_ROWS:
                self._end_sheet()
                self._begin_sheet()
            self._write_row(row)

    def end(self) -> None:
        """Complete the workbook.

        Raises:
            OSError: A write failed.
        """
        self._end_sheet()
        try:
            self._book.close()
        except self._xlsxwriter.exceptions.FileCreateError as error:
            raise self._sink.failure or error.__context__ or error from None
        self._remove()

    def abandon(self) -> None:
        """Write nothing more; harmless after `end`."""
        self._sink.is_open = False
        self._remove()

    def _begin_sheet(self) -> None:
        sheets = len(self._book.worksheets())
        self._sheet = self._book.add_worksheet(
            f"{self._title} {sheets + 1}" if sheets else self._title
        )
        self._sheet.freeze_panes(1, 0)
        for place, column in enumerate(self._columns.all):
            self._sheet.set_column(place, place, _WIDTHS.get(column.kind, _WIDTH))
            name = column.name.replace("_", " ")
            self._sheet.write_string(0, place, name, self._header)
        self._row = 1

    def _write_row(self, row: Iterable[str | float | bool | None]) -> None:
        sheet, at, formats = self._sheet, self._row, self._by_place
        for place, value in enumerate(row):
            if value is None:
                continue
            if isinstance(value, str):
                sheet.write_string(at, place, value, formats[place])
            elif isinstance(value, bool):
                sheet.write_boolean(at, place, value)
            else:
                sheet.write_number(at, place, value, formats[place])
        self._row = at + 1

    def _end_sheet(self) -> None:
        last_row, last_column = self._row - 1, len(self._columns.all) - 1
        self._sheet.autofilter(0, 0, last_row, last_column)
        # Otherwise each telephone number has a mark that it is a number written as text.
        self._sheet.ignore_errors(
            {"number_stored_as_text": self._range(0, 0, last_row, last_column)}
        )

    def _range(self, *corners: int) -> str:
        found: str = self._xlsxwriter.utility.xl_range(*corners)
        return found

    def _remove(self) -> None:
        """Remove the sheets, and the files that XlsxWriter has open."""
        book, self._book = self._book, None
        if book is not None:
            for sheet in book.worksheets():
                # XlsxWriter closes them only where it completes the workbook.
                sheet.row_data_fh.close()
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None


def require_xlsxwriter() -> Any:  # noqa: ANN401 - XlsxWriter carries no types
    """Give XlsxWriter.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import xlsxwriter  # noqa: PLC0415 - an optional dependency
    except ImportError:
        raise MissingExtraError(
            'workbooks need XlsxWriter: pip install "boxis-async[excel]"'
        ) from None
    return xlsxwriter


_Cells: TypeAlias = "list[str | float | bool | None]"


def _texts(column: Column, values: Sequence[str | None]) -> _Cells:
    together = "".join([value for value in values if value])
    try:
        together.encode()
    except UnicodeEncodeError:
        # Halves of characters cannot be in a file of any kind.
        values = [value and _whole_characters(value) for value in values]
    if "<r>" in together:
        # XlsxWriter would write such a text as it is, with its tags, and a formula in it.
        values = [f"'{value}" if value and value.startswith("<r>") else value for value in values]
    if len(together) > _MOST_CHARACTERS // 2:
        for value in values:
            # A spreadsheet counts as UTF-16 does.
            length = len(value.encode("utf-16-le")) // 2 if value else 0
            if length > _MOST_CHARACTERS:
                what = f"a text of {length:,} characters"
                raise _unfit(column, what, f"{_MOST_CHARACTERS:,} characters")
    return [value or None for value in values]


def _whole_characters(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _objects(column: Column, values: Sequence[Extra]) -> _Cells:
    texts = [json.dumps(value, ensure_ascii=False) if value else None for value in values]
    return _texts(column, texts)


def _numbers(column: Column, values: Sequence[int | Decimal | None]) -> _Cells:
    found: _Cells = []
    for value in values:
        if value is not None:
            number = Decimal(value).normalize(_EXACT)
            if len(number.as_tuple().digits) > _MOST_DIGITS:
                raise _unfit(column, f"{value}", f"numbers of {_MOST_DIGITS} digits")
        found.append(None if value is None else float(value))
    return found


def _durations(column: Column, values: Sequence[int | None]) -> _Cells:
    del column
    return [None if value is None else value / _DAY for value in values]


def _moments(column: Column, values: Sequence[datetime | None]) -> _Cells:
    del column
    return [None if value is None else _serial(value, value) for value in values]


def _days(column: Column, values: Sequence[date | None]) -> _Cells:
    del column
    return [
        None if value is None else _serial(datetime(value.year, value.month, value.day), value)  # noqa: DTZ001 - a day has no zone
        for value in values
    ]


def _serial(wall: datetime, value: date) -> float | str:
    """Count the days as a spreadsheet does; what is before it counts right is a text."""
    wall = wall.replace(tzinfo=None)
    if wall < _FIRST_EXACT:
        return value.isoformat()
    return (wall - _FIRST_DAY).total_seconds() / _DAY


def _booleans(column: Column, values: Sequence[bool]) -> _Cells:
    del column
    return list(values)


_CELLS: Final[dict[Kind, Callable[[Column, Sequence[Any]], _Cells]]] = {
    "text": _texts,
    "word": _texts,
    "mapping": _objects,
    "datetime": _moments,
    "date": _days,
    "integer": _numbers,
    "seconds": _durations,
    "decimal": _numbers,
    "boolean": _booleans,
}


def _unfit(column: Column, what: str, most: str) -> UnfitValueError:
    return UnfitValueError(
        f"a value of {column.name} does not fit into a cell, which holds {most}: {what}; export "
        "as CSV or JSON Lines instead, which keep it as it is"
    )
