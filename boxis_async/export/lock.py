"""A folder in which one at a time works; the system holds it, so that no crash leaves it taken."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from boxis_async import UsageError
from boxis_async.export.errors import ExportBusyError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FolderLock"]


class FolderLock:
    """Makes a folder, and holds it until it is released or the process ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "lock"
        self._held: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether it is held here."""
        return self._held is not None

    def acquire(self) -> None:
        """Take the folder, making it if need be.

        Raises:
            ExportBusyError: Somebody else has it.
            UsageError: Something else stands there.
        """
        while self._held is None:
            try:
                self._folder.mkdir(exist_ok=True)
            except FileExistsError as error:
                raise UsageError(
                    f"{self._folder} stands where the work in progress is to stand, and is no "
                    "folder: move it away"
                ) from error
            try:
                opened = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:  # pragma: no cover - whoever had the folder just removed it
                continue
            try:
                _lock(opened)
                # Whoever had it may have removed it after it was opened here: a lock on what
                # nobody else can open holds off nobody.
                if _is_still(opened, self._path):
                    self._held = opened
            except (BlockingIOError, PermissionError) as error:
                raise ExportBusyError(
                    f"somebody is at work in {self._folder}: wait until that export has ended"
                ) from error
            finally:
                if self._held is None:
                    os.close(opened)

    def release(self) -> None:
        """Give the folder back, and remove the lock from it."""
        if self._held is not None:
            if sys.platform == "win32":  # which removes no file that is open
                os.close(self._held)
                self._path.unlink(missing_ok=True)
            else:
                # Removed while it is held, so that nobody takes it in between.
                self._path.unlink(missing_ok=True)
                os.close(self._held)
            self._held = None


def _is_still(opened: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(opened)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


if sys.platform == "win32":
    import msvcrt

    def _lock(opened: int) -> None:
        msvcrt.locking(opened, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(opened: int) -> None:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
