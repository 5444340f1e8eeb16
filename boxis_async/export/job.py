"""A range of calls into a file, or a stream into an open one; the writing has its own thread."""

from __future__ import annotations

import time
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import attrs

from boxis_async import CDRStream, Coverage, Stats
from boxis_async.export.arrow import require_pyarrow
from boxis_async.export.errors import IncompleteExportError
from boxis_async.export.formats import Format, check_format, format_of, make_writer
from boxis_async.export.journal import Unfinished, unfinished
from boxis_async.export.thread import Thread, own_thread, surely
from boxis_async.export.work import Kept, Work

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Hashable, Sequence

    from boxis_async import CDR, BoxisClient

    UniqueBy = Literal["uniqueid", "leg"] | Callable[[CDR], Hashable]
    Progress = Callable[[Stats], None]

__all__ = ["Exported", "export", "write"]

# Seconds between checkpoints: what a crash can cost. And how much longer than a checkpoint
# itself, so that a slow disk is not kept busy with them.
_INTERVAL = 1.0
_PATIENCE = 20


@attrs.frozen(kw_only=True)
class Exported:
    """What an export came to."""

    path: Path | None
    """The file; None when it was written to an open one."""
    records: int
    """All records in the file, those of earlier runs included."""
    conflicts: int
    """Records that were left out and were no copies, in all runs; `unique_by="leg"` keeps them."""
    stats: Stats
    """What the stream of this run did."""
    resumed: bool = False
    """Whether it went on with an unfinished export."""


async def export(  # noqa: PLR0913 - each is one thing to set, by name
    client: BoxisClient,
    target: str | os.PathLike[str],
    datefrom: date | None = None,
    dateto: date | None = None,
    *,
    format: Format | None = None,  # noqa: A002 - the field's own term
    formula_safe: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    tenant: str | None = None,
    window: timedelta | None = None,
    unique_by: UniqueBy = "uniqueid",
    clip: Literal["start"] | None = None,
    row_limit: int | None = None,
    on_error: Literal["raise", "collect"] = "raise",
    settle: timedelta = timedelta(hours=24),
    progress: Progress | None = None,
) -> Exported:
    """Write the calls of a range to a file, which is whole in the end and absent until then.

    What is fetched stands beside it meanwhile, in the folder `<file>.unfinished`, with a
    checkpoint about each second. After whatever end, also of the process, a call with the same
    arguments and `resume=True` goes on from there; the file then holds what a run without a
    break would have written. In time order, but what failed and was fetched later stands last.

    Args:
        client: Whom to ask.
        target: The file.
        datefrom: The start of the range, as in `BoxisClient.cdrs`.
        dateto: The end of the range; None is now, or of a resumed one, the "now" that it had.
        format: `"csv"`, `"jsonl"` or `"parquet"`; None goes by the suffix of the file.
        formula_safe: For CSV: whether to put a `'` before each text that a spreadsheet would
            take for a formula.
        resume: Whether to go on with an unfinished export, if there is one.
        overwrite: Whether a file that is there may be replaced; without `resume` an unfinished
            export of it is begun anew.
        tenant: As in `BoxisClient.cdrs`, as are the next six.
        window: The span that one request asks for.
        unique_by: What makes records the same. A function runs in another thread too.
        clip: What is left out at the ends of the range.
        row_limit: From how many records on an answer may be cut off.
        on_error: Whether a window that fails for good ends the export, or the rest is fetched
            first.
        settle: How long records may change; younger ones are written, but not checkpointed.
        progress: Called after each batch with the stream's stats.

    Raises:
        UsageError: An argument is wrong, or what is unfinished asks for something else.
        ExportExistsError: The file is there, or an unfinished export of it, and neither `resume`
            nor `overwrite` says what to do.
        ExportBusyError: Another export to this file is running.
        MissingExtraError: The format needs an extra that is not installed.
        WindowError: A window failed for good. What came before it is kept.
        IncompleteExportError: With `on_error="collect"`, windows failed. The rest is kept.
        UnfitValueError: The format cannot hold a value.
        OSError: The disk is full, or the like. What was written before is kept.
    """
    path = Path(target).resolve()  # noqa: ASYNC240 - looks at a name, and reads no file
    form = format_of(path) if format is None else format
    check_format(form, formula_safe=formula_safe)
    if form == "parquet":
        require_pyarrow()
    if resume and dateto is None and (begun := unfinished(path)) is not None:
        dateto = begun.dateto

    def ask(until: date | None, done: Coverage | None = None) -> CDRStream:
        return client.cdrs(
            datefrom,
            until,
            tenant=tenant,
            window=window,
            unique_by=unique_by,
            clip=clip,
            row_limit=row_limit,
            on_error=on_error,
            resume=done,
            settle=settle,
        )

    calls = ask(dateto)  # so that wrong arguments are told before anything is touched
    if datefrom is not None and dateto is None:
        dateto = calls.plan().end
    work = Work(
        path,
        Unfinished(
            datefrom=datefrom,
            dateto=dateto,
            tenant=tenant,
            format=form,
            formula_safe=formula_safe,
            unique_by=_name_of(unique_by) if callable(unique_by) else unique_by,
            clip=clip,
        ),
        key=_key_of(unique_by),
        timezone=calls.timezone,
        resume=resume,
        overwrite=overwrite,
    )
    async with own_thread() as run:
        try:
            await run(work.open)
            conflicts, stats = work.journal.conflicts, Stats()
            if not work.journal.is_fetched:
                calls = ask(dateto, work.journal.done)
                conflicts += await _Fetching(calls, work, run, progress).fetch()
                stats = calls.stats
            await run(work.finish)
        finally:
            await surely(run(work.close))
    return Exported(
        path=path,
        records=work.kept.records,
        conflicts=conflicts,
        stats=stats,
        resumed=work.is_resumed,
    )


