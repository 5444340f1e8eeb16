"""When the whole client may send: never faster than allowed, and not while asked to wait."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque

import stamina

__all__ = ["Pace", "problem_with_rate"]

# A little more than the second that is promised: what leaves a second apart may arrive closer.
_SPAN = 1.02


def problem_with_rate(max_rate: object) -> str | None:
    """Say what is wrong with a limit on requests a second, or None."""
    if max_rate is None or (
        isinstance(max_rate, (int, float))
        and not isinstance(max_rate, bool)
        and math.isfinite(max_rate)
        and max_rate > 0
    ):
        return None
    return f"max_rate must be requests a second, more than zero, or None, not {max_rate!r}"


class Pace:
    """The turns of one client's requests, over all its streams."""

    def __init__(self, max_rate: float | None) -> None:
        """Set the limit: so many requests in any second, a fraction rounded down.

        Less than one request a second is one in so many seconds.
        """
        self._most = math.inf if max_rate is None else max(1, math.floor(max_rate))
        self._span = _SPAN if max_rate is None else _SPAN * max(1.0, 1.0 / max_rate)
        self._sent: deque[float] = deque()
        self._paused_until = -math.inf
        self._line = asyncio.Lock()

    def pause(self, seconds: float) -> None:
        """Hold back every request for so long; not in stamina's test mode, which never waits."""
        if seconds > 0 and not stamina.is_testing():
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    async def turn(self) -> None:
        """Wait until a request may be sent, and take note that it is."""
        if self._most == math.inf and self._wait() <= 0:
            return
        # One waits for the clock, the others wait for it, in the order of their coming.
        async with self._line:
            # Not an event: what is waited for is the clock, and a pause may be prolonged.
            while (wait := self._wait()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(wait)
            if self._most != math.inf:
                self._sent.append(time.monotonic())

    def _wait(self) -> float:
        now = time.monotonic()
        while self._sent and self._sent[0] <= now - self._span:
            self._sent.popleft()
        wait = self._paused_until - now
        if len(self._sent) >= self._most:
            wait = max(wait, self._sent[0] + self._span - now)
        return wait
