"""The demo: a stand-in provider on loopback, the real client, a quarter of made-up calls."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from importlib.util import find_spec
from typing import TYPE_CHECKING

from boxis_async import CDR, BoxisClient
from boxis_async.testing import LoopbackServer, Provider, generate_calls

if TYPE_CHECKING:
    from boxis_async import Stats

__all__ = ["CALLS_PER_DAY", "run"]

CALLS_PER_DAY = 150

# A quarter with the end of summer time in it.
_START, _END = date(2025, 10, 1), date(2026, 1, 1)
_USERNAME, _API_KEY, _TENANT = "demo@example.com", "demo-key", "VOICE-29001-1"
_SHOWN = 8


def run(*, calls_per_day: int = CALLS_PER_DAY) -> None:
    """Fetch the quarter and print the first calls, the totals and the stats.

    Raises:
        ImportError: The loopback server is not installed; the text names the extra.
    """
    _require_server()
    rows = generate_calls(_START, _END, calls_per_day=calls_per_day)
    provider = Provider(rows, username=_USERNAME, api_key=_API_KEY, tenant=_TENANT)
    with LoopbackServer(provider) as server:
        _say(f"A stand-in provider with {len(rows):,} made-up records listens on {server.url}")
        asyncio.run(_fetch(server.url))


async def _fetch(url: str) -> None:
    cdrs: list[CDR] = []
    began = time.perf_counter()
    async with BoxisClient(_USERNAME, _API_KEY, tenant=_TENANT, base_url=url) as client:
        calls = client.cdrs(_START, _END, unique_by="leg")
        windows = len(calls.plan())
        _say(f"Fetching {_START} to {_END} over real HTTP, about {windows} windows, 8 at a time")
        async for batch in calls.batches():
            cdrs += batch.cdrs
            _progress(calls.stats, windows)
    _end_progress()
    _show_first(cdrs)
    _show_totals(cdrs)
    _show_stats(calls.stats, time.perf_counter() - began)


def _require_server() -> None:
    if find_spec("uvicorn") is None:
        raise ImportError(
            'the loopback server is not installed: pip install "boxis-async[demo]", or from a '
            'checkout pip install ".[demo]"; docs/examples/first_calls.py runs without it'
        )


def _show_first(cdrs: list[CDR]) -> None:
    _say(f"\nThe first {min(_SHOWN, len(cdrs))} of {len(cdrs):,} records, in order of time:\n")
    _say(f"  {'start':19}  {'direction':9}  {'from':14}  {'to':14}  {'talk':>7}  disposition")
    for cdr in cdrs[:_SHOWN]:
        talk = timedelta(seconds=cdr.billsec or 0)
        _say(
            f"  {cdr.start:%Y-%m-%d %H:%M:%S}  {cdr.direction or '-':9}  {cdr.src:14.14}  "
            f"{cdr.dst:14.14}  {talk!s:>7}  {cdr.disposition or '-'}"
        )


def _show_totals(cdrs: list[CDR]) -> None:
    legs = Counter(cdr.direction for cdr in cdrs)
    talk = sum(cdr.billsec or 0 for cdr in cdrs)
    cost = sum((cdr.cc_cost for cdr in cdrs if cdr.cc_cost is not None), Decimal(0))
    ways = ", ".join(f"{number:,} {way or 'unmarked'}" for way, number in legs.most_common())
    answered, missed = sum(cdr.answered for cdr in cdrs), sum(cdr.missed for cdr in cdrs)
    _say("\nTotals")
    _say(f"  calls      {len({cdr.linkedid for cdr in cdrs}):,} in {len(cdrs):,} legs ({ways})")
    _say(f"  answered   {answered:,} legs; {missed:,} inbound legs missed")
    _say(f"  talk time  {talk // 3600:,} h {talk % 3600 // 60:02} min")
    _say(f"  cost       {cost:,.2f}")


def _show_stats(stats: Stats, seconds: float) -> None:
    _say("\nStats")
    _say(
        f"  {stats.records:,} records in {stats.windows} windows, {stats.covered:.0%} of the range"
    )
    _say(f"  {stats.requests} requests, {stats.retries} sent again")
    _say(
        f"  {stats.duplicates} duplicates at shared boundaries, {stats.conflicts} conflicts, "
        f"{stats.revisions} revisions"
    )
    _say(f"  {seconds:.1f} s, {stats.records / seconds:,.0f} records a second")


def _progress(stats: Stats, windows: int) -> None:
    """Show how far it is, on one line of a terminal; a pipe is spared."""
    if sys.stderr.isatty():
        bar = "#" * int(30 * stats.covered)
        print(  # noqa: T201
            f"\r  [{bar:30}] {stats.windows}/{windows} windows, {stats.records:,} records",
            end="",
            file=sys.stderr,
            flush=True,
        )


def _end_progress() -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)  # noqa: T201


def _say(line: str) -> None:
    print(line)  # noqa: T201 - a command's output
