"""A week of a watch in fast motion: does its memory grow?

Prints, for each day, what Python has allocated beside the world that is watched, the legs that the
watch remembers, and the size of its position. Exits with 1 if the last days need more than the
second one, by over a tenth.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import sys
import time
import tracemalloc
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "support"))

from typing import TYPE_CHECKING

from fast_forward import run_fast
from watched import HOUR, World

if TYPE_CHECKING:
    from boxis_async import CallWatch, Watch

START = date(2026, 10, 5)


async def watch(world: World, days: int, every: timedelta, *, by_calls: bool) -> list[int]:
    """Watch so many days, and give what was allocated at the end of each."""
    found: list[int] = []

    async def consume(changes: Watch | CallWatch) -> None:
        async for _ in changes:
            pass

    async with world.client() as client:
        watch = client.watch(every=every)
        changes = watch.calls() if by_calls else watch
        consumer = asyncio.create_task(consume(changes))
        for day in range(1, days + 1):
            await asyncio.sleep(24 * HOUR)
            world.provider.reset()
            gc.collect()
            found.append(tracemalloc.get_traced_memory()[0])
            legs = len(watch._watcher._handled.tenants[watch.tenants[0]].seen)  # noqa: SLF001
            print(
                f"day {day}: {found[-1] / 1e6:.2f} MB, {legs} legs, {len(watch.position):,} bytes",
                flush=True,
            )
        consumer.cancel()
        with suppress(asyncio.CancelledError):
            await consumer
        await changes.aclose()
    return found


def main() -> bool:
    """Run, and tell whether the memory is flat."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--calls", type=float, default=240)
    parser.add_argument("--every", type=float, default=30)
    arguments = parser.parse_args()
    logging.disable()
    right = True
    for by_calls in (False, True):
        print("by calls" if by_calls else "by legs")
        world = World(START, arguments.days + 1, calls_per_day=arguments.calls, repairs=0)
        tracemalloc.start()
        began = time.perf_counter()
        every = timedelta(seconds=arguments.every)
        found = run_fast(world.start, watch(world, arguments.days, every, by_calls=by_calls))
        print(f"{time.perf_counter() - began:.0f} s")
        tracemalloc.stop()
        right = right and max(found[-2:]) <= 1.1 * max(found[:3])
    return right


if __name__ == "__main__":
    sys.exit(not main())
