"""One window → its records: sign, send, read; again when that may help."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Sized
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import anyio
import attrs

from .errors import (
    AttemptTimeoutError,
    BadAnswerError,
    BoxisError,
    ClockError,
    NoAnswerError,
    RecordError,
    RefusedError,
    TooLargeError,
    WindowError,
    WrongLoopError,
)
from .models import CDR, Window
from .records import content, make_converter
from .retry import is_cured_by_less, is_too_much
from .wallclock import write_wall
from .windows import Span, halve, smallest
from .wire import read_reply, rows, sign

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .pace import Pace
    from .retry import RetryPolicy
    from .transport import Transport
    from .wallclock import WallClock
    from .wire import Answer, Credentials, ReturnType

__all__ = ["Asking", "Fetched", "Fetcher", "Piece", "Tally"]

logger = logging.getLogger("boxis_async")

T = TypeVar("T", bound=Sized)

# So many records are built before other tasks get a turn: about 5 ms.
_SLICE = 256

_LEAST_SECONDS = 0.001


@attrs.define
class Tally:
    """What the requests of one run came to, so far."""

    requests: int = 0
    retries: int = 0
    splits: int = 0


@attrs.frozen
class Asking:
    """What the windows of one run have in common."""

    tenant: str
    row_limit: int | None
    repeated: tuple[Span, ...]
    tally: Tally


class Deadline:
    """The end of the time that one window has, with its halves, from its first request on."""

    __slots__ = ("_end", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end: float | None = None

    def begin(self) -> float:
        """Let the time begin, unless it has, and give the seconds left; at least a little."""
        if self._end is None:
            self._end = time.monotonic() + self._seconds
        return max(self.left(), _LEAST_SECONDS)

    def left(self) -> float:
        """Give the seconds that are left."""
        return self._seconds if self._end is None else self._end - time.monotonic()


@attrs.frozen
class Fetched:
    """What one window gave: its records, and beside each a digest of all that was sent for it."""

    window: Window
    cdrs: list[CDR]
    contents: list[bytes]


Piece: TypeAlias = Fetched | WindowError
"""What came of a part of a window: its records, or why it failed for good."""


class ServerClock:
    """The provider's clock, as far as it has told it: ours, and an offset that is kept."""

    __slots__ = ("_offset", "corrections")

    def __init__(self) -> None:
        self._offset = 0.0
        self.corrections = 0

    def now(self) -> float:
        """Give the time in Unix seconds by the provider's clock."""
        return time.time() + self._offset

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


