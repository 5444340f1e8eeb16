"""The batch job of the examples: killed half way, it goes on, and writes each call once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from waiting import Gate, settled

from boxis_async.testing import LoopbackServer, Provider, generate_calls

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT = Path(__file__).parents[1]
JOB = ROOT / "docs" / "examples" / "batch_job.py"
START, END = date(2024, 10, 1), date(2024, 11, 1)


def start(url: str, lines: Path, datefrom: date, dateto: date) -> subprocess.Popen[str]:
    """Begin the job in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(JOB), str(lines), f"{datefrom}", f"{dateto}"],
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


def finish(url: str, lines: Path, datefrom: date, dateto: date) -> str:
    """Run the job to its end, and give what it says."""
    job = start(url, lines, datefrom, dateto)
    said, complaints = job.communicate(timeout=30)
    assert (job.returncode, complaints) == (0, "")
    return said


def kill(job: subprocess.Popen[str]) -> None:
    job.kill()
    job.communicate(timeout=30)
    assert job.returncode == -signal.SIGKILL


def covered(lines: Path) -> int:
    """Tell how long the file was at its checkpoint."""
    checkpoint = lines.with_suffix(".checkpoint")
    return json.loads(checkpoint.read_text("utf-8"))["length"] if checkpoint.exists() else 0


def legs(rows: Iterable[Mapping[str, object]]) -> list[tuple[str, str]]:
    return sorted((f"{row['uniqueid']}", f"{row['sequence']}") for row in rows)


def legs_in(lines: Path) -> list[tuple[str, str]]:
    return legs(json.loads(line) for line in lines.read_text("utf-8").splitlines())


async def test_killed_and_begun_again(server: LoopbackServer, tmp_path: Path) -> None:
    """Killed half way, the job goes on from its checkpoint, and each call is there once."""
    rows = generate_calls(START, END, calls_per_day=20, seed=2)
    gate = Gate(lambda received: (received.datefrom or "") >= "2024-10-15")
    provider = Provider(rows, gate=gate)
    url = server.mount(provider)
    lines = tmp_path / "october.jsonl"
    job = start(url, lines, START, END)
    await settled(lambda: covered(lines) > 0, within=30)
    kill(job)
    gate.open()
    provider.reset()
    # What is behind the checkpoint may be any part of a line.
    with lines.open("a") as file:
        file.write('{"uniqueid": "sip0')
    assert "100% covered" in finish(url, lines, START, END)
    assert legs_in(lines) == legs(row for row in rows if str(row["start"]) < f"{END}")
    assert 17 <= len(provider.requests) < 31
    provider.reset()
    # All is sealed: a further run sends nothing, and writes nothing.
    assert "0 calls in 0 requests" in finish(url, lines, START, END)
    assert len(legs_in(lines)) == len(set(legs_in(lines)))
    assert provider.requests == []
    server.unmount(provider)


def test_young_calls_are_fetched_again(server: LoopbackServer, tmp_path: Path) -> None:
    """Calls of the last day are written each night anew, and never twice."""
    today = datetime.now(ZoneInfo("Europe/Zurich")).date()
    begin, end = today - timedelta(days=4), today + timedelta(days=1)
    rows = generate_calls(begin, end, calls_per_day=20, seed=4)
    provider = Provider(rows)
    url = server.mount(provider)
    lines = tmp_path / "week.jsonl"
    for night in range(3):
        finish(url, lines, begin, end)
        expected = [row for row in provider.select() if str(row["start"]) < f"{end}"]
        assert legs_in(lines) == legs(expected)
        provider.add({**rows[-1], "start": f"{today} 00:00:00", "uniqueid": f"late-{night}"})
    assert len(provider.requests) < 3 * 7
    server.unmount(provider)
