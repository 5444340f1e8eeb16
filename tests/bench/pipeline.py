"""What the stream costs by itself: beside bare requests whose bodies are parsed into one list.

200 windows of 500 records from a loopback server without latency, by `to_list()` and by
`async for`. The floor sends the same requests with httpx, with the same concurrency, and parses
the bodies with the same code; once more with a fingerprint of each record, which whoever tells
copies from others cannot do without. Each way has a process of its own, that none finds the
memory as another left it, and they take turns. Then what a record costs that is handed to
`async for`, beside a list in an async generator.
"""

from __future__ import annotations

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
from _bare import KEY, TENANT, USERNAME, Bare
from _canned import START, serving, windows_of

from boxis_async import CDR, BoxisClient
from boxis_async.testing import Provider, generate_calls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from boxis_async.testing import Row

WINDOWS, RECORDS, CONCURRENCY, ROUNDS = 200, 500, 8, 9
LENGTH = timedelta(hours=1)
DAY_FROM, DAY_TO = date(2025, 1, 1), date(2025, 3, 1)


async def floor(url: str, *, has_fingerprints: bool = False) -> list[CDR]:
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
        USERNAME, KEY, tenant=TENANT, base_url=url, concurrency=CONCURRENCY
    ) as client:
        calls = client.cdrs(START, START + WINDOWS * LENGTH, window=LENGTH, unique_by="leg")
        return [cdr async for cdr in calls] if by_record else await calls.to_list()


async def handing_over(made: list[Row]) -> tuple[float, float]:
    """Time, in seconds a record, a list in an async generator, and a stream's window in hand."""

    async def generator(cdrs: list[CDR]) -> AsyncIterator[CDR]:
        for cdr in cdrs:
            yield cdr

    times: list[tuple[float, float]] = []
    provider = Provider(made)
    async with (
        provider.client() as http,
        BoxisClient(provider.username, KEY, tenant=provider.tenant, http_client=http) as client,
    ):
        for _ in range(ROUNDS):
            stream = client.cdrs(DAY_FROM, DAY_TO, window=DAY_TO - DAY_FROM, unique_by="leg")
            cdrs = [await anext(stream)]
            # The rest of the one window is in hand. Kept, so that freeing them is not timed.
            began = time.perf_counter()
            async for cdr in stream:
                cdrs.append(cdr)  # noqa: PERF401 - the loop is what is timed
            between = time.perf_counter()
            again: list[CDR] = []
            async for cdr in generator(cdrs):
                again.append(cdr)  # noqa: PERF401 - likewise
            times.append((time.perf_counter() - between, between - began))
    bare, full = (median(column) / len(made) for column in zip(*times, strict=True))
    return bare, full


WAYS: dict[str, Callable[[str], Coroutine[object, object, list[CDR]]]] = {
    "floor": floor,
    "floor with fingerprints": lambda url: floor(url, has_fingerprints=True),
    "to_list()": ours,
    "async for": lambda url: ours(url, by_record=True),
}


def work(way: str, url: str) -> None:
    """Go a way once for each line that comes, and tell how long it took, and what it found."""
    for _ in sys.stdin:
        gc.collect()
        began = time.perf_counter()
        found = asyncio.run(WAYS[way](url))
        seconds = time.perf_counter() - began
        legs = sorted(str(cdr.leg) for cdr in found)
        print(seconds, sha256(repr(legs).encode()).hexdigest(), flush=True)
        del found, legs


def take_turns(url: str) -> dict[str, list[float]]:
    """Go all ways in turn, each in its own process, and give their seconds in each round."""
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    with contextlib.ExitStack() as stack:
        workers = {
            way: stack.enter_context(
                subprocess.Popen(
                    [sys.executable, __file__, way, url],
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
    return seconds


def beside(seconds: dict[str, list[float]], way: str, floor: str = "floor") -> float:
    """Compare the records a second of a way and of a floor, round by round."""
    return median(bare / full for bare, full in zip(seconds[floor], seconds[way], strict=True))


def main() -> bool:
    """Run both in turn, and print the medians."""
    made = generate_calls(DAY_FROM, DAY_TO, calls_per_day=1100)
    made = made[: WINDOWS * RECORDS]
    length, bodies = windows_of(made, WINDOWS)
    assert length == LENGTH
    with serving({f"{START + at * LENGTH}": (0.0, body) for at, body in enumerate(bodies)}) as url:
        seconds = take_turns(url)
    print(f"Python {sys.version.split()[0]}: {len(made):,} records in {WINDOWS} windows")
    print(f"floor: {len(made) / median(seconds['floor']):,.0f} records/s")
    ratio = beside(seconds, "to_list()")
    print(f"ours, by to_list(): {ratio:.2f} of it (aim: 0.90)")
    print(f"ours, by async for: {beside(seconds, 'async for'):.2f} of it")
    for way in ("to_list()", "async for"):
        known = beside(seconds, way, "floor with fingerprints")
        print(f"ours, by {way}: {known:.2f} of the floor with fingerprints")
    bare, full = asyncio.run(handing_over(made[:20_000]))
    more = (full - bare) * 1e6
    print(
        f"handing over: {full * 1e6:.2f} us a record, a list in an async generator "
        f"{bare * 1e6:.2f} us: {more:.2f} us more (aim: below 0.50)"
    )
    return ratio >= 0.9 and more < 0.5


if __name__ == "__main__":
    if sys.argv[1:]:
        work(*sys.argv[1:])
    else:
        sys.exit(not main())
