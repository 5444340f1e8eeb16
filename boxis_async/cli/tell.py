"""What the commands say on standard error: the range that was understood, and what was written."""

from __future__ import annotations

import shutil
import sys
from datetime import datetime
from textwrap import fill
from typing import TYPE_CHECKING, TextIO

import click

from .dates import write_moment

if TYPE_CHECKING:
    from datetime import date

    from boxis_async.export import Exported

    from .connection import Connection

__all__ = ["counted", "flowing", "tell_exported", "tell_range", "warn"]


def flowing(text: str, *, onto: TextIO | None = None, indent: int = 0) -> str:
    """Break a text between words where a terminal is narrower; in a pipe it stays a line.

    Args:
        text: The text.
        onto: Where it goes; standard error unless given.
        indent: Before its further lines.
    """
    if not (onto or sys.stderr).isatty():
        return text
    width = max(2 * indent, shutil.get_terminal_size().columns - 1)
    # Nothing that one may want to copy, such as a path, is broken.
    return fill(
        text,
        width,
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def counted(number: int, what: str) -> str:
    """Write how many there are of something."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def warn(text: str) -> None:
    """Say what is not as one may think, on standard error, also when told to be quiet."""
    click.echo(flowing(f"Warning: {text}"), err=True)


def tell_range(connection: Connection, datefrom: date | None, dateto: date | None) -> None:
    """Say which range was understood."""
    zone = connection.zone
    first, last = (
        "?" if moment is None else write_moment(moment, zone) for moment in (datefrom, dateto)
    )
    click.echo(f"{first} to {last} ({connection.timezone})", err=True)
    now = write_moment(datetime.now(zone), zone)
    if dateto is not None and last > now:
        warn(f"the range ends in the future: what comes after {now} is not in it")


def tell_exported(exported: Exported, *, to: str = "standard output", quiet: bool) -> None:
    """Say what was written, and whatever of it is not as one may think, even when quiet."""
    stats = exported.stats
    if not quiet:
        before = ", with those of earlier runs" if exported.resumed else ""
        text = (
            f"{counted(exported.records, 'record')} to {to}{before}; "
            f"{counted(stats.requests, 'request')}, "
            f"{stats.retries:,} sent again"
        )
        click.echo(flowing(text), err=True)
    if exported.conflicts:
        warn(
            f"{exported.conflicts:,} records were left out that are no copies: further legs of a "
            "uniqueid that came before. To have every leg: --unique-by leg"
        )
    if stats.revisions:
        warn(
            f"{stats.revisions:,} legs came again with other content, such as a cost worked out "
            "later; the first stands. To have the last, export it again at rest"
        )
