"""The stats as tables for people: readable at 80 columns, and in a pipe without colours."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from .call_stats import Totals
from .messages import percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from .call_stats import CallStats, Dimension

__all__ = ["print_stats", "stdout_console"]

_BAR: Final = 14
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_DAY: Final = timedelta(days=1)


def stdout_console() -> Console:
    """Return a console on standard output that colours nothing by itself."""
    return _StdoutConsole(highlight=False, markup=False, emoji=False)


class _StdoutConsole(Console):
    def on_broken_pipe(self) -> None:
        """Let the command handle it: a reader that went away, such as `head`, is not a failure."""
        raise BrokenPipeError


def _talk_time(seconds: int) -> str:
    """Write seconds as hours, minutes and seconds, with as many hours as there are."""
    return f"{seconds // 3600:,}:{seconds % 3600 // 60:02}:{seconds % 60:02}"


def print_stats(
    console: Console, stats: CallStats, dimensions: Iterable[Dimension], *, top: int
) -> None:
    """Print the totals, then a table for each dimension."""
    _print_total(console, stats.total())
    for dimension in dimensions:
        console.print()
        match dimension:
            case "day":
                days = {f"{day:%a %Y-%m-%d}": group for day, group in _every_day(stats.by_day())}
                _print_groups(console, "day", days)
            case "hour":
                found = stats.by_hour()
                hours = range(min(found, default=0), max(found, default=-1) + 1)
                _print_groups(
                    console, "hour", {f"{hour:02}:00": found.get(hour, Totals()) for hour in hours}
                )
            case "direction":
                _print_groups(console, "direction", stats.by_direction())
            case "number":
                _print_groups(console, f"number (top {top})", stats.by_number(top))
            case "disposition":
                _print_dispositions(console, stats.dispositions)


def _every_day(days: Mapping[date, Totals]) -> Iterable[tuple[date, Totals]]:
    """Yield every day from the first to the last: a day without a call says something too."""
    if days:
        day, last = min(days), max(days)
        while day <= last:
            yield day, days.get(day, Totals())
            day += _DAY


def _print_total(console: Console, total: Totals) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    share = f"{percent(total.answered / total.calls)} of the calls" if total.calls else ""
    table.add_row("calls", f"{total.calls:,}", f"in {total.legs:,} legs")
    table.add_row("answered", f"{total.answered:,}", share)
    table.add_row("missed", f"{total.missed:,}", "inbound, and no leg was answered")
    table.add_row("talk time", _talk_time(total.talk), "")
    table.add_row("cost", f"{total.cost:,.2f}", "")
    console.print(table)


def _print_groups(console: Console, title: str, groups: Mapping[str, Totals]) -> None:
    table = _table(title, "calls", "answered", "missed", "talk time", "cost")
    most = max((group.calls for group in groups.values()), default=0)
    for name, group in groups.items():
        table.add_row(
            name,
            _bar(console, group.calls, most),
            f"{group.calls:,}",
            f"{group.answered:,}",
            f"{group.missed:,}",
            _talk_time(group.talk),
            f"{group.cost:,.2f}",
        )
    console.print(table)


def _print_dispositions(console: Console, legs: Mapping[str, int]) -> None:
    table = _table("disposition", "legs")
    most = max(legs.values(), default=0)
    for name, number in sorted(legs.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(name, _bar(console, number, most), f"{number:,}")
    console.print(table)


def _table(title: str, *figures: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(title, max_width=20, no_wrap=True)
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
