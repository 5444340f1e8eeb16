"""`save()`: records or calls that you have, into a file that is complete or absent, or one open.

There is nothing to fetch, so nothing to resume: a draft beside the file is moved to its place when
it is complete, and removed if it never is.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import AsyncIterable
from datetime import UTC
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, Final, Literal

from boxis_async import UsageError
from boxis_async.export.access import keep_access
from boxis_async.export.errors import ExportExistsError
from boxis_async.export.files import CallersFile
from boxis_async.export.formats import Format, check_format, format_of, make_writer
from boxis_async.export.journal import resolve_path
from boxis_async.export.layout import make_layout
from boxis_async.export.open_folder import OpenFolder
from boxis_async.export.rows_in_turns import write_rows
from boxis_async.export.worker_thread import shielded, worker_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
    from datetime import tzinfo
    from pathlib import Path

    from boxis_async import CDR, Call
    from boxis_async.export.columns import Rows

__all__ = ["save"]

# So many are written at a time, in a few milliseconds.
_BATCH: Final = 1000
_NEW_FILE: Final = 0o666
_FOR_US: Final = 0o600


async def save(  # noqa: PLR0913 - each is one thing to set, by name
    records: AsyncIterable[CDR] | AsyncIterable[Call] | Iterable[CDR] | Iterable[Call],
    target: str | os.PathLike[str] | BinaryIO,
    *,
    format: Format | None = None,  # noqa: A002 - the field's own term
    rows: Rows = "legs",
    columns: Iterable[str] | Literal["readable"] | None = None,
    delimiter: str = ",",
    bom: bool = False,
    local_times: bool = False,
    decimal_comma: bool = False,
    formula_safe: bool = False,
    timezone: tzinfo | None = None,
    overwrite: bool = False,
) -> int:
    """Write records, or calls, that you have: such as those of a mirror.

    To write what a client fetches, `export` is better, as it can be resumed.

    Args:
        records: What to write, in its order.
        target: The path of a file, which appears when it is complete; or a file that is open for
            bytes, which stays open, and is incomplete if this raises.
        format: As in `export`; a file that is open needs one.
        rows: What the records are: `"legs"` or `"calls"`.
        columns: As in `export`, like the five that follow.
        delimiter: For CSV.
        bom: For CSV.
        local_times: For CSV.
        decimal_comma: For CSV.
        formula_safe: For CSV.
        timezone: The zone of the times in a Parquet file; None takes that of the first record, or
            UTC if there is none.
        overwrite: Whether a file of that path may be replaced.

    Returns:
        How many were written.

    Raises:
        UsageError: An argument is wrong.
        ExportExistsError: The file exists.
        MissingExtraError: The format needs an extra that is not installed.
        UnfitValueError: The format cannot hold a value.
        OSError: The disk is full, for example.
    """
    layout = make_layout(
        rows=rows,
        columns=columns,
        delimiter=delimiter,
        bom=bom,
        local_times=local_times,
        decimal_comma=decimal_comma,
        formula_safe=formula_safe,
    )
    draft: _Draft | _CallersOwn
    if isinstance(target, (str, os.PathLike)):
        file_format = format_of(target) if format is None else format
        draft = _Draft(resolve_path(target), overwrite=overwrite)
    elif format is None:
        raise UsageError('a file that is open needs a format, such as format="csv"')
    else:
        file_format = format
        draft = _CallersOwn(target)
    check_format(file_format, layout)
    batches = _batches(records)
    async with worker_thread() as in_thread, contextlib.aclosing(batches):
        try:
            # Within, as a task that is cancelled meanwhile closes what the thread opened.
            file = await in_thread(draft.open)
            first = await anext(batches)
            if timezone is None:
                timezone = (first[0].start.tzinfo if first else None) or UTC
            writer = make_writer(file_format, CallersFile(file), layout, timezone=timezone)
            try:
                await in_thread(writer.begin)
                await write_rows(writer, first, in_thread)
                count = len(first)
                async for batch in batches:
                    await write_rows(writer, batch, in_thread)
                    count += len(batch)
                await in_thread(writer.end)
            finally:
                await shielded(in_thread(writer.abandon))
            await in_thread(draft.finish)
        finally:
            await shielded(in_thread(draft.close))
    return count


class _CallersOwn:
    """A file that the caller opened, and closes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def open(self) -> BinaryIO:
        """Give it."""
        return self._file

    def finish(self) -> None:
        """Flush it."""
        self._file.flush()

    def close(self) -> None:
        """Do nothing."""


class _Draft:
    """A new file beside the one that it will be."""

    def __init__(self, target: Path, *, overwrite: bool) -> None:
        self._target = target
        self._overwrite = overwrite
        self._name = f".{target.name}.{secrets.token_hex(4)}"
        self._open = contextlib.ExitStack()

    def open(self) -> BinaryIO:
        """Make it.

        Raises:
            ExportExistsError: The file is there, and must not be replaced.
        """
        self._place = self._open.enter_context(OpenFolder.of(self._target.parent))
        is_new = self._place.stat(self._target.name) is None
        if not (is_new or self._overwrite):
            raise ExportExistsError(f"{self._target} exists: replace it with overwrite=True")
        self._open.callback(self._place.remove, self._name)
        # Nobody who may not read the file that is replaced may read its draft.
        self._file = self._place.create(self._name, mode=_NEW_FILE if is_new else _FOR_US)
        self._open.callback(self._file.close)
        return self._file

    def finish(self) -> None:
        """Move it to its place, once the disk has it."""
        os.fsync(self._file.fileno())
        keep_access(self._file, self._target.name, self._place)
        self._file.close()  # Windows moves no file that is open
        self._place.move(self._name, self._place, self._target.name)
        self._place.sync()

    def close(self) -> None:
        """Remove it, if it is still there."""
        self._open.close()


async def _batches(
    records: AsyncIterable[CDR] | AsyncIterable[Call] | Iterable[CDR] | Iterable[Call],
) -> AsyncGenerator[Sequence[CDR | Call]]:
    """Give so many at a time; where there are none, an empty batch."""
    batch: list[CDR | Call] = []
    if isinstance(records, AsyncIterable):
        async for record in records:
            batch.append(record)
            if len(batch) == _BATCH:
                yield batch
                batch = []
    else:
        rest: Iterator[CDR | Call] = iter(records)
        while len(batch := list(islice(rest, _BATCH))) == _BATCH:
            yield batch
    yield batch
