"""The async iterator that users hold: batches in order, each key once, counted.

A stream is a class, not an async generator: one with a task group inside would cancel
innocent awaits of its consumer after a `break`, and end as if it were complete after a
time-out around one item. No scope, time-out or lock is held while the consumer has the turn.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import AsyncIterator, Iterator
from enum import Enum
from functools import partial
from operator import length_hint
from typing import TYPE_CHECKING, Self

import attrs

from ._http.requester import Tally
from ._run.dedupe import Verdict
from ._run.fetch import Asking
from ._run.prefetch import Run, Runs, abandon
from .errors import BoxisError, StreamClosedError, WindowError
from .models import CDR, Batch, Plan, Stats, Window

if TYPE_CHECKING:
    from datetime import date, tzinfo
    from types import TracebackType

    from ._run.dedupe import UniqueBy
    from ._run.fetch import Fetcher
    from ._run.query import Clip, Pass, Query
    from .coverage import Coverage

__all__ = ["BatchStream", "CDRStream"]

logger = logging.getLogger("boxis_async")


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
        self._unread: weakref.finalize[[list[WindowError]], CDRStream] | None = None
        self._turn = asyncio.Lock()
        self._pass: Pass | None = None
        self._tally = Tally()
        self._records = self._in_hand = 0
        self._window: Window | None = None
        self._is_untold = False
        self._rest: Iterator[CDR] = iter(())

    def again(self, *, dateto: date | None = None, resume: Coverage | None = None) -> CDRStream:
        """Make a new stream of the same query, which asks for everything anew.

        Args:
            dateto: Another end of the range, such as the moment that "now" was.
            resume: The coverage of an earlier run: only what it lacks is fetched.

        Raises:
            UsageError: The coverage is another query's.
        """
        end = self._query.dateto if dateto is None else dateto
        query = attrs.evolve(self._query, dateto=end, resume=resume)
        query.asked()
        query.check_resume()
        return CDRStream(query, self._fetcher, self._runs)

    @property
    def tenant(self) -> str:
        """The tenant whose records these are."""
        return self._query.tenant

    @property
    def datefrom(self) -> date | None:
        """The start of the range, as it was given."""
        return self._query.datefrom

    @property
    def dateto(self) -> date | None:
        """The end of the range, as it was given; None is now."""
        return self._query.dateto

    @property
    def unique_by(self) -> UniqueBy:
        """What makes records the same."""
        return self._query.unique_by

    @property
    def clip(self) -> Clip:
        """What is left out at the ends of the range."""
        return self._query.clip

    def plan(self) -> Plan:
        """Tell which windows would be fetched, without a request.

        With `window=None` they are a first guess (`Plan.guess`), of a day each: each window
        is then sized, when its turn comes, by what came back until then.
        """
        return self._query.begin().plan

    @property
    def timezone(self) -> tzinfo:
        """The provider's time zone, which the records' datetimes are in."""
        return self._query.zone

    @property
    def stats(self) -> Stats:
        """What the latest run did so far."""
        if self._pass is None:
            return Stats()
        counts = self._pass.seen.counts
        return Stats(
            records=self._records + self._in_hand - length_hint(self._rest),
            duplicates=counts[Verdict.DUPLICATE],
            conflicts=counts[Verdict.CONFLICT],
            revisions=counts[Verdict.REVISION],
            requests=self._tally.requests,
            retries=self._tally.retries,
            splits=self._tally.splits,
            windows=self._pass.windows,
            failures=len(self._pass.failures),
            covered=self._pass.covered(),
        )

    @property
    def coverage(self) -> Coverage:
        """The spans that the latest run is done with, and those that it was told of.

        Hand it back, `client.cdrs(..., resume=coverage)`, to fetch what is missing.
        """
        return (self._pass or self._query.begin()).coverage()

    @property
    def failures(self) -> tuple[WindowError, ...]:
        """The windows that the latest run could not get, with their errors.

        With `on_error="collect"`, read it when the stream has ended, or left unread they are
        logged; with `"raise"` it holds the error that was raised.
        """
        self._forget_unread()
        return () if self._pass is None else tuple(self._pass.failures)

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
        try:
            if not await self._advance() or self._window is None:
                return None
            self._is_untold = False
            return Batch(self._window, tuple(self._rest))
        except BaseException:
            del self  # see __anext__
            raise

    def __aiter__(self) -> Self:
        if self._state in (_State.ENDED, _State.BROKEN):
            self._state = _State.NEW
        return self

    async def __anext__(self) -> CDR:
        # The usual case, kept short: the next record of the window in hand.
        for cdr in self._rest:
            return cdr
        try:
            while await self._advance():
                self._is_untold = False
                for cdr in self._rest:
                    return cdr
        except BaseException:
            # Whoever keeps the traceback, as servers do in reference cycles, must not keep the
            # stream by it: a stream that was dropped is to cancel its requests at once.
            del self
            raise
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
        if self._unread is not None:
            self._unread()
        if self._run is not None:
            await self._run.stop(StreamClosedError("the stream was closed: iterate it anew"))

    def __repr__(self) -> str:
        return f"<CDRStream({self._query}, {self._state.value}, records={self.stats.records})>"

    async def _advance(self) -> bool:
        """Take the next window in hand, unless there is one; tell whether there is one now."""
        self._fetcher.sender.bind()
        try:
            async with self._turn:
                # Another task that shares the stream may have taken it while this one waited.
                if self._is_untold or length_hint(self._rest):
                    return True
                if self._state is _State.ENDED:
                    return False
                return await self._take()
        except BaseException:
            del self  # see __anext__
            raise

    @property
    def _live_pass(self) -> Pass:
        assert self._pass is not None  # noqa: S101 - a run that has begun has one
        return self._pass

    async def _take(self) -> bool:
        """Wait for the next piece with records, noting those that failed; False at the end."""
        if self._state is _State.BROKEN:
            raise StreamClosedError("this run of the stream was cut short: iterate it anew")
        run = self._begin() if self._run is None or self._state is _State.NEW else self._run
        self._settle()
        try:
            while isinstance(piece := await run.take(), WindowError):
                self._collect(piece)
        except BaseException as error:
            if isinstance(error, BoxisError) and run is self._run and self._state is _State.LIVE:
                if isinstance(error, WindowError):
                    self._live_pass.fail(error)
                self._break()
            del self  # see __anext__
            raise
        if piece is None:
            if run is not self._run or self._state is not _State.LIVE:
                # Another task closed the stream while this one waited for the run's end.
                raise StreamClosedError("the stream was closed: iterate it anew")
            self._state = _State.ENDED
            self._forget()
            return False
        try:
            cdrs = self._live_pass.sift(piece)
        except BaseException:
            # The user's key function failed, and the window is out of the run's hands: to go
            # on would leave it out.
            self._break()
            run.close(StreamClosedError("the stream was cut short by an error"))
            raise
        self._window = piece.window
        self._is_untold = True
        self._in_hand = len(cdrs)
        self._rest = iter(cdrs)
        return True

    def _collect(self, failure: WindowError) -> None:
        """Note a window that failed, and that it is to be told if nobody reads of it."""
        logger.debug("a failure is collected: %s", failure)
        self._live_pass.fail(failure)
        if self._unread is None or not self._unread.alive:
            self._unread = weakref.finalize(self, _tell_unread, self._live_pass.failures)
            self._unread.atexit = False

    def _begin(self) -> Run:
        if self._unread is not None:
            self._unread()
        query = self._query
        self._pass = query.begin()
        self._tally = Tally()
        self._records = 0
        asking = Asking(query.tenant, query.row_limit, self._pass.repeated, self._tally)
        self._run = self._runs.begin(
            self._pass.windows_ahead(),
            partial(self._fetcher.fetch, asking=asking),
            tenant=query.tenant,
            order=query.order,
            on_error=query.on_error,
        )
        self._finalizer = weakref.finalize(self, abandon, self._run)
        self._finalizer.atexit = False
        self._state = _State.LIVE
        return self._run

    def _settle(self) -> None:
        """Count the window in hand as handed over, now that the item after it is asked for."""
        if self._window is not None:
            self._live_pass.settle(self._window)
            self._records += self._in_hand
            self._in_hand = 0
            self._window = None

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

    def _forget_unread(self) -> None:
        if self._unread is not None:
            self._unread.detach()


class BatchStream(AsyncIterator[Batch]):
    """The windows of a `CDRStream`, one `Batch` each, from the same run."""

    def __init__(self, stream: CDRStream) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        self._stream.__aiter__()
        return self

    async def __anext__(self) -> Batch:
        try:
            batch = await self._stream.next_batch()
        except BaseException:
            del self  # see CDRStream.__anext__
            raise
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


def _tell_unread(failures: list[WindowError]) -> None:
    """Say that a stream has gaps that nobody has looked at."""
    logger.warning(
        "a stream was left with %d %s that failed, and nobody read stream.failures: %s",
        len(failures),
        "window" if len(failures) == 1 else "windows",
        "; ".join(map(str, failures[:_SHOWN])),
    )


_SHOWN = 3
