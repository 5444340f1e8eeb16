"""`write()`: a stream into a file that the caller opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Literal

from boxis_async import UsageError
from boxis_async.export.call_rows import CallRows, check_legs, legs_around
from boxis_async.export.errors import raise_for_failures
from boxis_async.export.files import CallersFile
from boxis_async.export.formats import Format, check_format, make_writer
from boxis_async.export.layout import make_layout
from boxis_async.export.rows_in_turns import write_rows
from boxis_async.export.values import Exported
from boxis_async.export.worker_thread import shielded, worker_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from boxis_async import CDR, Call, CDRStream, Stats
    from boxis_async.export.columns import Rows

__all__ = ["write"]


async def write(  # noqa: PLR0913 - each is one thing to set, by name
    stream: CDRStream,
    file: BinaryIO,
    format: Format,  # noqa: A002 - the field's own term
    *,
    rows: Rows = "legs",
    columns: Iterable[str] | Literal["readable"] | None = None,
    delimiter: str = ",",
    bom: bool = False,
    local_times: bool = False,
    decimal_comma: bool = False,
    formula_safe: bool = False,
    progress: Callable[[Stats], None] | None = None,
) -> Exported:
    """Write a stream to a file that is open for bytes, such as `sys.stdout.buffer`.

    It cannot be resumed: if it raises, the file is incomplete. The file is flushed after each
    batch, and stays open.

    Args:
        stream: What to write, in the order that it has. Of a stream that was begun, what is still
            to come. Records that could not be read are in its `rejects`; of calls, only
            `Exported.rejects` counts them, and `export` keeps them.
        file: The file.
        format: `"csv"`, `"jsonl"`, `"parquet"` or `"xlsx"`.
        rows: As in `export`, like all that follows but `progress`.
        columns: Which columns.
        delimiter: For CSV.
        bom: For CSV.
        local_times: For CSV.
        decimal_comma: For CSV.
        formula_safe: For CSV.
        progress: Called after each batch with the statistics of the stream.

    Raises:
        UsageError: An argument is wrong.
        MissingExtraError: The format needs an extra that is not installed.
        WindowError: A window failed for good.
        IncompleteExportError: The stream collects failures, and windows failed.
        UnfitValueError: The format cannot hold a value.
        OSError: The reader of a pipe has gone, for example.
    """
    layout = make_layout(
        rows=rows,
        columns=columns,
        delimiter=delimiter,
        bom=bom,
        local_times=local_times,
        decimal_comma=decimal_comma,
        formula_safe=formula_safe,
    )
    check_format(format, layout)
    output = CallersFile(file)
    writer = make_writer(format, output, layout, timezone=stream.timezone)
    calls: CallRows | None = None
    if layout.rows == "calls":
        check_legs(stream)
        if stream.is_begun:
            raise UsageError("calls need a stream from its beginning: give stream.again()")
        calls = CallRows(stream.datefrom, stream.dateto)
        stream = legs_around(stream)
    records = 0

    async def write_and_flush(rows: Sequence[CDR | Call]) -> int:
        if rows:
            await write_rows(writer, rows, in_thread)
        await in_thread(file.flush)
        return len(rows)

    async with worker_thread() as in_thread, stream:
        try:
            await in_thread(writer.begin)
            async for batch in stream.batches():
                legs = batch.cdrs
                records += await write_and_flush(
                    legs if calls is None else await in_thread(calls.add, legs)
                )
                if progress is not None:
                    progress(stream.stats)
            raise_for_failures(stream)
            if calls is not None:
                records += await write_and_flush(await in_thread(calls.close))
            # Read before the stream is closed: `Exported.rejects` says that there are some.
            rejects = stream.rejects
            await in_thread(writer.end)
            await in_thread(file.flush)
        finally:
            await shielded(in_thread(writer.abandon))
    stats = stream.stats
    return Exported(
        path=None,
        records=records,
        conflicts=stats.conflicts,
        stats=stats,
        rejects=len(rejects),
    )
