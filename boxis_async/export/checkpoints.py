"""Fetch what an export lacks and write it, with a checkpoint now and then.

A checkpoint pairs the coverage of a stream with what is written. The coverage speaks of a batch
only once the next one was requested, and a batch is not written before.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import attrs

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
# So many records are written at a time, which are a megabyte or two. To the thread and back takes
# as long as the text of a hundred of them.
_AT_ONCE = 2000


@attrs.frozen
class _Waiting:
    """A batch that is not yet written."""

    prepared: list[Prepared]
    conflicts: int
    """Those of all runs, once it is written."""

    def __len__(self) -> int:
        return sum(some.count for some in self.prepared)


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
        self._batches_written = 0
        self._save_due = time.monotonic() + _INTERVAL

    async def run(self) -> int:
        """Fetch all that is missing.

        Returns:
            How many records were left out as conflicts, in all runs.
        """
        stream, folder = self._stream, self._folder
        try:
            async with stream:
                async for batch in stream.batches():
                    if time.monotonic() >= self._save_due:
                        await self._save_checkpoint()
                    elif sum(map(len, self._waiting)) >= _AT_ONCE:
                        await self._write_waiting()
                    await self._prepare(batch.cdrs)
                    if self._progress is not None:
                        self._progress(stream.stats)
                raise_for_failures(stream)
                rejects = stream.rejects
        except BaseException as error:
            try:
                await shielded(self._save_checkpoint())
            except Exception as second:  # noqa: BLE001 - the first error is the one to raise
                error.add_note(f"the last checkpoint could not be written either: {second}")
            raise
        await self._write_waiting()
        await self._in_thread(folder.save_rejects, rejects)
        await self._in_thread(
            folder.save,
            Checkpoint(
                folder.written,
                self._conflicts,
                covered=stream.stats.covered if rejects else 1.0,
                coverage=None,
                rejects=len(rejects),
            ),
        )
        return self._conflicts

    async def _prepare(self, cdrs: Sequence[CDR]) -> None:
        """Make ready what is to be written of a batch."""
        prepared = [self._folder.prepare(some) async for some in in_turns(cdrs)]
        if self._counts_repeated:
            self._repeated += sum(some.repeated for some in prepared)
        conflicts = self._earlier_conflicts + self._stream.stats.conflicts + self._repeated
        self._waiting.append(_Waiting(prepared, conflicts))

    async def _write_waiting(self) -> None:
        """Write the batches that the coverage speaks of."""
        count = self._stream.stats.windows - self._batches_written
        batches, self._waiting = self._waiting[:count], self._waiting[count:]
        if batches:
            await self._in_thread(self._write, batches)

    def _write(self, batches: Sequence[_Waiting]) -> None:
        """Write batches; in the thread, so that it is done whole where the task is cancelled."""
        self._folder.write([some for batch in batches for some in batch.prepared])
        self._batches_written += len(batches)
        self._conflicts = batches[-1].conflicts

    async def _save_checkpoint(self) -> None:
        """Write what is waiting, and a checkpoint, if another run could continue from it."""
        await self._write_waiting()
        began = time.monotonic()
        stats, coverage = self._stream.stats, self._stream.coverage
        # A batch could not be written; or some windows are too young to be final, or all is one
        # request, so that the next run fetches them again.
        if (
            stats.windows == self._batches_written
            and not coverage.unsealed
            and self._folder.request.datefrom is not None
        ):
            checkpoint = Checkpoint(self._folder.written, self._conflicts, stats.covered, coverage)
            await self._in_thread(self._folder.save, checkpoint)
        now = time.monotonic()
        # A coverage of many spans takes a while to make, and a slow disk to write it.
        self._save_due = now + max(_INTERVAL, _PAUSE_FACTOR * (now - began))
