"""The async iterator that users hold: records or batches in order, each key once, counted.

A stream is a class, not an async generator: one with a task group inside would cancel
innocent awaits of its consumer after a `break`, and end as if it were complete after a
time-out around one item. No scope, time-out or lock is held while the consumer has the turn.

It is a handle on its run, which does the work and refers to no stream (see `_run/run.py`). That is
why the methods that a consumer awaits are plain functions which return the run's coroutines: their
own frames would keep the stream alive in every traceback. The coroutine that gives the next item
keeps the stream until the item is there, and lets go of it if there is an error instead.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, Self

import attrs

from boxis_async._checks import problem_with_dates, problem_with_margin, problem_with_resume
from boxis_async._plain import plain_date, plain_length
from boxis_async._run.run import Run, State
from boxis_async.call_stream import CallStream, WholeCalls
from boxis_async.calls import open_calls
from boxis_async.errors import UsageError
from boxis_async.models import CDR, Batch, Plan, Reject, Stats

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import date, tzinfo
    from types import TracebackType
    from typing import Any

    from boxis_async._http.request import Deadline, Options
    from boxis_async._run.fetch import Fetcher
    from boxis_async._run.prefetch import Prefetches
    from boxis_async._run.query import Query
    from boxis_async.coverage import Coverage
    from boxis_async.errors import WindowError
    from boxis_async.types import Clip, Reached, UniqueBy

__all__ = ["BatchStream", "CDRStream"]


class CDRStream(AsyncIterator[CDR]):
    """The records of one range, each key once: iterate it, or take it whole.

    Made by `BoxisClient.cdrs`. It sends nothing until its first item is requested, and is its own
    iterator: a further `async for` continues where the last one stopped. Once it has ended it gives
    nothing more, and once it was cut short, by an error or by `aclose()`, the next item requested
    raises: it never looks complete when it is not. `again()` makes a new stream of the same query.

    Leave it when you like; a stream that is dropped cancels its requests. As a context
    manager (`async with`) it does so before the block ends.
    """

    def __init__(
        self,
        query: Query,
        fetcher: Fetcher,
        prefetches: Prefetches,
        options: Options,
        deadline: Deadline | None = None,
    ) -> None:
        self._query = query
        self._context = (fetcher, prefetches, options)
        self._run = Run(query, fetcher, prefetches, options, deadline)
        self._next = self._run.next_record
        weakref.finalize(self, self._run.on_drop).atexit = False

    def again(
        self,
        *,
        datefrom: date | None = None,
        dateto: date | None = None,
        resume: Coverage | None = None,
    ) -> CDRStream:
        """Make a new stream of the same query.

        Args:
            datefrom: Another start of the range.
            dateto: Another end of the range, such as the moment that "now" was.
            resume: The coverage of an earlier run: only what it lacks is fetched. Without it
                everything is fetched anew.

        Raises:
            UsageError: An argument is wrong, or the coverage is another query's.
        """
        query = self._query
        start = query.datefrom if datefrom is None else datefrom
        end = query.dateto if dateto is None else dateto
        problems = (
            *problem_with_dates(start, end, query.clip),
            problem_with_resume(resume),
        )
        if any(problems):
            raise UsageError(*filter(None, problems))
        start = None if start is None else plain_date(start)
        end = None if end is None else plain_date(end)
        query = attrs.evolve(query, datefrom=start, dateto=end, resume=resume)
        query.check()
        return CDRStream(query, *self._context)

    def plan(self) -> Plan:
        """List the windows that would be fetched, without a request.

        With `window=None` they are a first guess (`Plan.guess`), of a day each: each window
        is then sized, when its turn comes, by what came back until then.
        """
        return self._query.plan()

    @property
    def tenant(self) -> str:
        """The tenant whose records these are."""
        return self._query.tenant

    @property
    def datefrom(self) -> date | None:
        """The start of the range, as it was given; None is everything."""
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
        """Which records are left out at the ends of the range."""
        return self._query.clip

    @property
    def is_begun(self) -> bool:
        """Whether its first item was requested."""
        return self._run.state is not State.NEW

    @property
    def timezone(self) -> tzinfo:
        """The provider's time zone, which the records' datetimes are in."""
        return self._query.wall_clock.zone

    @property
    def stats(self) -> Stats:
        """What the stream did so far."""
        return self._run.stats

    @property
    def coverage(self) -> Coverage:
        """The spans that the stream is done with, with those that earlier runs were done with.

        Hand it back, `client.cdrs(..., resume=coverage)`, to fetch what is missing.
        """
        return self._run.coverage

    @property
    def failures(self) -> tuple[WindowError, ...]:
        """The windows that failed for good, with their errors.

        With `on_error="collect"`, read it when the stream has ended, or left unread they are
        logged; with `"raise"` it holds the error that was raised.
        """
        self._run.on_drop.unread.clear()
        return tuple(self._run.failures)

    @property
    def rejects(self) -> tuple[Reject, ...]:
        """The records that could not be read, each once (`bad_records="collect"`).

        Read it when the stream has ended, or left unread they are logged. A record that two windows
        hold is listed with the first of them. Whether such a record belongs to the range is not
        examined (`clip`).
        """
        self._run.on_drop.unread_rejects.clear()
        return tuple(self._run.rejects)

    async def to_list(self) -> list[CDR]:
        """Fetch all records of the range, in memory; of a live stream, those still to come.

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
        """Iterate over the same stream by windows: a `Batch` each, also where it is empty."""
        return BatchStream(self, self._run)

    def calls(
        self,
        *,
        margin: timedelta = timedelta(hours=4),
        reached: Callable[[CDR], Reached | None] | None = None,
        country: str = "CH",
    ) -> CallStream:
        """Iterate over the same stream by calls: the legs, grouped as `group_calls` does.

        Only the legs of calls that are still open are kept. Of a call that reaches beyond an end of
        the range, the stream has some legs only: `BoxisClient.calls` fetches the others too.

        Args:
            margin: How long after the end of its last leg a call is kept open.
            reached: Whom a leg reached, see `group_calls`.
            country: The country that a number with a single leading 0 is of.

        Raises:
            UsageError: The stream lacks legs, or is in another order than that of time; or an
                argument is wrong.
            LateLegError: While iterating: a leg came after its call was closed.
        """
        query = self._query
        problems = (
            problem_with_margin(margin),
            None
            if query.unique_by != "uniqueid"
            else 'calls() needs every leg: give cdrs(..., unique_by="leg")',
            None if query.order == "time" else 'calls() needs cdrs(..., order="time")',
            None if query.resume is None else "calls() needs every leg: leave out resume",
            None if self._run.state is State.NEW else "calls() needs a stream from its beginning",
        )
        if any(problems):
            raise UsageError(*filter(None, problems))
        return self._calls(plain_length(margin), reached, country)

    def _calls(
        self,
        margin: timedelta | None,
        reached: Callable[[CDR], Reached | None] | None,
        country: str,
        whole: WholeCalls | None = None,
    ) -> CallStream:
        calls = open_calls(margin, reached, country)
        return CallStream(self, self._run, self._query.plan, calls, whole)

    def aclose(self) -> Coroutine[Any, Any, None]:
        """Cancel what is in flight and wait for its end; a complete stream stays complete.

        From whichever task, as often as you like. A task that is waiting for an item gets a
        `StreamClosedError`.
        """
        return self._run.aclose()

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Coroutine[Any, Any, CDR]:
        return self._next(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        state = self._run.state.value
        return f"<CDRStream({self._query}, {state}, records={self.stats.records})>"


class BatchStream(AsyncIterator[Batch]):
    """The windows of a `CDRStream`, one `Batch` each."""

    def __init__(self, stream: CDRStream, run: Run) -> None:
        # Referred to, so that a stream of which only the batches are used is not dropped.
        self._stream = stream
        self._run = run

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Coroutine[Any, Any, Batch]:
        return self._run.next_batch(self)

    def aclose(self) -> Coroutine[Any, Any, None]:
        """Close the stream."""
        return self._run.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
