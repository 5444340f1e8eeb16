"""What is deleted stays deleted: old legs, and those of a number that is to be forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from calls import DAY, HOUR, NEXT_DAY, call
from mirrors import check_calls, check_whole, select

from boxis_async import UsageError, Window
from boxis_async.mirror import Mirror
from boxis_async.testing import Provider

if TYPE_CHECKING:
    from conftest import MakeClient

    from boxis_async import BoxisClient

NUMBER = "0041791234567"


async def test_prune(database: str, provider: Provider, client: BoxisClient) -> None:
    """Legs, revisions, calls and coverage before a time go, and no sync brings them back."""
    noon = DAY + 12 * HOUR
    async with Mirror(database) as mirror:
        await mirror.sync(client, DAY, NEXT_DAY)
        provider.change({"cc_cost": "1"}, disposition="ANSWERED")
        await mirror.sync(client, DAY, NEXT_DAY, recheck=DAY)
        assert await mirror.prune(noon) == 12
        assert await mirror.prune(noon) == 0
        for recheck in (None, DAY):
            provider.reset()
            synced = await mirror.sync(client, DAY, NEXT_DAY, recheck=recheck)
            assert (synced.new, synced.changed, synced.gone) == (0, 0, 0)
            # It is not even asked for.
            assert all(str(one.datefrom) >= f"{noon}" for one in provider.requests)
        await check_whole(mirror, client, noon, NEXT_DAY)
        covered = await mirror.covered(DAY, NEXT_DAY)
        assert covered.complete == (Window(noon, NEXT_DAY),)
        assert covered.missing == (Window(DAY, noon),)
        (status,) = await mirror.status(dateto=NEXT_DAY)
        assert (status.complete_until, status.missing) == (NEXT_DAY, ())
        assert (await mirror.verify(client, DAY, NEXT_DAY)).is_same
    assert select(database, "SELECT count(*) FROM revisions") == [(12,)]
    assert select(database, "SELECT count(*) FROM calls") == [(12,)]
    ((start,),) = select(database, "SELECT start FROM coverage WHERE kind = 'sealed'")
    assert f"{start}" == f"{noon}"


async def test_prune_during_a_recheck_and_a_call_on_the_edge(
    database: str, make_client: MakeClient
) -> None:
    """Of a call that runs over the time, the later legs stay, and make a call of their own."""
    provider = Provider(
        [
            call("2024-03-05 09:59:00", "a-1.1", linkedid="a-1.1"),
            call("2024-03-05 10:01:00", "a-1.2", linkedid="a-1.1"),
        ]
    )
    client = make_client(provider)
    async with Mirror(database) as mirror:
        await mirror.sync(client, DAY, NEXT_DAY)
        assert await mirror.prune(DAY + 10 * HOUR) == 1
        await check_calls(mirror, await mirror.cdrs(DAY, NEXT_DAY).to_list())
        synced = await mirror.sync(client, DAY, NEXT_DAY, recheck=DAY)
        assert (synced.new, synced.changed, synced.unchanged, synced.gone) == (0, 0, 1, 0)


async def test_prune_where_what_is_left_of_a_call_is_gone(
    database: str, make_client: MakeClient
) -> None:
    """A call ends with its last leg that is there."""
    provider = Provider(
        [
            call("2024-03-05 09:59:00", "a-1.1", linkedid="a-1.1"),
            call("2024-03-05 10:01:00", "a-1.2", linkedid="a-1.1"),
        ]
    )
    client = make_client(provider)
    async with Mirror(database) as mirror:
        await mirror.sync(client, DAY, NEXT_DAY)
        provider.remove(uniqueid="a-1.2")
        assert (await mirror.sync(client, DAY, NEXT_DAY, recheck=DAY)).gone == 1
        assert await mirror.prune(DAY + 10 * HOUR) == 1
        assert select(database, "SELECT * FROM calls") == []
        assert await mirror.calls(DAY, NEXT_DAY) == []


@pytest.mark.slow
@pytest.mark.parametrize("spelling", ["+41 79 123 45 67", "0791234567", NUMBER])
async def test_forget(database: str, spelling: str, make_client: MakeClient) -> None:
    """A number goes in any spelling, wherever it stands in a leg, and does not come back."""
    provider = Provider(
        [
            call(f"{DAY + HOUR}", "a-1.1", src="+41791234567", clid="", linkedid="x"),
            call(f"{DAY + HOUR}", "a-1.2", dst="0791234567", linkedid="x"),
            call(f"{DAY + HOUR}", "a-1.3", clid=f'"Anna" <{NUMBER}>', linkedid="x"),
            call(f"{DAY + HOUR}", "a-1.4", lastdata=f"SIP/{NUMBER}@trunk,60", linkedid="x"),
            call(f"{DAY + HOUR}", "a-1.5", linkedid="x"),
            call(f"{DAY + HOUR}", "a-1.6", lastdst=NUMBER),
        ]
    )
    client = make_client(provider)
    async with Mirror(database) as mirror:
        await mirror.sync(client, DAY, NEXT_DAY)
        # An earlier version may have had the number.
        provider.change({"src": NUMBER}, uniqueid="a-1.5")
        await mirror.sync(client, DAY, NEXT_DAY, recheck=DAY)
        provider.change({"src": "0"}, uniqueid="a-1.5")
        await mirror.sync(client, DAY, NEXT_DAY, recheck=DAY)
        assert await mirror.forget(spelling) == 5
        assert await mirror.forget(spelling) == 0
        for _ in range(2):
            synced = await mirror.sync(client, DAY, NEXT_DAY, recheck=DAY)
            assert (synced.new, synced.changed, synced.unchanged, synced.gone) == (0, 0, 1, 0)
            assert synced.tenants[0].forgotten == 5
        legs = await mirror.cdrs(DAY, NEXT_DAY).to_list()
        assert [leg.uniqueid for leg in legs] == ["a-1.5"]
        await check_calls(mirror, legs)
        found = await mirror.verify(client, DAY, NEXT_DAY)
        assert (found.is_same, found.forgotten) == (True, 5)
    assert len(select(database, "SELECT * FROM tombstones")) == 1
    for table in ("legs", "revisions", "calls", "tombstones", "mirror", "tenants", "runs"):
        assert "791234567" not in str(select(database, f"SELECT * FROM {table}"))


async def test_forget_before_the_first_sync(database: str, client: BoxisClient) -> None:
    """A number may be forgotten before it ever came."""
    async with Mirror(database) as mirror:
        assert await mirror.forget("0041445550123") == 0
        synced = await mirror.sync(client, DAY, NEXT_DAY)
        assert (synced.new, synced.tenants[0].forgotten) == (0, 24)


@pytest.mark.parametrize("number", ["", "anonymous", "5", 41, None])
async def test_what_is_no_number_is_refused(sqlite: str, number: str) -> None:
    """Whatever would be in nearly every leg, or in none, is no number."""
    async with Mirror(sqlite) as mirror:
        with pytest.raises(UsageError, match="telephone number"):
            await mirror.forget(number)
