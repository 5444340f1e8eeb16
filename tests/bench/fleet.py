"""A harvest of 200 tenants and 12 months, by one process and by 1, 2 and 4 workers: legs a second.

The stand-in serves over HTTP from this process; the clients are others. First without a limit on
requests, where the reading of answers decides; then under one, where requests do, and more workers
change nothing. Compares each data set with the server's rows, and the server's count of requests in
any second with the limit. Then DuckDB, polars, pandas and dask.dataframe read the data set, and
their rows, types and sums are compared. Exits with 1 where one of all these is wrong.

The processes share the cores: with two of them a second worker has half a core to win, and a fourth
costs its start. About 10 minutes on two idle cores; `--tenants 40 --few 12` takes two.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import attrs
from _fleet import ROOT, legs_at, legs_in, most_in_a_second, read_by_all, tenants

sys.path.append(str(ROOT / "tests" / "support"))
from stalls import Stalls

from boxis_async import BoxisClient
from boxis_async.testing import LoopbackServer, Provider

FIRST, LAST = date(2025, 1, 1), date(2026, 1, 1)
LATENCY = 0.02
AT_ONCE = 8


async def alone(listed: Path) -> None:
    """Fetch all tenants by one client, without a cluster and without files."""
    names = listed.read_text("utf-8").split()  # noqa: ASYNC240 - nothing else runs yet
    left = iter(names)
    legs = 0
    began, cpu = time.perf_counter(), time.process_time()
    async with BoxisClient() as client:

        async def work() -> None:
            nonlocal legs
            for name in left:
                stream = client.cdrs(FIRST, LAST, tenant=name, unique_by="leg")
                async for batch in stream.batches():
                    legs += len(batch.cdrs)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())
    seconds, busy = time.perf_counter() - began, time.process_time() - cpu
    print(f"one process, no files: {legs / seconds:8,.0f} legs/s ({busy:.0f} s of processor time)")


def main(of_workers: list[int], count: int, calls_per_day: float, rate: float, few: int) -> bool:
    """Measure, and tell whether every data set is right."""
    began = time.perf_counter()
    of_tenants = tenants(count, FIRST, LAST, calls_per_day)
    provider = Provider(tenants=of_tenants, latency=LATENCY)
    expected = legs_at(of_tenants)
    print(f"{count} tenants, 12 months, {expected.total():,} legs, {os.cpu_count()} cores")
    right = True
    with LoopbackServer(provider) as server, tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "BOXIS_USERNAME": provider.username,
            "BOXIS_API_KEY": provider.api_key,
            "BOXIS_BASE_URL": server.url,
            "PYTHONPATH": str(ROOT),
        }
        listed = Path(folder, "tenants.txt")
        listed.write_text("\n".join(of_tenants), "utf-8")
        subprocess.run([sys.executable, __file__, "--alone", listed], env=environment, check=True)
        print(f"  {len(provider.requests):,} requests", flush=True)
        dataset = Path(folder, "calls")
        for workers in of_workers:
            shutil.rmtree(dataset, ignore_errors=True)
            right &= harvested(provider, environment, listed, dataset, expected, workers, None)
        right &= read(dataset)
        # Under a limit fewer tenants tell the same.
        some = dict(list(of_tenants.items())[:few])
        listed.write_text("\n".join(some), "utf-8")
        for workers in (of_workers[0], of_workers[-1]):
            shutil.rmtree(dataset, ignore_errors=True)
            right &= harvested(provider, environment, listed, dataset, legs_at(some), workers, rate)
    print(f"all of it: {time.perf_counter() - began:.0f} s")
    return right


def harvested(  # noqa: PLR0913, PLR0917 - what there is to know of it
    provider: Provider,
    environment: dict[str, str],
    listed: Path,
    dataset: Path,
    expected: object,
    workers: int,
    rate: float | None,
) -> bool:
    """Harvest once, and tell whether the data set is right and the limit was kept."""
    provider.reset()
    before, served = resource.getrusage(resource.RUSAGE_CHILDREN), time.process_time()
    options = ["--tenants", str(listed), "--from", f"{FIRST}", "--to", f"{LAST}"]
    options += ["--dataset", str(dataset), "--workers", f"{workers}", "--json"]
    options += ["--max-rate", f"{rate or math.inf}", "--concurrency", f"{AT_ONCE}"]
    began = time.monotonic()
    with Stalls() as stalls:
        done = subprocess.run(
            [sys.executable, "-m", "boxis_async", "fleet", "run", *options],
            env=environment, capture_output=True, check=False, text=True,
        )  # fmt: skip
    whole = time.monotonic() - began
    if done.returncode:
        print(done.stderr)
        return False
    after, served = resource.getrusage(resource.RUSAGE_CHILDREN), time.process_time() - served
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = legs_in(dataset)
    size = sum(path.stat().st_size for path in dataset.rglob("*.*"))
    arrived = [received.arrived for received in provider.requests]
    seconds = max(arrived) - min(arrived)
    most = most_in_a_second(provider)
    limit = "no limit" if rate is None else f"limit {rate:g}"
    equal = "equal" if found == expected else "NOT EQUAL"
    # What a busy machine counts together was sent apart. A worker can stop between its turn and
    # its request: Python's garbage collector takes 50 to 70 ms in it to look at all modules.
    is_kept = rate is None or most <= stalls.most(rate, apart=0.07)
    print(
        f"{workers} {'worker' if workers == 1 else 'workers'}, {limit}: "
        f"{found.total() / seconds:,.0f} legs/s, {len(arrived) / seconds:.1f} requests/s; the "
        f"server counted at most {most} in any second{'' if is_kept else ' (TOO MANY)'}, "
        f"{provider.peak_in_flight} in flight, {len(arrived):,} in all\n  the first request after "
        f"{min(arrived) - began:.1f} s, the last {seconds:.1f} s later, the end after {whole:.1f} "
        f"s; processor time: {cpu:.0f} s of the fleet, {served:.0f} s of the server; a thread here "
        f"waited up to {1000 * stalls.longest:.0f} ms too long\n  "
        f"{found.total():,} legs, {size / 1e6:.1f} MB, {equal} to the server's rows",
        flush=True,
    )
    return found == expected and is_kept


def read(dataset: Path) -> bool:
    """Read the data set by four readers, and tell whether all find the same."""
    found = read_by_all(dataset)
    for name, one in found.items():
        print(
            f"{name}: {one.rows:,} rows, billsec {one.billsec:,}, cc_cost {one.cc_cost:,}; "
            f"types {', '.join(one.types)}; {one.seconds:.1f} s"
        )
    first = next(iter(found.values()))
    same = all(attrs.evolve(one, seconds=first.seconds) == first for one in found.values())
    print(f"  {'the same' if same else 'NOT THE SAME'} rows, types and sums", flush=True)
    return same


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--tenants", type=int, default=200)
    parser.add_argument("--calls-per-day", type=float, default=1, help="of each tenant")
    parser.add_argument("--rate", type=float, default=20, help="requests a second")
    parser.add_argument("--few", type=int, default=40, help="tenants under that limit")
    given = parser.parse_args()
    if given.alone:
        asyncio.run(alone(given.alone))
    else:
        sizes = (given.tenants, given.calls_per_day, given.rate, given.few)
        sys.exit(not main(given.workers, *sizes))
