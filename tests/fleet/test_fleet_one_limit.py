"""One limit for all workers, as the server counts requests, whatever happens to the workers."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from fleets import FIRST, LAST, TENANTS, busy_client, most_in_a_second
from links import slow_link
from stalls import Stalls
from waiting import settled

from boxis_async import BoxisClient, Contract
from boxis_async.fleet import FleetError, Harvested, harvest, status, verify
from boxis_async.fleet.worker_client import WorkerClient

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from boxis_async.testing import Provider

pytestmark = pytest.mark.slow

KNOWN = partial(BoxisClient, contract=Contract(rule="start", no_cap_up_to=10_000))
RATE = 15


class Cluster:
    """A scheduler and workers in this process, each of which a test may lose."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def start(self) -> None:
        """Start a scheduler."""
        from distributed import Scheduler  # noqa: PLC0415 - takes half a second

        self.scheduler = await self._stack.enter_async_context(
            Scheduler(host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0")
        )
        self.address: str = self.scheduler.address

    async def add_worker(self, address: str = "", *, nthreads: int = 2) -> Any:  # noqa: ANN401 - Dask's own
        """Start a worker, which reaches the scheduler at an address."""
        from distributed import Worker  # noqa: PLC0415

        return await self._stack.enter_async_context(
            Worker(
                address or self.address,
                nthreads=nthreads,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
            )
        )


@asynccontextmanager
async def cluster_of(workers: int) -> AsyncGenerator[Cluster]:
    """Run a cluster of a test's own."""
    async with AsyncExitStack() as stack:
        cluster = Cluster(stack)
        await cluster.start()
        for _ in range(workers):
            await cluster.add_worker()
        yield cluster


async def test_a_busy_loop_sends_nothing_late(
    served: Provider, scheduler: str, tmp_path: Path
) -> None:
    """Where a worker's loop is blocked again and again, times lapse, and none is made up for."""
    made = busy_client.limiters = []
    with Stalls() as stalls:
        done: Harvested = await harvest(
            TENANTS, FIRST, LAST, tmp_path, scheduler=scheduler, max_rate=RATE,
            make_client=busy_client,
        )  # fmt: skip
    assert done.is_whole
    assert sum(limiter.lapsed for limiter in made) > 0
    assert most_in_a_second(served) <= stalls.most(RATE)


async def test_a_worker_that_ends_between_grant_and_request(
    served: Provider,
    of_tenants: dict[str, list[Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its place in flight is free again, though no request was sent; its time is given to nobody.

    With one request in flight the harvest would else wait for ever.
    """
    hear = WorkerClient.hear
    async with cluster_of(1) as cluster:
        doomed = await cluster.add_worker()
        lost: list[object] = []

        def die_of_it(self: WorkerClient, **content: Any) -> None:  # noqa: ANN401 - messages
            if self._worker is not doomed:
                hear(self, **content)
            elif content.get("delays") and not lost:
                lost.append(content["delays"])
                doomed.batched_stream.comm.abort()

        monkeypatch.setattr(WorkerClient, "hear", die_of_it)
        with Stalls() as stalls:
            done: Harvested = await harvest(
                TENANTS, FIRST, LAST, tmp_path, scheduler=cluster.address, max_rate=RATE,
                concurrency=1, make_client=KNOWN,
            )  # fmt: skip
    assert lost
    assert done.is_whole
    assert done.rows == sum(map(len, of_tenants.values()))
    assert served.peak_in_flight == 1
    assert most_in_a_second(served) <= stalls.most(RATE)


async def test_a_scheduler_that_is_started_anew_starts_empty(
    served: Provider, tmp_path: Path
) -> None:
    """What the one before it granted and the next one grants stay under the limit together."""
    run = partial(harvest, TENANTS, FIRST, LAST, tmp_path, max_rate=RATE, make_client=KNOWN)
    async with cluster_of(2) as second:
        with Stalls() as stalls:
            async with cluster_of(2) as first:
                doing = asyncio.create_task(run(scheduler=first.address))
                await settled(lambda: len(served.requests) >= 5)
                # As it is when a scheduler is killed: nobody takes leave.
                for comm in list(first.scheduler._comms):  # noqa: SLF001 - no other way to end so
                    comm.abort()
                again: Harvested = await run(scheduler=second.address)
                await asyncio.gather(doing, return_exceptions=True)
    assert isinstance(doing.exception(), FleetError)
    assert again.is_whole
    assert 0 < again.requests < len(served.requests)
    assert verify(tmp_path).flaws == ()
    assert status(tmp_path).counts["complete"] == 9
    assert most_in_a_second(served) <= stalls.most(RATE)


@pytest.mark.parametrize("delay", ["long", "varies"])
async def test_a_worker_with_a_slow_link(served: Provider, tmp_path: Path, delay: str) -> None:
    """It works as the others do; by as much as its way is longer, its requests come later."""
    rng = random.Random(4)
    delays: dict[str, Callable[[], float]] = {
        "long": lambda: 0.06,
        "varies": lambda: rng.uniform(0.0, 0.12),
    }
    async with cluster_of(1) as cluster, slow_link(cluster.address, delays[delay]) as address:
        far = await cluster.add_worker(address)
        with Stalls() as stalls:
            done: Harvested = await harvest(
                TENANTS, FIRST, LAST, tmp_path, scheduler=cluster.address, max_rate=RATE,
                make_client=KNOWN,
            )  # fmt: skip
        assert far.state.tasks or far.state.executed_count
    assert done.is_whole
    assert most_in_a_second(served) <= stalls.most(RATE, apart=0.06)


async def test_clocks_that_are_set(served: Provider, scheduler: str, tmp_path: Path) -> None:
    """A clock that is set forward or back, as by NTP, changes no send time."""
    with time_machine.travel(1_790_000_000.0, tick=True) as clock, Stalls() as stalls:
        doing = asyncio.create_task(
            harvest(
                TENANTS, FIRST, LAST, tmp_path, scheduler=scheduler, max_rate=RATE,
                make_client=KNOWN,
            )
        )  # fmt: skip
        for number, seconds in ((3, 120), (6, -240), (9, 60)):
            await settled(lambda number=number: len(served.requests) >= number)
            clock.shift(seconds)
        done: Harvested = await doing
    assert done.is_whole
    assert most_in_a_second(served) <= stalls.most(RATE)


async def test_less_than_one_request_a_second(
    served: Provider, scheduler: str, tmp_path: Path
) -> None:
    """Workers take turns, and no second has two."""
    with Stalls() as stalls:
        done: Harvested = await harvest(
            TENANTS, FIRST, date(2025, 1, 2), tmp_path, scheduler=scheduler, max_rate=0.8,
            period="day", make_client=KNOWN,
        )  # fmt: skip
    assert done.is_whole
    assert len(served.requests) == 3
    assert most_in_a_second(served) <= stalls.most(0.8)


async def test_a_lower_limit_holds_from_its_first_second(
    served: Provider, scheduler: str, tmp_path: Path
) -> None:
    """Whoever harvests without a limit leaves none of its requests in another's seconds."""
    run = partial(harvest, ["VOICE-1"], FIRST, LAST, scheduler=scheduler, make_client=KNOWN)
    with Stalls() as stalls:
        fast: Harvested = await run(tmp_path / "one", max_rate=None)
        slow: Harvested = await run(tmp_path / "two", max_rate=4, settle=timedelta(0))
    assert fast.is_whole
    assert slow.is_whole
    arrived = sorted(received.arrived for received in served.requests)
    before, after = arrived[fast.requests - 1], arrived[fast.requests]
    # A way is known to a twentieth of a second at first.
    assert after - before > 1 - 0.1 - stalls.seconds
