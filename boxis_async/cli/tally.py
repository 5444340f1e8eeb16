"""Calls counted from their legs, in whatever order these come: pure, and a value for each call."""

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

__all__ = ["DIMENSIONS", "Dimension", "Figures", "Tally"]

Dimension: TypeAlias = Literal["day", "hour", "direction", "disposition", "number"]
DIMENSIONS: Final[tuple[Dimension, ...]] = get_args(Dimension)

_NONE = "-"
_BEFORE_ALL = date.min

Group = TypeVar("Group", date, int, str)


@attrs.define
class Figures:
    """What a group of calls amounts to."""

    calls: int = 0
    legs: int = 0
    answered: int = 0
    """Calls of which any leg was answered."""
    missed: int = 0
    """Calls with an inbound leg, of which no leg was answered."""
    talk: int = 0
    """Seconds: the sum of the legs' `billsec`."""
    cost: Decimal = Decimal(0)

    def add(self, call: Call) -> None:
        """Count one call."""
        self.calls += 1
        self.legs += call.legs
        self.answered += call.answered
        self.missed += call.is_missed
        self.talk += call.talk
        self.cost += call.cost


@attrs.define
class Call:
    """What is known of one call; its legs are not kept, so that memory is for each call."""

    first: tuple[float, int, str] | None = None
    """Which leg is the first: by its moment, then its sequence, then its uniqueid."""
    day: date = _BEFORE_ALL
    hour: int = 0
    legs: int = 0
    talk: int = 0
    cost: Decimal = Decimal(0)
    answered: bool = False
    ways: int = 0
    numbered: tuple[int, float, int, str] | None = None
    """The outside party, and before it what decides which leg names it."""

    @property
    def direction(self) -> str:
        """Inbound if any leg is, else outbound if any is, else local; "-" if none says."""
        return next((way.value for bit, way in _WAYS if self.ways & bit), _NONE)

    @property
    def is_missed(self) -> bool:
        """Whether it came in from outside and nobody answered."""
        return self.direction == Direction.INBOUND and not self.answered

    @property
    def number(self) -> str:
        """The outside party; "-" for a call that has none, or does not tell it."""
        return self.numbered[-1] if self.numbered else _NONE

    def add(self, leg: CDR) -> None:
        """Count one leg."""
        self.legs += 1
        self.talk += leg.billsec or 0
        self.cost += leg.cc_cost or 0
        self.answered = self.answered or leg.answered
        place = (leg.start.timestamp(), leg.sequence or 0, leg.uniqueid)
        if self.first is None or place < self.first:
            self.first, self.day, self.hour = place, leg.start.date(), leg.start.hour
        for rank, (bit, way) in enumerate(_WAYS):
            if leg.direction is way:
                self.ways |= bit
                number = _outside(leg)
                candidate = (rank, *place[:2], number)
                if number and (self.numbered is None or candidate < self.numbered):
                    self.numbered = candidate


# The first that a call has is the call's own.
_WAYS = ((1, Direction.INBOUND), (2, Direction.OUTBOUND), (4, Direction.LOCAL))


def _outside(leg: CDR) -> str:
    """Give the number outside: who called in, or what was dialled; "" within the house."""
    if leg.direction is Direction.INBOUND:
        return leg.caller_number or leg.src
    if leg.direction is Direction.OUTBOUND:
        # A transfer changes `dst`; what was dialled at first stays.
        return leg.firstdst or leg.dst
    return ""


class Tally:
    """Counts legs, and gives the figures of their calls."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}
        self._nameless: list[Call] = []
        self.dispositions: Counter[str] = Counter()
        """Legs by disposition."""

    def add(self, legs: Iterable[CDR]) -> None:
        """Count legs, each once; those that share a `linkedid` (else `uniqueid`) are one call."""
        for leg in legs:
            self._call_of(leg).add(leg)
            self.dispositions[str(leg.disposition or _NONE)] += 1

    def _call_of(self, leg: CDR) -> Call:
        name = leg.linkedid or leg.uniqueid
        if not name:
            # Nothing tells which others it belongs to: it is a call of its own.
            self._nameless.append(Call())
            return self._nameless[-1]
        call = self._calls.get(name)
        if call is None:
            call = self._calls[name] = Call()
        return call

    def total(self) -> Figures:
        """Give the figures of all calls."""
        figures = Figures()
        for call in self._all():
            figures.add(call)
        return figures

    def by_day(self) -> dict[date, Figures]:
        """Group by the day on which a call's first leg began, in order."""
        return dict(sorted(self._grouped(lambda call: call.day).items()))

    def by_hour(self) -> dict[int, Figures]:
        """Group by the hour of the day in which a call's first leg began, in order."""
        return dict(sorted(self._grouped(lambda call: call.hour).items()))

    def by_direction(self) -> dict[str, Figures]:
        """Group by direction, the most frequent first."""
        return _most_first(self._grouped(lambda call: call.direction))

    def by_number(self, top: int) -> dict[str, Figures]:
        """Give the outside parties with the most calls; calls without one are left out."""
        groups = self._grouped(lambda call: call.number)
        groups.pop(_NONE, None)
        return dict(list(_most_first(groups).items())[:top])

    def _grouped(self, group_of: Callable[[Call], Group]) -> dict[Group, Figures]:
        groups: dict[Group, Figures] = {}
        for call in self._all():
            groups.setdefault(group_of(call), Figures()).add(call)
        return groups

    def _all(self) -> Iterator[Call]:
        yield from self._calls.values()
        yield from self._nameless


def _most_first(groups: dict[str, Figures]) -> dict[str, Figures]:
    """Order by calls, the most first; those with as many by name, so that it is told one way."""
    return dict(sorted(groups.items(), key=lambda item: (-item[1].calls, item[0])))
