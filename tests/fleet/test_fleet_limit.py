"""One limit for all workers, as the server counts requests: their rate, and those in flight."""

from __future__ import annotations

import asyncio
import math
from datetime import date
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from fleets import FIRST, LAST, TENANTS, most_in_a_second
from stalls import Stalls
from waiting import settled

from boxis_async import BoxisClient, Contract
from boxis_async.fleet import Harvested, harvest
from boxis_async.fleet.cluster_limiter import ClusterLimiter
from boxis_async.fleet.errors import FleetError
from boxis_async.fleet.granting_plugin import JOIN, TURNS, GrantingPlugin
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3600.0
KNOWN = partial(BoxisClient, contract=Contract(rule="start", no_cap_up_to=10_000))


@pytest.mark.slow
async def test_two_harvests_share_one_limit(
    served: Provider, scheduler: str, tmp_path: Path
) -> None:
    """Whoever sends, and for which harvest: no second has more than the rate and one."""
    served.latency = 0.05
    run = partial(harvest, scheduler=scheduler, make_client=KNOWN)
    one: Harvested
    two: Harvested
    with Stalls() as stalls:
        one, two = await asyncio.gather(
            run(TENANTS, FIRST, LAST, tmp_path / "one", max_rate=15, concurrency=4),
            run(TENANTS, FIRST, LAST, tmp_path / "two", max_rate=15, concurrency=4),
        )
    assert one.is_whole
    assert two.is_whole
    assert len(served.requests) == one.requests + two.requests > 25
    assert most_in_a_second(served) <= stalls.most(15)
    assert served.peak_in_flight <= 4


@pytest.mark.slow
async def test_a_429_that_one_worker_sees_slows_all(
    served: Provider, scheduler: str, tmp_path: Path
) -> None:
    """For the time that the provider asks for, nobody sends, and then the rate holds again."""
    served.faults = [None] * 6 + [Fault.status(429, retry_after="1.5")]
    with Stalls() as stalls:
        done: Harvested = await harvest(
            TENANTS, FIRST, LAST, tmp_path, scheduler=scheduler, max_rate=40, make_client=KNOWN
        )
    assert done.is_whole
    assert done.retries == 1
    arrived = [received.arrived for received in served.requests]
    refused = arrived[6]
    # What is on its way when the answer comes back arrives all the same.
    during = [
        moment for moment in arrived if refused + 0.2 + stalls.seconds < moment < refused + 1.5
    ]
    assert during == []
    assert len(arrived) > 10


async def test_in_flight_over_all_workers(served: Provider, scheduler: str, tmp_path: Path) -> None:
    """Four threads on two workers have no more in flight than the concurrency."""
    served.latency = 0.02
    done: Harvested = await harvest(
        TENANTS, FIRST, LAST, tmp_path,
        scheduler=scheduler, max_rate=None, concurrency=2, make_client=KNOWN,
    )  # fmt: skip
    assert done.is_whole
    assert served.peak_in_flight == 2


class Wire:
    """What a limiter sends to the scheduler, added up."""

    def __init__(self) -> None:
        self.sent = {"wanted": 0, "over": 0, "slow_down": 0.0}

    def __call__(self, **content: Any) -> None:  # noqa: ANN401 - messages
        for name, value in content.items():
            self.sent[name] += value


def grant(
    limiter: ClusterLimiter, *delays: float, late: float = HOUR, ago: float = 0, way: float = 0.001
) -> None:
    """Bring send times, in a message that was sent so long ago; the clock is 1000 s behind."""
    sent = asyncio.get_running_loop().time() - 1000 - ago
    limiter.be_granted(delays, late, sent=sent, way=way)


