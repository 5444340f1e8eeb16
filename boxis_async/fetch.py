"""One window → its records: sign, send, read; again when that may help."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sized
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio
import attrs

from .errors import (
    BadAnswerError,
    BoxisError,
    ClockError,
    NoAnswerError,
    RecordError,
    RefusedError,
    WindowError,
    WrongLoopError,
)
from .models import CDR, Window
from .records import content, make_converter
from .wallclock import write_wall
from .wire import read_reply, rows, sign

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .retry import RetryPolicy
    from .transport import Transport
    from .wallclock import WallClock
    from .wire import Answer, Credentials, ReturnType

__all__ = ["Fetched", "Fetcher", "Tally"]

logger = logging.getLogger("boxis_async")

T = TypeVar("T", bound=Sized)

# So many records are built before other tasks get a turn: about 5 ms.
_SLICE = 256


@attrs.define
class Tally:
    """What the requests of one run came to, so far."""

    requests: int = 0
    retries: int = 0
    splits: int = 0


@attrs.frozen
class Fetched:
    """What one window gave: its records, and beside each a digest of all that was sent for it."""

    window: Window
    cdrs: list[CDR]
    contents: list[bytes]


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
        returntype: ReturnType,
    ) -> None:
        self._transport = transport
        self._credentials = credentials
        self._concurrency = concurrency
        self._retry = retry
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

    async def fetch(self, window: Window, tenant: str, tally: Tally) -> Fetched:
        """Fetch the records of one window, all of them, as often as the policy allows.

        Raises:
            WindowError: The window failed for good.
        """
        parameters = {
            "tenant": tenant,
            "datefrom": "" if window.start is None else write_wall(window.start),
            "dateto": "" if window.end is None else write_wall(window.end),
        }
        attempts = 0
        try:
            async for attempt in self._retry.attempts_on(self._retry.deserves):
                with attempt:
                    attempts = attempt.num
                    tally.retries += attempts > 1
                    records = await self._ask(
                        "voice",
                        "getCDR",
                        parameters,
                        read=rows,
                        as_text=True,
                        tally=tally,
                        told=f"window {window}, attempt {attempts}",
                    )
                    return await self._build(window, records)
        except (NoAnswerError, BadAnswerError, RefusedError) as error:
            raise WindowError.of(error, window=window, tenant=tenant, attempts=attempts) from error
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
    ) -> T:
        """Send one request and read its answer; once more when the clock was refused.

        The page's sample does the same: it signs again with the server's timestamp.
        """
        self.bind()
        limiter = cast("anyio.CapacityLimiter", self._limiter)
        clock_was_refused = False
        while True:
            async with limiter:
                # Signed only now: the wait for a place may have been long.
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
                    reply = await self._transport.post(form)
                except NoAnswerError as error:
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
