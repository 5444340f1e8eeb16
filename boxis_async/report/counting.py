"""Takes calls one by one, in whatever order, and keeps of each what the figures need, small.

The figures that `boxis stats` prints are counted by the same `CallStats`. Of each call further 21
bytes are kept, in arrays, for what only all calls together show: who was called back, and how many
calls there were at once. So a year of 100,000 calls takes some 2 MB beside what grows with the
numbers that called.
"""

from __future__ import annotations

import heapq
from array import array
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import attrs

from boxis_async import Call, Direction, Outcome, e164
from boxis_async.call_stats import CallStats, Totals, add_costs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from boxis_async.report.spans import Range

__all__ = [
    "DIRECTIONS",
    "LONGEST_LIST",
    "MISSED",
    "OTHER",
    "TALKED_IN",
    "TALKED_OUT",
    "Counting",
    "Row",
    "Seen",
    "Slice",
]

DIRECTIONS: Final = (Direction.INBOUND, Direction.OUTBOUND, Direction.LOCAL, None)
LONGEST_LIST: Final = 10
"""The lines of the lists of the longest and of the dearest calls."""

OTHER, MISSED, TALKED_IN, TALKED_OUT = range(4)
"""What a call says of whether a number was called back."""


@attrs.define
class Slice:
    """The calls of one day, of one direction and one line."""

    calls: int = 0
    answered: int = 0
    missed: int = 0
    voicemail: int = 0
    machine: int = 0
    missed_box: int = 0
    """Missed, and in a voicemail box."""
    talk: float = 0
    cost: Decimal = Decimal(0)

    @property
    def not_reached(self) -> int:
        """Calls that are neither answered nor missed: own calls that reached no person."""
        return self.calls - self.answered - self.missed

    def add(self, call: Call) -> None:
        """Count a call."""
        is_box = call.outcome is Outcome.VOICEMAIL
        missed = call.missed
        self.calls += 1
        self.answered += call.answered
        self.missed += missed
        self.voicemail += is_box
        self.machine += call.outcome is Outcome.MACHINE
        self.missed_box += missed and is_box
        self.talk += call.talk.total_seconds()
        self.cost = add_costs(self.cost, call.cost)


@attrs.frozen(order=True)
class Row:
    """A call in a list, by what puts it there first."""

    amount: Decimal
    """Its seconds of talk, or its cost."""
    earlier: float
    """The negative time, so that of equals the earlier comes first."""
    id: str
    party: str
    name: str
    start: datetime = attrs.field(order=False)
    direction: int
    line: str
    answered_by: str
    talk: float
    cost: Decimal


@attrs.frozen
class Seen:
    """The last missed call of a number."""

    moment: float
    start: datetime
    number: str
    name: str
    line: str
    wait: float


