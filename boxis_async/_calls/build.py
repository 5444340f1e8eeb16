"""The legs of one call → a `Call`."""

from __future__ import annotations

from datetime import timedelta
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Final, TypeVar

from boxis_async._calls.judge import extension_in, judge, names_somebody
from boxis_async.call_model import Call, Outcome
from boxis_async.models import CDR, Direction, Disposition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from boxis_async.types import Reached

__all__ = ["build", "calls_in_order", "in_order"]

Item = TypeVar("Item", CDR, Call)

_NO_TIME: Final = timedelta(0)
_NO_COST: Final = Decimal(0)
# More digits than any cost has. The default, 28, would round without a word.
_EXACT: Final = Context(prec=200)


def build(legs: list[CDR], reached: Callable[[CDR], Reached | None] | None) -> Call:
    """Make a call of all its legs, in whatever order they are.

    Raises:
        UsageError: `reached` gave none of the words for whom a leg reached.
    """
    ordered = in_order(legs)
    found = judge(ordered, reached)
    persons = [leg for leg, what in zip(ordered, found, strict=True) if what == "person"]
    start = ordered[0].start
    began = start.timestamp()
    end, ended = _end(ordered, began)
    spans = [_talk(leg, began, ended) for leg in persons]
    picked_up = min(spans)[0] if spans else ended
    direction = next((way for leg in ordered if (way := leg.direction)), None)
    caller_number = _first(leg.caller_number for leg in ordered)
    dialled = _first(leg.firstdst or leg.dst for leg in ordered)
    if direction is Direction.INBOUND:
        outside = caller_number
    else:
        outside = dialled if direction is Direction.OUTBOUND else ""
    return Call(
        legs=tuple(ordered),
        start=start,
        end=end,
        direction=direction,
        caller_number=caller_number,
        caller_name=_first(leg.caller_name for leg in ordered),
        dialled=dialled,
        outside=outside,
        outcome=_outcome(ordered, found),
        answered_by=_name_of(persons[0]) if persons else "",
        wait=timedelta(seconds=picked_up - began),
        talk=timedelta(seconds=_union(spans)) if spans else _NO_TIME,
        cost=_cost(ordered),
    )


def in_order(legs: list[CDR]) -> list[CDR]:
    """Sort legs by start, then by sequence."""
    return legs if len(legs) == 1 else _sorted(legs, _position)


def calls_in_order(calls: list[Call]) -> list[Call]:
    """Sort calls by start, then by what their first legs are."""
    return _sorted(calls, lambda call: _position(call.legs[0]))


def _position(leg: CDR) -> tuple[float, int]:
    return leg.start.timestamp(), leg.sequence or 0


def _sorted(items: list[Item], position: Callable[[Item], tuple[float, int]]) -> list[Item]:
    """Sort by a position, and what shares one by all that it holds.

    That is slow, and rarely needed. Without it the order in which legs come would show.
    """
    places: dict[tuple[float, int], list[Item]] = {}
    for item in items:
        places.setdefault(position(item), []).append(item)
    found: list[Item] = []
    for place in sorted(places):
        at_one = places[place]
        found += at_one if len(at_one) == 1 else sorted(at_one, key=_whole)
    return found


def _whole(item: CDR | Call) -> str:
    return repr(item if isinstance(item, CDR) else item.legs)


def _end(legs: Sequence[CDR], began: float) -> tuple[datetime | None, float]:
    """Give when the last leg ended, and the same in Unix seconds, not before the start."""
    ends = [(leg.end.timestamp(), leg.end) for leg in legs if leg.end is not None]
    if not ends:
        return None, began
    ended, end = max(ends, key=lambda pair: pair[0])
    return end, max(began, ended)


def _talk(leg: CDR, began: float, ended: float) -> tuple[float, float]:
    """Give from when to when a person was connected, in Unix seconds, within the call."""
    answer, end = leg.answer, leg.end
    if answer is not None:
        first = answer.timestamp()
    elif end is not None and leg.billsec is not None:
        first = end.timestamp() - leg.billsec
    else:
        first = leg.start.timestamp()
    last = first + (leg.billsec or 0) if end is None else end.timestamp()
    first = min(max(first, began), ended)
    return first, min(max(first, last), ended)


def _union(spans: Iterable[tuple[float, float]]) -> float:
    """Add up times, those that several of them cover once."""
    total = 0.0
    until = float("-inf")
    for first, last in sorted(spans):
        total += max(0.0, last - max(first, until))
        until = max(until, last)
    return total


def _outcome(legs: Sequence[CDR], found: Sequence[Reached]) -> Outcome:
    if "person" in found:
        return Outcome.ANSWERED
    if "voicemail" in found:
        return Outcome.VOICEMAIL
    if "nobody" not in found:
        return Outcome.MACHINE
    last = max(number for number, what in enumerate(found) if what == "nobody")
    said = legs[last].disposition
    if said is None:
        return Outcome.UNKNOWN
    # Where the user's own judgement says that an answered leg reached nobody.
    return Outcome.NO_ANSWER if said == Disposition.ANSWERED else Outcome(said.value)


def _name_of(leg: CDR) -> str:
    return leg.wherelanded.strip() if names_somebody(leg) else extension_in(leg.dstchannel)


def _cost(legs: Iterable[CDR]) -> Decimal:
    total = _NO_COST
    for leg in legs:
        if leg.cc_cost is not None:
            total = leg.cc_cost if total is _NO_COST else _EXACT.add(total, leg.cc_cost)
    return total


def _first(texts: Iterable[str]) -> str:
    return next(filter(None, texts), "")
