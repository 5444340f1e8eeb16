"""The formats by name, and the protocol that the writer of each one follows.

A new format goes here: its name and suffixes, and its writer in `make_writer`. In `drafts` it says
what its draft is, as that is what is truncated and resumed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias, get_args

from boxis_async import UsageError
from boxis_async.export.arrow import ParquetWriter, require_pyarrow
from boxis_async.export.layout import make_layout
from boxis_async.export.text_writers import CSVLines, JSONLines, TextWriter
from boxis_async.export.workbook import WorkbookWriter, require_xlsxwriter

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from datetime import tzinfo

    from boxis_async import CDR, Call
    from boxis_async.export.files import Output
    from boxis_async.export.layout import Layout

__all__ = ["FORMATS", "Format", "Writer", "check_format", "format_of", "make_writer"]

Format: TypeAlias = Literal["csv", "jsonl", "parquet", "xlsx"]
"""The name of a format: CSV, JSON Lines, Parquet, or a workbook for spreadsheet programs."""

FORMATS: Final[tuple[Format, ...]] = get_args(Format)
"""The names of all formats."""

_SUFFIXES: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".xlsx": "xlsx",
}


class Writer(Protocol):
    """Writes rows to a file that is open for bytes, and never closes it."""

    def begin(self) -> None:
        """Write what precedes the first row."""

    def write(self, rows: Sequence[CDR | Call]) -> None:
        """Write some rows."""

    def end(self) -> None:
        """Write what follows the last row."""

    def abandon(self) -> None:
        """Write nothing more; harmless after `end`."""


def format_of(target: str | os.PathLike[str]) -> Format:
    """Give the format of a file by its suffix: .csv, .jsonl, .ndjson, .parquet, .pq or .xlsx.

    Raises:
        UsageError: The file has another suffix.
    """
    found = _SUFFIXES.get(Path(target).suffix.lower())
    if found is None:
        raise UsageError(
            f"the name {Path(target).name!r} does not show the format: end it in "
            f"{', '.join(_SUFFIXES)}, or name the format ({', '.join(FORMATS)})"
        )
    return found


def check_format(format: object, layout: Layout) -> None:  # noqa: A002 - the field's own term
    """Refuse an unknown format, and a spelling of CSV's where it has no meaning.

    Raises:
        UsageError: The format is unknown, or the layout has a spelling and it is not CSV.
        MissingExtraError: The format needs an extra that is not installed.
    """
    if format not in FORMATS:
        raise UsageError(f"format must be one of {', '.join(FORMATS)}, not {format!r}")
    if format != "csv":
        plain = make_layout().spelling()
        for name, value in layout.spelling().items():
            if value != plain[name]:
                raise UsageError(f"{name} is for CSV: leave it out for {format}")
    if format == "parquet":
        require_pyarrow()
    if format == "xlsx":
        require_xlsxwriter()


def make_writer(
    format: Format,  # noqa: A002 - the field's own term
    file: Output,
    layout: Layout,
    *,
    timezone: tzinfo,
    folder: Path | None = None,
) -> Writer:
    """Make the writer of a format.

    Args:
        format: The format.
        file: The output, open for bytes.
        layout: The columns, and the spelling.
        timezone: The zone of the datetimes.
        folder: Where a format keeps what it needs until the file is complete.

    Raises:
        MissingExtraError: The format needs an extra that is not installed.
    """
    if format == "csv":
        return TextWriter(file, CSVLines(layout))
    if format == "jsonl":
        return TextWriter(file, JSONLines(layout))
    if format == "parquet":
        return ParquetWriter(file, layout, timezone=timezone)
    if format == "xlsx":
        return WorkbookWriter(file, layout, folder=folder)
    raise AssertionError(f"a format without a writer: {format}")
