"""Large exports: how fast, in how much memory, and is the file what the server holds?

A server in a process of its own makes up calls as they are asked for, a window at a time, so that
a million of them need no memory there. Another process exports them, and tells its peak memory;
this one reads the file back and compares each record with the server's row. Prints the figures,
and exits with 1 when a file differs.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet

from boxis_async.testing import LoopbackServer, Provider, generate_calls

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from multiprocessing.connection import Connection

    from boxis_async.testing import Row

ROOT = Path(__file__).parents[2]
START = date(2000, 1, 1)
PER_DAY = 1000
FORMATS = ("csv", "jsonl", "parquet", "xlsx")
# To read the cells of a large workbook back takes longer than all else, and those of calls are not
# the server's rows. The tests do both.
COMPARED = ("csv", "jsonl", "parquet")

PROGRAM = """
import asyncio, json, resource, sys, time
from datetime import date
from boxis_async import BoxisClient
from boxis_async.export import export

async def main():
    begin, end = map(date.fromisoformat, sys.argv[2:4])
    async with BoxisClient() as client:
        began = time.perf_counter()
        calls = client.cdrs(begin, end, unique_by="leg", clip="start")
        done = await export(calls, sys.argv[1], rows=sys.argv[4])
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "records": done.records, "peak": peak}))

asyncio.run(main())
"""


@lru_cache(maxsize=8)
def rows_of(day: date) -> list[dict[str, str | None]]:
    """Make the calls of a day, by their start; those that run on past midnight belong to it."""
    rows = generate_calls(day, day + timedelta(days=1), calls_per_day=PER_DAY, seed=day.toordinal())
    rows.sort(key=lambda row: str(row["start"]))
    return rows


def select(datefrom: str, dateto: str) -> list[Row]:
    """Give the rows that start in a range, both ends included."""
    # A leg may begin the day after its call's first.
    day = datetime.fromisoformat(datefrom).date() - timedelta(days=1)
    found: list[Row] = []
    while f"{day}" <= dateto:
        found += [row for row in rows_of(day) if datefrom <= str(row["start"]) <= dateto]
        day += timedelta(days=1)
    return found


class EndlessProvider(Provider):
    """A provider that makes its rows up when they are asked for, and forgets them."""

    def select(
        self, datefrom: str | None = None, dateto: str | None = None, tenant: str | None = None
    ) -> list[Row]:
        """Give the rows of a range."""
        del tenant
        assert datefrom is not None
        assert dateto is not None
        return select(datefrom, dateto)


def serve(pipe: Connection) -> None:
    """Serve until the other end of the pipe closes."""
    with LoopbackServer(EndlessProvider()) as server:
        pipe.send(server.url)
        try:
            pipe.recv()
        except EOFError:
            return


def expected(begin: date, end: date) -> Iterator[dict[str, str | None]]:
    """Give the rows that start in a range, in the order in which they are to be exported."""
    day = begin
    while day < end:
        rows = select(f"{day} 00:00:00", f"{day} 23:59:59")
        yield from sorted(rows, key=lambda row: (str(row["start"]), int(str(row["sequence"]))))  # type: ignore[misc]
        day += timedelta(days=1)


NAMES = ("uniqueid", "linkedid", "sequence", "clid", "dst", "lastdata", "disposition", "billsec")


def by_row(row: dict[str, str | None]) -> tuple[str, ...]:
    """Give what is compared of a record, as the server has it."""
    return (
        str(row["start"]),
        *(str(row[name] or "") for name in NAMES),
        f"{float(row['cc_cost'] or 0):.5f}",
    )


def by_values(values: dict[str, Any]) -> tuple[str, ...]:
    """Give it as a file has it."""
    start = values["start"]
    wall = start[:19].replace("T", " ") if isinstance(start, str) else f"{start:%Y-%m-%d %H:%M:%S}"
    return (
        wall,
        *(str(values[name]) for name in NAMES),
        f"{float(values['cc_cost'] or 0):.5f}",
    )


def found(path: Path) -> Iterable[dict[str, Any]]:
    """Read a file, record by record."""
    if path.suffix == ".parquet":
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["start", "cc_cost", *NAMES]):
                yield from batch.to_pylist()
        return
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file) if path.suffix == ".csv" else map(json.loads, file)


def compare(path: Path, begin: date, end: date) -> tuple[int, set[str]]:
    """Count the records that differ, in order, and the calls that there are."""
    differing, calls = 0, set[str]()
    rows = expected(begin, end)
    for values in found(path):
        row = next(rows, None)
        differing += row is None or by_row(row) != by_values(values)
        calls.add(values["linkedid"])
    differing += sum(1 for _ in rows)
    return differing, calls


def main(sizes: list[int], formats: list[str], row: str, folder: str | None) -> bool:
    """Export so many calls in each format, and tell whether each file is right."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    url = here.recv()
    right = True
    peaks: dict[str, list[tuple[int, int]]] = {}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        for form in formats:
            for calls in sizes:
                end = START + timedelta(days=calls // PER_DAY)
                path = Path(place) / f"calls.{form}"
                result = run(url, path, START, end, row)
                began = time.perf_counter()
                is_compared = form in COMPARED and row == "legs"
                differing, there_are = compare(path, START, end) if is_compared else (0, set())
                right = right and not differing
                records, peak = result["records"], result["peak"]
                peaks.setdefault(form, []).append((records, peak))
                print(
                    f"{form:8}{len(there_are) or calls:>10,} calls {records:>10,} {row} "
                    f"{result['seconds']:8.1f} s {records / result['seconds']:8,.0f} {row}/s "
                    f"{peak / 1024:7.0f} MiB {path.stat().st_size / 2**20:8.0f} MiB of file; "
                    f"{differing if is_compared else '?'} differ "
                    f"({time.perf_counter() - began:.0f} s to compare)",
                    flush=True,
                )
                path.unlink()
    for form, measured in peaks.items():
        (fewer, low), (more, high) = measured[0], measured[-1]
        if more > fewer:
            print(f"{form:8}{(high - low) * 1024 / (more - fewer):6.1f} bytes more for each record")
    here.close()
    server.terminate()
    return right


def run(url: str, path: Path, begin: date, end: date, row: str) -> dict[str, Any]:
    """Export in a process of its own, and give what it says."""
    job = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), f"{begin}", f"{end}", row],
        env=os.environ
        | {
            "BOXIS_USERNAME": "ops@example.com",
            "BOXIS_API_KEY": "stand-in-key",
            "BOXIS_TENANT": "VOICE-29001-1",
            "BOXIS_BASE_URL": url,
            "PYTHONPATH": str(ROOT),
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(job.stdout)
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("calls", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--rows", choices=("legs", "calls"), default="legs")
    parser.add_argument("--folder", help="where the files stand; by default a temporary one")
    arguments = parser.parse_args()
    sys.exit(not main(arguments.calls, list(arguments.formats), arguments.rows, arguments.folder))
