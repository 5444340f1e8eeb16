"""One request → its answer: a turn, a signature, the wire; once more when the clock is refused."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sized
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import attrs

from boxis_async._wire.answers import reply_in_steps, sign
from boxis_async._wire.turns import take
from boxis_async.errors import (
    AttemptTimeoutError,
    BadAnswerError,
    BoxisError,
    ClockError,
    NoAnswerError,
    RecordError,
    WrongLoopError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from boxis_async._wire.answers import Answer, Credentials, ReturnType
    from boxis_async._wire.cooperative import Build, Steps
    from boxis_async._wire.turns import Turns
    from boxis_async.retry import RetryPolicy

    from .rate_limiter import Pace
    from .transport import Reply, Transport

__all__ = ["Deadline", "Sender", "ServerClock", "Tally"]

logger = logging.getLogger("boxis_async")

T = TypeVar("T", bound=Sized)


@attrs.define(eq=False, repr=False)
class Tally:
    """What the requests of one run came to, so far."""

    requests: int = 0
    retries: int = 0
    splits: int = 0


class Deadline:
    """The end of the time that one window has, with its halves, from its first request on."""

    __slots__ = ("_end", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end: float | None = None

    def begin(self) -> float:
        """Let the time begin, unless it has, and give the seconds left.

        Raises:
            AttemptTimeoutError: None are.
        """
        if self._end is None:
            self._end = time.monotonic() + self._seconds
        left = self.left()
        if left <= 0:
            raise AttemptTimeoutError(
                f"the {self._seconds:g} s for the window (RetryPolicy.timeout) are used up"
            )
        return left

    def left(self) -> float:
        """Give the seconds that are left."""
        return self._seconds if self._end is None else self._end - time.monotonic()


class ServerClock:
    """The provider's clock, as far as it has told it: ours, and an offset that is kept.

    Only a refusal sets it. What any other answer tells is noted: a clock that the server
    accepts is right enough.
    """

    __slots__ = ("_offset", "corrections", "noted")

    def __init__(self) -> None:
        self._offset = 0.0
        self.corrections = 0
        self.noted: float | None = None
        """By how many seconds the server's was ahead of ours in the latest answer that told."""

    def now(self) -> float:
        """Give the time in Unix seconds by the provider's clock."""
        return time.time() + self._offset

    def note(self, server_time: int | None) -> None:
        """Note what an answer tells of the server's clock, in Unix seconds."""
        if server_time is not None:
            self.noted = server_time - time.time()

    def correct(self, server_time: int, *, seen: int) -> None:
        """Set the clock, unless somebody did since a request was signed.

        Args:
            server_time: What the server's clock says, in Unix seconds.
            seen: `corrections` when the refused request was signed.
        """
        if seen == self.corrections:
            self._offset = server_time - time.time()
            self.corrections += 1
            logger.info("the clock is set by the server's, %+.0f s from ours", self._offset)


class Sender:
    """Sends the requests of one client, never more at once than its concurrency."""

    def __init__(  # noqa: PLR0913 - what a request is made of meets here
        self,
        transport: Transport,
        credentials: Credentials,
        *,
        concurrency: int,
        retry: RetryPolicy,
        pace: Pace,
        turns: Turns,
        returntype: ReturnType,
    ) -> None:
        self._transport = transport
        self._credentials = credentials
        self._retry = retry
        self._pace = pace
        self._returntype: ReturnType = returntype
        self._places = asyncio.Semaphore(concurrency)
        self._turns = turns
        self._loop: asyncio.AbstractEventLoop | None = None
        self.clock = ServerClock()

    def bind(self) -> None:
        """Belong to the running event loop from the first use on.

        Raises:
            WrongLoopError: It was first used on another one.
        """
        self.check_loop()
        if self._loop is None:
            self._loop = asyncio.get_running_loop()

    def check_loop(self) -> None:
        """Refuse to work on another event loop than the first.

        Raises:
            WrongLoopError: It was first used on another one, to which its connections belong.
        """
        if self._loop is not None and self._loop is not asyncio.get_running_loop():
            raise WrongLoopError(
                "this client was first used on another event loop, and its connections belong "
                "to that one: make a client for each loop"
            )

    async def ask(  # noqa: PLR0913 - one argument for each thing that differs
        self,
        section: str,
        action: str,
        parameters: Mapping[str, object],
        *,
        read: Callable[[Answer], Steps[T]],
        build: Build | None,
        tally: Tally,
        told: str,
        attempt: int,
        deadline: Deadline,
    ) -> T:
        """Send one request and read its answer; once more when the clock was refused.

        The page's sample does the same: it signs again with the server's timestamp. With
        `build` the answer is a list of records, that are built as soon as they are read, from
        texts alone.
        """
        self.bind()
        clock_was_refused = False
        while True:
            # The turn with the place in hand, as no other request may be sent until then either.
            async with self._places, self._pace:
                left = deadline.begin()
                # Signed only now: the waits may have been long.
                corrections = self.clock.corrections
                form = sign(
                    self._credentials,
                    section=section,
                    action=action,
                    parameters=parameters,
                    timestamp=int(self.clock.now()),
                    returntype=self._returntype,
                )
                tally.requests += 1
                began = time.perf_counter()
                try:
                    reply = await self._transport.post(form, at_most=left)
                except (NoAnswerError, BadAnswerError) as error:
                    logger.debug("%s: %s, %.0f ms", told, error, _milliseconds(began))
                    raise
            took = _milliseconds(began)
            try:
                # Records are many: their answers are read by turns.
                by_turns = take if build is None else self._turns.read
                found = await by_turns(self._found(reply, read, build))
            except ClockError as error:
                self.clock.note(error.server_time)
                logger.debug("%s: %s, %.0f ms", told, error, took)
                if clock_was_refused or error.server_time is None:
                    raise
                clock_was_refused = True
                self.clock.correct(error.server_time, seen=corrections)
                tally.retries += 1
                continue
            except BoxisError as error:
                self._pace.pause(self._retry.pause(error, attempt))
                logger.debug(
                    "%s: status %d, %d bytes, %.0f ms: %s",
                    told,
                    reply.status,
                    len(reply.body),
                    took,
                    error,
                )
                raise
            logger.debug(
                "%s: status %d, %d bytes, %d records, %.0f ms",
                told,
                reply.status,
                len(reply.body),
                len(found),
                took,
            )
            return found

    def _found(
        self, reply: Reply, read: Callable[[Answer], Steps[T]], build: Build | None
    ) -> Steps[T]:
        """Read what came back, and what was asked for in it."""
        is_of_records = build is not None
        answer: Answer | None = None
        with suppress(RecordError):
            answer = yield from reply_in_steps(
                reply, self._returntype, as_text=is_of_records, build=build
            )
        if answer is None:
            # To tell which record it is takes all of them, and an answer that is whole.
            answer = yield from reply_in_steps(reply, self._returntype, as_text=is_of_records)
        self.clock.note(answer.server_time)
        return (yield from read(answer))


def _milliseconds(began: float) -> float:
    return (time.perf_counter() - began) * 1000
