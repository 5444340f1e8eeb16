"""The writing has a thread of its own: the loop stays free, and no cancellation tears it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from calls import DAY, HOUR, NEXT_DAY, SECOND
from exports import comparable, export_range, names, read
from waiting import Gate, settled

from boxis_async import ClientClosedError, WindowError
from boxis_async.export import FORMATS, ExportBusyError, Format, export, unfinished, write
from boxis_async.export.drafts import Draft

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from conftest import MakeClient

    from boxis_async import BoxisClient, Stats
    from boxis_async.export.files import Position
    from boxis_async.testing import Provider


class Stopping:
    """Stops the writing thread at a chosen write of a draft."""

    def __init__(self, at: int = 5) -> None:
        self._at = at
        self.is_stopped = threading.Event()
        self.may_continue = threading.Event()
        self.written = 0

    def see(self) -> None:
        """Be called by each write."""
        assert threading.current_thread() is not threading.main_thread()
        self.written += 1
        if self.written == self._at:
            self.is_stopped.set()
            assert self.may_continue.wait(30)


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> Stopping:
    """Stop the fifth write, where each batch is written by itself."""
    seen = Stopping()

    def write(draft: Draft, prepared: Iterable[Any]) -> Position:
        seen.see()
        return plain(draft, prepared)

    plain = Draft.write
    monkeypatch.setattr(Draft, "write", write)
    return seen


@pytest.mark.both_loops
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.usefixtures("_often")
async def test_the_loop_is_free(
    client: BoxisClient, tmp_path: Path, form: Format, stopping: Stopping
) -> None:
    """While the thread is stopped in a write, the loop runs everything else."""
    target = tmp_path / f"calls.{form}"
    task = asyncio.ensure_future(export(client.cdrs(DAY, NEXT_DAY, window=HOUR), target))
    await settled(stopping.is_stopped.is_set)
    turns = 0
    for _ in range(100):
        await asyncio.sleep(0)
        turns += 1
    # Another stream of the same client gets its turns too.
    assert len(await client.cdrs(DAY, NEXT_DAY).to_list()) == 24
    assert not task.done()
    assert not target.exists()
    stopping.may_continue.set()
    assert (await task).records == 24
    assert turns == 100


@pytest.mark.both_loops
@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.usefixtures("_often")
async def test_cancelled_in_a_write(
    client: BoxisClient, tmp_path: Path, times: int, stopping: Stopping
) -> None:
    """Cancelled while the thread writes, it ends after the write, however often it is cancelled."""
    target = tmp_path / "calls.csv"
    arguments: dict[str, Any] = {"window": HOUR}
    task = asyncio.ensure_future(export_range(client, target, DAY, NEXT_DAY, **arguments))
    await settled(stopping.is_stopped.is_set)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    await settled(lambda: True)
    assert not task.done()
    with pytest.raises(ExportBusyError):
        await export_range(client, target, DAY, NEXT_DAY, resume=True, **arguments)
    stopping.may_continue.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelling() == times
    begun = unfinished(target)
    assert begun is not None
    assert begun.records == 5
    exported = await export_range(client, target, DAY, NEXT_DAY, resume=True, **arguments)
    assert (exported.records, exported.conflicts) == (24, 0)
    assert read(target) == comparable(await client.cdrs(DAY, NEXT_DAY).to_list())
    assert names(tmp_path) == {"calls.csv"}


@pytest.mark.both_loops
@pytest.mark.parametrize("to_file", [True, False])
@pytest.mark.usefixtures("_often")
async def test_a_scope_of_anyios(
    client: BoxisClient, tmp_path: Path, stopping: Stopping, *, to_file: bool
) -> None:
    """A scope that is cancelled ends it at the write in hand, though all windows are there."""
    slow = SlowFile()
    target = tmp_path / "calls.csv"
    stops = stopping if to_file else slow
    seen: list[Stats] = []
    scope = anyio.CancelScope()

    async def run() -> None:
        with scope:
            if to_file:
                await export(
                    client.cdrs(DAY, NEXT_DAY, window=HOUR),
                    target,
                    progress=seen.append,
                )
            else:
                calls = client.cdrs(DAY, NEXT_DAY, window=HOUR)
                await write(calls, slow, "csv", progress=seen.append)  # type: ignore[arg-type]

    task = asyncio.ensure_future(run())
    await settled(stops.is_stopped.is_set)
    scope.cancel()
    await settled(lambda: True)
    assert not task.done()
    stops.may_continue.set()
    await task
    assert scope.cancelled_caught
    assert len(seen) < 6
    if to_file:
        begun = unfinished(target)
        assert begun is not None
        assert begun.records == 5
        stopping.written = 100
        await export(client.cdrs(DAY, NEXT_DAY, window=HOUR), target, resume=True)
        assert len(set(read(target))) == 24


class SlowFile:
    """A file that stops its writer at the fifth write."""

    def __init__(self) -> None:
        self.is_stopped = threading.Event()
        self.may_continue = threading.Event()
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.writes.append(data)
        if len(self.writes) == 5:
            self.is_stopped.set()
            assert self.may_continue.wait(30)
        return len(data)

    def flush(self) -> None:
        """Have nothing to flush."""


@pytest.mark.both_loops
async def test_the_loop_is_free_in_write(client: BoxisClient) -> None:
    """So it is while a stream is written to a slow file."""
    file = SlowFile()
    calls = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    task = asyncio.ensure_future(write(calls, file, "jsonl"))  # type: ignore[arg-type]
    await settled(file.is_stopped.is_set)
    assert len(await client.cdrs(DAY, NEXT_DAY).to_list()) == 24
    assert not task.done()
    file.may_continue.set()
    assert (await task).records == 24
    assert b"".join(file.writes).count(b"\n") == 24


@pytest.mark.both_loops
async def test_a_sibling_that_fails(client: BoxisClient, tmp_path: Path) -> None:
    """In a task group, the failure of another task ends it, and what came before is kept."""
    target = tmp_path / "calls.jsonl"
    sixth = asyncio.Event()

    def progress(stats: Stats) -> None:
        if stats.windows == 5:
            sixth.set()

    async def fail() -> None:
        await sixth.wait()
        raise LookupError("elsewhere")

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            group.create_task(
                export(client.cdrs(DAY, NEXT_DAY, window=HOUR), target, progress=progress)  # type: ignore[arg-type]
            )

    with pytest.raises(ExceptionGroup) as caught:
        await run()
    assert caught.group_contains(LookupError)
    begun = unfinished(target)
    assert begun is not None
    assert begun.records >= 5
    exported = await export(client.cdrs(DAY, NEXT_DAY, window=HOUR), target, resume=True)
    assert exported.resumed
    assert len(set(read(target))) == exported.records == 24


@pytest.mark.both_loops
async def test_closed_meanwhile(
    provider: Provider, client: BoxisClient, make_client: MakeClient, tmp_path: Path
) -> None:
    """A client that is closed ends its exports in words, and they can be resumed."""
    target = tmp_path / "calls.csv"
    provider.gate = gate = Gate(lambda got: (got.datefrom or "") >= f"{DAY + 7 * HOUR - SECOND}")
    seen: list[Stats] = []
    task = asyncio.ensure_future(
        export(client.cdrs(DAY, NEXT_DAY, window=HOUR), target, progress=seen.append)
    )
    await settled(lambda: len(seen) == 7 and gate.held > 0)
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await task
    assert provider.in_flight == 0
    provider.gate = None
    exported = await export(
        make_client(provider).cdrs(DAY, NEXT_DAY, window=HOUR), target, resume=True
    )
    assert exported.stats.requests == 17
    assert len(set(read(target))) == exported.records == 24


async def test_no_thread_is_left(client: BoxisClient, tmp_path: Path) -> None:
    """After an export, whole or failed, none of its threads is left."""
    await export(client.cdrs(DAY, NEXT_DAY), tmp_path / "a.csv")
    with pytest.raises(WindowError):
        await export(client.cdrs(DAY, NEXT_DAY, tenant="VOICE-0-0"), tmp_path / "b.csv")
    assert not [
        thread for thread in threading.enumerate() if thread.name.startswith("boxis-export")
    ]
