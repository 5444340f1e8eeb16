"""How cost grows with records and with windows, and how fairly a hundred streams share a client.

Cost is the processor time of this process; the server runs in another one. With `--plot FILE` it
draws what it found, as the docs show it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from datetime import timedelta
from pathlib import Path
from statistics import mean

from _contracts import RULE
from _plot import Panel, draw
from _steady import START, end_of, serving

from boxis_async import BoxisClient

RECORDS = (10_000, 30_000, 100_000, 300_000, 1_000_000)
PER_DAY = 2740
WINDOWS = (10, 100, 1000, 10_000)
OF_WINDOWS = 100_000
STREAMS, OF_EACH, LATENCY = 100, 20, 0.01


async def stream(url: str, days: int, window: timedelta | None) -> tuple[int, int, float]:
    """Take all records, dropping them, and give records, windows and seconds of processor time."""
    async with BoxisClient("a@b.ch", "key", tenant="T", base_url=url, contract=RULE) as client:
        calls = client.cdrs(START, end_of(days), window=window, unique_by="leg")
        gc.collect()
        began = time.process_time()
        async for _ in calls:
            pass
        return calls.stats.records, calls.stats.windows, time.process_time() - began


def by_records() -> list[tuple[int, float]]:
    """Measure with more and more records, in windows that size themselves."""
    found: list[tuple[int, float]] = []
    for records in RECORDS:
        days = max(1, records // PER_DAY)
        with serving(records, days) as url:
            count, windows, seconds = asyncio.run(stream(url, days, None))
        assert count == records, f"{count} records"
        print(
            f"{records:>10,} records {windows:>7,} windows {1e6 * seconds / records:8.1f} us each"
        )
        found.append((records, seconds))
    return found


def by_windows() -> list[tuple[int, float]]:
    """Measure the same records in more and more windows."""
    found: list[tuple[int, float]] = []
    days = 36
    with serving(OF_WINDOWS, days) as url:
        for windows in WINDOWS:
            seconds_each = -(-days * 86_400 // windows)
            count, done, seconds = asyncio.run(stream(url, days, timedelta(seconds=seconds_each)))
            assert count == OF_WINDOWS, f"{count} records"
            print(f"{count:>10,} records {done:>7,} windows {seconds:8.2f} s")
            found.append((done, seconds))
    return found


async def fairness(url: str, days: int) -> tuple[float, float]:
    """Run many streams at once, and give the mean and the longest time that one took."""
    took: list[float] = []
    async with BoxisClient("a@b.ch", "key", tenant="T", base_url=url, contract=RULE) as client:
        began = time.perf_counter()

        async def one() -> None:
            window = (end_of(days) - START) / OF_EACH
            async for _ in client.cdrs(START, end_of(days), window=window, unique_by="leg"):
                pass
            took.append(time.perf_counter() - began)

        async with asyncio.TaskGroup() as group:
            for _ in range(STREAMS):
                group.create_task(one())
    return mean(took), max(took)


def main(plot: Path | None) -> bool:
    """Measure, and return whether cost is linear and the sharing fair."""
    print(f"Python {sys.version.split()[0]}")
    records, windows = by_records(), by_windows()
    each = [seconds / count for count, seconds in records]
    growth = each[-1] / each[1]
    # Not from the fewest windows, as those of 10,000 records take longer by their size.
    base, least = windows[1]
    slopes = [(seconds - least) / (count - base) for count, seconds in windows[2:]]
    print(f"a record of {RECORDS[-1]:,} costs {growth:.2f} of one of {RECORDS[1]:,}")
    costs = ", ".join(f"{1000 * slope:.2f} ms" for slope in slopes)
    print(f"a window more costs {costs}, among {' and '.join(f'{n:,}' for n in WINDOWS[2:])}")
    with serving(OF_EACH * 10, OF_EACH, latency=LATENCY) as url:
        usual, longest = asyncio.run(fairness(url, OF_EACH))
    print(
        f"{STREAMS} streams at once: the slowest takes {longest / usual:.2f} of the mean (aim: 1.5)"
    )
    if plot is not None:
        draw(
            plot,
            Panel("records", "seconds", records),
            Panel(f"windows, of {OF_WINDOWS:,} records", "seconds", windows),
        )
    return growth < 1.25 and slopes[1] < 1.5 * slopes[0] and longest <= 1.5 * usual


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", type=Path, help="an SVG file to draw")
    sys.exit(not main(parser.parse_args().plot))
