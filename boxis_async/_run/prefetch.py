"""Windows in flight: one task fetches ahead of a stream's consumer, within bounds.

The task is detached. anyio's task group lives inside it and nowhere else, and errors leave it as
values. It shares a `Prefetch` with the run and refers to no stream, so that a stream which is
dropped is freed while its task still works.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, TypeAlias, cast

import anyio

from boxis_async._run.fetch import is_cancelled
from boxis_async.errors import (
    BoxisError,
    ClientClosedError,
    ClosedError,
    StreamClosedError,
    WindowError,
    WrongLoopError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

    from anyio.abc import TaskGroup

    from boxis_async._run.fetch import Piece
    from boxis_async._run.windows import Windows
    from boxis_async.models import Window
    from boxis_async.types import OnError, Order

    Fetch: TypeAlias = Callable[[Window], Awaitable[list[Piece]]]
    Finish: TypeAlias = Callable[[], Awaitable[None]]
    Around: TypeAlias = Callable[[], AbstractContextManager[None]]

__all__ = ["Prefetch", "Prefetches"]

# Windows that are fetched or wait for the consumer, for each request that may be in flight: with
# fewer a slow window stalls the rest, with more memory grows for nothing.
_LOOK_AHEAD = 4


class Prefetch:
    """The windows ahead of one consumer: the task fills it, and the run empties it."""

    def __init__(  # noqa: PLR0913 - each is one property of the stream
        self,
        windows: Windows,
        fetch: Fetch,
        finish: Finish,
        *,
        around: Around,
        tenant: str,
        order: Order,
        on_error: OnError,
        concurrency: int,
    ) -> None:
        """Start the task on the running event loop.

        Args:
            windows: What to fetch.
            fetch: Fetches one window.
            finish: Called once all came, as a run is complete only if it raises nothing.
            around: Gives what the whole task runs within.
            tenant: Whose records these are.
            order: In which order windows are handed over.
            on_error: What happens to a window that failed for good.
            concurrency: How many windows are fetched at a time.
        """
        self._windows = windows
        self._started = 0
        self._tenant = tenant
        self._order: Order = order
        self._on_error: OnError = on_error
        self._room = _LOOK_AHEAD * concurrency
        self._scopes: dict[int, anyio.CancelScope] = {}
        # What each window came to, by its place in the range: pieces, or an error of our own.
        self._done: dict[int, deque[Piece] | BoxisError] = {}
        self._queue: deque[int] = deque()
        self._current: deque[Piece] | None = None
        self._taken = 0
        self._is_halted = False
        self._is_stopping = False
        self._is_finished = False
        self._has_failures = False
        self._end: BoxisError | None = None
        self._consumer = anyio.Event()
        self._workers = anyio.Event()
        self.loop = asyncio.get_running_loop()
        # The task is referred to here, and this by the client: asyncio itself would let go of it.
        self.task = self.loop.create_task(
            _prefetch(self, fetch, finish, around, concurrency), name="boxis_async prefetch"
        )
        self.task.add_done_callback(self._task_ended)

    @property
    def is_complete(self) -> bool:
        """Whether each piece of each window has been taken, and nothing can be missing."""
        all_started = self._is_finished and not self._windows.left
        return all_started and self._taken == self._started and not self._current

    async def take(self) -> Piece | None:
        """Wait for the next piece of a window, in order; None after the last.

        Whoever asks for the next window is done with the last one, which makes room for another
        one. Nothing is lost when the wait is cancelled.

        Raises:
            BoxisError: A window failed for good, or the stream was cut short.
        """
        while self._end is None and not self.is_complete:
            if self._current:
                piece = self._current[0]
                if isinstance(piece, WindowError) and self._on_error == "raise":
                    self.close(piece)
                    break
                return self._current.popleft()
            if self._current is not None:
                self._current = None
                self._room += 1
                self._workers.set()
            head = self._head()
            if head is None:
                await self._wait_for_outcome()
                continue
            outcome = self._done[head]
            if isinstance(outcome, BoxisError):
                self.close(outcome)
                break
            del self._done[head]
            if self._queue:
                self._queue.popleft()
            self._taken += 1
            self._current = outcome
        if not isinstance(self._end, ClosedError):
            # Nothing of a run that ended or failed is left on the loop.
            await self.stopped()
        if self._end is not None:
            raise self._end
        return None

    async def _wait_for_outcome(self) -> None:
        if self.task.done():
            self._end = self._why_ended()
            return
        self._consumer = _unset(self._consumer)
        await self._consumer.wait()

    def _why_ended(self) -> BoxisError:
        """Say why the outcome that is due will not come, now that the task has ended."""
        if self.task.cancelled():
            return StreamClosedError(
                "the stream's task was cancelled: stream.again() gives a new one"
            )
        error = self.task.exception()
        if error is None:
            return BoxisError("the stream's task ended before its last window, for no known reason")
        return _unexpected(_first_of(error))

    def close(self, reason: BoxisError) -> None:
        """Cut it short: whoever waits for an item, or asks for the next, gets the reason."""
        if self._end is None and not self.is_complete:
            self._end = reason
            self._done.clear()
            self._current = None
        self._is_halted = True
        self._consumer.set()
        if not self._is_stopping and not self.task.done():
            # Once only: a second cancellation would reach into the first one's cleaning up.
            self._is_stopping = True
            self.task.cancel()

    async def stop(self, reason: BoxisError) -> None:
        """Cut it short, and wait until its requests have ended."""
        self.close(reason)
        await self.stopped()

    async def next_job(self) -> tuple[int, Window] | None:
        """Wait for room, and give the next window to fetch, if any."""
        while not self._is_halted:
            if not self._windows.left:
                return None
            if self._room > 0:
                window = self._windows.next(is_busy=bool(self._scopes))
                if window is not None:
                    self._room -= 1
                    self._started += 1
                    return self._started - 1, window
            self._workers = _unset(self._workers)
            await self._workers.wait()
        return None

    async def work(self, index: int, window: Window, fetch: Fetch) -> None:
        """Fetch one window, and deliver its pieces, or its error, as a value."""
        with anyio.CancelScope() as scope:
            self._scopes[index] = scope
            try:
                pieces = await fetch(window)
                for piece in pieces:
                    if isinstance(piece, WindowError):
                        self._has_failures = True
                        self._windows.fail(piece.window or window)
                    else:
                        self._windows.learn(piece.window, piece.records.cdrs)
                self._deliver(index, deque(pieces))
            except BoxisError as error:
                self._deliver(index, error)
            except (Exception, asyncio.CancelledError) as error:
                # Delivered: none may end in a silent gap. To the task group, a cancellation that
                # nobody requested, as of a hook's own task, would look like one of its own.
                if isinstance(error, asyncio.CancelledError) and is_cancelled():
                    raise
                cause = _unexpected(error)
                failed = WindowError.of(cause, window=window, tenant=self._tenant, attempts=1)
                failed.__cause__ = cause
                self._has_failures = True
                self._windows.fail(window)
                self._deliver(index, deque([failed]))
        del self._scopes[index]
        # What came back may let the next window be chosen.
        self._workers.set()

    async def finish(self, finish: Finish) -> None:
        """Make sure that nothing is missing, now that all windows came."""
        if not (self._is_halted or self._has_failures):
            try:
                await finish()
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and is_cancelled():
                    raise
                if self._end is None:
                    self._end = error if isinstance(error, BoxisError) else _unexpected(error)
        self._is_finished = True
        self._consumer.set()

    async def stopped(self) -> None:
        """Wait until the task has ended, and its requests with it.

        Raises:
            WrongLoopError: The task belongs to another event loop.
        """
        if not self.task.done():
            if asyncio.get_running_loop() is not self.loop:
                raise WrongLoopError("this stream belongs to another event loop: close it there")
            await asyncio.wait([self.task])

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        """Wake the consumer; and keep asyncio from logging what ended the task."""
        if not task.cancelled():
            task.exception()
        self._consumer.set()

    def abandon(self) -> None:
        """Cancel the task as its stream was dropped; from any thread, as gc runs in any."""
        if not self.task.done() and not self.loop.is_closed():
            # The loop may be closed in between, by another thread; its tasks are gone then too.
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(
                    self.close, StreamClosedError("the stream was dropped before its end")
                )

    def _head(self) -> int | None:
        """Find the outcome that is handed over next, if it is there."""
        if self._order == "completion":
            return self._queue[0] if self._queue else None
        return self._taken if self._taken in self._done else None

    def _deliver(self, index: int, outcome: deque[Piece] | BoxisError) -> None:
        if self._end is not None:
            return
        self._done[index] = outcome
        if self._order == "completion":
            self._queue.append(index)
        self._consumer.set()
        if isinstance(outcome, BoxisError) or (
            self._on_error == "raise" and any(isinstance(piece, WindowError) for piece in outcome)
        ):
            # What comes before the error in order is still handed over; the rest never is.
            self._is_halted = True
            self._workers.set()
            for other, scope in self._scopes.items():
                if other > index or (self._order == "completion" and other != index):
                    scope.cancel()


async def _prefetch(
    prefetch: Prefetch, fetch: Fetch, finish: Finish, around: Around, workers: int
) -> None:
    with around():
        async with anyio.create_task_group() as group:
            group.start_soon(_worker, prefetch, fetch, group, workers - 1)
        await prefetch.finish(finish)


async def _worker(prefetch: Prefetch, fetch: Fetch, group: TaskGroup, further: int) -> None:
    """Fetch one window after the other, and let a further worker begin once there is work."""
    job = await prefetch.next_job()
    if job is not None and further:
        group.start_soon(_worker, prefetch, fetch, group, further - 1)
    while job is not None:
        await prefetch.work(*job, fetch)
        job = await prefetch.next_job()


def _first_of(error: BaseException) -> BaseException:
    """Give the first error of a task group's: it is why the other tasks were cancelled."""
    while isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        error = group.exceptions[0]
    return error


