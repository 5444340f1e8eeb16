"""`boxis demo`: fetch a quarter of made-up calls from a stand-in, with the real client."""

from __future__ import annotations

import time
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import click

from boxis_async import CDR, BoxisClient

from .messages import percent
from .progress import ProgressBar
from .signals import run_until_signal
from .stand_in import API_KEY, TENANT, USERNAME, require_server

if TYPE_CHECKING:
    from rich.console import Console

    from boxis_async import Stats

__all__ = ["demo"]

# A quarter with the end of summer time in it.
_START: Final = date(2025, 10, 1)
_END: Final = date(2026, 1, 1)
_SHOWN: Final = 8
_NUMBER_WIDTH: Final = 13


@click.command(short_help="Fetch made-up calls from a stand-in on this machine.")
@click.option("--calls-per-day", type=click.IntRange(min=1), default=150, metavar="N",
              show_default=True, help="Calls to make up for each day.")  # fmt: skip
def demo(*, calls_per_day: int) -> None:
    """Fetch a quarter of made-up calls, without an account.

    The command starts a stand-in provider on 127.0.0.1 and fetches the calls over real HTTP. It
    shows the first calls, the totals, and what the client did.

    \b
    Example: boxis demo --calls-per-day 500
    """  # noqa: D301 - \b keeps click from wrapping
    require_server()
    # Here, so that the other commands start without them.
    from boxis_async.testing import LoopbackServer, Provider, generate_calls  # noqa: PLC0415

    from .tables import stdout_console  # noqa: PLC0415

    console = stdout_console()
    rows = generate_calls(_START, _END, calls_per_day=calls_per_day)
    provider = Provider(rows, username=USERNAME, api_key=API_KEY, tenant=TENANT)
    with LoopbackServer(provider) as server:
        console.print(
            f"A stand-in provider serves {len(rows):,} made-up records at {server.url}",
            soft_wrap=True,
        )
        run_until_signal(_fetch(console, server.url))


async def _fetch(console: Console, url: str) -> None:
    cdrs: list[CDR] = []
    began = time.perf_counter()
    async with BoxisClient(USERNAME, API_KEY, tenant=TENANT, base_url=url) as client:
        calls = client.cdrs(_START, _END, unique_by="leg")
        console.print(f"Fetching {_START} to {_END} over real HTTP, 8 requests at a time")
        with ProgressBar(calls.plan()) as bar:
            async for batch in calls.batches():
                cdrs += batch.cdrs
                bar.update(calls.stats)
    _show_first(console, cdrs)
    _show_totals(console, cdrs)
    _show_stats(console, calls.stats, time.perf_counter() - began)


def _show_first(console: Console, cdrs: list[CDR]) -> None:
    from rich.table import Table  # noqa: PLC0415

    shown = min(_SHOWN, len(cdrs))
    console.print(f"\nThe first {shown} of {len(cdrs):,} records, in order of time:\n")
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("  start", "direction", "from", "to", "talk", "disposition"):
        table.add_column(name, no_wrap=True, justify="right" if name == "talk" else "left")
    for cdr in cdrs[:_SHOWN]:
        table.add_row(
            f"  {cdr.start:%Y-%m-%d %H:%M:%S} ",
            cdr.direction or "-",
            cdr.src[:_NUMBER_WIDTH],
            cdr.dst[:_NUMBER_WIDTH],
            f"{timedelta(seconds=cdr.billsec or 0)}",
            cdr.disposition or "-",
        )
    console.print(table)


def _show_totals(console: Console, cdrs: list[CDR]) -> None:
    legs = Counter(cdr.direction for cdr in cdrs)
    talk = sum(cdr.billsec or 0 for cdr in cdrs)
    cost = sum((cdr.cc_cost for cdr in cdrs if cdr.cc_cost is not None), Decimal(0))
    directions = ", ".join(f"{count:,} {name or 'unmarked'}" for name, count in legs.most_common())
    answered, missed = sum(cdr.answered for cdr in cdrs), sum(cdr.missed for cdr in cdrs)
    calls = len({cdr.linkedid for cdr in cdrs})
    _section(
        console,
        "Totals",
        ("calls", f"{calls:,} in {len(cdrs):,} legs ({directions})"),
        ("answered", f"{answered:,} legs; {missed:,} inbound legs missed"),
        ("talk time", f"{talk // 3600:,} h {talk % 3600 // 60:02} min"),
        ("cost", f"{cost:,.2f}"),
    )


def _show_stats(console: Console, stats: Stats, seconds: float) -> None:
    _section(
        console,
        "Stats",
        f"{stats.records:,} records in {stats.windows} windows, "
        f"{percent(stats.covered)} of the range",
        f"{stats.requests} requests, {stats.retries} sent again",
        f"{stats.duplicates} duplicates where windows overlap, {stats.conflicts} conflicts, "
        f"{stats.revisions} revisions",
        f"{seconds:.1f} s, {stats.records / seconds:,.0f} records a second",
    )


def _section(console: Console, title: str, *lines: str | tuple[str, str]) -> None:
    console.print()
    console.print(title, style="bold")
    for line in lines:
        text = line if isinstance(line, str) else f"{line[0]:<10} {line[1]}"
        console.print(f"  {text}", soft_wrap=True)
