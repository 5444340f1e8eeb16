"""What an export costs beside the stream: processor time a leg, of the same legs in one run.

160 windows of 625 legs from a loopback server without latency: streamed by `batches()`, and
exported in each format. Each way has a process of its own, and they take turns. A machine is not
equally fast all the time, so each round compares its own ways, and the middle round counts. CSV and
JSON Lines should take at most 1.5 times what streaming takes, so more is an error with exit code 1;
Parquet and workbooks take what their libraries take.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from operator import truediv
from pathlib import Path
from statistics import median

from _canned import START, serving, windows_of

from boxis_async import BoxisClient, Contract
from boxis_async.export import FORMATS, export
from boxis_async.testing import generate_calls

WINDOWS, LEGS = 160, 625
LENGTH = timedelta(hours=1)
MOST = 1.5
WAYS = ("stream", *FORMATS)
# The answers are made beforehand, so there are none to questions of another kind.
KNOWN = Contract(rule="start", dates_ignored=False, no_cap_up_to=2 * LEGS)


async def measure(url: str, way: str) -> float:
    """Stream or export once, and give the processor time of a leg, in microseconds."""
    account = ("ops@example.com", "stand-in-key")
    async with BoxisClient(
        *account, tenant="VOICE-29001-1", base_url=url, contract=KNOWN
    ) as client:
        stream = client.cdrs(START, START + WINDOWS * LENGTH, window=LENGTH, unique_by="leg")
        with tempfile.TemporaryDirectory() as folder:
            began, legs = time.process_time(), 0
            if way == "stream":
                async for batch in stream.batches():
                    legs += len(batch.cdrs)
            else:
                legs = (await export(stream, Path(folder) / f"calls.{way}")).records
            seconds = time.process_time() - began
    assert legs == WINDOWS * LEGS
    return seconds / legs * 1e6


def main(ways: list[str], rounds: int) -> bool:
    """Measure each way so often, in turn, and tell whether the text formats are quick enough."""
    rows = generate_calls(date(2025, 1, 1), date(2025, 3, 20), calls_per_day=1000)
    _, bodies = windows_of(rows[: WINDOWS * LEGS], WINDOWS)
    answers = {str(START + at * LENGTH): (0.0, body) for at, body in enumerate(bodies)}
    found: dict[str, list[float]] = {way: [] for way in ways}
    with serving(answers) as url:
        for _ in range(rounds):
            for way in ways:
                command = [sys.executable, __file__, "--measure", url, way]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                found[way].append(float(done.stdout))
    right = True
    for way, times in found.items():
        ratio = median(map(truediv, times, found["stream"]))
        right = right and (way not in ("csv", "jsonl") or ratio <= MOST)
        print(f"{way:8} {median(times):6.1f} us a leg, {ratio:.2f} times the stream")
    return right


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(asyncio.run(measure(*sys.argv[2:4])))
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
        parser.add_argument("--rounds", type=int, default=5)
        arguments = parser.parse_args()
        sys.exit(not main(list(dict.fromkeys(["stream", *arguments.ways])), arguments.rounds))
