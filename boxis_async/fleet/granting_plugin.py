"""The limit of the whole cluster, kept where all workers meet: a plugin of Dask's scheduler.

It is the glue between `Grants`, which decides, and Dask: messages of the workers come over the
streams that they have to the scheduler anyway, and its answers go back over these. Whoever
harvests joins with the limits that apply to it, and what is the least of them applies to all: two
harvests on one scheduler share one limit. When the last one has left nothing is granted, so that
tasks which nobody waits for any more send nothing.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, Final

from distributed import SchedulerPlugin

from boxis_async.fleet.grants import Grants, lateness

if TYPE_CHECKING:
    from collections.abc import Iterable

    from boxis_async.fleet.grants import Sender

__all__ = ["JOIN", "PLUGIN", "TURNS", "GrantingPlugin"]

PLUGIN: Final = "boxis-grants"
TURNS: Final = "boxis-turns"
"""The name of the messages between workers and scheduler, both ways."""
JOIN: Final = "boxis_join"


class GrantingPlugin(SchedulerPlugin):
    """Grants send times to the workers; one for each scheduler, for all harvests on it."""

    name = PLUGIN
    # A second harvest finds the plugin of the first one, with what it knows.
    idempotent = True

    async def start(self, scheduler: Any) -> None:  # noqa: ANN401 - Dask's own
        """Begin to listen."""
        self._scheduler = scheduler
        self._grants = Grants(_now())
        self._joined: dict[str, tuple[float, int, str]] = {}
        self._max_rate = math.inf
        # The worker's clock as its last message had it, and when that came, by ours.
        self._clocks: dict[Sender, tuple[float, float]] = {}
        self._timer: asyncio.TimerHandle | None = None
        scheduler.handlers[JOIN] = self._join
        scheduler.stream_handlers[TURNS] = self._hear

    async def close(self) -> None:
        """Grant nothing more."""
        self._joined.clear()
        if self._timer is not None:
            self._timer.cancel()

    def remove_worker(self, scheduler: Any, worker: str, **_: Any) -> None:  # noqa: ANN401, ARG002
        """Take back what a lost worker has."""
        self._grants.lose(worker)
        for sender in [one for one in self._clocks if one[0] == worker]:
            del self._clocks[sender]
        self._give()

    def remove_client(self, scheduler: Any, client: str) -> None:  # noqa: ANN401, ARG002
        """End the harvest of a client that is gone."""
        left = self._joined.pop(client, None)
        if left is None:
            return
        harvest = left[2]
        ended = [sender for sender in self._grants.senders() if sender[1] == harvest]
        for sender in ended:
            self._grants.forget(sender)
        for sender in [one for one in self._clocks if one[1] == harvest]:
            del self._clocks[sender]
        self._send(ended, ended=True)
        self._limit()
        self._give()

    async def _join(self, client: str, harvest: str, max_rate: float, concurrency: int) -> None:
        """Take part, under the limits given and those of the other harvests."""
        self._joined[client] = (max_rate, concurrency, harvest)
        self._limit()
        self._give()

    def _limit(self) -> None:
        self._max_rate = min((one[0] for one in self._joined.values()), default=math.inf)
        self._grants.limit(
            self._max_rate, min((one[1] for one in self._joined.values()), default=0)
        )

    def _hear(  # noqa: PLR0913 - what a worker says in one message
        self,
        *,
        worker: str,
        harvest: str,
        wanted: int = 0,
        over: int = 0,
        slow_down: float = 0.0,
        clock: float = 0.0,
        **_: object,
    ) -> None:
        """Take note of what a worker wants, of what is over, and of what the provider wants."""
        if worker not in self._scheduler.stream_comms:
            # Read together with what came before its end. What it was granted would stay in flight.
            return
        sender = (worker, harvest)
        if all(one[2] != harvest for one in self._joined.values()):
            self._send([sender], ended=True)
            return
        self._clocks[sender] = (clock, _now())
        self._grants.over(sender, over)
        self._grants.want(sender, wanted)
        if slow_down > 0:
            self._grants.pause(slow_down, _now())
            # What was granted ahead lapses, on all workers.
            self._send(self._grants.senders(), paused=True)
        self._give()

    def _give(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = _now()
        given = self._grants.give(now)
        late = lateness(self._max_rate)
        for sender, delays in given.delays.items():
            clock, heard = self._clocks[sender]
            kept = now - heard
            self._send([sender], delays=delays, late=late, clock=clock, kept=kept, sent=now)
        if given.again is not None:
            self._timer = asyncio.get_running_loop().call_later(given.again, self._give)

    def _send(self, senders: Iterable[Sender], **content: object) -> None:
        for worker, harvest in senders:
            if worker in self._scheduler.stream_comms:
                message = {"op": TURNS, "harvest": harvest, **content}
                self._scheduler.worker_send(worker, message)


def _now() -> float:
    return asyncio.get_running_loop().time()
