"""Looks, one after the other, and what is new in each: what a `Watch` is a handle on.

There is no task of our own. Whoever asks for the next item waits for the next look, and takes its
windows from a stream. What a look is at is kept here, so that a wait which is cancelled loses
nothing: the next one continues where it was. The stream has a task, which ends when it is dropped.

As in `stream.py`, this refers to no handle, and the coroutine that gives the next item lets go of
the handle if there is an error: so a watch that was dropped ends, however long its error is kept.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import attrs

from boxis_async._http.loop_clock import loop_time, running_loop
from boxis_async._watch.alarm import Alarm
from boxis_async._watch.leg_feed import AFTERMATH, LegFeed, Whole
from boxis_async._watch.position import Handled, HandledOfTenant
from boxis_async._watch.schedule import KNOCK, Plan, Schedule
from boxis_async._wire.cooperative import Cooperative
from boxis_async.errors import (
    AuthenticationError,
    BoxisError,
    ClosedError,
    ContractError,
    StreamClosedError,
    UsageError,
    WindowError,
    WrongLoopError,
)
from boxis_async.models import describe_place
from boxis_async.retry import RetryPolicy, retry_after
from boxis_async.stream import BatchStream, CDRStream
from boxis_async.watch_model import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from boxis_async._watch.leg_feed import Feed, Item
    from boxis_async._wire.cooperative import Steps
    from boxis_async.contract_model import Contract
    from boxis_async.models import Batch, Reject
    from boxis_async.types import BadRecords, UniqueBy
    from boxis_async.watch_model import CallChange, Position

__all__ = ["WatchedClient", "Watcher"]

logger = logging.getLogger("boxis_async")

_AHEAD: Final = 60.0
"""Seconds for which a look requests into the future: whether the end is included, and how a clock
runs, then decides nothing."""
_BETWEEN_SAVES: Final = 1.0
_CONTRACT_ERRORS: Final = 3
"""As often may looks fail by a contract until the deepest one succeeds: records that are added
meanwhile can look so."""
_ONCE: Final = RetryPolicy(attempts=1)


class WatchedClient(Protocol):
    """What a watch needs of a client."""

    @property
    def contract(self) -> Contract:
        """What is known of the server."""
        ...

    @property
    def clock_offset(self) -> float | None:
        """Seconds by which the server's clock is ahead."""
        ...

    def with_options(self, *, retry: RetryPolicy) -> WatchedClient:
        """Make a client that retries otherwise."""
        ...

    def cdrs(
        self,
        datefrom: datetime,
        dateto: datetime,
        *,
        tenant: str,
        unique_by: UniqueBy,
        bad_records: BadRecords,
    ) -> CDRStream:
        """Stream records."""
        ...


@attrs.define(eq=False)
class _Tenant:
    """What a watch knows of one tenant, besides what is handled."""

    name: str
    schedule: Schedule
    looked_at: float | None = None
    failing_since: float | None = None
    contract_errors: int = 0
    rejects: set[bytes] = attrs.field(factory=set[bytes])
    """Digests of the records that could not be read, which were logged."""


@attrs.define(eq=False)
class _Look:
    """A look that is under way."""

    tenant: _Tenant
    plan: Plan
    stream: CDRStream
    batches: BatchStream
    rejects: set[bytes] = attrs.field(factory=set[bytes])
    is_over: bool = False
    """Whether all of its windows were taken."""


