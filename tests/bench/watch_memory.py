"""A week of a watch in fast motion: does its memory grow?

Prints, for each day, how many objects there are beside the world that is watched, the peak of the
process, the legs that the watch remembers, and the size of its position. Exits with 1 if the later
days need more objects than the first three, by over a tenth. To count the blocks that Python has
allocated costs nothing; tracemalloc, which knows their sizes, would take four times as long.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import resource
import sys
import time
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
    """Watch so many days, and give how many blocks are allocated at the end of each."""
    found: list[int] = []
    gc.collect()
    before = sys.getallocatedblocks()

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
            found.append(sys.getallocatedblocks() - before)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            legs = len(watch._watcher._handled.tenants[watch.tenants[0]].seen)  # noqa: SLF001
            print(
                f"day {day}: {found[-1]:,} objects, peak {peak / 1024:.1f} MiB, {legs} legs, "
                f"{len(watch.position):,} bytes",
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
        print("by calls" if by_calls else "by legs", flush=True)
        world = World(START, arguments.days + 1, calls_per_day=arguments.calls, repairs=0)
        began = time.perf_counter()
        every = timedelta(seconds=arguments.every)
        found = run_fast(world.start, watch(world, arguments.days, every, by_calls=by_calls))
        print(f"{time.perf_counter() - began:.0f} s", flush=True)
        right = right and max(found[3:]) <= 1.1 * max(found[:3])
    return right


if __name__ == "__main__":
    sys.exit(not main())
