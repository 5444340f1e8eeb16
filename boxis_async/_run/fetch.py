"""One window → its records: again, or in halves, when that may help."""

from __future__ import annotations

import asyncio
import logging
import math
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import attrs

from boxis_async._http.requester import Deadline, Options, Request, RequestCounts, TimeLimit
from boxis_async._run.fetched import Fetched
from boxis_async._run.guards import Guard
from boxis_async._run.windows import halve, smallest
from boxis_async._wire.members import UnknownMembers
from boxis_async._wire.readers import ContentReader, Convert, RecordsReader
from boxis_async._wire.wallclock import Span
from boxis_async.errors import (
    AttemptTimeoutError,
    BadAnswerError,
    NoAnswerError,
    RefusedError,
    TooLargeError,
    WindowError,
)
from boxis_async.hooks import Hooks, RetryEvent, WindowEvent, notify
from boxis_async.retry import attempts_on, is_cured_by_less, is_too_much, should_retry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from boxis_async._http.requester import Requester
    from boxis_async.models import Window
    from boxis_async.types import ReturnType

__all__ = ["Fetcher", "Job", "Piece", "is_cancelled"]

logger = logging.getLogger("boxis_async")


@attrs.frozen(eq=False, repr=False)
class Job:
    """What the windows of one run have in common."""

    tenant: str
    row_limit: int | None
    uncut: tuple[Span, ...]
    overlap: timedelta
    convert: Convert
    collect_rejects: bool
    options: Options
    counts: RequestCounts
    guard: Guard | None = None
    """Looks at each answer before it is handed over."""


Piece: TypeAlias = Fetched | WindowError
"""What came of a part of a window: its records, or why it failed for good."""


class Fetcher:
    """Fetches windows for the streams of one client, and calls the API's other functions."""

    def __init__(
        self, requester: Requester, *, returntype: ReturnType, hooks: Hooks | None = None
    ) -> None:
        self.requester = requester
        self._returntype: ReturnType = returntype
        self._hooks = hooks or Hooks()
        self._unknown = UnknownMembers()

    async def fetch(self, window: Window, job: Job) -> list[Piece]:
        """Fetch one window, in halves where a smaller one may be answered: its pieces, in order.

        Each piece is a span with all its records, or the error of one that failed for good.
        """
        return await self._pieces(window, job, Deadline(job.options.retry.timeout))

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
            deadline=Deadline(math.inf),
            counts=counts,
            options=options,
        )
        reader = ContentReader(self._returntype)

        def on(error: Exception) -> bool | float:
            return self._should_retry(error, request)

        what = f"{section}/{action}"
        limit = TimeLimit(options.deadline)
        with anyio.move_on_after(limit.left()):
            async for attempt in attempts_on(options.retry, on, what=what):
                with attempt:
                    request = attrs.evolve(request, attempt=attempt.num)
                    return await self.requester.request(request, reader)
        raise limit.error(what, counts)

    async def _pieces(self, window: Window, job: Job, deadline: Deadline) -> list[Piece]:
        try:
            fetched = await self._checked(await self._whole(window, job, deadline), job)
        except WindowError as error:
            failed = error
        else:
            self._notify(window, job.tenant, records=len(fetched))
            return [fetched]
        halves = halve(window, job.uncut, job.overlap)
        if not is_cured_by_less(failed.cause):
            return [self._failed(failed)]
        if halves is None:
            return [self._failed(_with_advice(failed))]
        if not is_too_much(failed.cause):
            if deadline.left() <= 0:
                message = f"{failed}; and its time (RetryPolicy.timeout) is used up"
                return [self._failed(_reworded(failed, message))]
            try:
                await self._whole(smallest(window, job.overlap), job, deadline)
            except WindowError as same:
                # Not the size, then: halving would only multiply the requests of an outage.
                return [self._failed(_outage(failed, same))]
        job.counts.splits += 1
        logger.debug("window %s is cut in halves: %s", window, failed.cause)
        return await self._both(halves, job, deadline)

    async def _both(
        self, halves: tuple[Window, Window], job: Job, deadline: Deadline
    ) -> list[Piece]:
        found: list[list[Piece]] = [[], []]
        errors: list[BaseException] = []

        async def fetch(place: int) -> None:
            # The error is kept as a value, so that none leaves in a group.
            try:
                found[place] = await self._pieces(halves[place], job, deadline)
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
        return found[0] + found[1]

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
        return await self._whole(window, job, Deadline(job.options.retry.timeout))

    async def _whole(self, window: Window, job: Job, deadline: Deadline) -> Fetched:
        """Fetch the records of one window, all of them, as often as the policy allows.

        Raises:
            WindowError: The window failed for good.
        """
        retry = job.options.retry
        request = Request.of_window(
            window, job.tenant, deadline=deadline, counts=job.counts, options=job.options
        )
        reader = RecordsReader(
            job.convert,
            self._returntype,
            window=window,
            row_limit=job.row_limit,
            unknown=self._unknown,
            collect_rejects=job.collect_rejects,
        )
        last: Exception = AttemptTimeoutError(f"the {retry.timeout:g} s for it are used up")

        def on(error: Exception) -> bool | float:
            nonlocal last
            last = error
            return deadline.left() > 0 and self._should_retry(error, request)

        try:
            async for attempt in attempts_on(retry, on, what=f"window {window}"):
                with attempt:
                    if deadline.left() <= 0:
                        raise last
                    request = attrs.evolve(request, attempt=attempt.num)
                    job.counts.retries += attempt.num > 1
                    return Fetched(window, await self.requester.request(request, reader))
        except (NoAnswerError, BadAnswerError, RefusedError) as error:
            raise _failure(error, window, job.tenant, request.attempt) from error
        raise AssertionError("stamina ends with a result or an error")

    def _should_retry(self, error: Exception, request: Request) -> bool | float:
        """Report whether a request is sent again, and call the hook if it is."""
        policy = request.options.retry
        wait = should_retry(policy, error)
        if wait is not False and request.attempt < policy.attempts:
            request.counts.last_failure = error
            event = RetryEvent(
                section=request.section,
                action=request.action,
                window=request.window,
                attempt=request.attempt,
                error=error,
            )
            notify(self._hooks.on_retry, event)
        return wait

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
        if self._hooks.on_window is not None:
            event = WindowEvent(tenant=tenant, window=window, records=records, error=error)
            notify(self._hooks.on_window, event)


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
