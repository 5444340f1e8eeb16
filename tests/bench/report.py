"""What a report costs: the bytes of the page, seconds, and the peak of memory.

A month of 15,000 calls, and a year of 200,000 legs, each read from an exported file of legs in JSON
Lines, by a process of its own. The peak is what that process took beyond one that imported the same
and read one day. Exits with 1 where a page is larger than 200 kB, or the year takes more than
`MOST` MB.

A year of calls comes from some thousand numbers here, as the stand-in makes them up. Memory grows
by about 0.4 kB for each further number.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

from boxis_async import BoxisClient, Contract
from boxis_async.export import CallsFile, write
from boxis_async.report import Report
from boxis_async.testing import Provider, generate_calls

ROOT = Path(__file__).parents[2]
NOW = datetime(2027, 2, 1, tzinfo=UTC)
LARGEST = 200_000
MOST = 60
KNOWN = Contract(rule="start", dates_ignored=False, no_cap_up_to=1_000_000)
MONTHS = [date(2026, month, 1) for month in range(1, 13)] + [date(2027, 1, 1)]
CASES = {
    "day": (date(2026, 10, 1), date(2026, 10, 2), MONTHS[9:11], 20),
    # The month before is read too, to compare with.
    "month": (date(2026, 10, 1), date(2026, 11, 1), MONTHS[8:11], 490),
    "year": (date(2026, 1, 1), date(2027, 1, 1), MONTHS, 289),
}
"""The range of each page, the months of its file, and the calls a day there."""


async def make(path: Path, months: list[date], per_day: int) -> None:
    """Write a file of legs, a month after the other, so that it needs little memory."""
    with path.open("ab") as file:
        for number, (first, end) in enumerate(pairwise(months)):
            provider = Provider(generate_calls(first, end, calls_per_day=per_day, seed=number))
            async with (
                provider.client() as http,
                BoxisClient(
                    *(provider.username, provider.api_key),
                    tenant=provider.tenant,
                    http_client=http,
                    contract=KNOWN,
                ) as client,
            ):
                legs = client.cdrs(first, end, unique_by="leg", clip="start")
                await write(legs, file, "jsonl")


def measure(path: Path, first: date, end: date) -> dict[str, float]:
    """Make the page of a file, and say what that took."""
    began = time.perf_counter(), time.process_time()
    read = CallsFile.of(path)
    report = Report(first, end, now=NOW)
    for call in read.calls():
        report.add(call)
    counted = time.process_time()
    page = report.html()
    total = report.to_dict()["total"]
    return {
        "calls": total["calls"],
        "legs": total["legs"],
        "bytes": len(page.encode()),
        "seconds": time.perf_counter() - began[0],
        "processor": time.process_time() - began[1],
        "page": time.process_time() - counted,
        "peak": peak(),
    }


def peak() -> int:
    """Give the peak of this process in KiB; that of `getrusage` begins with the parent's."""
    (line,) = (
        line
        for line in Path("/proc/self/status").read_text("ascii").splitlines()
        if line.startswith("VmHWM")
    )
    return int(line.split()[1])


def main() -> int:
    """Measure each case in a process of its own, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--of", nargs=2, metavar=("CASE", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.of:
        case, file = given.of
        print(json.dumps(measure(Path(file), *CASES[case][:2])))
        return 0
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case, (_, _, months, per_day) in CASES.items():
            path = Path(folder) / f"{case}.jsonl"
            asyncio.run(make(path, months, per_day))
            command = [sys.executable, __file__, "--of", case, str(path)]
            found[case] = json.loads(subprocess.check_output(command, cwd=ROOT))
            path.unlink()
    base = found["day"]["peak"]
    for case, one in found.items():
        print(
            f"{case:>5}: {one['calls']:>7,} calls, {one['legs']:>7,} legs, "
            f"{one['bytes'] / 1000:.0f} kB, {one['seconds']:.1f} s ({one['processor']:.1f} s of "
            f"processor time, {one['page']:.2f} s for the page), "
            f"{(one['peak'] - base) / 1024:.0f} MB beyond {base / 1024:.0f} MB"
        )
    is_small = all(one["bytes"] < LARGEST for one in found.values())
    return 0 if is_small and (found["year"]["peak"] - base) / 1024 < MOST else 1


if __name__ == "__main__":
    sys.exit(main())
