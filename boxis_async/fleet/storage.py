"""Where a data set lies: a local folder, or a place in S3, by pyarrow's file systems.

A file is there whole, or not at all. In a folder it is written beside its place under another name,
brought to the disk, and renamed. S3 shows an object when all of it was sent.

The only module that knows `pyarrow.fs`.
"""

# pyarrow carries no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from boxis_async import UsageError
from boxis_async._files import read_regular, sync_folder
from boxis_async.fleet.errors import DataSetError
from boxis_async.fleet.extra import require_extra

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

__all__ = ["Storage", "open_storage"]

_ABANDONED_SECONDS: Final = 3600.0
_SUFFIX: Final = ".tmp"
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
# What S3 says of credentials, as pyarrow has it in its texts.
_REFUSED: Final = ("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH")


class Storage:
    """Files by their paths within one place, with slashes.

    Args:
        url: The place, as the user named it.
        filesystem: Of pyarrow's; None for a local folder.
        base: The place within it.
    """

    def __init__(self, url: str, filesystem: Any, base: str) -> None:  # noqa: ANN401 - no types
        self.url = url
        self._filesystem = filesystem
        self._base = base.rstrip("/")

    def __repr__(self) -> str:
        return f"<Storage({self.url!r})>"

    def put(self, path: str, content: bytes) -> None:
        """Write a file, whole or not at all, in place of the one that has its name.

        Raises:
            DataSetError: It cannot be written.
        """
        with self._named(path):
            if self._filesystem is None:
                _put(Path(self._base, path), content)
            else:
                with self._filesystem.open_output_stream(f"{self._base}/{path}") as file:
                    file.write(content)

    def read(self, path: str) -> bytes | None:
        """Read a file; None where there is none.

        Raises:
            DataSetError: It cannot be read.
        """
        with self._named(path):
            try:
                if self._filesystem is None:
                    return _read(Path(self._base, path))
                with self._filesystem.open_input_file(f"{self._base}/{path}") as file:
                    content: bytes = file.read()
                    return content
            except (FileNotFoundError, NotADirectoryError):
                return None

    def size(self, path: str) -> int | None:
        """Give the size of a file in bytes; None where there is none.

        Raises:
            DataSetError: That cannot be found out.
        """
        with self._named(path):
            if self._filesystem is None:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    return Path(self._base, path).stat().st_size
                return None
            found: int | None = self._filesystem.get_file_info(f"{self._base}/{path}").size
            return found

    def remove(self, path: str) -> None:
        """Remove a file, if it is there.

        Raises:
            DataSetError: It cannot be removed.
        """
        with self._named(path), contextlib.suppress(FileNotFoundError):
            if self._filesystem is None:
                Path(self._base, path).unlink(missing_ok=True)
            else:
                self._filesystem.delete_file(f"{self._base}/{path}")

    def files(self) -> dict[str, int]:
        """List all files by their paths, with their sizes.

        Raises:
            DataSetError: They cannot be listed.
        """
        with self._named(""):
            if self._filesystem is None:
                return dict(_walk(Path(self._base)))
            from pyarrow.fs import FileSelector, FileType  # noqa: PLC0415 - an optional dependency

            selector = FileSelector(self._base, recursive=True, allow_not_found=True)
            return {
                info.path[len(self._base) + 1 :]: info.size
                for info in self._filesystem.get_file_info(selector)
                if info.type == FileType.File
            }

    def tidy(self) -> None:
        """Remove what a process that was killed an hour ago, or earlier, left half written."""
        if self._filesystem is not None:
            return
        before = time.time() - _ABANDONED_SECONDS
        for path in Path(self._base).glob(f"*/*/.*{_SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()

    @contextlib.contextmanager
    def _named(self, path: str) -> Generator[None]:
        """Say of an error of the system's where it was."""
        try:
            yield
        except OSError as error:
            place = f"{self.url.rstrip('/')}/{path}".rstrip("/")
            text = error.strerror or str(error)
            raise DataSetError(f"{place}: {text}{self._advice(error)}") from error

    def _advice(self, error: OSError) -> str:
        """Say what to do, where that is known."""
        if error.errno in _FULL:
            return ". Make room, and run it again: what is complete stays"
        if isinstance(error, FileExistsError | NotADirectoryError):
            return ". A data set is a folder, and this is a file: name another place"
        if self._filesystem is not None and any(word in str(error) for word in _REFUSED):
            return (
                ". Give credentials that may do this, by AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY or by a profile of AWS, on this machine and on all workers"
            )
        return ""


def open_storage(url: object) -> Storage:
    """Open a place by its address: a folder, `file://…` or `s3://bucket/folder`.

    Raises:
        UsageError: It is another address, or holds credentials.
        MissingExtraError: It is in S3, and pyarrow is not installed.
        DataSetError: pyarrow cannot open it.
    """
    if not isinstance(url, str | os.PathLike) or not (url := os.fspath(url)):
        raise UsageError(f"the data set must be a folder or an s3:// address, not {url!r}")
    if not isinstance(url, str):
        raise UsageError("the data set must be named by a text, not by bytes")
    if "://" not in url:
        return Storage(url, None, str(Path(url).absolute()))
    parts = urlsplit(url)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise UsageError(f"a file address has no host: write file:///{parts.netloc}…")
        return Storage(url, None, str(Path(parts.path).absolute()))
    if parts.scheme != "s3":
        raise UsageError(
            f"the data set must be a folder or an s3:// address, not a {parts.scheme}:// address"
        )
    if "@" in parts.netloc:
        raise UsageError(
            "the address of the data set goes to the workers and into logs, so it must hold no "
            "credentials: give them by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or by a "
            "profile of AWS"
        )
    require_extra("S3 needs pyarrow", "pyarrow")
    from pyarrow.fs import FileSystem  # noqa: PLC0415 - an optional dependency

    try:
        filesystem, base = FileSystem.from_uri(url)
    except (OSError, ValueError) as error:
        raise DataSetError(f"{url} cannot be opened: {error}") from error
    return Storage(url.partition("?")[0], filesystem, base)


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.parent / f".{path.name}.{secrets.token_hex(8)}{_SUFFIX}"
    try:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        # The rename is in the folder, which is brought to the disk as well.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            sync_folder(folder)
        finally:
            os.close(folder)


def _read(path: Path) -> bytes:
    content = read_regular(path)
    if content is None:
        raise OSError(errno.EINVAL, "it is not a file")
    return content


def _walk(base: Path) -> Iterator[tuple[str, int]]:
    for folder, _, names in os.walk(base):
        within = Path(folder).relative_to(base).as_posix()
        for name in names:
            if name.endswith(_SUFFIX):
                continue
            with contextlib.suppress(FileNotFoundError):
                size = Path(folder, name).stat().st_size
                yield (name if within == "." else f"{within}/{name}"), size
