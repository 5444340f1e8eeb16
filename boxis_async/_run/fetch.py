"""One window → its records: again, or in halves, when that may help.

Halves cure what is too large, down to two seconds. Where each of two seconds is too large, as where
more calls run at a time than the server gives, they cure nothing, and would be thousands. So a part
that is still too large after two halvings is first tried at three moments: if two seconds at each
are too large, no halves are asked for.
"""

from __future__ import annotations

import asyncio
import logging
import math
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import attrs

from boxis_async._http.attempts import Attempts
from boxis_async._http.request import Deadline, Options, Request, RequestCounts, WindowTimeout
from boxis_async._run.fetched import Fetched
from boxis_async._run.guards import Guard
from boxis_async._run.windows import halve, meets, smallest
from boxis_async._wire.members import UnknownMembers
from boxis_async._wire.readers import ContentReader, Convert, RecordsReader
from boxis_async._wire.wallclock import Span
from boxis_async.errors import (
    BadAnswerError,
    NoAnswerError,
    RefusedError,
    TooLargeError,
    WindowError,
)
from boxis_async.hooks import StreamEvent, WindowEvent, around, notify
from boxis_async.models import Window
from boxis_async.retry import is_cured_by_less, is_too_much

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from boxis_async._http.requester import Requester
    from boxis_async.types import ReturnType

__all__ = ["Fetcher", "Job", "Piece", "is_cancelled"]

logger = logging.getLogger("boxis_async")

# The smallest parts are tried at the second halving, and at each third one from there on. A window
# with two to seventy times as many records as the server gives costs 15 % more requests by it.
# Where none is small enough, some tens of requests show it, and not thousands.
_FIRST_TRIED, _TRIED_EACH = 2, 3
# A window that is hardly longer than the smallest has few halves: to try these costs no more.
_WORTH_TRYING = 8
# Where in a window they are tried, from its start to its end.
_PLACES = (0.0, 0.5, 1.0)


@attrs.frozen(eq=False, repr=False)
class Job:
    """What the windows of one run have in common."""

    tenant: str
    row_limit: int | None
    uncut: tuple[Span, ...]
    overlap: timedelta
    convert: Convert
    collect_rejects: bool
    stops_at_failure: bool
    """Whether nothing that follows a window that failed is handed over."""
    options: Options
    counts: RequestCounts
    guard: Guard | None = None
    """Looks at each answer before it is handed over."""


Piece: TypeAlias = Fetched | WindowError
"""What came of a part of a window: its records, or why it failed for good."""


@attrs.frozen(eq=False, repr=False)
class _Cut:
    """One window that is cut into as many pieces as it takes."""

    job: Job
    window_timeout: WindowTimeout
    answered: set[Window] = attrs.field(factory=set[Window])
    """The smallest windows that were tried and answered, so that none is tried again."""


