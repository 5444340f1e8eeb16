"""The calls of a stream of legs, one by one: each is handed over once it is quiet.

Only the legs of calls that are still open are kept. As in `stream.py`, the coroutine that gives the
next item belongs to a value that does not refer to the stream, so that no traceback keeps it alive.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Self

import attrs

from boxis_async._run.run import Run
from boxis_async.call_model import Call
from boxis_async.errors import StreamClosedError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Hashable, Sequence
    from types import TracebackType
    from typing import Any

    from boxis_async._calls.open_calls import OpenCalls
    from boxis_async.errors import WindowError
    from boxis_async.models import CDR, Plan, Reject, Stats

__all__ = ["CallStream", "WholeCalls"]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class WholeCalls:
    """Says which calls are handed over, and how to fetch the legs that they have further on."""

    starts_within: Callable[[datetime], bool]
    """Whether a call that starts then belongs to the range."""
    further: Callable[[datetime], tuple[object, Run] | None]
    """Begins a further stream of legs, if that is how far a call reaches."""


class CallStream(AsyncIterator[Call]):
    """The calls of a range, by the time at which they were over: iterate it, or take it whole.

    Made by `CDRStream.calls` and `BoxisClient.iter_calls`. A call is handed over once it was quiet
    for the margin, by the starts of the legs that follow, or at the end.
    """

    def __init__(
        self,
        stream: object,
        run: Run,
        plan: Callable[[], Plan],
        calls: OpenCalls,
        whole: WholeCalls | None = None,
    ) -> None:
        # Referred to, so that a stream of which only the calls are used is not dropped.
        self._stream = stream
        self._plan = plan
        self._feed = _Feed(run, calls, whole)

    def plan(self) -> Plan:
        """List the windows that would be fetched for the legs, as `CDRStream.plan` does."""
        return self._plan()

    @property
    def stats(self) -> Stats:
        """What was done so far to fetch the legs; `records` are legs."""
        return self._feed.stats()

    @property
    def failures(self) -> tuple[WindowError, ...]:
        """The windows that failed for good, as `CDRStream.failures` has them."""
        return self._feed.failures()

    @property
    def rejects(self) -> tuple[Reject, ...]:
        """The records that could not be read, as `CDRStream.rejects` has them."""
        return self._feed.rejects()

    async def to_list(self) -> list[Call]:
        """Fetch all calls, in memory, by their start.

        Raises:
            WindowError: A window failed for good.
            LateLegError: A leg came after its call was closed.
        """
        from boxis_async._calls.order import calls_in_order  # noqa: PLC0415 - see `calls.py`

        try:
            return calls_in_order([call async for call in self])
        except BaseException:
            await self.aclose()
            raise

    def aclose(self) -> Coroutine[Any, Any, None]:
        """Cancel what is in flight and wait for its end; a complete stream stays complete."""
        return self._feed.aclose()

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Coroutine[Any, Any, Call]:
        return self._feed.next_call(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


def _name_of(leg: CDR) -> Hashable:
    """Give what a leg is recognised by, as `unique_by="leg"` does."""
    return leg.leg if leg.uniqueid else leg


class _Feed:
    """Takes windows of legs from one run after the other, and gives calls."""

    def __init__(self, run: Run, calls: OpenCalls, whole: WholeCalls | None) -> None:
        self._runs = [run]
        self._calls = calls
        self._whole = whole
        self._ready: deque[Call] = deque()
        # The streams of the further runs: one that is dropped would warn of what nobody read yet.
        self._further: list[object] = []
        self._known: set[Hashable] | None = None
        """The legs that a further run may give once more."""
        self._is_done = False
        self._is_broken = False
        # Two tasks may share a stream: one of them at a time takes legs, or begins a further run.
        self._taking = asyncio.Lock()

    async def next_call(self, stream: object) -> Call:
        """Give the next call that is quiet.

        Args:
            stream: What must not be dropped before the call is there.
        """
        try:
            while not self._ready:
                async with self._taking:
                    # Another task that shares the stream may have taken some meanwhile.
                    if not self._ready:
                        await self._take(stream)
        except BaseException:
            # Whoever keeps the traceback must not keep the stream by it.
            del stream
            raise
        return self._ready.popleft()

    async def _take(self, stream: object) -> None:
        """Take a window of legs, and the calls that are quiet by then; at the end, those left."""
        if self._is_broken:
            raise StreamClosedError("the stream was cut short by an error")
        if self._is_done:
            raise StopAsyncIteration
        legs: Sequence[CDR] | None
        try:
            legs = (await self._runs[-1].next_batch(stream)).cdrs
        except StopAsyncIteration:
            legs = None
        finally:
            del stream
        try:
            if legs is not None:
                self._hand_over(self._calls.add(self._unknown(legs)))
            elif not self._go_further():
                self._hand_over(self._calls.close())
                self._is_done = True
        except BaseException:
            # A leg came too late, or the user's `reached` failed. The legs are taken: to continue
            # would leave out their calls.
            self._is_broken = True
            await self.aclose()
            raise

    def _unknown(self, legs: Sequence[CDR]) -> Sequence[CDR]:
        """Leave out the legs that an earlier run gave."""
        if self._known is None:
            return legs
        return [leg for leg in legs if _name_of(leg) not in self._known]

    def _hand_over(self, calls: list[Call]) -> None:
        whole = self._whole
        self._ready += [call for call in calls if whole is None or whole.starts_within(call.start)]

    def _go_further(self) -> bool:
        """Begin a further run, if a call of the range may have legs behind what was fetched."""
        if self._whole is None:
            return False
        reach = self._calls.reach(self._whole.starts_within)
        found = None if reach is None else self._whole.further(reach)
        if found is None:
            return False
        stream, run = found
        self._further.append(stream)
        self._known = set(map(_name_of, self._calls.legs))
        self._runs.append(run)
        return True

    def stats(self) -> Stats:
        """Add up what the runs did."""
        first, *others = [run.stats for run in self._runs]
        for other in others:
            counts = attrs.asdict(other, filter=lambda field, _: field.type is int)
            first = attrs.evolve(
                first, **{name: getattr(first, name) + count for name, count in counts.items()}
            )
        return first

    def failures(self) -> tuple[WindowError, ...]:
        """List what the runs could not fetch."""
        for run in self._runs:
            run.on_drop.unread.clear()
        return tuple(failure for run in self._runs for failure in run.failures)

    def rejects(self) -> tuple[Reject, ...]:
        """List what could not be read."""
        for run in self._runs:
            run.on_drop.unread_rejects.clear()
        return tuple(reject for run in self._runs for reject in run.rejects)

    async def aclose(self) -> None:
        """Close the run that is not complete."""
        await self._runs[-1].aclose()
