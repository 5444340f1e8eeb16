"""`write()`: a stream into a file that the caller opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from boxis_async.export.errors import raise_for_failures
from boxis_async.export.files import CallersFile
from boxis_async.export.formats import Format, check_format, make_writer
from boxis_async.export.values import Exported
from boxis_async.export.worker_thread import shielded, worker_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from boxis_async import CDR, CDRStream, Stats

__all__ = ["write"]


async def write(
    stream: CDRStream,
    file: BinaryIO,
    format: Format,  # noqa: A002 - the field's own term
    *,
    formula_safe: bool = False,
    progress: Callable[[Stats], None] | None = None,
) -> Exported:
    """Write a stream to a file that is open for bytes, such as `sys.stdout.buffer`.

    It cannot be resumed: if it raises, the file is incomplete. The file is flushed after each
    batch, and stays open.

    Args:
        stream: What to write, in the order that it has. Of a stream that was begun, what is still
            to come. Records that could not be read are in its `rejects`.
        file: The file.
        format: `"csv"`, `"jsonl"` or `"parquet"`.
        formula_safe: As in `export`.
        progress: Called after each batch with the statistics of the stream.

    Raises:
        UsageError: An argument is wrong.
        MissingExtraError: The format needs an extra that is not installed.
        WindowError: A window failed for good.
        IncompleteExportError: The stream collects failures, and windows failed.
        UnfitValueError: The format cannot hold a value.
        OSError: The reader of a pipe has gone, for example.
    """
    check_format(format, formula_safe=formula_safe)
    output = CallersFile(file)
    writer = make_writer(format, output, timezone=stream.timezone, formula_safe=formula_safe)
    records = 0

    def write_and_flush(cdrs: Sequence[CDR]) -> None:
        writer.write(cdrs)
        file.flush()

    async with worker_thread() as in_thread, stream:
        try:
            await in_thread(writer.begin)
            async for batch in stream.batches():
                await in_thread(write_and_flush, batch.cdrs)
                records += len(batch.cdrs)
                if progress is not None:
                    progress(stream.stats)
            raise_for_failures(stream)
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
