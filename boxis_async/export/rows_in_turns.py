"""Rows on their way to a file: text is made in the event loop's thread, a few rows at a time.

The other thread then writes it. Two threads that run Python wait for each other: whenever the loop
sends or receives something, the other takes the interpreter's lock, for up to 5 ms. So only what
takes long at a time is made there: Parquet, workbooks, and calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import anyio.lowlevel

from boxis_async.export.text_writers import TextWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from boxis_async import CDR, Call
    from boxis_async.export.formats import Writer
    from boxis_async.export.worker_thread import WorkerThread

__all__ = ["in_turns", "write_rows"]

R = TypeVar("R")
T = TypeVar("T")

# So many become text in a millisecond or two.
_AT_ONCE: Final = 100


async def in_turns(make: Callable[[Sequence[R]], T], rows: Sequence[R]) -> list[T]:
    """Make something of a few rows at a time, with a turn for other tasks after each time."""
    made: list[T] = []
    for at in range(0, len(rows), _AT_ONCE):
        made.append(make(rows[at : at + _AT_ONCE]))
        await anyio.lowlevel.checkpoint()
    return made


async def write_rows(writer: Writer, rows: Sequence[CDR | Call], in_thread: WorkerThread) -> None:
    """Write rows, with all that may block in the thread."""
    if isinstance(writer, TextWriter):
        texts = await in_turns(writer.lines.encode, rows)
        await in_thread(writer.file.write, b"".join(texts))
    else:
        await in_thread(writer.write, rows)
