"""One request → its answer: a turn, a signature, the wire; once more when the clock is refused.

An answer that says so, as a 429 does, pauses the client before the error goes on.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
import traceback
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from boxis_async._http.loop_clock import running_loop
from boxis_async._http.rate_limiter import RateLimiter, turn_of
from boxis_async._http.server_clock import ServerClock
from boxis_async._wire.cooperative import Cooperative
from boxis_async._wire.signing import sign
from boxis_async.errors import (
    BoxisError,
    ClockError,
    WrongLoopError,
)
from boxis_async.hooks import Hooks, RequestEvent, ResponseEvent, RetryEvent, around, notify
from boxis_async.retry import pause_after

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sized

    from boxis_async._http.request import Request
    from boxis_async._http.transport import Transport
    from boxis_async._wire.messages import Reply
    from boxis_async._wire.readers import Reader
    from boxis_async._wire.signing import Credentials
    from boxis_async.types import Limiter, ReturnType

__all__ = ["Requester"]

logger = logging.getLogger("boxis_async")

T = TypeVar("T", bound="Sized")
E = TypeVar("E", bound=RequestEvent)


class Requester:
    """Sends the requests of one client, never more at once than its concurrency."""

    def __init__(  # noqa: PLR0913 - what is sent, as whom, and within which limits
        self,
        transport: Transport,
        credentials: Credentials,
        *,
        concurrency: int,
        rate_limiter: RateLimiter,
        returntype: ReturnType,
        hooks: Hooks | None = None,
        limiter: Limiter | None = None,
    ) -> None:
        self._transport = transport
        self._credentials = credentials
        self._returntype: ReturnType = returntype
        self.hooks = hooks or Hooks()
        self._slots = asyncio.Semaphore(concurrency)
        # One answer is read at a time. Others wait meanwhile, each whole in the memory: no more of
        # them than may be in flight.
        self._answers = asyncio.Semaphore(2 * concurrency)
        self._rate_limiter = rate_limiter
        self._limiter = limiter
        self._cooperative = Cooperative()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.clock = ServerClock()

    def bind(self) -> None:
        """Belong to the running event loop from the first use on.

        Raises:
            WrongLoopError: It was first used on another one.
            UsageError: None of asyncio's is running.
        """
        loop = running_loop()
        self.check_loop()
        if self._loop is None:
            self._loop = loop

    def check_loop(self) -> None:
        """Refuse to work on another event loop than the first.

        Raises:
            WrongLoopError: It was first used on another one, to which its connections belong.
            UsageError: None of asyncio's is running.
        """
        if self._loop is not None and self._loop is not running_loop():
            raise WrongLoopError(
                "this client was first used on another event loop, and its connections belong "
                "to that one: make a client for each loop"
            )

    async def request(self, request: Request, reader: Reader[T]) -> T:
        """Send a request and read its answer; once more when the clock was refused.

        The page's PHP sample does the same: it signs again with the server's timestamp.

        Raises:
            BoxisError: No answer came, or not the one that was requested.
        """
        self.bind()
        before = sys.exception()
        clock_was_refused = False
        while True:
            with ExitStack() as around_it:
                corrections, reply, began = await self._send(request, around_it)
                seconds = time.perf_counter() - began
                observe = partial(self.clock.observe, arrived=self.clock.ours(), seconds=seconds)
                try:
                    found = await self._cooperative.run(reader.read(reply))
                except ClockError as error:
                    error.our_time = int(self.clock.ours())
                    observe(error.server_time)
                    self._report(request, seconds, reply, error)
                    if (
                        clock_was_refused
                        or error.server_time is None
                        or not self.clock.is_clock(error.server_time)
                    ):
                        del reply
                        _let_go_of_the_answer(error, before)
                        raise
                    clock_was_refused = True
                    self.clock.correct(error.server_time, seen=corrections)
                    request.counts.retries += 1
                    notify(self.hooks.on_retry, _event(RetryEvent, request, error=error))
                except BoxisError as error:
                    observe(reader.server_time)
                    seconds_to_wait = pause_after(request.options.retry, error, request.attempt)
                    self._rate_limiter.pause(seconds_to_wait)
                    if self._limiter is not None and seconds_to_wait > 0:
                        self._limiter.slow_down(seconds_to_wait)
                    self._report(request, seconds, reply, error)
                    del reply
                    _let_go_of_the_answer(error, before)
                    raise
                else:
                    observe(reader.server_time)
                    self._report(request, seconds, reply, None, len(found))
                    return found
                finally:
                    self._answers.release()

    async def _send(self, request: Request, around_it: ExitStack) -> tuple[int, Reply, float]:
        """Wait for a turn, sign the request and send it.

        The answer has a place then, which whoever reads it has to give back. What a hook puts
        around a request is entered in `around_it`.

        Returns:
            How often the clock had been set when it was signed, what came back, and when it was
            sent, by `time.perf_counter`.
        """
        options = request.options
        self._transport.prepare()
        # The semaphores are held while we wait for the client's rate limiter, so that nobody
        # overtakes. The limiter of the options comes first: held meanwhile, a semaphore would let
        # requests with other options wait for it as well. A limiter of the user's comes last: its
        # turn may be for this very moment.
        async with (
            options.rate_limiter,
            self._place(),
            self._slots,
            self._rate_limiter,
            turn_of(self._limiter),
        ):
            left = request.window_timeout.begin()
            # Signed only now, as the waits may have been long.
            corrections = self.clock.corrections
            form = sign(
                self._credentials,
                section=request.section,
                action=request.action,
                parameters=request.parameters,
                timestamp=int(self.clock.now()),
                returntype=self._returntype,
            )
            request.counts.requests += 1
            event = _event(RequestEvent, request)
            around_it.enter_context(around(self.hooks.around_request, event))
            notify(self.hooks.on_request, event)
            began = time.perf_counter()
            sending = self._transport.post(form, timeout=options.timeout, within=left)
            # This frame is in the traceback of each error from here on, and errors are kept.
            del form
            try:
                reply = await sending
            except BoxisError as error:
                self._report(request, time.perf_counter() - began, None, error)
                raise
            return corrections, reply, began

    @asynccontextmanager
    async def _place(self) -> AsyncGenerator[None]:
        """Take a place among the answers, and give it back if there is none."""
        await self._answers.acquire()
        try:
            yield
        except BaseException:
            self._answers.release()
            raise

    def _report(
        self,
        request: Request,
        seconds: float,
        reply: Reply | None,
        error: BoxisError | None,
        records: int | None = None,
    ) -> None:
        """Log how a request ended, and call the hook."""
        if reply is None:
            logger.debug("%s: %s, %.0f ms", request, error, 1000 * seconds)
        else:
            end = f"{1000 * seconds:.0f} ms"
            end = f"{records} records, {end}" if error is None else f"{end}: {error}"
            size = len(reply.body)
            logger.debug("%s: status %d, %d bytes, %s", request, reply.status_code, size, end)
        if self.hooks.on_response is not None:
            event = _event(
                ResponseEvent,
                request,
                seconds=seconds,
                status_code=None if reply is None else reply.status_code,
                size=None if reply is None else len(reply.body),
                records=records,
                error=error,
            )
            notify(self.hooks.on_response, event)


def _let_go_of_the_answer(error: BoxisError, before: BaseException | None) -> None:
    """Clear the frames that read an answer: the error is kept, and the answer is not.

    Those are ours alone, and have come to their end: nothing is awaited while an answer is read. We
    stop before the errors of whoever called, as frames of theirs may still be at work.
    """
    found: BaseException | None = error
    while found is not None and found is not before:
        traceback.clear_frames(found.__traceback__)
        found = found.__cause__ or found.__context__


def _event(kind: type[E], request: Request, **more: Any) -> E:  # noqa: ANN401 - by kind
    return kind(
        section=request.section,
        action=request.action,
        window=request.window,
        attempt=request.attempt,
        tenant=request.tenant,
        **more,
    )
