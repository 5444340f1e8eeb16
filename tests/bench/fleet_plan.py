"""What 10,000 tenants and 5 years will take: measured costs, then a simulation of the workers.

First it measures, with the client, the stand-in in this process, and the code that writes
partitions: requests, processor time and bytes of a tenant's year, quiet and busy. From the two it
computes what a request and what a leg costs, and compares with what `plan` has written down. Then
it lets grants, answers and workers run by these costs, for some limits and numbers of workers, and
prints the hours of the whole harvest. Exits with 1 where `plan` is off by more than a half.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import attrs
from _contracts import RULE

from boxis_async import BoxisClient
from boxis_async.fleet import harvest_plan as written_down
from boxis_async.fleet import plan
from boxis_async.fleet.data_set import DataSet, Wanted, as_wall
from boxis_async.fleet.partition import SeenLegs, TenantOrder, harvest_partition
from boxis_async.fleet.periods import periods_between
from boxis_async.testing import Provider, generate_calls

FIRST, LAST = date(2025, 1, 1), date(2026, 1, 1)
FROM, TO = date(2021, 1, 1), date(2026, 1, 1)
TENANTS = 10_000
QUIET, BUSY = 1, 60


@attrs.frozen
class Year:
    """What one tenant's year of months took."""

    legs: int
    requests: int
    cpu: float
    file_bytes: int
    answer_bytes: int


async def measure(calls_per_day: float) -> Year:
    """Harvest a tenant's year in this process; the server's share of the time is left out."""
    provider = Provider(generate_calls(FIRST, LAST, calls_per_day=calls_per_day), tenant="T")
    server, sizes = 0.0, 0
    answer = Provider._answer  # noqa: SLF001 - to leave its time out

    def timed(*arguments: Any) -> Any:  # noqa: ANN401 - whatever it takes
        nonlocal server, sizes
        began = time.process_time()
        response = answer(*arguments)
        server += time.process_time() - began
        sizes += len(response.body)
        return response

    periods = periods_between(FIRST, LAST, "month")
    with tempfile.TemporaryDirectory() as folder:
        dataset = DataSet(folder)
        dataset.want("month", Wanted(("T",), as_wall(FIRST), as_wall(LAST)))
        order = TenantOrder(
            harvest="bench", tenant="T", periods=tuple(periods), dataset=folder,
            settle=timedelta(hours=24), timeout=600, give_up_after=2,
        )  # fmt: skip
        Provider._answer = timed  # type: ignore[method-assign]  # noqa: SLF001
        async with (
            provider.client() as http_client,
            BoxisClient(
                provider.username, provider.api_key, http_client=http_client, contract=RULE
            ) as client,
        ):
            seen = SeenLegs()
            began = time.process_time()
            found = [
                await harvest_partition(client, dataset, order, period, seen) for period in periods
            ]
            cpu = time.process_time() - began - server
        Provider._answer = answer  # type: ignore[method-assign]  # noqa: SLF001
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.*"))  # noqa: ASYNC240
    assert all(one.state == "complete" for one in found)
    return Year(
        sum(one.rows for one in found), sum(one.requests for one in found), cpu, size, sizes
    )


def simulate(requests: int, rate: float, workers: int, cost: float, latency: float) -> float:
    """Give the hours of so many requests: a sample of them, one after the other as they are sent.

    A request is sent when it is granted, and when one of 8 for each worker is free. Its answer
    comes after the latency, and its worker reads one answer at a time.
    """
    sample = min(requests, 20_000)
    free = [(0.0, number % workers) for number in range(8 * workers)]
    heapq.heapify(free)
    reads_until = [0.0] * workers
    granted = 0.0
    for _ in range(sample):
        at, worker = heapq.heappop(free)
        granted = max(granted + 1 / rate, at)
        reads_until[worker] = max(reads_until[worker], granted + latency) + cost
        heapq.heappush(free, (reads_until[worker], worker))
    return max(reads_until) / sample * requests / 3600


async def main(latency: float) -> bool:
    """Measure and simulate, and tell whether the plan is near."""
    await measure(QUIET)  # to load what is loaded once
    quiet, busy = await measure(QUIET), await measure(BUSY)
    for name, year in (("quiet", quiet), ("busy", busy)):
        print(
            f"{name}: {year.legs:>7,} legs a year, {year.requests} requests, {year.cpu:.2f} s of "
            f"processor time, {year.file_bytes / 1e6:.2f} MB of files, "
            f"{year.answer_bytes / 1e6:.1f} MB of answers"
        )
    more = busy.legs - quiet.legs
    a_leg = (busy.cpu - quiet.cpu) / more
    a_request = (quiet.cpu - quiet.legs * a_leg) / quiet.requests
    a_leg_of_file = (busy.file_bytes - quiet.file_bytes) / more
    print(
        f"a leg {1e6 * a_leg:.0f} us ({1e6 * written_down.SECONDS_A_LEG:.0f} written down), a "
        f"request {1e3 * a_request:.1f} ms ({1e3 * written_down.SECONDS_A_REQUEST:.1f}), "
        f"{a_leg_of_file:.0f} bytes in a file ({written_down.FILE_BYTES}), "
        f"{(quiet.file_bytes - quiet.legs * a_leg_of_file) / 12:,.0f} of an empty one "
        f"({written_down.PARTITION_BYTES:,}), "
        f"{(busy.answer_bytes - quiet.answer_bytes) / more:.0f} in an answer "
        f"({written_down.ANSWER_BYTES})"
    )
    near = True
    for legs_per_day in (2.0, 20.0, 100.0):
        print(f"\n{TENANTS:,} tenants x 5 years, {legs_per_day:g} legs a day each")
        for rate in (5.0, 20.0, 100.0):
            found = plan(
                TENANTS, FROM, TO, legs_per_day=legs_per_day, max_rate=rate, latency=latency,
                concurrency=1000,
            )  # fmt: skip
            cost = a_request + a_leg * found.legs / found.requests
            hours = {
                workers: simulate(found.requests, rate, workers, cost, latency)
                for workers in (1, 2, 4, 16)
            }
            shown = ", ".join(f"{number}: {value:,.1f}" for number, value in hours.items())
            print(
                f"{rate:4g} requests/s: {found.requests:,} requests, "
                f"{found.answer_bytes / 1e12:.2f} TB of answers, {found.file_bytes / 1e9:,.0f} GB "
                f"of files; hours by workers: {shown}; planned {found.hours:,.1f} with "
                f"{found.workers}"
            )
            near &= abs(hours[16] / found.hours - 1) < 0.5
    return near


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.3)
    sys.exit(not asyncio.run(main(parser.parse_args().latency)))
