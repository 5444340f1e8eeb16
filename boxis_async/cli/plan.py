"""`boxis plan`: show the windows of a range, without a request and without a key."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Unpack

import click

from .messages import show_range
from .option_groups import GroupedCommand, option
from .options import (
    DATES,
    OUTPUT,
    connection_options,
    quiet_option,
    range_options,
    require_range,
    verbose_option,
    window_option,
)
from .output import show_data
from .settings import ConnectionValues, read_settings

if TYPE_CHECKING:
    from datetime import timedelta

    from boxis_async import Plan, Window

__all__ = ["plan"]

# How many of the first and of the last windows a terminal shows.
_ENDS = 5


@click.command(
    cls=GroupedCommand, epilog=DATES, short_help="Show the requests that a range would take."
)
@range_options
@window_option
@option("--all", "show_all", heading=OUTPUT, is_flag=True,
        help="At a terminal, show every window.")  # fmt: skip
@option("--json", "as_json", heading=OUTPUT, is_flag=True, help="Print one JSON object.")
@connection_options
@quiet_option("range")
@verbose_option
@click.pass_context
def plan(  # noqa: PLR0913 - each is one option
    ctx: click.Context,
    *,
    datefrom: str | None,
    dateto: str | None,
    month: str | None,
    day: str | None,
    window: timedelta | None,
    show_all: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **connection: Unpack[ConnectionValues],
) -> None:
    """Show the windows that a range is divided into; each is one request.

    The command sends nothing and needs no key. In a pipe it prints each window on a line, its
    start and its end with a tab between them. Without --window the lengths are a first guess.

    \b
    Example: boxis plan --from 2026-10-01 --to 2026-10-08 --window 6h
    """  # noqa: D301 - \b keeps click from wrapping
    del verbose  # there is no request to log
    settings = read_settings(ctx, connection, prompt_for_key=False)
    dates = require_range(settings, datefrom, dateto, month, day)
    if not quiet:
        show_range(dates.datefrom, dates.dateto, settings.zone)
    windows = settings.planning_client().cdrs(dates.datefrom, dates.dateto, window=window).plan()
    if as_json:
        show_data(_json(windows, settings.timezone))
    elif sys.stdout.isatty():
        _print_table(windows, show_all=show_all)
    else:
        for one in windows:
            show_data(f"{one.start}\t{one.end}")


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


def _print_table(windows: Plan, *, show_all: bool) -> None:
    # rich is loaded only where something is drawn, so that the other commands start sooner.
    from rich.table import Table  # noqa: PLC0415

    from .tables import stdout_console  # noqa: PLC0415

    count = len(windows)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", justify="right", style="dim")
    for name in ("start", "end"):
        table.add_column(name)
    table.add_column("length", justify="right")
    whole = show_all or count <= 2 * _ENDS + 1
    for number in range(count):
        if whole or number < _ENDS or number >= count - _ENDS:
            one = windows[number]
            table.add_row(f"{number + 1:,}", f"{one.start}", f"{one.end}", _length(one))
        elif number == _ENDS:
            table.add_row("…", f"{count - 2 * _ENDS:,} more, --all", "", "")
    console = stdout_console()
    console.print(table)
    guess = ", a first guess: a run adapts them to the answers" if windows.guess else ""
    console.print(f"\n{count:,} {'window' if count == 1 else 'windows'}{guess}")


def _length(window: Window) -> str:
    return f"{window.length}".removesuffix(", 0:00:00")


def _seconds(window: Window) -> int:
    return int(window.length.total_seconds())
