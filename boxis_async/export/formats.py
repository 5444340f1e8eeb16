"""The formats by name, and the protocol that the writer of each one follows.

A new format goes here: its name and suffixes, and its writer in `make_writer`. How a draft of it is
truncated and resumed is in `drafts`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias, get_args

from boxis_async import UsageError
from boxis_async.export.arrow import ParquetWriter
from boxis_async.export.text_writers import CSVWriter, JSONLinesWriter

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from datetime import tzinfo

    from boxis_async import CDR
    from boxis_async.export.files import Output

__all__ = ["FORMATS", "Format", "Writer", "check_format", "format_of", "make_writer"]

Format: TypeAlias = Literal["csv", "jsonl", "parquet"]
"""The name of a format: CSV, JSON Lines or Parquet."""

FORMATS: Final[tuple[Format, ...]] = get_args(Format)
"""The names of all formats."""

_SUFFIXES: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


class Writer(Protocol):
    """Writes records to a file that is open for bytes, and never closes it."""

    def begin(self) -> None:
        """Write what precedes the first record."""

    def write(self, cdrs: Sequence[CDR]) -> None:
        """Write the records of a batch."""

    def end(self) -> None:
        """Write what follows the last record."""

    def abandon(self) -> None:
        """Write nothing more; harmless after `end`."""


def format_of(target: str | os.PathLike[str]) -> Format:
    """Give the format of a file by its suffix: .csv, .jsonl, .ndjson, .parquet or .pq.

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


def check_format(format: object, *, formula_safe: bool) -> None:  # noqa: A002 - the field's own term
    """Refuse an unknown format, and `formula_safe` where it has no meaning.

    Raises:
        UsageError: The format is unknown, or `formula_safe` is set and it is not CSV.
    """
    if format not in FORMATS:
        raise UsageError(f"format must be one of {', '.join(FORMATS)}, not {format!r}")
    if formula_safe and format != "csv":
        raise UsageError(f"formula_safe is for CSV: no program reads formulas from {format}")


def make_writer(
    format: Format,  # noqa: A002 - the field's own term
    file: Output,
    *,
    timezone: tzinfo,
    formula_safe: bool = False,
) -> Writer:
    """Make the writer of a format.

    Raises:
        MissingExtraError: The format needs an extra that is not installed.
    """
    if format == "csv":
        return CSVWriter(file, formula_safe=formula_safe)
    if format == "jsonl":
        return JSONLinesWriter(file)
    if format == "parquet":
        return ParquetWriter(file, timezone=timezone)
    raise AssertionError(f"a format without a writer: {format}")
