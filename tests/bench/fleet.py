"""A harvest of 200 tenants and 12 months, by one process and by 1, 2 and 4 workers: legs a second.

The stand-in serves over HTTP from this process; the clients are others. First without a limit on
requests, where the reading of answers decides; then under one, where requests do, and more workers
change nothing. Compares each data set with the server's rows, and the server's count of requests in
any second with the limit. Exits with 1 where one of them is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from _fleet import ROOT, legs_at, legs_in, most_in_a_second, tenants

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


def main(count: int, calls_per_day: float, rate: float, few: int) -> bool:
    """Measure, and tell whether every data set is right."""
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
        print(f"{len(provider.requests):,} requests")
        for workers in (1, 2, 4):
            right &= harvested(provider, environment, listed, expected, workers, None)
        # Under a limit fewer tenants tell the same.
        some = dict(list(of_tenants.items())[:few])
        listed.write_text("\n".join(some), "utf-8")
        for workers in (1, 4):
            right &= harvested(provider, environment, listed, legs_at(some), workers, rate)
    return right


def harvested(  # noqa: PLR0913, PLR0917 - what there is to know of it
    provider: Provider,
    environment: dict[str, str],
    listed: Path,
    expected: object,
    workers: int,
    rate: float | None,
) -> bool:
    """Harvest once, and tell whether the data set is right and the limit was kept."""
    provider.reset()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder, "calls")
        options = ["--tenants", str(listed), "--from", f"{FIRST}", "--to", f"{LAST}"]
        options += ["--dataset", str(dataset), "--workers", f"{workers}", "--json"]
        options += ["--max-rate", f"{rate or 100_000}", "--concurrency", f"{AT_ONCE}"]
        done = subprocess.run(
            [sys.executable, "-m", "boxis_async", "fleet", "run", *options],
            env=environment, capture_output=True, check=False, text=True,
        )  # fmt: skip
        if done.returncode:
            print(done.stderr)
            return False
        found = legs_in(dataset)
        size = sum(path.stat().st_size for path in dataset.rglob("*.*"))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    arrived = [received.arrived for received in provider.requests]
    seconds = max(arrived) - min(arrived)
    most = most_in_a_second(provider)
    limit = "no limit" if rate is None else f"limit {rate:g}"
    equal = "equal" if found == expected else "NOT EQUAL"
    print(
        f"{workers} {'worker ' if workers == 1 else 'workers'}, {limit}: "
        f"{found.total() / seconds:8,.0f} legs/s, {len(arrived) / seconds:6.1f} requests/s, at "
        f"most {most} in any second, {provider.peak_in_flight} in flight; {len(arrived):,} "
        f"requests, {size / 1e6:.1f} MB, {cpu:.0f} s of processor time; {equal} to the server's "
        "rows",
        flush=True,
    )
    return found == expected and (rate is None or most <= rate + 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alone", type=Path)
    parser.add_argument("--tenants", type=int, default=200)
    parser.add_argument("--calls-per-day", type=float, default=1)
    parser.add_argument("--rate", type=float, default=40)
    parser.add_argument("--few", type=int, default=40)
    given = parser.parse_args()
    if given.alone:
        asyncio.run(alone(given.alone))
    else:
        sys.exit(not main(given.tenants, given.calls_per_day, given.rate, given.few))
