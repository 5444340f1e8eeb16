"""A folder that is open: each name in it is found in it, and never through a link.

The folder that an export is to go to may be one that others write to. Between two steps they can
put a link in the place of a file, or another folder in the place of ours. So a folder is opened
once, and every step names a file relative to it. The folder of the work belongs to us alone. What
lies in it is used only if it is a plain file of ours with one name, and a new file is made anew.

Windows opens no folders: there paths are used, and access is left to its own lists.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import stat
from typing import TYPE_CHECKING

from boxis_async import UsageError
from boxis_async._files import sync_folder
from boxis_async.export.errors import DamagedError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

__all__ = ["OpenFolder"]

_OPENS_FOLDERS = os.open in os.supports_dir_fd and os.listdir in os.supports_fd
# Absent on Windows, or there alone.
_NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)
_FOLDER: int = getattr(os, "O_DIRECTORY", 0)
_PATH: int = getattr(os, "O_PATH", 0)
# A pipe that somebody put there must not keep us waiting for its other end.
_FILE: int = _NO_LINK | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

_FOR_US = 0o700
_FILE_FOR_US = 0o600
_FOR_ALL = 0o777


class OpenFolder:
    """A folder, and the files in it by their names; close it.

    Attributes:
        path: Where the folder was when it was opened.
    """

    def __init__(self, path: Path, descriptor: int | None, owner: int | None = None) -> None:
        self.path = path
        self._descriptor = descriptor
        self._owner = owner

    @classmethod
    def of(cls, path: Path) -> Self:
        """Open any folder, that of the file.

        Raises:
            OSError: It is not there, or not ours to use.
        """
        if not _OPENS_FOLDERS:
            return cls(path, None)
        try:
            return cls(path, os.open(path, os.O_RDONLY | _FOLDER))
        except PermissionError:
            if not _PATH:
                raise
            # We may not list the names in it, and need not.
            return cls(path, os.open(path, _PATH | _FOLDER))

    def make_ours(self, name: str) -> OpenFolder | None:
        """Open a folder in this one that is ours alone; make it first if it is missing.

        Returns:
            The folder, or None if it was removed meanwhile.

        Raises:
            UsageError: The name is in use for something else, or the folder is somebody else's.
        """
        with contextlib.suppress(FileExistsError), self._naming(name):
            os.mkdir(self._place(name), _FOR_US, dir_fd=self._descriptor)
        found = self.stat(name)
        if found is not None and not stat.S_ISDIR(found.st_mode):
            raise UsageError(
                f"{self.path / name} is needed for the work in progress, and is not a folder: "
                "move it away"
            )
        return self.find_ours(name)

    def find_ours(self, name: str) -> OpenFolder | None:
        """Open a folder in this one that is ours alone, or give None if there is none.

        Raises:
            UsageError: The folder is somebody else's.
        """
        found = self.stat(name)
        if found is None or not stat.S_ISDIR(found.st_mode):
            return None
        path = self.path / name
        if not _OPENS_FOLDERS:
            return OpenFolder(path, None)
        try:
            with self._naming(name):
                descriptor = os.open(
                    name, os.O_RDONLY | _FOLDER | _NO_LINK, dir_fd=self._descriptor
                )
        except (FileNotFoundError, NotADirectoryError):  # pragma: no cover - it was just removed
            return None
        except PermissionError:
            if self._is_ours(found):
                raise
            raise _foreign(path) from None
        opened = os.fstat(descriptor)
        folder = OpenFolder(path, descriptor, opened.st_uid)
        if not self._is_ours(opened):
            folder.close()
            raise _foreign(path)
        if stat.S_IMODE(opened.st_mode) & _FOR_ALL != _FOR_US:
            # Of an earlier version, perhaps, or shaped by an access list. A file system without
            # modes refuses, or ignores it.
            with contextlib.suppress(OSError):
                os.fchmod(descriptor, _FOR_US)
        return folder

    def create(self, name: str, *, mode: int = _FILE_FOR_US) -> io.FileIO:
        """Make a file anew, for writing; what had its name is removed, and never written to."""
        self.remove(name)
        return self._open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def open(self, name: str, *, writable: bool = False) -> io.FileIO:
        """Open a file that is there.

        Raises:
            FileNotFoundError: It is not there.
            DamagedError: It is a link or no file, or somebody else's.
        """
        try:
            file = self._open(name, os.O_RDWR if writable else os.O_RDONLY)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK, errno.EISDIR, errno.ENXIO):
                raise DamagedError(f"{name} is not a file") from None
            raise
        try:
            self._check(name, os.fstat(file.fileno()))
        except BaseException:
            file.close()
            raise
        return file

    def open_or_create(self, name: str) -> io.FileIO:
        """Open a file that is there, or make it.

        Raises:
            DamagedError: It is a link or no file, or somebody else's.
        """
        while True:
            try:
                return self.open(name, writable=True)
            except FileNotFoundError:
                with contextlib.suppress(FileExistsError):
                    return self._open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, _FILE_FOR_US)

    def stat(self, name: str) -> os.stat_result | None:
        """Give what stands under a name, be it a link, or None if nothing does."""
        place = self._place(name)
        try:
            with self._naming(name):
                return os.stat(place, follow_symlinks=False, dir_fd=self._descriptor)
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """List the names in it."""
        place = self.path if self._descriptor is None else self._descriptor
        return os.listdir(place)  # noqa: PTH208 - pathlib knows no open folders

    def remove(self, name: str) -> None:
        """Remove a file, or a link, if it is there."""
        with contextlib.suppress(FileNotFoundError), self._naming(name):
            os.unlink(self._place(name), dir_fd=self._descriptor)

    def remove_if_empty(self, name: str) -> None:
        """Remove a folder in it, if nothing is in that, not even a file of somebody else's."""
        with contextlib.suppress(OSError):
            os.rmdir(self._place(name), dir_fd=self._descriptor)

    def move(self, name: str, to: OpenFolder, new_name: str) -> None:
        """Move a file to a place, in one step; what was there is replaced."""
        with self._naming(name):
            os.replace(
                self._place(name),
                to._place(new_name),
                src_dir_fd=self._descriptor,
                dst_dir_fd=to._descriptor,
            )

    def sync(self) -> None:
        """Wait until the disk has the names in it, on systems that can."""
        if self._descriptor is not None:
            try:
                sync_folder(self._descriptor)
            except OSError as error:
                error.filename = str(self.path)
                raise

    def close(self) -> None:
        """Close it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self, name: str, flags: int, mode: int = 0) -> io.FileIO:
        with self._naming(name):
            descriptor = os.open(self._place(name), flags | _FILE, mode, dir_fd=self._descriptor)
        return io.FileIO(descriptor, "r+" if flags & os.O_RDWR else "r")

    def _check(self, name: str, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise DamagedError(f"{name} is not a file")
        # A file with a second name may be one of ours that somebody linked to this place.
        if self._owner is not None and (found.st_uid != self._owner or found.st_nlink > 1):
            raise DamagedError(f"{name} was put there by somebody else")

    def _is_ours(self, found: os.stat_result) -> bool:
        """Report whether what stands in this folder belongs to this process's user."""
        if found.st_uid == os.geteuid():
            return True
        # Some file systems give all that we make to another user: NFS what root makes, others
        # everything. There a file of ours shows who that is.
        name = f".{secrets.token_hex(8)}.owner"
        try:
            with self._open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, _FILE_FOR_US) as ours:
                return os.fstat(ours.fileno()).st_uid == found.st_uid
        except OSError:
            return False
        finally:
            with contextlib.suppress(OSError):
                self.remove(name)

    @contextlib.contextmanager
    def _naming(self, name: str) -> Generator[None]:
        """Let errors name the whole path: the system knows no more than the name."""
        try:
            yield
        except OSError as error:
            error.filename = str(self.path / name)
            raise

    def _place(self, name: str) -> str | Path:
        return self.path / name if self._descriptor is None else name


def _foreign(path: Path) -> UsageError:
    return UsageError(
        f"{path} belongs to somebody else, who could read and change what is exported: remove it, "
        "or export to another folder"
    )