class Counting:
    """Counts the calls of a range, the totals of the span before, and calls back after it.

    Args:
        range_: The range.
        country: The country that a number with a single leading 0 is of.
    """

    def __init__(self, range_: Range, country: str) -> None:
        self._range = range_
        self._before = range_.before()
        self.country = country
        self.stats = CallStats(country)
        self.before = Totals()
        """The totals of the span before."""
        self.slices: defaultdict[tuple[date, int, str], Slice] = defaultdict(Slice)
        """By day, direction and line."""
        self.hours: defaultdict[tuple[int, str], array[int]] = defaultdict(_week)
        """Calls by the hour of the week, for each direction and line."""
        self.gave_up = array("d")
        """How long callers waited whom neither a person nor a box took, in seconds."""
        self.starts, self.ends = array("d"), array("d")
        """Of the calls of the range, in Unix seconds."""
        self.talks = array("d")
        """When calls with outside parties began, in Unix seconds,"""
        self.parties = array("i")
        """with whom,"""
        self.kinds = array("b")
        """and what they say of whether somebody was called back."""
        self.missed: dict[int, Seen] = {}
        """The last missed call of each party."""
        self.times_missed: defaultdict[int, int] = defaultdict(int)
        self.hidden = 0
        """Missed calls without a number."""
        self.places: defaultdict[tuple[str, str], tuple[int, Decimal]] = defaultdict(_none)
        """Calls and cost, by country and network."""
        self.without_cost = 0
        """Calls with a leg whose cost is not worked out,"""
        self.outbound_without_cost = 0
        """and those of them that went out."""
        self.without_legs = 0
        """Calls of which the legs are not known."""
        self._numbers: dict[str, int] = {}
        self._longest: list[Row] = []
        self._dearest: list[Row] = []

    def add(self, call: Call) -> None:
        """Count a call, where its start belongs."""
        if self._range.contains(call.start):
            self._add(call)
        elif self._before.contains(call.start):
            self.before.add(call)
        else:
            self._note_party(call, is_in_range=False)

    def longest(self) -> Sequence[Row]:
        """List the longest calls, the longest first."""
        return sorted(self._longest, reverse=True)

    def dearest(self) -> Sequence[Row]:
        """List the dearest calls, the dearest first."""
        return sorted(self._dearest, reverse=True)

    def _add(self, call: Call) -> None:
        self.stats.add([call])
        direction = DIRECTIONS.index(call.direction)
        line = self._line(call)
        start = call.start
        self.slices[start.date(), direction, line].add(call)
        self.hours[direction, line][24 * start.weekday() + start.hour] += 1
        self._note_party(call, is_in_range=True)
        moment = start.timestamp()
        if call.end is not None:
            self.starts.append(moment)
            self.ends.append(max(moment, call.end.timestamp()))
        if call.missed and call.outcome is not Outcome.VOICEMAIL:
            self.gave_up.append(call.wait.total_seconds())
        self._add_cost(call)
        talk = call.talk.total_seconds()
        if talk:
            self._keep(self._longest, call, Decimal(str(talk)), direction, line)
        if call.cost > 0:
            self._keep(self._dearest, call, call.cost, direction, line)

    def _line(self, call: Call) -> str:
        if call.direction is not Direction.INBOUND or not call.dialled:
            return ""
        return e164(call.dialled, self.country)

    def _note_party(self, call: Call, *, is_in_range: bool) -> None:
        if not call.outside:
            self.hidden += call.missed and is_in_range
            return
        kind = OTHER
        if call.answered:
            kind = TALKED_OUT if call.direction is Direction.OUTBOUND else TALKED_IN
        elif call.missed and is_in_range:
            kind = MISSED
        if kind == OTHER:
            return
        party = self._numbers.setdefault(e164(call.outside, self.country), len(self._numbers))
        moment = call.start.timestamp()
        self.talks.append(moment)
        self.parties.append(party)
        self.kinds.append(kind)
        if kind != MISSED:
            return
        self.times_missed[party] += 1
        seen = self.missed.get(party)
        if seen is None or (moment, call.outside) > (seen.moment, seen.number):
            self.missed[party] = Seen(
                moment,
                call.start,
                call.outside,
                call.caller_name,
                self._line(call),
                call.wait.total_seconds(),
            )

    def _add_cost(self, call: Call) -> None:
        if not call.legs:
            self.without_legs += 1
            return
        lacks = False
        places: dict[tuple[str, str], Decimal] = {}
        for leg in call.legs:
            if leg.cc_cost is None:
                lacks = True
            elif leg.cc_cost:
                place = leg.cc_country, leg.cc_network
                places[place] = add_costs(places.get(place, Decimal(0)), leg.cc_cost)
        for place, cost in places.items():
            calls, total = self.places[place]
            self.places[place] = calls + 1, add_costs(total, cost)
        self.without_cost += lacks
        self.outbound_without_cost += lacks and call.direction is Direction.OUTBOUND

    def _keep(
        self, rows: list[Row], call: Call, amount: Decimal, direction: int, line: str
    ) -> None:
        if len(rows) == LONGEST_LIST and amount < rows[0].amount:
            return
        is_own = call.direction is Direction.OUTBOUND
        row = Row(
            amount=amount,
            earlier=-call.start.timestamp(),
            id=call.id if call.legs else "",
            party=call.outside or call.dialled,
            name="" if is_own else call.caller_name,
            start=call.start,
            direction=direction,
            line=line,
            answered_by=call.caller_number if is_own else call.answered_by,
            talk=call.talk.total_seconds(),
            cost=call.cost,
        )
        if len(rows) < LONGEST_LIST:
            heapq.heappush(rows, row)
        else:
            heapq.heappushpop(rows, row)


def _week() -> array[int]:
    return array("l", bytes(array("l").itemsize * 7 * 24))


def _none() -> tuple[int, Decimal]:
    return 0, Decimal(0)
