"""What was counted → the figures of a report, as frozen values; pure: no clock, no file."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import attrs

from boxis_async import e164
from boxis_async.call_stats import Totals, Waits, add_costs, at_share, whole
from boxis_async.report.counting import (
    DIRECTIONS,
    MISSED,
    TALKED_IN,
    Counting,
    Row,
    Seen,
    Slice,
)
from boxis_async.report.spans import Covered, Period, Range, Unit, periods_of

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable

__all__ = [
    "WITHIN",
    "Busiest",
    "Column",
    "Figures",
    "Line",
    "Place",
    "Reached",
    "figures_of",
    "in_filter",
]

WITHIN: Final = (10, 20, 30, 60)
"""The seconds of the shares of waits."""

_MOST_LINES: Final = 12
"""The lines that the page can be filtered by; the others are one."""
_MOST_PLACES: Final = 12
_MOST_OPEN: Final = 15
_HOUR: Final = 3600.0
_DAY: Final = 24 * _HOUR
_QUARTER: Final = 900
_HALF_AN_HOUR: Final = 0.5


@attrs.frozen
class Column:
    """A day, a week or a month of the range."""

    period: Period
    covered: float
    """The share of its time for which the calls are known, from 0 to 1."""
    slice: Slice


@attrs.frozen
class Line:
    """A line, a number or a person, with its calls."""

    name: str
    totals: Totals


@attrs.frozen
class Place:
    """A country and a network, with the calls that cost something there."""

    country: str
    network: str
    calls: int
    cost: Decimal


@attrs.frozen
class Reached:
    """What became of the missed calls."""

    missed: int
    within_hour: int
    """Called back within an hour,"""
    within_day: int
    """within a day,"""
    later: int
    """or later."""
    rang_again: int
    """The caller rang again, and a person answered."""
    open: int
    """Nobody has talked with the number since."""
    hidden: int
    """The caller hid the number, so nobody can know."""
    median: float | None
    """Seconds until half of those who were called back had been."""
    until: datetime
    """Until when calls are known."""
    callers: int
    """Numbers whose last missed call is open."""
    last: Sequence[tuple[Seen, int]]
    """The last of them, with how often each was missed."""


@attrs.frozen
class Busiest:
    """The moment with the most calls at once."""

    calls: int
    start: datetime
    seconds: float
    """How long there were so many."""
    quarters: Sequence[int]
    """The most calls at once in each quarter of an hour of that day."""


@attrs.frozen
class Figures:
    """All figures of a report."""

    range: Range
    before_range: Range
    now: datetime
    unit: Unit
    total: Totals
    before: Totals | None
    """The totals of the span before; None where its calls are not known."""
    directions: Sequence[tuple[int, Slice]]
    outcomes: Mapping[str, Totals]
    columns: Sequence[Column]
    days: Sequence[tuple[date, Totals]]
    spans: Sequence[tuple[float, float]]
    """For which the calls are known, in Unix seconds."""
    hours: Sequence[float]
    """How often each hour of the week was, as far as the calls are known."""
    calls_by_hour: Sequence[int]
    waits: Waits | None
    answered_within: Sequence[float]
    gave_up: int
    gave_up_within: Sequence[float]
    gave_up_median: float | None
    reached: Reached
    numbers: Sequence[Line]
    lines: Sequence[Line]
    answerers: Sequence[Line]
    countries: Sequence[Place]
    networks: Sequence[Place]
    without_cost: int
    outbound_without_cost: int
    without_legs: int
    longest: Sequence[Row]
    dearest: Sequence[Row]
    busiest: Busiest | None
    filter_lines: Sequence[str]
    """The lines to filter by, in the one spelling of their numbers."""
    line_names: Mapping[str, str]
    """How each line is written most often."""
    cube: Mapping[tuple[int, int, int], Slice]
    """By period, direction and line of the filter; the last line but one stands for the others,
    and the last for calls without a line."""
    hours_by_filter: Mapping[tuple[int, int], Sequence[int]]
    """Calls by the hour of the week, by direction and line of the filter."""

    @property
    def is_whole(self) -> bool:
        """Say whether the calls of the whole range are known."""
        return list(self.spans) == [(self.range.first, self.range.last)]

    @property
    def peak(self) -> tuple[int, float] | None:
        """Give the hour of the week with the most calls, and how many there are on average."""
        means = [(self.mean(at) or 0.0, -at) for at in range(len(self.hours))]
        mean, at = max(means)
        return (-at, mean) if mean else None

    def mean(self, at: int) -> float | None:
        """Give the calls in an hour of the week, on average; None where it is not known."""
        return self.calls_by_hour[at] / self.hours[at] if self.hours[at] >= _HALF_AN_HOUR else None

    def to_dict(self) -> dict[str, Any]:
        """Give them as a dict that `json.dumps` takes: as `boxis stats --json`, and more."""
        return {
            "from": _text(self.range.datefrom),
            "to": _text(self.range.dateto),
            "now": self.now.isoformat(),
            "known": [
                [self._moment(first).isoformat(), self._moment(last).isoformat()]
                for first, last in self.spans
            ],
            "total": self._totals(self.total),
            "before": None
            if self.before is None
            else {
                "from": _text(self.before_range.datefrom),
                "to": _text(self.before_range.dateto),
                "total": self._totals(self.before),
            },
            "waiting": None if self.waits is None else self.waits.to_dict(),
            "answered_within": _shares(self.answered_within),
            "gave_up": {
                "calls": self.gave_up,
                "median_seconds": self.gave_up_median,
                "within": _shares(self.gave_up_within),
            },
            "missed": {
                "calls": self.reached.missed,
                "called_back_within_hour": self.reached.within_hour,
                "called_back_within_day": self.reached.within_day,
                "called_back_later": self.reached.later,
                "rang_again": self.reached.rang_again,
                "open": self.reached.open,
                "hidden": self.reached.hidden,
                "median_seconds": self.reached.median,
                "until": self.reached.until.isoformat(),
                "open_numbers": self.reached.callers,
                "last_open": [
                    {
                        "number": seen.number,
                        "name": seen.name,
                        "dialled": seen.line,
                        "start": seen.start.isoformat(),
                        "wait_seconds": seen.wait,
                        "missed_calls": times,
                    }
                    for seen, times in self.reached.last
                ],
            },
            "cost": {
                "by_country": [
                    {"country": one.country, "calls": one.calls, "cost": f"{one.cost:f}"}
                    for one in self.countries
                ],
                "by_network": [
                    {
                        "country": one.country,
                        "network": one.network,
                        "calls": one.calls,
                        "cost": f"{one.cost:f}",
                    }
                    for one in self.networks
                ],
                "calls_without_cost": self.without_cost,
                "outbound_calls_without_cost": self.outbound_without_cost,
            },
            "at_once": None
            if self.busiest is None
            else {
                "calls": self.busiest.calls,
                "start": self.busiest.start.isoformat(),
                "seconds": self.busiest.seconds,
            },
            "longest": [_call(row) for row in self.longest],
            "dearest": [_call(row) for row in self.dearest],
            "by_day": [{"day": f"{day}"} | self._totals(one) for day, one in self.days],
            "by_weekday_and_hour": [
                {
                    "weekday": at // 24 + 1,
                    "hour": at % 24,
                    "calls": self.calls_by_hour[at],
                    "hours": round(self.hours[at], 4),
                }
                for at in range(len(self.hours))
            ],
            "by_outcome": [
                {"outcome": name} | self._totals(one) for name, one in self.outcomes.items()
            ],
            "by_number": self._listed("number", self.numbers),
            "by_dialled": self._listed("dialled", self.lines),
            "by_answered_by": self._listed("answered_by", self.answerers),
        }

    def _listed(self, name: str, lines: Iterable[Line]) -> list[dict[str, Any]]:
        return [{name: line.name} | self._totals(line.totals) for line in lines]

    def _totals(self, totals: Totals) -> dict[str, Any]:
        found = totals.to_dict()
        # 0 would say that there is none.
        return found | {"legs": None} if self.without_legs else found

    def _moment(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(seconds, self.range.zone)


def figures_of(  # noqa: PLR0913 - each is one thing to know, by name
    counting: Counting,
    range_: Range,
    *,
    covered: Covered,
    now: datetime,
    after: datetime,
    knows_before: bool,
    top: int,
) -> Figures:
    """Work out the figures.

    Args:
        counting: What was counted.
        range_: The range.
        covered: For when the calls are known.
        now: The time of the report.
        after: Until when calls that call somebody back were looked for.
        knows_before: Whether the calls of the span before are among those that were counted.
        top: How many numbers, lines and persons are listed.
    """
    stats = counting.stats
    unit, periods = periods_of(range_)
    lines = [e164(name, counting.country) for name in stats.by_dialled(_MOST_LINES)]
    hours = covered.hours()
    calls_by_hour = [0] * len(hours)
    for week in counting.hours.values():
        calls_by_hour = [one + other for one, other in zip(calls_by_hour, week, strict=True)]
    gave_up = sorted(counting.gave_up)
    return Figures(
        range=range_,
        before_range=range_.before(),
        now=now,
        unit=unit,
        total=stats.total,
        before=counting.before if knows_before else None,
        directions=_by_direction(counting),
        outcomes=stats.by_outcome(),
        columns=_columns(counting, periods, covered, range_),
        days=list(stats.by_day().items()),
        spans=covered.spans,
        hours=hours,
        calls_by_hour=calls_by_hour,
        waits=stats.waits(),
        answered_within=[stats.share_within(seconds) for seconds in WITHIN],
        gave_up=len(gave_up),
        gave_up_within=[
            bisect.bisect_right(gave_up, seconds) / max(1, len(gave_up)) for seconds in WITHIN
        ],
        gave_up_median=at_share(gave_up, 0.5) if gave_up else None,
        reached=_reached(counting, after),
        numbers=_named(stats.by_number(top)),
        lines=_named(stats.by_dialled(top)),
        answerers=_named(stats.by_answerer(top)),
        countries=_countries(counting),
        networks=_networks(counting),
        without_cost=counting.without_cost,
        outbound_without_cost=counting.outbound_without_cost,
        without_legs=counting.without_legs,
        longest=counting.longest(),
        dearest=counting.dearest(),
        busiest=_busiest(counting.starts, counting.ends, range_.zone),
        filter_lines=lines,
        line_names={
            e164(name, counting.country): name for name in stats.by_dialled(len(counting.slices))
        },
        cube=_cube(counting, periods, lines),
        hours_by_filter=_hours_by_filter(counting, lines),
    )


def _by_direction(counting: Counting) -> list[tuple[int, Slice]]:
    found: dict[int, Slice] = {}
    for (_, direction, _), part in counting.slices.items():
        _merge(found.setdefault(direction, Slice()), part)
    return sorted(found.items())


def _columns(
    counting: Counting, periods: Sequence[Period], covered: Covered, range_: Range
) -> list[Column]:
    starts = [period.first for period in periods]
    slices = [Slice() for _ in periods]
    for (day, _, _), part in counting.slices.items():
        _merge(slices[_at(starts, day)], part)
    columns: list[Column] = []
    for period, part in zip(periods, slices, strict=True):
        length, known = covered.of(period, range_)
        columns.append(Column(period, known / length if length else 0.0, part))
    return columns


def _at(starts: Sequence[date], day: date) -> int:
    return max(0, bisect.bisect_right(starts, day) - 1)


def _cube(
    counting: Counting, periods: Sequence[Period], lines: Sequence[str]
) -> dict[tuple[int, int, int], Slice]:
    starts = [period.first for period in periods]
    found: dict[tuple[int, int, int], Slice] = {}
    for (day, direction, line), part in counting.slices.items():
        place = _at(starts, day), direction, in_filter(line, lines)
        _merge(found.setdefault(place, Slice()), part)
    return dict(sorted(found.items()))


def _hours_by_filter(
    counting: Counting, lines: Sequence[str]
) -> dict[tuple[int, int], Sequence[int]]:
    found: dict[tuple[int, int], list[int]] = {}
    for (direction, line), week in counting.hours.items():
        place = direction, in_filter(line, lines)
        before = found.get(place)
        found[place] = (
            list(week)
            if before is None
            else [one + other for one, other in zip(before, week, strict=True)]
        )
    return dict(sorted(found.items()))


def in_filter(line: str, lines: Sequence[str]) -> int:
    """Give the place of a line in the filter; behind all come the others, and then no line."""
    if not line:
        return len(lines) + 1
    return lines.index(line) if line in lines else len(lines)


def _merge(into: Slice, part: Slice) -> None:
    for field in attrs.fields(Slice):
        setattr(into, field.name, getattr(into, field.name) + getattr(part, field.name))


def _named(groups: Mapping[str, Totals]) -> list[Line]:
    return [Line(name, totals) for name, totals in groups.items()]


def _networks(counting: Counting) -> list[Place]:
    places = [
        Place(country, network, calls, cost)
        for (country, network), (calls, cost) in counting.places.items()
    ]
    return sorted(places, key=_dearest_first)[:_MOST_PLACES]


def _countries(counting: Counting) -> list[Place]:
    found: dict[str, Place] = {}
    for (country, _), (calls, cost) in counting.places.items():
        one = found.get(country) or Place(country, "", 0, Decimal(0))
        found[country] = attrs.evolve(one, calls=one.calls + calls, cost=add_costs(one.cost, cost))
    return sorted(found.values(), key=_dearest_first)[:_MOST_PLACES]


def _dearest_first(place: Place) -> tuple[Decimal, str, str]:
    return -place.cost, place.country, place.network


def _reached(counting: Counting, until: datetime) -> Reached:
    """Look for the first talk with a number after each missed call of it."""
    parties, talks, kinds = counting.parties, counting.talks, counting.kinds
    # By party, and then from the last to the first: what was seen last comes next in time. At one
    # moment the talk comes after the missed call in this order: it is not a call back.
    order = sorted(range(len(talks)), key=lambda at: (parties[at], -talks[at], kinds[at] != MISSED))
    hour = day = later = again = still_open = 0
    waits: list[float] = []
    open_parties: list[int] = []
    for party, found in groupby(order, key=parties.__getitem__):
        next_talk: tuple[float, int] | None = None
        is_last = True
        for at in found:
            if kinds[at] != MISSED:
                next_talk = talks[at], kinds[at]
                continue
            if next_talk is None:
                still_open += 1
                if is_last:
                    open_parties.append(party)
            elif next_talk[1] == TALKED_IN:
                again += 1
            else:
                wait = next_talk[0] - talks[at]
                waits.append(wait)
                hour += wait <= _HOUR
                day += _HOUR < wait <= _DAY
                later += wait > _DAY
            is_last = False
    waits.sort()
    last = sorted(
        ((counting.missed[party], counting.times_missed[party]) for party in open_parties),
        key=lambda one: (-one[0].moment, one[0].number),
    )
    return Reached(
        missed=hour + day + later + again + still_open + counting.hidden,
        within_hour=hour,
        within_day=day,
        later=later,
        rang_again=again,
        open=still_open,
        hidden=counting.hidden,
        median=at_share(waits, 0.5) if waits else None,
        until=until,
        callers=len(open_parties),
        last=last[:_MOST_OPEN],
    )


def _busiest(starts: array[float], ends: array[float], zone: tzinfo) -> Busiest | None:
    """Find when the most calls were connected or ringing at once."""
    # A call that ends when another one starts is not there with it.
    firsts, lasts = sorted(starts), sorted(ends)

    def at_once(moment: float) -> int:
        return bisect.bisect_right(firsts, moment) - bisect.bisect_right(lasts, moment)

    most, when = 0, 0.0
    for start in firsts:
        calls = at_once(start)
        if calls > most:
            most, when = calls, start
    if not most:
        return None
    moment = datetime.fromtimestamp(when, zone)
    midnight, next_midnight = (
        datetime.combine(moment.date() + timedelta(days=days), time(), zone).timestamp()
        for days in (0, 1)
    )
    quarters: list[int] = []
    begin = midnight
    while begin < next_midnight:
        end = min(begin + _QUARTER, next_midnight)
        within = firsts[bisect.bisect_left(firsts, begin) : bisect.bisect_left(firsts, end)]
        quarters.append(max(map(at_once, [begin, *within])))
        begin = end
    until = lasts[bisect.bisect_right(lasts, when)]
    return Busiest(most, moment, until - when, quarters)


def _shares(shares: Sequence[float]) -> dict[str, float]:
    return {f"{seconds}": round(share, 4) for seconds, share in zip(WITHIN, shares, strict=True)}


def _text(end: datetime) -> str:
    return end.isoformat(" ")


def _call(row: Row) -> dict[str, Any]:
    return {
        "start": row.start.isoformat(),
        "direction": DIRECTIONS[row.direction],
        "party": row.party,
        "name": row.name,
        "dialled": row.line,
        "answered_by": row.answered_by,
        "talk_seconds": whole(row.talk),
        "cost": f"{row.cost:f}",
    }
