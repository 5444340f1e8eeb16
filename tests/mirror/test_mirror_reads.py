"""A read sees the mirror as it was when it began, and may be left at any point."""

from __future__ import annotations

import asyncio
import gc
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from calls import DAY, HOUR, NEXT_DAY, call, hourly
from mirrors import engine
from waiting import settled

import boxis_async.mirror.reads as module
from boxis_async.mirror import Mirror, MirrorError
from boxis_async.testing import Provider, generate_calls

if TYPE_CHECKING:
    from conftest import MakeClient

    from boxis_async import BoxisClient

FROM, TO = date(2026, 1, 5), date(2026, 1, 12)


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 5)


async def test_a_read_never_shows_what_comes_meanwhile(
    database: str, provider: Provider, client: BoxisClient
) -> None:
    """A sync that ends in the middle of a read changes nothing of it, and need not wait for it."""
    async with Mirror(database) as mirror:
        await mirror.sync(client, DAY, NEXT_DAY)
        reader = mirror.cdrs(DAY, NEXT_DAY)
        legs = [await anext(reader) for _ in range(7)]
        provider.add(*(call(f"{DAY + hour * HOUR}") for hour in range(24)))
        provider.change({"src": "changed"}, disposition="ANSWERED")
        synced = await mirror.sync(client, DAY, NEXT_DAY, recheck=DAY)
        assert (synced.new, synced.changed) == (24, 24)
        legs += [cdr async for cdr in reader]
        assert len(legs) == 24
        assert {leg.src for leg in legs} == {"0041445550123"}
        now = [cdr async for cdr in mirror.cdrs(DAY, NEXT_DAY)]
        assert len(now) == 48
        assert {leg.src for leg in now} == {"changed"}


async def test_each_read_during_a_sync_shows_whole_batches(
    database: str, make_client: MakeClient
) -> None:
    """Whatever a reader sees while a sync runs, legs and calls fit together."""
    client = make_client(Provider(generate_calls(FROM, TO, calls_per_day=40, seed=2)))
    async with Mirror(database) as mirror, Mirror(database) as other:
        task = asyncio.create_task(mirror.sync(client, FROM, TO))
        seen: set[int] = set()
        while not task.done():
            calls = await other.calls(FROM, TO)
            legs = [cdr async for cdr in other.cdrs(FROM, TO)]
            seen.add(len(legs))
            # The legs were read later, so there may be more of them.
            assert {leg.leg for call in calls for leg in call.legs} <= {leg.leg for leg in legs}
        await task


async def test_leaving_early(database: str, client: BoxisClient) -> None:
    """A read that is dropped, closed or left by `async with` gives its connection back."""
    async with Mirror(database) as mirror:
        await mirror.sync(client, DAY, NEXT_DAY)
        pool = engine(mirror).pool
        async for _ in mirror.cdrs(DAY, NEXT_DAY):
            break
        gc.collect()
        await settled(lambda: pool.checkedout() == 0)
        async with mirror.cdrs(DAY, NEXT_DAY) as reader:
            await anext(reader)
            assert pool.checkedout() == 1
        assert pool.checkedout() == 0
        with pytest.raises(MirrorError, match="cut short"):
            await anext(reader)
        reader = mirror.cdrs(DAY, NEXT_DAY)
        await reader.aclose()
        assert len(await mirror.cdrs(DAY, NEXT_DAY).to_list()) == 24
        assert pool.checkedout() == 0
        left = mirror.cdrs(DAY, NEXT_DAY)
        await anext(left)
    with pytest.raises(MirrorError, match="cut short"):
        _ = [cdr async for cdr in left]


async def test_a_time_out_around_an_item_never_looks_like_the_end(
    database: str, client: BoxisClient
) -> None:
    """A read that is cancelled raises from then on."""
    async with Mirror(database) as mirror:
        await mirror.sync(client, DAY, NEXT_DAY)
        for turns in range(12):
            reader = mirror.cdrs(DAY, NEXT_DAY)
            legs = 0
            task = asyncio.ensure_future(anext(reader))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            try:
                await task
                legs = 1
            except asyncio.CancelledError:
                pass
            try:
                legs += len([cdr async for cdr in reader])
                assert legs == 24
            except MirrorError:
                pass


async def test_calls_of_a_range(database: str, make_client: MakeClient) -> None:
    """Neighbouring ranges share no call and lack none, and each call has all of its legs."""
    client = make_client(Provider(generate_calls(FROM, TO, calls_per_day=30, seed=8)))
    async with Mirror(database) as mirror:
        await mirror.sync(client, FROM, TO)
        parts = [
            call
            for day in range(7)
            for call in await mirror.calls(
                FROM + timedelta(days=day), FROM + timedelta(days=day + 1)
            )
        ]
        assert parts == await client.calls(FROM, TO)


async def test_an_empty_mirror(database: str) -> None:
    """It has nothing, and says so."""
    async with Mirror(database) as mirror:
        assert await mirror.cdrs(DAY, NEXT_DAY).to_list() == []
        assert await mirror.calls(DAY, NEXT_DAY) == []
        assert mirror.timezone is None


async def test_verify(database: str, make_client: MakeClient) -> None:
    """It names what differs, and changes nothing."""
    provider = Provider(hourly(calls=3))
    client = make_client(provider)
    async with Mirror(database) as mirror:
        await mirror.sync(client, DAY, NEXT_DAY)
        found = await mirror.verify(client, DAY, NEXT_DAY)
        assert (found.is_same, found.same) == (True, 72)
        assert found.requests > 0
        provider.change({"cc_cost": "1"}, start=f"{DAY + HOUR / 2}")
        provider.remove(start=f"{DAY + 1.5 * HOUR}")
        provider.add(call(f"{DAY + 7 * HOUR}", "added"))
        for _ in range(2):
            found = await mirror.verify(client, DAY, NEXT_DAY)
            assert not found.is_same
            assert found.same == 70
            assert [one.fields for one in found.different] == [("cc_cost",)]
            assert [leg.start.replace(tzinfo=None) for leg in found.only_here] == [DAY + 1.5 * HOUR]
            assert [leg.uniqueid for leg in found.only_there] == ["added"]
        await mirror.sync(client, DAY, NEXT_DAY, recheck=DAY)
        assert (await mirror.verify(client, DAY, NEXT_DAY)).is_same
