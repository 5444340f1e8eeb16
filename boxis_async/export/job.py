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
from boxis_async.export.files import Opened
from boxis_async.export.formats import Format, check_format, format_of, make_writer
from boxis_async.export.journal import Unfinished, place_of, unfinished
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
        OSError: The disk is full, or the like. What was written until then is kept, of a Parquet
            file what was written until the last checkpoint.
    """
    path = place_of(target)
    form = format_of(path) if format is None else format
    check_format(form, formula_safe=formula_safe)
    if form == "parquet":
        require_pyarrow()
    if resume and datefrom is not None and dateto is None:
        begun = unfinished(path)
        dateto = None if begun is None else begun.dateto

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
        fingerprint=calls.coverage.fingerprint,
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
                conflicts = await _Fetching(
                    calls, work, run, counts_repeated=unique_by != "leg", progress=progress
                ).fetch()
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


def _name_of(function: Callable[[CDR], Hashable]) -> str:
    return getattr(function, "__qualname__", type(function).__qualname__)
