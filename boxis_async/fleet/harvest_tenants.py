"""`harvest()`: the legs of many tenants into a data set, by as many workers as there are.

The data set is the memory: what is complete in it is not fetched again, so that the same call goes
on where the last one ended, however that was. A task is some periods of one tenant, in order, as
the client learns from each how long the windows of the next one should be. We hand Dask a few tasks
for each of its threads, and the next ones as these end: a scheduler with all of them would need a
kilobyte of memory for each, and a cluster that grows would not get the rest.
"""

# No `from __future__ import annotations` here, see periods.py.

# Dask carries few types.
# mypy: allow-untyped-calls
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportArgumentType=false

import asyncio
import functools
import math
import pickle
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from concurrent.futures import CancelledError
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import PurePath
from typing import Any, Final, cast

import attrs

from boxis_async import BoxisClient, UsageError, printable
from boxis_async.fleet.cluster import cluster_client, gone, problem_with_scheduler
from boxis_async.fleet.data_set import DataSet, Found, Place, Wanted, as_wall
from boxis_async.fleet.errors import FleetError
from boxis_async.fleet.extra import require_extra
from boxis_async.fleet.partition import Outcome, TenantOrder
from boxis_async.fleet.periods import Period, PeriodKind, periods_between

__all__ = ["FailedPartition", "HarvestProgress", "Harvested", "harvest"]

# Of a tenant who fails twice in a row the rest is left for the next run, and does not hold up the
# others for the time-outs of each of its periods.
_GIVE_UP_AFTER: Final = 2
# So many periods of one tenant are a task, at most: five years of months.
_LONGEST_TASK: Final = 60
# So many tasks for each thread are handed to Dask.
_AHEAD: Final = 3
_FIRST_ZONE: Final = timedelta(hours=14)
_PATIENCE: Final = timedelta(minutes=30)
_WAIT_FOR_WORKERS: Final = timedelta(seconds=60)


@attrs.frozen(kw_only=True)
class FailedPartition:
    """A partition that could not be had, and why."""

    tenant: str
    period: str
    error: str


@attrs.frozen(kw_only=True)
class HarvestProgress:
    """How far a harvest is; partitions that were complete before it count as done."""

    partitions: int
    """All that were wanted."""
    done: int
    """Those that are over, however they ended."""
    failed: int
    rows: int
    """The legs that this run has written."""
    requests: int
    workers: int


@attrs.frozen(kw_only=True)
class Harvested:
    """What a harvest did."""

    partitions: int
    """All that were wanted."""
    complete: int
    """Those that are complete now, with those that were before."""
    were_complete: int
    """Those that were complete before, so that nothing was asked for them."""
    young: int
    """Those that are written, and are fetched again by the next run: they may still change."""
    untried: int
    """Those that were left as their tenant failed again and again; the next run tries them."""
    failed: tuple[FailedPartition, ...]
    """Those that could not be had; the next run tries them again."""
    rows: int
    """The legs that this run has written."""
    size: int
    """The bytes that it has written."""
    requests: int
    """The requests that it took, those sent again included."""
    retries: int
    seconds: float

    @property
    def is_whole(self) -> bool:
        """Whether all that was wanted is in the data set: complete, or young."""
        return self.complete + self.young == self.partitions


