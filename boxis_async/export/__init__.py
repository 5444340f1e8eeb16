"""Calls into files: CSV, JSON Lines or Parquet, whole or absent, resumed after any end.

`export` writes a range of a client to a file; `write` writes a stream to an open one;
`to_arrow` makes a table in memory.
"""

from boxis_async.export.arrow import (
    to_arrow,  # pyright: ignore[reportUnknownVariableType] - pyarrow carries no types
)
from boxis_async.export.errors import (
    ExportBusyError,
    ExportExistsError,
    IncompleteExportError,
    UnfitValueError,
)
from boxis_async.export.formats import FORMATS, Format, format_of
from boxis_async.export.job import Exported, export, write
from boxis_async.export.journal import Unfinished, unfinished

__all__ = [
    "FORMATS",
    "ExportBusyError",
    "ExportExistsError",
    "Exported",
    "Format",
    "IncompleteExportError",
    "Unfinished",
    "UnfitValueError",
    "export",
    "format_of",
    "to_arrow",
    "unfinished",
    "write",
]
