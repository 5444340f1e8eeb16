"""Calls into files: CSV, JSON Lines, Parquet or a workbook, whole or absent, resumed after any end.

`export` writes a stream to a file that appears when it is complete; `write` writes a stream to a
file that is open; `save` writes what you have already; `to_arrow` makes a table in memory.
"""

from types import FunctionType

from boxis_async.export.arrow import (
    to_arrow,  # pyright: ignore[reportUnknownVariableType] - pyarrow carries no types
)
from boxis_async.export.columns import Rows
from boxis_async.export.errors import (
    ExportBusyError,
    ExportExistsError,
    IncompleteExportError,
    UnfitValueError,
)
from boxis_async.export.export_to_file import export
from boxis_async.export.formats import FORMATS, Format, format_of
from boxis_async.export.journal import unfinished
from boxis_async.export.read_calls import CallsFile
from boxis_async.export.rejects_file import rejects_path, write_rejects
from boxis_async.export.save_to_file import save
from boxis_async.export.values import Exported, Unfinished
from boxis_async.export.write_to_open_file import write

__all__ = [
    "FORMATS",
    "CallsFile",
    "ExportBusyError",
    "ExportExistsError",
    "Exported",
    "Format",
    "IncompleteExportError",
    "Rows",
    "Unfinished",
    "UnfitValueError",
    "export",
    "format_of",
    "rejects_path",
    "save",
    "to_arrow",
    "unfinished",
    "write",
    "write_rejects",
]

# Users import these names from here. So reprs, pickles and the reference name this module too, and
# a pickle can still be read after a name has moved from one module of the wing to another.
for _public in map(globals().__getitem__, __all__):
    if isinstance(_public, type | FunctionType):
        _public.__module__ = __name__
