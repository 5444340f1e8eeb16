"""The async iterator that users hold: batches in order, each key once, counted.

A stream is a class, not an async generator: one with a task group inside would cancel
innocent awaits of its consumer after a `break`, and end as if it were complete after a
time-out around one item. No scope, time-out or lock is held while the consumer has the turn.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from enum import Enum
from functools import partial
from operator import length_hint
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

import attrs

from .dedupe import Seen, UniqueBy, Verdict
from .errors import BoxisError, StreamClosedError
from .fetch import Tally
from .models import CDR, Batch, Plan, Stats, Window
from .pump import Order, Run, Runs, abandon
from .wallclock import Range
from .windows import cut

if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType

    from .fetch import Fetched, Fetcher

__all__ = ["BatchStream", "CDRStream", "Clip", "Query"]

Clip: TypeAlias = Literal["start"] | None


@attrs.frozen(kw_only=True)
class Query:
    """One question, checked: which calls of which tenant, and how they are handed over."""

    tenant: str
    asked: Callable[[], Range | None]
    """Gives the range to ask for; each run anew, as it may end "now". None is everything."""
    window: timedelta | None
    order: Order
    unique_by: UniqueBy
    clip: Clip
    told: str
    """The user's own words for the range, for the repr."""

    def __str__(self) -> str:
        return f"{self.told}, tenant={self.tenant!r}"


class _State(Enum):
    NEW = "not begun"
    LIVE = "live"
    ENDED = "complete"
    BROKEN = "cut short"


