"""A folder that one export at a time may use.

The lock is the operating system's, on a file in the folder, so that it ends with the process that
took it: a crash leaves no folder locked.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from boxis_async._files import try_lock
from boxis_async.export.errors import DamagedError, ExportBusyError

if TYPE_CHECKING:
    import io

    from boxis_async.export.open_folder import OpenFolder

__all__ = ["FolderLock"]

_NAME = "lock"


class FolderLock:
    """Makes a folder, and locks it until the lock is released or the process ends.

    Args:
        place: The folder that it is in.
        name: Its name there.
    """

    def __init__(self, place: OpenFolder, name: str) -> None:
        self._place = place
        self._name = name
        self._folder: OpenFolder | None = None
        self._file: io.FileIO | None = None

    @property
    def folder(self) -> OpenFolder:
        """The folder, while it is locked."""
        assert self._folder is not None  # noqa: S101 - only a locked folder is worked in
        return self._folder

    @property
    def is_acquired(self) -> bool:
        """Whether this object has the lock."""
        return self._file is not None

    def acquire(self) -> None:
        """Lock the folder; make it first if it is missing.

        Raises:
            ExportBusyError: Another export has the lock.
            UsageError: The folder's path is in use for something else, or by somebody else.
            OSError: The file system has no locks, for example.
        """
        while self._file is None:
            folder = self._place.make_ours(self._name)
            if folder is None:  # pragma: no cover - another export just removed it
                continue
            try:
                self._file = _locked(folder)
            finally:
                if self._file is None:
                    folder.close()
                    self._place.remove_if_empty(self._name)
                else:
                    self._folder = folder

    def release(self) -> None:
        """Unlock the folder, and remove it if it is empty."""
        file, folder = self._file, self._folder
        if file is None or folder is None:
            return
        self._file = self._folder = None
        with folder, file:
            if sys.platform == "win32":  # which cannot remove a file that is open
                file.close()
            # Elsewhere remove it while we have the lock, so that nobody can lock it in between.
            folder.remove(_NAME)
        self._place.remove_if_empty(self._name)


def _locked(folder: OpenFolder) -> io.FileIO | None:
    """Lock a folder, and give the file that carries the lock; None if it was just removed."""
    is_new = folder.stat(_NAME) is None
    try:
        file = folder.open_or_create(_NAME)
    except FileNotFoundError:  # pragma: no cover - another export just removed the folder
        return None
    except DamagedError:
        # A link, or a file of somebody else's, is no lock of ours.
        folder.remove(_NAME)
        return None
    try:
        is_ours = try_lock(file.fileno())
    except OSError as error:
        file.close()
        if is_new:
            folder.remove(_NAME)
        raise OSError(
            error.errno,
            f"the file system cannot lock a file ({error.strerror}), and two exports must not "
            "write the same one. Export to a local disk, and move the file from there",
            str(folder.path / _NAME),
        ) from error
    if not is_ours:
        file.close()
        raise ExportBusyError(
            f"another export is at work in {folder.path}: wait until it has ended"
        )
    # The export that had the lock may have removed the file after we opened it. Nobody else would
    # open that file again, so our lock on it would keep nobody out.
    there, here = folder.stat(_NAME), os.fstat(file.fileno())
    if there is not None and (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
        return file
    file.close()
    return None
