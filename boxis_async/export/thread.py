"""A thread for what blocks, so that the event loop does not."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.lowlevel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

__all__ = ["Thread", "own_thread", "surely"]

T = TypeVar("T")


class Thread:
    """Runs what blocks in a thread of its own, one thing after the other."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self._thread = thread

    async def __call__(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a function in the thread, and give what it gives."""
        loop = asyncio.get_running_loop()
        # What the thread is at cannot be cancelled: it is waited for, and then the cancellation
        # goes on.
        given = await surely(loop.run_in_executor(self._thread, function, *arguments))
        # That of anyio's scopes too, which finds a task only while it waits: one that has its
        # windows at hand waits for nothing but the thread.
        await anyio.lowlevel.checkpoint_if_cancelled()
        return given


@contextlib.asynccontextmanager
async def own_thread() -> AsyncGenerator[Thread]:
    """Have a thread for as long as the block runs."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="boxis-export") as thread:
        yield Thread(thread)


async def surely(work: Awaitable[T]) -> T:
    """Wait for something to its end, also when this task is cancelled; the cancellation follows."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()
        raise cancelled
    return task.result()
