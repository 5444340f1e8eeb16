"""What the stream costs by itself: beside bare requests whose bodies are parsed into one list.

200 windows of 500 records from a loopback server without latency, by `to_list()` and by
`async for`. The floor sends the same requests with httpx, with the same concurrency, and parses
the bodies with the same code, which makes the fingerprints by which copies are known from others;
and, to show what those cost, without them. Then once more with orjson (extra `fast`).

Each way has a process of its own, that none finds the memory as another left it, and they take
turns. By where its memory happens to lie, a process can be some hundredths slower than another for
as long as it lives, so each way has several in turn; of each the fastest round counts, which
nothing else on the machine has disturbed.

Then what a record costs that is handed to `async for`, beside a list in an async generator.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import subprocess
import sys
import time
from datetime import date, timedelta
from hashlib import sha256
from statistics import median
from typing import TYPE_CHECKING

import httpx
from _bare import KEY, TENANT, USERNAME, Bare, without_orjson
from _canned import START, serving, windows_of
from _contracts import KNOWN

from boxis_async import CDR, BoxisClient
from boxis_async.testing import Provider, generate_calls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from boxis_async.testing import Row

WINDOWS, RECORDS, CONCURRENCY = 200, 500, 8
ROUNDS = 2
LENGTH = timedelta(hours=1)
DAY_FROM, DAY_TO = date(2025, 1, 1), date(2025, 3, 1)


async def floor(url: str, *, has_fingerprints: bool = True) -> list[CDR]:
    """Send the requests with httpx, and parse each body into one list."""
    places = asyncio.Semaphore(CONCURRENCY)
    found: list[CDR] = []

    async def fetch(bare: Bare, number: int) -> None:
        async with places:
            found.extend(await bare.fetch(number))

    async with httpx.AsyncClient() as http:
        bare = Bare(http, url, LENGTH, has_fingerprints=has_fingerprints)
        await asyncio.gather(*(fetch(bare, number) for number in range(WINDOWS)))
    return found


async def ours(url: str, *, by_record: bool = False) -> list[CDR]:
    """Stream the same windows into one list, by the library, or record by record."""
    async with BoxisClient(
        USERNAME, KEY, tenant=TENANT, base_url=url, concurrency=CONCURRENCY, contract=KNOWN
    ) as client:
        calls = client.cdrs(START, START + WINDOWS * LENGTH, window=LENGTH, unique_by="leg")
        return [cdr async for cdr in calls] if by_record else await calls.to_list()


async def handing_over(made: list[Row], rounds: int) -> tuple[float, float]:
    """Time, in seconds a record, a list in an async generator, and a stream's window in hand."""

    async def generator(cdrs: list[CDR]) -> AsyncIterator[CDR]:
        for cdr in cdrs:
            yield cdr

    times: list[tuple[float, float]] = []
    provider = Provider(made)
    async with (
        provider.client() as http,
        BoxisClient(
            provider.username, KEY, tenant=provider.tenant, http_client=http, contract=KNOWN
        ) as client,
    ):
        for _ in range(rounds):
            stream = client.cdrs(DAY_FROM, DAY_TO, window=DAY_TO - DAY_FROM, unique_by="leg")
            cdrs = [await anext(stream)]
            # The rest of the one window is in hand. All are kept, and freed when no time is taken.
            again: list[CDR] = []
            gc.collect()
            began = time.perf_counter()
            async for cdr in stream:
                cdrs.append(cdr)  # noqa: PERF401 - the loop is what is timed
            between = time.perf_counter()
            async for cdr in generator(cdrs):
                again.append(cdr)  # noqa: PERF401 - likewise
            times.append((time.perf_counter() - between, between - began))
    bare, full = (median(column) / len(made) for column in zip(*times, strict=True))
    return bare, full