async def harvest(  # noqa: PLR0913 - each is one thing to set, by name
    tenants: Iterable[str],
    datefrom: date,
    dateto: date,
    dataset: str | PurePath,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    max_rate: float | None = 5.0,
    concurrency: int = 8,
    period: PeriodKind = "month",
    make_client: Callable[..., BoxisClient] = BoxisClient,
    security: Any = None,  # noqa: ANN401 - of Dask's
    allow_insecure: bool = False,
    settle: timedelta = timedelta(hours=24),
    patience: timedelta = _PATIENCE,
    wait_for_workers: timedelta = _WAIT_FOR_WORKERS,
    progress: Callable[[HarvestProgress], object] | None = None,
) -> Harvested:
    """Put the legs of many tenants into a data set of Parquet files, a partition for each period.

    What is complete in the data set is not fetched again: to resume, call it again. It returns
    when each partition is written or has failed; `Harvested.failed` lists those.

    Args:
        tenants: The tenants, each once or more.
        datefrom: The first day of the first period, by the provider's wall clock.
        dateto: The first day after the last period. What lies in the future is left out, and the
            period that is now is written as young.
        dataset: A folder that all workers share, or `s3://bucket/folder`.
        scheduler: The address of a Dask scheduler. Without one a cluster starts on this machine,
            and ends with the harvest.
        workers: The processes of that cluster; by default one for each core, four at most.
        max_rate: Requests a second at most, of all workers together; None is no limit.
        concurrency: Requests in flight at most, of all workers together.
        period: `"day"`, `"month"` or `"year"`; one data set has one kind.
        make_client: Makes the client on a worker, called with `limiter=`. It must be importable
            there, or a `functools.partial` of such a function, with arguments that are no secrets.
            `BoxisClient` takes username and key from the worker's environment.
        security: A `distributed.Security` for a `tls://` scheduler; None takes what Dask's
            configuration says.
        allow_insecure: Whether a plain `tcp://` scheduler may be on another machine.
        settle: How long after its end a period may still change, see `BoxisClient.cdrs`.
        patience: The time that one partition may take; it fails after that.
        wait_for_workers: How long `scheduler` may be without any worker at first, as where a queue
            starts them.
        progress: Called now and then, on the event loop.

    Raises:
        UsageError: An argument is missing or wrong.
        MissingExtraError: The extra `fleet` is not installed.
        DataSetError: The data set cannot be read or written, has another kind of period, or is a
            folder of something else.
        FleetError: There is no scheduler or no worker, the scheduler is gone, or a worker cannot
            make its client.
    """
    began = time.monotonic()
    names = _checked_tenants(tenants)
    _check_numbers(max_rate, concurrency, workers)
    _check_times(settle=settle, patience=patience, wait_for_workers=wait_for_workers)
    _check_make_client(make_client)
    problem = problem_with_scheduler(scheduler, allow_insecure=allow_insecure)
    if scheduler is not None and workers is not None:
        problem = problem or "workers= is for a cluster on this machine: leave it out"
    if problem:
        raise UsageError(problem)
    # By the clock of whoever is first: the worker knows the provider's zone.
    now = (datetime.now(UTC) + _FIRST_ZONE).replace(tzinfo=None)
    periods = [one for one in periods_between(datefrom, dateto, period) if one.start < now]
    require_extra("a harvest needs Dask and pyarrow", "distributed", "pyarrow")
    data_set = DataSet(str(dataset))
    wanted = Wanted(tuple(names), as_wall(datefrom), as_wall(dateto))
    await asyncio.to_thread(data_set.want, period, wanted)
    await asyncio.to_thread(data_set.storage.tidy)
    places = [Place(name, one.name) for name in names for one in periods]
    found = await asyncio.to_thread(data_set.look, places)
    tally = _Tally(places, found)
    if progress is not None:
        progress(tally.progress(0))
    if tally.left:
        async with (
            cluster_client(
                scheduler,
                workers=workers,
                concurrency=concurrency,
                security=security,
                wait_for_workers=wait_for_workers.total_seconds(),
            ) as client,
            _joined(client, make_client, max_rate, concurrency) as name,
        ):
            orders = _orders(
                names,
                periods,
                found,
                harvest=name,
                dataset=data_set.address,
                settle=settle,
                timeout=patience.total_seconds(),
                threads=sum(await _threads(client)),
            )
            async with aclosing(_outcomes(client, orders)) as found_out:
                async for outcomes in found_out:
                    tally.add(outcomes)
                    if progress is not None:
                        progress(tally.progress(len(await _threads(client))))
    return tally.harvested(time.monotonic() - began)


