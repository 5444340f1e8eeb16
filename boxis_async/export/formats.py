"""The formats by name, and the small protocol that each one's writer follows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias, get_args

from boxis_async import UsageError
from boxis_async.export.arrow import ParquetWriter
from boxis_async.export.lines import CSVWriter, JSONLinesWriter

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
"""All names of formats."""

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
        """Write what stands before the first record."""

    def write(self, cdrs: Sequence[CDR]) -> None:
        """Write the records of a batch."""

    def end(self) -> None:
        """Write what stands after the last record."""

    def abandon(self) -> None:
        """Write nothing more; harmless after `end`."""


def format_of(target: str | os.PathLike[str]) -> Format:
    """Tell the format of a file by its suffix: .csv, .jsonl, .ndjson, .parquet or .pq.

    Raises:
        UsageError: It is another one.
    """
    found = _SUFFIXES.get(Path(target).suffix.lower())
    if found is None:
        raise UsageError(
            f"the format of {Path(target).name!r} cannot be told by its name: end it in "
            f"{', '.join(_SUFFIXES)}, or name the format ({', '.join(FORMATS)})"
        )
    return found


def check_format(format: object, *, formula_safe: bool) -> None:  # noqa: A002 - the field's own term
    """Refuse a format that does not exist, and a choice that it does not have.

    Raises:
        UsageError: It does not exist, or is not CSV and was to be safe from formulas.
    """
    if format not in FORMATS:
        raise UsageError(f"format must be one of {', '.join(FORMATS)}, not {format!r}")
    if formula_safe and format != "csv":
        raise UsageError(f"formula_safe is for CSV: nothing reads formulas out of {format}")


def make_writer(
    format: Format,  # noqa: A002 - the field's own term
    file: Output,
    *,
    timezone: tzinfo,
    formula_safe: bool = False,
) -> Writer:
    """Make a format's writer.

    Raises:
        MissingExtraError: The format needs an extra that is not installed.
    """
    if format == "csv":
        return CSVWriter(file, formula_safe=formula_safe)
    if format == "jsonl":
        return JSONLinesWriter(file)
    return ParquetWriter(file, timezone=timezone)
