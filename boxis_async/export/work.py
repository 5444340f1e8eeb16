"""The work on one file: a folder beside it, locked, with the draft, its keys and a journal.

Everything here blocks, and is called from one thread at a time.
"""

from __future__ import annotations

import contextlib
from hashlib import blake2b
from typing import TYPE_CHECKING

import attrs

from boxis_async import Coverage, UsageError
from boxis_async.export.drafts import DRAFT_FILES, Draft, open_draft, whole_file
from boxis_async.export.errors import ExportExistsError
from boxis_async.export.files import DamagedError, Growing, Mark, check, sync_folder
from boxis_async.export.journal import Journal, Unfinished, folder_of
from boxis_async.export.lock import FolderLock

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from datetime import tzinfo
    from pathlib import Path

    from boxis_async import CDR

__all__ = ["Kept", "Work"]

_KEY_SIZE = 16
_ANEW = "begin anew (overwrite, without resume)"


@attrs.frozen
class Kept:
    """How much is written: what a checkpoint says beside the coverage that goes with it."""

    mark: Mark | None = None
    keys: Mark | None = None
    records: int = 0
    repeated: int = 0
    """Of what the stream gave, what an earlier run had kept under the same key."""


class Work:
    """An export on its way to a file, which is whole in the end, and absent until then.

    Args:
        target: The file.
        asked: What it is to hold.
        fingerprint: What must be the same beside that, as a coverage has it.
        key: Gives what makes a record the same, or None for one without such a key.
        timezone: The zone of the datetimes.
        ends_now: Whether the range had no end, so that a resumed export keeps the end it had.
        resume: Whether to go on with what is unfinished.
        overwrite: Whether what stands there may be replaced.
    """

    def __init__(  # noqa: PLR0913 - each is one thing to know, by name
        self,
        target: Path,
        asked: Unfinished,
        *,
        fingerprint: str,
        key: Callable[[CDR], Hashable | None],
        timezone: tzinfo,
        ends_now: bool,
        resume: bool,
        overwrite: bool,
    ) -> None:
        self._target = target
        self._folder = folder_of(target)
        self._lock = FolderLock(self._folder)
        self._key = key
        self._timezone = timezone
        self._ends_now = ends_now
        self._resumes = resume
        self._overwrites = overwrite
        self._draft: Draft | None = None
        self._keys: Growing | None = None
        # The keys of the records that earlier runs kept: a stream that resumes knows only what
        # touches the edges of what it need not fetch.
        self._known: set[bytes] = set()
        self.asked = asked
        self.journal = Journal(asked=asked, fingerprint=fingerprint, replaces=overwrite)
        """The checkpoint that was found or set last."""
        self.kept = Kept()
        self.is_resumed = False
        self._is_open = False

    def open(self) -> None:
        """Begin in a new folder, or take up what is unfinished.

        Raises:
            ExportExistsError: Something stands there, and may be neither resumed nor replaced.
            ExportBusyError: Another one is at work on it.
            UsageError: What is unfinished asks for something else, or is damaged.
        """
        if not self._target.parent.is_dir():
            raise UsageError(f"the folder {self._target.parent} does not exist: make it first")
        if self._target.exists() and not self._target.is_file():
            raise UsageError(f"{self._target} is no file: name one that may be made or replaced")
        self._lock.acquire()
        found = self._found()
        if found is None:
            if self._target.exists() and not self._overwrites:
                raise ExportExistsError(
                    f"{self._target} is there already, and no unfinished export of it: name "
                    "another file, or allow it to be replaced (overwrite)"
                )
            self._clear()
            self.journal.save(self._folder)
        else:
            self._take_up(found)
        if self.journal.whole is None:
            self._open_files()
        else:
            self._check_whole(self.journal.whole)
        self._is_open = True

    def write(self, cdrs: Sequence[CDR]) -> Kept:
        """Write the records of a batch that no earlier run kept, and tell how far it is now."""
        assert self._draft is not None  # noqa: S101 - it is open
        assert self._keys is not None  # noqa: S101 - it is open
        new: list[CDR] = []
        keys: list[bytes] = []
        for cdr in cdrs:
            key = self._key(cdr)
            if key is not None:
                told = repr(key).encode("utf-8", "replace")
                digest = blake2b(told, digest_size=_KEY_SIZE).digest()
                if digest in self._known:
                    continue
                keys.append(digest)
            new.append(cdr)
        self._keys.write(b"".join(keys))
        self.kept = Kept(
            mark=self._draft.write(new) if new else self.kept.mark,
            keys=self._keys.mark,
            records=self.kept.records + len(new),
            repeated=self.kept.repeated + len(cdrs) - len(new),
        )
        return self.kept

    def save(self, kept: Kept, conflicts: int, covered: float, coverage: Coverage | None) -> None:
        """Set a checkpoint: from here the next run goes on, if this one ends.

        Args:
            kept: What was written.
            conflicts: How many records were dropped that were no copies, in all runs.
            covered: The share of the range that is done.
            coverage: What the stream is done with, and all of it is among what was written;
                None when there is nothing left to fetch.
        """
        assert self._draft is not None  # noqa: S101 - it is open
        assert self._keys is not None  # noqa: S101 - it is open
        mark = self._draft.save(kept.mark)
        self._keys.save()
        self.journal = attrs.evolve(
            self.journal,
            asked=attrs.evolve(self.asked, records=kept.records, covered=covered),
            coverage=None if coverage is None else coverage.to_json(),
            mark=mark,
            keys=kept.keys,
            conflicts=conflicts,
            is_fetched=coverage is None,
        )
        self.journal.save(self._folder)

    def finish(self) -> None:
        """Put the whole file in its place, and clear away what stood beside it.

        Raises:
            ExportExistsError: A file has appeared in its place meanwhile.
        """
        if self._draft is not None:
            finished = self._draft.finish(self.kept.mark)
            self._close_files()
            self.journal = attrs.evolve(self.journal, whole=finished)
            self.journal.save(self._folder)
        whole = whole_file(self.asked.format, self._folder)
        if whole.exists():
            self._check_place()
            whole.replace(self._target)
            sync_folder(self._target.parent)
        # Else an earlier run ended just after that.
        self._clear()

    def close(self) -> None:
        """Let go of what is open; what is unfinished stays for the next run."""
        try:
            self._close_files()
        finally:
            if self._lock.is_held:
                if self._is_open and self.journal.is_empty:
                    # There is nothing that one could go on with.
                    self._clear()
                self._lock.release()
                # Unless a journal stays in it.
                with contextlib.suppress(OSError):
                    self._folder.rmdir()

    def _found(self) -> Journal | None:
        """Read the journal of an export that may be gone on with, if there is one."""
        try:
            found = Journal.load(self._folder)
        except UsageError:
            if self._overwrites and not self._resumes:
                return None
            raise
        if found is None or self._is_done(found):
            return None
        if self._resumes:
            return found
        if self._overwrites or found.is_empty:
            # There is leave to begin anew, or nothing that would be lost.
            return None
        raise ExportExistsError(
            f"an unfinished export of {self._target} stands beside it, {found.asked.covered:.0%} "
            "done: go on with it (resume), or begin anew (overwrite)"
        )

    def _is_done(self, journal: Journal) -> bool:
        """Tell whether a file was put in its place, and has been taken away from there since."""
        whole = whole_file(journal.asked.format, self._folder)
        return journal.is_whole and not whole.exists() and not self._target.exists()

    def _take_up(self, journal: Journal) -> None:
        if self._ends_now and journal.asked.dateto is not None:
            self.asked = attrs.evolve(self.asked, dateto=journal.asked.dateto)
        if different := journal.asked.differences(self.asked):
            raise UsageError(
                f"the unfinished export of {self._target} asks for something else: "
                f"{'; '.join(different)}. Resume it as it was, or {_ANEW}"
            )
        if journal.fingerprint != self.journal.fingerprint:
            raise UsageError(
                f"the unfinished export of {self._target} asks for something else: the tenant, "
                "the client's timezone and the unique_by function must be the same. Resume it as "
                f"it was, or {_ANEW}"
            )
        self.journal = attrs.evolve(journal, replaces=journal.replaces or self._overwrites)
        if not journal.is_whole:
            self._check_place()
        self.kept = Kept(journal.mark, journal.keys, journal.asked.records)
        self.is_resumed = True

    def _check_place(self) -> None:
        if self._target.exists() and not self.journal.replaces:
            raise ExportExistsError(
                f"{self._target} has appeared while it was being exported: move it away, or allow "
                "it to be replaced (overwrite), and resume"
            )

    def _open_files(self) -> None:
        path = self._folder / "keys"
        try:
            self._draft = open_draft(
                self.asked.format,
                self._folder,
                self.kept.mark,
                timezone=self._timezone,
                formula_safe=self.asked.formula_safe,
            )
            self._keys = Growing(path, self.kept.keys)
        except DamagedError as error:
            raise self._damaged(error) from error
        kept = path.read_bytes()
        self._known = {kept[at : at + _KEY_SIZE] for at in range(0, len(kept), _KEY_SIZE)}

    def _check_whole(self, mark: Mark) -> None:
        whole = whole_file(self.asked.format, self._folder)
        if whole.exists():
            try:
                check(whole, mark)
            except DamagedError as error:
                raise self._damaged(error) from error

    def _damaged(self, error: DamagedError) -> UsageError:
        return UsageError(f"what was written of {self._target} is damaged: {error}; {_ANEW}")

    def _close_files(self) -> None:
        with contextlib.ExitStack() as files:
            for file in (self._draft, self._keys):
                if file is not None:
                    files.callback(file.close)
            self._draft = self._keys = None

    def _clear(self) -> None:
        """Remove what is ours in the folder, but the lock; the journal last if all is done.

        If a crash leaves something, it must not look like what can be gone on with.
        """
        drafts = [path for name in DRAFT_FILES for path in self._folder.glob(name)]
        journals = list(self._folder.glob("journal.json*"))
        keys = self._folder / "keys"
        parts = (*drafts, keys, *journals) if self.journal.is_whole else (*journals, keys, *drafts)
        for path in parts:
            path.unlink(missing_ok=True)
