"""The folder beside a file that is being exported: locked, with a draft, its keys and a journal.

Records are appended to the draft, and digests of their keys to the key file. A checkpoint brings
both to the disk, then replaces the journal, which says how long they are and what is covered by
then. The next run truncates both to what the journal says. In the end the finished file is made in
the folder, noted in the journal, and moved to its place in one step.

Everything here but `prepare` blocks, and is called from one thread at a time.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from fnmatch import fnmatch
from typing import TYPE_CHECKING

import attrs

from boxis_async import CDR, Coverage, UsageError
from boxis_async.export.access import set_access
from boxis_async.export.call_rows import CallRows
from boxis_async.export.drafts import Draft, finished_file, remove_drafts
from boxis_async.export.errors import DamagedError, ExportExistsError
from boxis_async.export.files import Position, verify, write_anew
from boxis_async.export.folder_lock import FolderLock
from boxis_async.export.journal import JOURNAL_FILES, Journal, differences, folder_name
from boxis_async.export.keys import KEY_FILE, KeyFile
from boxis_async.export.open_folder import OpenFolder
from boxis_async.export.rejects_file import REJECTS_FILE, rejects_name, rejects_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo
    from pathlib import Path

    from boxis_async import Reject
    from boxis_async.export.layout import Layout
    from boxis_async.export.values import Unfinished

__all__ = ["Checkpoint", "Prepared", "WorkFolder", "Written"]

_START_OVER = "start over (overwrite, without resume)"


@attrs.frozen
class Written:
    """How much is written."""

    draft: Position | None = None
    keys: Position | None = None
    records: int = 0
    """Records in the draft."""


@attrs.frozen
class Prepared:
    """Records that are ready to be written."""

    count: int
    """How many they are: those that no earlier run wrote."""
    digests: bytes
    """Of their keys."""
    content: bytes | Sequence[CDR]
    """Their lines, where the draft has lines."""
    repeated: int
    """How many more an earlier run wrote, or others with their keys."""


@attrs.frozen
class Checkpoint:
    """A state from which another run can continue."""

    written: Written
    conflicts: int
    """Records left out in all runs that were no copies."""
    covered: float
    """The share of the range that is done."""
    coverage: Coverage | None
    """What is done, all of it among what is written; None if nothing is left to fetch."""
    rejects: int = 0
    """How many records could not be read, if nothing is left to fetch."""


@attrs.frozen
class _OpenFiles:
    draft: Draft
    keys: KeyFile

    def close(self) -> None:
        try:
            self.draft.close()
        finally:
            self.keys.close()


class WorkFolder:
    """The work on one file, which is complete in the end, and absent until then.

    Args:
        target: The file.
        request: What it is to contain.
        layout: The same, as the columns and the spelling.
        fingerprint: The coverage's, which an unfinished export must share.
        key: Gives the key of a record as a text, or None for a record without one.
        timezone: The zone of the datetimes.
        ends_now: Whether the range has no end; a resumed export then keeps the end that it had.
        resume: Whether to continue an unfinished export.
        overwrite: Whether an existing file may be replaced.
    """

    def __init__(  # noqa: PLR0913 - each is one thing to know, by name
        self,
        target: Path,
        request: Unfinished,
        layout: Layout,
        *,
        fingerprint: str,
        key: Callable[[CDR], str | None],
        timezone: tzinfo,
        ends_now: bool,
        resume: bool,
        overwrite: bool,
    ) -> None:
        self._target = target
        self._place: OpenFolder | None = None
        self._lock: FolderLock | None = None
        self._key = key
        self._layout = layout
        self._timezone = timezone
        self._ends_now = ends_now
        self._resume = resume
        self._overwrite = overwrite
        self._files: _OpenFiles | None = None
        self._is_open = False
        self.request = request
        self.journal = Journal(request=request, fingerprint=fingerprint, may_overwrite=overwrite)
        """The last checkpoint, of this run or of an earlier one."""
        self.written = Written()
        self.is_resumed = False

    def open(self) -> None:
        """Begin a new export, or continue the unfinished one.

        Raises:
            ExportExistsError: A file or an unfinished export exists, and no argument allows to
                replace or to resume it.
            ExportBusyError: Another export to the file is running.
            UsageError: The unfinished export has another query, or is damaged.
        """
        try:
            self._place = place = OpenFolder.of(self._target.parent)
        except (FileNotFoundError, NotADirectoryError):
            raise UsageError(
                f"the folder {self._target.parent} does not exist: make it first"
            ) from None
        there = place.stat(self._target.name)
        if there is not None and not stat.S_ISREG(there.st_mode):
            raise UsageError(f"{self._target} is not a file: name one that can be made or replaced")
        lock = FolderLock(place, folder_name(self._target))
        lock.acquire()
        self._lock = lock
        found = self._find_unfinished()
        if found is None:
            if self._is_there() and not self._overwrite:
                raise ExportExistsError(
                    f"{self._target} exists, and there is no unfinished export of it: name another "
                    "file, or allow to replace this one (overwrite)"
                )
            rejects = rejects_name(self._target)
            if place.stat(rejects) is not None and not self._overwrite:
                raise ExportExistsError(
                    f"{place.path / rejects} exists, of an earlier export: name another file, or "
                    "allow to replace it (overwrite)"
                )
            self._clear()
            self.journal.save(self._folder)
        else:
            self._continue(found)
        if self.journal.finished is None:
            self._open_files()
        else:
            self._verify_finished(self.journal.finished)
        self._is_open = True

    def prepare(self, cdrs: Sequence[CDR]) -> Prepared:
        """Make ready what is to be written of some records; blocks nothing."""
        files = self._opened()
        new, digests = files.keys.choose_new(cdrs)
        content = files.draft.prepare(new)
        return Prepared(len(new), digests, content, repeated=len(cdrs) - len(new))

    @property
    def at_once(self) -> int:
        """How many records are best written at a time."""
        return self._opened().draft.at_once

    def write(self, batches: Sequence[Sequence[Prepared]]) -> None:
        """Write batches that are prepared."""
        files = self._opened()
        prepared = [some for batch in batches for some in batch]
        keys = files.keys.write(b"".join(some.digests for some in prepared))
        self.written = Written(
            draft=files.draft.write([some.content for some in batch] for batch in batches),
            keys=keys,
            records=self.written.records + sum(some.count for some in prepared),
        )

    def save(self, checkpoint: Checkpoint) -> None:
        """Save a checkpoint: if this run ends, the next one continues from here."""
        files = self._opened()
        written, coverage = checkpoint.written, checkpoint.coverage
        files.draft.save()
        files.keys.sync()
        self.journal = attrs.evolve(
            self.journal,
            request=attrs.evolve(self.request, records=written.records, covered=checkpoint.covered),
            coverage=None if coverage is None else coverage.to_json(),
            draft=written.draft,
            keys=written.keys,
            conflicts=checkpoint.conflicts,
            rejects=checkpoint.rejects,
            is_fetched=coverage is None,
        )
        self.journal.save(self._folder)

    def save_rejects(self, rejects: Sequence[Reject]) -> None:
        """Save the records that could not be read; the last checkpoint says that they are there."""
        if rejects:
            write_anew(self._folder, REJECTS_FILE, rejects_text(rejects))

    def render(self) -> bool:
        """Do a further step towards the finished file, of which there may be many.

        Returns:
            Whether it was the last one.
        """
        return self._files is None or self._files.draft.render()

    def finish(self) -> None:
        """Put the finished file in its place, once it is rendered, and remove the rest.

        Raises:
            ExportExistsError: Meanwhile somebody else made a file in its place.
        """
        if self._files is not None:
            draft = self._files.draft
            finished = draft.finish()
            calls = draft.rows if self.request.rows == "calls" else None
            self._close_files()
            self.journal = attrs.evolve(self.journal, finished=finished, calls=calls)
            self.journal.save(self._folder)
        if self._folder.stat(finished_file(self.request.format, self.request.rows)) is not None:
            self._check_target()
            self._place_rejects()
            self._move_to_target()
        # If it does not exist, an earlier run was killed between that step and the next.
        self._clear()

    def close(self) -> None:
        """Close the files and unlock the folder; an unfinished export stays for the next run."""
        try:
            self._close_files()
            if self._is_open and self.journal.is_empty:
                # There is nothing to resume.
                self._clear()
        finally:
            lock, self._lock = self._lock, None
            place, self._place = self._place, None
            if lock is not None:
                lock.release()
            if place is not None:
                place.close()

    @property
    def _folder(self) -> OpenFolder:
        assert self._lock is not None  # noqa: S101 - only a locked folder is worked in
        return self._lock.folder

    def _opened_place(self) -> OpenFolder:
        assert self._place is not None  # noqa: S101 - only an open folder is worked in
        return self._place

    def _is_there(self) -> bool:
        """Whether something has the name of the file, be it a link that leads nowhere."""
        return self._opened_place().stat(self._target.name) is not None

    def _move_to_target(self) -> None:
        folder, place = self._folder, self._opened_place()
        name = finished_file(self.request.format, self.request.rows)
        with folder.open(name) as file:
            set_access(file, folder, self._target.name, place)
        try:
            folder.move(name, place, self._target.name)
        except OSError as error:
            # It may be mounted by itself, as files of containers are, or not be ours to replace.
            raise OSError(
                error.errno,
                f"{error.strerror}: the file cannot be replaced. What is to have its name is "
                f"complete, and kept as {folder.path / name}: resume the export once it can be",
                str(self._target),
            ) from error
        place.sync()

    def _find_unfinished(self) -> Journal | None:
        """Give the journal of the export to resume, or None to begin a new one."""
        try:
            found = Journal.load(self._folder)
        except UsageError:
            if self._overwrite and not self._resume:
                return None
            raise
        if found is None or self._is_done(found):
            return None
        if self._resume:
            return found
        if self._overwrite or found.is_empty:
            # Replacing it is allowed, or would lose nothing.
            return None
        raise ExportExistsError(
            f"there is an unfinished export of {self._target}, {found.request.percent}% done: "
            "continue it (resume), or start over (overwrite)"
        )

    def _is_done(self, journal: Journal) -> bool:
        """Whether the file was put in its place, and is not there any more.

        Somebody has taken it away, or has put another one in its place.
        """
        name = finished_file(journal.request.format, journal.request.rows)
        if journal.finished is None or self._folder.stat(name):
            return False
        try:
            verify(self._opened_place(), self._target.name, journal.finished)
        except DamagedError:
            return True
        return False

    def _continue(self, journal: Journal) -> None:
        if self._ends_now and journal.request.dateto is not None:
            self.request = attrs.evolve(self.request, dateto=journal.request.dateto)
        if different := differences(journal.request, self.request):
            raise UsageError(
                f"the unfinished export of {self._target} has another query: "
                f"{'; '.join(different)}. Resume it with the same query, or {_START_OVER}"
            )
        if journal.fingerprint != self.journal.fingerprint:
            raise UsageError(
                f"the unfinished export of {self._target} has another query: the tenant, the "
                "client's timezone and the unique_by function must be the same. Resume it with "
                f"the same query, or {_START_OVER}"
            )
        self.journal = attrs.evolve(journal, may_overwrite=journal.may_overwrite or self._overwrite)
        if not journal.is_finished:
            self._check_target()
        self.written = Written(journal.draft, journal.keys, journal.request.records)
        self.is_resumed = True

    def _place_rejects(self) -> None:
        """Put the records that could not be read beside the file, before it is there itself."""
        folder, place, name = self._folder, self._opened_place(), rejects_name(self._target)
        if self.journal.rejects:
            # If it does not exist, an earlier run was killed after this step.
            if folder.stat(REJECTS_FILE) is not None:
                # They are of the same calls, so a new file of them is for the same readers.
                like = self._target.name if place.stat(name) is None else name
                with folder.open(REJECTS_FILE) as file:
                    set_access(file, folder, like, place)
                folder.move(REJECTS_FILE, place, name)
        elif self.journal.may_overwrite:
            # Those of the file that is being replaced.
            place.remove(name)

    def _check_target(self) -> None:
        if self._is_there() and not self.journal.may_overwrite:
            raise ExportExistsError(
                f"{self._target} has appeared while it was being exported: move it away, or allow "
                "to replace it (overwrite), and resume"
            )

    def _open_files(self) -> None:
        try:
            draft = Draft(
                self.request.format,
                self._folder,
                self.written.draft,
                self._layout,
                timezone=self._timezone,
                calls=self._call_rows if self.request.rows == "calls" else None,
            )
            try:
                keys = KeyFile(self._folder, self.written.keys, self._key)
            except BaseException:
                draft.close()
                raise
        except DamagedError as error:
            raise self._damaged(error) from error
        self._files = _OpenFiles(draft, keys)

    def _opened(self) -> _OpenFiles:
        assert self._files is not None  # noqa: S101 - only an open folder is written to
        return self._files

    def _verify_finished(self, position: Position) -> None:
        name = finished_file(self.request.format, self.request.rows)
        if self._folder.stat(name) is not None:
            try:
                verify(self._folder, name, position)
            except DamagedError as error:
                raise self._damaged(error) from error

    def _damaged(self, error: DamagedError) -> UsageError:
        return UsageError(
            f"the unfinished export of {self._target} is damaged: {error}; {_START_OVER}"
        )

    def _close_files(self) -> None:
        files, self._files = self._files, None
        if files is not None:
            files.close()

    def _clear(self) -> None:
        """Remove the files of the export, but the lock.

        A crash may leave some of them. So the journal goes last once the finished file was made,
        which completes the export, and first before that: without a journal there is nothing to
        resume.
        """
        folder = self._folder
        if self.journal.is_finished:
            self._clear_drafts()
        for name in folder.names():
            if fnmatch(name, JOURNAL_FILES):
                folder.remove(name)
        self._clear_drafts()

    def _clear_drafts(self) -> None:
        remove_drafts(self._folder)
        for name in (KEY_FILE, REJECTS_FILE):
            self._folder.remove(name)

    def _call_rows(self) -> CallRows:
        return CallRows(self.request.datefrom, self.request.dateto)
