"""Bytes on their way to the disk: all of them or an error, and a checksum against damage."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import zlib
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeAlias

from boxis_async.export.errors import DamagedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from boxis_async.export.open_folder import OpenFolder

__all__ = [
    "CallersFile",
    "CountingOutput",
    "GrowingFile",
    "Output",
    "Position",
    "verify",
    "write_anew",
]

Position: TypeAlias = tuple[int, ...]
"""How much was written, and a checksum of that. Of one file: its length and the CRC-32."""

_CHUNK_SIZE = 1 << 20
# What file systems answer that cannot wait for the disk. There is nothing else to be done there.
_CANNOT_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})


class Output(Protocol):
    """Something that bytes can be written to."""

    def write(self, data: bytes, /) -> int:
        """Write them."""
        ...


class CountingOutput:
    """An output that says how much was written, so that it may be a pipe, which cannot.

    It passes the bytes on until `is_open` is False, or a write failed: some libraries write more
    while they clean up, and what is written then must not look complete.

    Attributes:
        is_open: Whether bytes are passed on.
        failure: The error of the write that failed.
    """

    closed = False

    def __init__(self, file: Output) -> None:
        self._file = file
        self._written = 0
        self.is_open = True
        self.failure: Exception | None = None

    def write(self, data: bytes, /) -> int:
        """Pass bytes on."""
        if self.is_open:
            try:
                self._file.write(data)
            except Exception as error:
                self.is_open = False
                self.failure = error
                raise
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        """Say how much was written."""
        return self._written

    def flush(self) -> None:
        """Do nothing: whoever opened the file flushes it."""

    def close(self) -> None:
        """Do nothing: whoever opened the file closes it."""


class CallersFile:
    """A file that the caller opened, and closes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes, /) -> int:
        """Write all bytes.

        Raises:
            OSError: The file does not take them all.
        """
        if isinstance(self._file, io.RawIOBase):
            _write_all(self._file, data)
        else:
            self._file.write(data)
        return len(data)


class GrowingFile:
    """A file that grows, and can be truncated to an earlier position; it has no buffer.

    Args:
        folder: Its folder.
        name: Its name.
        position: How much of the file to keep; None makes it anew.

    Raises:
        DamagedError: The file is shorter than the position says, or its content differs.
    """

    def __init__(self, folder: OpenFolder, name: str, position: Position | None = None) -> None:
        self._path = folder.path / name
        # A full disk would leave bytes in a buffer that can neither be dropped nor written, so that
        # the file could not even be closed.
        self._file = folder.create(name) if position is None else _reopened(folder, name)
        self.position: Position = (0, 0) if position is None else position
        """How much was written."""
        try:
            if position is not None:
                _compare(self._file, name, position, is_growing=True)
            self._file.seek(0, os.SEEK_END)
            self.truncate(self.position)
        except BaseException:
            self._file.close()
            raise

    def write(self, data: bytes, /) -> int:
        """Write all bytes, or none."""
        try:
            _write_all(self._file, data)
        except BaseException as error:
            _name_file(error, self._path)
            # A part may have been written. Without it, the file is again what its position says.
            with contextlib.suppress(OSError):
                self.truncate(self.position)
            raise
        length, checksum = self.position
        self.position = length + len(data), zlib.crc32(data, checksum)
        return len(data)

    def truncate(self, position: Position) -> None:
        """Remove what follows a position."""
        if self._file.tell() != position[0]:
            self._file.truncate(position[0])
            self._file.seek(position[0])
        self.position = position

    def sync(self) -> None:
        """Wait until the disk has all that was written."""
        _sync(self._file, self._path)

    def content(self) -> bytes:
        """Read what was written, up to the position."""
        self._file.seek(0)
        return b"".join(_chunks(self._file, self.position[0], self._path.name))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def verify(folder: OpenFolder, name: str, position: Position) -> None:
    """Compare a file with the position that it should have.

    Args:
        folder: Its folder.
        name: Its name.
        position: How much was written to it.

    Raises:
        DamagedError: The file is missing, shorter or longer, or its content differs.
    """
    try:
        with folder.open(name) as file:
            _compare(file, name, position)
    except FileNotFoundError:
        raise DamagedError(f"{name} is missing") from None


def write_anew(folder: OpenFolder, name: str, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file in place of what has its name, and wait until the disk has it."""
    path = folder.path / name
    with folder.create(name, mode=mode) as file:
        try:
            _write_all(file, data)
        except OSError as error:
            _name_file(error, path)
            raise
        _sync(file, path)


def _reopened(folder: OpenFolder, name: str) -> io.FileIO:
    try:
        return folder.open(name, writable=True)
    except FileNotFoundError:
        raise DamagedError(f"{name} is missing") from None


def _compare(file: io.FileIO, name: str, position: Position, *, is_growing: bool = False) -> None:
    """Compare an open file with a position; with `is_growing` it may be longer than that.

    Raises:
        DamagedError: It is shorter, or longer, or its content differs.
    """
    if len(position) != len(("length", "checksum")):
        raise DamagedError(f"the position in {name} is none")
    length, checksum = position
    found = 0
    for chunk in _chunks(file, length, name):
        found = zlib.crc32(chunk, found)
    if not is_growing and file.read(1):
        raise DamagedError(f"{name} is longer than it was")
    if found != checksum:
        raise DamagedError(f"the content of {name} has changed")


def _chunks(file: io.FileIO, length: int, name: str) -> Iterator[bytes]:
    while length > 0:
        chunk = file.read(min(length, _CHUNK_SIZE))
        if not chunk:
            raise DamagedError(f"{name} is cut off")
        length -= len(chunk)
        yield chunk


def _write_all(file: io.RawIOBase, data: bytes) -> None:
    # A file without a buffer may write a part only, as on a full disk, and raise nothing.
    rest = memoryview(data)
    while rest:
        written = file.write(rest)
        if written is None:
            raise BlockingIOError("the file is non-blocking, and takes no more for now")
        rest = rest[written:]


def _sync(file: io.FileIO, path: Path) -> None:
    """Wait until the disk has all that was written to a file, on file systems that can."""
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            _name_file(error, path)
            raise


def _name_file(error: BaseException, path: Path) -> None:
    """Let an error say where it happened: of an open file the system does not."""
    if isinstance(error, OSError) and error.filename is None:
        error.filename = str(path)
