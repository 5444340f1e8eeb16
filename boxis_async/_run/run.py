"""One pass over a range: it takes the windows as they come, sifts them, and counts.

A run refers to no stream. A stream is a handle on its run, and whoever keeps an error keeps the
frames of its traceback: these are frames of the run, so a stream that was dropped is freed, and
its requests are cancelled, however long its error is kept.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
from datetime import timedelta
from enum import Enum
from functools import partial
from operator import length_hint
from typing import TYPE_CHECKING

from boxis_async._http.request import Deadline, RequestCounts
from boxis_async._run.adaptive_windows import AdaptiveWindows
from boxis_async._run.coverage_builder import CoverageBuilder
from boxis_async._run.dedupe import Deduplicator
from boxis_async._run.fetch import Job
from boxis_async._run.guards import Guard, GuardedWindows
from boxis_async._run.sieve import Sieve
from boxis_async._run.windows import PlannedWindows, plan_of
from boxis_async._wire.cooperative import Cooperative
from boxis_async._wire.records import FINGERPRINT_SIZE, Fingerprinter, Records, make_converter
from boxis_async.coverage import memory_of
from boxis_async.errors import BoxisError, StreamClosedError, WindowError
from boxis_async.hooks import StreamEvent
from boxis_async.models import CDR, OVERLAP, Batch, Plan, Stats, Stretch, Window, describe_place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from boxis_async._http.request import Options
    from boxis_async._run.fetch import Fetcher
    from boxis_async._run.fetched import Fetched
    from boxis_async._run.prefetch import Prefetch, Prefetches
    from boxis_async._run.query import Query
    from boxis_async._run.sieve import Sifted
    from boxis_async._run.windows import Windows
    from boxis_async._wire.cooperative import Steps
    from boxis_async._wire.wallclock import Range, Span
    from boxis_async.coverage import Coverage
    from boxis_async.models import Reject

__all__ = ["OnDrop", "Run", "State"]

logger = logging.getLogger("boxis_async")

_SHOWN = 3
_AGAIN = "stream.again() gives a new one"


class State(Enum):
    """How far a run is."""

    NEW = "not begun"
    LIVE = "live"
    ENDED = "complete"
    BROKEN = "cut short"


class OnDrop:
    """What is left to do when a stream is dropped: a finalizer refers to this, not to the run.

    A finalizer lives for as long as its stream. If it referred to a run, it would keep the run's
    error, whose traceback may lead back to the stream, which then would never be freed.
    """

    def __init__(self) -> None:
        self.prefetch: Prefetch | None = None
        self.unread: list[WindowError] = []
        self.unread_rejects: list[Reject] = []

    def __call__(self) -> None:
        """Cancel the requests, and warn of failures and rejects that nobody read."""
        prefetch, self.prefetch = self.prefetch, None
        if prefetch is not None:
            prefetch.abandon()
        self.warn()

    def warn(self) -> None:
        """Log the failures and the rejects that nobody read, once."""
        rejects, self.unread_rejects = self.unread_rejects, []
        if rejects:
            # Without the values, which may be telephone numbers.
            logger.warning(
                "a stream was left with %d %s that could not be read, and nobody read "
                "stream.rejects: %s",
                len(rejects),
                "record" if len(rejects) == 1 else "records",
                "; ".join(
                    describe_place(reject.window, reject.position, reject.field)
                    for reject in rejects[:_SHOWN]
                ),
            )
        unread, self.unread = self.unread, []
        if unread:
            logger.warning(
                "a stream was left with %d %s that failed, and nobody read stream.failures: %s",
                len(unread),
                "window" if len(unread) == 1 else "windows",
                "; ".join(map(str, unread[:_SHOWN])),
            )


class Run:
    """The run of one stream.

    Args:
        query: The arguments of the stream.
        fetcher: Fetches the windows.
        prefetches: Those of the client.
        options: Of the client, for each request.
        deadline: That of the answer, where several runs make one; else the run has its own.
    """

    def __init__(
        self,
        query: Query,
        fetcher: Fetcher,
        prefetches: Prefetches,
        options: Options,
        deadline: Deadline | None = None,
    ) -> None:
        self.on_drop = OnDrop()
        self.state = State.NEW
        self.failures: list[WindowError] = []
        self.rejects: list[Reject] = []
        self._query = query
        self._fetcher = fetcher
        self._prefetches = prefetches
        self._options = options
        self._deadline = deadline or Deadline(options.deadline)
        # A resumed run uses the key of the run before, so that it recognises that run's records.
        memory = memory_of(query.resume)
        key = memory.key or os.urandom(FINGERPRINT_SIZE)
        self._fingerprinter = Fingerprinter(key)
        self._deduplicator = Deduplicator(query.unique_by, self._fingerprinter, memory.every_mark())
        self._coverage = CoverageBuilder(
            query.fingerprint,
            key,
            query.resume,
            carry_keys=query.carry_keys,
            overlap=query.overlap,
        )
        self._counts = RequestCounts()
        # Two tasks may share a stream: one of them at a time takes the next window.
        self._taking = asyncio.Lock()
        self._range: Range | None = None
        self._missing: list[Span] = []
        self._sieve: Sieve | None = None
        self._guard: Guard | None = None
        self._prefetch: Prefetch | None = None
        # What is still to be sifted of a window that was taken.
        self._sifting: Steps[Sifted] | None = None
        self._cooperative = Cooperative()
        self._began = 0.0
        self._is_extended = False
        self._windows = 0
        self._records = 0
        # The window whose records are being handed over, and what is left of these.
        self._current: Sifted | None = None
        # Fingerprints of the rows that could not be read.
        self._rejected: set[bytes] = set()
        self._rest: Iterator[CDR] = iter(())
        self._is_untouched = False

    @property
    def stats(self) -> Stats:
        """What it did so far."""
        drops = self._deduplicator.counts
        in_hand = 0 if self._current is None else len(self._current.cdrs)
        return Stats(
            records=self._records + in_hand - length_hint(self._rest),
            duplicates=drops.duplicates,
            conflicts=drops.conflicts,
            revisions=drops.revisions,
            requests=self._counts.requests,
            retries=self._counts.retries,
            splits=self._counts.splits,
            windows=self._windows,
            failures=len(self.failures),
            rejects=len(self.rejects),
            covered=self._covered(),
        )

    @property
    def coverage(self) -> Coverage:
        """What it is done with so far, with what earlier runs were done with."""
        return self._coverage.coverage()

    async def next_record(self, stream: object) -> CDR:
        """Give the next record.

        Args:
            stream: What must not be dropped before the record is there. In
                `await anext(client.cdrs(...))` nothing else refers to the stream.

        Raises:
            StopAsyncIteration: There is none left.
            BoxisError: A window failed for good, or the stream was cut short.
        """
        # The usual case, kept short: the next record of the current window.
        for cdr in self._rest:
            return cdr
        try:
            while await self._advance():
                self._is_untouched = False
                for cdr in self._rest:
                    return cdr
        except BaseException:
            # Whoever keeps the traceback must not keep the stream by it.
            del stream
            raise
        raise StopAsyncIteration

    async def next_batch(self, stream: object) -> Batch:
        """Give the rest of the current window, or the next window; otherwise as `next_record`."""
        try:
            is_one_there = await self._advance()
        except BaseException:
            del stream  # as above
            raise
        if not is_one_there or self._current is None:
            raise StopAsyncIteration
        self._is_untouched = False
        return Batch(self._current.window, tuple(self._rest))

    async def aclose(self) -> None:
        """Cancel what is in flight and wait for its end; a complete run stays complete."""
        if self.state in (State.NEW, State.LIVE):
            self._break()
        self.on_drop.warn()
        if self._prefetch is not None:
            await self._prefetch.stop(StreamClosedError(f"the stream was closed: {_AGAIN}"))

    async def _advance(self) -> bool:
        """Take the next window, unless one is in hand; report whether one is now."""
        self._fetcher.requester.bind()
        async with self._taking:
            # Another task that shares the stream may have taken one while this one waited.
            if self._is_untouched or length_hint(self._rest):
                return True
            if self.state is State.ENDED:
                return False
            return await self._take()

    async def _take(self) -> bool:
        """Take the next piece of a window, and sift it; report whether there was one."""
        if self.state is State.BROKEN:
            raise StreamClosedError(f"this stream was cut short: {_AGAIN}")
        prefetch = self._prefetch or self._begin()
        self._settle()
        if self._sifting is None:
            piece = await self._next_piece(prefetch)
            if piece is None:
                if not self.failures:
                    self._coverage.be_proved()
                self.state = State.ENDED
                self._release()
                return False
            assert self._sieve is not None  # noqa: S101 - a run that has begun has one
            self._sifting = self._sieve.sift(piece.window, piece.records)
        try:
            # A wait that is cancelled here loses nothing: the next one takes the steps that are
            # left.
            sifted = await self._cooperative.run(self._sifting)
        except asyncio.CancelledError:
            raise
        except BaseException:
            # The user's key function failed, and the window is taken: to continue would leave it
            # out.
            self._break()
            # That of now: the range may have been extended meanwhile.
            (self._prefetch or prefetch).close(
                StreamClosedError("the stream was cut short by an error")
            )
            raise
        self._check_live()
        self._sifting = None
        self._note_rejects(sifted.rejects)
        self._current = sifted
        self._rest = iter(sifted.cdrs)
        self._is_untouched = True
        return True

    async def _next_piece(self, prefetch: Prefetch) -> Fetched | None:
        try:
            piece = await self._take_from(prefetch)
            if piece is None and (more := self._extend()) is not None:
                piece = await self._take_from(more)
        except BoxisError as error:
            if self.state is State.LIVE:
                if isinstance(error, WindowError):
                    self._fail(error)
                self._break()
            raise
        self._check_live()
        return piece

    def _check_live(self) -> None:
        if self.state is not State.LIVE:
            # Another task closed the stream while this one waited.
            raise StreamClosedError(f"the stream was closed: {_AGAIN}")

    async def _take_from(self, prefetch: Prefetch) -> Fetched | None:
        """Wait for the next piece with records, and note those that failed."""
        while isinstance(piece := await prefetch.take(), WindowError):
            self._collect(piece)
        return piece

    def _begin(self) -> Prefetch:
        """Cut the range into windows, by the clocks as they are now, and start to fetch them."""
        query = self._query
        self._began = query.clock.ours()
        self._range = range_ = query.range(self._began)
        horizon = query.horizon()
        self._missing = [] if range_ is None else query.missing(range_, horizon)
        prefetch = self._fetch(range_, self._missing)
        self._sieve = Sieve(query, range_, horizon, self._deduplicator)
        self.state = State.LIVE
        return prefetch

    def _extend(self) -> Prefetch | None:
        """Start to fetch what lies between our "now" and the server's, if that is later.

        A range without an end ends by the later of the two clocks, and the server's may be known
        from the answers of this run alone. None if nothing is missing, as nearly always.
        """
        query, before, sieve = self._query, self._range, self._sieve
        if self.state is not State.LIVE or self._is_extended or query.dateto is not None:
            return None
        # Once only: a server whose clock runs ahead with each answer must not keep us for ever.
        self._is_extended = True
        after = query.range(self._began)
        if before is None or after is None or sieve is None:
            return None
        if after.clip_to - before.clip_to <= OVERLAP:
            return None
        # Of an hour that comes twice, records after our "now" were left out: it is fetched again.
        trimmed = [hour[0] for hour in before.repeated if hour[1] == before.end]
        end = trimmed[0] if trimmed and before.not_after is not None else before.end
        start = max(end - query.overlap, after.start)
        logger.info("the server's clock is ahead: the range ends at %s", after.end)
        self._range = after
        sieve.extend(after)
        return self._fetch(after, query.missing(after, query.horizon(), start))

    def _fetch(self, range_: Range | None, missing: list[Span]) -> Prefetch:
        """Start to fetch parts of a range, in windows."""
        query = self._query
        uncut = () if range_ is None else range_.uncut
        guard = Guard(query.known_server, query, range_, missing, before=self._guard)
        guard.begin()
        self._guard = guard
        windows: Windows
        if range_ is not None and query.known_server.ignores_dates:
            windows = PlannedWindows(Plan((Stretch(range_.start, range_.end, timedelta.max),)))
        elif query.window is not None or range_ is None:
            windows = PlannedWindows(plan_of(range_, query.window, missing, query.overlap))
        else:
            windows = AdaptiveWindows(missing, uncut, query.traffic, guard.row_limit, query.overlap)
        converter = make_converter(query.wall_clock, self._fingerprinter)
        job = Job(
            tenant=query.tenant,
            row_limit=query.row_limit,
            uncut=uncut,
            overlap=query.overlap,
            convert=converter.get_structure_hook(Records),
            collect_rejects=query.bad_records == "collect",
            stops_at_failure=query.on_error == "raise",
            options=self._options,
            counts=self._counts,
            guard=guard,
        )
        whole = (None, None) if range_ is None else (range_.start, range_.end)
        event = StreamEvent(tenant=query.tenant, window=Window(*whole))
        self._prefetch = self._prefetches.begin(
            GuardedWindows(windows, guard),
            partial(self._fetcher.fetch, job=job),
            partial(self._fetcher.finish, job),
            around=partial(self._fetcher.around_stream, event),
            tenant=query.tenant,
            order=query.order,
            on_error=query.on_error,
        )
        self.on_drop.prefetch = self._prefetch
        self._end_in_time(self._prefetch)
        return self._prefetch

    def _end_in_time(self, prefetch: Prefetch) -> None:
        """Cut the run short at its deadline, unless all is fetched by then.

        A timer, and not a time-out around the consumer's wait: nothing of ours may be open while
        the consumer has the turn.
        """
        left = self._deadline.left()
        if left == math.inf:
            return

        def cut_short() -> None:
            prefetch.close(self._deadline.error(f"tenant {self._query.tenant}", self._counts))

        timer = prefetch.loop.call_later(left, cut_short)
        prefetch.task.add_done_callback(lambda _: timer.cancel())

    def _settle(self) -> None:
        """Count the current window as handed over, now that the item after it is requested."""
        current, self._current = self._current, None
        if current is not None:
            self._records += len(current.cdrs)
            self._windows += 1
            self._coverage.hand_over(
                current.window,
                current.marks,
                is_sealed=current.is_marked,
                is_empty=current.is_empty,
                is_proved=self._guard is not None and self._guard.loses_nothing,
                has_rejects=bool(current.rejects),
            )

    def _collect(self, failure: WindowError) -> None:
        """Note a window that failed, and that it is to be logged if nobody reads of it."""
        logger.debug("a failure is collected: %s", failure)
        self._fail(failure)
        self.on_drop.unread.append(failure)

    def _note_rejects(self, rejects: tuple[Reject, ...]) -> None:
        """Note records that could not be read, each once: two windows may hold the same."""
        for reject in rejects:
            fingerprint = self._fingerprinter.of(json.dumps(reject.row, sort_keys=True))
            if fingerprint not in self._rejected:
                self._rejected.add(fingerprint)
                self.rejects.append(reject)
                self.on_drop.unread_rejects.append(reject)

    def _fail(self, error: WindowError) -> None:
        self.failures.append(error)
        self._coverage.fail(error.window)

    def _break(self) -> None:
        """Cut it short: nothing more is handed over, and the current window does not count."""
        self.state = State.BROKEN
        self._release()
        if self._current is not None:
            self._records += len(self._current.cdrs) - length_hint(self._rest)
        self._current = None
        if self._sifting is not None:
            # Nothing more is compared, as the records that came before are forgotten.
            self._sifting.close()
            self._sifting = None
        self._rest = iter(())
        self._is_untouched = False

    def _release(self) -> None:
        """Let go of what only a live run needs."""
        self.on_drop.prefetch = None
        self._sieve = None
        self._deduplicator.forget()

    def _covered(self) -> float:
        """Give the share of the range, from 0 to 1, that is handed over, by earlier runs too."""
        range_ = self._range
        if range_ is None:
            return float(self._windows > 0 and not self.rejects)
        if range_.start == range_.end:
            return float((self._windows > 0 and not self.rejects) or not self._missing)
        return self._coverage.share(range_.start, range_.end)
