"""Bytes on their way to the disk: all of them or an error, and a checksum against damage."""

from __future__ import annotations

import contextlib
import io
import os
import zlib
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "CallersFile",
    "DamagedError",
    "GrowingFile",
    "Output",
    "Position",
    "sync_file",
    "sync_folder",
    "verify",
]

Position: TypeAlias = tuple[int, ...]
"""How much was written, and a checksum of that. Of one file: its length and the CRC-32."""

_CHUNK_SIZE = 1 << 20


class DamagedError(Exception):
    """A file does not contain what was written to it."""


class Output(Protocol):
    """Something that bytes can be written to."""

    def write(self, data: bytes, /) -> int:
        """Write them."""
        ...


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
        path: The file.
        position: How much of the file to keep; None makes a new one.

    Raises:
        DamagedError: The file is shorter than the position says, or its content differs.
    """

    def __init__(self, path: Path, position: Position | None = None) -> None:
        if position is not None:
            verify(path, position, is_growing=True)
        # A full disk would leave bytes in a buffer that can neither be dropped nor written, so that
        # the file could not even be closed.
        self._file = path.open("wb" if position is None else "r+b", buffering=0)
        self.position: Position = (0, 0) if position is None else position
        """How much was written."""
        self._file.seek(0, os.SEEK_END)
        self.truncate(self.position)

    def write(self, data: bytes, /) -> int:
        """Write all bytes, or none."""
        try:
            _write_all(self._file, data)
        except BaseException:
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
        sync_file(self._file)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def verify(path: Path, position: Position, *, is_growing: bool = False) -> None:
    """Compare a file with the position that it should have.

    Args:
        path: The file.
        position: How much was written to it.
        is_growing: Whether the file may be longer than that.

    Raises:
        DamagedError: The file is missing, shorter or longer, or its content differs.
    """
    length, checksum = position
    found = 0
    try:
        with path.open("rb") as file:
            for chunk in _chunks(file, length, path.name):
                found = zlib.crc32(chunk, found)
            if not is_growing and file.read(1):
                raise DamagedError(f"{path.name} is longer than it was")
    except FileNotFoundError:
        raise DamagedError(f"{path.name} is missing") from None
    if found != checksum:
        raise DamagedError(f"the content of {path.name} has changed")


def _chunks(file: BinaryIO, length: int, name: str) -> Iterator[bytes]:
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


def sync_file(file: BinaryIO | io.FileIO) -> None:
    """Wait until the disk has all that was written to a file."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder, on systems that can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
