"""What a `Watch` is a handle on: it hands over items one by one, and keeps what is handled.

There is no task of our own. Whoever asks for the next item does what is due until there is one: the
next thing of a look, the steps that find items in what it brought, a save. Each is kept here until
it is done, so that a wait which is cancelled loses nothing: the next one continues where it was.

As in `stream.py`, this refers to no handle, and the coroutine that gives the next item lets go of
the handle if there is an error: so a watch that was dropped ends, however long its error is kept.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from boxis_async._http.loop_clock import loop_time, running_loop
from boxis_async._watch.leg_feed import LegFeed
from boxis_async._watch.looks import Looks
from boxis_async._watch.position import Handled, HandledOfTenant
from boxis_async._wire.cooperative import Cooperative
from boxis_async.errors import BoxisError, StreamClosedError, UsageError, WrongLoopError
from boxis_async.watch_model import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from boxis_async._watch.leg_feed import Feed, Item
    from boxis_async._watch.looks import WatchedClient
    from boxis_async._wire.cooperative import Steps
    from boxis_async.watch_model import CallChange, Position

__all__ = ["Watcher"]

logger = logging.getLogger("boxis_async")

_BETWEEN_SAVES: Final = 1.0


class Watcher:
    """Hands over the items of one watch.

    Args:
        client: What records are fetched by.
        tenants: Whose.
        since: From when on a tenant counts whose position is not known: how long ago, or a moment
            in Unix seconds.
        every: The interval.
        settle: How old a record may be when it changes for the last time.
        position: What is handled, as a text, or what keeps it.
    """

    def __init__(  # noqa: PLR0913 - each is one thing to set, by name
        self,
        client: WatchedClient,
        tenants: Sequence[str],
        *,
        since: timedelta | float,
        every: timedelta,
        settle: timedelta,
        position: str | Position | None,
    ) -> None:
        self.settle = settle
        self.looks = Looks(client, tenants, every=every, settle=settle)
        self._since = since
        self._store = position if not isinstance(position, str) else None
        self._handled = Handled.from_text(position) if isinstance(position, str) else Handled()
        self._make_feed: Callable[[Handled], Feed] = LegFeed
        self._feed: Feed | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: BoxisError | None = None
        # Two tasks may share a watch: one of them at a time takes the next item.
        self._taking = asyncio.Lock()
        self._saving = asyncio.Lock()
        self._cooperative = Cooperative()
        self._steps: Steps[list[Item]] | None = None
        """What finds items in what a look brought."""
        self._found: list[Item] | None = None
        """Items whose previous versions are not looked up yet."""
        self._queue: deque[Item] = deque()
        self._in_hand: Item | None = None
        self._to_save: list[Change] = []
        self._saved_at = float("-inf")

    # What is handed over

    def feed_with(self, make_feed: Callable[[Handled], Feed]) -> None:
        """Hand over something else than legs.

        Raises:
            UsageError: Legs were handed over already.
        """
        if self._loop is not None or self._make_feed is not LegFeed:
            raise UsageError("calls() needs a watch of which nothing was taken yet")
        self._make_feed = make_feed

    async def next_item(self, watch: object) -> Change | CallChange:
        """Give the next item.

        Args:
            watch: What must not be dropped before the item is there.

        Raises:
            BoxisError: The watch has ended.
        """
        try:
            self._check_loop()
            async with self._taking:
                self._handle_in_hand()
                while not self._queue:
                    await self._advance()
                self._check_open()
                if self._store is not None and self._is_save_due():
                    await self._save()
                self._in_hand = item = self._queue.popleft()
                return item.change
        except BaseException:
            # Whoever keeps the traceback must not keep the watch by it.
            del watch
            raise

    def handle(self, change: Change | CallChange) -> None:
        """Take note that an item is handled, if it is the one that was handed over last."""
        if self._in_hand is not None and self._in_hand.change is change:
            self._handle_in_hand()

    def position(self) -> str:
        """Write what is handled."""
        return self._handled.to_text()

    def _handle_in_hand(self) -> None:
        item, self._in_hand = self._in_hand, None
        if item is None:
            return
        seen = self._handled.tenants[item.tenant].seen
        for mark in item.marks:
            seen.note(mark.leg, mark.version, mark.last)
        if self._feed is not None:
            self._feed.handle(item)
        self._handled.is_unsaved = True
        if self._store is not None:
            self._to_save += item.changes

    @property
    def state(self) -> str:
        """How far it is, in a word or two."""
        if self._end is not None:
            return "ended"
        return "not begun" if self._loop is None else "live"

    # The end

    def close(self, reason: BoxisError) -> None:
        """End it: whoever waits for an item, or asks for the next, gets the reason."""
        if self._end is None:
            self._end = reason
        self._queue.clear()
        self._steps = self._found = None
        self.looks.end()

    async def aclose(self) -> None:
        """End it, wait until its requests have ended, and save what is handled."""
        stream = self.looks.stream
        if self._loop is not None:
            self._check_loop()
        self.close(StreamClosedError("the watch was closed"))
        try:
            if stream is not None:
                await stream.aclose()
            await self._save()
        finally:
            self.on_drop()

    def on_drop(self) -> None:
        """Let go of everything: a finalizer calls this, in whichever thread."""
        self.looks.drop()
        self._steps = self._found = None
        if self._store is not None:
            self._store.release()

    # What is done between two items

    def _check_loop(self) -> None:
        loop = running_loop()
        if self._loop is not None and self._loop is not loop:
            raise WrongLoopError("this watch belongs to another event loop")

    def _check_open(self) -> None:
        if self._end is not None:
            raise self._end

    async def _advance(self) -> None:
        """Do the next thing that is due, of which more items may come."""
        self._check_open()
        if self._feed is None:
            await self._begin()
        elif self._found is not None:
            await self._look_up_previous(self._found)
        elif self._steps is not None:
            await self._sift(self._steps)
        elif self._is_save_due():
            await self._save()
        else:
            await self._look()

    async def _look(self) -> None:
        try:
            steps = await self.looks.advance()
        except BoxisError as error:
            self.close(error)
            raise
        self._check_open()
        self._steps = steps

    async def _sift(self, steps: Steps[list[Item]]) -> None:
        """Find the items in what was taken; cancelled, the next wait takes the steps left."""
        try:
            found = await self._cooperative.run(steps)
        except asyncio.CancelledError:
            raise
        except BaseException:
            # The user's own function failed, and the window is taken: to continue would skip it.
            self.close(StreamClosedError("the watch was cut short by an error"))
            raise
        self._check_open()
        self._steps, self._found = None, found

    async def _begin(self) -> None:
        self._loop = running_loop()
        if self._store is not None:
            text = await self._store.load()
            if text is not None:
                self._handled = Handled.from_text(text)
        now = time.time()
        since = (
            now - self._since.total_seconds() if isinstance(self._since, timedelta) else self._since
        )
        for tenant in self.looks.tenants:
            if tenant in self._handled.tenants:
                continue
            begin = datetime.fromtimestamp(since, UTC)
            logger.info(
                "the watch of tenant %s has no position: it begins with the calls that end after "
                "%s",
                tenant,
                "now" if since == now else f"{begin:%Y-%m-%d %H:%M:%S%z}",
            )
            floor = since - self.settle.total_seconds()
            self._handled.tenants[tenant] = HandledOfTenant(since, floor)
            self._handled.is_unsaved = True
        self._feed = self._make_feed(self._handled)
        self.looks.begin(self._handled, self._feed)

    async def _look_up_previous(self, found: list[Item]) -> None:
        """Put items into the queue, with what they were before where that is known."""
        changed = [item for item in found if _is_changed_leg(item)]
        if self._store is not None and changed:
            before = await self._store.previous(
                changed[0].tenant, [cast("Change", item.change).cdr for item in changed]
            )
            self._check_open()
            found = [
                _with_previous(item, before) if _is_changed_leg(item) else item for item in found
            ]
        self._found = None
        self._queue += found

    # The position

    def _is_save_due(self) -> bool:
        # Before we wait for the next look, whatever is not saved is due.
        is_time = loop_time() - self._saved_at >= _BETWEEN_SAVES or not self.looks.is_looking
        return self._handled.is_unsaved and is_time

    async def _save(self) -> None:
        """Save what is handled, if anybody wants that."""
        async with self._saving:
            handled = self._handled
            if self._store is None or not handled.is_unsaved or self._feed is None:
                handled.is_unsaved = False
                return
            changes = tuple(self._to_save)
            handled.is_unsaved = False
            try:
                await self._store.save(handled.to_text(), changes)
            except BaseException:
                handled.is_unsaved = True
                raise
            del self._to_save[: len(changes)]
            self._saved_at = loop_time()


def _is_changed_leg(item: Item) -> bool:
    return isinstance(item.change, Change) and item.change.kind == "changed"


def _with_previous(item: Item, before: Any) -> Item:  # noqa: ANN401 - a mapping by CDR.leg
    change = cast("Change", item.change)
    change = attrs.evolve(change, previous=before.get(change.cdr.leg))
    return attrs.evolve(item, change=change, changes=(change,))
