"""Count calls, in whatever order they come, by day, number, who answered, and so on.

The calls are not kept: memory grows with the groups, and by one wait for each answered call.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, get_args

import attrs

from boxis_async._calls.costs import add_costs
from boxis_async._calls.numbers import e164
from boxis_async.call_model import Call, Outcome
from boxis_async.models import Direction

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "DIMENSIONS",
    "SOON",
    "Booked",
    "CallStats",
    "Dimension",
    "Totals",
    "Waits",
    "add_costs",
    "at_share",
    "extension_of",
    "whole",
]

Dimension: TypeAlias = Literal[
    "day",
    "hour",
    "direction",
    "outcome",
    "disposition",
    "number",
    "dialled",
    "answered-by",
    "extension",
    "cc-date",
]
DIMENSIONS: Final[tuple[Dimension, ...]] = get_args(Dimension)
SOON: Final = 20
"""Seconds within which a call centre wants to pick up, by custom."""

_NONE = "-"

Group = TypeVar("Group", date, int, str)


@attrs.define
class Totals:
    """The totals of a group of calls."""

    calls: int = 0
    legs: int = 0
    answered: int = 0
    """Calls that a person answered."""
    missed: int = 0
    """Inbound calls that no person answered: those in a voicemail box or a machine too."""
    voicemail: int = 0
    """Calls that ended in a voicemail box."""
    machine: int = 0
    """Calls that only a machine answered: a menu, an announcement, a queue without anybody."""
    talk: float = 0
    """Seconds that persons talked; times that several legs recorded count once."""
    cost: Decimal = Decimal(0)
    """What all legs cost, of the calls that started in the range."""

    def add(self, call: Call) -> None:
        """Count one call."""
        self.calls += 1
        self.legs += len(call.legs)
        self.answered += call.answered
        self.missed += call.missed
        self.voicemail += call.outcome is Outcome.VOICEMAIL
        self.machine += call.outcome is Outcome.MACHINE
        self.talk += call.talk.total_seconds()
        self.cost = add_costs(self.cost, call.cost)

    def to_dict(self) -> dict[str, Any]:
        """Give them as a dict that `json.dumps` takes; the cost is a text: no digit is lost."""
        return {
            "calls": self.calls,
            "legs": self.legs,
            "answered_calls": self.answered,
            "missed_calls": self.missed,
            "voicemail_calls": self.voicemail,
            "machine_calls": self.machine,
            "talk_seconds": whole(self.talk),
            "cost": f"{self.cost:f}",
        }


@attrs.define
class Booked:
    """Legs that are booked on one day."""

    legs: int = 0
    cost: Decimal = Decimal(0)


@attrs.frozen
class Waits:
    """How long callers waited for the person who answered them, in seconds."""

    calls: int
    """Inbound calls that a person answered."""
    median: float
    most: float
    """95 % of them waited no longer."""
    soon: float
    """The share, from 0 to 1, that waited for `SOON` seconds at most."""

    def to_dict(self) -> dict[str, Any]:
        """Give them as a dict that `json.dumps` takes."""
        return {
            "answered_inbound_calls": self.calls,
            "median_seconds": whole(self.median),
            "p95_seconds": whole(self.most),
            f"share_within_{SOON}_seconds": round(self.soon, 4),
        }


class _Numbers:
    """Totals by a party; each party is shown as its number is written most often."""

    def __init__(self, country: str) -> None:
        self._country = country
        self._totals: dict[str, Totals] = {}
        self._spellings: dict[str, Counter[str]] = {}

    def add(self, number: str, call: Call) -> None:
        """Count a call of a party; a call without one is left out."""
        if number:
            party = e164(number, self._country)
            self._totals.setdefault(party, Totals()).add(call)
            self._spellings.setdefault(party, Counter())[number] += 1

    def totals(self) -> dict[str, Totals]:
        """Give the totals, the most calls first."""
        return _most_first({
            min(spellings, key=lambda one: (-spellings[one], one)): self._totals[party]
            for party, spellings in self._spellings.items()
        })  # fmt: skip


class CallStats:
    """Counts calls, and returns their totals by groups."""

    def __init__(self, country: str = "CH") -> None:
        """Begin to count.

        Args:
            country: The country that a number with a single leading 0 is of.
        """
        self.total = Totals()
        """The totals of all calls."""
        self.dispositions: Counter[str] = Counter()
        """Legs by disposition, the exchange's own word for each."""
        self._days: dict[date, Totals] = {}
        self._hours: dict[int, Totals] = {}
        self._directions: dict[str, Totals] = {}
        self._outcomes: dict[str, Totals] = {}
        self._answerers: dict[str, Totals] = {}
        self._extensions: dict[str, Totals] = {}
        self._booked: dict[str, Booked] = {}
        self._numbers = _Numbers(country)
        self._dialled = _Numbers(country)
        self._waits = array("d")

    def add(self, calls: Iterable[Call]) -> None:
        """Count calls, each once."""
        for call in calls:
            self._add(call)

    def _add(self, call: Call) -> None:
        self.total.add(call)
        _group(self._days, call.start.date(), call)
        _group(self._hours, call.start.hour, call)
        _group(self._directions, str(call.direction or _NONE), call)
        _group(self._outcomes, str(call.outcome), call)
        self._numbers.add(call.outside, call)
        if call.direction is Direction.INBOUND:
            self._dialled.add(call.dialled, call)
            if call.answered:
                self._waits.append(call.wait.total_seconds())
        # Of a call that went out, whoever answered is the outside party.
        if call.direction is not Direction.OUTBOUND and call.answered_by:
            _group(self._answerers, call.answered_by, call)
        extension = extension_of(call)
        if extension:
            _group(self._extensions, extension, call)
        for leg in call.legs:
            self.dispositions[str(leg.disposition or _NONE)] += 1
            booked = self._booked.setdefault(str(leg.cc_date or _NONE), Booked())
            booked.legs += 1
            booked.cost = add_costs(booked.cost, leg.cc_cost)

    def by_day(self) -> dict[date, Totals]:
        """Group by the day on which a call's first leg began, in order."""
        return dict(sorted(self._days.items()))

    def by_hour(self) -> dict[int, Totals]:
        """Group by the hour of the day in which a call's first leg began, in order."""
        return dict(sorted(self._hours.items()))

    def by_direction(self) -> dict[str, Totals]:
        """Group by direction, the most frequent first."""
        return _most_first(self._directions)

    def by_outcome(self) -> dict[str, Totals]:
        """Group by outcome, the most frequent first."""
        return _most_first(self._outcomes)

    def by_number(self, top: int) -> dict[str, Totals]:
        """Return the outside parties with the most calls; calls without one are left out."""
        return _first(self._numbers.totals(), top)

    def by_dialled(self, top: int) -> dict[str, Totals]:
        """Group inbound calls by the line or queue that was dialled."""
        return _first(self._dialled.totals(), top)

    def by_answerer(self, top: int) -> dict[str, Totals]:
        """Group calls that came in, or were internal, by who answered."""
        return _first(_most_first(self._answerers), top)

    def by_extension(self, top: int) -> dict[str, Totals]:
        """Group by the extension that made a call, or answered one that came in."""
        return _first(_most_first(self._extensions), top)

    def by_cc_date(self) -> dict[str, Booked]:
        """Group the legs of all calls by the day on which the provider books their cost."""
        return dict(sorted(self._booked.items()))

    def waits(self) -> Waits | None:
        """Say how long callers waited for a person; None where none was answered."""
        waits = sorted(self._waits)
        if not waits:
            return None
        return Waits(
            calls=len(waits),
            median=at_share(waits, 0.5),
            most=at_share(waits, 0.95),
            soon=sum(wait <= SOON for wait in waits) / len(waits),
        )

    def share_within(self, seconds: float) -> float:
        """Give the share of answered callers, from 0 to 1, that waited so long at most."""
        return sum(wait <= seconds for wait in self._waits) / max(1, len(self._waits))


def extension_of(call: Call) -> str:
    """Return the extension that made a call, or answered it; "" for any other call."""
    if call.direction is Direction.INBOUND:
        return call.answered_by
    if call.direction is None or not call.legs:
        return ""
    first = call.legs[0]
    return first.realsrc or first.src


def at_share(waits: list[float], share: float) -> float:
    """Return the shortest wait that so large a share did not exceed (the nearest rank)."""
    return waits[max(0, math.ceil(share * len(waits)) - 1)]


def _group(groups: dict[Group, Totals], name: Group, call: Call) -> None:
    groups.setdefault(name, Totals()).add(call)


def _most_first(groups: Mapping[str, Totals]) -> dict[str, Totals]:
    """Order by calls, the most first; groups with as many calls by name, so the order is fixed."""
    return dict(sorted(groups.items(), key=lambda item: (-item[1].calls, item[0])))


def _first(groups: dict[str, Totals], top: int) -> dict[str, Totals]:
    return dict(list(groups.items())[:top])


def whole(seconds: float) -> int | float:
    """Return seconds as a whole number where they are one."""
    return int(seconds) if seconds == int(seconds) else seconds
