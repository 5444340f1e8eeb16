"""Legs and calls read back.

A read sees the database as it was when it began: one transaction, which lasts as long as the
iterator. SQLite and PostgreSQL both keep what it sees while others write, so it never shows half a
batch, and keeps nobody waiting. The iterator is a class, as an async generator that a time-out
cancels would end as if it were complete.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import anyio
import attrs
from sqlalchemy import text

from boxis_async import CDR, group_calls
from boxis_async.mirror.errors import MirrorError
from boxis_async.mirror.leg_rows import CDR_COLUMNS, LegReader

if TYPE_CHECKING:
    from types import TracebackType

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncResult

    from boxis_async import Call
    from boxis_async.mirror.database import Database

__all__ = ["CDRReader", "ReadQuery", "Snapshot", "Snapshots", "read_calls"]

_NAMES: Final = ", ".join(f'"{name}"' for name in CDR_COLUMNS)
_AT_ONCE: Final = 256
"""Rows that are read at once: some 5 ms of work, so that other tasks get their turn."""


@attrs.frozen
class ReadQuery:
    """What is read: conditions in SQL, their values, and the zone of the wall clock."""

    conditions: str
    values: dict[str, object]
    zone: tzinfo


FindQuery: TypeAlias = "Callable[[AsyncConnection], Awaitable[ReadQuery | None]]"
"""Finds out what to read, within the transaction that reads; None is nothing."""


class Snapshot:
    """A transaction that reads legs, part by part, until it is closed."""

    def __init__(self, database: Database, find: FindQuery) -> None:
        self._database = database
        self._find = find
        self._stack = AsyncExitStack()
        self._rows: AsyncResult[Any] | None = None
        self._reader: LegReader | None = None
        self._reading = asyncio.Lock()
        self._is_closed = False
        self._is_complete = False

    async def next_legs(self) -> list[CDR]:
        """Give the next legs; none at the end.

        Raises:
            MirrorError: It was closed before the end.
        """
        async with self._reading:
            if self._is_complete:
                return []
            if self._is_closed:
                raise MirrorError("the read was cut short: read the range again")
            try:
                if self._reader is None:
                    await self._begin()
                legs = await self._some()
            except BaseException:
                await self._close()
                raise
            if not legs:
                self._is_complete = True
                await self._close()
            return legs

    async def aclose(self) -> None:
        """End the transaction."""
        async with self._reading:
            await self._close()

    async def _begin(self) -> None:
        connection = await self._stack.enter_async_context(self._database.reading())
        with self._database.translated():
            query = await self._find(connection)
        self._reader = LegReader(UTC if query is None else query.zone)
        if query is not None:
            self._rows = await connection.stream(
                text(
                    f"SELECT {_NAMES} FROM legs "  # noqa: S608 - of names of our own
                    f"WHERE gone_at IS NULL AND {query.conditions} "
                    "ORDER BY start, COALESCE(sequence, -1), leg"
                ),
                query.values,
            )

    async def _some(self) -> list[CDR]:
        if self._rows is None or self._reader is None:
            return []
        with self._database.translated():
            rows = await self._rows.fetchmany(_AT_ONCE)
        return [*map(self._reader.cdr, rows)]

    async def _close(self) -> None:
        self._is_closed = True
        rows, self._rows = self._rows, None
        with anyio.CancelScope(shield=True), suppress(MirrorError):
            if rows is not None:
                with self._database.translated():
                    await rows.close()
            await self._stack.aclose()


class Snapshots:
    """The snapshots of a mirror that are open, so that closing it closes them."""

    def __init__(self) -> None:
        self._open: set[Snapshot] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def begin(self, snapshot: Snapshot) -> None:
        """Note one that begins."""
        self._open.add(snapshot)

    async def close(self, snapshot: Snapshot) -> None:
        """Close one."""
        self._open.discard(snapshot)
        await snapshot.aclose()

    def drop(self, snapshot: Snapshot, loop: asyncio.AbstractEventLoop) -> None:
        """Close one that nobody refers to any more, from whichever thread finds that out."""
        if snapshot in self._open and not loop.is_closed():
            loop.call_soon_threadsafe(self._close_soon, snapshot)

    async def aclose(self) -> None:
        """Close all."""
        for snapshot in [*self._open]:
            await self.close(snapshot)
        for task in [*self._closing]:
            await task

    def _close_soon(self, snapshot: Snapshot) -> None:
        task = asyncio.get_running_loop().create_task(self.close(snapshot))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class CDRReader(AsyncIterator[CDR]):
    """The legs of a range of a mirror, in order of time: an async iterator.

    Made by `Mirror.cdrs`. It reads nothing before its first item is requested, and sees the mirror
    as it is then. One that is left early is closed when it is dropped, or by `aclose()`.
    """

    def __init__(self, snapshot: Snapshot, snapshots: Snapshots) -> None:
        self._snapshot = snapshot
        self._snapshots = snapshots
        self._legs: deque[CDR] = deque()
        self._is_begun = False

    async def to_list(self) -> list[CDR]:
        """Read all legs, in memory."""
        try:
            return [cdr async for cdr in self]
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """End the read."""
        self._legs.clear()
        await self._snapshots.close(self._snapshot)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> CDR:
        if not self._legs:
            if not self._is_begun:
                self._is_begun = True
                loop = asyncio.get_running_loop()
                self._snapshots.begin(self._snapshot)
                weakref.finalize(self, self._snapshots.drop, self._snapshot, loop).atexit = False
            self._legs += await self._snapshot.next_legs()
        if not self._legs:
            await self._snapshots.close(self._snapshot)
            raise StopAsyncIteration
        return self._legs.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


async def read_calls(connection: AsyncConnection, query: ReadQuery) -> list[Call]:
    """Read calls, each with all of its legs.

    Args:
        connection: Of the transaction.
        query: Conditions on the table of calls.
    """
    rows = await connection.execute(
        text(
            f"SELECT {_NAMES} FROM legs WHERE gone_at IS NULL AND (tenant, call_id) IN "  # noqa: S608 - of names of our own
            f"(SELECT tenant, id FROM calls WHERE {query.conditions})"
        ),
        query.values,
    )
    reader = LegReader(query.zone)
    return await asyncio.to_thread(lambda: group_calls(map(reader.cdr, rows)))
