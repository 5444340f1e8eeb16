"""Looks at the tenants of a watch, one after the other: what is requested, and what that means.

What a look is at is kept here, so that a wait which is cancelled loses nothing: the next `advance`
continues where it was. There is no task of our own; the stream of a look has one, which ends when
it is dropped.

A failure that may pass changes only when to look next. One that does not is raised.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from boxis_async._http.loop_clock import loop_time
from boxis_async._run.fetched import digest_of
from boxis_async._watch.alarm import Alarm
from boxis_async._watch.leg_feed import AFTERMATH, Whole
from boxis_async._watch.schedule import KNOCK, Plan, Schedule
from boxis_async.errors import (
    AuthenticationError,
    BoxisError,
    ClosedError,
    ContractError,
    UsageError,
    WindowError,
)
from boxis_async.models import describe_place
from boxis_async.retry import RetryPolicy, retry_after
from boxis_async.stream import BatchStream, CDRStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boxis_async._watch.leg_feed import Feed, Item
    from boxis_async._watch.position import Handled
    from boxis_async._wire.cooperative import Steps
    from boxis_async.contract_model import Contract
    from boxis_async.models import Batch
    from boxis_async.types import BadRecords, UniqueBy

__all__ = ["Looks", "WatchedClient"]

logger = logging.getLogger("boxis_async")

_AHEAD: Final = 60.0
"""Seconds for which a look requests into the future: whether the end is included, and how a clock
runs, then decides nothing."""
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


class Looks:
    """Makes the looks of one watch, one at a time.

    Args:
        client: What records are fetched by.
        tenants: Whose.
        every: The interval.
        settle: How old a record may be when it changes for the last time.
    """

    def __init__(
        self, client: WatchedClient, tenants: Sequence[str], *, every: timedelta, settle: timedelta
    ) -> None:
        self.requests = 0
        """How many requests the looks that ended took."""
        self._client = client
        self._tenants = [_Tenant(name, Schedule(every, settle)) for name in tenants]
        self._settle = settle.total_seconds()
        self._alarm = Alarm()
        self._handled: Handled | None = None
        self._feed: Feed | None = None
        self._look: _Look | None = None

    def begin(self, handled: Handled, feed: Feed) -> None:
        """Take what is handled, and what makes items of the records."""
        self._handled = handled
        self._feed = feed

    async def advance(self) -> Steps[list[Item]] | None:
        """Do the next thing that is due, once all that came so far is handled.

        That is to wait, to begin a look, to take a window of it, or to end it.

        Returns:
            The steps in which the items of what came are found; None if nothing came.

        Raises:
            BoxisError: No further look will do better.
        """
        look = self._look
        if look is None:
            await self._begin_look()
        elif look.is_over:
            self._finish(look)
        else:
            return await self._take_window(look)
        return None

    # How it is going

    @property
    def tenants(self) -> tuple[str, ...]:
        """Whose records these are."""
        return tuple(tenant.name for tenant in self._tenants)

    @property
    def is_looking(self) -> bool:
        """Whether a look is under way."""
        return self._look is not None

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

    def end(self) -> None:
        """Drop the look that is under way, and wake whoever waits for the next one."""
        self.drop()
        self._alarm.ring()

    def drop(self) -> None:
        """Let go of the look that is under way; what is not handled comes again with the next."""
        self._look = None

    @property
    def stream(self) -> CDRStream | None:
        """What the look that is under way fetches by."""
        return None if self._look is None else self._look.stream

    # One look

    async def _begin_look(self) -> None:
        tenant = min(self._tenants, key=lambda one: one.schedule.due)
        schedule = tenant.schedule
        if schedule.due > loop_time():
            await self._alarm.until(schedule.due)
            return
        earliest, latest = self._now()
        of_tenant = self._handled_now.tenants[tenant.name]
        if of_tenant.floor > earliest:
            logger.warning(
                "the clock was set back: the watch of tenant %s may hand over calls of the last %s "
                "again",
                tenant.name,
                timedelta(seconds=self._settle),
            )
            of_tenant.floor = earliest - self._settle
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

    async def _take_window(self, look: _Look) -> Steps[list[Item]] | None:
        """Take the next window of a look, whose items are all handled up to here."""
        try:
            batch = await anext(look.batches, None)
        except BoxisError as error:
            if look is self._look:
                self._count(look)
                self._look = None
                self._fail(look, error)
            return None
        if look is not self._look:
            # It was dropped meanwhile, as the watch has ended.
            return None
        name, is_knock = look.tenant.name, look.plan.tier == KNOCK
        if batch is None:
            look.is_over = True
            moment = self._moment(look)
            whole = Whole(look.plan.covers, moment, moment)
            return None if is_knock else self._feed_now.finish(name, whole)
        if is_knock:
            return None
        return self._feed_now.take(name, batch.cdrs, self._raise_floor(look, batch))

    @property
    def _feed_now(self) -> Feed:
        assert self._feed is not None  # noqa: S101 - it has begun
        return self._feed

    @property
    def _handled_now(self) -> Handled:
        assert self._handled is not None  # noqa: S101 - it has begun
        return self._handled

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
        of_tenant = self._handled_now.tenants[name]
        settled = min(done, self._moment(look) - self._settle)
        floor = self._feed_now.floor(name, settled)
        if floor > of_tenant.floor:
            of_tenant.floor = floor
            of_tenant.seen.forget_before(floor - AFTERMATH)
            self._feed_now.forget_before(name, floor - AFTERMATH)
            self._handled_now.is_unsaved = True

    def _finish(self, look: _Look) -> None:
        """Take note of a look all of whose items are handled."""
        tenant, plan = look.tenant, look.plan
        requests = self._count(look)
        if plan.is_deepest:
            self._set_floor(look, float("inf"))
            tenant.rejects = look.rejects
            tenant.contract_errors = 0
        moment = self._moment(look)
        self._look = None
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
            digest = digest_of(reject)
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
