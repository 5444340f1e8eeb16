"""Who may send when: one limit for all workers, kept by the scheduler. Pure: no Dask, no clock.

Send times lie one interval (`1 / max_rate`) apart on one line of time, whoever gets them. A worker
that wants to send gets the next one as a delay from when the message reaches it, at most `AHEAD`
seconds before it is due: clocks of machines need not agree, and what a worker that dies had left is
soon over. A time that is not used lapses. It is never given to another worker, as nobody can know
whether the first one used it after all.

A grant counts as in flight until its worker says that it is over, or is lost.

Who has just begun knows nothing of what an earlier scheduler granted. So its first time lies after
all that the other one can have granted, and one second more: it starts empty. In the same way the
first time under a lower rate lies a second after the last one under the higher.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import Final

import attrs

__all__ = ["AHEAD", "Given", "Grants", "Sender", "lateness"]

AHEAD: Final = 0.5
"""So many seconds before it is due a send time is granted, at most."""

_LEAST_LATE: Final = 0.025

Sender = tuple[str, str]
"""A worker's address, and which harvest it sends for."""


def lateness(max_rate: float) -> float:
    """Give the seconds after which a send time that was not used lapses.

    With a whole interval, one request more than the rate could come in a second. We let half of one
    pass, and leave the other half for what differs in the ways to the server. With less than 25 ms
    a busy event loop would miss its times; above 20 requests a second that takes of the other half.
    """
    return 0.0 if math.isinf(max_rate) else max(_LEAST_LATE, min(1.0, 0.5 / max_rate))


@attrs.frozen
class Given:
    """What is granted now."""

    delays: dict[Sender, list[float]]
    """The send times of each worker, in seconds from when the message reaches it."""
    again: float | None
    """After how many seconds there may be more; None: when something is over."""


class Grants:
    """The limits of one scheduler, and who may send under them.

    Args:
        now: The time in seconds, by a clock that only goes forward, as in all methods.
    """

    def __init__(self, now: float) -> None:
        # The earliest that the next send time may be, and the latest that was granted: by an
        # earlier scheduler, for all that we know.
        self._next = now
        self._last = now + AHEAD
        self._interval = 0.0
        self._most_in_flight = 0
        self._wanted: Counter[Sender] = Counter()
        self._in_flight: Counter[Sender] = Counter()
        # Those that want to send, in the order in which it is their turn.
        self._turns: deque[Sender] = deque()

    @property
    def in_flight(self) -> int:
        """How many grants are not over."""
        return self._in_flight.total()

    @property
    def wanted(self) -> int:
        """How many are waited for."""
        return self._wanted.total()

    def limit(self, max_rate: float, concurrency: int) -> None:
        """Set the limits: requests a second, infinite for none, and in flight; 0 grants none."""
        self._most_in_flight = concurrency
        if not concurrency:
            # Nobody sends. The rate stays, for whoever comes next.
            return
        interval = 0.0 if math.isinf(max_rate) else 1.0 / max_rate
        if interval > self._interval:
            self._next = max(self._next, self._last + max(1.0, interval))
        self._interval = interval

    def want(self, sender: Sender, count: int) -> None:
        """Note that a worker waits for so many more."""
        if count <= 0:
            return
        if sender not in self._wanted:
            self._turns.append(sender)
        self._wanted[sender] += count

    def over(self, sender: Sender, count: int) -> None:
        """Note that so many of a worker's requests have ended, or that their times lapsed."""
        left = self._in_flight[sender] - count
        if left > 0:
            self._in_flight[sender] = left
        else:
            del self._in_flight[sender]

    def lose(self, worker: str) -> None:
        """Forget a worker that is gone: its places in flight are free, its times lapse."""
        for sender in [one for one in (*self._wanted, *self._in_flight) if one[0] == worker]:
            self.forget(sender)

    def forget(self, sender: Sender) -> None:
        """Forget what a worker wants, and what it has, for one harvest."""
        self._wanted.pop(sender, None)
        self._in_flight.pop(sender, None)
        if sender in self._turns:
            self._turns.remove(sender)

    def senders(self) -> set[Sender]:
        """Give those that want to send, or have what is not over."""
        return {*self._wanted, *self._in_flight}

    def pause(self, seconds: float, now: float) -> None:
        """Let no send time lie within the next seconds."""
        self._next = max(now + seconds, self._next)

    def give(self, now: float) -> Given:
        """Grant what can be granted."""
        delays: dict[Sender, list[float]] = {}
        while self._turns and self.in_flight < self._most_in_flight:
            at = max(now, self._next)
            if at > now + AHEAD:
                return Given(delays, at - AHEAD - now)
            sender = self._turns.popleft()
            delays.setdefault(sender, []).append(at - now)
            self._in_flight[sender] += 1
            self._wanted[sender] -= 1
            if self._wanted[sender]:
                self._turns.append(sender)
            else:
                del self._wanted[sender]
            self._next = at + self._interval
            self._last = max(self._last, at)
        return Given(delays, None)
