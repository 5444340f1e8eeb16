"""How long other tasks wait while a million records stream, in windows that size themselves.

A task sleeps for a millisecond, again and again, and notes how much later than that it wakes: that
is what a request to a web backend that shares the loop would feel. Beside it the same for a loop
that has nothing else to do; and how many requests it took, beside windows of one length.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from statistics import median

from _contracts import RULE
from _steady import START, end_of, serving

from boxis_async import BoxisClient

CALLS, DAYS, CALM = 1_000_000, 365, 5.0
SLEEP = 0.001


async def watch(lags: list[float]) -> None:
    """Note how late a sleep of a millisecond ends, for ever."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(SLEEP)
        lags.append(time.perf_counter() - began - SLEEP)


async def measured(url: str) -> tuple[list[float], list[float], list[int], float]:
    """Give the lags of a calm loop and of a busy one, the sizes of the answers, and the seconds."""
    calm: list[float] = []
    busy: list[float] = []
    sizes: list[int] = []
    watcher = asyncio.create_task(watch(calm))
    await asyncio.sleep(CALM)
    watcher.cancel()
    async with BoxisClient("a@b.ch", "key", tenant="T", base_url=url, contract=RULE) as client:
        calls = client.cdrs(START, end_of(DAYS), unique_by="leg")
        watcher = asyncio.create_task(watch(busy))
        began = time.perf_counter()
        sizes += [len(batch.cdrs) async for batch in calls.batches()]
        seconds = time.perf_counter() - began
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher
    assert sum(sizes) == CALLS, f"{sum(sizes)} records"
    # To prove that no answer was cut off may take two requests in a hundred more.
    proofs = calls.stats.requests - len(sizes)
    assert proofs <= len(sizes) / 50, f"{proofs} requests for proofs"
    print(f"{proofs} requests to prove that no answer was cut off")
    return calm, busy, sizes, seconds


def main() -> bool:
    """Print the lags and the requests."""
    with serving(CALLS, DAYS) as url:
        calm, busy, sizes, seconds = asyncio.run(measured(url))
    print(f"Python {sys.version.split()[0]}: {CALLS:,} records, {CALLS / seconds:,.0f} a second")
    print("lag of a task that sleeps 1 ms     median      p99      max, in ms")
    for name, lags in (("nothing else to do", calm), ("while they stream", busy)):
        lags.sort()
        p99 = lags[int(0.99 * len(lags))]
        shown = [f"{1000 * lag:8.2f}" for lag in (median(lags), p99, lags[-1])]
        print(f"{name:30} {' '.join(shown)}")
    ratio = len(sizes) / (CALLS / 1000)
    ordered = sorted(sizes)
    print(
        f"{len(sizes):,} requests, {ratio:.2f} of the best windows of one length (aim: 1.30); "
        f"records in an answer: median {median(sizes):,.0f}, p95 "
        f"{ordered[int(0.95 * len(sizes))]:,}, max {ordered[-1]:,}"
    )
    return busy[int(0.99 * len(busy))] < 0.010 and busy[-1] < 0.100 and ratio <= 1.3


if __name__ == "__main__":
    sys.exit(not main())
