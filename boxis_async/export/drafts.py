"""Work in progress on the disk: what is written so far, cut back to where it was safe.

A mark says how much of a draft counts. What a process wrote after its last checkpoint, whole
or in part, is cut off when the next one takes over.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO, Protocol

from boxis_async.export.arrow import merge
from boxis_async.export.formats import make_writer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo
    from pathlib import Path

    from boxis_async import CDR
    from boxis_async.export.formats import Format, Writer

__all__ = ["DRAFT_FILES", "Draft", "Mark", "open_draft", "sync", "whole_file"]

DRAFT_FILES = ("lines", "part-*.parquet", "whole.parquet")
"""The names that a draft has in its folder."""

Mark = tuple[int, ...]
"""How much of a draft counts: the length of a text file, or the row groups of each part."""


class Draft(Protocol):
    """What is written so far."""

    def write(self, cdrs: Sequence[CDR]) -> Mark:
        """Write a batch, and give the mark that includes it."""
        ...

    def save(self) -> None:
        """Bring all that was written to the disk, so that a mark can be trusted."""

    def finish(self, mark: Mark | None) -> None:
        """Make the finished file, of all that the mark speaks of, on the disk: `whole_file`."""

    def close(self) -> None:
        """Let go of the files."""


def open_draft(
    format: Format,  # noqa: A002 - the field's own term
    folder: Path,
    mark: Mark | None,
    *,
    timezone: tzinfo,
    formula_safe: bool,
) -> Draft:
    """Begin a draft in a folder, or with a mark take it up, cut back."""
    if format == "parquet":
        return _Parts(folder, mark or (), timezone=timezone)
    return _Lines(
        whole_file(format, folder), format, mark, timezone=timezone, formula_safe=formula_safe
    )


def whole_file(format: Format, folder: Path) -> Path:  # noqa: A002 - the field's own term
    """Tell where a draft's finished file is, or was before it went to its place."""
    return folder / ("whole.parquet" if format == "parquet" else "lines")


class _Lines:
    """One file of lines, which grows; the mark is its length."""

    def __init__(
        self,
        path: Path,
        format: Format,  # noqa: A002 - the field's own term
        mark: Mark | None,
        *,
        timezone: tzinfo,
        formula_safe: bool,
    ) -> None:
        self._file = path.open("r+b" if mark else "w+b")
        self._writer = make_writer(format, self._file, timezone=timezone, formula_safe=formula_safe)
        if mark:
            if self._file.seek(0, os.SEEK_END) < mark[0]:
                raise FileNotFoundError(f"{path.name} is cut off")
            self._cut(mark)
        else:
            self._writer.begin()

    def write(self, cdrs: Sequence[CDR]) -> Mark:
        self._writer.write(cdrs)
        return (self._file.tell(),)

    def save(self) -> None:
        sync(self._file)

    def finish(self, mark: Mark | None) -> None:
        if mark:
            self._cut(mark)
        self._writer.end()
        self.save()
        self._file.close()

    def close(self) -> None:
        self._file.close()

    def _cut(self, mark: Mark) -> None:
        self._file.truncate(mark[0])
        self._file.seek(0, os.SEEK_END)


class _Parts:
    """Parquet files, numbered: one cannot be gone on with, as its directory stands at its end.

    A part is closed at each checkpoint. The mark has the number of row groups of each.
    """

    def __init__(self, folder: Path, mark: Mark, *, timezone: tzinfo) -> None:
        self._folder = folder
        self._timezone = timezone
        self._groups = list(mark)
        self._file: BinaryIO | None = None
        self._writer: Writer | None = None
        kept = [self._part(number) for number in range(len(mark))]
        for path in folder.glob("part-*.parquet"):
            if path not in kept:
                path.unlink()
        for path in kept:
            path.stat()  # raises where it is missing

    def write(self, cdrs: Sequence[CDR]) -> Mark:
        if cdrs:
            if self._writer is None:
                self._file = self._part(len(self._groups)).open("wb")
                self._writer = make_writer("parquet", self._file, timezone=self._timezone)
                self._writer.begin()
                self._groups.append(0)
            self._writer.write(cdrs)
            self._groups[-1] += 1
        return tuple(self._groups)

    def save(self) -> None:
        if self._writer is not None and self._file is not None:
            self._writer.end()
            sync(self._file)
            self._file.close()
            self._writer = self._file = None

    def finish(self, mark: Mark | None) -> None:
        self.save()
        parts = [(self._part(number), groups) for number, groups in enumerate(mark or ())]
        with whole_file("parquet", self._folder).open("wb") as file:
            merge(parts, file, timezone=self._timezone)
            sync(file)

    def close(self) -> None:
        if self._writer is not None and self._file is not None:
            self._writer.abandon()
            self._file.close()
            self._writer = self._file = None

    def _part(self, number: int) -> Path:
        return self._folder / f"part-{number:06}.parquet"


def sync(file: BinaryIO) -> None:
    """Bring what was written to a file to the disk."""
    file.flush()
    os.fsync(file.fileno())
