"""The records written so far, on the disk, so that another run can continue after any of them.

A draft is one file, which grows; its position says how much of it counts. A run that resumes an
export truncates it to what the run before wrote by its last checkpoint.

CSV and JSON Lines of legs are written as they will be. A Parquet file and a workbook have a
directory at their end, so they can be neither truncated nor continued, and a call is whole only
once all of its legs are there. The draft of these is something that can: Arrow's batches for
Parquet, and lines of JSON with all that a leg has for the others. What is finished is rendered
from it in the end.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import stat
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Final

from boxis_async.export.arrow import BatchWriter, ParquetWriter, read_batches
from boxis_async.export.errors import DamagedError
from boxis_async.export.files import GrowingFile, Position
from boxis_async.export.formats import make_writer
from boxis_async.export.layout import make_layout
from boxis_async.export.leg_lines import read_legs
from boxis_async.export.text_writers import JSONLines, TextWriter
from boxis_async.export.workbook import SHEETS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from datetime import tzinfo

    from boxis_async import CDR, Call
    from boxis_async.export.call_rows import CallRows
    from boxis_async.export.columns import Rows
    from boxis_async.export.formats import Format, Writer
    from boxis_async.export.layout import Layout
    from boxis_async.export.open_folder import OpenFolder

__all__ = ["Draft", "finished_file", "remove_drafts"]

_LINES, _BATCHES, _LEGS = "lines", "batches", "legs"
# What a format's draft is, where its rows are legs.
_DRAFTS: Final[dict[Format, str]] = {
    "csv": _LINES,
    "jsonl": _LINES,
    "parquet": _BATCHES,
    "xlsx": _LEGS,
}
# The last two are what an earlier version wrote, and what is rendered.
_NAMES = (_LINES, _BATCHES, _LEGS, "part-*.parquet", "whole.*")
# To the thread and back takes as long as the text of a hundred records.
_LINES_AT_ONCE: Final = 2000
# A position of one file has so many numbers.
_ONE_FILE = 2


class Draft:
    """The records written so far.

    Args:
        format: The format of the finished file.
        folder: The folder of the draft.
        position: Where a draft is to be continued; None begins one.
        layout: What stands in the finished file.
        timezone: The zone of the datetimes.
        calls: Gives what makes calls of the legs, where a row is one. Called in the end, as
            only then the range is known for sure.

    Raises:
        DamagedError: The draft is shorter than the position says, or its content differs.
    """

    def __init__(  # noqa: PLR0913 - each is one thing to know, by name
        self,
        format: Format,  # noqa: A002 - the field's own term
        folder: OpenFolder,
        position: Position | None,
        layout: Layout,
        *,
        timezone: tzinfo,
        calls: Callable[[], CallRows] | None,
    ) -> None:
        self._format: Format = format
        self._calls = calls
        self._folder = folder
        self._layout = layout
        self._timezone = timezone
        self._name = _draft_name(format, layout.rows)
        self._finished = finished_file(format, layout.rows)
        if position is not None and len(position) != _ONE_FILE:
            raise DamagedError("an earlier version wrote it in several parts")
        _remove_sheets(folder)
        self._file = GrowingFile(folder, self._name, position)
        try:
            self._writer = self._make_writer()
            if position is None:
                self._writer.begin()
        except BaseException:
            self._file.close()
            raise
        self._steps: Generator[None] | None = None
        self._rendered: Position | None = None
        self.rows = 0
        """The rows that were rendered."""

    def prepare(self, cdrs: Sequence[CDR]) -> bytes | Sequence[CDR]:
        """Make lines of records, where the draft has lines; blocks nothing."""
        return self._writer.lines.encode(cdrs) if isinstance(self._writer, TextWriter) else cdrs

    @property
    def at_once(self) -> int:
        """How many records are best written at a time; of lines they are a megabyte or two."""
        return _LINES_AT_ONCE if isinstance(self._writer, TextWriter) else 1

    def write(self, batches: Iterable[Iterable[bytes | Sequence[CDR]]]) -> Position:
        """Write what `prepare` gave of some batches, and give the position after it."""
        text = io.BytesIO()
        for batch in batches:
            cdrs: list[CDR] = []
            for some in batch:
                if isinstance(some, bytes):
                    text.write(some)
                else:
                    cdrs += some
            if cdrs:
                # Each by itself, so that a file does not depend on how many came at a time.
                self._writer.write(cdrs)
        self._file.write(text.getvalue())
        return self._file.position

    def save(self) -> None:
        """Wait until the disk has all that was written."""
        # What follows a position stays, as this run may continue.
        self._file.sync()

    def render(self) -> bool:
        """Do a further step towards the finished file.

        Returns:
            Whether it was the last one.
        """
        if self._name == self._finished:
            return True
        if self._steps is None:
            self._steps = self._render()
        return next(self._steps, self) is self

    def finish(self) -> Position:
        """Give the position at the end of the finished file, once it was rendered."""
        if self._rendered is not None:
            return self._rendered
        self._file.sync()
        return self._file.position

    def close(self) -> None:
        """Close the files."""
        steps, self._steps = self._steps, None
        try:
            if steps is not None:
                steps.close()
        finally:
            self._file.close()

    def _make_writer(self) -> Writer | BatchWriter:
        if self._name == _BATCHES:
            return BatchWriter(self._file, self._layout, timezone=self._timezone)
        if self._name == _LEGS:
            return TextWriter(self._file, JSONLines(make_layout()))
        return make_writer(self._format, self._file, self._layout, timezone=self._timezone)

    def _render(self) -> Generator[None]:
        with contextlib.closing(GrowingFile(self._folder, self._finished)) as file:
            writer = make_writer(
                self._format,
                file,
                self._layout,
                timezone=self._timezone,
                folder=self._folder.path,
            )
            try:
                writer.begin()
                yield from self._copy(writer)
                writer.end()
            finally:
                writer.abandon()
            file.sync()
            self._rendered = file.position

    def _copy(self, writer: Writer) -> Iterator[None]:
        if isinstance(writer, ParquetWriter) and self._name == _BATCHES:
            with self._folder.open(self._name) as file:
                for batch in read_batches(file):
                    writer.add(batch)
                    yield
            return
        for some in self._rows():
            writer.write(some)
            self.rows += len(some)
            yield

    def _rows(self) -> Iterator[Sequence[CDR | Call]]:
        with io.BufferedReader(self._folder.open(self._name)) as file:
            if self._calls is None:
                yield from read_legs(file, self._timezone)
                return
            calls = self._calls()
            for legs in read_legs(file, self._timezone, in_order=True):
                yield calls.add(legs)
        yield calls.close()


def _draft_name(format: Format, rows: Rows) -> str:  # noqa: A002 - the field's own term
    return _LEGS if rows == "calls" else _DRAFTS[format]


def finished_file(format: Format, rows: Rows) -> str:  # noqa: A002 - likewise
    """Give the name of a draft's finished file, before it is moved to its place."""
    name = _draft_name(format, rows)
    return _LINES if name == _LINES else f"whole.{format}"


def remove_drafts(folder: OpenFolder) -> None:
    """Remove all that a draft may have left in its folder."""
    _remove_sheets(folder)
    for name in folder.names():
        if any(fnmatch(name, kind) for kind in _NAMES):
            folder.remove(name)


def _remove_sheets(folder: OpenFolder) -> None:
    for name in folder.names():
        found = folder.stat(name) if fnmatch(name, SHEETS) else None
        if found is not None and stat.S_ISDIR(found.st_mode):
            # XlsxWriter takes a path, so this is one too. It follows no links.
            shutil.rmtree(folder.path / name)