def _unexpected(error: BaseException) -> BoxisError:
    """Make one of our errors of one that nobody expected."""
    ours = BoxisError(f"unexpected {type(error).__name__}: {error}")
    ours.__cause__ = error
    return ours


def _unset(event: anyio.Event) -> anyio.Event:
    """Give an event to wait for: the same while it is unset, as others may wait for it too."""
    return anyio.Event() if event.is_set() else event


class Prefetches:
    """Those of one client that are at work, kept so that no task is lost."""

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._live: set[Prefetch] = set()
        self.is_closed = False

    def check_open(self) -> None:
        """Refuse further work once the client is closed.

        Raises:
            ClientClosedError: It is.
        """
        if self.is_closed:
            raise ClientClosedError("the client is closed: make a new one")

    def begin(  # noqa: PLR0913 - each is one property of the stream
        self,
        windows: Windows,
        fetch: Fetch,
        finish: Finish,
        *,
        around: Around,
        tenant: str,
        order: Order,
        on_error: OnError,
    ) -> Prefetch:
        """Start to fetch windows."""
        self.check_open()
        prefetch = Prefetch(
            windows,
            fetch,
            finish,
            around=around,
            tenant=tenant,
            order=order,
            on_error=on_error,
            concurrency=self._concurrency,
        )
        self._live.add(prefetch)
        prefetch.task.add_done_callback(lambda _: self._live.discard(prefetch))
        return prefetch

    async def close(self) -> None:
        """Cut all short, and let none begin."""
        self.is_closed = True
        prefetches = list(self._live)
        for prefetch in prefetches:
            prefetch.close(ClientClosedError("the client was closed while this stream was open"))
        for prefetch in prefetches:
            await prefetch.stopped()
