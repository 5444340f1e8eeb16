"""A year of calls through a real server: does the stream equal the server's own rows?

Prints a line for each filter mode, order and window length, and the peak of requests in
flight as the server saw it for three concurrencies. Exits with 1 when anything differs.
"""

import argparse
import asyncio
import sys
import time
from datetime import date, timedelta
from typing import get_args

from boxis_async import BoxisClient
from boxis_async.testing import FilterMode, LoopbackServer, Provider, Row, generate_calls

START, END = date(2026, 1, 1), date(2027, 1, 1)
WINDOWS = {
    "1 hour": timedelta(hours=1),
    "1 day": timedelta(days=1),
    "31 days": timedelta(days=31),
}


async def main(calls_per_day: int) -> bool:
    """Run every combination, and tell whether all were right."""
    rows = generate_calls(START, END, calls_per_day=calls_per_day)
    calls = len({row["linkedid"] for row in rows})
    print(f"{calls:,} calls in {len(rows):,} records, {START} to {END}\n")
    is_right = True
    with LoopbackServer() as server:
        print("filter            order       window   records  equal  seconds")
        for mode in get_args(FilterMode):
            provider = Provider(rows, filter_mode=mode)
            url = server.mount(provider)
            for order in ("time", "completion"):
                for name, window in WINDOWS.items():
                    is_right &= await compare(url, provider, order, name, window)
            server.unmount(provider)
        print("\nconcurrency  peak in flight")
        for concurrency in (1, 8, 32):
            is_right &= await peak(server, rows, concurrency)
    return is_right


async def compare(url: str, provider: Provider, order: str, name: str, window: timedelta) -> bool:
    """Fetch the year once, and compare the list with what one request would have held."""
    began = time.perf_counter()
    async with client(url) as boxis:
        cdrs = await boxis.cdrs(
            START,
            END,
            window=window,
            order=order,  # type: ignore[arg-type]
            unique_by="leg",
        ).to_list()
    seconds = time.perf_counter() - began
    expected = provider.select(f"{START} 00:00:00", f"{END} 00:00:00")
    got = [(cdr.uniqueid, str(cdr.sequence), f"{cdr.start:%F %T}", cdr.dst) for cdr in cdrs]
    wanted = [(row["uniqueid"], row["sequence"], row["start"], row["dst"]) for row in expected]
    is_equal = sorted(got) == sorted(wanted)
    if order == "time" and provider.filter_mode.startswith("start"):
        # Filtered by their end, calls lie in the window that they ended in.
        starts = [key[2] for key in got]
        is_equal &= starts == sorted(starts)
    print(
        f"{provider.filter_mode:16}  {order:10}  {name:7}  {len(cdrs):7,}  "
        f"{'yes' if is_equal else 'NO':5}  {seconds:7.1f}",
        flush=True,
    )
    return is_equal


async def peak(server: LoopbackServer, rows: list[Row], concurrency: int) -> bool:
    """Fetch a month in short windows over two streams, and ask the server for the peak."""
    provider = Provider(rows, latency=0.02)
    async with client(server.mount(provider), concurrency=concurrency) as boxis:
        ends = date(2026, 3, 1), date(2026, 3, 15), date(2026, 3, 29)
        streams = [
            boxis.cdrs(*ends[at : at + 2], window=timedelta(hours=1), unique_by="leg")
            for at in (0, 1)
        ]
        await asyncio.gather(*(stream.to_list() for stream in streams))
    print(f"{concurrency:11}  {provider.peak_in_flight:14}", flush=True)
    server.unmount(provider)
    return provider.peak_in_flight <= concurrency


def client(url: str, concurrency: int = 8) -> BoxisClient:
    """Make a client of the stand-in."""
    return BoxisClient(
        "ops@example.com",
        "stand-in-key",
        tenant="VOICE-29001-1",
        base_url=url,
        concurrency=concurrency,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls-per-day", type=int, default=274)
    sys.exit(not asyncio.run(main(parser.parse_args().calls_per_day)))
