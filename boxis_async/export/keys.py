"""Which records an export wrote already, by digests of their keys in a file beside the draft.

A stream that resumes a coverage knows only the records on the edges of what is done. A further leg
of a call in the middle of it would be written twice, so the export writes down every key: 16 bytes
a record in the file. Only a resumed export loads them.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from boxis_async.export.files import GrowingFile, Position

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence
    from pathlib import Path

    from boxis_async import CDR
    from boxis_async.types import UniqueBy

__all__ = ["KEY_FILE", "KeyFile", "key_function", "rule_name"]

KEY_FILE = "keys"
"""The name of the file."""

_DIGEST_SIZE = 16


class KeyFile:
    """The digests of the keys of all records in a draft.

    Args:
        folder: The folder of the file.
        position: How much of the file to keep; None makes a new one.
        key: Gives the key of a record, or None for a record without one.

    Raises:
        DamagedError: The file is shorter than the position says, or its content differs.
    """

    def __init__(
        self, folder: Path, position: Position | None, key: Callable[[CDR], Hashable | None]
    ) -> None:
        self._key = key
        path = folder / KEY_FILE
        self._file = GrowingFile(path, position)
        try:
            # Those of earlier runs only: within a run the stream gives each key once.
            self._known = set(_digests(path.read_bytes()))
        except BaseException:
            self._file.close()
            raise

    @property
    def position(self) -> Position:
        """How much was written."""
        return self._file.position

    def add_new(self, cdrs: Sequence[CDR]) -> list[CDR]:
        """Give the records that no earlier run wrote, and add their keys to the file."""
        new: list[CDR] = []
        digests: list[bytes] = []
        for cdr in cdrs:
            key = self._key(cdr)
            if key is not None:
                digest = _digest(key)
                if digest in self._known:
                    continue
                digests.append(digest)
            new.append(cdr)
        self._file.write(b"".join(digests))
        return new

    def sync(self) -> None:
        """Wait until the disk has all that was written."""
        self._file.sync()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def key_function(unique_by: UniqueBy) -> Callable[[CDR], Hashable | None]:
    """Give the function that gives a record's key, or None for a record without one."""
    if callable(unique_by):
        # In a tuple, as None is a key like any other.
        return lambda cdr: (unique_by(cdr),)
    # The stream compares records without a uniqueid by their whole content. They can come twice
    # only at an edge of the coverage, which recognises them.
    if unique_by == "leg":
        return lambda cdr: cdr.leg if cdr.uniqueid else None
    return lambda cdr: cdr.uniqueid or None


def rule_name(unique_by: UniqueBy) -> str:
    """Name a rule for the journal: a function by its own name."""
    if isinstance(unique_by, str):
        return unique_by
    return getattr(unique_by, "__qualname__", type(unique_by).__qualname__)


def _digest(key: Hashable) -> bytes:
    # Another process must come to the same digest, and hash() differs in each.
    return blake2b(repr(key).encode("utf-8", "replace"), digest_size=_DIGEST_SIZE).digest()


def _digests(data: bytes) -> Iterator[bytes]:
    return (data[at : at + _DIGEST_SIZE] for at in range(0, len(data), _DIGEST_SIZE))
