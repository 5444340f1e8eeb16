"""Connections to one server, each by itself; the one that was used last is used next."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

__all__ = ["Connections"]


class _Closable(Protocol):
    async def aclose(self) -> None: ...


T = TypeVar("T", bound=_Closable)


class Connections(Generic[T]):
    """HTTP transports of one connection each, as many at most as were ever in use at once.

    A client of httpx with many connections looks through all of them several times a request,
    and asks the system about each idle one. That can cost more than the request.
    """

    __slots__ = ("_clock", "_idle", "_longest_idle", "_make", "_open")

    def __init__(
        self,
        make: Callable[[], T],
        *,
        longest_idle: float,
        clock: Callable[[], float],
    ) -> None:
        """Open none yet.

        Args:
            make: Makes a transport that opens one connection at most, and not before its first use.
            longest_idle: After so many seconds without use a connection is closed, at the next use
                of any.
            clock: Tells the time, in seconds.
        """
        self._make = make
        self._longest_idle = longest_idle
        self._clock = clock
        self._open: set[T] = set()
        self._idle: deque[tuple[float, T]] = deque()

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncGenerator[T, None]:
        """Lend one for a request; it is kept for others only if that ends without an error."""
        transport = self._idle.pop()[1] if self._idle else self._make()
        self._open.add(transport)
        try:
            # Each sees for itself that its connection was idle for too long, but only when
            # it is used, and those at the bottom may not be.
            while self._idle and self._idle[0][0] < self._clock() - self._longest_idle:
                await self._close(self._idle.popleft()[1])
            yield transport
        except BaseException:
            # Its connection is closed already, or in a state that nobody knows.
            await self._close(transport)
            raise
        self._idle.append((self._clock(), transport))

    async def aclose(self) -> None:
        """Close all, those in use too: what is under way over them fails."""
        while self._open:
            await self._close(next(iter(self._open)))

    async def _close(self, transport: T) -> None:
        # Forgotten at once: that it is closed again, or waited for, is of no use to anybody.
        self._open.discard(transport)
        await transport.aclose()
