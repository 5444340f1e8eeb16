"""Run a coroutine until it ends, or until Ctrl-C or SIGTERM ends it within a second.

The first signal cancels the coroutine, so that it can clean up. Cancelling does not reach a thread
that is stuck, such as in a write to a pipe that nobody reads; so a timer, or a second signal, then
ends the process with the signal's exit code.
"""

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

__all__ = ["SignalError", "run_until_signal"]

T = TypeVar("T")

# A user who pressed Ctrl-C waits less than a second.
_GRACE_SECONDS: Final = 0.7
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class SignalError(Exception):
    """A signal ended the run.

    Attributes:
        signal: Which one.
    """

    def __init__(self, received: signal.Signals) -> None:
        super().__init__(f"stopped by {received.name}")
        self.signal = received

    @property
    def exit_code(self) -> int:
        """The exit code that shells use for a process that a signal ended."""
        return _exit_code(self.signal)


def run_until_signal(
    main: Coroutine[Any, Any, T], *, on_signal: Callable[[], None] | None = None
) -> T:
    """Run a coroutine on a new event loop; the first signal cancels it.

    Args:
        main: What to run.
        on_signal: Called once when a signal ends the run, at the latest before the process ends.

    Raises:
        SignalError: A signal ended the run.
    """
    with _SignalHandler(on_signal or _do_nothing) as handler:
        try:
            result = asyncio.run(handler.run(main))
        except BaseException:
            # A signal's cancellation may surface as another error, of a stream that was closed.
            if handler.received is None:
                raise
            handler.notify()
            raise SignalError(handler.received) from None
        handler.disarm()
        return result


class _SignalHandler:
    """Receives the signals while a coroutine runs."""

    def __init__(self, on_signal: Callable[[], None]) -> None:
        self.received: signal.Signals | None = None
        self._on_signal = on_signal
        self._notified = threading.Lock()
        self._timer: threading.Timer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        # Python lets only the main thread set handlers.
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    async def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run the coroutine in the task that a signal cancels."""
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self.received is not None:  # the signal came before there was a task to cancel
            main.close()
            raise asyncio.CancelledError
        return await main

    def disarm(self) -> None:
        """Stop the timer: the run was complete before the signal reached it."""
        if self._timer is not None:
            self._timer.cancel()

    def notify(self) -> None:
        """Call `on_signal`, once: the main thread and the timer's thread may both come here."""
        if self._notified.acquire(blocking=False):
            self._on_signal()

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            self._exit()
        self.received = signal.Signals(number)
        # A thread that is stuck would keep the loop, and then the interpreter, from ending. So
        # the timer stays armed after the run, until the process is gone.
        self._timer = threading.Timer(_GRACE_SECONDS, self._exit)
        self._timer.daemon = True
        self._timer.start()
        if self._loop is not None and self._task is not None and not self._loop.is_closed():
            # Not `cancel` itself: a loop that waits for its sockets would not wake up.
            self._loop.call_soon_threadsafe(self._task.cancel)

    def _exit(self) -> None:
        self.notify()
        sys.stderr.flush()
        os._exit(_exit_code(self.received or signal.SIGINT))


def _exit_code(number: signal.Signals) -> int:
    return 128 + number


def _do_nothing() -> None:
    pass
