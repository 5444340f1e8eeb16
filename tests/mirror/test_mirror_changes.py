"""What changes at the provider arrives: costs that come late, repaired legs, legs that are gone."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from calls import DAY, HOUR, NEXT_DAY, SECOND, call, hourly
from mirrors import check_calls, check_whole, select

from boxis_async.mirror import Mirror
from boxis_async.testing import DATE_RULES, Provider

if TYPE_CHECKING:
    from conftest import MakeClient

    from boxis_async import BoxisClient
    from boxis_async.testing import DateRule


async def test_a_late_cost_arrives_and_the_earlier_version_is_kept(
    database: str, provider: Provider, client: BoxisClient
) -> None:
    """A recheck finds the one leg that changed, and writes it alone."""
    start = f"{DAY + HOUR / 2}"
    async with Mirror(database) as mirror:
        await mirror.sync(client, DAY, NEXT_DAY)
        provider.change({"cc_cost": "0.1234"}, start=start)
        assert (await mirror.sync(client, DAY, NEXT_DAY)).changed == 0
        synced = await mirror.sync(client, DAY, NEXT_DAY, recheck=DAY)
        assert (synced.new, synced.changed, synced.unchanged, synced.gone) == (0, 1, 23, 0)
        await check_whole(mirror, client, DAY, NEXT_DAY)
        (first, *_) = [cdr async for cdr in mirror.cdrs(DAY, NEXT_DAY)]
        assert first.cc_cost == Decimal("0.1234")
        (status,) = await mirror.status()
        assert status.changed_lately == 1
    (revision,) = select(database, "SELECT leg, cc_cost, replaced_at FROM revisions")
    (leg,) = select(
        database, "SELECT leg, cc_cost_e5, changed_at FROM legs WHERE cc_cost IS NOT NULL"
    )
    assert revision == (leg[0], None, leg[2])
    assert leg[1] == 12340
    assert select(database, "SELECT count(*) FROM legs WHERE changed_at <> first_seen") == [(1,)]


async def test_a_leg_that_is_gone_is_marked_and_comes_back(
    database: str, provider: Provider, client: BoxisClient
) -> None:
    """It is not deleted, but no read gives it; once it is there again, the mark is cleared."""
    gone = call(f"{DAY + 5 * HOUR}", "sip022-1.9", linkedid="sip022-1.9")
    provider.add(gone)
    async with Mirror(database) as mirror:
        await mirror.sync(client, DAY, NEXT_DAY)
        provider.remove(uniqueid="sip022-1.9")
        synced = await mirror.sync(client, DAY, NEXT_DAY, recheck=DAY)
        assert (synced.new, synced.changed, synced.unchanged, synced.gone) == (0, 0, 24, 1)
        await check_whole(mirror, client, DAY, NEXT_DAY)
        (status,) = await mirror.status()
        assert (status.legs, status.gone) == (24, 1)
        assert select(database, "SELECT uniqueid FROM legs WHERE gone_at IS NOT NULL") == [
            ("sip022-1.9",)
        ]
        # It is not marked twice.
        assert (await mirror.sync(client, DAY, NEXT_DAY, recheck=DAY)).gone == 0
        provider.add(gone)
        synced = await mirror.sync(client, DAY, NEXT_DAY, recheck=DAY)
        assert (synced.new, synced.changed, synced.gone) == (0, 1, 0)
        await check_whole(mirror, client, DAY, NEXT_DAY)
    # Its content is the same, so there is no earlier version.
    assert select(database, "SELECT * FROM revisions") == []


@pytest.mark.slow
@pytest.mark.parametrize("rule", DATE_RULES, ids=str)
async def test_no_leg_that_is_there_is_ever_taken_for_gone(
    sqlite: str, rule: DateRule, make_client: MakeClient
) -> None:
    """Under each rule of the two dates, whatever lies on an edge, in every way to cover a range."""
    rows = hourly()
    for hour in (1, 6, 12, 13):
        at = DAY + hour * HOUR
        # On both sides of each edge, up to it, from it, and over it.
        for start, end in [(-60, -1), (-60, 0), (-60, 1), (0, 0), (0, 60), (1, 60), (-3600, 3600)]:
            first, last = f"{at + start * SECOND}", f"{at + end * SECOND}"
            rows.append(call(first, end=last, duration=f"{end - start}"))
    provider = Provider(rows, filter_mode=rule)
    settings = {}
    if rule.by == "within":
        from boxis_async import Contract  # noqa: PLC0415

        settings["contract"] = Contract(rule="within", longest_call=timedelta(hours=5))
    client = make_client(provider, **settings)
    async with Mirror(sqlite) as mirror:
        total = 0
        for start, end in [(6, 12), (12, 13), (1, 6), (0, 24)]:
            synced = await mirror.sync(client, DAY + start * HOUR, DAY + end * HOUR)
            assert synced.gone == 0
            total += synced.new
        for start in (DAY, DAY + 6 * HOUR, DAY + 12 * HOUR + SECOND):
            synced = await mirror.sync(client, DAY, NEXT_DAY, recheck=start)
            assert (synced.new, synced.changed, synced.gone) == (0, 0, 0)
        assert total == len(select(sqlite, "SELECT 1 FROM legs"))
        there = await client.cdrs(DAY, NEXT_DAY, unique_by="leg").to_list()
        assert total == len(there)


async def test_all_that_is_gone_inside_is_found(
    database: str, provider: Provider, client: BoxisClient
) -> None:
    """A leg that runs over the edges of windows is found too, once both were read whole."""
    provider.add(call(f"{DAY + HOUR / 2}", "long", end=f"{DAY + 20 * HOUR}"))
    provider.add(call(f"{DAY}", "edge", end=f"{DAY + 20 * HOUR}"))
    async with Mirror(database) as mirror:
        await mirror.sync(client, DAY, NEXT_DAY)
        for name in ("long", "edge"):
            provider.remove(uniqueid=name)
        synced = await mirror.sync(client, DAY, NEXT_DAY, recheck=DAY)
        # Whether the one on the edge of all should have come, depends on the server's rule.
        assert synced.gone == 1
    assert select(database, "SELECT uniqueid FROM legs WHERE gone_at IS NOT NULL") == [("long",)]


async def test_a_leg_that_moved_is_changed_and_not_gone(
    database: str, provider: Provider, client: BoxisClient
) -> None:
    """One run takes it for gone where it was, and finds it where it is."""
    provider.add(call(f"{DAY + HOUR}", "moved"))
    async with Mirror(database) as mirror:
        await mirror.sync(client, DAY, NEXT_DAY)
        provider.change(
            {"start": f"{DAY + 20 * HOUR}", "end": f"{DAY + 20 * HOUR}"}, uniqueid="moved"
        )
        synced = await mirror.sync(client, DAY, NEXT_DAY, recheck=DAY)
        assert (synced.new, synced.changed, synced.gone) == (0, 1, 0)
        await check_whole(mirror, client, DAY, NEXT_DAY)


async def test_a_recheck_is_due_once_a_day(
    sqlite: str, provider: Provider, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was just fetched is not read again at once; a day later it is, once."""
    import boxis_async.mirror.sync as module  # noqa: PLC0415

    client = make_client(provider)
    far_back = timedelta(days=365 * 100)
    async with Mirror(sqlite) as mirror:
        synced = await mirror.sync(client, DAY, NEXT_DAY, recheck=far_back)
        assert synced.tenants[0].rechecked is None
        synced = await mirror.sync(client, DAY, NEXT_DAY, recheck=far_back)
        assert synced.requests == 0
        monkeypatch.setattr(module, "_RECHECK_EACH", timedelta(0))
        synced = await mirror.sync(client, DAY, NEXT_DAY, recheck=far_back)
        assert synced.tenants[0].rechecked is not None
        assert synced.unchanged == 24
        monkeypatch.undo()
        synced = await mirror.sync(client, DAY, NEXT_DAY, recheck=far_back)
        assert synced.requests == 0
        # What is older than the length is left alone.
        monkeypatch.setattr(module, "_RECHECK_EACH", timedelta(0))
        synced = await mirror.sync(client, DAY, NEXT_DAY)
        assert synced.requests == 0


