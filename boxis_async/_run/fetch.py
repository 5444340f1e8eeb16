"""One window → its records: again, or in halves, when that may help."""

from __future__ import annotations

import logging
import math
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import anyio
import attrs

from boxis_async._http.requester import Deadline, Tally
from boxis_async._wire.answers import rows
from boxis_async._wire.cooperative import Built
from boxis_async._wire.records import Readings, make_converter
from boxis_async._wire.wallclock import write_wall
from boxis_async.errors import (
    AttemptTimeoutError,
    BadAnswerError,
    NoAnswerError,
    RecordError,
    RefusedError,
    TooLargeError,
    WindowError,
)
from boxis_async.models import CDR, Window
from boxis_async.retry import is_cured_by_less, is_too_much

from .windows import Span, halve, smallest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from boxis_async._http.requester import Sender
    from boxis_async._wire.answers import Answer
    from boxis_async._wire.cooperative import Steps
    from boxis_async._wire.wallclock import WallClock
    from boxis_async.retry import RetryPolicy

__all__ = ["Asking", "Fetched", "Fetcher", "Piece"]

logger = logging.getLogger("boxis_async")

# So many records are built before other tasks get a turn: a millisecond or two.
_SLICE = 64


@attrs.frozen(eq=False, repr=False)
class Asking:
    """What the windows of one run have in common."""

    tenant: str
    row_limit: int | None
    repeated: tuple[Span, ...]
    tally: Tally


@attrs.frozen(eq=False, repr=False)
class Fetched:
    """What one window gave: its records, and the fingerprints of each, see `Readings`."""

    window: Window
    cdrs: list[CDR]
    known_by: list[bytes]

    def __len__(self) -> int:
        return len(self.cdrs)


Piece: TypeAlias = Fetched | WindowError
"""What came of a part of a window: its records, or why it failed for good."""


class Fetcher:
    """Fetches windows for the streams of one client, and calls what else the API has."""

    def __init__(self, sender: Sender, *, retry: RetryPolicy, wall_clock: WallClock) -> None:
        self.sender = sender
        self._retry = retry
        self._read_rows: Callable[[Iterable[Any], object], Readings] = make_converter(
            wall_clock
        ).get_structure_hook(Readings)

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
            _clear_frames(error)
        halves = halve(window, asking.repeated)
        if not is_cured_by_less(failed.cause):
            return [failed]
        if halves is None:
            return [_with_advice(failed)]
        if not is_too_much(failed.cause):
            if deadline.left() <= 0:
                return [_again(failed, f"{failed}; and its time (RetryPolicy.timeout) is used up")]
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
                    return await self.sender.ask(
                        "voice",
                        "getCDR",
                        parameters,
                        read=partial(self._read, window, asking.row_limit),
                        build=self._build,
                        tally=asking.tally,
                        told=f"window {window}, attempt {attempts}",
                        attempt=attempts,
                        deadline=deadline,
                    )
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
                return await self.sender.ask(
                    section,
                    action,
                    parameters,
                    read=_as_dict,
                    build=None,
                    tally=Tally(),
                    told=f"{section}/{action}, attempt {attempt.num}",
                    attempt=attempt.num,
                    deadline=Deadline(math.inf),
                )
        raise AssertionError("stamina ends with a result or an error")

    def _read(self, window: Window, row_limit: int | None, answer: Answer) -> Steps[Fetched]:
        """Take the records of an answer, and build those that were not yet.

        Raises:
            TooLargeError: There are as many as the answer may hold.
            RecordError: One cannot be read.
        """
        found = rows(answer)
        cdrs: list[CDR] = []
        known_by: list[bytes] = []
        if isinstance(found, Built):
            for some_cdrs, some_known_by in cast("list[Readings]", found):
                cdrs += some_cdrs
                known_by += some_known_by
        count = len(cdrs) or len(found)
        if row_limit is not None and count >= row_limit:
            raise TooLargeError(
                f"the answer holds {count:,} records, and may be cut off: "
                f"row_limit is {row_limit:,}",
                limit=row_limit,
            )
        if isinstance(found, dict):
            for number, (position, row) in enumerate(found.items()):
                if number % _SLICE == 0:
                    yield
                one, one_known_by = self._build_one(row, position, window)
                cdrs += one
                known_by += one_known_by
        return Fetched(window, cdrs, known_by)

    def _build(self, rows: Iterable[Any]) -> Readings:
        return self._read_rows(rows, Readings)

    def _build_one(self, row: object, position: str, window: Window) -> Readings:
        try:
            return self._build([row])
        except RecordError as error:
            reason, field, value = error.reason, error.field, error.value
        # Not from there: what stands in the frames that it passed would be kept with it.
        raise RecordError(reason, position=position, field=field, value=value, window=window)


def _clear_frames(error: BaseException | None) -> None:
    """Let go of what stands in the frames of tracebacks: errors are kept, answers are not."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


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


def _as_dict(answer: Answer) -> Steps[dict[str, Any]]:
    """Give what a function gives back as a dict; PHP writes the keys 0, 1, … as a list."""
    found = answer.content
    yield
    if isinstance(found, dict):
        return cast("dict[str, Any]", found)
    if isinstance(found, list):
        return {str(key): value for key, value in enumerate(cast("Sequence[Any]", found))}
    return {"params": found}