async def test_a_turn_comes_with_its_time() -> None:
    """Who waits is let go in order, at the times that come, and reports its end."""
    wire = Wire()
    limiter = ClusterLimiter(wire)
    waiting = [asyncio.create_task(limiter.acquire()) for _ in range(3)]
    await settled(lambda: wire.sent["wanted"] == 3)
    grant(limiter, 0.0, HOUR)
    await settled(waiting[0].done)
    assert [task.done() for task in waiting] == [True, False, False]
    grant(limiter, 0.03)
    await settled(waiting[1].done)
    assert not waiting[2].done()
    limiter.release()
    assert wire.sent == {"wanted": 3, "over": 1, "slow_down": 0.0}
    limiter.be_paused()
    waiting[2].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_time_for_nobody_lapses() -> None:
    """Where the one that waited was cancelled, its time is over at once, and asks for no other."""
    wire = Wire()
    limiter = ClusterLimiter(wire)
    waiting = asyncio.create_task(limiter.acquire())
    await settled(lambda: wire.sent["wanted"] == 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    grant(limiter, 0.0)
    await settled(lambda: wire.sent["over"] == 1)
    assert wire.sent["wanted"] == 1
    assert limiter.lapsed == 1


async def test_a_late_time_lapses_and_is_asked_for_again() -> None:
    """A loop that was busy beyond the time sends nothing by it."""
    wire = Wire()
    limiter = ClusterLimiter(wire)
    waiting = asyncio.create_task(limiter.acquire())
    await settled(lambda: wire.sent["wanted"] == 1)
    grant(limiter, -2 * HOUR)
    await settled(lambda: wire.sent["wanted"] == 2)
    assert wire.sent["over"] == 1
    assert not waiting.done()
    grant(limiter, 0.0)
    await waiting


async def test_a_message_that_was_long_on_its_way_keeps_its_times() -> None:
    """A time that is still to come is kept, one that is long past lapses."""
    wire = Wire()
    limiter = ClusterLimiter(wire)
    waiting = [asyncio.create_task(limiter.acquire()) for _ in range(3)]
    await settled(lambda: wire.sent["wanted"] == 3)
    grant(limiter, 0.0)
    await settled(waiting[0].done)
    grant(limiter, 0.0, ago=3 * HOUR, way=3 * HOUR)
    await settled(lambda: limiter.lapsed == 1)
    assert wire.sent["wanted"] == 4
    grant(limiter, 3 * HOUR, ago=3 * HOUR, way=3 * HOUR)
    await settled(waiting[1].done)
    # Where there is no limit, no time is late.
    grant(limiter, 0.0, late=0.0, ago=3 * HOUR, way=3 * HOUR)
    await settled(waiting[2].done)
    assert limiter.lapsed == 1


async def test_a_way_that_is_long_each_time_is_the_usual_one() -> None:
    """The first times lapse, as the worker may be far or may only be busy; then they count."""
    wire = Wire()
    limiter = ClusterLimiter(wire)
    waiting = asyncio.create_task(limiter.acquire())
    for _ in range(10):
        assert not waiting.done()
        grant(limiter, 0.0, ago=3 * HOUR, way=6 * HOUR)
    await settled(waiting.done)
    assert limiter.lapsed == 9


async def test_a_pause_lets_times_lapse() -> None:
    """What was granted ahead is over, and those that wait ask again."""
    wire = Wire()
    limiter = ClusterLimiter(wire)
    waiting = [asyncio.create_task(limiter.acquire()) for _ in range(2)]
    await settled(lambda: wire.sent["wanted"] == 2)
    grant(limiter, HOUR, HOUR + 1)
    limiter.slow_down(4.0)
    limiter.be_paused()
    assert wire.sent == {"wanted": 4, "over": 2, "slow_down": 4.0}
    grant(limiter, 0.0, 0.0)
    await asyncio.gather(*waiting)


async def test_nothing_is_sent_after_the_end() -> None:
    """Those that wait get an error, and so does whoever comes later."""
    limiter = ClusterLimiter(Wire())
    waiting = asyncio.create_task(limiter.acquire())
    await settled(lambda: True)
    limiter.end()
    for doing in (waiting, limiter.acquire()):
        with pytest.raises(FleetError, match="the harvest has ended"):
            await doing


async def test_a_harvest_that_is_cancelled_sends_no_more(
    served: Provider, scheduler: str, tmp_path: Path
) -> None:
    """Its workers stop within a moment, and the next harvest is not slowed by it."""
    served.latency = 0.02
    doing = asyncio.create_task(
        harvest(
            TENANTS, FIRST, LAST, tmp_path, scheduler=scheduler, max_rate=None, concurrency=1,
            make_client=KNOWN,
        )
    )  # fmt: skip
    await settled(lambda: len(served.requests) > 2)
    doing.cancel()
    await asyncio.gather(doing, return_exceptions=True)
    await settled(lambda: served.in_flight == 0)
    sent = len(served.requests)
    done: Harvested = await harvest(
        ["VOICE-1"], FIRST, date(2025, 2, 1), tmp_path / "other",
        scheduler=scheduler, max_rate=None, make_client=KNOWN,
    )  # fmt: skip
    assert len(served.requests) == sent + done.requests


async def test_a_message_of_a_worker_that_is_lost_takes_no_place() -> None:
    """One that was read together with the end of its stream; the place would never be free."""
    sent: list[tuple[str, object]] = []
    scheduler = SimpleNamespace(
        handlers={}, stream_handlers={}, stream_comms={"tcp://a": None, "tcp://b": None},
        worker_send=lambda worker, message: sent.append((worker, message.get("delays"))),
    )  # fmt: skip
    plugin = GrantingPlugin()
    await plugin.start(scheduler)
    await scheduler.handlers[JOIN](client="c", harvest="h", max_rate=math.inf, concurrency=1)
    hear = scheduler.stream_handlers[TURNS]
    hear(worker="tcp://a", harvest="h", wanted=1)
    del scheduler.stream_comms["tcp://a"]
    plugin.remove_worker(scheduler, "tcp://a")
    hear(worker="tcp://a", harvest="h", wanted=1)
    hear(worker="tcp://b", harvest="h", wanted=1)
    assert sent == [("tcp://a", [0.0]), ("tcp://b", [0.0])]
