"""Rows as Arrow tables and Parquet files, by pyarrow (extra `parquet`).

The only module that imports pyarrow, and only when it is needed.
"""

# pyarrow carries no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from boxis_async import CDR, MissingExtraError
from boxis_async.export.columns import Columns, Kind, choose_columns
from boxis_async.export.errors import UnfitValueError
from boxis_async.export.files import CountingOutput

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from boxis_async import Call
    from boxis_async.export.files import Output
    from boxis_async.export.layout import Layout

__all__ = [
    "BatchWriter",
    "ParquetWriter",
    "parquet_rows",
    "read_batches",
    "require_pyarrow",
    "to_arrow",
]

_AT_ONCE = 1000

ROW_GROUP = 50_000
"""The rows of a row group; readers have little from smaller ones."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# 38 digits are the most that a decimal of 16 bytes can have; so many of them follow the point.
_PRECISION, _SCALE = 38, 10


def to_arrow(cdrs: Iterable[CDR], *, timezone: tzinfo | None = None) -> pa.Table:
    """Make an Arrow table of records, with the columns of `CDR`.

    Texts are `string`, datetimes `timestamp[us]` in the provider's zone, and integers `int64`.
    `cc_date` is `date32`, `cc_cost` `decimal128(38, 10)`, and `extra` a map of texts.

    Args:
        cdrs: The records.
        timezone: The zone of the columns; None takes that of the first record, or UTC if there
            is none.

    Raises:
        MissingExtraError: pyarrow is not installed; the message names the extra.
        UnfitValueError: A number is too large for its column.
    """
    records = list(cdrs)
    if timezone is None:
        timezone = records[0].start.tzinfo if records else None
    columns = choose_columns("legs")
    target = schema(timezone, columns)
    return require_pyarrow().Table.from_batches([_batch(records, target, columns)], target)


def schema(zone: tzinfo | None, columns: Columns) -> pa.Schema:
    """Give the names and types of the columns, with datetimes in a zone."""
    arrow = require_pyarrow()
    types: dict[Kind, Any] = {
        "text": arrow.string(),
        "word": arrow.string(),
        "boolean": arrow.bool_(),
        "datetime": arrow.timestamp("us", tz=_zone_name(zone)),
        "date": arrow.date32(),
        "integer": arrow.int64(),
        "seconds": arrow.int64(),
        "decimal": arrow.decimal128(_PRECISION, _SCALE),
        "mapping": arrow.map_(arrow.string(), arrow.string()),
    }
    return arrow.schema([(column.name, types[column.kind]) for column in columns.all])


class ParquetWriter:
    """Writes rows as a Parquet file, in row groups of `ROW_GROUP` rows or more, but for the last.

    Args:
        file: The output, open for bytes.
        layout: The columns.
        timezone: The zone of the datetimes.
    """

    def __init__(self, file: Output, layout: Layout, *, timezone: tzinfo) -> None:
        require_pyarrow()
        self._columns = layout.columns
        self._schema = schema(timezone, layout.columns)
        self._sink = CountingOutput(file)
        self._writer: Any = None
        self._kept: list[Any] = []
        self._rows = 0

    def begin(self) -> None:
        """Write the start of the file."""
        self._writer = _parquet().ParquetWriter(self._sink, self._schema, compression="zstd")

    def write(self, rows: Sequence[CDR | Call]) -> None:
        """Write rows, or keep them until a row group is full."""
        self.add(_batch(rows, self._schema, self._columns))

    def add(self, batch: Any) -> None:  # noqa: ANN401 - pyarrow carries no types
        """Write a batch of Arrow's, or keep it until a row group is full."""
        self._kept.append(batch)
        self._rows += batch.num_rows
        if self._rows >= ROW_GROUP:
            self._write_group()

    def end(self) -> None:
        """Write the end of the file: the directory of its row groups.

        Raises:
            OSError: An earlier write failed, so the file cannot be completed.
        """
        # pyarrow's own writer would close, and raise nothing.
        if self._sink.failure is not None:
            raise OSError(f"an earlier write failed: {self._sink.failure}")
        self._write_group()
        self._writer.close()

    def abandon(self) -> None:
        """Write nothing more; harmless after `end`."""
        # pyarrow's own writer writes the end of the file when it is freed, so that a part of the
        # records would look like a complete file.
        self._sink.is_open = False
        self._kept = []
        if self._writer is not None:
            # After a write that failed this may fail again. The first error is the one to raise.
            with contextlib.suppress(Exception):
                self._writer.close()

    def _write_group(self) -> None:
        kept, rows = self._kept, self._rows
        self._kept, self._rows = [], 0
        if rows:
            table = require_pyarrow().Table.from_batches(kept, self._schema)
            self._writer.write_table(table, row_group_size=rows)


