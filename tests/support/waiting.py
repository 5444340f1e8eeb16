"""The one place where a test waits for what nothing announces, and gates that hold requests."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from boxis_async.testing import Received

_TURNS = 30


async def settled(condition: Callable[[], bool], *, within: float = 60) -> None:
    """Give the loop its turns until a condition holds, and still does a while of turns later."""
    held = turns = 0
    async with asyncio.timeout(within):
        while held < _TURNS:
            held = held + 1 if condition() else 0
            turns += 1
            # What takes longer waits for another thread, such as that of the server. To turn on
            # would keep it from the processor.
            await asyncio.sleep(0 if held or turns < _TURNS else 0.001)


class Gate:
    """Holds the requests that a test chooses until it is opened, from whichever thread."""

    def __init__(self, holds: Callable[[Received], bool] = lambda _: True) -> None:
        self._holds = holds
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self.is_open = False
        self.held = 0

    async def __call__(self, received: Received) -> None:
        """Hold one request, in the provider's own loop."""
        event = asyncio.Event()
        with self._lock:
            if self.is_open or not self._holds(received):
                return
            self._waiting.append((asyncio.get_running_loop(), event))
            self.held += 1
        try:
            await event.wait()
        finally:
            self.held -= 1

    def open(self) -> None:
        """Let everything through, from now on."""
        with self._lock:
            self.is_open = True
            for loop, event in self._waiting:
                loop.call_soon_threadsafe(event.set)
            self._waiting.clear()


def jitter(turns: random.Random) -> Callable[[Received], Awaitable[None]]:
    """Make a gate that gives each request a few turns of the loop: windows come in any order.

    The turns come from a generator that was seeded before, since nothing may be drawn from
    within the tasks of a stream.
    """

    async def gate(_: Received) -> None:
        for _ in range(turns.randrange(4)):
            await asyncio.sleep(0)

    return gate
