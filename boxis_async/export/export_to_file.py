"""`export()`: a stream into a file, which is complete or absent, and resumed after any end.

It checks its arguments, opens the folder of the work, lets `CheckpointedFetch` fill it, and puts
the finished file in its place. All that blocks runs in a thread of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

from boxis_async import CDRStream, Coverage, Stats, UsageError
from boxis_async.export.call_rows import check_legs, legs_around
from boxis_async.export.checkpoints import CheckpointedFetch
from boxis_async.export.formats import Format, check_format, format_of
from boxis_async.export.journal import resolve_path
from boxis_async.export.keys import key_function, rule_name
from boxis_async.export.layout import make_layout
from boxis_async.export.rejects_file import rejects_path
from boxis_async.export.values import Exported, Unfinished
from boxis_async.export.work_folder import WorkFolder
from boxis_async.export.worker_thread import shielded, worker_thread

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from boxis_async.export.columns import Rows

__all__ = ["export"]


async def export(  # noqa: PLR0913 - each is one thing to set, by name
    stream: CDRStream,
    path: str | os.PathLike[str],
    *,
    format: Format | None = None,  # noqa: A002 - the field's own term
    rows: Rows = "legs",
    columns: Iterable[str] | Literal["readable"] | None = None,
    delimiter: str = ",",
    bom: bool = False,
    local_times: bool = False,
    decimal_comma: bool = False,
    formula_safe: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[Stats], None] | None = None,
) -> Exported:
    """Write what a stream brings to a file, which is complete in the end and absent until then.

    The stream says what to export, such as `client.cdrs(datefrom, dateto, unique_by="leg")`. It
    is not iterated itself: an export makes streams of its own of the same query.

    Until the file is complete, what is fetched stands beside it, in the folder
    `<path>.unfinished`, with a checkpoint about each second. If the export ends early, even
    because the process is killed, call it again with the same query and `resume=True`. It
    continues from the last checkpoint, and the file then holds each record once, as one run
    without a break would have written them; with `unique_by="uniqueid"` each uniqueid once, but
    maybe another of its legs. The records stand in the stream's order, but those of a window that
    failed, and was fetched later, stand last.

    With `bad_records="collect"` the file lacks the records that cannot be read. They are in a file
    of their own beside it (`rejects_path`), which is there before the file is.

    Args:
        stream: What to export: a stream that was not begun. `carry_keys` is of no use here, as
            an export knows every record that it wrote.
        path: The file.
        format: `"csv"`, `"jsonl"`, `"parquet"` or `"xlsx"`; None chooses by the suffix of the
            file.
        rows: What a row is: `"legs"`, or `"calls"`: those that start in the range, whole, by
            their start. The stream must have every leg (`unique_by="leg"`);
            legs are fetched four hours beyond both ends.
        columns: Names of columns, in order, or `"readable"` for the few that people read; None
            stands for all that a record has, or a call. The page "Exports" lists them.
        delimiter: For CSV: a comma, a semicolon, a tab or `"|"`.
        bom: For CSV: whether a byte order mark comes first, by which Excel knows UTF-8.
        local_times: For CSV: whether times stand on the wall clock, as in
            `2026-10-05 08:33:30`, so that a spreadsheet reads them.
        decimal_comma: For CSV: whether decimals have a comma.
        formula_safe: For CSV: whether to put a `'` before each text, and each part of one behind
            what a spreadsheet may take for a delimiter, that it would take for a formula.
        resume: Whether to continue an unfinished export, if there is one. A range without an
            end then ends at the "now" of the first run.
        overwrite: Whether existing files may be replaced. Without `resume`, an unfinished
            export of it is discarded.
        progress: Called after each batch with the statistics of this run.

    Raises:
        UsageError: An argument is wrong, the stream was begun or resumes a coverage, or the
            unfinished export has another query.
        ExportExistsError: The file exists, or an unfinished export of it, and neither `resume`
            nor `overwrite` says what to do.
        ExportBusyError: Another export to this file is running.
        MissingExtraError: The format needs an extra that is not installed.
        WindowError: A window failed for good. What came before it is kept.
        IncompleteExportError: With `on_error="collect"`, windows failed. The rest is kept.
        UnfitValueError: The format cannot hold a value.
        LateLegError: With calls, one was quiet for more than four hours.
        OSError: The disk is full, for example. What the last checkpoint has is kept.
    """
    coverage = _checked_coverage(stream)
    target = resolve_path(path)
    file_format = format_of(target) if format is None else format
    layout = make_layout(
        rows=rows,
        columns=columns,
        delimiter=delimiter,
        bom=bom,
        local_times=local_times,
        decimal_comma=decimal_comma,
        formula_safe=formula_safe,
    )
    check_format(file_format, layout)
    if layout.rows == "calls":
        check_legs(stream)
    ends_now = stream.datefrom is not None and stream.dateto is None
    folder = WorkFolder(
        target,
        Unfinished(
            datefrom=stream.datefrom,
            # "Now" is chosen once, as each run of a stream without an end would choose another.
            dateto=stream.plan().end if ends_now else stream.dateto,
            tenant=stream.tenant,
            format=file_format,
            rows=layout.rows,
            columns=layout.chosen,
            **layout.spelling(),
            unique_by=rule_name(stream.unique_by),
            clip=stream.clip,
        ),
        layout,
        fingerprint=coverage.fingerprint,
        key=key_function(stream.unique_by),
        timezone=stream.timezone,
        ends_now=ends_now,
        resume=resume,
        overwrite=overwrite,
    )
    async with worker_thread() as in_thread:
        try:
            await in_thread(folder.open)
            if ends_now and not folder.is_resumed:
                folder.request = attrs.evolve(folder.request, dateto=await _later_now(stream))
            conflicts, stats = folder.journal.conflicts, Stats()
            if not folder.journal.is_fetched:
                whole = stream.again(dateto=folder.request.dateto)
                rest = (legs_around(whole) if layout.rows == "calls" else whole).again(
                    resume=folder.journal.parsed_coverage()
                )
                conflicts = await CheckpointedFetch(
                    rest,
                    folder,
                    in_thread,
                    counts_repeated=stream.unique_by != "leg",
                    progress=progress,
                ).run()
                stats = rest.stats
            while not await in_thread(folder.render):
                pass
            await in_thread(folder.finish)
        finally:
            await shielded(in_thread(folder.close))
    return Exported(
        path=target,
        records=folder.written.records if folder.journal.calls is None else folder.journal.calls,
        conflicts=conflicts,
        stats=stats,
        rejects=folder.journal.rejects,
        rejects_path=rejects_path(target) if folder.journal.rejects else None,
        resumed=folder.is_resumed,
    )


async def _later_now(stream: CDRStream) -> datetime | None:
    """Give "now" by the later of two clocks, ours and the provider's, which an answer shows.

    That costs one request, for no time at all. A stream learns as it goes, but an export's end is
    to be known before, as a resumed one ends there too.
    """
    nothing = stream.again(dateto=stream.datefrom)
    await nothing.to_list()
    # Read, or they would be logged. What fails here fails in the export too, and is reported then.
    _ = nothing.failures
    return stream.plan().end


def _checked_coverage(stream: object) -> Coverage:
    """Give the coverage of a stream that can be exported."""
    if not isinstance(stream, CDRStream):
        raise UsageError(
            f"export() takes a stream, not {type(stream).__name__}: "
            'export(client.cdrs(datefrom, dateto), "calls.csv")'
        )
    if stream.is_begun:
        raise UsageError(
            "the stream was begun: export a new one, such as stream.again(); to write only what "
            "is still to come, use write()"
        )
    coverage = stream.coverage
    if coverage.sealed:
        raise UsageError(
            "the stream resumes a coverage, and an export keeps a coverage of its own: make the "
            "stream without resume=; to write only what the coverage lacks, use write()"
        )
    return coverage
