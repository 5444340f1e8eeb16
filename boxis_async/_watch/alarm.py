"""The one place where a watch waits for time to pass, by the event loop's clock."""

from __future__ import annotations

import asyncio

__all__ = ["Alarm"]


class Alarm:
    """Wakes whoever waits for it: at a time, or when it is rung."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: asyncio.Future[None] | None = None

    async def until(self, when: float) -> None:
        """Wait until a time by the loop's clock, or until `ring`."""
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        timer = loop.call_at(when, self.ring)
        try:
            await self._waiting
        finally:
            timer.cancel()
            self._waiting = None

    def ring(self) -> None:
        """Wake whoever waits."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
