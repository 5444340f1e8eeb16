"""Work in progress on the disk: what is written so far, cut back to where it was safe.

A mark says how much of a draft counts. What a process wrote after its last checkpoint, whole
or in part, is cut off when the next one takes over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from boxis_async.export.arrow import merge
from boxis_async.export.files import Growing, Mark, check
from boxis_async.export.formats import make_writer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo
    from pathlib import Path

    from boxis_async import CDR
    from boxis_async.export.formats import Format, Writer

__all__ = ["DRAFT_FILES", "Draft", "open_draft", "whole_file"]

DRAFT_FILES = ("lines", "part-*.parquet", "whole.parquet")
"""The names that a draft has in its folder."""


class Draft(Protocol):
    """What is written so far."""

    def write(self, cdrs: Sequence[CDR]) -> Mark:
        """Write a batch, and give the mark that includes it."""
        ...

    def save(self, mark: Mark | None) -> Mark | None:
        """Bring all that a mark speaks of to the disk; give the mark that can be trusted."""
        ...

    def finish(self, mark: Mark | None) -> Mark:
        """Make the finished file, of all that the mark speaks of, on the disk: `whole_file`.

        Returns:
            The mark of that file.
        """
        ...

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
    """Begin a draft in a folder, or with a mark take it up, cut back.

    Raises:
        DamagedError: What the mark speaks of is not there.
    """
    if format == "parquet":
        return _Parts(folder, mark, timezone=timezone)
    return _Lines(
        whole_file(format, folder), format, mark, timezone=timezone, formula_safe=formula_safe
    )


def whole_file(format: Format, folder: Path) -> Path:  # noqa: A002 - the field's own term
    """Tell where a draft's finished file is, or was before it went to its place."""
    return folder / ("whole.parquet" if format == "parquet" else "lines")


class _Lines:
    """One file of lines, which grows; the mark is that of the file."""

    def __init__(
        self,
        path: Path,
        format: Format,  # noqa: A002 - the field's own term
        mark: Mark | None,
        *,
        timezone: tzinfo,
        formula_safe: bool,
    ) -> None:
        self._file = Growing(path, mark)
        self._writer = make_writer(format, self._file, timezone=timezone, formula_safe=formula_safe)
        if mark is None:
            self._writer.begin()

    def write(self, cdrs: Sequence[CDR]) -> Mark:
        self._writer.write(cdrs)
        return self._file.mark

    def save(self, mark: Mark | None) -> Mark | None:
        # What is behind the mark stays: the run may go on.
        self._file.save()
        return mark

    def finish(self, mark: Mark | None) -> Mark:
        del mark  # nothing is behind it
        self._writer.end()
        self._file.save()
        return self._file.mark

    def close(self) -> None:
        self._file.close()


# What a mark says of each part: its row groups that count, its length, and its sum.
_PER_PART = 3


class _Parts:
    """Parquet files, numbered: one cannot be gone on with, as its directory stands at its end.

    A part is closed at each checkpoint, and only then has a length and a sum.
    """

    def __init__(self, folder: Path, mark: Mark | None, *, timezone: tzinfo) -> None:
        self._folder = folder
        self._timezone = timezone
        self._parts = _by_part(mark)
        self._file: Growing | None = None
        self._writer: Writer | None = None
        kept = [self._path(number) for number in range(len(self._parts))]
        for path in folder.glob("part-*.parquet"):
            if path not in kept:
                path.unlink()
        for path, (_, *of_file) in zip(kept, self._parts, strict=True):
            check(path, tuple(of_file))

    def write(self, cdrs: Sequence[CDR]) -> Mark:
        if cdrs:
            if self._writer is None:
                self._file = Growing(self._path(len(self._parts)))
                self._writer = make_writer("parquet", self._file, timezone=self._timezone)
                self._writer.begin()
                self._parts.append((0, 0, 0))
            self._writer.write(cdrs)
            self._parts[-1] = (self._parts[-1][0] + 1, 0, 0)
        return tuple(number for part in self._parts for number in part)

    def save(self, mark: Mark | None) -> Mark | None:
        if self._writer is not None and self._file is not None:
            self._writer.end()
            self._file.save()
            self._file.close()
            self._parts[-1] = (self._parts[-1][0], *self._file.mark)
            self._writer = self._file = None
        if mark is None:
            return None
        # An earlier mark speaks of fewer groups of the last part, in the same file.
        return tuple(
            number
            for (groups, *_), (_, *of_file) in zip(_by_part(mark), self._parts, strict=False)
            for number in (groups, *of_file)
        )

    def finish(self, mark: Mark | None) -> Mark:
        self.save(mark)
        parts = [(self._path(number), part[0]) for number, part in enumerate(_by_part(mark))]
        file = Growing(whole_file("parquet", self._folder))
        try:
            merge(parts, file, timezone=self._timezone)
            file.save()
        finally:
            file.close()
        return file.mark

    def close(self) -> None:
        if self._writer is not None and self._file is not None:
            try:
                self._writer.abandon()
            finally:
                self._file.close()
                self._writer = self._file = None

    def _path(self, number: int) -> Path:
        return self._folder / f"part-{number:06}.parquet"


def _by_part(mark: Mark | None) -> list[Mark]:
    mark = mark or ()
    return [mark[at : at + _PER_PART] for at in range(0, len(mark), _PER_PART)]
