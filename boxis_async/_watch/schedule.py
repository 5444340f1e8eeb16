"""When a tenant is looked at next, how far back, and what a failure changes about that.

The deepest tier that is due is taken, as it stands for the others. After a failure the next try is
a knock: one small request, sent once. Only when it is answered a look begins, with all that a look
costs. A tier whose look failed waits by itself, twice as long each time, and the tiers above it
continue: a window that cannot be had does not keep back what is new.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import attrs

from boxis_async._watch.tiers import JITTER, Tier, goes_by_end, tiers_of

if TYPE_CHECKING:
    from boxis_async.contract_model import Contract

__all__ = ["KNOCK", "Plan", "Schedule"]

KNOCK: Final = -1
"""The tier of a knock."""

_KNOCK_REACHES: Final = timedelta(minutes=1)
_LONGEST_BACK_OFF: Final = timedelta(minutes=10)
_LONGEST_RETRY_AFTER: Final = timedelta(days=1)
_BACK_OFF_JITTER: Final = 0.25
_DOUBLINGS: Final = 20
_HALF: Final = 0.5


@attrs.frozen
class Plan:
    """One look."""

    tier: int
    """Which tier it is of; the last is the deepest."""
    begin: float
    """From when on records are requested, in Unix seconds."""
    moment: float
    """What it will have seen: all that there is now, in Unix seconds."""
    is_deepest: bool
    covers: float
    """Calls that begin from then on are seen whole, in Unix seconds."""


@attrs.define(eq=False)
class _State:
    tier: Tier
    looked: float | None = None
    """The moment of its last look, in Unix seconds; None if it is due whatever the time."""
    failures: int = 0
    waits_until: float = 0.0
    """By the loop's clock."""


class Schedule:
    """The looks at one tenant.

    Args:
        every: The interval of the watch.
        settle: How old a record may be when it changes for the last time.
    """

    def __init__(self, every: timedelta, settle: timedelta) -> None:
        self._every = every
        self._settle = settle
        self._states: list[_State] = []
        self._goes_by_end: bool | None = None
        self._is_down = False
        self._knocks = 0
        self.due = float("-inf")
        """When to look next, by the loop's clock."""

    @property
    def tiers(self) -> list[Tier]:
        """The tiers, from the shallowest to the deepest; none before the first look."""
        return [state.tier for state in self._states]

    @property
    def is_failing(self) -> bool:
        """Whether a failure was not followed by a success yet."""
        return self._is_down or any(state.failures for state in self._states)

    def choose(self, contract: Contract, floor: float, now: float, loop_now: float) -> Plan:
        """Choose the look that is due.

        Args:
            contract: What is known of the server by now.
            floor: From when on the deepest look requests, in Unix seconds.
            now: The time, in Unix seconds.
            loop_now: The time by the loop's clock.
        """
        self.know(contract)
        if self._is_down:
            begin = now - _KNOCK_REACHES.total_seconds()
            return Plan(KNOCK, begin, now, is_deepest=False, covers=now)
        self._notice_gap(now)
        number = 0
        for at, state in enumerate(self._states):
            if state.waits_until <= loop_now and (at == 0 or self._is_due(state, now)):
                number = at
        state = self._states[number]
        is_deepest = number == len(self._states) - 1
        looked = now if state.looked is None else min(state.looked, now)
        begin = floor if is_deepest else max(floor, looked - state.tier.depth.total_seconds())
        covers = float("-inf") if self._goes_by_end else begin
        return Plan(number, begin, now, is_deepest, covers)

    def know(self, contract: Contract) -> None:
        """Choose the tiers, by what is known of the server by now."""
        if self._goes_by_end is not goes_by_end(contract):
            self._goes_by_end = goes_by_end(contract)
            self._states = [_State(tier) for tier in tiers_of(contract, self._every, self._settle)]

    def succeed(self, plan: Plan, requests: int, loop_now: float) -> None:
        """Take note of a look that came to its end."""
        self._is_down = False
        if plan.tier == KNOCK:
            self.due = loop_now
            return
        self._knocks = 0
        self._states[plan.tier].tier.requests = requests
        for state in self._states[: plan.tier + 1]:
            state.looked = plan.moment
            state.failures = 0
            state.waits_until = 0.0

    def fail(self, plan: Plan, retry_after: float | None, loop_now: float) -> float:
        """Take note of a look that failed, and give the seconds until the next try."""
        floor = min(retry_after or 0.0, _LONGEST_RETRY_AFTER.total_seconds())
        self._is_down = True
        if plan.tier == KNOCK:
            self._knocks += 1
        else:
            state = self._states[plan.tier]
            state.failures += 1
            state.waits_until = loop_now + max(floor, self._back_off(state.failures))
        wait = max(floor, self._back_off(self._knocks + 1))
        self.due = loop_now + wait
        return wait

    def begin(self, loop_now: float) -> None:
        """Set when the look after one that begins now is due."""
        self.due = loop_now + self._every.total_seconds() * _around(JITTER)

    def freshness(self, length: timedelta) -> timedelta | None:
        """Give how long after its end a leg of a length is seen at the latest, if all goes well."""
        for number, state in enumerate(self._states):
            if self._goes_by_end or length <= state.tier.depth:
                # A deeper tier waits for the look that comes next.
                late = JITTER if number == 0 else _HALF + JITTER
                return state.tier.period + self._every * late
        return None

    @property
    def requests_per_hour(self) -> float:
        """How many requests an hour take, as many as the last looks took."""
        first, *deeper = self.tiers
        hour = timedelta(hours=1)
        extra = sum(hour / tier.period * (tier.requests - first.requests) for tier in deeper)
        return hour / first.period * first.requests + max(0.0, extra)

    def _notice_gap(self, now: float) -> None:
        """After a gap, let the deepest look see all of it, in order, and the others what is new."""
        first = self._states[0]
        if first.looked is None or now - first.looked > first.tier.depth.total_seconds() + (
            2 * first.tier.period.total_seconds()
        ):
            for state in self._states:
                state.looked = None

    def _is_due(self, state: _State, now: float) -> bool:
        looked = state.looked
        if looked is None or now < looked:
            return True
        # Half an interval early is nearer than half an interval late.
        return now - looked >= (state.tier.period - self._every * _HALF).total_seconds()

    def _back_off(self, failures: int) -> float:
        every = self._every.total_seconds()
        longest = max(every, _LONGEST_BACK_OFF.total_seconds())
        return min(longest, every * 2.0 ** min(failures - 1, _DOUBLINGS)) * _around(
            _BACK_OFF_JITTER
        )


def _around(part: float) -> float:
    return random.uniform(1 - part, 1 + part)  # noqa: S311 - not secret
