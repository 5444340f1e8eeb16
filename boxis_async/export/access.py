"""Who may read the finished file: as many as before, or as of any new file, and never more.

A file that is replaced keeps its mode, and its owner, group and access list where the system lets
us set them. Where it does not, the new file is open to fewer, as another group must not get what
the old one was allowed.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import io

    from boxis_async.export.open_folder import OpenFolder

__all__ = ["keep_access", "set_access"]

# Windows has lists of its own, which a new file inherits.
_HAS_MODES = os.name == "posix"
_OWNER, _ALL = 0o700, 0o777
_GROUP_BITS = 3
_OTHERS = 0o007
# Linux keeps the list of a file that has one under this name.
_LIST = "system.posix_acl_access"
_NEW_FILE = 0o666


def set_access(file: io.FileIO, folder: OpenFolder, target: str, place: OpenFolder) -> None:
    """Set who may read a finished file, before it goes to its place.

    Args:
        file: The file.
        folder: Its folder, ours alone.
        target: The name that it will have.
        place: The folder where it will have it.
    """
    if _HAS_MODES and not keep_access(file, target, place):
        _set_mode(file.fileno(), _mode_of_new_file(folder))


def keep_access(file: io.FileIO, target: str, place: OpenFolder) -> bool:
    """Let only those read a file who may read the one that it will replace.

    Returns:
        Whether there is one.
    """
    replaced = place.stat(target)
    if replaced is None or not _HAS_MODES:
        return False
    descriptor = file.fileno()
    mode = _keep_owner(descriptor, replaced)
    if not _keep_list(descriptor, _list_of(str(place.path / target))):
        # The group's bits of a file with a list are the most that anybody in it may do.
        mode &= _OWNER | _OTHERS
    _set_mode(descriptor, mode)
    return True


def _set_mode(descriptor: int, mode: int) -> None:
    # A file system without modes says who may read by itself.
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, mode)


def _mode_of_new_file(folder: OpenFolder) -> int:
    # The umask can be read only by setting it, for all threads. An empty file shows it as well.
    name = "mode"
    try:
        with folder.create(name, mode=_NEW_FILE) as file:
            return stat.S_IMODE(os.fstat(file.fileno()).st_mode) & _ALL
    finally:
        folder.remove(name)


def _keep_owner(descriptor: int, replaced: os.stat_result) -> int:
    """Give a file the owner and the group of another, and return the mode that it may have."""
    mode = stat.S_IMODE(replaced.st_mode) & _ALL
    now = os.fstat(descriptor)
    if now.st_uid != replaced.st_uid:
        # Only root may. Otherwise the file is ours from now on.
        with contextlib.suppress(OSError):
            os.chown(descriptor, replaced.st_uid, -1)
    if now.st_gid != replaced.st_gid:
        try:
            os.chown(descriptor, -1, replaced.st_gid)
        except OSError:
            # Who was in the old group is among the others now, and the new group was among them:
            # both may do what both of them might.
            both = mode >> _GROUP_BITS & mode & _OTHERS
            mode = mode & _OWNER | both << _GROUP_BITS | both
    return mode


def _list_of(path: str) -> bytes | None:
    if hasattr(os, "getxattr"):
        with contextlib.suppress(OSError):
            return os.getxattr(path, _LIST, follow_symlinks=False)
    return None


def _keep_list(descriptor: int, entries: bytes | None) -> bool:
    """Give a file an access list, or none; report whether it has no other one."""
    if not hasattr(os, "setxattr"):
        return True
    try:
        if entries is None:
            # It may have inherited one from the folder.
            with contextlib.suppress(OSError):
                os.removexattr(descriptor, _LIST)
        else:
            os.setxattr(descriptor, _LIST, entries)
    except OSError:
        return False
    return True
