"""Count calls from their legs, in whatever order these come.

The legs are not kept: memory grows with the calls, by one small value for each.
"""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypeVar, get_args

import attrs

from boxis_async import Direction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from boxis_async import CDR

__all__ = ["DIMENSIONS", "CallStats", "Dimension", "Totals"]

Dimension: TypeAlias = Literal["day", "hour", "direction", "disposition", "number"]
DIMENSIONS: Final[tuple[Dimension, ...]] = get_args(Dimension)

_NONE = "-"
_BEFORE_ALL = date.min

Group = TypeVar("Group", date, int, str)


@attrs.define
class Totals:
    """The totals of a group of calls."""

    calls: int = 0
    legs: int = 0
    answered: int = 0
    """Calls of which any leg was answered."""
    missed: int = 0
    """Calls with an inbound leg, of which no leg was answered."""
    talk: int = 0
    """Seconds: the sum of the legs' `billsec`."""
    cost: Decimal = Decimal(0)

    def add(self, call: _CallSoFar) -> None:
        """Count one call."""
        self.calls += 1
        self.legs += call.legs
        self.answered += call.answered
        self.missed += call.is_missed
        self.talk += call.talk
        self.cost += call.cost


@attrs.define
class _CallSoFar:
    """What the legs of one call, as far as they were added, say about it."""

    first_leg: tuple[float, int, str] | None = None
    """The position of the first leg: its moment, then its sequence, then its uniqueid."""
    day: date = _BEFORE_ALL
    hour: int = 0
    legs: int = 0
    talk: int = 0
    cost: Decimal = Decimal(0)
    answered: bool = False
    directions: int = 0
    """The directions of the legs, as the bits of `_DIRECTIONS`."""
    best_number: tuple[int, float, int, str] | None = None
    """The outside party; before it the rank of its leg, as the smallest names the call."""

    @property
    def direction(self) -> str:
        """Inbound if any leg is, else outbound if any is, else local; "-" if no leg has one."""
        return next((one.value for bit, one in _DIRECTIONS if self.directions & bit), _NONE)

    @property
    def is_missed(self) -> bool:
        """Whether it came in and no leg was answered."""
        return self.direction == Direction.INBOUND and not self.answered

    @property
    def number(self) -> str:
        """The outside party; "-" for a call without one."""
        return self.best_number[-1] if self.best_number else _NONE

    def add(self, leg: CDR) -> None:
        """Count one leg."""
        self.legs += 1
        self.talk += leg.billsec or 0
        self.cost += leg.cc_cost or 0
        self.answered = self.answered or leg.answered
        position = (leg.start.timestamp(), leg.sequence or 0, leg.uniqueid)
        if self.first_leg is None or position < self.first_leg:
            self.first_leg, self.day, self.hour = position, leg.start.date(), leg.start.hour
        for rank, (bit, direction) in enumerate(_DIRECTIONS):
            if leg.direction is direction:
                self.directions |= bit
                number = _outside_number(leg)
                candidate = (rank, *position[:2], number)
                if number and (self.best_number is None or candidate < self.best_number):
                    self.best_number = candidate


# The first of these that any leg has is the direction of the call.
_DIRECTIONS = ((1, Direction.INBOUND), (2, Direction.OUTBOUND), (4, Direction.LOCAL))


def _outside_number(leg: CDR) -> str:
    """Return who called in, or what was dialled; "" for a local leg."""
    if leg.direction is Direction.INBOUND:
        return leg.caller_number or leg.src
    if leg.direction is Direction.OUTBOUND:
        # A transfer changes `dst`, but not what was dialled first.
        return leg.firstdst or leg.dst
    return ""


class CallStats:
    """Counts legs, and returns the totals of their calls."""

    def __init__(self) -> None:
        self._calls: dict[str, _CallSoFar] = {}
        self._without_id: list[_CallSoFar] = []
        self.dispositions: Counter[str] = Counter()
        """Legs by disposition."""

    def add(self, legs: Iterable[CDR]) -> None:
        """Count legs, each once; those that share a `linkedid` (else `uniqueid`) are one call."""
        for leg in legs:
            self._call_of(leg).add(leg)
            self.dispositions[str(leg.disposition or _NONE)] += 1

    def _call_of(self, leg: CDR) -> _CallSoFar:
        call_id = leg.linkedid or leg.uniqueid
        if not call_id:
            # It could belong to any call or to none: count it as a call.
            self._without_id.append(_CallSoFar())
            return self._without_id[-1]
        call = self._calls.get(call_id)
        if call is None:
            call = self._calls[call_id] = _CallSoFar()
        return call

    def total(self) -> Totals:
        """Return the totals of all calls."""
        totals = Totals()
        for call in self._all():
            totals.add(call)
        return totals

    def by_day(self) -> dict[date, Totals]:
        """Group by the day on which a call's first leg began, in order."""
        return dict(sorted(self._grouped(lambda call: call.day).items()))

    def by_hour(self) -> dict[int, Totals]:
        """Group by the hour of the day in which a call's first leg began, in order."""
        return dict(sorted(self._grouped(lambda call: call.hour).items()))

    def by_direction(self) -> dict[str, Totals]:
        """Group by direction, the most frequent first."""
        return _most_first(self._grouped(lambda call: call.direction))

    def by_number(self, top: int) -> dict[str, Totals]:
        """Return the outside parties with the most calls; calls without one are left out."""
        groups = self._grouped(lambda call: call.number)
        groups.pop(_NONE, None)
        return dict(list(_most_first(groups).items())[:top])

    def _grouped(self, group_of: Callable[[_CallSoFar], Group]) -> dict[Group, Totals]:
        groups: dict[Group, Totals] = {}
        for call in self._all():
            groups.setdefault(group_of(call), Totals()).add(call)
        return groups

    def _all(self) -> Iterator[_CallSoFar]:
        yield from self._calls.values()
        yield from self._without_id


def _most_first(groups: dict[str, Totals]) -> dict[str, Totals]:
    """Order by calls, the most first; groups with as many calls by name, so the order is fixed."""
    return dict(sorted(groups.items(), key=lambda item: (-item[1].calls, item[0])))
