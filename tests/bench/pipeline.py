"""What the stream costs by itself: beside bare requests whose bodies are parsed into one list.

200 windows of 500 records from a loopback server without latency. The floor sends the same
requests with httpx, with the same concurrency, and parses the bodies with the same code; once
more with a fingerprint of each record, which whoever tells copies from others cannot do without.
Then what a record costs that is handed to `async for`, beside a list in an async generator.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from datetime import date, timedelta
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
DAY_FROM, DAY_TO = date(2025, 1, 1), date(2025, 3, 1)


async def floor(url: str, length: timedelta, *, has_fingerprints: bool = False) -> list[CDR]:
    """Send the requests with httpx, and parse each body into one list."""
    places = asyncio.Semaphore(CONCURRENCY)
    found: list[CDR] = []

    async def fetch(bare: Bare, number: int) -> None:
        async with places:
            found.extend(await bare.fetch(number))

    async with httpx.AsyncClient() as http:
        bare = Bare(http, url, length, has_fingerprints=has_fingerprints)
        await asyncio.gather(*(fetch(bare, number) for number in range(WINDOWS)))
    return found


async def ours(url: str, length: timedelta) -> list[CDR]:
    """Stream the same windows."""
    async with BoxisClient(
        USERNAME, KEY, tenant=TENANT, base_url=url, concurrency=CONCURRENCY
    ) as client:
        calls = client.cdrs(START, START + WINDOWS * length, window=length, unique_by="leg")
        return [cdr async for cdr in calls]


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


def timed(run: Callable[[], Coroutine[object, object, list[CDR]]]) -> tuple[float, list[CDR]]:
    gc.collect()
    began = time.perf_counter()
    found = asyncio.run(run())
    return time.perf_counter() - began, found


def main() -> bool:
    """Run both in turn, and print the medians."""
    made = generate_calls(DAY_FROM, DAY_TO, calls_per_day=1100)
    made = made[: WINDOWS * RECORDS]
    length, bodies = windows_of(made, WINDOWS)
    served = {f"{START + number * length}": (0.0, body) for number, body in enumerate(bodies)}
    ratios: list[float] = []
    beside_fingerprints: list[float] = []
    floors: list[float] = []
    with serving(served) as url:
        for _ in range(ROUNDS):
            bare, expected = timed(lambda: floor(url, length))
            full, found = timed(lambda: ours(url, length))
            known, _ = timed(lambda: floor(url, length, has_fingerprints=True))
            assert sorted(cdr.leg for cdr in found) == sorted(cdr.leg for cdr in expected)
            ratios.append(bare / full)
            beside_fingerprints.append(known / full)
            floors.append(len(expected) / bare)
    print(f"Python {sys.version.split()[0]}: {len(made):,} records in {WINDOWS} windows")
    print(
        f"floor: {median(floors):,.0f} records/s; ours: {median(ratios):.2f} of it (aim: 0.90), "
        f"{median(beside_fingerprints):.2f} of it with fingerprints"
    )
    bare, full = asyncio.run(handing_over(made[:20_000]))
    more = (full - bare) * 1e6
    print(
        f"handing over: {full * 1e6:.2f} us a record, a list in an async generator "
        f"{bare * 1e6:.2f} us: {more:.2f} us more (aim: below 0.50)"
    )
    return median(ratios) >= 0.9 and more < 0.5


if __name__ == "__main__":
    sys.exit(not main())
