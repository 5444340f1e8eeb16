"""The stats as tables for people: readable at 50 columns, and in a pipe without colours."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from boxis_async import printable
from boxis_async.call_stats import SOON, Totals

from .messages import percent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date

    from boxis_async.call_stats import Booked, CallStats, Dimension

__all__ = ["print_stats", "stdout_console"]

_BAR: Final = 14
_WIDE: Final = 80
"""Columns from which on there is space for bars."""
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_DAY: Final = timedelta(days=1)
_MOST_DAYS: Final = 3660


def stdout_console() -> Console:
    """Return a console on standard output that colours nothing by itself."""
    return _StdoutConsole(highlight=False, markup=False, emoji=False)


class _StdoutConsole(Console):
    def on_broken_pipe(self) -> None:
        """Let the command handle it: a reader that went away, such as `head`, is not a failure."""
        raise BrokenPipeError


def _time(seconds: float) -> str:
    """Write seconds as hours, minutes and seconds, with as many hours as there are."""
    seconds = round(seconds)
    return f"{seconds // 3600:,}:{seconds % 3600 // 60:02}:{seconds % 60:02}"


def print_stats(  # noqa: PLR0913 - each is a part of what is printed
    console: Console,
    stats: CallStats,
    dimensions: Iterable[Dimension],
    *,
    title: str,
    place: str,
    top: int,
) -> None:
    """Print which calls they are, the totals, then a table for each dimension that has any."""
    console.print(printable(title), style="bold")
    console.print(printable(place), style="dim")
    console.print()
    _print_total(console, stats)
    for dimension in dimensions:
        if dimension == "disposition":
            _print_dispositions(console, stats.dispositions)
        elif dimension == "cc-date":
            _print_booked(console, stats.by_cc_date())
        else:
            _print_groups(console, *_groups(stats, top)[dimension]())


def _groups(
    stats: CallStats, top: int
) -> Mapping[Dimension, Callable[[], tuple[str, Mapping[str, Totals]]]]:
    """Give, for each dimension of calls, what makes its title and its groups."""
    return {
        "day": lambda: ("day", _every_day(stats.by_day())),
        "hour": lambda: ("hour", _every_hour(stats.by_hour())),
        "direction": lambda: ("direction", stats.by_direction()),
        "outcome": lambda: ("outcome", stats.by_outcome()),
        "number": lambda: (f"number (top {top})", stats.by_number(top)),
        "dialled": lambda: ("dialled", stats.by_dialled(top)),
        "answered-by": lambda: ("answered by", stats.by_answerer(top)),
        "extension": lambda: ("extension", stats.by_extension(top)),
    }


def _every_day(days: Mapping[date, Totals]) -> dict[str, Totals]:
    """List every day from the first to the last: a day without a call says something too."""
    if not days:
        return {}
    first = min(days)
    count = (max(days) - first).days + 1
    # Where one call is dated in the year 2999, the days between are not worth their lines.
    every = sorted(days) if count > _MOST_DAYS else (first + n * _DAY for n in range(count))
    return {f"{day:%a %Y-%m-%d}": days.get(day, Totals()) for day in every}


def _every_hour(hours: Mapping[int, Totals]) -> dict[str, Totals]:
    every = range(min(hours, default=0), max(hours, default=-1) + 1)
    return {f"{hour:02}:00": hours.get(hour, Totals()) for hour in every}


def _print_total(console: Console, stats: CallStats) -> None:
    """Print the totals; a kind of call that there was none of is left out."""
    total, waits = stats.total, stats.waits()
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim")
    table.add_row("calls", f"{total.calls:,}", f"in {total.legs:,} legs" if total.legs else "")
    if total.calls:
        share = f"{percent(total.answered / total.calls)}: a person picked up"
        table.add_row("answered", f"{total.answered:,}", share)
    if total.missed:
        table.add_row("missed", f"{total.missed:,}", "came in, and no person did")
    if total.voicemail:
        table.add_row("voicemail", f"{total.voicemail:,}", "a voicemail box took it")
    if total.machine:
        table.add_row("machine", f"{total.machine:,}", "only a menu or a message")
    if waits is not None:
        within = f"median; 95 % {_time(waits.most)}"
        table.add_row("waiting", _time(waits.median), within)
        table.add_row("", percent(waits.soon), f"picked up within {SOON} s")
    if total.talk:
        table.add_row("talk time", _time(total.talk), "")
    if total.cost:
        table.add_row("cost", f"{total.cost:,.2f}", "by start of call")
    console.print(table)


def _print_groups(console: Console, title: str, groups: Mapping[str, Totals]) -> None:
    if not groups:
        return
    console.print()
    has_bar = console.width >= _WIDE
    costs = any(group.cost for group in groups.values())
    table = _table(title, has_bar, "calls", "answered" if has_bar else "answ.", "missed",
                   "talk time" if has_bar else "talk", *["cost"] * costs)  # fmt: skip
    most = max(group.calls for group in groups.values())
    for name, group in groups.items():
        table.add_row(
            printable(name),
            *[_bar(console, group.calls, most)] * has_bar,
            f"{group.calls:,}",
            f"{group.answered:,}",
            f"{group.missed:,}",
            _time(group.talk),
            *[f"{group.cost:,.2f}"] * costs,
        )
    console.print(table)


def _print_dispositions(console: Console, legs: Mapping[str, int]) -> None:
    if not legs:
        return
    console.print()
    has_bar = console.width >= _WIDE
    table = _table("disposition", has_bar, "legs")
    most = max(legs.values())
    for name, number in sorted(legs.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(printable(name), *[_bar(console, number, most)] * has_bar, f"{number:,}")
    console.print(table)


def _print_booked(console: Console, days: Mapping[str, Booked]) -> None:
    if not days:
        return
    console.print()
    table = _table("cc_date", False, "legs", "cost")  # noqa: FBT003 - no bar
    for day, booked in days.items():
        table.add_row(day, f"{booked.legs:,}", f"{booked.cost:,.2f}")
    console.print(table)


def _table(title: str, has_bar: bool, *figures: str) -> Table:  # noqa: FBT001
    padding = (0, 1) if has_bar else (0, 1, 0, 0)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=padding)
    table.add_column(title, max_width=20 if has_bar else 15, no_wrap=True)
    if has_bar:
        table.add_column("", style="cyan", no_wrap=True, width=_BAR)
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _bar(console: Console, number: int, most: int) -> str:
    eighths = round(8 * _BAR * number / most) if most else 0
    if number and not eighths:
        eighths = 1  # a small number is not zero
    if not console.encoding.startswith("utf"):
        return "#" * -(-eighths // 8)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")