class BatchWriter:
    """Writes records as a stream of Arrow's batches, which can be truncated behind any of them.

    Args:
        file: The output, open for bytes.
        layout: The columns.
        timezone: The zone of the datetimes.
    """

    def __init__(self, file: Output, layout: Layout, *, timezone: tzinfo) -> None:
        require_pyarrow()
        self._columns = layout.columns
        self._schema = schema(timezone, layout.columns)
        self._file = file

    def begin(self) -> None:
        """Write the names and types of the columns."""
        self._file.write(self._schema.serialize())

    def write(self, rows: Sequence[CDR | Call]) -> None:
        """Write rows, as a batch of their own."""
        if rows:
            self._file.write(_batch(rows, self._schema, self._columns).serialize())


def read_batches(file: io.FileIO) -> Iterator[Any]:
    """Read what a `BatchWriter` wrote, from a file that is open."""
    with require_pyarrow().ipc.open_stream(file) as stream:
        yield from stream


def parquet_rows(path: Path, only: str | None = None) -> Iterator[dict[str, Any]]:
    """Read the rows of a Parquet file, some at a time, as values by the names of the columns.

    Args:
        path: The file.
        only: The one column to read; None is all.

    Raises:
        MissingExtraError: pyarrow is not installed.
        ValueError: It is no Parquet file.
    """
    with _parquet().ParquetFile(path) as file:
        names = file.schema_arrow.names
        columns = [only] if only in names else names
        # pyarrow's own threads may still run when Python ends, and abort it (apache/arrow#34314).
        for batch in file.iter_batches(batch_size=_AT_ONCE, columns=columns, use_threads=False):
            yield from batch.to_pylist()


def require_pyarrow() -> Any:  # noqa: ANN401 - pyarrow carries no types
    """Give pyarrow.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import pyarrow  # noqa: ICN001, PLC0415 - an optional dependency
    except ImportError:
        raise MissingExtraError(
            'Parquet and Arrow need pyarrow: pip install "boxis-async[parquet]"'
        ) from None
    return pyarrow


def _parquet() -> Any:  # noqa: ANN401 - pyarrow carries no types
    require_pyarrow()
    import pyarrow.parquet  # noqa: PLC0415 - an optional dependency

    return pyarrow.parquet


def _batch(rows: Sequence[CDR | Call], target: pa.Schema, columns: Columns) -> pa.RecordBatch:
    arrow = require_pyarrow()
    arrays: list[Any] = []
    for column, of_rows in zip(columns.all, columns.values(rows), strict=True):
        values: Sequence[Any] = of_rows
        if column.kind == "datetime":
            values = [None if value is None else _microseconds(value) for value in values]
        elif column.kind == "mapping":
            values = [list(value.items()) for value in values]
        type_ = target.field(column.name).type
        try:
            arrays.append(arrow.array(values, type=type_))
        except (arrow.ArrowInvalid, OverflowError) as error:
            raise UnfitValueError(
                f"a value of {column.name} does not fit into {type_}: {error}; "
                "export as CSV or JSON Lines instead, which keep it as it is"
            ) from error
    return arrow.RecordBatch.from_arrays(arrays, schema=target)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _zone_name(zone: tzinfo | None) -> str:
    """Name a zone as Arrow does: an IANA name, or an offset."""
    if isinstance(zone, ZoneInfo) and zone.key:
        return zone.key
    if isinstance(zone, timezone):
        minutes = zone.utcoffset(None) // timedelta(minutes=1)
        sign = "-" if minutes < 0 else "+"
        return f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}" if minutes else "UTC"
    return "UTC"
