"""A range of calls into a file, or a stream into an open one; the writing has its own thread."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import attrs

from boxis_async import CDRStream, Coverage, Stats, UsageError
from boxis_async.export.arrow import require_pyarrow
from boxis_async.export.errors import IncompleteExportError
from boxis_async.export.files import Opened
from boxis_async.export.formats import Format, check_format, format_of, make_writer
from boxis_async.export.journal import Unfinished, place_of
from boxis_async.export.thread import Thread, own_thread, surely
from boxis_async.export.work import Kept, Work

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Hashable, Sequence

    from boxis_async import CDR

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
    stream: CDRStream,
    path: str | os.PathLike[str],
    *,
    format: Format | None = None,  # noqa: A002 - the field's own term
    formula_safe: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write the calls of a stream to a file, which is complete in the end and absent until then.

    The stream says what to export, such as `client.cdrs(datefrom, dateto, unique_by="leg")`. It
    is not iterated itself: an export makes streams of its own of the same query.

    Until the file is complete, what is fetched stands beside it, in the folder
    `<path>.unfinished`, with a checkpoint about each second. If the export ends early, even
    because the process is killed, call it again with the same query and `resume=True`. It
    continues from the last checkpoint, and the file then holds what one run without a break
    would have written. The records stand in the stream's order, but those of a window that
    failed, and was fetched later, stand last.

    Args:
        stream: What to export: a stream that was not begun. `carry_keys` is of no use here, as
            an export knows every record that it wrote.
        path: The file.
        format: `"csv"`, `"jsonl"` or `"parquet"`; None chooses by the suffix of the file.
        formula_safe: For CSV: whether to put a `'` before each text that a spreadsheet would
            take for a formula.
        resume: Whether to continue an unfinished export, if there is one. A range without an
            end then ends at the "now" of the first run.
        overwrite: Whether an existing file may be replaced. Without `resume`, an unfinished
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
        OSError: The disk is full, for example. What was written is kept; of a Parquet file,
            what was written until the last checkpoint.
    """
    _check_stream(stream)
    target = place_of(path)
    form = format_of(target) if format is None else format
    check_format(form, formula_safe=formula_safe)
    if form == "parquet":
        require_pyarrow()
    # A range without an end ends now, and a resumed export keeps the "now" that it had.
    ends_now = stream.datefrom is not None and stream.dateto is None
    work = Work(
        target,
        Unfinished(
            datefrom=stream.datefrom,
            dateto=stream.plan().end if ends_now else stream.dateto,
            tenant=stream.tenant,
            format=form,
            formula_safe=formula_safe,
            unique_by=_name_of(stream.unique_by),
            clip=stream.clip,
        ),
        fingerprint=stream.coverage.fingerprint,
        key=_key_of(stream.unique_by),
        timezone=stream.timezone,
        ends_now=ends_now,
        resume=resume,
        overwrite=overwrite,
    )
    async with own_thread() as run:
        try:
            await run(work.open)
            conflicts, stats = work.journal.conflicts, Stats()
            if not work.journal.is_fetched:
                calls = stream.again(dateto=work.asked.dateto, resume=work.journal.done)
                conflicts = await _Fetching(
                    calls,
                    work,
                    run,
                    counts_repeated=stream.unique_by != "leg",
                    progress=progress,
                ).fetch()
                stats = calls.stats
            await run(work.finish)
        finally:
            await surely(run(work.close))
    return Exported(
        path=target,
        records=work.kept.records,
        conflicts=conflicts,
        stats=stats,
        resumed=work.is_resumed,
    )


