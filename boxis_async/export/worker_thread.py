"""A thread for what blocks, so that the event loop stays free.

A thread cannot be interrupted. So a task that is cancelled while the thread works waits for it, and
is cancelled then: two threads never write the same file.
"""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.lowlevel

from boxis_async import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

__all__ = ["WorkerThread", "shielded", "worker_thread"]

T = TypeVar("T")


class WorkerThread:
    """Calls functions in one thread, one after the other."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._executor = executor

    async def __call__(self, function: Callable[..., T], *arguments: object) -> T:
        """Call a function in the thread, and return what it returns."""
        loop = asyncio.get_running_loop()
        result = await shielded(loop.run_in_executor(self._executor, function, *arguments))
        # A cancel scope of anyio's reaches a task only at an await that is not shielded. A task
        # whose windows were all prefetched has no other await than this one.
        await anyio.lowlevel.checkpoint_if_cancelled()
        return result


@contextlib.asynccontextmanager
async def worker_thread() -> AsyncGenerator[WorkerThread]:
    """Run a thread for as long as the block runs.

    Raises:
        UsageError: No event loop of asyncio is running.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise UsageError(
            "no event loop of asyncio is running here, and exports need it, as in "
            "asyncio.run(main()); they do not run on trio"
        ) from None
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="boxis-export") as executor:
        yield WorkerThread(executor)


async def shielded(awaitable: Awaitable[T]) -> T:
    """Wait until something has ended, even if this task is cancelled; raise the cancellation then.

    Unlike `asyncio.shield`, which raises at once and leaves the awaitable running.
    """
    task = asyncio.ensure_future(awaitable)
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            # asyncio would log an exception that nobody retrieved.
            task.exception()
        raise cancelled
    return task.result()
