"""Legs and calls in order, and real time between them, at little cost.

Python compares and subtracts two datetimes of one zone by their wall clock. That takes 0.02 µs,
where to ask for a timestamp takes 0.75, and is right on a day on which no clock is changed. So we
look at the day first, and convert to UTC only the calls that run over a midnight or a clock change.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from boxis_async._wire.wallclock import is_steady
from boxis_async.call_model import Call
from boxis_async.models import CDR

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["calls_in_order", "in_order", "real_time_of"]

Item = TypeVar("Item", CDR, Call)
Place = TypeVar("Place", tuple[float, int], tuple[datetime, int])


def in_order(legs: list[CDR], real: Callable[[datetime], datetime]) -> list[CDR]:
    """Sort the legs of a call by start, then by sequence.

    Args:
        legs: All legs of the call.
        real: What `real_time_of` gives for them.
    """
    if len(legs) == 1:
        return legs
    return _sorted(legs, [(real(leg.start), leg.sequence or 0) for leg in legs])


def calls_in_order(calls: list[Call]) -> list[Call]:
    """Sort calls by start, then by what their first legs are."""
    return _sorted(calls, [(call.start.timestamp(), call.legs[0].sequence or 0) for call in calls])


def real_time_of(legs: Sequence[CDR]) -> Callable[[datetime], datetime]:
    """Give a function that makes the times of legs comparable as the moments they are."""
    zone = legs[0].start.tzinfo
    starts = [leg.start for leg in legs]
    ends = [leg.end for leg in legs if leg.end is not None]
    answers = [leg.answer for leg in legs if leg.answer is not None]
    times = starts + ends + answers
    first, last = min(times), max(times)
    day = first.toordinal()
    if (
        day == last.toordinal()
        and zone is not None
        and all(moment.tzinfo is zone for moment in times)
        and is_steady(day, zone)
    ):
        return _as_it_is
    return _in_utc


def _as_it_is(moment: datetime) -> datetime:
    return moment


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        # At the end of time an hour more or less is no matter.
        return moment.replace(tzinfo=UTC)


def _sorted(items: list[Item], places: Sequence[Place]) -> list[Item]:
    """Sort by places, and what shares a place by all that it holds.

    That is slow, and rarely needed. Without it the order in which legs come would show.
    """
    numbers = sorted(range(len(items)), key=places.__getitem__)
    found = [items[number] for number in numbers]
    if len(set(places)) == len(places):
        return found
    at = 0
    while at < len(found):
        end = at + 1
        while end < len(found) and places[numbers[end]] == places[numbers[at]]:
            end += 1
        if end - at > 1:
            found[at:end] = sorted(found[at:end], key=_whole)
        at = end
    return found


def _whole(item: CDR | Call) -> str:
    return repr(item if isinstance(item, CDR) else item.legs)
