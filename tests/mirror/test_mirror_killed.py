"""A run that ends at any moment loses nothing, repeats nothing, and says no more than is there."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import aiosqlite
import anyio
import pytest
from calls import DAY, NEXT_DAY, call, hourly
from clients import connected
from mirrors import KilledError, change, check_honest, check_whole, engine, kill_at, statements
from sqlalchemy import event

from boxis_async import BoxisError, WindowError
from boxis_async.mirror import Mirror, MirrorDatabaseError
from boxis_async.testing import FAULT_KINDS, Fault, Provider, generate_calls

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import MakeClient
    from postgres_server import PostgresServer

    from boxis_async import BoxisClient

FROM, TO = date(2026, 1, 5), date(2026, 1, 8)


def a_provider() -> Provider:
    """Give a provider of few calls, which change after the first sync."""
    return Provider(generate_calls(FROM, TO, calls_per_day=12, seed=3))


def let_it_change(provider: Provider) -> None:
    """Change a cost, remove a leg, and add one."""
    first, second = provider.select()[2:4]
    provider.change({"cc_cost": "9.99"}, uniqueid=first["uniqueid"], sequence=first["sequence"])
    provider.remove(uniqueid=second["uniqueid"], sequence=second["sequence"])
    provider.add(call("2026-01-06 12:00:00", "sip-9.9"))


async def killed(database: str, client: BoxisClient, number: int, **settings: Any) -> bool:  # noqa: ANN401 - of sync
    """Sync, and report whether it was killed at a statement of that number."""
    mirror = Mirror(database)
    try:
        async with mirror:
            kill_at(mirror, number)
            await mirror.sync(client, FROM, TO, **settings)
    except KilledError:
        return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
async def test_killed_between_every_two_statements(tmp_path: Path, part: int) -> None:
    """A first sync, and one that reads all again, each killed before each of its statements."""
    provider = a_provider()
    async with connected(provider) as client:
        number = part
        is_killed = True
        while is_killed:
            database = str(tmp_path / f"{number}.db")
            is_killed = await killed(database, client, number)
            async with Mirror(database) as mirror:
                await check_honest(mirror, provider, FROM, TO)
                await mirror.sync(client, FROM, TO)
                await check_whole(mirror, client, FROM, TO)
            number += 4
    assert number > 20


@pytest.mark.slow
async def test_a_recheck_killed_between_every_two_statements(sqlite: str) -> None:
    """The recheck continues where it was, and finds all that changed, once."""
    provider = a_provider()
    async with connected(provider) as client:
        async with Mirror(sqlite) as mirror:
            await mirror.sync(client, FROM, TO)
        let_it_change(provider)
        number = 0
        while await killed(sqlite, client, number, recheck=FROM):
            async with Mirror(sqlite) as mirror:
                await check_honest(mirror, Provider([]), FROM, TO)
            number += 1
        async with Mirror(sqlite) as mirror:
            await check_whole(mirror, client, FROM, TO)
            (status,) = await mirror.status()
            assert status.gone == 1
    assert number > 20


@pytest.mark.slow
async def test_killed_on_a_server(postgres_server: PostgresServer) -> None:
    """The same, where the server undoes what was not committed, and the lease is left behind."""
    provider = a_provider()
    number = 0
    is_killed = True
    async with connected(provider) as client:
        while is_killed:
            database = postgres_server.create_database()
            is_killed = await killed(database, client, number)
            async with Mirror(database) as mirror:
                await check_honest(mirror, provider, FROM, TO)
                # Nobody renews it. To wait until it expires is tested elsewhere.
                change(database, "DELETE FROM syncing")
                await mirror.sync(client, FROM, TO)
                await check_whole(mirror, client, FROM, TO)
            postgres_server.drop_database(database)
            # Fewer than all, as each makes a database.
            number += 9
    assert number > 20


async def test_cancelled_at_any_await(sqlite: str) -> None:
    """A task that is cancelled in the middle leaves the mirror usable at once, by the same one."""
    provider = a_provider()
    async with connected(provider) as client, Mirror(sqlite) as mirror:
        for turns in range(0, 400, 13):
            task = asyncio.create_task(mirror.sync(client, FROM, TO, recheck=FROM))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await mirror.sync(client, FROM, TO)
        await check_whole(mirror, client, FROM, TO)


async def test_cancelled_before_the_rows_are_read(
    sqlite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query that is cancelled keeps no lock, though its error is kept, and its cursor by that."""
    provider = a_provider()
    read, is_reading = aiosqlite.Cursor.fetchall, asyncio.Event()

    async def never(_: aiosqlite.Cursor) -> Any:  # noqa: ANN401 - rows
        is_reading.set()
        return await asyncio.Event().wait()

    kept: list[BaseException] = []
    async with connected(provider) as client, Mirror(sqlite) as mirror:
        await mirror.sync(client, FROM, TO)
        for number in range(1, 30):
            is_reading.clear()
            reads = itertools.count(1)

            def fetchall(cursor: aiosqlite.Cursor) -> Any:  # noqa: ANN401 - as above
                return (never if next(reads) == number else read)(cursor)  # noqa: B023 - of now

            monkeypatch.setattr(aiosqlite.Cursor, "fetchall", fetchall)
            task = asyncio.create_task(mirror.sync(client, FROM, TO, recheck=FROM))
            reading = asyncio.create_task(is_reading.wait())
            await asyncio.wait([task, reading], return_when="FIRST_COMPLETED")
            reading.cancel()
            if task.done():
                break
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as raised:
                await task
            kept.append(raised.value)
            monkeypatch.setattr(aiosqlite.Cursor, "fetchall", read)
            with anyio.fail_after(10):
                await mirror.sync(client, FROM, TO)
    assert len(kept) > 5


