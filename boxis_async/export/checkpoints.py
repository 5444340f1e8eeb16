"""Fetch what an export lacks and write it, with a checkpoint now and then.

A checkpoint pairs the coverage of a stream with what is written. The coverage speaks of a batch
only once the next one was requested, and a batch is not written before. Where the last windows are
too young to be final, no run can continue from the end: then the checkpoint is of the state before
them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import attrs

from boxis_async import Coverage
from boxis_async.export.errors import raise_for_failures
from boxis_async.export.rows_in_turns import in_turns
from boxis_async.export.work_folder import Checkpoint, Prepared
from boxis_async.export.worker_thread import shielded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from boxis_async import CDR, CDRStream, Stats
    from boxis_async.export.work_folder import WorkFolder
    from boxis_async.export.worker_thread import WorkerThread

__all__ = ["CheckpointedFetch"]

# Seconds between two checkpoints, which is what a crash can cost.
_INTERVAL = 1.0
# So many times as long as a checkpoint took, at least, until the next one: a slow disk then spends
# no more than a twentieth of the time on them.
_PAUSE_FACTOR = 20


@attrs.frozen
class _Waiting:
    """A batch that is not yet written."""

    prepared: list[Prepared]
    records: int
    conflicts: int
    """Those of all runs, once it is written."""


@attrs.frozen
class _Resumable:
    """A state of the stream that another run could continue from, once its batches are written."""

    batches: int
    covered: float
    coverage: Coverage


class CheckpointedFetch:
    """Fetches a stream and writes it to a folder, with checkpoints.

    Args:
        stream: What the folder lacks.
        folder: The work on the file.
        in_thread: The thread that may block.
        counts_repeated: Whether a record that an earlier run wrote the key of is a conflict; a
            leg that comes again is none.
        progress: Called after each batch.
    """

    def __init__(
        self,
        stream: CDRStream,
        folder: WorkFolder,
        in_thread: WorkerThread,
        *,
        counts_repeated: bool,
        progress: Callable[[Stats], None] | None,
    ) -> None:
        self._stream = stream
        self._folder = folder
        self._in_thread = in_thread
        self._counts_repeated = counts_repeated
        self._progress = progress
        self._earlier_conflicts = self._conflicts = folder.journal.conflicts
        self._repeated = 0
        self._waiting: list[_Waiting] = []
        """Batches that are not yet written."""
        self._records_waiting = 0
        self._batches_written = 0
        self._has_failed = False
        """Whether some could not be written, so that none is written behind them."""
        self._resumable: _Resumable | None = None
        self._pending: Checkpoint | None = None
        """Of what is written, and not yet saved."""
        self._interval = _INTERVAL
        self._save_due = time.monotonic() + self._interval
        self._look_due = 0.0

    async def run(self) -> int:
        """Fetch all that is missing.

        Returns:
            How many records were left out as conflicts, in all runs.
        """
        stream, folder = self._stream, self._folder
        try:
            async with stream:
                async for batch in stream.batches():
                    now = time.monotonic()
                    if now >= min(self._look_due, self._save_due):
                        self._look()
                    if now >= self._save_due:
                        await self._save_checkpoint()
                    elif self._records_waiting >= folder.at_once:
                        await self._write_waiting()
                    await self._prepare(batch.cdrs)
                    if self._progress is not None:
                        self._progress(stream.stats)
                raise_for_failures(stream)
                rejects = stream.rejects
                await self._write_waiting()
        except BaseException as error:
            self._look()
            try:
                await shielded(self._save_checkpoint())
            except Exception as second:  # noqa: BLE001 - the first error is the one to raise
                error.add_note(f"the last checkpoint could not be written either: {second}")
            raise
        await self._in_thread(folder.save_rejects, rejects)
        last = Checkpoint(
            folder.written,
            self._conflicts,
            covered=stream.stats.covered if rejects else 1.0,
            coverage=None,
            rejects=len(rejects),
        )
        await self._in_thread(folder.save, last)
        return self._conflicts

    async def _prepare(self, cdrs: Sequence[CDR]) -> None:
        """Make ready what is to be written of a batch."""
        # What blocks nothing is done here: see `rows_in_turns`.
        prepared = await in_turns(self._folder.prepare, cdrs)
        if self._counts_repeated:
            self._repeated += sum(some.repeated for some in prepared)
        conflicts = self._earlier_conflicts + self._stream.stats.conflicts + self._repeated
        records = sum(some.count for some in prepared)
        self._waiting.append(_Waiting(prepared, records, conflicts))
        self._records_waiting += records

    def _look(self) -> None:
        """Take note of the present state, if another run could continue from it."""
        began = time.monotonic()
        stats, coverage = self._stream.stats, self._stream.coverage
        # Some windows may be too young to be final, or all is one request. The next run fetches
        # them again, so they must not be part of a checkpoint.
        if not coverage.unsealed and self._folder.request.datefrom is not None:
            self._resumable = _Resumable(stats.windows, stats.covered, coverage)
        now = time.monotonic()
        # A coverage of many spans takes a while to make: this is to take a hundredth of the time.
        self._look_due = now + 5 * _PAUSE_FACTOR * (now - began)

    async def _write_waiting(self) -> None:
        """Write the batches that the coverage speaks of, and make a checkpoint on the way."""
        if self._has_failed:
            return
        state = self._resumable
        if state is not None:
            await self._write_up_to(state.batches)
            self._resumable = None
            if state.batches == self._batches_written:
                self._pending = Checkpoint(
                    self._folder.written, self._conflicts, state.covered, state.coverage
                )
        await self._write_up_to(self._stream.stats.windows)

    async def _write_up_to(self, batches: int) -> None:
        """Write batches until so many are written."""
        count = max(0, batches - self._batches_written)
        some, self._waiting = self._waiting[:count], self._waiting[count:]
        if some:
            try:
                await self._in_thread(self._write, some)
            except Exception:
                self._has_failed = True
                raise

    def _write(self, batches: Sequence[_Waiting]) -> None:
        """Write batches; in the thread, so that it is done whole where the task is cancelled."""
        self._folder.write([batch.prepared for batch in batches])
        self._batches_written += len(batches)
        self._records_waiting -= sum(batch.records for batch in batches)
        self._conflicts = batches[-1].conflicts

    async def _save_checkpoint(self) -> None:
        """Write what is waiting, and save the last checkpoint, unless it is saved already."""
        try:
            await self._write_waiting()
        finally:
            checkpoint, self._pending = self._pending, None
            if checkpoint is not None:
                began = time.monotonic()
                await self._in_thread(self._folder.save, checkpoint)
                self._interval = max(_INTERVAL, _PAUSE_FACTOR * (time.monotonic() - began))
            self._save_due = time.monotonic() + self._interval
