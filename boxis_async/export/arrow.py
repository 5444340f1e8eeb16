"""Records as Arrow tables and Parquet files, by pyarrow (extra `parquet`).

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
from boxis_async.export.columns import COLUMNS, Kind, values_of
from boxis_async.export.errors import UnfitValueError

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

    from boxis_async.export.files import Output

__all__ = ["ParquetWriter", "merge", "require_pyarrow", "to_arrow"]

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
    return _table(records, schema(timezone))


def schema(zone: tzinfo | None) -> pa.Schema:
    """Give the names and types of the columns, with datetimes in a zone."""
    arrow = require_pyarrow()
    types: dict[Kind, Any] = {
        "text": arrow.string(),
        "disposition": arrow.string(),
        "datetime": arrow.timestamp("us", tz=_zone_name(zone)),
        "date": arrow.date32(),
        "integer": arrow.int64(),
        "decimal": arrow.decimal128(_PRECISION, _SCALE),
        "mapping": arrow.map_(arrow.string(), arrow.string()),
    }
    return arrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])


class ParquetWriter:
    """Writes records as a Parquet file: a row group for each call of `write`.

    Args:
        file: The output, open for bytes.
        timezone: The zone of the datetimes.
    """

    def __init__(self, file: Output, *, timezone: tzinfo) -> None:
        require_pyarrow()
        self._schema = schema(timezone)
        self._sink = _Sink(file)
        self._writer: Any = None

    def begin(self) -> None:
        """Write the start of the file."""
        self._writer = _open(self._sink, self._schema)

    def write(self, cdrs: Sequence[CDR]) -> None:
        """Write records, as a row group of their own."""
        if cdrs:
            self._writer.write_table(_table(cdrs, self._schema), row_group_size=len(cdrs))

    def end(self) -> None:
        """Write the end of the file: the directory of its row groups.

        Raises:
            OSError: An earlier write failed, so the file cannot be completed.
        """
        # pyarrow's own writer would close, and raise nothing.
        if self._sink.failure is not None:
            raise OSError(f"an earlier write failed: {self._sink.failure}")
        self._writer.close()

    def abandon(self) -> None:
        """Write nothing more; harmless after `end`."""
        # pyarrow's own writer writes the end of the file when it is freed, so that a part of the
        # records would look like a complete file.
        self._sink.is_open = False
        if self._writer is not None:
            # After a write that failed this may fail again. The first error is the one to raise.
            with contextlib.suppress(Exception):
                self._writer.close()


class _Sink:
    """The file that pyarrow writes to: passes the bytes on until `is_open` is False.

    It says how much was written, so that the output may be a pipe, which cannot.
    """

    closed = False

    def __init__(self, file: Output) -> None:
        self._file = file
        self._written = 0
        self.is_open = True
        self.failure: Exception | None = None

    def write(self, data: bytes) -> None:
        if self.is_open:
            try:
                self._file.write(data)
            except Exception as error:
                # pyarrow may write more while it cleans up: the file must not look complete.
                self.is_open = False
                self.failure = error
                raise
        self._written += len(data)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """Do nothing: whoever opened the file flushes it."""

    def close(self) -> None:
        """Do nothing: whoever opened the file closes it."""


def merge(parts: Iterable[tuple[io.FileIO, int]], file: Output, *, timezone: tzinfo) -> None:
    """Merge Parquet files into one, row group by row group.

    Args:
        parts: The files, open, each with how many of its row groups to take.
        file: The output, open for bytes.
        timezone: The zone of the datetimes, for a file without a record.
    """
    parquet = _parquet()
    with _open(_Sink(file), schema(timezone)) as writer:
        for source, groups in parts:
            with parquet.ParquetFile(source) as part:
                for group in range(groups):
                    table = part.read_row_group(group)
                    writer.write_table(table, row_group_size=table.num_rows)


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


def _open(file: _Sink, columns: pa.Schema) -> Any:  # noqa: ANN401 - pyarrow carries no types
    return _parquet().ParquetWriter(file, columns, compression="zstd")


def _table(cdrs: Sequence[CDR], target: pa.Schema) -> pa.Table:
    arrow = require_pyarrow()
    # Arrow stores columns, not rows.
    columns = zip(*map(values_of, cdrs), strict=True) if cdrs else [()] * len(COLUMNS)
    arrays: list[Any] = []
    for (name, kind), column in zip(COLUMNS.items(), columns, strict=True):
        values: Sequence[Any] = column
        if kind == "datetime":
            values = [None if value is None else _microseconds(value) for value in values]
        elif kind == "mapping":
            values = [list(value.items()) for value in values]
        try:
            arrays.append(arrow.array(values, type=target.field(name).type))
        except (arrow.ArrowInvalid, OverflowError) as error:
            raise UnfitValueError(
                f"a value of {name} does not fit into {target.field(name).type}: {error}; "
                "export as CSV or JSON Lines instead, which keep it as it is"
            ) from error
    return arrow.Table.from_arrays(arrays, schema=target)


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
