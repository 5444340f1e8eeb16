"""A worker's part of the limit: it waits for the times that the scheduler grants.

It lives on the event loop of the worker's client. Each request that wants to be sent is reported,
and so is each that is over. A time that comes when nobody waits any more, or when the loop is late
by more than the scheduler allows, lapses: the request that was to be sent then asks again.

Times come by the scheduler's clock, which begins anywhere. The quickest message of late tells best
how far ours is ahead of it, and we read all times by that one: a time that was long on its way is
not used later for that, and lapses only if it comes too late. Each message of ours has our clock,
and the answer has it back, with how long the scheduler kept it. The rest is the way, there and
back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from boxis_async.fleet.errors import FleetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["ClusterLimiter"]

_WAYS_KEPT: Final = 100
# Until so many messages have come, the whole way counts as uncertain: the first ones are slow where
# a worker still loads its modules.
_WAYS_KNOWN: Final = 10


class ClusterLimiter:
    """Says when a worker's client may send, as `BoxisClient(limiter=...)` needs it.

    Args:
        send: Sends a message to the scheduler: `wanted`, `over` or `slow_down`. It must not block.
    """

    def __init__(self, send: Callable[..., object]) -> None:
        self._send = send
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._times: set[asyncio.TimerHandle] = set()
        # How long each message was on its way, and how far our clock was ahead when it came.
        self._ways: deque[tuple[float, float]] = deque(maxlen=_WAYS_KEPT)
        self.lapsed = 0
        """How many send times were not used."""
        self.is_ended = False
        """Whether the harvest has ended, so that nothing is to be sent."""

    async def acquire(self) -> None:
        """Wait for a send time.

        Raises:
            FleetError: The harvest has ended.
        """
        if self.is_ended:
            raise FleetError("the harvest has ended")
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._send(wanted=1)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # The turn and the cancellation came in one step of the loop.
                self.release()
            elif turn in self._waiting:
                # Its time will come, find nobody, and lapse.
                self._waiting.remove(turn)
            raise

    def release(self) -> None:
        """Report that a request has ended."""
        self._send(over=1)

    def slow_down(self, seconds: float) -> None:
        """Report that the provider wants no request for so long."""
        self._send(slow_down=seconds)

    def be_granted(self, delays: Iterable[float], late: float, *, sent: float, way: float) -> None:
        """Send at some times.

        Args:
            delays: The times, in seconds from when the scheduler sent them.
            late: So many seconds after a time it lapses; 0 for never.
            sent: When that was, by the scheduler's clock.
            way: The seconds that our message and its answer were on their way.
        """
        loop = asyncio.get_running_loop()
        self._ways.append((way, loop.time() - sent))
        shortest, ahead = map(min, zip(*self._ways, strict=True))
        is_known = len(self._ways) >= _WAYS_KNOWN
        uncertain = 0.0 if is_known else shortest
        for delay in delays:
            if late and uncertain > late:
                self._lapse(1)
            else:
                self._at(loop, ahead + sent + delay, late - uncertain, is_limited=late > 0)

    def be_paused(self) -> None:
        """Let lapse what is granted and not due."""
        times, self._times = self._times, set()
        for handle in times:
            handle.cancel()
        if times:
            self._lapse(len(times))

    def end(self) -> None:
        """Let nothing more be sent: the harvest has ended."""
        self.is_ended = True
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(FleetError("the harvest has ended"))

    def _at(
        self, loop: asyncio.AbstractEventLoop, due: float, late: float, *, is_limited: bool
    ) -> None:
        def use() -> None:
            self._times.discard(handle)
            if is_limited and loop.time() > due + late:
                self._lapse(1)
                return
            while self._waiting:
                turn = self._waiting.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
            self._lapse(1)

        handle = loop.call_at(due, use)
        self._times.add(handle)

    def _lapse(self, count: int) -> None:
        self.lapsed += count
        # Who waits has asked once, and the answer lapsed.
        self._send(over=count, wanted=min(count, len(self._waiting)))
