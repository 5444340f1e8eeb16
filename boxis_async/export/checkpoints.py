"""Fetch what an export lacks and write it, with a checkpoint now and then.

A checkpoint pairs the coverage of a stream with what is written. The coverage speaks of a batch
only once the next one was requested, so the pair is made between the two: the next batch is there,
and not yet written.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from boxis_async.export.errors import raise_for_failures
from boxis_async.export.work_folder import Checkpoint
from boxis_async.export.worker_thread import shielded

if TYPE_CHECKING:
    from collections.abc import Callable

    from boxis_async import CDRStream, Stats
    from boxis_async.export.work_folder import WorkFolder
    from boxis_async.export.worker_thread import WorkerThread

__all__ = ["CheckpointedFetch"]

# Seconds between two checkpoints, which is what a crash can cost.
_INTERVAL = 1.0
# So many times as long as a checkpoint took, at least, until the next one: a slow disk then spends
# no more than a twentieth of the time on them.
_PAUSE_FACTOR = 20


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
        self._earlier_conflicts = folder.journal.conflicts
        self._written = folder.written
        self._conflicts = self._earlier_conflicts
        self._batches_written = 0
        self._pending: Checkpoint | None = None
        self._interval = _INTERVAL
        self._save_due = time.monotonic() + self._interval
        self._make_due = 0.0

    async def run(self) -> int:
        """Fetch all that is missing.

        Returns:
            How many records were left out as conflicts, in all runs.
        """
        stream, in_thread, folder = self._stream, self._in_thread, self._folder
        try:
            async with stream:
                async for batch in stream.batches():
                    now = time.monotonic()
                    if now >= min(self._save_due, self._make_due):
                        self._make_checkpoint()
                    if now >= self._save_due:
                        await self._save_checkpoint()
                    self._written = await in_thread(folder.write, batch.cdrs)
                    self._batches_written += 1
                    repeated = self._written.repeated if self._counts_repeated else 0
                    self._conflicts = self._earlier_conflicts + stream.stats.conflicts + repeated
                    if self._progress is not None:
                        self._progress(stream.stats)
                raise_for_failures(stream)
                rejects = stream.rejects
        except BaseException as error:
            self._make_checkpoint()
            try:
                await shielded(self._save_checkpoint())
            except Exception as second:  # noqa: BLE001 - the first error is the one to raise
                error.add_note(f"the last checkpoint could not be written either: {second}")
            raise
        await in_thread(folder.save_rejects, rejects)
        covered = stream.stats.covered if rejects else 1.0
        last = Checkpoint(self._written, self._conflicts, covered, None, rejects=len(rejects))
        await in_thread(folder.save, last)
        return self._conflicts

    def _make_checkpoint(self) -> None:
        """Make a checkpoint of the present state, if another run could continue from it."""
        began = time.monotonic()
        stats, coverage = self._stream.stats, self._stream.coverage
        # A coverage of many spans takes a while to make.
        now = time.monotonic()
        self._make_due = now + _PAUSE_FACTOR * (now - began)
        if stats.windows != self._batches_written:
            # The last batch is written, but the next one was not requested, so the coverage does
            # not speak of it: it would be fetched and written again.
            return
        if coverage.unsealed or self._folder.request.datefrom is None:
            # Some windows are too young to be final, or all is one request. The next run fetches
            # them again, so they must not be part of a checkpoint.
            return
        self._pending = Checkpoint(self._written, self._conflicts, stats.covered, coverage)

    async def _save_checkpoint(self) -> None:
        """Save the last checkpoint that was made, unless it is saved already."""
        checkpoint, self._pending = self._pending, None
        if checkpoint is not None:
            began = time.monotonic()
            await self._in_thread(self._folder.save, checkpoint)
            self._interval = max(_INTERVAL, _PAUSE_FACTOR * (time.monotonic() - began))
        self._save_due = time.monotonic() + self._interval