class _Tally:
    """Counts what came of the partitions."""

    def __init__(self, places: Sequence[Place], found: dict[Place, Found]) -> None:
        self._partitions = len(places)
        self._were_complete = sum(one.state == "complete" for one in found.values())
        self._outcomes: dict[Place, Outcome] = {}

    @property
    def left(self) -> int:
        """How many partitions are to be fetched."""
        return self._partitions - self._were_complete - len(self._outcomes)

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Take what came of some."""
        for outcome in outcomes:
            self._outcomes[Place(outcome.tenant, outcome.period)] = outcome

    def progress(self, workers: int) -> HarvestProgress:
        """Give how far it is."""
        return HarvestProgress(
            partitions=self._partitions,
            done=self._were_complete + len(self._outcomes),
            failed=self._count("failed"),
            rows=self._sum("rows"),
            requests=self._sum("requests"),
            workers=workers,
        )

    def harvested(self, seconds: float) -> Harvested:
        """Give what the harvest did."""
        return Harvested(
            partitions=self._partitions,
            complete=self._were_complete + self._count("complete"),
            were_complete=self._were_complete,
            young=self._count("young"),
            untried=self._count("untried"),
            failed=tuple(
                FailedPartition(
                    tenant=place.tenant, period=place.period, error=outcome.error or "unknown"
                )
                for place, outcome in sorted(self._outcomes.items())
                if outcome.state == "failed"
            ),
            rows=self._sum("rows"),
            size=self._sum("size"),
            requests=self._sum("requests"),
            retries=self._sum("retries"),
            seconds=seconds,
        )

    def _count(self, state: str) -> int:
        return sum(one.state == state for one in self._outcomes.values())

    def _sum(self, name: str) -> int:
        written = (one for one in self._outcomes.values() if not one.was_there)
        return sum(getattr(one, name) for one in written)


@asynccontextmanager
async def _joined(
    client: Any,  # noqa: ANN401 - Dask's own
    make_client: Callable[..., BoxisClient],
    max_rate: float | None,
    concurrency: int,
) -> AsyncGenerator[str]:
    """Let the scheduler grant, and the workers have clients, for as long as the block runs."""
    from boxis_async.fleet.granting_plugin import JOIN, GrantingPlugin  # noqa: PLC0415 - Dask takes 0.5 s
    from boxis_async.fleet.worker_client import WorkerClient  # noqa: PLC0415

    name = f"boxis-harvest-{secrets.token_hex(4)}"
    await client.register_plugin(GrantingPlugin())
    join = getattr(client.scheduler, JOIN)
    rate = math.inf if max_rate is None else float(max_rate)
    await join(client=client.id, harvest=name, max_rate=rate, concurrency=concurrency)
    await client.register_plugin(WorkerClient(name, make_client))
    try:
        yield name
    finally:
        # Of a scheduler that is gone there is nothing to take back.
        if client.status == "running":
            with suppress(OSError):
                await client.unregister_worker_plugin(name)


async def _outcomes(
    client: Any,  # noqa: ANN401 - Dask's own
    orders: Sequence[TenantOrder],
) -> AsyncGenerator[list[Outcome]]:
    """Have the orders done, and give what came of each when it is there.

    Raises:
        FleetError: The scheduler is gone, or a worker cannot do its part.
    """
    from distributed import KilledWorker  # noqa: PLC0415 - takes 0.5 s

    from boxis_async.fleet.worker_client import harvest_tenant  # noqa: PLC0415

    async def result_of(order: TenantOrder) -> list[Outcome]:
        # The dashboard shows the first part, and of a single task all of it.
        key = ("boxis-tenant", order.tenant, order.periods[0].name, order.harvest)
        outcomes: list[Outcome] = await client.submit(harvest_tenant, order, key=key, pure=False)
        return outcomes

    # Not Dask's `as_completed`: it holds a lock of threads while it awaits one of asyncio's. Two
    # tasks that end at once then stop the event loop for ever; that was seen in one of 15 runs.
    left = iter(orders)
    doing: dict[asyncio.Task[list[Outcome]], TenantOrder] = {}
    try:
        while True:
            # Counted each time, as a cluster may grow.
            most = _AHEAD * max(1, sum(await _threads(client)))
            for order in islice(left, max(0, most - len(doing))):
                doing[asyncio.create_task(result_of(order))] = order
            if not doing:
                return
            done, _ = await asyncio.wait(doing, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                order = doing.pop(task)
                error = asyncio.CancelledError() if task.cancelled() else task.exception()
                if error is None:
                    yield task.result()
                elif isinstance(error, KilledWorker):
                    yield [_lost(order.tenant, one) for one in order.periods]
                else:
                    raise _as_ours(error, client) from None
    finally:
        for task in doing:
            task.cancel()
        await asyncio.gather(*doing, return_exceptions=True)


def _as_ours(error: BaseException, client: Any) -> FleetError:  # noqa: ANN401 - Dask's own
    """Give why the harvest cannot continue, after what a task ended with."""
    if isinstance(error, FleetError):
        return error
    # Of a scheduler that is gone Dask cancels the futures.
    if isinstance(error, OSError | asyncio.CancelledError | CancelledError):
        return gone(client.scheduler.address)
    text = printable(f"{type(error).__name__}: {error}")
    return FleetError(f"a task failed: {text}")


def _lost(tenant: str, period: Period) -> Outcome:
    """Give what came of a period whose workers were lost, more often than Dask allows."""
    return Outcome(
        tenant=tenant,
        period=period.name,
        state="failed",
        error="the worker that had it was lost, again and again: too little memory?",
    )


def _orders(  # noqa: PLR0913 - what all of them have in common
    tenants: Sequence[str],
    periods: Sequence[Period],
    found: dict[Place, Found],
    *,
    harvest: str,
    dataset: str,
    settle: timedelta,
    timeout: float,
    threads: int,
) -> list[TenantOrder]:
    """Make tasks of what is not complete: some periods of a tenant each, those that failed last."""
    todo = {
        name: [one for one in periods if found[Place(name, one.name)].state != "complete"]
        for name in tenants
    }
    count = sum(map(len, todo.values()))
    # Short enough that all threads have work, also near the end.
    length = min(_LONGEST_TASK, max(1, count // (4 * max(1, threads))))
    orders: list[tuple[bool, TenantOrder]] = []
    for name, of_tenant in todo.items():
        failed = [one for one in of_tenant if found[Place(name, one.name)].state == "failed"]
        others = [one for one in of_tenant if one not in failed]
        for has_failed, listed in ((False, others), (True, failed)):
            for first in range(0, len(listed), length):
                order = TenantOrder(
                    harvest=harvest,
                    tenant=name,
                    periods=tuple(listed[first : first + length]),
                    dataset=dataset,
                    settle=settle,
                    timeout=timeout,
                    give_up_after=_GIVE_UP_AFTER,
                )
                orders.append((has_failed, order))
    return [order for _, order in sorted(orders, key=lambda one: one[0])]


async def _threads(client: Any) -> list[int]:  # noqa: ANN401 - Dask's own
    """Give the threads of each worker: so many tasks it runs at a time."""
    of_workers: dict[str, int] = await client.nthreads()
    return list(of_workers.values())


def _checked_tenants(tenants: object) -> list[str]:
    if isinstance(tenants, str | bytes) or not isinstance(tenants, Iterable):
        raise UsageError(f"tenants must be names of tenants, not {tenants!r}")
    names = list(dict.fromkeys(cast("Iterable[object]", tenants)))
    if not names:
        raise UsageError("tenants is empty: name one or more")
    for name in names:
        if not isinstance(name, str) or not name.strip() or name != name.strip():
            raise UsageError(f"a tenant must be a name such as VOICE-29001-1, not {name!r}")
        if not name.isprintable():
            raise UsageError(f"a tenant must be printable, and this one is not: {name!a}")
    return cast("list[str]", names)


def _check_numbers(max_rate: object, concurrency: object, workers: object) -> None:
    problems: list[str] = []
    is_rate = isinstance(max_rate, int | float) and not isinstance(max_rate, bool)
    if max_rate is not None and not (is_rate and 0 < cast("float", max_rate) < math.inf):
        problems.append(
            f"max_rate must be a number of requests a second, or None, not {max_rate!r}"
        )
    for name, value in (("concurrency", concurrency), ("workers", workers)):
        if value is None and name == "workers":
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            problems.append(f"{name} must be a whole number, one or more, not {value!r}")
    if problems:
        raise UsageError(*problems)


def _check_times(**times: object) -> None:
    problems = [
        f"{name} must be a timedelta, zero or more, not {value!r}"
        for name, value in times.items()
        if not isinstance(value, timedelta) or value < timedelta(0)
    ]
    if problems:
        raise UsageError(*problems)


def _check_make_client(make_client: object) -> None:
    """Refuse what cannot be sent to workers, and what would send a secret.

    Raises:
        UsageError: It is one of these.
    """
    if not callable(make_client):
        raise UsageError(f"make_client must be a function, not {make_client!r}")
    inner: object = make_client
    while isinstance(inner, functools.partial):
        partial = cast("functools.partial[object]", inner)
        if partial.args or {"api_key", "username", "http_client"} & partial.keywords.keys():
            raise UsageError(
                "make_client would send credentials to the workers: leave them out, and set "
                "BOXIS_USERNAME and BOXIS_API_KEY in the environment of the workers"
            )
        inner = partial.func
    try:
        pickle.dumps(make_client)
    except Exception as error:
        raise UsageError(
            "make_client must be a function that the workers can import, from a module that is "
            f"installed there: {printable(str(error))}"
        ) from error
