"""New and changed calls, without end: the async iterators that users hold.

A provider's records come late, and change. A record is written when its leg ends. If the server
filters by the start of a call, a call of an hour appears an hour back in time. Costs are worked out
hours later, and what a transfer did may be repaired. So a watermark, the time of the latest record,
loses records, and to read all of the last day each minute costs a lot.

The strategy, with the module that has it:

- *Tiers* (`_watch/tiers.py`). The last minutes are read each time, the last hours every few
  minutes, and all that may still change (`settle`) once an hour. A tier of depth D that looked at T
  the last time reads from T - D on. So it finds all that came or changed since then at an age of D
  or less, and the deepest one finds all, however long ago T is. Where the contract says that the
  filter goes by the end too, a record is new when it appears, and two tiers are enough. A look that
  takes many requests is due less often: all in all it is 1.5 an interval at most.
- *The floor* (`_watch/position.py`). Nothing is requested from before it. Only the deepest look
  raises it, window by window in order of time, as each is handled, up to `settle` before now. So a
  gap of a week is read from where the watch was, and a crash in its middle repeats one window.
- *Digests* (`_watch/seen_legs.py`). Legs after the floor are known by name and by content. A leg
  that is not known is new, one with another content is changed.
- *Looks* (`_watch/schedule.py`, `_watch/looks.py`). One at a time, in whichever task asks for the
  next item (`_watch/watcher.py`). A failure never ends the watch, but a refusal of who asks does.

A leg of length L whose last change comes a time D after its end is handed over, in each version
that lasts until it is looked at, if L + D is less than `settle`; if D is, where the filter goes by
the end.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from types import NoneType
from typing import TYPE_CHECKING, Self, cast

from boxis_async._calls.numbers import check_country
from boxis_async._plain import plain_length
from boxis_async.errors import UsageError
from boxis_async.watch_model import CallChange, Change, Position

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import datetime
    from types import TracebackType
    from typing import Any

    from boxis_async._watch.watcher import Watcher
    from boxis_async.models import CDR
    from boxis_async.types import Reached, WatchCertainty

__all__ = ["CallWatch", "Watch", "problem_with_position"]


def problem_with_position(position: object) -> str | None:
    """Say what is wrong with what a watch is given as its position."""
    if isinstance(position, (str, Position, NoneType)):
        return None
    return (
        f"position must be a text, a FilePosition or another Position, not {position!r}: for a "
        "file give FilePosition(path)"
    )


def _problem_with_certainty(certainty: object) -> str | None:
    if certainty in ("probably", "surely"):
        return None
    return f"certainty must be 'probably' or 'surely', not {certainty!r}"


def _problem_with_quiet(quiet: object, settle: timedelta) -> str | None:
    if isinstance(quiet, timedelta) and timedelta(0) <= plain_length(quiet) < settle:
        return None
    return (
        f"quiet must be a timedelta, zero or more, and less than settle ({settle}), not {quiet!r}"
    )


class _Watching:
    """What a watch of legs and one of calls have in common: a handle on a watcher."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    @property
    def position(self) -> str:
        """What is handled, as a text: JSON, with some 27 bytes for each leg younger than `settle`.

        Keep it where you keep what you make of the calls, and give it back as `position=`.
        Before the first item, it is what was given.
        """
        return self._watcher.position()

    @property
    def tenants(self) -> tuple[str, ...]:
        """The tenants whose calls these are."""
        return self._watcher.looks.tenants

    @property
    def looked_at(self) -> datetime | None:
        """When the last look began that succeeded, in UTC; None before the first one.

        Of several tenants, that of the one whose last success is the longest ago.
        """
        return self._watcher.looks.looked_at

    @property
    def failing_since(self) -> datetime | None:
        """Since when looks fail, in UTC; None if none does."""
        return self._watcher.looks.failing_since

    @property
    def requests(self) -> int:
        """How many requests the looks that ended took so far."""
        return self._watcher.looks.requests

    @property
    def requests_per_hour(self) -> float:
        """How many requests an hour it takes at the present rate, over all tenants."""
        return sum(schedule.requests_per_hour for schedule in self._watcher.looks.schedules())

    def freshness(self, length: timedelta = timedelta(0)) -> timedelta | None:
        """Tell how long after its end a leg of a length is looked at, at the latest.

        The time that a look takes comes on top, and so does the time that a provider takes to write
        a record.

        Args:
            length: From the start of the leg to its end.

        Returns:
            The time; None for a leg that is longer than `settle`, and never seen, where the
            provider's filter goes by the start, or may do so.
        """
        found = [schedule.freshness(length) for schedule in self._watcher.looks.schedules()]
        known = [time for time in found if time is not None]
        return max(known) if len(known) == len(found) else None

    def aclose(self) -> Coroutine[Any, Any, None]:
        """End the watch: cancel what is in flight, wait for its end, and save what is handled.

        From whichever task, as often as you like. A task that is waiting for an item gets a
        `StreamClosedError`.
        """
        return self._watcher.aclose()

    def __aiter__(self) -> Self:
        return self

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
        state = self._watcher.state
        tenants = ", ".join(map(repr, self.tenants))
        return f"<{type(self).__name__}({tenants}, {state}, requests={self.requests})>"


