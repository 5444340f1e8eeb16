"""An export killed at random moments, or ended by Ctrl-C: is a record lost, or written twice?

`boxis export` runs in a process of its own, against a real server in this one. Whenever its work
in progress has grown by a random amount, it gets a SIGKILL or a SIGINT in turn, and is resumed;
in the end it is let run. Prints the figures of each format, and exits with 1 when a record is lost
or repeated, the order is another than that of a run without a break, or Ctrl-C took a second.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet

from boxis_async.testing import LoopbackServer, Provider, generate_calls

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

START, END = date(2025, 1, 1), date(2026, 1, 1)
FORMATS = ("csv", "jsonl", "parquet")

ROOT = Path(__file__).parents[2]
SIGNALS = (signal.SIGKILL, signal.SIGINT)
INTERRUPTED = 130

Leg = tuple[str, str]


def main(kills: int, calls_per_day: float, seed: int, formats: list[str]) -> bool:
    """Kill and resume, and tell whether each file holds each record once, in order."""
    # Where a shell has it ignored, as for what runs in the background, so would the exports.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rng = random.Random(seed)
    rows = generate_calls(START, END, calls_per_day=calls_per_day)
    # Slow, or too much of it would be done by the time a signal has arrived.
    provider = Provider(rows, latency=lambda: rng.uniform(0, 0.2))
    expected = legs(
        sorted(
            provider.select(f"{START} 00:00:00", f"{END} 00:00:00"),
            key=lambda row: (str(row["start"]), int(str(row["sequence"]))),
        )
    )
    print(f"{len(expected):,} records, {START} to {END}; killed {kills} times a format", flush=True)
    right = True
    with LoopbackServer(provider) as server, tempfile.TemporaryDirectory() as folder:
        for form in formats:
            provider.reset()
            began = time.perf_counter()
            whole, target = Path(folder) / f"whole.{form}", Path(folder) / f"killed.{form}"
            size = largest_draft(start(server.url, whole), whole)
            took: list[float] = []
            made = kill_often(server.url, target, size, kills, rng=rng, took=took)
            job = start(server.url, target)
            _, said = job.communicate(timeout=600)
            found = list(legs(read(target)))
            lost, repeated = Counter(expected), Counter(found)
            lost.subtract(found)
            repeated.subtract(expected)
            same = found == list(legs(read(whole))) == expected
            left = sorted(path.name for path in Path(folder).iterdir() if path != target)
            print(
                f"{form:8}{made:4} kills {len(found):>9,} records: "
                f"{sum((+lost).values())} lost, {sum((+repeated).values())} repeated, "
                f"{'the same order' if same else 'ANOTHER ORDER'}; Ctrl-C took at most "
                f"{max(took, default=0):.2f} s; {time.perf_counter() - began:.0f} s",
                flush=True,
            )
            right = (
                right
                and same
                and made == kills
                and job.returncode == 0
                and max(took, default=0) < 1
            )
            right = right and not [name for name in left if name.endswith(".unfinished")]
            if job.returncode:
                print(said)
    return right


def start(url: str, target: Path) -> subprocess.Popen[str]:
    """Begin the export, or resume it."""
    environment = os.environ | {
        "BOXIS_USERNAME": "ops@example.com",
        "BOXIS_API_KEY": "stand-in-key",
        "BOXIS_TENANT": "VOICE-29001-1",
        "BOXIS_BASE_URL": url,
        "PYTHONPATH": str(ROOT),
    }
    options = (
        "--from",
        f"{START}",
        "--to",
        f"{END}",
        "--unique-by",
        "leg",
        "--window",
        "1d",
        "--concurrency",
        "2",
    )
    return subprocess.Popen(
        [sys.executable, "-m", "boxis_async", "export", *options, "--resume", "-o", str(target)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_often(  # noqa: PLR0913 - what there is to know of it
    url: str, target: Path, size: int, kills: int, *, rng: random.Random, took: list[float]
) -> int:
    """Kill it so often, spread over its whole length; tell how often that was."""
    for made in range(kills):
        # So far that the last ones come near its end.
        done = max(covered(target), growth(target))
        step = 1.5 * max(0, size - done) / (kills - made + 1)
        at, by = done + rng.uniform(0, step), SIGNALS[made % len(SIGNALS)]
        if not kill_at(start(url, target), target, at, by, took):
            print("it ended before all kills were made: give more calls a day")
            return made
    return kills


def kill_at(
    job: subprocess.Popen[str], target: Path, size: float, by: signal.Signals, took: list[float]
) -> bool:
    """Kill it once its work in progress is so large; False when it ended before."""
    while job.poll() is None:
        if growth(target) > size:
            began = time.perf_counter()
            job.send_signal(by)
            job.communicate()
            if job.returncode == INTERRUPTED:
                took.append(time.perf_counter() - began)
            return job.returncode in (-signal.SIGKILL, INTERRUPTED)
        time.sleep(0.0005)
    job.communicate()
    return False


def largest_draft(job: subprocess.Popen[str], target: Path) -> int:
    """Let it run, and tell how large its draft became: no Parquet file is as large as its draft."""
    largest = 0
    while job.poll() is None:
        largest = max(largest, growth(target))
        time.sleep(0.01)
    job.communicate()
    return largest


def growth(target: Path) -> int:
    """Tell how large the draft is."""
    size = 0
    folder = target.with_name(f"{target.name}.unfinished")
    for path in (folder / "lines", folder / "batches"):
        try:
            size += path.stat().st_size
        except FileNotFoundError:
            continue
    return size


def covered(target: Path) -> int:
    """Tell how large the draft was at its checkpoint."""
    journal = target.with_name(f"{target.name}.unfinished") / "journal.json"
    mark = json.loads(journal.read_bytes())["mark"] if journal.exists() else None
    if mark is None:
        return 0
    size: int = mark[0]
    return size


def read(path: Path) -> list[dict[str, Any]]:
    """Read a file back."""
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
        return rows
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file)) if path.suffix == ".csv" else [*map(json.loads, file)]


def legs(rows: Iterable[Mapping[str, object]]) -> list[Leg]:
    """Name each record."""
    return [(str(row["uniqueid"]), str(row["sequence"])) for row in rows]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=50)
    parser.add_argument("--calls-per-day", type=float, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    arguments = parser.parse_args()
    sys.exit(
        not main(arguments.kills, arguments.calls_per_day, arguments.seed, list(arguments.formats))
    )
