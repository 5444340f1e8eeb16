"""When the whole client may send: never faster than `max_rate`, and not while it has to wait.

Where one limit holds for several clients, a `Limiter` that the user gave is asked as well.

A 429, or any answer with `Retry-After`, pauses all of the client (`retry.pause_after`).
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import stamina

from boxis_async._http.loop_clock import loop_time

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from types import TracebackType

    from boxis_async.types import Limiter

__all__ = ["RateLimiter", "turn_of"]


class RateLimiter:
    """Limits requests, over all streams that share it: `async with limiter` around each.

    A request counts from its start until a second after its end. Counted from its start alone, one
    that was slow to connect would reach the server in the same second as the next ones.
    """

    def __init__(self, max_rate: float | None, parent: RateLimiter | None = None) -> None:
        """Set the limit.

        Args:
            max_rate: Requests in any second, a fraction rounded down; less than one is one in so
                many seconds. None is no limit.
            parent: A limit that applies as well: that of the options which were changed.
        """
        self._most = math.inf if max_rate is None else max(1, math.floor(max_rate))
        self._span = 1.0 if max_rate is None else max(1.0, 1.0 / max_rate)
        self._parent = parent
        self._in_flight = 0
        self._ended: deque[float] = deque()
        self._one_ended = asyncio.Event()
        self._paused_until = -math.inf
        self._queue = asyncio.Lock()

    def pause(self, seconds: float) -> None:
        """Hold back every request for so long; not in stamina's test mode, which never waits."""
        if seconds > 0 and not stamina.is_testing():
            self._paused_until = max(self._paused_until, loop_time() + seconds)

    async def __aenter__(self) -> None:
        """Wait until a request may be sent."""
        await self._enter()
        if self._parent is not None:
            try:
                await self._parent.__aenter__()
            except BaseException:
                self._leave()
                raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Note the end of a request."""
        if self._parent is not None:
            await self._parent.__aexit__(exc_type, exc, traceback)
        self._leave()

    async def _enter(self) -> None:
        if self._most == math.inf and self._wait() <= 0:
            return
        # One waits for the clock, the others for it, in the order in which they came.
        async with self._queue:
            while (wait := self._wait()) > 0:
                if wait == math.inf:
                    self._one_ended.clear()
                    await self._one_ended.wait()
                else:
                    await asyncio.sleep(wait)
            if self._most != math.inf:
                self._in_flight += 1

    def _leave(self) -> None:
        if self._most != math.inf:
            self._in_flight -= 1
            self._ended.append(loop_time())
            self._one_ended.set()

    def _wait(self) -> float:
        """Give the seconds until the next request; infinite when one has to end before."""
        now = loop_time()
        while self._ended and self._ended[0] <= now - self._span:
            self._ended.popleft()
        wait = self._paused_until - now
        if self._in_flight + len(self._ended) >= self._most:
            wait = max(wait, self._ended[0] + self._span - now if self._ended else math.inf)
        return wait


@asynccontextmanager
async def turn_of(limiter: Limiter | None) -> AsyncGenerator[None]:
    """Wait for a turn that a user's limiter gives, and give it back at the end; None always has."""
    if limiter is None:
        yield
        return
    await limiter.acquire()
    try:
        yield
    finally:
        limiter.release()
