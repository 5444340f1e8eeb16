"""Which database a text or a path names, and whether a file lies where SQLite can lock it.

SQLite on a network file system loses data without a word where its locks do not reach the other
machines, so that is refused: the kernel says of each mount what it is.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final, cast
from urllib.parse import unquote, urlsplit

import attrs

from boxis_async import UsageError

__all__ = ["Address", "address_of", "network_file_system"]

_SERVERS: Final = ("postgresql", "postgres")
_NETWORK: Final = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.glusterfs", "fuse.rclone",
    "fuse.s3fs", "fuse.sshfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
    "ocfs2", "orangefs", "prl_fs", "pvfs2", "smb2", "smb3", "smbfs", "vboxsf",
})  # fmt: skip
"""Types of file systems on which locks do not reach every machine, or not always."""


@attrs.frozen
class Address:
    """Where the database is."""

    path: Path | None
    """The file of SQLite; None for a server."""
    url: str = attrs.field(default="", repr=False)
    """The server's address. It may hold a password."""

    def __str__(self) -> str:
        """Name it without a password."""
        if self.path is not None:
            return str(self.path)
        parts = urlsplit(self.url)
        host = parts.hostname or "localhost"
        port = f":{parts.port}" if parts.port else ""
        return f"postgresql://{host}{port}{parts.path}"


def address_of(database: object) -> Address:
    """Read what a user gave as the database.

    Raises:
        UsageError: It is no path, and no URL of SQLite or PostgreSQL.
    """
    if isinstance(database, os.PathLike):
        database = cast("object", os.fspath(cast("os.PathLike[str]", database)))
    if not isinstance(database, str) or not database:
        raise UsageError(
            "database must be a path, sqlite:///PATH or postgresql://USER@HOST/NAME, not "
            f"{type(database).__name__}"
        )
    scheme, is_url, rest = database.partition("://")
    if not is_url:
        return _file(database)
    if scheme == "sqlite":
        if not rest.startswith("/"):
            raise UsageError("sqlite:// takes three slashes before a path: sqlite:///calls.db")
        return _file(unquote(rest[1:]))
    if scheme not in _SERVERS:
        # Only the scheme is shown: a password could stand behind it.
        raise UsageError(
            f"a mirror is in SQLite or PostgreSQL, not in {scheme!r}: give a path, or "
            "postgresql://USER@HOST/NAME"
        )
    try:
        parts = urlsplit(database)
        _ = parts.port
    except ValueError:
        parts = None
    if parts is None or (not parts.hostname and "host=" not in parts.query):
        raise UsageError("the URL of the server names no host: postgresql://USER@HOST/NAME")
    if not parts.path.strip("/"):
        raise UsageError("the URL of the server names no database: postgresql://USER@HOST/NAME")
    return Address(None, f"postgresql://{rest}")


def network_file_system(folder: Path, mounts: str = "/proc/self/mounts") -> str | None:
    """Name the network file system that a folder is on; None if it is on none, or nobody knows."""
    if sys.platform != "linux":
        return None
    try:
        # One with a broken name is not the one that we look for.
        lines = Path(mounts).read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    best, kind = -1, ""
    for line in lines:
        fields = line.split(" ")
        place = fields[1].replace("\\040", " ")
        # Of two mounts at one place, the later one hides the earlier.
        if folder.is_relative_to(place) and len(place) >= best:
            best, kind = len(place), fields[2]
    return kind if kind in _NETWORK else None


def _file(path: str) -> Address:
    if not path or path == ":memory:":
        raise UsageError("a mirror in memory would be gone with the process: give a path")
    if "\0" in path:
        raise UsageError("a path cannot hold a NUL")
    file = Path(path).expanduser().resolve()
    if file.is_dir():
        raise UsageError(f"{file} is a folder: give the path of a file in it")
    return Address(file)
