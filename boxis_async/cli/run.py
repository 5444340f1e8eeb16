"""Running a coroutine so that Ctrl-C and SIGTERM end it within a second, whatever it is at."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import FrameType, TracebackType

__all__ = ["StoppedError", "run"]

T = TypeVar("T")

_GRACE: Final = 0.7
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StoppedError(Exception):
    """The run was ended by a signal.

    Attributes:
        signal: Which one.
    """

    def __init__(self, by: signal.Signals) -> None:
        super().__init__(f"stopped by {by.name}")
        self.signal = by

    @property
    def exit_code(self) -> int:
        """The exit code that shells use for a process that a signal ended."""
        return _code(self.signal)


def run(main: Coroutine[Any, Any, T], *, last_words: Callable[[], None] | None = None) -> T:
    """Run a coroutine on a new event loop; the first signal cancels it.

    What does not end by being cancelled, such as a write to a pipe that nobody empties, is left
    behind: soon after the signal, or at the second one, the process ends with the signal's code.

    Args:
        main: What to run.
        last_words: Called once when a signal ends the run, at the latest before the process ends.

    Raises:
        StoppedError: A signal ended the run.
    """
    with _Guard(last_words or _nothing) as guard:
        try:
            found = asyncio.run(guard.watch(main))
        except BaseException:
            # A signal's cancellation may come out as another error, of a stream that was closed.
            if guard.received is None:
                raise
            guard.say_last_words()
            raise StoppedError(guard.received) from None
        guard.disarm()
        return found


class _Guard:
    """Takes the signals while a run lasts."""

    def __init__(self, last_words: Callable[[], None]) -> None:
        self.received: signal.Signals | None = None
        self._last_words = last_words
        self._spoken = threading.Lock()
        self._timer: threading.Timer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    async def watch(self, main: Coroutine[Any, Any, T]) -> T:
        """Run the coroutine as the task that a signal cancels."""
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self.received is not None:  # before there was a task to cancel
            main.close()
            raise asyncio.CancelledError
        return await main

    def disarm(self) -> None:
        """Let the process live: the run was complete before the signal reached it."""
        if self._timer is not None:
            self._timer.cancel()

    def say_last_words(self) -> None:
        """Say them once, whoever comes first."""
        if self._spoken.acquire(blocking=False):
            self._last_words()

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            self._end()
        self.received = signal.Signals(number)
        # A thread that is stuck would keep the loop, and then the interpreter, from ending. It
        # stays armed after the run, until the process is gone.
        self._timer = threading.Timer(_GRACE, self._end)
        self._timer.daemon = True
        self._timer.start()
        if self._loop is not None and self._task is not None and not self._loop.is_closed():
            # Not `cancel` itself: a loop that waits for its sockets would not wake up.
            self._loop.call_soon_threadsafe(self._task.cancel)

    def _end(self) -> None:
        self.say_last_words()
        sys.stderr.flush()
        os._exit(_code(self.received or signal.SIGINT))


def _code(number: signal.Signals) -> int:
    return 128 + number


def _nothing() -> None:
    pass