async def write(
    calls: CDRStream,
    file: BinaryIO,
    format: Format,  # noqa: A002 - the field's own term
    *,
    formula_safe: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write a stream to a file that is open for bytes, such as `sys.stdout.buffer`.

    There is nothing to resume: when it raises, what was written is a part. It is flushed after
    each batch, and stays open.

    Args:
        calls: The stream, in whatever order it has.
        file: Where to.
        format: `"csv"`, `"jsonl"` or `"parquet"`.
        formula_safe: As in `export`.
        progress: Called after each batch with the stream's stats.

    Raises:
        UsageError: An argument is wrong.
        MissingExtraError: The format needs an extra that is not installed.
        WindowError: A window failed for good.
        IncompleteExportError: The stream collects failures, and windows failed.
        UnfitValueError: The format cannot hold a value.
        OSError: Whoever reads the file has gone, or the like.
    """
    check_format(format, formula_safe=formula_safe)
    writer = make_writer(format, file, timezone=calls.timezone, formula_safe=formula_safe)
    records = 0

    def put(cdrs: Sequence[CDR]) -> None:
        writer.write(cdrs)
        file.flush()

    async with own_thread() as run, calls:
        try:
            await run(writer.begin)
            async for batch in calls.batches():
                await run(put, batch.cdrs)
                records += len(batch.cdrs)
                if progress is not None:
                    progress(calls.stats)
            _check_failures(calls)
            await run(writer.end)
            await run(file.flush)
        finally:
            await surely(run(writer.abandon))
    stats = calls.stats
    return Exported(path=None, records=records, conflicts=stats.conflicts, stats=stats)


@attrs.define
class _Fetching:
    """What is missing of an export, fetched and written, with a checkpoint now and then."""

    calls: CDRStream
    work: Work
    run: Thread
    progress: Progress | None
    conflicts: int = 0
    interval: float = _INTERVAL

    async def fetch(self) -> int:
        """Fetch it all, and give the number of records that were dropped as conflicts."""
        calls, work = self.calls, self.work
        kept, is_at_rest = work.kept, True
        before = work.journal.conflicts
        due = time.monotonic() + self.interval
        try:
            async with calls:
                async for batch in calls.batches():
                    # The batch was asked for, so the coverage speaks of all before it, and these
                    # are written.
                    if is_at_rest and time.monotonic() >= due:
                        is_at_rest = await self.save(kept, before)
                        due = time.monotonic() + self.interval
                    kept = await self.run(work.write, batch.cdrs)
                    self.conflicts = calls.stats.conflicts + kept.repeated
                    if self.progress is not None:
                        self.progress(calls.stats)
            _check_failures(calls)
        except BaseException as error:
            try:
                await surely(self.save(kept, before))
            except OSError as trouble:
                error.add_note(f"nor could the last checkpoint be written: {trouble}")
            raise
        await self.run(work.save, kept, before + self.conflicts, 1.0, None)
        return self.conflicts

    async def save(self, kept: Kept, before: int) -> bool:
        """Set a checkpoint, unless what was handed over would come again; tell whether it was."""
        coverage = self.calls.coverage
        if coverage.unsealed or self.work.asked.datefrom is None:
            # Too young to be at rest, or all in one request: the next run fetches it again, and
            # cuts this off.
            return False
        began = time.monotonic()
        conflicts = before + self.conflicts
        await self.run(self.work.save, kept, conflicts, self.calls.stats.covered, coverage)
        self.interval = max(_INTERVAL, _PATIENCE * (time.monotonic() - began))
        return True


def _check_failures(calls: CDRStream) -> None:
    if failures := calls.failures:
        raise IncompleteExportError(
            f"{len(failures)} of the range's windows could not be had, the first: {failures[0]}",
            failures=failures,
        )


def _key_of(unique_by: UniqueBy) -> Callable[[CDR], Hashable | None]:
    if callable(unique_by):
        return unique_by
    # A record without a uniqueid is known by its content, and can come twice only at an edge,
    # where the coverage knows it.
    if unique_by == "leg":
        return lambda cdr: cdr.leg if cdr.uniqueid else None
    return lambda cdr: cdr.uniqueid or None


def _name_of(function: Callable[[CDR], Hashable]) -> str:
    return getattr(function, "__qualname__", type(function).__qualname__)