class CDRStream(AsyncIterator[CDR]):
    """The calls of one range, each key once: iterate it, or take it whole.

    Made by `BoxisClient.cdrs`, and sends nothing until its first item is asked for. It is its
    own iterator: a further `async for` goes on with a live run, and starts a new one once the
    last run ended, failed or was closed. After an error, or after `aclose()`, the next item
    asked for raises: a run cut short never looks complete.

    Leave it when you like; a stream that is dropped cancels its requests. As a context
    manager (`async with`) it does so before the block ends.
    """

    def __init__(self, query: Query, fetcher: Fetcher, runs: Runs) -> None:
        self._query = query
        self._fetcher = fetcher
        self._runs = runs
        self._state = _State.NEW
        self._run: Run | None = None
        self._finalizer: weakref.finalize[[Run], CDRStream] | None = None
        self._plan: Plan | None = None
        self._asked: Range | None = None
        self._turn = asyncio.Lock()
        self._window: Window | None = None
        self._rest: Iterator[CDR] = iter(())
        self._begin_counting()

    def plan(self) -> Plan:
        """Tell which windows would be fetched, without a request.

        With `window=None` they are a first guess (`Plan.guess`), of a day each.
        """
        return cut(self._query.asked(), self._query.window)

    @property
    def stats(self) -> Stats:
        """What the latest run did so far."""
        counts = self._seen.counts
        return Stats(
            records=self._records + self._in_hand - length_hint(self._rest),
            duplicates=counts[Verdict.DUPLICATE],
            conflicts=counts[Verdict.CONFLICT],
            revisions=counts[Verdict.REVISION],
            requests=self._tally.requests,
            retries=self._tally.retries,
            splits=self._tally.splits,
            windows=self._windows,
            covered=self._covered(),
        )

    async def to_list(self) -> list[CDR]:
        """Fetch all calls of the range, in memory; of a live run, those still to come.

        Raises:
            WindowError: A window failed for good.
        """
        found: list[CDR] = []
        try:
            async for batch in self.batches():
                found += batch.cdrs
        except BaseException:
            await self.aclose()
            raise
        return found

    def batches(self) -> BatchStream:
        """Iterate over the same run by windows: a `Batch` for each, also where it is empty."""
        return BatchStream(self)

    async def next_batch(self) -> Batch | None:
        """Give the rest of the window in hand, else the next window; None after the last."""
        if not await self._advance() or self._window is None:
            return None
        batch = Batch(self._window, tuple(self._rest))
        self._is_untold = False
        return batch

    def __aiter__(self) -> Self:
        if self._state in (_State.ENDED, _State.BROKEN):
            self._state = _State.NEW
        return self

    async def __anext__(self) -> CDR:
        # The usual case, kept short: the next record of the window in hand.
        for cdr in self._rest:
            return cdr
        while await self._advance():
            self._is_untold = False
            for cdr in self._rest:
                return cdr
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self.__aiter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel what is in flight and wait for its end; a complete run stays complete.

        From whichever task, as often as you like. A task that is waiting for an item gets a
        `StreamClosedError`.
        """
        if self._state in (_State.NEW, _State.LIVE):
            self._break()
        if self._run is not None:
            await self._run.stop(StreamClosedError("the stream was closed: iterate it anew"))

    def __repr__(self) -> str:
        return f"<CDRStream({self._query}, {self._state.value}, records={self.stats.records})>"

    async def _advance(self) -> bool:
        """Take the next window in hand, unless there is one; tell whether there is one now."""
        self._fetcher.bind()
        async with self._turn:
            # Another task that shares the stream may have taken it while this one waited.
            if self._is_untold or length_hint(self._rest):
                return True
            if self._state is _State.ENDED:
                return False
            if self._state is _State.BROKEN:
                raise StreamClosedError("this run of the stream was cut short: iterate it anew")
            run = self._begin() if self._run is None or self._state is _State.NEW else self._run
            self._settle(run)
            try:
                fetched = await run.take()
            except BoxisError:
                if run is self._run and self._state is _State.LIVE:
                    self._break()
                raise
            if fetched is None:
                self._state = _State.ENDED
                self._forget()
                return False
            try:
                cdrs = self._sifted(fetched)
            except BaseException:
                # The user's key function failed, and the window is out of the run's hands: to
                # go on would leave it out.
                self._break()
                run.close(StreamClosedError("the stream was cut short by an error"))
                raise
            self._window = fetched.window
            self._is_untold = True
            self._in_hand = len(cdrs)
            self._rest = iter(cdrs)
            return True

    def _begin(self) -> Run:
        self._fetcher.bind()
        self._asked = self._query.asked()
        self._plan = cut(self._asked, self._query.window)
        self._begin_counting()
        query = self._query
        self._run = self._runs.begin(
            self._plan,
            partial(self._fetcher.fetch, tenant=query.tenant, tally=self._tally),
            tenant=query.tenant,
            order=query.order,
        )
        self._finalizer = weakref.finalize(self, abandon, self._run)
        self._finalizer.atexit = False
        self._state = _State.LIVE
        return self._run

    def _begin_counting(self) -> None:
        self._tally = Tally()
        self._seen = Seen(self._query.unique_by)
        self._records = self._in_hand = self._windows = 0
        self._seconds = 0.0
        self._window = None
        self._is_untold = False
        self._rest = iter(())

    def _settle(self, run: Run) -> None:
        """Count the window in hand as handed over, now that the item after it is asked for."""
        if self._window is None:
            return
        self._windows += 1
        self._seconds += self._window.length.total_seconds()
        self._records += self._in_hand
        self._in_hand = 0
        self._window = None
        run.release()

    def _break(self) -> None:
        self._state = _State.BROKEN
        self._records += self._in_hand - length_hint(self._rest)
        self._in_hand = 0
        self._window = None
        self._is_untold = False
        self._rest = iter(())
        self._forget()

    def _forget(self) -> None:
        """Let go of the finalizer: it holds the run, whose error may hold this stream."""
        if self._finalizer is not None:
            self._finalizer.detach()

    def _covered(self) -> float:
        if self._plan is None or not self._windows:
            return 0.0
        if self._windows == len(self._plan):
            return 1.0
        return self._seconds / Window(self._plan.start, self._plan.end).length.total_seconds()

    def _sifted(self, fetched: Fetched) -> tuple[CDR, ...]:
        """Choose what is handed over of a window: in the range, in order, each key once."""
        pairs = list(zip(fetched.cdrs, fetched.contents, strict=True))
        asked = self._asked
        if asked is not None and asked.reaches_too_far:
            pairs = [pair for pair in pairs if asked.holds(pair[0])]
        if asked is not None and self._query.clip == "start":
            pairs = [pair for pair in pairs if asked.starts_within(pair[0].start)]
        if self._query.order == "time":
            pairs.sort(key=_by_start)
        add = self._seen.add
        return tuple(cdr for cdr, content in pairs if add(cdr, content))


class BatchStream(AsyncIterator[Batch]):
    """The windows of a `CDRStream`, one `Batch` each, from the same run."""

    def __init__(self, stream: CDRStream) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        self._stream.__aiter__()
        return self

    async def __anext__(self) -> Batch:
        batch = await self._stream.next_batch()
        if batch is None:
            raise StopAsyncIteration
        return batch

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return self.__aiter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


def _by_start(pair: tuple[CDR, bytes]) -> tuple[datetime, int]:
    """Sort by the wall-clock start as sent, then by sequence.

    Two datetimes of one zone compare by their wall clock, as Python defines it.
    """
    cdr = pair[0]
    return cdr.start, -1 if cdr.sequence is None else cdr.sequence
