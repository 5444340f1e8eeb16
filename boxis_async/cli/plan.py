"""`boxis plan`: the windows that would be asked for, without a request and without a key."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from .options import (
    DATES,
    Screen,
    connected,
    connection_options,
    need_range,
    range_options,
    window_option,
)
from .tell import tell_range

if TYPE_CHECKING:
    from datetime import timedelta

    from boxis_async import Plan, Window

__all__ = ["plan"]

_ENDS = 5


@click.command(cls=Screen, epilog=DATES, short_help="Show the requests that a range would take.")
@range_options
@window_option
@click.option("--all", "all_of_them", is_flag=True, help="every window, not the ends alone")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
@click.option("-q", "--quiet", is_flag=True, help="do not tell the range on stderr")
@connection_options()
@click.pass_context
def plan(  # noqa: PLR0913 - each is one option
    ctx: click.Context,
    *,
    datefrom: str | None,
    dateto: str | None,
    month: str | None,
    window: timedelta | None,
    all_of_them: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show the windows that a range is cut into, one request each.

    Sends nothing, and needs no key. In a pipe it prints every window on a line of its own, start
    and end with a tab between them. Without --window the lengths are a first guess.

    \b
    Example: boxis plan --from 2026-10-01 --to 2026-10-08 --window 6h
    """  # noqa: D301 - the sign keeps click from wrapping
    connection = connected(ctx, asks_key=False)
    span = need_range(connection, datefrom, dateto, month)
    if not quiet:
        tell_range(connection, span.datefrom, span.dateto)
    windows = connection.planner().cdrs(span.datefrom, span.dateto, window=window).plan()
    if as_json:
        click.echo(_json(windows, connection.timezone))
    elif sys.stdout.isatty():
        _show(windows, all_of_them=all_of_them)
    else:
        for one in windows:
            click.echo(f"{one.start}\t{one.end}")


def _json(windows: Plan, timezone: str) -> str:
    return json.dumps(
        {
            "timezone": timezone,
            "count": len(windows),
            "guess": windows.guess,
            "windows": [
                {"start": f"{one.start}", "end": f"{one.end}", "seconds": _seconds(one)}
                for one in windows
            ],
        },
        indent=2,
    )


def _show(windows: Plan, *, all_of_them: bool) -> None:
    # Here and below: rich is loaded by what draws with it, and by nothing else.
    from rich.table import Table  # noqa: PLC0415

    from .tables import screen  # noqa: PLC0415

    count = len(windows)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", justify="right", style="dim")
    for name in ("start", "end"):
        table.add_column(name)
    table.add_column("length", justify="right")
    whole = all_of_them or count <= 2 * _ENDS + 1
    for number in range(count):
        if whole or number < _ENDS or number >= count - _ENDS:
            one = windows[number]
            table.add_row(f"{number + 1:,}", f"{one.start}", f"{one.end}", _length(one))
        elif number == _ENDS:
            table.add_row("…", f"{count - 2 * _ENDS:,} more, --all", "", "")
    console = screen()
    console.print(table)
    guess = ", a first guess: they follow what comes back" if windows.guess else ""
    console.print(f"\n{count:,} {'window' if count == 1 else 'windows'}{guess}")


def _length(window: Window) -> str:
    return f"{window.length}".removesuffix(", 0:00:00")


def _seconds(window: Window) -> int:
    return int(window.length.total_seconds())