class Fetcher:
    """Sends the requests of one client, never more at once than its concurrency."""

    def __init__(  # noqa: PLR0913 - the client's whole configuration meets here
        self,
        transport: Transport,
        credentials: Credentials,
        *,
        wall_clock: WallClock,
        concurrency: int,
        retry: RetryPolicy,
        pace: Pace,
        returntype: ReturnType,
    ) -> None:
        self._transport = transport
        self._credentials = credentials
        self._concurrency = concurrency
        self._retry = retry
        self._pace = pace
        self._returntype: ReturnType = returntype
        self._converter = make_converter(wall_clock)
        self._limiter: anyio.CapacityLimiter | None = None
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
            self._limiter = anyio.CapacityLimiter(self._concurrency)

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

    async def fetch(self, window: Window, asking: Asking) -> list[Piece]:
        """Fetch one window, in halves where a smaller one may be answered: its pieces, in order.

        Each piece is a span with all its records, or the error of one that failed for good.
        """
        return await self._pieces(window, asking, Deadline(self._retry.timeout))

    async def _pieces(self, window: Window, asking: Asking, deadline: Deadline) -> list[Piece]:
        try:
            return [await self._whole(window, asking, deadline)]
        except WindowError as error:
            failed = error
        halves = halve(window, asking.repeated)
        if not is_cured_by_less(failed.cause):
            return [failed]
        if halves is None:
            return [_with_advice(failed)]
        if not is_too_much(failed.cause):
            try:
                await self._whole(smallest(window), asking, deadline)
            except WindowError as same:
                # Not the size, then: halving would only multiply the requests of an outage.
                return [_outage(failed, same)]
        asking.tally.splits += 1
        logger.debug("window %s is cut in halves: %s", window, failed.cause)
        return await self._both(halves, asking, deadline)

    async def _both(
        self, halves: tuple[Window, Window], asking: Asking, deadline: Deadline
    ) -> list[Piece]:
        found: list[list[Piece]] = [[], []]
        errors: list[Exception] = []

        async def fetch(place: int) -> None:
            # As a value, so that no error leaves in a group.
            try:
                found[place] = await self._pieces(halves[place], asking, deadline)
            except Exception as error:  # noqa: BLE001 - raised again below
                errors.append(error)
                group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(fetch, 0)
            group.start_soon(fetch, 1)
        if errors:
            raise errors[0]
        return found[0] + found[1]

    async def _whole(self, window: Window, asking: Asking, deadline: Deadline) -> Fetched:
        """Fetch the records of one window, all of them, as often as the policy allows.

        Raises:
            WindowError: The window failed for good.
        """
        parameters = {
            "tenant": asking.tenant,
            "datefrom": "" if window.start is None else write_wall(window.start),
            "dateto": "" if window.end is None else write_wall(window.end),
        }
        attempts = 0
        last: Exception = AttemptTimeoutError(f"the {self._retry.timeout:g} s for it are used up")

        def deserves(error: Exception) -> bool | float:
            nonlocal last
            last = error
            return self._retry.deserves(error) if deadline.left() > 0 else False

        try:
            async for attempt in self._retry.attempts_on(deserves):
                with attempt:
                    if deadline.left() <= 0:
                        raise last
                    attempts = attempt.num
                    asking.tally.retries += attempts > 1
                    records = await self._ask(
                        "voice",
                        "getCDR",
                        parameters,
                        read=rows,
                        as_text=True,
                        tally=asking.tally,
                        told=f"window {window}, attempt {attempts}",
                        attempt=attempts,
                        deadline=deadline,
                    )
                    if asking.row_limit is not None and len(records) >= asking.row_limit:
                        raise TooLargeError(
                            f"the answer holds {len(records):,} records, and may be cut off: "
                            f"row_limit is {asking.row_limit:,}",
                            limit=asking.row_limit,
                        )
                    return await self._build(window, records)
        except (NoAnswerError, BadAnswerError, RefusedError) as error:
            raise WindowError.of(
                error, window=window, tenant=asking.tenant, attempts=attempts
            ) from error
        raise AssertionError("stamina ends with a result or an error")

    async def call(
        self, section: str, action: str, parameters: Mapping[str, object], *, retry: bool
    ) -> dict[str, Any]:
        """Call any function of the API, and give what it gives back."""
        policy = self._retry if retry else attrs.evolve(self._retry, attempts=1)
        async for attempt in policy.attempts_on(policy.deserves):
            with attempt:
                return await self._ask(
                    section,
                    action,
                    parameters,
                    read=_as_dict,
                    as_text=False,
                    tally=Tally(),
                    told=f"{section}/{action}, attempt {attempt.num}",
                    attempt=attempt.num,
                    deadline=Deadline(math.inf),
                )
        raise AssertionError("stamina ends with a result or an error")

    async def _ask(  # noqa: PLR0913 - one argument for each thing that differs
        self,
        section: str,
        action: str,
        parameters: Mapping[str, object],
        *,
        read: Callable[[Answer], T],
        as_text: bool,
        tally: Tally,
        told: str,
        attempt: int,
        deadline: Deadline,
    ) -> T:
        """Send one request and read its answer; once more when the clock was refused.

        The page's sample does the same: it signs again with the server's timestamp.
        """
        self.bind()
        limiter = cast("anyio.CapacityLimiter", self._limiter)
        clock_was_refused = False
        while True:
            async with limiter:
                # With the place in hand, as no other request may be sent either until then.
                await self._pace.turn()
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
                    reply = await self._transport.post(form, at_most=deadline.begin())
                except (NoAnswerError, BadAnswerError) as error:
                    logger.debug("%s: %s, %.0f ms", told, error, _milliseconds(began))
                    raise
            took = _milliseconds(began)
            try:
                answer = read_reply(reply, self._returntype, as_text=as_text)
                found = read(answer)
            except ClockError as error:
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

    async def _build(self, window: Window, records: list[tuple[str, object]]) -> Fetched:
        """Build the records, giving way to other tasks in between."""
        fetched = Fetched(window, [], [])
        for begin in range(0, len(records), _SLICE):
            if begin:
                await asyncio.sleep(0)
            for position, row in records[begin : begin + _SLICE]:
                try:
                    fetched.cdrs.append(self._converter.structure(row, CDR))
                except RecordError as error:
                    raise RecordError(
                        error.reason,
                        position=position,
                        field=error.field,
                        value=error.value,
                        window=window,
                    ) from None
                fetched.contents.append(content(cast("dict[str, object]", row)))
        return fetched


def _with_advice(failed: WindowError) -> WindowError:
    """Say of a window that can be no smaller what can be done."""
    if failed.window is not None and failed.window.start is None:
        advice = "asking for everything is too much at once: give datefrom and dateto"
    else:
        advice = "and no smaller window can be asked for"
    return _again(failed, f"{failed}; {advice}")


def _outage(failed: WindowError, probe: WindowError) -> WindowError:
    """Make one error of a window and its smallest part, which failed alike."""
    return _again(failed, f"{failed}; its smallest part failed too, so it is not its size: {probe}")


def _again(failed: WindowError, message: str) -> WindowError:
    told = WindowError(
        message,
        window=failed.window,
        tenant=failed.tenant,
        attempts=failed.attempts,
        cause=failed.cause,
    )
    told.__cause__ = failed.__cause__
    return told


def _milliseconds(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def _as_dict(answer: Answer) -> dict[str, Any]:
    """Give what a function gives back as a dict; PHP writes the keys 0, 1, … as a list."""
    found = answer.content
    if isinstance(found, dict):
        return cast("dict[str, Any]", found)
    if isinstance(found, list):
        return {str(key): value for key, value in enumerate(cast("Sequence[Any]", found))}
    return {"params": found}
