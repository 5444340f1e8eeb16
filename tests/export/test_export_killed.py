"""Processes of their own: killed, out of space, without permission to write."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from clients import ONCE_MORE, connected
from exports import comparable, names, read, work_folder
from paths import ROOT
from waiting import Gate

from boxis_async.export import Format, export, unfinished
from boxis_async.testing import LoopbackServer, Provider, generate_calls

if TYPE_CHECKING:
    from pathlib import Path

    from boxis_async import BoxisClient

BEGIN, END = date(2024, 3, 4), date(2024, 3, 24)

# Checkpoints after each batch; for each, a line is printed with what the last checkpoint kept.
# With `user`, without the root user's permission to write anywhere; what is imported late is
# imported before, as another user may not be able to read it. With `limit`, files cannot grow
# beyond that size, as on a disk that is full.
PROGRAM = """
import asyncio, json, os, resource, signal, sys
from datetime import date, timedelta
import boxis_async.export.checkpoints as checkpoints
from boxis_async import BoxisClient
from boxis_async.export import export, unfinished

checkpoints._INTERVAL = checkpoints._PAUSE_FACTOR = 0
target, limit, user = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

def kept():
    begun = unfinished(target)
    return None if begun is None else begun.records

def progress(stats):
    print(json.dumps({"kept_by_now": kept()}), flush=True)

async def run():
    async with BoxisClient() as client:
        if user:
            import anyio._backends._asyncio, certifi
            os.seteuid(user)
        calls = client.cdrs(
            date(2024, 3, 4), date(2024, 3, 24), window=timedelta(days=1), unique_by="leg"
        )
        return await export(calls, target, resume=True, progress=progress)

def attempt():
    try:
        print(json.dumps({"records": asyncio.run(run()).records}))
    except OSError as error:
        end = {"error": type(error).__name__, "errno": error.errno, "kept": kept()}
        end["where"] = os.path.basename(error.filename)
        print(json.dumps(end))

