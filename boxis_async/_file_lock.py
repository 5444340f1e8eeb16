"""The operating system's lock on an open file, which ends with the process that took it."""

from __future__ import annotations

import sys

__all__ = ["try_lock"]


def try_lock(descriptor: int) -> bool:
    """Lock an open file until it is closed, without waiting.

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
