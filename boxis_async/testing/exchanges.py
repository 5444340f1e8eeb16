"""What all calls share: the names of exchanges and channels, the clock, and chance."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from attrs import define, field

from .local_clock import LocalClock

_HOSTS = ("sip022.voice.boxis.net", "sip046.voice.boxis.net", "sip015.voice.boxis.net")
_FAILURES = ("NO ANSWER", "BUSY", "FAILED", "CONGESTION")


class Attempt(NamedTuple):
    """One attempt to reach a person."""

    ring: int
    """Seconds until it is over, or until somebody picks up."""
    talk: int
    """Seconds of talk; 0 where nobody picks up."""
    disposition: str

    @property
    def is_taken(self) -> bool:
        """Whether somebody picks up."""
        return self.disposition == "ANSWERED"


@define(eq=False)
class Exchanges:
    """Number channels and records, and draw what happens next."""

    rng: Random
    clock: LocalClock
    _sequence: int = field(default=15_000, init=False)
    _channel: int = field(default=0xA000, init=False)

    def next_sequence(self) -> int:
        """Number a record. Records have their numbers in the order in which their legs began."""
        self._sequence += 1
        return self._sequence

    def unique_id(self, host: str, start: int) -> str:
        """Name a channel that is opened at `start`, in Unix seconds."""
        self._channel += 1
        return f"{host}-{start}.{self._channel}"

    def host(self) -> str:
        """Draw an exchange."""
        return self.rng.choice(_HOSTS)

    def other_host(self, host: str) -> str:
        """Draw an exchange other than `host`."""
        return self.rng.choice([other for other in _HOSTS if other != host])

    def sip_channel(self, peer: str) -> str:
        """Open a channel to an extension, to another exchange, or to a trunk."""
        self._channel += 1
        return f"SIP/{peer}-{self._channel:08x}"

    def local_channel(self, destination: str) -> str:
        """Open a channel from the exchange to itself; its two ends add `;1` and `;2`."""
        self._channel += 1
        return f"Local/{destination}-{self._channel:08x}"

    def call_id(self) -> str:
        """Draw the identity of a SIP dialogue."""
        return f"{self.rng.getrandbits(48):012x}-{self.rng.getrandbits(32):08x}@127.0.0.1"

    def chance(self, probability: float) -> bool:
        """Decide whether something happens."""
        return self.rng.random() < probability

    def attempt(self, answer_rate: float, *, longest_ring: int = 25) -> Attempt:
        """Draw how an attempt to reach a person ends."""
        if self.chance(answer_rate):
            # A few hang up within a second of the answer, so that there is nothing to bill.
            talk = 0 if self.chance(0.01) else self.talk()
            return Attempt(self.rng.randint(0, longest_ring), talk, "ANSWERED")
        (disposition,) = self.rng.choices(_FAILURES, (78, 16, 5, 1))
        longest = 60 if disposition == "NO ANSWER" else 4
        return Attempt(self.rng.randint(longest // 8, longest), 0, disposition)

    def talk(self) -> int:
        """Draw for how many seconds two people talk."""
        return min(int(self.rng.lognormvariate(4.4, 1.1)), 7_200)
