"""A mirror keeps the position of a watch, with the legs that it handed over."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from calls import call
from clients import connected
from mirrors import select

from boxis_async import BoxisClient, Change, UsageError
from boxis_async.mirror import Mirror, MirrorMismatchError
from boxis_async.mirror.migrations import migrate
from boxis_async.testing import Provider

if TYPE_CHECKING:
    from boxis_async.testing import Row

ZURICH = ZoneInfo("Europe/Zurich")
NOW = datetime.now(UTC).astimezone(ZURICH).replace(tzinfo=None, microsecond=0)


def rung(name: str, minutes: int, **fields: str) -> Row:
    """Make a leg of so many minutes ago."""
    start = NOW - timedelta(minutes=minutes)
    return call(f"{start}", name, linkedid=name, **fields)


async def taken(
    client: BoxisClient, mirror: Mirror, count: int, name: str = "watch"
) -> list[Change]:
    """Take changes from a watch whose position is in the mirror, until there were so many."""
    position = mirror.position(client, name)
    async with client.watch(
        timedelta(hours=1), every=timedelta(seconds=1), position=position
    ) as changes:
        return [await anext(changes) for _ in range(count)]


async def test_legs_and_position_are_kept_together(database: str) -> None:
    """What was handed over is in the mirror, with its call; a later watch continues there."""
    provider = Provider([rung("one", 30), rung("two", 20)])
    async with connected(provider) as client, Mirror(database) as mirror:
        first = await taken(client, mirror, 2)
        assert [(change.kind, change.previous) for change in first] == [("new", None)] * 2
        # The last one was not followed by another, so it does not count as handled.
        assert select(database, "SELECT uniqueid FROM legs") == [("one",)]
        assert select(database, "SELECT id, legs FROM calls") == [("one", 1)]
        again = await taken(client, mirror, 1)
        assert [change.cdr.uniqueid for change in again] == ["two"]


async def test_a_change_knows_what_it_was(database: str) -> None:
    """A leg that changed comes with its earlier version, which stands in `revisions` then."""
    provider = Provider([rung("one", 30), rung("two", 20)])
    async with connected(provider) as client, Mirror(database) as mirror:
        await taken(client, mirror, 2)
        provider.change({"cc_cost": "1.25"}, uniqueid="one")
        found = await taken(client, mirror, 2)
        (late,) = (change for change in found if change.kind == "changed")
        assert late.previous is not None
        assert (late.previous.cc_cost, late.cdr.cc_cost) == (None, Decimal("1.25"))


async def test_a_sync_beside_it(database: str) -> None:
    """Where a sync wrote the new version first, the change still says what was before."""
    provider = Provider([rung("one", 30), rung("two", 20)])
    async with connected(provider) as client, Mirror(database) as mirror:
        await mirror.sync(client, NOW - timedelta(hours=2))
        await taken(client, mirror, 2)
        provider.change({"cc_cost": "1.25"}, uniqueid="one")
        synced = await mirror.sync(client, NOW - timedelta(hours=2))
        assert synced.changed == 1
        found = await taken(client, mirror, 2)
        (late,) = (change for change in found if change.kind == "changed")
        assert late.previous is not None
        assert late.previous.cc_cost is None
        again = await mirror.sync(client, NOW - timedelta(hours=2))
        assert (again.new, again.changed, again.gone) == (0, 0, 0)
        assert [cdr.uniqueid async for cdr in mirror.cdrs(NOW - timedelta(hours=2), NOW)] == [
            "one",
            "two",
        ]


async def test_both_write_at_once(database: str) -> None:
    """A watch that saves while a sync is at work loses nothing, and neither fails."""
    provider = Provider([rung(f"{number}", 50 - number) for number in range(30)])
    async with connected(provider) as client, Mirror(database) as mirror:
        position = mirror.position(client)
        cdrs = await client.cdrs(NOW - timedelta(hours=1), unique_by="leg").to_list()
        changes = [Change(kind="new", cdr=cdr, tenant=provider.tenant) for cdr in cdrs]

        async def save_each() -> None:
            for number, change in enumerate(changes):
                await position.save(f"{number}", [change])

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(save_each())
            syncing = tasks.create_task(mirror.sync(client, NOW - timedelta(hours=1)))
        assert syncing.result().gone == 0
        assert await position.load() == "29"
        assert select(database, "SELECT count(*), count(DISTINCT leg) FROM legs") == [(30, 30)]
        assert select(database, "SELECT count(*) FROM revisions") == [(0,)]


async def test_several_watches_have_a_name_each(database: str) -> None:
    """A position is found by its name, and no other one."""
    provider = Provider([rung("one", 30), rung("two", 20)])
    async with connected(provider) as client, Mirror(database) as mirror:
        await taken(client, mirror, 2, "bot")
        assert await mirror.position(client, "other").load() is None
        assert await mirror.position(client, "bot").load() is not None


async def test_what_cannot_be(database: str) -> None:
    """Another zone, no client and no name are refused."""
    provider = Provider([rung("one", 30)])
    async with connected(provider) as client, Mirror(database) as mirror:
        await mirror.sync(client, NOW - timedelta(hours=2))
        with pytest.raises(UsageError, match="takes a BoxisClient"):
            mirror.position(None)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        with pytest.raises(UsageError, match="name must not be empty"):
            mirror.position(client, "")
        async with connected(provider, timezone="America/New_York") as elsewhere:
            with pytest.raises(MirrorMismatchError, match="zone"):
                await taken(elsewhere, mirror, 1)


async def test_a_mirror_of_version_1(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was made before there were positions is brought up to date, and keeps its legs."""
    provider = Provider([rung("one", 30), rung("two", 20)])
    with monkeypatch.context() as before:
        before.setattr(
            "boxis_async.mirror.database.migrate",
            lambda connection: migrate(connection, migrate.__defaults__[0][:1]),  # type: ignore[index]
        )
        async with connected(provider) as client, Mirror(database) as mirror:
            await mirror.sync(client, NOW - timedelta(hours=2))
        assert select(database, "SELECT value FROM mirror WHERE name = 'version'") == [("1",)]
    async with connected(provider) as client, Mirror(database) as mirror:
        assert len(await taken(client, mirror, 2)) == 2
        assert len(await mirror.cdrs(NOW - timedelta(hours=2), NOW).to_list()) == 2
    assert select(database, "SELECT value FROM mirror WHERE name = 'version'") == [("2",)]
