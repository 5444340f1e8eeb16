"""An event loop whose time passes at once: a wait of an hour takes as long as one of a second.

Whenever nothing is left to do but to wait, the loop's clock, and with it `time.time`, jumps to the
moment at which the next wait ends. While a thread works for a coroutine, no time passes: hours
would, while a file is written.
"""

from __future__ import annotations

import asyncio
import selectors
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.to_thread
import time_machine

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Passes the time instead of waiting, unless something else is under way."""

    loop: FastForward

    def select(self, timeout: float | None = None) -> list[Any]:
        found = super().select(0)
        if found or timeout == 0:
            return found
        if timeout is None or self.loop.has_threads:
            # The thread wakes the loop when it has done.
            return super().select(None)
        self.loop.pass_time(timeout)
        return super().select(0)


class FastForward(asyncio.SelectorEventLoop):
    """The loop."""

    def __init__(self, traveller: Any) -> None:  # noqa: ANN401 - time-machine exports no type
        self._traveller = traveller
        self._now = 1000.0
        self._limiter: anyio.CapacityLimiter | None = None
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self._now

    async def know_threads(self) -> None:
        """Get to know what counts the threads that work for coroutines."""
        self._limiter = anyio.to_thread.current_default_thread_limiter()

    @property
    def has_threads(self) -> bool:
        """Whether a thread works for a coroutine."""
        return self._limiter is not None and self._limiter.borrowed_tokens > 0

    def pass_time(self, seconds: float) -> None:
        """Let time pass, for the loop and for `time.time`."""
        # A timer that is due a nanosecond later would be waited for again.
        seconds = max(seconds, 1e-6)
        self._now += seconds
        self._traveller.shift(seconds)


@contextmanager
def fast_forward(start: float) -> Iterator[asyncio.Runner]:
    """Run coroutines from a time on, in Unix seconds, as fast as they compute."""
    with (
        time_machine.travel(start, tick=False) as traveller,
        asyncio.Runner(loop_factory=partial(FastForward, traveller)) as runner,
    ):
        loop = runner.get_loop()
        assert isinstance(loop, FastForward)
        runner.run(loop.know_threads())
        yield runner


def run_fast(start: float, main: Coroutine[Any, Any, T]) -> T:
    """Run one coroutine, and let time jump."""
    with fast_forward(start) as runner:
        return runner.run(main)
