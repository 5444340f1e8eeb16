"""The figures as tables for people: readable at 80 columns, and in a pipe without colours."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from .tally import Figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from .tally import Dimension, Tally

__all__ = ["draw", "screen", "talk_time"]

_BAR: Final = 14
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_DAY: Final = timedelta(days=1)


def screen() -> Console:
    """Give standard output to draw on; nothing is coloured or marked but where it is told."""
    return _Screen(highlight=False, markup=False, emoji=False)


class _Screen(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the command, for which a reader that went away is no failure."""
        raise BrokenPipeError


def talk_time(seconds: int) -> str:
    """Write seconds as hours, minutes and seconds, with as many hours as there are."""
    return f"{seconds // 3600:,}:{seconds % 3600 // 60:02}:{seconds % 60:02}"


def draw(console: Console, tally: Tally, dimensions: Iterable[Dimension], *, top: int) -> None:
    """Draw the totals, then a table for each dimension."""
    _total(console, tally.total())
    for dimension in dimensions:
        console.print()
        match dimension:
            case "day":
                days = {f"{day:%a %Y-%m-%d}": group for day, group in _each(tally.by_day())}
                _groups(console, "day", days)
            case "hour":
                found = tally.by_hour()
                hours = range(min(found, default=0), max(found, default=-1) + 1)
                _groups(
                    console, "hour", {f"{hour:02}:00": found.get(hour, Figures()) for hour in hours}
                )
            case "direction":
                _groups(console, "direction", tally.by_direction())
            case "number":
                _groups(console, f"number (top {top})", tally.by_number(top))
            case "disposition":
                _dispositions(console, tally.dispositions)


def _each(days: Mapping[date, Figures]) -> Iterable[tuple[date, Figures]]:
    """Give every day from the first to the last: one without a call says something too."""
    if days:
        day, last = min(days), max(days)
        while day <= last:
            yield day, days.get(day, Figures())
            day += _DAY


def _total(console: Console, total: Figures) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    share = f"{total.answered / total.calls:.0%} of the calls" if total.calls else ""
    table.add_row("calls", f"{total.calls:,}", f"in {total.legs:,} legs")
    table.add_row("answered", f"{total.answered:,}", share)
    table.add_row("missed", f"{total.missed:,}", "inbound, and no leg was answered")
    table.add_row("talk time", talk_time(total.talk), "")
    table.add_row("cost", f"{total.cost:,.2f}", "")
    console.print(table)


def _groups(console: Console, title: str, groups: Mapping[str, Figures]) -> None:
    table = _table(title, "calls", "answered", "missed", "talk time", "cost")
    most = max((group.calls for group in groups.values()), default=0)
    for name, group in groups.items():
        table.add_row(
            name,
            _bar(console, group.calls, most),
            f"{group.calls:,}",
            f"{group.answered:,}",
            f"{group.missed:,}",
            talk_time(group.talk),
            f"{group.cost:,.2f}",
        )
    console.print(table)


def _dispositions(console: Console, legs: Mapping[str, int]) -> None:
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
        eighths = 1  # little is not nothing
    if not console.encoding.startswith("utf"):
        return "#" * -(-eighths // 8)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")
