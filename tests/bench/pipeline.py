"""What the stream costs by itself: beside bare requests whose bodies are parsed into one list.

200 windows of 500 records from a loopback server without latency, by `to_list()` and by
`async for`. The floor sends the same requests with httpx, with the same concurrency, and parses
the bodies with the same code; once more with a fingerprint of each record, which whoever tells
copies from others cannot do without. Then what a record costs that is handed to `async for`,
beside a list in an async generator.
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


async def ours(url: str, length: timedelta, *, by_record: bool = False) -> list[CDR]:
    """Stream the same windows into one list, by the library, or record by record."""
    async with BoxisClient(
        USERNAME, KEY, tenant=TENANT, base_url=url, concurrency=CONCURRENCY
    ) as client:
        calls = client.cdrs(START, START + WINDOWS * length, window=length, unique_by="leg")
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


def legs(found: list[CDR]) -> list[str]:
    return sorted(str(cdr.leg) for cdr in found)


def beside(seconds: dict[str, list[float]], way: str, floor: str = "floor") -> float:
    """Compare the records a second of a way and of a floor, round by round."""
    return median(bare / full for bare, full in zip(seconds[floor], seconds[way], strict=True))


def main() -> bool:
    """Run both in turn, and print the medians."""
    made = generate_calls(DAY_FROM, DAY_TO, calls_per_day=1100)
    made = made[: WINDOWS * RECORDS]
    length, bodies = windows_of(made, WINDOWS)
    served = {f"{START + number * length}": (0.0, body) for number, body in enumerate(bodies)}
    ways: dict[str, Callable[[str], Coroutine[object, object, list[CDR]]]] = {
        "floor": lambda url: floor(url, length),
        "floor with fingerprints": lambda url: floor(url, length, has_fingerprints=True),
        "to_list()": lambda url: ours(url, length),
        "async for": lambda url: ours(url, length, by_record=True),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    with serving(served) as url:
        for _ in range(ROUNDS):
            expected: list[str] = []
            for way, run in ways.items():
                gc.collect()
                began = time.perf_counter()
                found = asyncio.run(run(url))
                seconds[way].append(time.perf_counter() - began)
                expected = expected or legs(found)
                assert legs(found) == expected
                del found
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
    sys.exit(not main())
