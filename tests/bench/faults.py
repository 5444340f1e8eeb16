"""A year of calls while 30 % of the requests fail: is any record lost, or handed over twice?

In process, without waits, in both orders; each request fails by chance in one of the ways that
may pass. A window that fails six times in a row ends the stream: it is resumed from its
coverage, as a user would. Prints a line a run, and exits with 1 when anything is lost or repeated.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import time
from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, Literal

import attrs

from boxis_async import BoxisClient, Coverage, RetryPolicy, WindowError
from boxis_async.testing import Fault, Provider, generate_calls

if TYPE_CHECKING:
    from boxis_async.testing import Received

    Order = Literal["time", "completion"]

START, END = date(2025, 1, 1), date(2026, 1, 1)
ORDERS: tuple[Order, ...] = ("time", "completion")
SHARE = 0.3
FAULTS = (
    *(Fault.status(status) for status in (500, 502, 503, 504)),
    Fault.status(429, retry_after=0),
    Fault.html(),
    Fault.empty(),
    Fault.cut(),
    Fault.disconnect(),
    Fault.garbage(),
    Fault.out_of_memory(),
    Fault.hang(),
)
TIMEOUT = 1.0
AT_ONCE = RetryPolicy(wait_initial=0, wait_max=0, wait_jitter=0)


@attrs.frozen
class Outcome:
    """What one run came to."""

    records: int
    lost: int
    repeated: int
    requests: int
    failed: int
    splits: int
    resumed: int
    seconds: float


async def main(seeds: int, calls_per_day: float) -> bool:
    """Run every seed in both orders, and tell whether all were right."""
    rows = generate_calls(START, END, calls_per_day=calls_per_day)
    print(f"{len(rows):,} records, {START} to {END}; {SHARE:.0%} of requests fail\n")
    print("seed  order       records  lost  repeated  requests  failed  splits  resumed  seconds")
    outcomes: list[Outcome] = []
    for seed in range(seeds):
        for order in ORDERS:
            outcome = await run(Provider(rows), order, random.Random(seed))
            outcomes.append(outcome)
            print(
                f"{seed:4}  {order:10}  {outcome.records:7,}  {outcome.lost:4}  "
                f"{outcome.repeated:8}  {outcome.requests:8,}  {outcome.failed:6,}  "
                f"{outcome.splits:6}  {outcome.resumed:7}  {outcome.seconds:7.1f}",
                flush=True,
            )
    lost, repeated = sum(o.lost for o in outcomes), sum(o.repeated for o in outcomes)
    print(
        f"\n{len(outcomes)} runs: {lost} records lost, {repeated} repeated, "
        f"{sum(o.requests for o in outcomes):,} requests of which "
        f"{sum(o.failed for o in outcomes):,} failed; {sum(o.splits for o in outcomes)} splits, "
        f"{sum(o.resumed for o in outcomes)} resumed; "
        f"longest {max(o.seconds for o in outcomes):.1f} s"
    )
    return lost == repeated == 0


async def run(provider: Provider, order: Order, rng: random.Random) -> Outcome:
    """Fetch the year once, going on after each error, and compare it with the server's rows."""
    failed = 0

    def faults(_: Received) -> Fault | None:
        nonlocal failed
        if rng.random() >= SHARE:
            return None
        failed += 1
        return rng.choice(FAULTS)

    provider.faults = faults
    found: Counter[tuple[str, str]] = Counter()
    resume: Coverage | None = None
    resumed = splits = 0
    began = time.perf_counter()
    async with (
        provider.client() as http_client,
        BoxisClient(
            provider.username,
            provider.api_key,
            tenant=provider.tenant,
            http_client=http_client,
            retry=AT_ONCE,
            timeout=TIMEOUT,
        ) as client,
    ):
        while True:
            stream = client.cdrs(START, END, order=order, unique_by="leg", resume=resume)
            try:
                async for batch in stream.batches():
                    found.update((cdr.uniqueid, f"{cdr.sequence}") for cdr in batch.cdrs)
                break
            except WindowError:
                resume = stream.coverage
                resumed += 1
            finally:
                splits += stream.stats.splits
    seconds = time.perf_counter() - began
    expected = Counter(
        (str(row["uniqueid"]), str(row["sequence"]))
        for row in provider.select(f"{START} 00:00:00", f"{END} 00:00:00")
    )
    return Outcome(
        records=found.total(),
        lost=(expected - found).total(),
        repeated=(found - expected).total(),
        requests=len(provider.requests),
        failed=failed,
        splits=splits,
        resumed=resumed,
        seconds=seconds,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int, nargs="?", default=20)
    parser.add_argument("--calls-per-day", type=float, default=167)
    arguments = parser.parse_args()
    logging.getLogger("boxis_async").setLevel(logging.ERROR)
    sys.exit(not asyncio.run(main(arguments.seeds, arguments.calls_per_day)))