class Watch(_Watching, AsyncIterator[Change]):
    """New and changed legs, without end, each as a `Change`: iterate it.

    Made by `BoxisClient.watch`. It sends nothing until its first item is requested. Leave it when
    you like; one that is dropped cancels its requests. As a context manager (`async with`) it does
    so before the block ends, and saves its position.

    A change counts as handled once the item after it is requested, or by `handled`.
    """

    def __init__(self, watcher: Watcher) -> None:
        super().__init__(watcher)
        self._is_by_calls = False
        weakref.finalize(self, watcher.on_drop).atexit = False

    def handled(self, change: Change) -> None:
        """Say that a change is handled, before the item after it is requested.

        Args:
            change: The one that was handed over last; any other counts as handled already.
        """
        self._watcher.handle(change)

    def calls(
        self,
        *,
        quiet: timedelta = timedelta(minutes=5),
        certainty: WatchCertainty = "probably",
        reached: Callable[[CDR], Reached | None] | None = None,
        country: str = "CH",
    ) -> CallWatch:
        """Iterate by calls: each once it is over and was quiet, and again if a leg changes it.

        Args:
            quiet: How long after the end of its last leg a call is handed over. The shorter it is,
                the more calls are handed over as missed while somebody is still talking: the page
                "Watch for new calls" has the figures.
            certainty: `"surely"` holds a call back until it is over for certain. Most calls are so
                at once. A missed one of which only telephones that rang are known is so when its
                last leg ended `settle` ago.
            reached: Whom a leg reached, see `group_calls`.
            country: The country that a number with a single leading 0 is of.

        Raises:
            UsageError: An argument is wrong, or an item was taken already.
        """
        if problem := (
            _problem_with_quiet(quiet, self._watcher.settle) or _problem_with_certainty(certainty)
        ):
            raise UsageError(problem)
        # Loaded here: a watch of legs does without.
        from boxis_async._watch.call_feed import CallFeed  # noqa: PLC0415

        self._watcher.feed_with(
            partial(
                CallFeed,
                quiet=plain_length(quiet),
                settle=self._watcher.settle,
                certainty=certainty,
                reached=reached,
                country=check_country(country),
            )
        )
        self._is_by_calls = True
        return CallWatch(self, self._watcher)

    def __anext__(self) -> Coroutine[Any, Any, Change]:
        if self._is_by_calls:
            raise UsageError("this watch is iterated by calls: make another one for its legs")
        return cast("Coroutine[Any, Any, Change]", self._watcher.next_item(self))


class CallWatch(_Watching, AsyncIterator[CallChange]):
    """Calls without end, each as a `CallChange` once it is over, and again if it changes.

    Made by `Watch.calls`. It is left, closed and resumed as a `Watch` is.
    """

    def __init__(self, watch: Watch, watcher: Watcher) -> None:
        super().__init__(watcher)
        # Referred to, so that a watch of which only the calls are used is not dropped.
        self._watch = watch

    def handled(self, change: CallChange) -> None:
        """Say that a change is handled, before the item after it is requested.

        Args:
            change: The one that was handed over last; any other counts as handled already.
        """
        self._watcher.handle(change)

    def __anext__(self) -> Coroutine[Any, Any, CallChange]:
        return cast("Coroutine[Any, Any, CallChange]", self._watcher.next_item(self))
