"""Proofs of what one answer alone cannot show: each sends a few requests, and then it is known.

*Whole*: is an answer cut off? One longer window decides it most often: if its answer holds more
records, then the server's cap, if there is one, is larger than the answer in question. Else the two
halves of the window must hold no record that it lacks. A half with as many records is proved in the
same way, and a window of two seconds by smaller ones. Where the rule may be *within*, halves prove
nothing unless they overlap by the longest call, as what was cut off may be a call over their
boundary. Before a cap is concluded the window is fetched again, as records may have been added.

*Within*: does a call have to lie within the two dates as a whole? Two windows that part a known
call decide. By every other rule the call is in one of them. If it is in neither, although a window
around it holds it, the server follows *within*. A call of a second, and one without length, decide
together, by which of the windows around each of them hold it.

*Ignored dates*: does each answer hold everything? A window more than a year away decides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import TYPE_CHECKING, TypeAlias

from boxis_async._run.date_rules import (
    ALL_RULES,
    WITHIN,
    admitting,
    is_covered,
    remaining,
)
from boxis_async._run.fetched import Fetched, fitting_calls, wall_span
from boxis_async._run.windows import halve
from boxis_async.errors import ContractError, WindowError
from boxis_async.models import OVERLAP, Window

if TYPE_CHECKING:
    from collections.abc import Iterable

    from boxis_async._run.known_server import KnownServer
    from boxis_async._wire.wallclock import Span

__all__ = ["Ask", "far_from", "find_rule_within", "holds_everything", "prove_whole"]

Ask: TypeAlias = Callable[[Window], Awaitable[Fetched]]
"""Requests exactly one window, once more where it fails."""

_NONE = timedelta(0)
_SECOND = timedelta(seconds=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_YEAR = timedelta(days=366)
# How far the last windows reach that may hold more than an answer which nothing else proves: one
# after the other, as the next has much to send where the one before had little.
_FAR = (timedelta(days=30), _YEAR, 5 * _YEAR, 25 * _YEAR)
_TRIES = 3
_MANY_RECORDS = 4000
# Before all telephone exchanges that are read here, and no server takes it for a missing date.
_LONG_AGO = datetime(1980, 1, 1)  # noqa: DTZ001 - a wall time
_FIRST, _LAST = datetime.min, datetime.max  # noqa: DTZ901 - the ends of time, by the wall clock


async def find_rule_within(known: KnownServer, calls: Fetched, ask: Ask) -> None:
    """Find out whether the server follows *within*, by calls that take two seconds or more.

    Where none does, shorter ones may show it. It stays unknown if no call shows it, or if all that
    came may be cut off.
    """
    for cdr, leg in islice(fitting_calls(calls, 2 * _SECOND), _TRIES):
        start, end = wall_span(cdr)
        middle = (start + (end - start) / 2).replace(microsecond=0)
        around = start - _SECOND, end + _SECOND
        may_be_cut = False
        for window in (Window(around[0], middle), Window(middle, around[1])):
            part = await ask(window)
            if leg in part.legs():
                known.follows_within = False
            if known.follows_within is not None:
                return
            may_be_cut |= known.may_be_cut(len(part))
        if not may_be_cut and leg in (await ask(Window(*around))).legs():
            known.follows_within = True
            return
    await _find_rule_by_bounds(known, calls, ask)


async def _find_rule_by_bounds(known: KnownServer, calls: Fetched, ask: Ask) -> None:
    """Find it out by a call of a second, which no window parts, and by one without length.

    A server that includes one of the dates gives a call of a second for a window up to its start,
    or from its end on. The call without length shows which of them it includes. By *within*, a
    window that has the other call must then begin before it, or end behind it.
    """
    short = [*islice(fitting_calls(calls, _SECOND), 1)]
    if not short:
        return  # a call without length is in the same windows, whatever is compared
    short += islice(fitting_calls(calls, _NONE, at_most=_NONE), 1)
    left = ALL_RULES
    for cdr, leg in short:
        start, end = call = wall_span(cdr)
        before, behind = start - _SECOND, end + _SECOND
        # By every rule the last one has it: if it is gone by then, no rule is left.
        around = before, behind
        for window in dict.fromkeys(
            [(before, start), (end, behind), (start, end), (before, end), (start, behind), around]
        ):
            part = await ask(Window(*window))
            is_there = leg in part.legs()
            if is_there and not admitting(call, window) & WITHIN:
                known.follows_within = False
            if known.follows_within is not None:
                return
            is_whole = not known.may_be_cut(len(part))
            left &= remaining(window, [call] if is_there else [], [call], is_whole=is_whole)
    if left and not left & WITHIN:
        known.follows_within = False
    elif left and not left & ~WITHIN:
        known.follows_within = True


async def holds_everything(answer: Fetched, ask: Ask) -> bool:
    """Find out whether a window far away has the same records."""
    far = far_from(wall_span(cdr) for cdr in answer.records.cdrs)
    return answer.legs() <= (await ask(Window(*far))).legs()


def far_from(spans: Iterable[Span]) -> Span:
    """Give the two dates of a window more than a year away from some spans.

    It lies before them, where there is such a time: a server that minds `dateto` alone has nothing
    for it. Of a window behind them it would have all, and pass for one that ignores both dates.
    """
    ends = [moment for span in spans for moment in span]
    begin = min(ends)
    far = begin - _YEAR - _HOUR if begin - _FIRST > 2 * _YEAR else max(ends) + _YEAR
    return far, far + _HOUR


async def prove_whole(  # noqa: PLR0913 - each is one thing that the proof needs
    known: KnownServer,
    answer: Fetched,
    ask: Ask,
    *,
    uncut: Iterable[Span],
    overlap: timedelta,
    now: datetime,
    tenant: str,
) -> Fetched:
    """Prove that an answer is whole, or find the cap at which it was cut off.

    Returns:
        The answer, or a later one for the same window; to be looked at anew if a cap was found.

    Raises:
        ContractError: Neither can be shown.
        WindowError: A request that the proof needs failed for good.
    """
    if await _has_more(_around(answer.window, _further(answer)), answer, ask):
        return answer
    if known.follows_within is None:
        # Else two halves may lack just the call that was cut off.
        await find_rule_within(known, answer, ask)
    for _ in range(_TRIES):
        parting = _Parting(known, ask, tuple(uncut), overlap, len(answer))
        lacking = await parting.lacking(Fetched(_bounded(answer, now), answer.records))
        may_lose = known.follows_within is not False and overlap == OVERLAP
        if lacking is None or (not lacking and may_lose and known.may_be_cut(len(answer))):
            if await _is_exceeded_far_away(answer, ask):
                return answer
            raise _cannot_be_shown(answer, tenant, may_lose=may_lose)
        if not lacking:
            return answer
        again = await ask(answer.window)
        if len(again) > len(answer):
            # Records were added meanwhile, and an answer holds more than the one in question.
            return answer
        if len(again) == len(answer) and not lacking <= again.legs():
            known.find_cap(len(answer))
            return answer
        answer = again
        if not known.may_be_cut(len(answer)):
            return answer
    raise ContractError(
        f"the answers for window {answer.window} differ each time, so that none can be proved "
        "whole",
        window=answer.window,
        tenant=tenant,
    )


def _cannot_be_shown(answer: Fetched, tenant: str, *, may_lose: bool) -> ContractError:
    """Make the error of an answer that may be cut off, where no request shows whether it is."""
    count = len(answer)
    why = (
        "and no part of it has a call around all of them, if a call must lie within the two dates "
        "as a whole"
        if may_lose
        else "all of them in one second, or at the same time"
    )
    return ContractError(
        f"{count} records came for window {answer.window}, {why}, and whether more were cut off "
        "cannot be shown, as no window brings more. Fetch a tenant with more calls first, by the "
        "same client; or, if you know that the provider gives more records in an answer, say how "
        f"many, more than {count}: row_limit=... or contract=Contract(no_cap_up_to=...)",
        window=answer.window,
        tenant=tenant,
    )


class _Parting:
    """Parts a window in halves, to see whether they hold what its answer lacks."""

    def __init__(
        self,
        known: KnownServer,
        ask: Ask,
        uncut: tuple[Span, ...],
        overlap: timedelta,
        count: int,
    ) -> None:
        self._known = known
        self._ask = ask
        self._uncut = uncut
        self._overlap = overlap
        self._count = count

    async def lacking(self, answer: Fetched) -> frozenset[bytes] | None:
        """Give the legs that an answer lacks, as far as was looked for; None if nothing shows."""
        halves = halve(answer.window, self._uncut, self._overlap)
        if halves is None:
            return await self._lacking_within_seconds(answer)
        legs = answer.legs()
        for half in halves:
            part = await self._ask(half)
            if not self._known.may_be_cut(self._count):
                return frozenset()  # a part holds more: the cap is larger than the answer
            if lacking := part.legs() - legs:
                return lacking
            if len(part) == self._count:
                # As large as the answer, so it may be cut off likewise.
                lacks = await self.lacking(part)
                if lacks is None or lacks:
                    return lacks
        return frozenset()

    async def _lacking_within_seconds(self, answer: Fetched) -> frozenset[bytes] | None:
        """Give it for a window of two seconds at most, by smaller ones within it.

        Whether these have all of its time between them depends on the rule. So we ask for one
        after the other, until they do by each of the rules that fit the answers.
        """
        begin, end = answer.window.start, answer.window.end
        if begin is None or end is None or self._overlap != OVERLAP:
            return None
        if end - begin > 2 * _SECOND or answer.comparable_ends() is None:
            return None
        legs = answer.legs()
        spans = answer.spans_within(begin - _SECOND, end + _SECOND)
        calls = frozenset(spans.values())
        rules = ALL_RULES & ~WITHIN if self._known.follows_within is False else ALL_RULES
        rules &= remaining((begin, end), calls, calls, is_whole=True)
        whole: list[Span] = []
        for window in _windows_within(begin, end):
            part = await self._ask(Window(*window))
            if not self._known.may_be_cut(self._count):
                return frozenset()  # as above
            if lacking := part.legs() - legs:
                return lacking
            is_whole = len(part) < self._count
            present = {spans[leg] for leg in part.legs() & spans.keys()}
            rules &= remaining(window, present, calls, is_whole=is_whole)
            if is_whole:
                whole.append(window)
            if rules and is_covered((begin, end), whole, rules):
                return frozenset()
        return None


def _windows_within(begin: datetime, end: datetime) -> list[Span]:
    """List the smaller windows within one of two seconds at most, those of a second first."""
    seconds = [begin + number * _SECOND for number in range((end - begin) // _SECOND + 1)]
    windows = [*pairwise(seconds), *zip(seconds, seconds, strict=True)]
    return [window for window in windows if window != (begin, end)]


async def _is_exceeded_far_away(answer: Fetched, ask: Ask) -> bool:
    """Report whether a much longer window has more records, so that a cap would be larger."""
    for further in _FAR:
        if await _has_more(_around(answer.window, further), answer, ask):
            return True
    return False


async def _has_more(window: Window | None, answer: Fetched, ask: Ask) -> bool:
    """Report whether a longer window is answered, and by more records."""
    if window is None:
        return False
    try:
        return len(await ask(window)) > len(answer)
    except WindowError:
        # It may be too much for the server, which says nothing about the answer in question.
        return False


def _further(answer: Fetched) -> timedelta:
    """Give how far a longer window reaches on either side: it is two to four times as long.

    With some thousands of records its answer stays the largest one, and spares all further proofs:
    a window that is sized by what comes back aims at a thousand.
    """
    times = min(4.0, max(2.0, _MANY_RECORDS / len(answer)))
    return answer.window.length * (times - 1) / 2


def _around(window: Window, more: timedelta) -> Window | None:
    """Give a window that reaches further on either side; None around everything."""
    if window.start is None or window.end is None:
        return None
    more = max(more, _HOUR)
    start = window.start - min(more, window.start - _FIRST)
    end = window.end + min(more, _LAST - window.end)
    return Window(start.replace(microsecond=0), end.replace(microsecond=0))


def _bounded(answer: Fetched, now: datetime) -> Window:
    """Give the window of an answer; for everything, one that everything lies in."""
    if answer.window.start is not None:
        return answer.window
    spans = [wall_span(cdr) for cdr in answer.records.cdrs]
    start = min([_LONG_AGO, *(min(span) for span in spans)])
    end = max([now, *(max(span) for span in spans)])
    return Window(start, end + _DAY)