class Watcher:
    """Makes the looks of one watch.

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
        self.requests = 0
        self._client = client
        self._since = since
        self._every = every
        self._tenants = [_Tenant(name, Schedule(every, settle)) for name in tenants]
        self._store = position if not isinstance(position, str) else None
        self._handled = Handled.from_text(position) if isinstance(position, str) else Handled()
        self._make_feed: Callable[[Handled], Feed] = LegFeed
        self._feed: Feed | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: BoxisError | None = None
        self._alarm = Alarm()
        # Two tasks may share a watch: one of them at a time takes the next item.
        self._taking = asyncio.Lock()
        self._saving = asyncio.Lock()
        self._cooperative = Cooperative()
        self._look: _Look | None = None
        self._steps: Steps[list[Item]] | None = None
        self._found: list[Item] | None = None
        """Items whose previous versions are not looked up yet."""
        self._queue: deque[Item] = deque()
        self._in_hand: Item | None = None
        self._to_save: list[Change] = []
        self._is_unsaved = False
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
        self._is_unsaved = True
        if self._store is not None:
            self._to_save += item.changes

    # How it is going

    @property
    def tenants(self) -> tuple[str, ...]:
        """Whose records these are."""
        return tuple(tenant.name for tenant in self._tenants)

    @property
    def state(self) -> str:
        """How far it is, in a word or two."""
        if self._end is not None:
            return "ended"
        return "not begun" if self._loop is None else "live"

    @property
    def looked_at(self) -> datetime | None:
        """When the last look was that saw all that there was, of the tenant that is worst off."""
        times = [tenant.looked_at for tenant in self._tenants]
        known = [moment for moment in times if moment is not None]
        return datetime.fromtimestamp(min(known), UTC) if len(known) == len(times) else None

    @property
    def failing_since(self) -> datetime | None:
        """Since when looks fail; None if none does."""
        since = [one.failing_since for one in self._tenants if one.failing_since is not None]
        return datetime.fromtimestamp(min(since), UTC) if since else None

    def schedules(self) -> list[Schedule]:
        """Give the schedules of all tenants, with tiers as they are chosen by now."""
        for tenant in self._tenants:
            tenant.schedule.know(self._client.contract)
        return [tenant.schedule for tenant in self._tenants]

    # The end

    def close(self, reason: BoxisError) -> None:
        """End it: whoever waits for an item, or asks for the next, gets the reason."""
        if self._end is None:
            self._end = reason
        self._queue.clear()
        self._drop_look()
        self._alarm.ring()

    async def aclose(self) -> None:
        """End it, wait until its requests have ended, and save what is handled."""
        look = self._look
        if self._loop is not None:
            self._check_loop()
        self.close(StreamClosedError("the watch was closed"))
        try:
            if look is not None:
                await look.stream.aclose()
            await self._save()
        finally:
            self.on_drop()

    def on_drop(self) -> None:
        """Let go of everything: a finalizer calls this, in whichever thread."""
        self._drop_look()
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
        elif self._look is None:
            if self._is_unsaved:
                await self._save()
            await self._begin_look()
        elif self._look.is_over:
            self._finish(self._look)
        else:
            if self._is_save_due():
                await self._save()
            await self._take_window(self._look)

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
        for tenant in self._tenants:
            if tenant.name in self._handled.tenants:
                continue
            begin = datetime.fromtimestamp(since, UTC)
            logger.info(
                "the watch of tenant %s has no position: it begins with the calls that end after "
                "%s",
                tenant.name,
                "now" if since == now else f"{begin:%Y-%m-%d %H:%M:%S%z}",
            )
            floor = since - self.settle.total_seconds()
            self._handled.tenants[tenant.name] = HandledOfTenant(since, floor)
            self._is_unsaved = True
        self._feed = self._make_feed(self._handled)

    async def _begin_look(self) -> None:
        tenant = min(self._tenants, key=lambda one: one.schedule.due)
        schedule = tenant.schedule
        if schedule.due > loop_time():
            await self._alarm.until(schedule.due)
            return
        earliest, latest = self._now()
        of_tenant = self._handled.tenants[tenant.name]
        if of_tenant.floor > earliest:
            logger.warning(
                "the clock was set back: the watch of tenant %s may hand over calls of the last %s "
                "again",
                tenant.name,
                self.settle,
            )
            of_tenant.floor = earliest - self.settle.total_seconds()
        client = self._client
        plan = schedule.choose(client.contract, of_tenant.floor, earliest, loop_time())
        if plan.tier == KNOCK:
            client = client.with_options(retry=_ONCE)
        stream = client.cdrs(
            datetime.fromtimestamp(plan.begin, UTC),
            datetime.fromtimestamp(latest + _AHEAD, UTC),
            tenant=tenant.name,
            unique_by="leg",
            bad_records="collect",
        )
        schedule.begin(loop_time())
        self._look = _Look(tenant, plan, stream, stream.batches())

    def _now(self) -> tuple[float, float]:
        """Give the time by the earlier and by the later of the two clocks, in Unix seconds."""
        now = time.time()
        offset = self._client.clock_offset or 0.0
        return now + min(0.0, offset), now + max(0.0, offset)

    async def _take_window(self, look: _Look) -> None:
        """Take the next window of a look, whose items are all handled up to here."""
        try:
            batch = await anext(look.batches)
        except StopAsyncIteration:
            self._check_open()
            look.is_over = True
            if look.plan.tier != KNOCK:
                moment = self._moment(look)
                self._steps = self._feed_now.finish(
                    look.tenant.name, Whole(look.plan.covers, moment, moment)
                )
            return
        except BoxisError as error:
            self._check_open()
            self._count(look)
            self._drop_look()
            self._fail(look, error)
            return
        self._check_open()
        if look.plan.tier != KNOCK:
            whole = self._raise_floor(look, batch)
            self._steps = self._feed_now.take(look.tenant.name, batch.cdrs, whole)

    @property
    def _feed_now(self) -> Feed:
        assert self._feed is not None  # noqa: S101 - it has begun
        return self._feed

    def _raise_floor(self, look: _Look, batch: Batch) -> Whole | None:
        """Take note that all that lies before a window was seen, if that is so."""
        start = batch.window.start
        if not look.plan.is_deepest or start is None:
            return None
        began = start.replace(tzinfo=look.stream.timezone).timestamp()
        self._set_floor(look, began)
        moment = self._moment(look)
        return Whole(look.plan.covers, min(began, moment), moment)

    def _moment(self, look: _Look) -> float:
        """Give up to when a look has seen all, by the clocks as its answers show them.

        If our clock was set forward by mistake, the floor must not follow it: all that comes until
        then would count as over.
        """
        return min(look.plan.moment, self._now()[0])

    def _set_floor(self, look: _Look, done: float) -> None:
        """Raise the floor, as all that lies before a moment was seen."""
        name = look.tenant.name
        of_tenant = self._handled.tenants[name]
        settled = min(done, self._moment(look) - self.settle.total_seconds())
        floor = self._feed_now.floor(name, settled)
        if floor > of_tenant.floor:
            of_tenant.floor = floor
            of_tenant.seen.forget_before(floor - AFTERMATH)
            self._feed_now.forget_before(name, floor - AFTERMATH)
            self._is_unsaved = True

    async def _look_up_previous(self, found: list[Item]) -> None:
        """Put items into the queue, with what they were before where that is known."""
        changed = [item for item in found if _is_changed_leg(item)]
        if self._store is not None and changed:
            before = await self._store.previous(
                changed[0].tenant, [cast("Change", item.change).cdr for item in changed]
            )
            self._check_open()
            found = [_with_previous(item, before) if item in changed else item for item in found]
        self._found = None
        self._queue += found

    def _finish(self, look: _Look) -> None:
        """Take note of a look all of whose items are handled."""
        tenant, plan = look.tenant, look.plan
        requests = self._count(look)
        if plan.is_deepest:
            self._set_floor(look, float("inf"))
            tenant.rejects = look.rejects
            tenant.contract_errors = 0
        moment = self._moment(look)
        self._drop_look()
        tenant.schedule.succeed(plan, requests, loop_time())
        if plan.tier == KNOCK:
            return
        tenant.looked_at = moment
        if tenant.failing_since is not None and not tenant.schedule.is_failing:
            lasted = timedelta(seconds=round(time.time() - tenant.failing_since))
            tenant.failing_since = None
            logger.warning("the watch of tenant %s looks again, after %s", tenant.name, lasted)

    def _count(self, look: _Look) -> int:
        """Count the requests of a look, and log the records that could not be read, once."""
        requests = look.stream.stats.requests
        self.requests += requests
        self._note_rejects(look)
        return requests

    def _note_rejects(self, look: _Look) -> None:
        for reject in look.stream.rejects:
            digest = _digest(reject)
            look.rejects.add(digest)
            if digest not in look.tenant.rejects:
                look.tenant.rejects.add(digest)
                logger.warning(
                    "the watch of tenant %s leaves out a record that cannot be read: %s: %s",
                    look.tenant.name,
                    describe_place(reject.window, reject.position, reject.field),
                    reject.reason,
                )

    def _fail(self, look: _Look, error: BoxisError) -> None:
        """Decide what a failure means: an outage that passes, or the end."""
        tenant = look.tenant
        cause = error.cause if isinstance(error, WindowError) and error.cause else error
        tenant.contract_errors += isinstance(cause, ContractError)
        if (
            isinstance(cause, (AuthenticationError, ClosedError, UsageError))
            or tenant.contract_errors == _CONTRACT_ERRORS
        ):
            self.close(error)
            raise error
        wait = tenant.schedule.fail(look.plan, retry_after(cause), loop_time())
        if tenant.failing_since is None:
            tenant.failing_since = time.time()
            logger.warning(
                "the watch of tenant %s cannot look, and tries again, the first time in %.0f s: %s",
                tenant.name,
                wait,
                error,
            )
        else:
            logger.debug("tenant %s, again in %.0f s: %s", tenant.name, wait, error)

    def _drop_look(self) -> None:
        # What is not handled comes again with the next look.
        self._look = None
        self._steps = None
        self._found = None

    # The position

    def _is_save_due(self) -> bool:
        return self._is_unsaved and loop_time() - self._saved_at >= _BETWEEN_SAVES

    async def _save(self) -> None:
        """Save what is handled, if anybody wants that."""
        async with self._saving:
            if self._store is None or not self._is_unsaved or self._feed is None:
                self._is_unsaved = False
                return
            changes = tuple(self._to_save)
            self._is_unsaved = False
            try:
                await self._store.save(self._handled.to_text(), changes)
            except BaseException:
                self._is_unsaved = True
                raise
            del self._to_save[: len(changes)]
            self._saved_at = loop_time()


def _is_changed_leg(item: Item) -> bool:
    return isinstance(item.change, Change) and item.change.kind == "changed"


def _with_previous(item: Item, before: Any) -> Item:  # noqa: ANN401 - a mapping by CDR.leg
    change = cast("Change", item.change)
    change = attrs.evolve(change, previous=before.get(change.cdr.leg))
    return attrs.evolve(item, change=change, changes=(change,))


def _digest(reject: Reject) -> bytes:
    text = json.dumps(reject.row, sort_keys=True, default=repr)
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
