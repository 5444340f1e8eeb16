"""`boxis demo`: fetch a quarter of made-up calls from a stand-in, with the real client."""

from __future__ import annotations

import time
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import click

from boxis_async import BoxisClient, Call

from .call_lines import text_lines
from .messages import percent, plural
from .progress import take_calls
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
    calls: list[Call] = []
    began = time.perf_counter()
    async with BoxisClient(USERNAME, API_KEY, tenant=TENANT, base_url=url) as client:
        stream = client.iter_calls(_START, _END)
        console.print(f"Fetching {_START} to {_END} over real HTTP, 8 requests at a time")
        await take_calls(stream, calls.append)
    calls.sort(key=lambda call: call.start.timestamp())
    _show_first(console, calls)
    _show_totals(console, calls)
    _show_stats(console, stream.stats, time.perf_counter() - began)


def _show_first(console: Console, calls: list[Call]) -> None:
    shown = calls[:_SHOWN]
    console.print(f"\nThe first {len(shown)} of {len(calls):,} calls, in order of time:\n")
    for line in text_lines(shown):
        console.print(f"  {line}", soft_wrap=True)


def _show_totals(console: Console, calls: list[Call]) -> None:
    legs = sum(len(call.legs) for call in calls)
    ways = Counter(call.direction for call in calls)
    talk = round(sum((call.talk for call in calls), timedelta(0)).total_seconds())
    cost = sum((call.cost for call in calls), Decimal(0))
    directions = ", ".join(f"{count:,} {name or 'unmarked'}" for name, count in ways.most_common())
    answered, missed = sum(call.answered for call in calls), sum(call.missed for call in calls)
    _section(
        console,
        "Totals",
        ("calls", f"{len(calls):,} in {legs:,} legs ({directions})"),
        ("answered", f"{answered:,} by a person; {missed:,} inbound calls missed"),
        ("talk time", f"{talk // 3600:,} h {talk % 3600 // 60:02} min"),
        ("cost", f"{cost:,.2f}"),
    )


def _show_stats(console: Console, stats: Stats, seconds: float) -> None:
    _section(
        console,
        "Stats",
        f"{plural(stats.records, 'record')} in {plural(stats.windows, 'window')}, "
        f"{percent(stats.covered)} of the range",
        f"{plural(stats.requests, 'request')}, {stats.retries} sent again",
        f"{plural(stats.duplicates, 'duplicate')} where windows overlap, "
        f"{plural(stats.conflicts, 'conflict')}, {plural(stats.revisions, 'revision')}",
        f"{seconds:.1f} s, {stats.records / seconds:,.0f} records a second",
    )


def _section(console: Console, title: str, *lines: str | tuple[str, str]) -> None:
    console.print()
    console.print(title, style="bold")
    for line in lines:
        text = line if isinstance(line, str) else f"{line[0]:<10} {line[1]}"
        console.print(f"  {text}", soft_wrap=True)
