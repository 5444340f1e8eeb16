"""One sync at a time: the second says who is at work, and waits or ends."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from calls import DAY, NEXT_DAY, hourly
from mirrors import change, check_whole, select
from waiting import Gate, settled

import boxis_async.mirror.lease as module
from boxis_async.mirror import (
    Mirror,
    MirrorBusyError,
    MirrorDatabaseError,
    MirrorLeaseLostError,
    Progress,
)
from boxis_async.testing import Provider

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

    from conftest import MakeClient

    from boxis_async import BoxisClient


@pytest.fixture(autouse=True)
def _poll_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL", 0.005)
    monkeypatch.setattr(module, "_SLOWEST_POLL", 0.01)


async def test_two_at_once(database: str, make_client: MakeClient) -> None:
    """The second is refused, or waits, says for whom, and finds nothing left to do."""
    gate = Gate()
    provider = Provider(hourly(), gate=gate)
    client = make_client(provider)
    async with Mirror(database) as one, Mirror(database) as other:
        first = asyncio.create_task(one.sync(client, DAY, NEXT_DAY))
        await settled(lambda: gate.held > 0)
        with pytest.raises(MirrorBusyError, match=f"process {os.getpid()} on ") as caught:
            await other.sync(client, DAY, NEXT_DAY, wait=False)
        assert caught.value.since is not None
        seen: list[Progress] = []
        second = asyncio.create_task(other.sync(client, DAY, NEXT_DAY, on_progress=seen.append))
        await settled(lambda: len(seen) > 0)
        assert seen[0].stage == "waiting"
        assert seen[0].holder == caught.value.holder
        gate.open()
        assert (await first).new == 24
        synced = await second
        assert (synced.new, synced.requests) == (0, 0)
        await check_whole(one, client, DAY, NEXT_DAY)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.holder, again.since) == (
        str(caught.value),
        caught.value.holder,
        caught.value.since,
    )


async def test_a_lease_ends_with_its_sync(database: str, client: BoxisClient) -> None:
    """However a sync ends, the next one need not wait."""
    async with Mirror(database) as mirror:

        def fail(_: Progress) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await mirror.sync(client, DAY, NEXT_DAY, on_progress=fail)
        await mirror.sync(client, DAY, NEXT_DAY, wait=False)
        await check_whole(mirror, client, DAY, NEXT_DAY)


async def test_a_wait_can_be_cancelled(database: str, make_client: MakeClient) -> None:
    """Whoever waits may leave, and who is at work is not disturbed."""
    gate = Gate()
    client = make_client(Provider(hourly(), gate=gate))
    async with Mirror(database) as one, Mirror(database) as other:
        first = asyncio.create_task(one.sync(client, DAY, NEXT_DAY))
        await settled(lambda: gate.held > 0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await other.sync(client, DAY, NEXT_DAY)
        gate.open()
        assert (await first).new == 24


def lock(path: str, taken: Event) -> None:
    """Lock a mirror in a process of its own, until that is killed."""

    async def hold() -> None:
        async with (
            Mirror(path) as mirror,
            module.leased(
                mirror._database,  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
                wait=True,
                on_wait=lambda _: None,  # pyright: ignore[reportPrivateUsage]
            ),
        ):
            taken.set()
            await asyncio.Event().wait()

    asyncio.run(hold())


@pytest.mark.subprocess
@pytest.mark.slow
async def test_a_killed_process_leaves_no_lock(sqlite: str, client: BoxisClient) -> None:
    """The operating system's lock ends with the process, however it ends."""
    context = multiprocessing.get_context("spawn")
    taken = context.Event()
    process = context.Process(target=lock, args=(sqlite, taken))
    process.start()
    try:
        await asyncio.to_thread(taken.wait, 30)
        async with Mirror(sqlite) as mirror:
            with pytest.raises(MirrorBusyError, match=f"process {process.pid} on"):
                await mirror.sync(client, DAY, NEXT_DAY, wait=False)
            process.kill()
            process.join()
            await mirror.sync(client, DAY, NEXT_DAY, wait=False)
    finally:
        process.kill()
        process.join()
    assert await asyncio.to_thread(Path(f"{sqlite}-sync").exists) is False


