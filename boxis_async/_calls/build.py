"""The legs of one call → a `Call`."""

from __future__ import annotations

from datetime import timedelta
from functools import reduce
from typing import TYPE_CHECKING, Final

from boxis_async._calls.costs import NO_COST, add_costs
from boxis_async._calls.judge import extension_in, judge, names_somebody
from boxis_async._calls.order import in_order, real_time_of
from boxis_async.call_model import Call, Outcome
from boxis_async.models import CDR, Direction, Disposition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from boxis_async.types import Reached

__all__ = ["build"]

_NO_TIME: Final = timedelta(0)
# Seconds, from the first year that a record may have to the last. No talk is cut by it, and no sum
# leaves what a datetime holds, however long the provider says that somebody talked.
_LONGEST: Final = 1100 * 366 * 86_400


def build(legs: list[CDR], reached: Callable[[CDR], Reached | None] | None) -> Call:
    """Make a call of all its legs, in whatever order they are.

    Raises:
        UsageError: `reached` gave none of the words for whom a leg reached.
    """
    real = real_time_of(legs)
    ordered = in_order(legs, real)
    found = judge(ordered, reached)
    persons = [leg for leg, what in zip(ordered, found, strict=True) if what == "person"]
    began = real(ordered[0].start)
    end = max((leg.end for leg in ordered if leg.end is not None), key=real, default=None)
    ended = began if end is None else max(began, real(end))
    spans = [_talk(leg, began, ended, real) for leg in persons]
    direction = next((way for leg in ordered if (way := leg.direction)), None)
    caller_number = _first(leg.caller_number for leg in ordered)
    dialled = _first(leg.firstdst or leg.dst for leg in ordered)
    if direction is Direction.INBOUND:
        outside = caller_number
    else:
        outside = dialled if direction is Direction.OUTBOUND else ""
    return Call(
        legs=tuple(ordered),
        start=ordered[0].start,
        end=end,
        direction=direction,
        caller_number=caller_number,
        # An agent who transfers the call has a leg, and a name, of their own.
        caller_name=_first(
            leg.caller_name for leg in ordered if leg.caller_number == caller_number
        ),
        dialled=dialled,
        outside=outside,
        outcome=_outcome(ordered, found),
        answered_by=_name_of(persons[0]) if persons else "",
        wait=(min(spans)[0] if spans else ended) - began,
        talk=_union(spans) if spans else _NO_TIME,
        cost=reduce(add_costs, (leg.cc_cost for leg in ordered), NO_COST),
    )


def _talk(
    leg: CDR, began: datetime, ended: datetime, real: Callable[[datetime], datetime]
) -> tuple[datetime, datetime]:
    """Give from when to when a person was connected, within the call."""
    answer, end = leg.answer, leg.end
    length = timedelta(seconds=min(max(leg.billsec or 0, -_LONGEST), _LONGEST))
    if answer is not None:
        first = real(answer)
    elif end is not None and leg.billsec is not None:
        first = real(end) - length
    else:
        first = real(leg.start)
    last = first + length if end is None else real(end)
    first = min(max(first, began), ended)
    return first, min(max(first, last), ended)


def _union(spans: Iterable[tuple[datetime, datetime]]) -> timedelta:
    """Add up times, those that several of them cover once."""
    total = _NO_TIME
    until: datetime | None = None
    for first, last in sorted(spans):
        if until is None or first >= until:
            total += last - first
            until = last
        elif last > until:
            total += last - until
            until = last
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


def _first(texts: Iterable[str]) -> str:
    return next(filter(None, texts), "")
