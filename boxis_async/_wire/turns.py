"""Reading and receiving by turns: while one answer is read, others are hardly received.

What is received meanwhile drives from the processor's caches what the reading works on, and has
left them again when it is read itself. That made each record a thirtieth more expensive.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from .cooperative import Steps

__all__ = ["Turns", "take"]

T = TypeVar("T")

# What became due during a step comes after its task in the loop's next turn, so two.
_TURNS = 2
# So many until what has come for others is taken in: seen, received, and handed on.
_TURNS_FOR_OTHERS = 6
# After so many steps, some 30 ms, others do not wait any longer for an answer as long as that.
_STEPS = 32


class Turns:
    """Whose turn it is: one answer is read at a time, and others wait after a part of theirs."""

    __slots__ = ("_is_free", "_reading")

    def __init__(self) -> None:
        self._reading = asyncio.Lock()
        self._is_free = asyncio.Event()
        self._is_free.set()

    async def read(self, steps: Steps[T]) -> T:
        """Read an answer in steps when its turn comes, giving way to other tasks in between."""
        # One after the other, so that other tasks wait for a step of one at most, and not for a
        # step of each that has come.
        async with self._reading:
            try:
                return await take(steps, self._turns_after)
            finally:
                self._is_free.set()

    async def received(self) -> None:
        """Wait, after a part of an answer was received, while another one is read."""
        if not self._is_free.is_set():
            await self._is_free.wait()

    def _turns_after(self, steps: int) -> int:
        if steps == 1:
            self._is_free.clear()
            return _TURNS_FOR_OTHERS
        if steps == _STEPS:
            self._is_free.set()
        return _TURNS


async def take(steps: Steps[T], turns_after: Callable[[int], int] = lambda _: _TURNS) -> T:
    """Take steps, giving way to other tasks in between.

    Args:
        steps: The steps.
        turns_after: Tells how many turns the loop has after so many steps.
    """
    taken = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast("T", end.value)
        taken += 1
        for _ in range(turns_after(taken)):
            await asyncio.sleep(0)