async def test_a_lease_that_expired_is_free(postgres_url: str, client: BoxisClient) -> None:
    """A process that vanished keeps nobody out for longer than ten seconds."""
    async with Mirror(postgres_url) as mirror:
        change(
            postgres_url,
            "INSERT INTO syncing VALUES ('sync', 'process 1 on moon', 'x', now(), "
            "clock_timestamp() - interval '9.5 seconds')",
        )
        with pytest.raises(MirrorBusyError, match="process 1 on moon"):
            await mirror.sync(client, DAY, NEXT_DAY, wait=False)
        synced = await mirror.sync(client, DAY, NEXT_DAY)
        assert synced.new == 24
        assert select(postgres_url, "SELECT * FROM syncing") == []


async def test_a_lease_is_renewed(
    postgres_url: str, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nothing is written, a task renews it."""
    monkeypatch.setattr(module, "RENEWED_EACH", 0.01)
    gate = Gate()
    client = make_client(Provider(hourly(), gate=gate))
    async with Mirror(postgres_url) as mirror:
        task = asyncio.create_task(mirror.sync(client, DAY, NEXT_DAY))
        await settled(lambda: gate.held > 0)

        def renewed() -> Any:  # noqa: ANN401 - a time
            return select(postgres_url, "SELECT renewed FROM syncing")[0][0]

        before = renewed()
        async with asyncio.timeout(10):
            while renewed() == before:
                await asyncio.to_thread(lambda: None)
        gate.open()
        await task


async def test_a_lease_that_was_taken_over_writes_no_more(
    postgres_url: str, make_client: MakeClient
) -> None:
    """One that was silent for too long finds that out with its next write."""
    gate = Gate()
    client = make_client(Provider(hourly(), gate=gate))
    async with Mirror(postgres_url) as mirror:
        task = asyncio.create_task(mirror.sync(client, DAY, NEXT_DAY))
        await settled(lambda: gate.held > 0)
        change(postgres_url, "UPDATE syncing SET token = 'another'")
        gate.open()
        with pytest.raises(MirrorLeaseLostError, match="took over"):
            await task
        assert select(postgres_url, "SELECT 1 FROM legs") == []
        # It is not ours, so it is left to whoever has it.
        assert select(postgres_url, "SELECT token FROM syncing") == [("another",)]


async def test_a_lock_whose_file_was_removed(
    tmp_path: Path, sqlite: str, client: BoxisClient
) -> None:
    """Whoever locks a file that another one removes meanwhile locks the new one."""
    async with Mirror(sqlite) as mirror:
        lease = module._FileLease(tmp_path / "calls.db")  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        await lease.take()
        with suppress(MirrorBusyError):
            await mirror.sync(client, DAY, NEXT_DAY, wait=False)
        await lease.release()
        await lease.release()
        assert (await mirror.sync(client, DAY, NEXT_DAY, wait=False)).new == 24


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize("what", ["link", "second name", "pipe"])
async def test_a_lock_that_somebody_put_there(
    client: BoxisClient, what: str, tmp_path: Path
) -> None:
    """Who is at work is never written through a link, or into another's file or a pipe."""
    victim, lock = tmp_path / "victim", tmp_path / "calls.db-sync"
    victim.write_text("theirs")
    if what == "pipe":
        os.mkfifo(lock)
    elif what == "link":
        lock.symlink_to(victim)
    else:
        lock.hardlink_to(victim)
    async with Mirror(tmp_path / "calls.db") as mirror:
        with pytest.raises(MirrorDatabaseError, match=r"calls\.db-sync"):
            await mirror.sync(client, DAY, NEXT_DAY)
    assert victim.read_text() == "theirs"
