"""Bytes on their way to the disk: all of them or an error, and a sum that shows damage."""

from __future__ import annotations

import contextlib
import io
import os
import zlib
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["DamagedError", "Growing", "Mark", "Opened", "Output", "check", "sync", "sync_folder"]

Mark: TypeAlias = tuple[int, ...]
"""How much of something counts, and a sum of that: of one file, its length and the CRC-32."""

_CHUNK = 1 << 20


class DamagedError(Exception):
    """What stands on the disk is not what was written."""


class Output(Protocol):
    """What bytes can be written to."""

    def write(self, data: bytes, /) -> int:
        """Write them."""
        ...


class Opened:
    """A file that somebody else opened, and closes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes, /) -> int:
        """Write all bytes.

        Raises:
            OSError: It does not take them all.
        """
        if isinstance(self._file, io.RawIOBase):
            _put(self._file, data)
        else:
            self._file.write(data)
        return len(data)


class Growing:
    """A file that grows, and can be cut back to an earlier mark; nothing is held in a buffer.

    Args:
        path: Where it is, or is made.
        mark: How much of it counts; without one it is made anew.

    Raises:
        DamagedError: Less is there than the mark speaks of, or something else.
    """

    def __init__(self, path: Path, mark: Mark | None = None) -> None:
        if mark is not None:
            check(path, mark, is_growing=True)
        # What a buffer holds could not be dropped when the disk is full, nor the file be closed.
        self._file = path.open("wb" if mark is None else "r+b", buffering=0)
        self.mark: Mark = (0, 0) if mark is None else mark
        """All that was written."""
        self._file.seek(0, os.SEEK_END)
        self.cut(self.mark)

    def write(self, data: bytes, /) -> int:
        """Write all bytes, or none."""
        try:
            _put(self._file, data)
        except BaseException:
            # Whoever tells where things stand in the file must not be wrong.
            with contextlib.suppress(OSError):
                self.cut(self.mark)
            raise
        length, total = self.mark
        self.mark = length + len(data), zlib.crc32(data, total)
        return len(data)

    def cut(self, mark: Mark) -> None:
        """Drop what comes behind a mark."""
        if self._file.tell() != mark[0]:
            self._file.truncate(mark[0])
            self._file.seek(mark[0])
        self.mark = mark

    def save(self) -> None:
        """Bring it to the disk."""
        sync(self._file)

    def close(self) -> None:
        """Let go of it."""
        self._file.close()


def check(path: Path, mark: Mark, *, is_growing: bool = False) -> None:
    """Compare a file with its mark.

    Args:
        path: Where it is.
        mark: Of all that was written to it.
        is_growing: Whether more may stand behind that, which does not count.

    Raises:
        DamagedError: Less is there than the mark speaks of, or something else.
    """
    length, total = mark
    found = 0
    try:
        with path.open("rb") as file:
            for chunk in _chunks(file, length, path.name):
                found = zlib.crc32(chunk, found)
            if not is_growing and file.read(1):
                raise DamagedError(f"{path.name} goes on after its end")
    except FileNotFoundError:
        raise DamagedError(f"{path.name} is missing") from None
    if found != total:
        raise DamagedError(f"{path.name} is not as it was written")


def _chunks(file: BinaryIO, length: int, name: str) -> Iterator[bytes]:
    while length > 0:
        chunk = file.read(min(length, _CHUNK))
        if not chunk:
            raise DamagedError(f"{name} is cut off")
        length -= len(chunk)
        yield chunk


def _put(file: io.RawIOBase, data: bytes) -> None:
    # Without a buffer a file may take a part, as when the disk runs full, and say no more of it.
    left = memoryview(data)
    while left:
        taken = file.write(left)
        if taken is None:
            raise BlockingIOError("the file does not block, and takes no more for now")
        left = left[taken:]


def sync(file: BinaryIO | io.FileIO) -> None:
    """Bring what was written to a file to the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk, where the system can."""
    if os.name == "posix":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
