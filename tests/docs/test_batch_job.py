"""The batch job of the examples: each day in a file, and whatever a night missed made up for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from paths import ROOT
from waiting import Gate, settled

from boxis_async.testing import Fault, LoopbackServer, Provider, ServedProvider, generate_calls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.subprocess

JOB = ROOT / "docs" / "examples" / "batch_job.py"
DAY = timedelta(days=1)
TODAY = datetime.now(ZoneInfo("Europe/Zurich")).date()
DAYS = [TODAY - number * DAY for number in range(7, 0, -1)]


@pytest.fixture
def served(server: LoopbackServer) -> Iterator[ServedProvider]:
    """Serve the calls of ten days up to now."""
    provider = Provider(generate_calls(TODAY - 10 * DAY, TODAY + DAY, calls_per_day=20, seed=2))
    yield ServedProvider(server.mount(provider), provider)
    server.unmount(provider)


def start(served: ServedProvider, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """Begin the job in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(JOB), str(folder)],
        env=os.environ | served.environment | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(
    served: ServedProvider, folder: Path, *, code: int = 0, **environment: str
) -> tuple[str, str]:
    """Run the job to its end, and give what it says."""
    job = start(served, folder, **environment)
    said, complaints = job.communicate(timeout=120)
    assert job.returncode == code, complaints
    return said, complaints


def legs(rows: list[Mapping[str, object]]) -> list[tuple[str, str]]:
    return sorted((f"{row['uniqueid']}", f"{row['sequence']}") for row in rows)


def legs_in(file: Path) -> list[tuple[str, str]]:
    return legs([json.loads(line) for line in file.read_text("utf-8").splitlines()])


def days_in(folder: Path) -> list[date]:
    return sorted(date.fromisoformat(path.stem) for path in folder.glob("*.jsonl"))


def expected(provider: Provider, day: date) -> list[tuple[str, str]]:
    return legs([row for row in provider.select() if str(row["start"]).startswith(f"{day}")])


def test_each_day_has_its_file(served: ServedProvider, tmp_path: Path) -> None:
    """The seven days before today, each call in the file of the day on which it began."""
    said, complaints = finish(served, tmp_path / "calls")
    assert not complaints
    assert sorted(path.name for path in (tmp_path / "calls").iterdir()) == [
        f"{day}.jsonl" for day in DAYS
    ]
    for day in DAYS:
        assert legs_in(tmp_path / "calls" / f"{day}.jsonl") == expected(served.provider, day)
    assert said.splitlines()[0] == f"{DAYS[0]}: {len(expected(served.provider, DAYS[0]))} records"
    # The next night has nothing to ask for but what is new.
    served.provider.reset()
    assert finish(served, tmp_path / "calls") == ("", "")
    assert served.provider.requests == []


async def test_killed_and_begun_again(served: ServedProvider, tmp_path: Path) -> None:
    """Killed in the middle of a day, the job leaves no part of it, and the next one has it all."""
    gate = Gate(lambda received: str(received.datefrom).startswith(f"{DAYS[3]}"))
    served.provider.gate = gate
    job = start(served, tmp_path)
    await settled(lambda: gate.held > 0, within=120)
    job.kill()
    job.communicate(timeout=120)
    assert job.returncode == -signal.SIGKILL
    assert days_in(tmp_path) == DAYS[:3]
    gate.open()
    said, _ = finish(served, tmp_path)
    assert [line.partition(":")[0] for line in said.splitlines()] == [f"{day}" for day in DAYS[3:]]
    assert "resumed" in said.splitlines()[0]
    for day in DAYS:
        assert legs_in(tmp_path / f"{day}.jsonl") == expected(served.provider, day)


def test_a_day_that_fails(served: ServedProvider, tmp_path: Path) -> None:
    """One day that cannot be had is told, the others are exported, and the next night has it."""
    bad = f"{DAYS[2]}"
    served.provider.faults = lambda request: (
        Fault.status(404) if str(request.datefrom).startswith(bad) else None
    )
    said, complaints = finish(served, tmp_path, code=1)
    assert complaints.startswith(f"{bad}: window {bad} 00:00:00")
    assert len(said.splitlines()) == 6
    assert not (tmp_path / f"{bad}.jsonl").exists()
    served.provider.faults = []
    said, complaints = finish(served, tmp_path)
    assert said.startswith(f"{bad}: ")
    assert legs_in(tmp_path / f"{bad}.jsonl") == expected(served.provider, DAYS[2])


def test_a_refusal_ends_it(served: ServedProvider, tmp_path: Path) -> None:
    """Where the provider refuses, no further day is asked for."""
    _, complaints = finish(served, tmp_path, code=1, BOXIS_API_KEY="another")
    assert len(complaints.splitlines()) == 1
    assert list(tmp_path.glob("*.jsonl")) == []
