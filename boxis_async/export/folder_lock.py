"""A folder that one export at a time may use.

The lock is the operating system's, on a file in the folder, so that it ends with the process that
took it: a crash leaves no folder locked.
"""

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
    """Makes a folder, and locks it until the lock is released or the process ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "lock"
        self._descriptor: int | None = None

    @property
    def is_acquired(self) -> bool:
        """Whether this object has the lock."""
        return self._descriptor is not None

    def acquire(self) -> None:
        """Lock the folder; make it first if it is missing.

        Raises:
            ExportBusyError: Another export has the lock.
            UsageError: The folder's path is in use for something else.
        """
        while self._descriptor is None:
            try:
                self._folder.mkdir(exist_ok=True)
            except FileExistsError as error:
                raise UsageError(
                    f"{self._folder} is needed for the work in progress, and is not a folder: "
                    "move it away"
                ) from error
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:  # pragma: no cover - another export just removed the folder
                continue
            try:
                _lock(descriptor)
                # The export that had the lock may have removed the file after we opened it. Nobody
                # else would open that file again, so our lock on it would keep nobody out.
                if _is_same_file(descriptor, self._path):
                    self._descriptor = descriptor
            except (BlockingIOError, PermissionError) as error:
                raise ExportBusyError(
                    f"another export is at work in {self._folder}: wait until it has ended"
                ) from error
            finally:
                if self._descriptor is None:
                    os.close(descriptor)

    def release(self) -> None:
        """Remove the file that carries the lock, and unlock the folder."""
        if self._descriptor is not None:
            if sys.platform == "win32":  # which cannot remove a file that is open
                os.close(self._descriptor)
                self._path.unlink(missing_ok=True)
            else:
                # Remove it while we have the lock, so that nobody can lock it in between.
                self._path.unlink(missing_ok=True)
                os.close(self._descriptor)
            self._descriptor = None


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
