"""What each system does with files in its own way: locks, pipes, and folders on the disk."""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_regular", "sync_folder", "try_lock"]

# What systems answer where a folder cannot be opened for reading, or be waited for: network and
# FUSE file systems, for example. The names in it reach the disk when the system writes them.
_CANNOT_SYNC: Final = frozenset({
    errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.EACCES,
    errno.EPERM, errno.EISDIR,
})  # fmt: skip


def read_regular(path: Path) -> bytes | None:
    """Read a file; None if something else has its name, such as a pipe."""
    # A pipe would keep us waiting for whoever writes into it.
    with open(path, "rb", opener=_opened_at_once) as file:
        return file.read() if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None


def _opened_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def sync_folder(descriptor: int) -> None:
    """Wait until the disk has the names in an open folder, on systems that can."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def try_lock(descriptor: int) -> bool:
    """Lock an open file until it is closed or the process ends, without waiting.

    Args:
        descriptor: The open file.

    Returns:
        Whether it is locked now; False if somebody else has the lock.

    Raises:
        OSError: The file system has no locks, for example.
    """
    try:
        _lock(descriptor)
    except _TAKEN:
        return False
    return True


if sys.platform == "win32":
    import msvcrt

    _TAKEN = (BlockingIOError, PermissionError)

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    _TAKEN = BlockingIOError

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