attempt()
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    attempt()
"""


def start(url: str, target: Path, *, limit: int = 0, user: int = 0) -> subprocess.Popen[str]:
    """Begin the export in a process of its own, or resume it."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(target), str(limit), str(user)],
        env=os.environ
        | {
            "BOXIS_USERNAME": "ops@example.com",
            "BOXIS_API_KEY": "stand-in-key",
            "BOXIS_TENANT": "VOICE-29001-1",
            "BOXIS_BASE_URL": url,
            "PYTHONPATH": str(ROOT),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def results(job: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Wait for the end of the process, and give what each of its attempts came to."""
    output, complaints = job.communicate(timeout=120)
    assert (job.returncode, complaints) == (0, "")
    lines = map(json.loads, output.splitlines())
    return [line for line in lines if "kept_by_now" not in line]


def wait_until_more_is_kept(job: subprocess.Popen[str], before: int) -> int:
    """Wait for a checkpoint with more records than before, and give how many it kept."""
    assert job.stdout is not None
    for line in job.stdout:
        kept: int = json.loads(line)["kept_by_now"] or 0
        if kept > before:
            return kept
    raise AssertionError(f"the export ended with no more than {before} records")


async def expected(client: BoxisClient) -> Any:  # noqa: ANN401
    return comparable(await client.cdrs(BEGIN, END, unique_by="leg").to_list())


@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("form", "days"), [("csv", ["2024-03-10", "2024-03-18"]), ("parquet", ["2024-03-14"])]
)
async def test_killed_and_resumed(
    server: LoopbackServer, tmp_path: Path, form: Format, days: list[str]
) -> None:
    """Killed with SIGKILL again and again, it is resumed to what a run without a break gives."""
    gates = [
        Gate(lambda got, day=day: (got.dateto or "") > f"{day} 00:00:00")  # type: ignore[misc]
        for day in days
    ]
    provider = Provider(generate_calls(BEGIN, END, calls_per_day=20))
    url = server.mount(provider)
    target = tmp_path / f"calls.{form}"
    before = 0
    for gate in gates:
        provider.gate = gate
        job = start(url, target)
        kept = wait_until_more_is_kept(job, before)
        job.kill()
        job.communicate()
        assert job.returncode == -signal.SIGKILL
        begun = unfinished(target)
        assert begun is not None
        assert begun.records >= kept > before
        before = begun.records
        assert not target.exists()
        gate.open()
    provider.gate = None
    async with connected(provider, retry=ONCE_MORE) as client:
        exported = await export(
            client.cdrs(BEGIN, END, window=timedelta(days=1), unique_by="leg"), target, resume=True
        )
        assert exported.resumed
        assert exported.stats.requests < 20
        assert read(target) == await expected(client)
    assert names(tmp_path) == {target.name}
    server.unmount(provider)


@pytest.mark.subprocess
@pytest.mark.parametrize("form", ["csv", "parquet"])
async def test_a_full_disk(server: LoopbackServer, tmp_path: Path, form: Format) -> None:
    """Where a file cannot grow, the error is the system's, and it can be resumed at once."""
    provider = Provider(generate_calls(BEGIN, END, calls_per_day=20))
    url = server.mount(provider)
    target = tmp_path / f"calls.{form}"
    # In each format it comes about half way.
    first, second = results(start(url, target, limit=150_000 if form != "parquet" else 100_000))
    assert first["error"] == "OSError"
    assert first["kept"] > 100
    assert first["where"] in (("batches",) if form == "parquet" else ("lines", "keys"))
    async with connected(provider, retry=ONCE_MORE) as client:
        rows = await expected(client)
    assert second == {"records": len(rows)}
    assert read(target) == rows
    assert names(tmp_path) == {target.name}
    server.unmount(provider)


@pytest.mark.subprocess
async def test_a_folder_that_takes_no_file(server: LoopbackServer, tmp_path: Path) -> None:
    """Without permission nothing is done; if lost meanwhile, only the last step is missing."""
    provider = Provider(generate_calls(BEGIN, END, calls_per_day=20))
    url = server.mount(provider)
    user = 65534 if os.geteuid() == 0 else 0
    folder = tmp_path / "there"
    folder.mkdir()
    target = folder / "calls.csv"
    permit(folder, 0o555)
    (refused,) = results(start(url, target, user=user))
    assert refused.pop("where") == work_folder(target).name
    assert refused == {"error": "PermissionError", "errno": 13, "kept": None}
    assert names(folder) == set()
    assert provider.requests == []
    # The work in progress may grow, but the whole file cannot go to its place.
    work_folder_there(folder, target, user)
    (kept_whole,) = results(start(url, target, user=user))
    assert kept_whole["error"] == "PermissionError"
    assert kept_whole["kept"] > 100
    requests = len(provider.requests)
    permit(folder, 0o777)
    (done,) = results(start(url, target, user=user))
    assert done["records"] == kept_whole["kept"] == len(read(target))
    assert len(provider.requests) == requests
    assert names(folder) == {target.name}
    server.unmount(provider)


@pytest.mark.subprocess
async def test_a_folder_that_cannot_be_listed(server: LoopbackServer, tmp_path: Path) -> None:
    """In a folder that takes files, but shows no names, an export is made like anywhere else."""
    provider = Provider(generate_calls(BEGIN, END, calls_per_day=2))
    url = server.mount(provider)
    folder = tmp_path / "there"
    folder.mkdir()
    permit(folder, 0o333)
    target = folder / "calls.csv"
    (done,) = results(start(url, target, user=65534 if os.geteuid() == 0 else 130_000))
    permit(folder, 0o755)
    assert done["records"] == len(read(target)) > 0
    assert names(folder) == {target.name}
    server.unmount(provider)


def permit(folder: Path, mode: int) -> None:
    folder.parent.chmod(0o755)
    folder.chmod(mode)


def work_folder_there(folder: Path, target: Path, user: int) -> None:
    """Make the user's folder of the work in progress, open to all, in one that is not."""
    folder.chmod(0o755)
    work_folder(target).mkdir()
    work_folder(target).chmod(0o777)
    if user:
        os.chown(work_folder(target), user, -1)
    folder.chmod(0o555)
