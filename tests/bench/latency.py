"""How well the requests overlap, beside the loops that one would write by hand, and aiostream.

60 windows whose latencies are log-normal (median 50 ms, sigma 1), six at a time, from the first
item asked for, on a warmed client with a free consumer. The bound is that of list scheduling:
each window begins as soon as one of six places is free, and costs its latency and no more.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import heapq
import random
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from datetime import date
from statistics import median
from typing import TypeAlias

import httpx
from _bare import KEY, TENANT, USERNAME, Bare
from _canned import START, serving, windows_of
from _contracts import KNOWN
from aiostream import stream

from boxis_async import CDR, BoxisClient
from boxis_async.testing import generate_calls

WINDOWS, RECORDS, CONCURRENCY = 60, 50, 6
LENGTH, BODIES = windows_of(
    # The last ones are those by which the connections are opened beforehand.
    generate_calls(date(2025, 1, 1), date(2025, 2, 1), calls_per_day=120)[
        : (WINDOWS + CONCURRENCY) * RECORDS
    ],
    WINDOWS + CONCURRENCY,
)

Way: TypeAlias = Callable[[Bare, BoxisClient], AsyncIterator[CDR]]


async def one_at_a_time(bare: Bare, _: BoxisClient) -> AsyncIterator[CDR]:
    for number in range(WINDOWS):
        for cdr in await bare.fetch(number):
            yield cdr


async def gather(bare: Bare, _: BoxisClient) -> AsyncIterator[CDR]:
    places = asyncio.Semaphore(CONCURRENCY)

    async def fetch(number: int) -> list[CDR]:
        async with places:
            return await bare.fetch(number)

    for cdrs in await asyncio.gather(*map(fetch, range(WINDOWS))):
        for cdr in cdrs:
            yield cdr


async def barriers(bare: Bare, _: BoxisClient) -> AsyncIterator[CDR]:
    for begin in range(0, WINDOWS, CONCURRENCY):
        numbers = range(begin, min(begin + CONCURRENCY, WINDOWS))
        for cdrs in await asyncio.gather(*map(bare.fetch, numbers)):
            for cdr in cdrs:
                yield cdr


async def aiostream_map(bare: Bare, _: BoxisClient, *, ordered: bool) -> AsyncIterator[CDR]:
    fetched = stream.map(stream.range(WINDOWS), bare.fetch, ordered=ordered, task_limit=CONCURRENCY)
    async with fetched.stream() as batches:
        async for cdrs in batches:
            for cdr in cdrs:
                yield cdr


def aiostream_in_order(bare: Bare, client: BoxisClient) -> AsyncIterator[CDR]:
    return aiostream_map(bare, client, ordered=True)


def aiostream_as_completed(bare: Bare, client: BoxisClient) -> AsyncIterator[CDR]:
    return aiostream_map(bare, client, ordered=False)


def ours_in_time(_: Bare, client: BoxisClient) -> AsyncIterator[CDR]:
    return client.cdrs(START, START + WINDOWS * LENGTH, window=LENGTH, unique_by="leg")


def ours_as_completed(_: Bare, client: BoxisClient) -> AsyncIterator[CDR]:
    return client.cdrs(
        START, START + WINDOWS * LENGTH, window=LENGTH, unique_by="leg", order="completion"
    )


WAYS: dict[str, Way] = {
    "boxis_async, order of time": ours_in_time,
    "boxis_async, as completed": ours_as_completed,
    "gather under a semaphore": gather,
    "batches of six, barriers": barriers,
    "aiostream, in order": aiostream_in_order,
    "aiostream, as completed": aiostream_as_completed,
    "one request at a time": one_at_a_time,
}


def bound(latencies: list[float]) -> float:
    """Give the time that list scheduling takes for these latencies."""
    free = [0.0] * CONCURRENCY
    for latency in latencies:
        heapq.heappush(free, heapq.heappop(free) + latency)
    return max(free)


async def run(way: Way, url: str) -> tuple[float, float]:
    """Take all records, dropping them, and give the seconds to the first and to the last."""
    async with (
        httpx.AsyncClient() as http,
        BoxisClient(
            USERNAME, KEY, tenant=TENANT, base_url=url, concurrency=CONCURRENCY, contract=KNOWN
        ) as client,
    ):
        bare = Bare(http, url, LENGTH)
        # Warm: the connections that either will use are open.
        warm = START + WINDOWS * LENGTH
        for number in range(WINDOWS, WINDOWS + CONCURRENCY):
            await bare.fetch(number)
        warmed = client.cdrs(warm, warm + CONCURRENCY * LENGTH, window=LENGTH, unique_by="leg")
        await warmed.to_list()
        gc.collect()
        count, first = 0, 0.0
        records = way(bare, client)
        began = time.perf_counter()
        async for _ in records:
            count += 1
            first = first or time.perf_counter() - began
        total = time.perf_counter() - began
    assert count == WINDOWS * RECORDS, f"{count} records"
    return first, total


async def memory(way: Way, url: str) -> int:
    """Give the peak of traced memory, in bytes, from the first item on."""
    async with (
        httpx.AsyncClient() as http,
        BoxisClient(
            USERNAME, KEY, tenant=TENANT, base_url=url, concurrency=CONCURRENCY, contract=KNOWN
        ) as client,
    ):
        gc.collect()
        tracemalloc.start()
        async for _ in way(Bare(http, url, LENGTH), client):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def main(rounds: int) -> bool:
    """Run all ways in turn, with new latencies each round, and print the medians."""
    found: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in WAYS}
    peaks: dict[str, int] = {}
    for seed in range(rounds):
        rng = random.Random(seed)
        latencies = [rng.lognormvariate(0, 1) * 0.05 for _ in range(WINDOWS)]
        waits = [*latencies, *[0.0] * CONCURRENCY]
        served = {
            f"{START + number * LENGTH}": (latency, body)
            for number, (latency, body) in enumerate(zip(waits, BODIES, strict=True))
        }
        with serving(served) as url:
            least = bound(latencies)
            for name, way in WAYS.items():
                first, total = asyncio.run(run(way, url))
                found[name].append((first, total, first / latencies[0], total / least))
            if not peaks:
                peaks = {name: asyncio.run(memory(way, url)) for name, way in WAYS.items()}
    base = [total for _, total, _, _ in found["gather under a semaphore"]]
    print(
        f"Python {sys.version.split()[0]}: {WINDOWS} windows of {RECORDS} records, {rounds} rounds"
    )
    print(f"{'':28} {'of gather':>9} {'of bound':>9} {'first, of its window':>21} {'peak KiB':>9}")
    ratios: dict[str, tuple[float, float]] = {}
    for name, times in found.items():
        of_gather = median(one[1] / whole for one, whole in zip(times, base, strict=True))
        of_bound = median(one[3] for one in times)
        first = median(one[2] for one in times)
        ratios[name] = of_gather, first
        peak = peaks[name] / 1024
        print(f"{name:28} {of_gather:9.2f} {of_bound:9.2f} {first:21.2f} {peak:9,.0f}")
    in_time, completed = (ratios[name] for name in list(WAYS)[:2])
    return in_time[0] <= 1.15 and completed[0] <= 1.05 and in_time[1] <= 1.3


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="each with latencies of its own")
    sys.exit(not main(parser.parse_args().rounds))