WAYS: dict[str, Callable[[str], Coroutine[object, object, list[CDR]]]] = {
    "floor": floor,
    "floor, no fingerprints": lambda url: floor(url, has_fingerprints=False),
    "to_list()": ours,
    "async for": lambda url: ours(url, by_record=True),
    "floor, orjson": floor,
    "to_list(), orjson": ours,
}


def work(way: str, url: str) -> None:
    """Go a way once for each line that comes, and print how long it took, and what it found."""
    for _ in sys.stdin:
        with contextlib.nullcontext() if "orjson" in way else without_orjson():
            gc.collect()
            began = time.perf_counter()
            found = asyncio.run(WAYS[way](url))
            seconds = time.perf_counter() - began
        legs = sorted(str(cdr.leg) for cdr in found)
        print(seconds, sha256(repr(legs).encode()).hexdigest(), flush=True)
        del found, legs


def take_turns(url: str) -> dict[str, float]:
    """Go all ways in turn, each in its own process, and give the seconds of the fastest round."""
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    with contextlib.ExitStack() as stack:
        workers = {
            way: stack.enter_context(
                subprocess.Popen(
                    [sys.executable, __file__, "--work", way, url],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    bufsize=1,
                )
            )
            for way in WAYS
        }
        # The first round is not counted: processors and servers are cold.
        for counts in [False] + [True] * ROUNDS:
            digests: set[str] = set()
            for way, worker in workers.items():
                assert worker.stdin is not None
                assert worker.stdout is not None
                worker.stdin.write("\n")
                took, digest = worker.stdout.readline().split()
                digests.add(digest)
                seconds[way] += [float(took)] * counts
            assert len(digests) == 1
        for worker in workers.values():
            assert worker.stdin is not None
            worker.stdin.close()
    return {way: min(rounds) for way, rounds in seconds.items()}


def beside(seconds: dict[str, list[float]], way: str, floor: str = "floor") -> float:
    """Compare the records a second of a way and of a floor, turn by turn."""
    return median(bare / full for bare, full in zip(seconds[floor], seconds[way], strict=True))


def main(processes: int) -> bool:
    """Run all in turn, and print the medians."""
    made = generate_calls(DAY_FROM, DAY_TO, calls_per_day=1100)
    made = made[: WINDOWS * RECORDS]
    length, bodies = windows_of(made, WINDOWS)
    assert length == LENGTH
    with serving({f"{START + at * LENGTH}": (0.0, body) for at, body in enumerate(bodies)}) as url:
        turns = [take_turns(url) for _ in range(processes)]
    seconds = {way: [turn[way] for turn in turns] for way in WAYS}
    print(f"Python {sys.version.split()[0]}: {len(made):,} records in {WINDOWS} windows")
    for way in WAYS:
        print(f"{way:22}: {len(made) / median(seconds[way]):8,.0f} records/s")
    ratio = beside(seconds, "to_list()")
    print(f"ours, by to_list(): {ratio:.2f} of its floor (aim: 0.90)")
    print(f"ours, by async for: {beside(seconds, 'async for'):.2f} of its floor")
    bare = beside(seconds, "to_list()", "floor, no fingerprints")
    print(f"ours, by to_list(): {bare:.2f} of the floor without fingerprints")
    faster = beside(seconds, "to_list(), orjson", "floor, orjson")
    print(f"ours, by to_list(), with orjson: {faster:.2f} of its floor")
    bare, full = asyncio.run(handing_over(made[:20_000], processes * ROUNDS))
    more = (full - bare) * 1e6
    print(
        f"handing over: {full * 1e6:.2f} us a record, a list in an async generator "
        f"{bare * 1e6:.2f} us: {more:.2f} us more (aim: below 0.50)"
    )
    return ratio >= 0.9 and more < 0.5


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=9, help="of each way; a minute each")
    parser.add_argument("--work", nargs=2, metavar=("WAY", "URL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(*arguments.work)
    else:
        sys.exit(not main(arguments.processes))