async def test_a_moved_transfer_leaves_its_call(database: str, make_client: MakeClient) -> None:
    """A leg that is repaired to belong to another call leaves the one that it was in."""
    provider = Provider(
        [
            call("2024-03-05 10:00:00", "a-1.1", linkedid="a-1.1"),
            call("2024-03-05 10:00:05", "a-1.2", linkedid="a-1.1", disposition="NO ANSWER"),
            call("2024-03-05 10:00:10", "a-1.3", linkedid="a-1.3"),
        ]
    )
    client = make_client(provider)
    async with Mirror(database) as mirror:
        await mirror.sync(client, DAY, NEXT_DAY)
        assert sorted(select(database, "SELECT id, legs FROM calls")) == [
            ("a-1.1", 2),
            ("a-1.3", 1),
        ]
        provider.change({"linkedid": "a-1.3"}, uniqueid="a-1.2")
        await mirror.sync(client, DAY, NEXT_DAY, recheck=DAY)
        assert sorted(select(database, "SELECT id, legs FROM calls")) == [
            ("a-1.1", 1),
            ("a-1.3", 2),
        ]
        # A third leg joins both calls.
        provider.add(call("2024-03-05 10:00:20", "a-1.4", linkedid="a-1.1", prevuniqueid="a-1.3"))
        await mirror.sync(client, DAY, NEXT_DAY, recheck=DAY)
        assert select(database, "SELECT legs FROM calls") == [(4,)]
        provider.remove(uniqueid="a-1.4")
        await mirror.sync(client, DAY, NEXT_DAY, recheck=DAY)
        assert sorted(select(database, "SELECT id, legs FROM calls")) == [
            ("a-1.1", 1),
            ("a-1.3", 2),
        ]
        await check_calls(mirror, [cdr async for cdr in mirror.cdrs(DAY, NEXT_DAY)])


async def test_a_day_by_the_view(database: str, make_client: MakeClient) -> None:
    """The view of days adds up the calls."""
    rows = [
        call("2024-03-05 10:00:00", linkedid="x", cc_cost="0.10", userfield="[inbound]"),
        call("2024-03-05 10:00:01", linkedid="x", cc_cost="0.20", userfield="[inbound]"),
        call("2024-03-06 10:00:00", cc_cost="0.05", disposition="BUSY", userfield="[outbound]"),
    ]
    async with Mirror(database) as mirror:
        await mirror.sync(make_client(Provider(rows)), date(2024, 3, 1), date(2024, 3, 10))
    found = select(
        database,
        "SELECT day, calls, answered, missed, inbound, outbound, legs, cost FROM calls_by_day "
        "ORDER BY day",
    )
    assert [(str(day), *counts, float(cost)) for day, *counts, cost in found] == [
        ("2024-03-05", 1, 0, 1, 1, 0, 2, 0.3),
        ("2024-03-06", 1, 0, 0, 0, 1, 1, 0.05),
    ]
