"""A range, cut into windows on the provider's wall clock, and a window, cut in halves.

Neighbours overlap by a whole second: each window but the first begins a second before the one
before it ends. Nobody knows whether the server includes the two dates, nor whether it looks at a
call's start, its end, or both (page "Get Calls History" is silent). With both dates exclusive, a
second that two windows only share is in neither. With a whole second in both, the union of the
windows is the undivided request's answer under every such rule, and repeats are recognised by their
key. The range's own two ends stay as they are, so that the rule applies to them as it would.

Only where a call must lie within the dates as a whole, a second is not enough. Then the contract
says how long a call may be, and neighbours overlap by a little more than that: see `overlap_by`.

No boundary lies inside a repeated hour. A call that runs through the change can end, on the
wall clock, before it started: a server that looks at both would give it for the whole range,
and for neither of two windows that part between its end and its start. At the hour's two ends the
overlap is enough: such a call starts before the hour's end and ends at its beginning or later.

No boundary lies in or next to an hour that the clock skips in spring either. A time in it does not
exist. Where a window begins there, a server that compares moments may begin an hour later, and what
lies in between would be in no window.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from boxis_async._plain import plain_length
from boxis_async.models import OVERLAP, Plan, Stretch, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from boxis_async._wire.wallclock import Range, Span
    from boxis_async.contract_model import Contract
    from boxis_async.models import CDR

__all__ = [
    "PlannedWindows",
    "Windows",
    "boundary",
    "halve",
    "meets",
    "overlap_by",
    "plan_of",
    "smallest",
]

_SECOND = timedelta(seconds=1)
_HOUR = timedelta(hours=1)
_FIRST_GUESS = timedelta(days=1)
# So many windows hold a moment at most, where neighbours overlap.
_PARTS = 8


def overlap_by(contract: Contract | None) -> timedelta:
    """Give by how much neighbouring windows overlap, by what is known of the server."""
    if contract is None or contract.rule != "within" or contract.longest_call is None:
        return OVERLAP
    # An hour more, as the clock may be put forward during the call: a server that compares the
    # texts sees it take an hour longer, and one that compares moments sees the overlap an hour
    # shorter.
    return plain_length(contract.longest_call) + _HOUR + OVERLAP


def plan_of(
    range_: Range | None,
    window: timedelta | None,
    spans: Iterable[Span],
    overlap: timedelta = OVERLAP,
) -> Plan:
    """Cut parts of a range into windows of one length; the last of each part may be shorter.

    Args:
        range_: The range, or None for the one request for everything.
        window: The length of a window, or None for a first guess of a day.
        spans: The parts of the range to ask for, each cut from its own start. One that does not
            begin with the range begins early, by the overlap, within what lies before it: no length
            is counted from there, or a missing part of one window would need two.
        overlap: By how much neighbours overlap.
    """
    length = window or _FIRST_GUESS
    if range_ is None:
        return Plan((Stretch(None, None, length),))
    stretches = [part for span in spans for part in _stretches(span, length, range_, overlap)]
    return Plan(tuple(stretches), guess=window is None)


def boundary(wanted: datetime, end: datetime, uncut: Iterable[Span]) -> datetime:
    """Give the first moment that may part two windows, from a wanted one on, or the range's end."""
    for first, last in uncut:
        if first < wanted < last:
            wanted = last
    return min(wanted, end)


class Windows(Protocol):
    """The windows of a range, in order, each known when it is to be asked for."""

    @property
    def left(self) -> bool:
        """Whether there is something left to ask for."""
        ...

    def next(self, *, is_busy: bool) -> Window | None:
        """Give the next window; None, if any is under way, to wait for what comes back."""
        ...

    def learn(self, window: Window, cdrs: Sequence[CDR]) -> None:
        """Learn from a window that came back, with its records."""
        ...

    def fail(self, window: Window) -> None:
        """Take note of a window that could not be had."""


class PlannedWindows:
    """The windows of a plan, one after the other."""

    def __init__(self, plan: Plan) -> None:
        self._windows = iter(plan)
        self._left = len(plan)

    @property
    def left(self) -> bool:
        """Whether there are windows left to ask for."""
        return self._left > 0

    def next(self, *, is_busy: bool) -> Window | None:  # noqa: ARG002 - nothing is waited for
        """Give the next window."""
        self._left -= 1
        return next(self._windows)

    def learn(self, window: Window, cdrs: Sequence[CDR]) -> None:
        """Learn nothing: the windows are as long as the caller wants them."""

    def fail(self, window: Window) -> None:
        """Learn nothing either."""


def halve(
    window: Window, uncut: Iterable[Span], by: timedelta = OVERLAP
) -> tuple[Window, Window] | None:
    """Cut a window in two that overlap by some time, each shorter; None if it cannot be."""
    if window.start is None or window.end is None or window.length <= _shortest(by):
        return None
    middle = (window.start + (window.length + by) // 2).replace(microsecond=0)
    for hour in uncut:
        if hour[0] < middle < hour[1]:
            edges = [edge for edge in hour if window.start + by < edge < window.end]
            if not edges:
                return None
            middle = edges[0]
    return Window(window.start, middle), Window(middle - by, window.end)


def meets(window: Window, uncut: Iterable[Span]) -> bool:
    """Report whether a window has time in common with a span inside which no two may part."""
    start, end = window.start, window.end
    return any(
        start is not None and end is not None and start < last and first < end
        for first, last in uncut
    )


def smallest(window: Window, by: timedelta = OVERLAP) -> Window:
    """Give the smallest window at the start of one that can be halved."""
    return window if window.start is None else Window(window.start, window.start + _shortest(by))


def _shortest(by: timedelta) -> timedelta:
    """Give the length of the shortest window that is asked for, where neighbours overlap."""
    # With both dates exclusive, it asks for a second beside the overlap. Where they overlap by
    # hours, to go down to a second would ask for the same calls thousands of times.
    return by + max(_SECOND, by / _PARTS)


def _stretches(
    span: Span, length: timedelta, range_: Range, between: timedelta
) -> Iterator[Stretch]:
    """Cut a span on a grid, joining the windows whose boundary would lie where none may lie."""
    at, end = span
    overlap = between if at > range_.start else timedelta(0)
    at += overlap
    for first, last in range_.uncut:
        if last <= at or end <= first or at == end:
            continue
        whole_before = max(0, (first - at) // length)
        whole_after = -((at - last) // length)
        if whole_after - whole_before <= 1:
            continue
        begin = at + whole_before * length
        beyond = end if end - at <= whole_after * length else at + whole_after * length
        if begin > at:
            yield Stretch(at, begin, length, overlap, between)
            overlap = min(between, begin - span[0])
        yield Stretch(begin, beyond, beyond - begin, overlap, between)
        at, overlap = beyond, min(between, beyond - span[0])
        if at == end:
            return
    yield Stretch(at, end, length, overlap, between)
