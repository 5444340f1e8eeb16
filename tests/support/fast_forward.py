"""An event loop whose time passes at once: a wait of an hour takes as long as one of a second.

Whenever nothing is left to do but to wait, the loop's clock, and with it `time.time`, jumps to the
moment at which the next wait ends.
"""

from __future__ import annotations

import asyncio
import selectors
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

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
        if timeout is None or self.loop.threads:
            # What a thread does takes real time.
            return super().select(timeout if timeout is None else 0.001)
        self.loop.pass_time(timeout)
        return super().select(0)


class FastForward(asyncio.SelectorEventLoop):
    """The loop."""

    def __init__(self, traveller: Any) -> None:  # noqa: ANN401 - time-machine exports no type
        self._traveller = traveller
        self._now = 1000.0
        self._base = 0.0
        self.threads = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self._now

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
        yield runner


def run_fast(start: float, main: Coroutine[Any, Any, T]) -> T:
    """Run one coroutine, and let time jump."""
    with fast_forward(start) as runner:
        return runner.run(main)
