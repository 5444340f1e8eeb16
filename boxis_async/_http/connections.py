"""Connections of our own: a client for each, and the one used last is used next.

One httpx client could hold all connections, but its pool loses some when requests are cancelled
(encode/httpcore issues 1093 and 1115). A plain `task.cancel()` while a connection is being made or
given back leaves it in the pool for ever, open and in use by nobody. Of 552 requests cancelled once
at random, 18 left one so; in a pool limited to eight, 488 that were cancelled once or twice lost
all eight, and every later request timed out. So each connection has a client of its own, which we
close after an error or a cancellation.

The pool also looks through all its connections several times a request: a tiny request takes 1.7
times the processor time at the default concurrency of 8, four times at 32. With windows of 500
records that does not show.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from boxis_async.types import HTTPClient

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

__all__ = ["Connection", "Connections"]


class Connection(HTTPClient, Protocol):
    """A client of our own, which opens one connection at most."""

    async def aclose(self) -> None:
        """Close it: a request in progress fails."""
        ...


C = TypeVar("C", bound=Connection)


class Connections(Generic[C]):
    """As many connections as were ever in use at once, less those that were idle for long."""

    __slots__ = ("_clock", "_idle", "_longest_idle", "_make", "_open")

    def __init__(
        self,
        make: Callable[[], C],
        *,
        longest_idle: float,
        clock: Callable[[], float],
    ) -> None:
        """Open none yet.

        Args:
            make: Makes a client for one connection, which it opens with its first request.
            longest_idle: The seconds without use after which a connection is not used again, and
                closed as soon as any of them is used.
            clock: Returns the time, in seconds.
        """
        self._make = make
        self._longest_idle = longest_idle
        self._clock = clock
        self._open: set[C] = set()
        self._idle: deque[tuple[float, C]] = deque()

    def prepare(self) -> None:
        """Make a client for the next request, if there is none, so that it can be sent at once.

        The first one loads the better part of httpx.
        """
        if not self._open:
            connection = self._make()
            self._open.add(connection)
            self._idle.append((self._clock(), connection))

    @contextlib.asynccontextmanager
    async def one(self, *, is_new: bool = False) -> AsyncGenerator[C, None]:
        """Lend a connection for one request, and keep it for the next unless that fails.

        Whoever closes it keeps it from being used again.

        Args:
            is_new: Whether it must be one that was not used before.
        """
        latest = self._clock() - self._longest_idle
        # The one that was used last: if even that was idle for too long, all of them were.
        is_one_left = bool(self._idle) and self._idle[-1][0] > latest
        connection = self._idle.pop()[1] if is_one_left and not is_new else self._make()
        self._open.add(connection)
        try:
            # Nothing else would close those at the bottom, since only those on top are used.
            while self._idle and self._idle[0][0] <= latest:
                await self._close(self._idle.popleft()[1])
            yield connection
        except BaseException:
            # The rest of an answer may still come over it, so nobody may use it again.
            await self._close(connection)
            raise
        if connection.is_closed:
            self._open.discard(connection)
        else:
            self._idle.append((self._clock(), connection))

    async def aclose(self) -> None:
        """Close all connections; requests in progress fail.

        A cancellation, or an error, is raised once all are closed: each is closed before the first
        wait of its closing, so none takes longer than a turn of the loop.
        """
        interruption: BaseException | None = None
        while self._open:
            try:
                await self._close(next(iter(self._open)))
            except BaseException as error:  # noqa: BLE001 - raised below
                interruption = interruption or error
        self._idle.clear()
        if interruption is not None:
            raise interruption

    async def _close(self, connection: C) -> None:
        # We forget it first, so that a second close is a no-op.
        self._open.discard(connection)
        await connection.aclose()