class Fetcher:
    """Fetches windows for the streams of one client, and calls the API's other functions."""

    def __init__(self, requester: Requester, *, returntype: ReturnType) -> None:
        self.requester = requester
        self._returntype: ReturnType = returntype
        self._unknown = UnknownMembers()

    async def fetch(self, window: Window, job: Job) -> list[Piece]:
        """Fetch one window, in halves where a smaller one may be answered: its pieces, in order.

        Each piece is a span with all its records, or the error of one that failed for good.
        """
        return await self._pieces(window, _Cut(job, WindowTimeout(job.options.retry.timeout)), 0)

    def around_stream(self, event: StreamEvent) -> AbstractContextManager[None]:
        """Be within what a hook puts around a stream."""
        return around(self.requester.hooks.around_stream, event)

    async def finish(self, job: Job) -> None:
        """Make sure, at the end of a run, that no record is missing between two windows.

        Raises:
            ContractError: One is.
            WindowError: A request that this needs failed for good.
        """
        if job.guard is not None:
            unguarded = attrs.evolve(job, guard=None)
            await job.guard.finish(
                partial(self._exactly, job=job), partial(self.fetch, job=unguarded)
            )

    async def call(
        self,
        section: str,
        action: str,
        parameters: Mapping[str, object],
        *,
        options: Options,
    ) -> dict[str, Any]:
        """Call any function of the API, and give what it returned."""
        counts = RequestCounts()
        request = Request(
            section=section,
            action=action,
            parameters=parameters,
            window_timeout=WindowTimeout(math.inf),
            counts=counts,
            options=options,
        )
        deadline = Deadline(options.deadline)
        with anyio.move_on_after(deadline.left()):
            return await Attempts(self.requester, request).answer(ContentReader(self._returntype))
        raise deadline.error(f"{section}/{action}", counts)

    async def _pieces(self, window: Window, cut: _Cut, halvings: int) -> list[Piece]:
        event = WindowEvent(tenant=cut.job.tenant, window=window, records=None, error=None)
        with around(self.requester.hooks.around_window, event):
            return await self._pieces_of(window, cut, halvings)

    async def _pieces_of(self, window: Window, cut: _Cut, halvings: int) -> list[Piece]:
        job, window_timeout = cut.job, cut.window_timeout
        try:
            fetched = await self._checked(await self._whole(window, job, window_timeout), job)
        except WindowError as error:
            failed = error
        else:
            self._notify(window, job.tenant, records=len(fetched))
            return [fetched]
        halves = halve(window, job.uncut, job.overlap)
        incurable = await self._incurable(failed, window, cut, halvings, can_halve=bool(halves))
        if halves is None or incurable is not None:
            return [self._failed(incurable or failed)]
        job.counts.splits += 1
        logger.debug("window %s is cut in halves: %s", window, failed.cause)
        if self.requester.hooks.on_split is not None:
            event = WindowEvent(tenant=job.tenant, window=window, records=None, error=failed)
            notify(self.requester.hooks.on_split, event)
        return await self._both(halves, cut, halvings + 1)

    async def _incurable(
        self, failed: WindowError, window: Window, cut: _Cut, halvings: int, *, can_halve: bool
    ) -> WindowError | None:
        """Give the error of a window that halves would not cure; None to ask for them."""
        if not is_cured_by_less(failed.cause):
            return failed
        if not can_halve:
            return _with_advice(failed)
        if is_too_much(failed.cause):
            is_due = halvings % _TRIED_EACH == _FIRST_TRIED
            return await self._try_smallest(failed, window, cut) if is_due else None
        if cut.window_timeout.is_over:
            return _reworded(failed, f"{failed}; and its time (RetryPolicy.timeout) is used up")
        try:
            await self._whole(smallest(window, cut.job.overlap), cut.job, cut.window_timeout)
        except WindowError as same:
            # Not the size, then: halving would only multiply the requests of an outage.
            return _outage(failed, same)
        return None

    async def _try_smallest(
        self, failed: WindowError, window: Window, cut: _Cut
    ) -> WindowError | None:
        """Try the smallest windows at the start, in the middle and at the end of one.

        Returns:
            An error if all three are too large, or if the first is and nothing after it counts.

        Raises:
            ContractError: All three have as many records as the server gives at most, and nothing
                after a failure counts.
        """
        job = cut.job
        length = smallest(window, job.overlap).length
        if window.start is None or window.length < _WORTH_TRYING * length:
            return None
        errors: list[WindowError] = []
        for share in _PLACES:
            start = (window.start + share * (window.length - length)).replace(microsecond=0)
            part = Window(start, start + length)
            if part in cut.answered or meets(part, job.uncut):
                break
            try:
                await self._checked(await self._whole(part, job, cut.window_timeout), job)
            except WindowError as error:
                if not is_too_much(error.cause):
                    break
                errors.append(_with_advice(error))
            else:
                cut.answered.add(part)
                break
        first = errors[0] if errors else None
        if len(errors) == len(_PLACES):
            if job.guard is not None and job.stops_at_failure:
                job.guard.refuse_too_many(errors)
            if not job.stops_at_failure:
                return _reworded(failed, f"{failed}; and {' and '.join(map(str, errors))}")
        return first if job.stops_at_failure else None

    async def _both(self, halves: tuple[Window, Window], cut: _Cut, halvings: int) -> list[Piece]:
        found: list[list[Piece]] = [[], []]
        errors: list[BaseException] = []

        def is_last() -> bool:
            """Report whether nothing that comes after the first half counts."""
            has_failed = any(isinstance(piece, WindowError) for piece in found[0])
            return has_failed and cut.job.stops_at_failure

        async def fetch(place: int) -> None:
            # The error is kept as a value, so that none leaves in a group.
            try:
                found[place] = await self._pieces(halves[place], cut, halvings)
                if is_last():
                    group.cancel_scope.cancel()
            except (Exception, asyncio.CancelledError) as error:
                # One that nobody requested would end the group as if both halves were there.
                if isinstance(error, asyncio.CancelledError) and is_cancelled():
                    raise
                errors.append(error)
                group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(fetch, 0)
            group.start_soon(fetch, 1)
        if errors:
            raise errors[0]
        return found[0] if is_last() else found[0] + found[1]

    async def _checked(self, fetched: Fetched, job: Job) -> Fetched:
        """Let the guard look at an answer, before it is handed over.

        Raises:
            ContractError: The stream would be short.
            WindowError: The answer is cut off, or cannot be proved to be whole.
        """
        if job.guard is None:
            return fetched
        window = fetched.window
        try:
            return await job.guard.check(fetched, partial(self._exactly, job=job))
        except TooLargeError as error:
            # The error is kept while the halves are fetched, and frames refer to the records.
            error.__traceback__ = None
            del fetched
            raise _failure(error, window, job.tenant) from error
        except WindowError as error:
            # A request of a proof, for another window.
            error.__traceback__ = None
            del fetched
            cause = error.cause or error
            raise _failure(cause, window, job.tenant, error.attempts) from error

    async def _exactly(self, window: Window, job: Job) -> Fetched:
        """Fetch a window that a proof needs.

        Raises:
            WindowError: It failed for good.
        """
        return await self._whole(window, job, WindowTimeout(job.options.retry.timeout))

    async def _whole(self, window: Window, job: Job, window_timeout: WindowTimeout) -> Fetched:
        """Fetch the records of one window, all of them, as often as the policy allows.

        Raises:
            WindowError: The window failed for good.
        """
        request = Request.of_window(
            window,
            job.tenant,
            window_timeout=window_timeout,
            counts=job.counts,
            options=job.options,
        )
        reader = RecordsReader(
            job.convert,
            self._returntype,
            window=window,
            row_limit=job.row_limit,
            unknown=self._unknown,
            collect_rejects=job.collect_rejects,
        )
        attempts = Attempts(self.requester, request)
        try:
            return Fetched(window, await attempts.answer(reader))
        except (NoAnswerError, BadAnswerError, RefusedError) as error:
            raise _failure(error, window, job.tenant, attempts.request.attempt) from error

    def _failed(self, error: WindowError) -> WindowError:
        """Call the hook for a window that failed for good, and give its error."""
        if error.window is not None:
            self._notify(error.window, error.tenant, error=error)
        return error

    def _notify(
        self,
        window: Window,
        tenant: str,
        *,
        records: int | None = None,
        error: WindowError | None = None,
    ) -> None:
        if self.requester.hooks.on_window is not None:
            event = WindowEvent(tenant=tenant, window=window, records=records, error=error)
            notify(self.requester.hooks.on_window, event)


def is_cancelled() -> bool:
    """Report whether this task is being cancelled, so that a CancelledError is meant for it."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _failure(cause: Exception, window: Window, tenant: str, attempts: int = 1) -> WindowError:
    return WindowError.of(cause, window=window, tenant=tenant, attempts=attempts)


def _with_advice(failed: WindowError) -> WindowError:
    """Say of a window that can be no smaller what can be done."""
    if failed.window is not None and failed.window.start is None:
        advice = "everything at once is too much: give datefrom and dateto"
    else:
        advice = "and no smaller window can be asked for"
    return _reworded(failed, f"{failed}; {advice}")


def _outage(failed: WindowError, probe: WindowError) -> WindowError:
    """Make one error of a window and its smallest part, which failed alike."""
    message = f"{failed}; its smallest part failed too, so it is not its size: {probe}"
    return _reworded(failed, message)


def _reworded(failed: WindowError, message: str) -> WindowError:
    error = WindowError(
        message,
        window=failed.window,
        tenant=failed.tenant,
        attempts=failed.attempts,
        cause=failed.cause,
    )
    error.__cause__ = failed.__cause__
    return error
