"""The position of a watch in a file: whole or absent, and of one watch at a time."""

# No `from __future__ import annotations` here, see watch_model.py.

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio.to_thread

from boxis_async._files import read_regular, try_lock
from boxis_async.errors import UsageError
from boxis_async.models import CDR
from boxis_async.watch_model import Change

__all__ = ["FilePosition"]

# Absent on Windows.
_NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: int = getattr(os, "O_NONBLOCK", 0)


class FilePosition:
    """Keeps the position of a watch in a file: `client.watch(position=FilePosition(path))`.

    The file is replaced as a whole, so a crash leaves the one before. Its mode is kept; a new one
    is for its owner alone. A link is replaced too, and never written through. While a watch uses
    it, a lock on a file beside it, `NAME.lock`, keeps others out; that file stays, empty. The lock
    is the operating system's, and ends with the process.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Name the file; nothing is read or written yet.

        Args:
            path: The file. Its folder must be there.

        Raises:
            UsageError: It is no path, or that of a folder.
        """
        try:
            self._path = Path(path)
        except TypeError:
            raise UsageError(f"position: the path must be a text or a Path, not {path!r}") from None
        if not self._path.name or self._path.is_dir():
            raise UsageError(f"position: {str(path)!r} is a folder: name a file in it")
        self._lock: int | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    async def load(self) -> str | None:
        """Lock the file, and return what it holds; None if there is none.

        Raises:
            UsageError: Another watch uses it, or it holds something else.
            OSError: It cannot be read, or not be locked.
        """
        return await anyio.to_thread.run_sync(self._load)

    async def save(self, position: str, changes: Sequence[Change]) -> None:  # noqa: ARG002
        """Replace what the file holds.

        Args:
            position: The text.
            changes: Not kept: a file has the position alone.

        Raises:
            OSError: It cannot be written; the file is as it was.
        """
        await anyio.to_thread.run_sync(self._save, position)

    async def previous(self, tenant: str, cdrs: Sequence[CDR]) -> Mapping[tuple[str, ...], CDR]:  # noqa: ARG002
        """Return nothing: a file has digests alone."""
        return {}

    def release(self) -> None:
        """Unlock the file."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def _load(self) -> str | None:
        if self._lock is None:
            self._lock = _locked(self._path.with_name(f"{self._path.name}.lock"))
        try:
            content = read_regular(self._path)
            if content is None:
                raise UsageError(
                    f"position: {self._path} is not a file: give this watch another one"
                )
            return content.decode("utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            raise UsageError(
                f"position: {self._path} does not hold the position of a watch"
            ) from None

    def _save(self, position: str) -> None:
        descriptor, name = tempfile.mkstemp(
            prefix=f".{self._path.name}.", suffix=".tmp", dir=self._path.parent
        )
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                self._keep_mode(descriptor)
                file.write(position)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    def _keep_mode(self, descriptor: int) -> None:
        """Let those read the new file who may read the one that it replaces; a first one: us."""
        with contextlib.suppress(OSError):
            found = self._path.lstat()
            if os.name == "posix" and stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
                ours = os.fstat(descriptor)
                # Another group must not get what the old one was allowed.
                mask = 0o777 if ours.st_gid == found.st_gid else 0o707
                os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & mask)

    def __repr__(self) -> str:
        return f"FilePosition({str(self._path)!r})"


def _locked(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINK | _NO_WAIT, 0o600)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EMLINK, errno.EISDIR):
            raise
        raise UsageError(
            f"position: {path} is needed for a lock, and is a link or a folder: move it away"
        ) from None
    try:
        if try_lock(descriptor):
            return descriptor
    except OSError as error:
        os.close(descriptor)
        raise OSError(
            error.errno,
            f"the file system cannot lock a file ({error.strerror}), and two watches must not use "
            "the same position: keep it on a local disk",
            str(path),
        ) from error
    os.close(descriptor)
    raise UsageError(
        f"position: another watch uses {path.with_suffix('')}: end that one, or give this one a "
        "file of its own"
    )
