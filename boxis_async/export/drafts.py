"""The records written so far, on the disk, so that another run can continue after any of them.

A position says how much of a draft counts. A run that resumes an export removes what the run before
wrote after its last checkpoint, be it complete or not.

CSV and JSON Lines are one file, truncated where it must be. A Parquet file has its directory at its
end, so it can be neither truncated nor continued. Its draft is several files, one for each stretch
between two checkpoints, which are merged in the end.
"""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING, Protocol

from boxis_async.export.arrow import merge
from boxis_async.export.files import GrowingFile, Position, verify
from boxis_async.export.formats import make_writer

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import tzinfo

    from boxis_async import CDR
    from boxis_async.export.formats import Format, Writer
    from boxis_async.export.open_folder import OpenFolder

__all__ = ["DRAFT_FILES", "Draft", "finished_file", "open_draft"]

_PARTS = "part-*.parquet"
DRAFT_FILES = ("lines", _PARTS, "whole.parquet")
"""The names that the files of a draft have in its folder."""


class Draft(Protocol):
    """The records written so far."""

    def write(self, cdrs: Sequence[CDR]) -> Position:
        """Write a batch, and give the position after it."""
        ...

    def save(self, position: Position | None) -> Position | None:
        """Wait until the disk has all that precedes a position.

        Returns:
            The position as it is to be stored, with the checksums.
        """
        ...

    def finish(self, position: Position | None) -> Position:
        """Make the finished file of all that precedes the position: `finished_file`.

        Returns:
            The position at the end of that file.
        """
        ...

    def close(self) -> None:
        """Close the files."""


def open_draft(
    format: Format,  # noqa: A002 - the field's own term
    folder: OpenFolder,
    position: Position | None,
    *,
    timezone: tzinfo,
    formula_safe: bool,
) -> Draft:
    """Begin a draft in a folder, or with a position continue the one that is there.

    Raises:
        DamagedError: The draft is shorter than the position says, or its content differs.
    """
    if format == "parquet":
        return _ParquetDraft(folder, position, timezone=timezone)
    return _TextDraft(folder, format, position, timezone=timezone, formula_safe=formula_safe)


def finished_file(format: Format) -> str:  # noqa: A002 - the field's own term
    """Give the name of a draft's finished file, before it is moved to its place."""
    return "whole.parquet" if format == "parquet" else "lines"


class _TextDraft:
    """One file of lines, which grows; the position is that of the file."""

    def __init__(
        self,
        folder: OpenFolder,
        format: Format,  # noqa: A002 - the field's own term
        position: Position | None,
        *,
        timezone: tzinfo,
        formula_safe: bool,
    ) -> None:
        self._file = GrowingFile(folder, finished_file(format), position)
        self._writer = make_writer(format, self._file, timezone=timezone, formula_safe=formula_safe)
        if position is None:
            self._writer.begin()

    def write(self, cdrs: Sequence[CDR]) -> Position:
        self._writer.write(cdrs)
        return self._file.position

    def save(self, position: Position | None) -> Position | None:
        # What follows the position stays, as this run may continue.
        self._file.sync()
        return position

    def finish(self, position: Position | None) -> Position:
        del position  # nothing follows it
        self._writer.end()
        self._file.sync()
        return self._file.position

    def close(self) -> None:
        self._file.close()


# What a position says of each part: how many of its row groups count, its length, its checksum.
_NUMBERS_PER_PART = 3


class _ParquetDraft:
    """Numbered Parquet files, the parts; each checkpoint ends one.

    A part has a length and a checksum only once it is ended. Until then both are 0 in a position.
    """

    def __init__(self, folder: OpenFolder, position: Position | None, *, timezone: tzinfo) -> None:
        self._folder = folder
        self._timezone = timezone
        self._parts = _by_part(position)
        self._file: GrowingFile | None = None
        self._writer: Writer | None = None
        kept = [_part(number) for number in range(len(self._parts))]
        for name in folder.names():
            if fnmatch(name, _PARTS) and name not in kept:
                folder.remove(name)
        for name, (_, *of_file) in zip(kept, self._parts, strict=True):
            verify(folder, name, tuple(of_file))

    def write(self, cdrs: Sequence[CDR]) -> Position:
        if cdrs:
            if self._writer is None:
                self._file = GrowingFile(self._folder, _part(len(self._parts)))
                self._writer = make_writer("parquet", self._file, timezone=self._timezone)
                self._writer.begin()
                self._parts.append((0, 0, 0))
            self._writer.write(cdrs)
            self._parts[-1] = (self._parts[-1][0] + 1, 0, 0)
        return tuple(number for part in self._parts for number in part)

    def save(self, position: Position | None) -> Position | None:
        if self._writer is not None and self._file is not None:
            self._writer.end()
            self._file.sync()
            self._file.close()
            self._parts[-1] = (self._parts[-1][0], *self._file.position)
            self._writer = self._file = None
        if position is None:
            return None
        # The position may be an earlier one, with fewer row groups of the last part. The length and
        # the checksum are those of the whole file.
        return tuple(
            number
            for (groups, *_), (_, *of_file) in zip(_by_part(position), self._parts, strict=False)
            for number in (groups, *of_file)
        )

    def finish(self, position: Position | None) -> Position:
        self.save(position)
        file = GrowingFile(self._folder, finished_file("parquet"))
        try:
            merge(self._open_parts(_by_part(position)), file, timezone=self._timezone)
            file.sync()
        finally:
            file.close()
        return file.position

    def close(self) -> None:
        if self._writer is not None and self._file is not None:
            try:
                self._writer.abandon()
            finally:
                self._file.close()
                self._writer = self._file = None

    def _open_parts(self, parts: Iterable[Position]) -> Iterator[tuple[io.FileIO, int]]:
        """Open each part in turn, with how many of its row groups count."""
        for number, (groups, *_) in enumerate(parts):
            with self._folder.open(_part(number)) as file:
                yield file, groups


def _part(number: int) -> str:
    return f"part-{number:06}.parquet"


def _by_part(position: Position | None) -> list[Position]:
    numbers = position or ()
    return [
        numbers[at : at + _NUMBERS_PER_PART] for at in range(0, len(numbers), _NUMBERS_PER_PART)
    ]
