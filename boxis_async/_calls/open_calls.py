"""The calls of a stream that may still get a leg, each handed over once it is quiet.

Only the open legs are kept. Whenever time has moved on by half of the margin, they are grouped
as all legs at once would be, and what has been quiet for a margin is closed. Each leg is so grouped
a handful of times, which costs less than to keep every join between open calls up to date, and
cannot find other calls than `group_calls` does.

A leg of a call that is closed would make two calls of one, so it is an error.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from boxis_async._calls.build import build
from boxis_async._calls.closed import ClosedNames
from boxis_async._calls.group import group
from boxis_async._calls.order import calls_in_order, in_order, real_time_of
from boxis_async.errors import LateLegError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from boxis_async.call_model import Call
    from boxis_async.models import CDR
    from boxis_async.types import Reached

__all__ = ["OpenCalls"]

# Times are compared by the wall clock, at a fortieth of what a timestamp costs. So a call is kept
# open longer than the margin, by more than any clock is set forward.
_CLOCK_CHANGE = timedelta(hours=2)
_CHECKS_A_MARGIN = 2


class OpenCalls:
    """Takes legs about in order of time, and gives calls once they are quiet."""

    def __init__(
        self,
        margin: timedelta | None,
        reached: Callable[[CDR], Reached | None] | None,
        country: str,
    ) -> None:
        """Begin without a leg.

        Args:
            margin: How long after the end of its last leg a call is kept open; None is to the end.
            reached: The user's own judgement of a leg.
            country: The country that a number with a single leading 0 is of.
        """
        self._margin = margin
        self._kept = None if margin is None else margin + _CLOCK_CHANGE
        self._reached = reached
        self._country = country
        self._legs: list[CDR] = []
        self._closed = ClosedNames()
        self._now: datetime | None = None
        """The latest start so far."""
        self._checked: datetime | None = None
        """What that was when calls were last closed."""

    def add(self, legs: Iterable[CDR]) -> list[Call]:
        """Take legs, and give the calls that are quiet by now, by their start.

        Raises:
            LateLegError: A leg comes a margin or more after its call was quiet.
            UsageError: `reached` gave none of the words for whom a leg reached.
        """
        found: list[Call] = []
        if self._kept is None:
            self._legs += legs
            return found
        for leg in legs:
            start = leg.start
            if self._now is None or self._checked is None:
                self._now = self._checked = start
            elif start > self._now:
                self._now = start
                if start - self._checked > self._kept / _CHECKS_A_MARGIN:
                    self._checked = start
                    found += self._take(start)
            elif self._now - start > self._kept:
                # Its call may be closed, by another name than its own.
                raise self._late(leg)
            if any(map(self._closed.__contains__, _names_to_find(leg))):
                raise self._late(leg)
            self._legs.append(leg)
        return found

    def close(self) -> list[Call]:
        """Give the calls that are left, as no leg follows."""
        return self._take(None)

    def _take(self, now: datetime | None) -> list[Call]:
        """Take out the calls that are quiet at a time, or all."""
        open_legs: list[CDR] = []
        calls: list[Call] = []
        for legs in group(self._legs, self._country):
            if now is None or self._kept is None or now - max(map(_ended, legs)) > self._kept:
                self._check_gaps(legs)
                calls.append(build(legs, self._reached))
                self._closed.add(_names(legs))
            else:
                open_legs += legs
        self._legs = open_legs
        return calls_in_order(calls)

    @property
    def legs(self) -> Sequence[CDR]:
        """The legs of open calls."""
        return self._legs

    def reach(self, starts_within: Callable[[datetime], bool]) -> datetime | None:
        """Give when the last leg ended of the open calls that start in a range."""
        latest: datetime | None = None
        for legs in group(self._legs, self._country):
            ended = max(map(_ended, legs))
            if (latest is None or ended > latest) and starts_within(
                in_order(legs, real_time_of(legs))[0].start
            ):
                latest = ended
        return latest

    def _check_gaps(self, legs: list[CDR]) -> None:
        """Refuse a call that was quiet for longer than the margin.

        Whether it was taken out in between depends on what other calls there were.
        """
        if len(legs) == 1 or self._margin is None:
            return
        real = real_time_of(legs)
        first, *others = in_order(legs, real)
        until = real(_ended(first))
        for leg in others:
            if real(leg.start) - until > self._margin:
                raise self._late(leg)
            until = max(until, real(_ended(leg)))

    def _late(self, leg: CDR) -> LateLegError:
        return LateLegError(
            f"a leg that starts at {leg.start:%Y-%m-%d %H:%M:%S} comes more than margin="
            f"{self._margin} after its call was quiet: give a longer margin",
            margin=self._margin,
        )


def _ended(leg: CDR) -> datetime:
    return leg.start if leg.end is None or leg.end < leg.start else leg.end


# By these a later leg may belong to a closed call: the letter says as what the closed one has it.


def _names(legs: Iterable[CDR]) -> set[str]:
    names: set[str] = set()
    for leg in legs:
        uniqueid, linkedid = leg.uniqueid, leg.linkedid
        if uniqueid or linkedid:
            names.add(f"call {linkedid or uniqueid}")
        if uniqueid:
            names.add(f"leg {uniqueid}")
            if not linkedid:
                names.add(f"lone {uniqueid}")
        if leg.prevuniqueid:
            names.add(f"previous {leg.prevuniqueid}")
    return names


def _names_to_find(leg: CDR) -> Iterator[str]:
    uniqueid, linkedid = leg.uniqueid, leg.linkedid
    yield f"call {linkedid or uniqueid}"
    yield f"previous {uniqueid}"
    yield f"{'lone' if linkedid else 'leg'} {uniqueid}"
    if leg.prevuniqueid:
        yield f"leg {leg.prevuniqueid}"
