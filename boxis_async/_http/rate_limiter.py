"""When the whole client may send: never faster than allowed, and not while asked to wait."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from typing import TYPE_CHECKING

import stamina

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Pace", "problem_with_rate"]


_LEAST, _MOST = 1e-6, 1e9


def problem_with_rate(max_rate: object) -> str | None:
    """Say what is wrong with a limit on requests a second, or None."""
    if max_rate is None or (
        isinstance(max_rate, (int, float))
        and not isinstance(max_rate, bool)
        and _LEAST <= max_rate <= _MOST
    ):
        return None
    return (
        f"max_rate must be requests a second, from {_LEAST:g} to {_MOST:g}, or None, "
        f"not {max_rate!r}"
    )


class Pace:
    """The turns of one client's requests, over all its streams: `async with pace` around each.

    A request counts from its turn until a second after its end. Counted from its turn alone, one
    that was slow to connect would arrive in the same second as the next ones.
    """

    def __init__(self, max_rate: float | None) -> None:
        """Set the limit: so many requests in any second, a fraction rounded down.

        Less than one request a second is one in so many seconds.
        """
        self._most = math.inf if max_rate is None else max(1, math.floor(max_rate))
        self._span = 1.0 if max_rate is None else max(1.0, 1.0 / max_rate)
        self._in_flight = 0
        self._ended: deque[float] = deque()
        self._one_ended = asyncio.Event()
        self._paused_until = -math.inf
        self._line = asyncio.Lock()

    def pause(self, seconds: float) -> None:
        """Hold back every request for so long; not in stamina's test mode, which never waits."""
        if seconds > 0 and not stamina.is_testing():
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    async def __aenter__(self) -> None:
        """Wait for a turn."""
        if self._most == math.inf and self._wait() <= 0:
            return
        # One waits for the clock, the others wait for it, in the order of their coming.
        async with self._line:
            while (wait := self._wait()) > 0:
                if wait == math.inf:
                    self._one_ended.clear()
                    await self._one_ended.wait()
                else:
                    await asyncio.sleep(wait)
            if self._most != math.inf:
                self._in_flight += 1

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take note of the end of a request."""
        if self._most != math.inf:
            self._in_flight -= 1
            self._ended.append(time.monotonic())
            self._one_ended.set()

    def _wait(self) -> float:
        """Tell how long it is until the next turn; infinite when that is for a request to end."""
        now = time.monotonic()
        while self._ended and self._ended[0] <= now - self._span:
            self._ended.popleft()
        wait = self._paused_until - now
        if self._in_flight + len(self._ended) >= self._most:
            wait = max(wait, self._ended[0] + self._span - now if self._ended else math.inf)
        return wait
