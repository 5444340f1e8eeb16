"""Long work in short steps, so that other tasks of the event loop get their turn.

To read an answer of 100,000 records takes a second and more. Work like that is a generator here,
which pauses about once a millisecond. Nothing in this package awaits while it parses: whoever runs
the steps decides what happens in between, and a test can run them at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar, cast

__all__ = ["Chunks", "Cooperative", "Steps", "at_once"]

T = TypeVar("T")

Steps: TypeAlias = Generator[Any, None, T]
"""Work that pauses after each step of a millisecond or so, and returns its result at the end."""

Chunks: TypeAlias = Generator[list[Any], None, T]
"""Steps that hand over rows: each pause those that were read since the last one, maybe none."""

# A callback that became due during a step runs in the loop's next turn and may wake a task, which
# runs in the turn after that. So two.
_TURNS = 2


class Cooperative:
    """Runs steps for the requests of one client, one answer at a time.

    With several answers at a time, other tasks would wait for a step of each between two turns.
    """

    __slots__ = ("_busy",)

    def __init__(self) -> None:
        self._busy = asyncio.Lock()

    async def run(self, steps: Steps[T]) -> T:
        """Run all steps, with turns for other tasks in between, and return the result."""
        async with self._busy:
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    return cast("T", end.value)
                for _ in range(_TURNS):
                    await asyncio.sleep(0)


def at_once(steps: Steps[T]) -> T:
    """Run all steps without a pause, and return the result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast("T", end.value)
