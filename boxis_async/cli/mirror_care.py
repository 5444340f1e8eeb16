"""`boxis mirror prune` and `forget`: take out of a mirror what must not stay."""

from __future__ import annotations

import sys
from typing import Final

import click

from .database import database_argument, open_mirror, warn_of_password, zone_of
from .dates import write_moment
from .messages import plural
from .option_groups import GroupedCommand, option
from .options import DATES, read_moment
from .output import show
from .signals import run_until_signal

__all__ = ["forget", "prune"]

_WHAT = "What"


_yes_option: Final = option("--yes", heading=_WHAT, is_flag=True, help="Do not ask first.")


@click.command(cls=GroupedCommand, epilog=DATES, short_help="Delete what is old in a mirror.")
@database_argument
@option("--keep", heading=_WHAT, metavar="DATE", required=True,
        help="Delete what started before: 12mo, 2025-01-01.")  # fmt: skip
@_yes_option
def prune(*, database: str, keep: str, yes: bool) -> None:
    """Delete the calls in DATABASE that started before a moment, with their earlier versions.

    They are not fetched again.

    \b
    Example: boxis mirror prune calls.db --keep 12mo
    """  # noqa: D301 - \b keeps click from wrapping
    warn_of_password(database)
    run_until_signal(_prune(database, keep, is_sure=yes))


async def _prune(database: str, keep: str, *, is_sure: bool) -> None:
    async with open_mirror(database) as mirror:
        zone = zone_of(mirror)
        before = read_moment("--keep", keep, zone)
        text = f"before {write_moment(before, zone)} ({zone})"
        _make_sure(f"Delete all calls that started {text}?", is_sure=is_sure)
        count = await mirror.prune(before)
    show(f"{plural(count, 'leg')} that started {text} {_were(count)} deleted")


@click.command(cls=GroupedCommand, short_help="Delete a number from a mirror, for good.")
@database_argument
@click.argument("number", metavar="NUMBER")
@_yes_option
def forget(*, database: str, number: str, yes: bool) -> None:
    """Delete every leg of an outside NUMBER from DATABASE, in whatever spelling.

    A digest of the number stays, so that the next sync does not bring it back.

    \b
    Example: boxis mirror forget calls.db "+41 44 123 45 67"
    """  # noqa: D301 - \b keeps click from wrapping
    warn_of_password(database)
    _make_sure(f"Delete all calls with {number}, and never fetch them again?", is_sure=yes)
    count = run_until_signal(_forget(database, number))
    show(f"{plural(count, 'leg')} {_were(count)} deleted; the number is not fetched again")


async def _forget(database: str, number: str) -> int:
    async with open_mirror(database) as mirror:
        return await mirror.forget(number)


def _make_sure(question: str, *, is_sure: bool) -> None:
    """Let a person at a terminal confirm; a script has said what it wants."""
    if not is_sure and sys.stdin.isatty():
        click.confirm(question, abort=True, err=True)


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
