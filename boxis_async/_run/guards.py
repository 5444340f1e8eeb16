"""What the answers of a run betray about the server, before they are handed over.

The provider's page says nothing of a limit on records, nor of what the two dates are compared with.
Where a server is not as windows need it, a stream would be short, and nothing would say so. So each
answer is looked at. These are proofs and not statistics:

- *A cap.* A server that cuts answers off cuts the largest first. So an answer is whole if another
  one, for whatever window, holds more. Only a new largest answer is kept back until it is proved.
  The first proof asks for a longer window, whose answer most often stays the largest.
- *Within.* Where a call must lie within the dates as a whole, a call over the boundary of two
  windows is in neither. One record that reaches beyond its window, in any answer, excludes it.
  Without one, a known call decides. A run that saw no call at all ends with the undivided request.
- *Ignored dates.* Every answer holds everything, so that one is enough.

`_run/proofs.py` has the proofs. What was learned is kept by the client, see `_run/known_server.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from boxis_async._run.fetched import Fetched, fitting_calls
from boxis_async._run.proofs import find_rule_within, holds_everything, prove_whole
from boxis_async._wire.records import FINGERPRINT_SIZE
from boxis_async.coverage import memory_of
from boxis_async.errors import BoxisError, ContractError, TooLargeError, WindowError
from boxis_async.models import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boxis_async._run.known_server import KnownServer
    from boxis_async._run.proofs import Ask
    from boxis_async._run.query import Query
    from boxis_async._run.windows import Windows
    from boxis_async._wire.wallclock import Range, Span

__all__ = ["Guard", "GuardedWindows"]

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
_NONE = timedelta(0)
# Two windows part a call of so long, and each holds a whole second of it.
_LONG_ENOUGH = 2 * _SECOND

FetchPieces: TypeAlias = Callable[[Window], Awaitable["Sequence[Fetched | WindowError]"]]
"""Fetches a window in as many pieces as it takes, none of which a guard looks at."""


class GuardedWindows:
    """Windows that end early where one answer held everything."""

    def __init__(self, windows: Windows, guard: Guard) -> None:
        self._windows = windows
        self._guard = guard
        self.next = windows.next
        self.learn = windows.learn
        self.fail = windows.fail

    @property
    def left(self) -> bool:
        """Whether there is something left to ask for."""
        return self._windows.left and not self._guard.has_everything


class _StrangersError(BoxisError):
    """A proof got records that no rule admits; it never leaves this module."""


class Guard:
    """Looks at the answers of one run.

    Args:
        known: What is known of the server.
        query: The arguments of the stream.
        range_: The range; None is everything.
        missing: The parts of it that are fetched.
        before: The guard of an earlier part of the same run, if there is one.
    """

    def __init__(
        self,
        known: KnownServer,
        query: Query,
        range_: Range | None,
        missing: Sequence[Span],
        before: Guard | None = None,
    ) -> None:
        self._known = known
        self._query = query
        self._range = range_
        self._missing = missing
        # The legs that came, for as long as nobody knows whether windows lose some.
        # Those that the coverage marks came with an earlier run.
        marks = memory_of(query.resume).every_mark()
        self._seen = {mark[FINGERPRINT_SIZE : 2 * FINGERPRINT_SIZE] for mark in marks}
        # The windows that were answered, likewise.
        self._answered: list[Window] = []
        if before is not None:
            self._seen |= before._seen  # noqa: SLF001 - of the same class
            self._answered += before._answered  # noqa: SLF001 - likewise
        self._is_parted = False
        # The legs of the answer that holds everything, where the dates are ignored.
        self._everything: frozenset[bytes] | None = None

    @property
    def has_everything(self) -> bool:
        """Whether one answer held everything, so that no further window need be fetched."""
        return self._everything is not None

    @property
    def loses_nothing(self) -> bool:
        """Whether it is certain that windows lose no calls between them."""
        return self._known.follows_within is not None or not self._is_parted

    def row_limit(self) -> int | None:
        """Give the number of records at which an answer may be cut off, as far as it is known."""
        limits = (self._query.row_limit, self._known.row_cap)
        return min((limit for limit in limits if limit is not None), default=None)

    def begin(self) -> None:
        """Refuse a run of which it is known that it would hand records over again.

        Raises:
            ContractError: It would.
        """
        if self._known.ignores_dates:
            self._refuse_resume(None)

    async def check(self, answer: Fetched, ask: Ask) -> Fetched:
        """Look at an answer, and prove what it leaves open.

        Returns:
            What to hand over: the answer, or a later one; one of everything, for the whole range.

        Raises:
            ContractError: The stream would be short.
            TooLargeError: The answer is cut off.
            WindowError: A request that a proof needs failed for good.
        """
        self._see(answer)
        if not self._is_undivided(answer.window):
            self._is_parted = True
            if self._everything is not None or answer.stranger() is not None:
                return await self._take_everything(answer, ask)
            try:
                await self._exclude_within(answer, ask)
            except _StrangersError:
                return await self._take_everything(answer, ask)
        return await self._prove_whole(answer, ask)

    def refuse_too_many(self, errors: Sequence[WindowError]) -> None:
        """Refuse a run in which the smallest windows are cut off, wherever they lie.

        Raises:
            ContractError: What cuts them off is the server, and not `row_limit`.
        """
        first, cap = errors[0], self._known.row_cap
        limits = {error.cause.limit for error in errors if isinstance(error.cause, TooLargeError)}
        if self._query.row_limit is not None or limits != {cap}:
            return
        places = " and ".join(f"{error.window}" for error in errors)
        raise self._error(
            f"the server cuts answers off at {cap:,} records, and the windows {places} have as "
            "many, so that no window is small enough. More calls run at a time than it gives, or "
            "it ignores the dates",
            first.window,
        )

    async def finish(self, ask: Ask, fetch: FetchPieces) -> None:
        """Make sure, at the end of a run that saw no call of any length, that there was none.

        Raises:
            ContractError: There was one, over a boundary.
            WindowError: A request that this needs failed for good.
        """
        for span in self._missing:
            if self._range is None or self.loses_nothing or self.has_everything:
                return
            # What lies over the seam of an earlier run's span is in this window too.
            window = Window(
                span[0] - min(_DAY, span[0] - self._range.start),
                span[1] + min(_DAY, self._range.end - span[1]),
            )
            pieces = await fetch(window)
            # A call over the boundary of two pieces would be in neither, as in the windows before.
            is_whole = len(pieces) == 1
            for piece in pieces:
                if isinstance(piece, WindowError):
                    raise piece
                try:
                    await self._look_for_lost(await self._prove_whole(piece, ask), span, ask)
                except _StrangersError:
                    await self._find_dates_ignored(piece, ask)
                    return
                except TooLargeError:
                    is_whole = False
            if not (is_whole or self.loses_nothing):
                raise self._error(
                    "no call shows whether the server gives only calls that lie within the two "
                    "dates as a whole, and one answer cannot hold the undivided range. State what "
                    "the dates are compared with, contract=Contract(rule=...)",
                    window,
                )

    def _is_undivided(self, window: Window) -> bool:
        range_ = self._range
        return range_ is None or (window.start, window.end) == (range_.start, range_.end)

    def _see(self, answer: Fetched) -> None:
        """Learn what an answer shows by itself."""
        self._known.see(len(answer))
        if self._known.follows_within is None:
            if answer.reaches_beyond() is None:
                self._seen |= answer.legs()
                self._answered.append(answer.window)
            else:
                self._known.follows_within = False
        if self._known.follows_within is not None:
            self._seen.clear()
            self._answered.clear()

    async def _exclude_within(self, answer: Fetched, ask: Ask) -> None:
        """Find out whether the server follows *within*, if a call of the answer can show it.

        Raises:
            ContractError: It does, and the answer may lack a call.
        """
        known = self._known
        if known.follows_within is None and any(fitting_calls(answer, _LONG_ENOUGH)):
            async with known.proving:
                if known.follows_within is None:
                    await find_rule_within(known, answer, self._noting(ask))
        if known.follows_within and known.longest_call is None:
            raise self._within(answer.window)
        if known.follows_within and known.longest_call is not None:
            self._check_longest_call(answer, known.longest_call)

    def _check_longest_call(self, answer: Fetched, stated: timedelta) -> None:
        """Refuse an answer that contradicts a contract of the rule *within*.

        Raises:
            ContractError: It does.
        """
        if answer.reaches_beyond() is not None:
            raise self._error(
                f"a record reaches beyond its window {answer.window}, and so the server does not "
                "follow the rule within, as the contract says",
                answer.window,
            )
        lengths = (cdr.end - cdr.start for cdr in answer.records.cdrs if cdr.end is not None)
        if (longest := max(lengths, default=_NONE)) > stated / 2:
            raise self._error(
                f"a call took {longest}, more than half of the contract's longest_call, "
                f"{stated}: a longer one than that would be lost. State a larger one",
                answer.window,
            )

    async def _look_for_lost(self, piece: Fetched, span: Span, ask: Ask) -> None:
        """Judge by the records of an undivided window that none of its parts held."""
        known = self._known
        if piece.reaches_beyond() is not None:
            known.follows_within = False
            return
        lost = piece.only(
            both not in self._seen
            and start < span[1]
            and end > span[0]
            # One that lies within a window was added since, as by each rule it is in the answer.
            and not any(_surrounds(window, (start, end)) for window in self._answered)
            for both, (start, end) in piece.legs_and_spans()
        )
        await self._exclude_within(lost, ask)
        if known.follows_within is None and any(
            cdr.end not in (None, cdr.start) for cdr in lost.records.cdrs
        ):
            # It cannot be decided, for want of a second, or next to a clock change.
            raise self._within(piece.window)

    async def _prove_whole(self, answer: Fetched, ask: Ask) -> Fetched:
        """Give an answer that is known to be whole, or a later one for its window.

        Raises:
            ContractError: Whether it is whole cannot be shown.
            TooLargeError: It is cut off.
        """
        known = self._known
        if self._query.row_limit is None and self._is_suspect(answer):
            async with known.proving:
                if self._is_suspect(answer):
                    answer = await self._proved(answer, ask)
        if known.row_cap is not None and len(answer) >= known.row_cap:
            raise TooLargeError(
                f"the answer holds {len(answer):,} records, and the server cuts answers off at "
                f"{known.row_cap:,}",
                limit=known.row_cap,
            )
        return answer

    def _is_suspect(self, answer: Fetched) -> bool:
        known = self._known
        # Where the dates are ignored, no window holds more or less, and nothing can be proved.
        return known.row_cap is None and not known.ignores_dates and known.may_be_cut(len(answer))

    async def _proved(self, answer: Fetched, ask: Ask) -> Fetched:
        query = self._query
        now = query.wall_clock.now(query.clock.now()).replace(tzinfo=None)
        try:
            return await prove_whole(
                self._known,
                answer,
                self._noting(ask),
                uncut=() if self._range is None else self._range.uncut,
                overlap=query.overlap,
                now=now,
                tenant=query.tenant,
            )
        except _StrangersError:
            await self._find_dates_ignored(answer, ask)
            return answer

    async def _take_everything(self, answer: Fetched, ask: Ask) -> Fetched:
        """Take an answer with records from outside its window for one of the whole range."""
        known = self._known
        if not known.ignores_dates:
            async with known.proving:
                if not known.ignores_dates:
                    await self._find_dates_ignored(answer, ask)
        self._refuse_resume(answer.window)
        if known.row_cap is not None and len(answer) >= known.row_cap:
            raise self._error(
                f"the provider ignores the dates, and cuts answers off at {known.row_cap:,} "
                "records, so that no request brings the others",
                answer.window,
            )
        legs, earlier = answer.legs(), self._everything or frozenset()
        if lacking := earlier - legs:
            raise self._error(
                f"the provider ignores the dates, and an answer holds {len(legs):,} records "
                f"where an earlier one held {len(earlier):,}: it lacks {len(lacking):,} of those",
                answer.window,
            )
        self._everything = legs
        if self._range is None:
            return answer
        return Fetched(Window(self._range.start, self._range.end), answer.records)

    def _refuse_resume(self, window: Window | None) -> None:
        if self._query.resume is not None and self._query.resume.sealed:
            raise self._error(
                "the provider ignores the dates, so that a run cannot be resumed: its answers hold "
                "again what was handed over. Fetch the range anew, without resume",
                window,
            )

    async def _find_dates_ignored(self, answer: Fetched, ask: Ask) -> None:
        """Find out whether an answer with records from outside its window holds everything."""
        known = self._known
        may_be = known.ignores_dates is None and not known.is_rule_stated
        if not may_be or not await holds_everything(answer, ask):
            raise self._error(
                f"the answer for window {answer.window} holds records from outside of it, which no "
                "known rule gives",
                answer.window,
            )
        known.find_dates_ignored(len(answer))

    def _noting(self, ask: Ask) -> Ask:
        """Note what the answers to the requests of a proof show by themselves, too."""

        async def ask_and_note(window: Window) -> Fetched:
            answer = await ask(window)
            self._known.see(len(answer))
            if answer.stranger() is not None:
                raise _StrangersError
            if self._known.follows_within is None and answer.reaches_beyond() is not None:
                self._known.follows_within = False
            return answer

        return ask_and_note

    def _within(self, window: Window) -> ContractError:
        return self._error(
            "the server gives only calls that lie within the two dates as a whole, so that a call "
            "over the boundary of two windows is in neither. State how long a call may be, "
            'contract=Contract(rule="within", longest_call=...)',
            window,
        )

    def _error(self, evidence: str, window: Window | None) -> ContractError:
        return ContractError(evidence, window=window, tenant=self._query.tenant)


def _surrounds(window: Window, span: Span) -> bool:
    """Report whether a span lies between the two dates of a window, and at neither."""
    first, last = min(span), max(span)
    return window.start is None or window.end is None or window.start < first <= last < window.end
