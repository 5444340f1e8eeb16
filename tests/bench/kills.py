"""A batch job killed with SIGKILL at random moments: is a line lost, or written twice?

The job is `docs/examples/batch_job.py`, in a process of its own, against a real server in this
one. It is killed when its file has grown by a random amount, and begun again, until it ends by
itself. Prints the figures, and exits with 1 when anything is lost or repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from boxis_async.testing import LoopbackServer, Provider, generate_calls

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]
JOB = ROOT / "docs" / "examples" / "batch_job.py"
START, END = date(2025, 1, 1), date(2026, 1, 1)


def main(kills: int, calls_per_day: float, seed: int) -> bool:
    """Kill and begin again, and tell whether the file holds each call once."""
    rng = random.Random(seed)
    rows = generate_calls(START, END, calls_per_day=calls_per_day)
    provider = Provider(rows, latency=lambda: rng.uniform(0, 0.02))
    began = time.perf_counter()
    print(f"{len(rows):,} records, {START} to {END}; killed {kills} times", flush=True)
    with LoopbackServer(provider) as server, tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "year.jsonl"
        size = 950 * len(rows)
        killed = early = 0
        while killed < kills:
            # So far that the last ones come about when the job does.
            step = 2 * max(0, size - covered(lines)) / (kills - killed + 1)
            job = start(server.url, lines)
            if kill_at(job, lines, covered(lines) + rng.uniform(0, step)):
                killed += 1
            else:
                early += 1
                break
        job = start(server.url, lines)
        said, _ = job.communicate(timeout=300)
        lost, repeated, found = compare(lines, provider)
    print(f"the last run said: {said.strip()}")
    print(
        f"{killed} kills, {found:,} lines: {lost} lost, {repeated} repeated; "
        f"{len(provider.requests):,} requests, {time.perf_counter() - began:.0f} s"
    )
    if early:
        print("the job ended before all kills were made: give more calls a day")
    return lost == repeated == 0 and not early and job.returncode == 0


def start(url: str, lines: Path) -> subprocess.Popen[str]:
    """Begin the job, or go on with it."""
    environment = os.environ | {
        "BOXIS_USERNAME": "ops@example.com",
        "BOXIS_API_KEY": "stand-in-key",
        "BOXIS_TENANT": "VOICE-29001-1",
        "BOXIS_BASE_URL": url,
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.Popen(
        [sys.executable, str(JOB), str(lines), f"{START}", f"{END}"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def covered(lines: Path) -> int:
    """Tell how long the file was at its checkpoint."""
    checkpoint = lines.with_suffix(".checkpoint")
    return json.loads(checkpoint.read_text())["length"] if checkpoint.exists() else 0


def kill_at(job: subprocess.Popen[str], lines: Path, size: float) -> bool:
    """Kill the job once its file is so long; False when it ended before."""
    while job.poll() is None:
        if lines.exists() and lines.stat().st_size > size:
            job.kill()
            job.communicate()
            return True
        time.sleep(0.0005)
    job.communicate()
    return False


def compare(lines: Path, provider: Provider) -> tuple[int, int, int]:
    """Count what is lost, what is repeated, and what there is."""
    with lines.open(encoding="utf-8") as file:
        found = Counter(legs(map(json.loads, file)))
    expected = Counter(
        legs(
            row
            for row in provider.select(f"{START} 00:00:00", f"{END} 00:00:00")
            if str(row["start"]) < f"{END}"
        )
    )
    return (expected - found).total(), (found - expected).total(), found.total()


def legs(rows: Iterable[object]) -> list[tuple[str, str]]:
    """Name each record."""
    return [(str(row["uniqueid"]), str(row["sequence"])) for row in rows]  # type: ignore[index]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=50)
    parser.add_argument("--calls-per-day", type=float, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    sys.exit(not main(arguments.kills, arguments.calls_per_day, arguments.seed))