def _check_stream(stream: object) -> None:
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
    if stream.coverage.sealed:
        raise UsageError(
            "the stream resumes a coverage, and an export keeps a coverage of its own: make the "
            "stream without resume=; to write only what the coverage lacks, use write()"
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
    output = Opened(file)
    writer = make_writer(format, output, timezone=calls.timezone, formula_safe=formula_safe)
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


@attrs.frozen
class _Point:
    """A state of an export that another run can go on from."""

    kept: Kept
    conflicts: int
    covered: float
    coverage: Coverage


class _Fetching:
    """What is missing of an export, fetched and written, with a checkpoint now and then.

    Args:
        calls: The stream of what is missing.
        work: Where to.
        run: Where it may block.
        counts_repeated: Whether a record with the key of one that an earlier run kept is a
            conflict: a leg that comes again is none.
        progress: Called after each batch.
    """

    def __init__(
        self,
        calls: CDRStream,
        work: Work,
        run: Thread,
        *,
        counts_repeated: bool,
        progress: Progress | None,
    ) -> None:
        self._calls = calls
        self._work = work
        self._run = run
        self._counts_repeated = counts_repeated
        self._progress = progress
        self._before = work.journal.conflicts
        self._kept = work.kept
        self._conflicts = self._before
        self._written = 0
        self._point: _Point | None = None
        self._interval = _INTERVAL
        self._due = time.monotonic() + self._interval
        self._note_due = 0.0

    async def fetch(self) -> int:
        """Fetch it all, and give the number of records that were dropped as conflicts, ever."""
        calls, run, work = self._calls, self._run, self._work
        try:
            async with calls:
                async for batch in calls.batches():
                    now = time.monotonic()
                    if now >= min(self._due, self._note_due):
                        self._note()
                    if now >= self._due:
                        await self._save()
                    self._kept = await run(work.write, batch.cdrs)
                    self._written += 1
                    repeated = self._kept.repeated if self._counts_repeated else 0
                    self._conflicts = self._before + calls.stats.conflicts + repeated
                    if self._progress is not None:
                        self._progress(calls.stats)
                _check_failures(calls)
        except BaseException as error:
            self._note()
            try:
                await surely(self._save())
            except Exception as trouble:  # noqa: BLE001 - the first error is the one to tell
                error.add_note(f"nor could the last checkpoint be written: {trouble}")
            raise
        await run(work.save, self._kept, self._conflicts, 1.0, None)
        return self._conflicts

    def _note(self) -> None:
        """Note where another run could go on from, if it could do so from here."""
        began = time.monotonic()
        stats, coverage = self._calls.stats, self._calls.coverage
        # Of many spans it takes a while to tell.
        now = time.monotonic()
        self._note_due = now + _PATIENCE * (now - began)
        if stats.windows != self._written:
            # The last batch is written, but nobody asked for the next: the coverage does not
            # speak of it, and it will come again.
            return
        if coverage.unsealed or self._work.asked.datefrom is None:
            # Too young to be at rest, or all in one request: the next run fetches it again, and
            # cuts this off.
            return
        self._point = _Point(self._kept, self._conflicts, stats.covered, coverage)

    async def _save(self) -> None:
        """Set a checkpoint where another run could go on from, unless it is set already."""
        point, self._point = self._point, None
        if point is not None:
            began = time.monotonic()
            await self._run(
                self._work.save, point.kept, point.conflicts, point.covered, point.coverage
            )
            self._interval = max(_INTERVAL, _PATIENCE * (time.monotonic() - began))
        self._due = time.monotonic() + self._interval


def _check_failures(calls: CDRStream) -> None:
    if failures := calls.failures:
        raise IncompleteExportError(
            f"{len(failures)} of the range's windows could not be had, the first: {failures[0]}",
            failures=failures,
        )


def _key_of(unique_by: UniqueBy) -> Callable[[CDR], Hashable | None]:
    if callable(unique_by):
        # In a tuple, as None is a key like any other.
        return lambda cdr: (unique_by(cdr),)
    # A record without a uniqueid is known by its content, and can come twice only at an edge,
    # where the coverage knows it.
    if unique_by == "leg":
        return lambda cdr: cdr.leg if cdr.uniqueid else None
    return lambda cdr: cdr.uniqueid or None


def _name_of(unique_by: UniqueBy) -> str:
    if isinstance(unique_by, str):
        return unique_by
    return getattr(unique_by, "__qualname__", type(unique_by).__qualname__)
