"""Which records an export wrote already, by digests of their keys in a file beside the draft.

A stream that resumes a coverage knows only the records on the edges of what is done. A further leg
of a call in the middle of it would be written twice, so the export writes down every key: 16 bytes
a record in the file. Only a resumed export loads them.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from hashlib import blake2b
from typing import TYPE_CHECKING, cast

from boxis_async import UsageError
from boxis_async.export.files import GrowingFile, Position

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from boxis_async import CDR
    from boxis_async.export.open_folder import OpenFolder
    from boxis_async.types import UniqueBy

__all__ = ["KEY_FILE", "KeyFile", "key_function", "rule_name"]

KEY_FILE = "keys"
"""The name of the file."""

_DIGEST_SIZE = 16
_DIGEST = blake2b(digest_size=_DIGEST_SIZE)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class KeyFile:
    """The digests of the keys of all records in a draft.

    Args:
        folder: The folder of the file.
        position: How much of the file to keep; None makes a new one.
        key: Gives the key of a record as a text, or None for a record without one.

    Raises:
        DamagedError: The file is shorter than the position says, or its content differs.
    """

    def __init__(
        self, folder: OpenFolder, position: Position | None, key: Callable[[CDR], str | None]
    ) -> None:
        self._key = key
        self._file = GrowingFile(folder, KEY_FILE, position)
        try:
            # Those of earlier runs only: within a run the stream gives each key once.
            self._known = set(_digests(self._file.content()))
        except BaseException:
            self._file.close()
            raise

    def choose_new(self, cdrs: Sequence[CDR]) -> tuple[list[CDR], bytes]:
        """Give the records that no earlier run wrote, and digests of their keys; blocks nothing."""
        if not self._known:
            keys = [key for key in map(self._key, cdrs) if key is not None]
            return list(cdrs), b"".join(map(_digest, keys))
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
        return new, b"".join(digests)

    def write(self, digests: bytes) -> Position:
        """Add the keys of records, and give the position after them."""
        self._file.write(digests)
        return self._file.position

    def sync(self) -> None:
        """Wait until the disk has all that was written."""
        self._file.sync()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def key_function(unique_by: UniqueBy) -> Callable[[CDR], str | None]:
    """Give the function that gives a record's key as a text, or None for a record without one."""
    if callable(unique_by):
        # In a tuple, as None is a key like any other.
        return lambda cdr: _text((unique_by(cdr),))
    # The stream compares records without a uniqueid by their whole content. They can come twice
    # only at an edge of the coverage, which recognises them.
    if unique_by == "leg":
        return lambda cdr: repr(cdr.leg) if cdr.uniqueid else None
    return lambda cdr: repr(cdr.uniqueid) if cdr.uniqueid else None


def rule_name(unique_by: UniqueBy) -> str:
    """Name a rule for the journal: a function by its own name."""
    if isinstance(unique_by, str):
        return unique_by
    return getattr(unique_by, "__qualname__", type(unique_by).__qualname__)


def _digest(text: str) -> bytes:
    # A copy takes two thirds of the time that making one takes.
    digest = _DIGEST.copy()
    digest.update(text.encode("utf-8", "replace"))
    return digest.digest()


def _text(key: Hashable) -> str:
    """Write a key as every process does: hash() and the order of a set differ in each.

    Raises:
        UsageError: It is an object that another process could not recognise.
    """
    if isinstance(key, AbstractSet):
        return f"{{{', '.join(sorted(map(_text, key)))}}}"
    if type(key) is tuple:
        items = cast("tuple[Hashable, ...]", key)
        return f"({', '.join(map(_text, items))}{',' if len(items) == 1 else ''})"
    text = repr(key)
    if not isinstance(key, str) and _ADDRESS.search(text):
        raise UsageError(
            f"unique_by gave a {type(key).__name__}, which a run that resumes the export could not "
            "recognise: give a text, a number, or a tuple of them"
        )
    return text


def _digests(data: bytes) -> Iterator[bytes]:
    return (data[at : at + _DIGEST_SIZE] for at in range(0, len(data), _DIGEST_SIZE))