async def test_a_full_disk(sqlite: str, make_client: MakeClient) -> None:
    """The error says so, what was committed is kept, and with space it continues."""
    provider = Provider(hourly(calls=5))
    client = make_client(provider)
    async with Mirror(sqlite) as mirror:

        def limit(connection: Any, *_: object) -> None:  # noqa: ANN401 - the driver's
            connection.execute("PRAGMA max_page_count = 60")

        event.listen(engine(mirror), "connect", limit)
        await mirror._database.engine.dispose()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        with pytest.raises(MirrorDatabaseError, match="full") as caught:
            await mirror.sync(client, DAY, NEXT_DAY)
        assert "0041445550123" not in repr(caught.value.__cause__)
        await check_honest(mirror, provider, DAY, NEXT_DAY)
    async with Mirror(sqlite) as mirror:
        await mirror.sync(client, DAY, NEXT_DAY)
        await check_whole(mirror, client, DAY, NEXT_DAY)


@pytest.mark.slow
async def test_a_server_that_goes_away_and_comes_back(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    """A sync waits for it, and each connection that was lost is made again."""
    provider = a_provider()
    async with connected(provider) as client, Mirror(postgres_url) as mirror:
        cuts = 0

        def cut(*_: object) -> None:
            nonlocal cuts
            cuts += 1
            if cuts % 2:
                postgres_server.disconnect(postgres_url)

        synced = await mirror.sync(client, FROM, TO, on_progress=cut)
        assert cuts > 1
        assert synced.new > 0
        await check_whole(mirror, client, FROM, TO)


async def test_a_server_that_stays_away(
    postgres_server: PostgresServer, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while the error names the server, without the password."""
    import boxis_async.mirror.sync as module  # noqa: PLC0415

    monkeypatch.setattr(module, "_TRY_FOR", 0.2)
    provider = a_provider()
    async with connected(provider) as client, Mirror(postgres_url) as mirror:
        try:
            with pytest.raises(MirrorDatabaseError) as caught:
                await mirror.sync(client, FROM, TO, on_progress=lambda _: postgres_server.stop())
        finally:
            postgres_server.start()
        for error in (caught.value, caught.value.__cause__):
            assert "hush" not in f"{error!r} {error}"
        change(postgres_url, "DELETE FROM syncing")
        await mirror.sync(client, FROM, TO)
        await check_whole(mirror, client, FROM, TO)


@pytest.mark.parametrize("kind", FAULT_KINDS)
async def test_each_kind_of_fault(sqlite: str, kind: Any, make_client: MakeClient) -> None:  # noqa: ANN401 - one of them
    """What the provider does wrong for a while costs no leg, and what comes back is complete."""
    provider = a_provider()
    provider.faults = [None, Fault(kind), Fault(kind), None, Fault(kind)]
    client = make_client(provider, timeout=0.3 if kind == "hang" else 30)
    async with Mirror(sqlite) as mirror:
        for _ in range(4):
            try:
                await mirror.sync(client, FROM, TO)
                break
            except BoxisError:
                await check_honest(mirror, provider, FROM, TO)
        await check_whole(mirror, client, FROM, TO)


async def test_an_outage_is_written_in_the_log(sqlite: str, make_client: MakeClient) -> None:
    """A run that failed says why; the last good run stays the one before."""
    provider = a_provider()
    client = make_client(provider)
    async with Mirror(sqlite) as mirror:
        await mirror.sync(client, FROM, FROM + timedelta(days=1))
        (before,) = await mirror.status()
        provider.faults = lambda _: Fault.status(503)
        with pytest.raises(WindowError):
            await mirror.sync(client, FROM, TO)
        (after,) = await mirror.status()
        assert after.last_good_run == before.last_good_run
        made = statements(mirror)
        assert made == []
