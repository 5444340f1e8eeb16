"""An export to standard output: nothing is kept beside it, so there is nothing to resume."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import attrs
import click

from boxis_async import BoxisError, Stats
from boxis_async.export import Exported, write

from .outcome import PARTIAL, failure_of
from .progress import Bar
from .run import run
from .tell import tell_exported, tell_range

if TYPE_CHECKING:
    from typing import BinaryIO

    from boxis_async import BoxisClient

    from .connection import Connection
    from .job import Job, Wanted

__all__ = ["to_output"]


def to_output(connection: Connection, wanted: Wanted, *, quiet: bool, draws: bool) -> None:
    """Write the calls to standard output.

    Raises:
        Failure: It failed; with the code of a part where some of it was written.
    """
    job = wanted.begin(connection.need_tenant(), by_name="csv")
    if job.format == "parquet" and sys.stdout.isatty():
        raise click.UsageError("Parquet is not for a terminal: give -o FILE")
    client = connection.client()
    if not quiet:
        tell_range(connection, job.datefrom, job.dateto)
    latest = _Latest()
    try:
        exported = run(
            _write(client, job, sys.stdout.buffer, latest, draws=draws), last_words=_say_part
        )
    except BoxisError as error:
        raise failure_of(error, code=PARTIAL if latest.stats.covered else None) from None
    tell_exported(exported, quiet=quiet)


def _say_part() -> None:
    click.echo("Stopped: what was written to standard output is a part", err=True)


@attrs.define
class _Latest:
    """Holds the last that was told of a run."""

    stats: Stats = attrs.field(factory=Stats)


async def _write(
    client: BoxisClient, job: Job, file: BinaryIO, latest: _Latest, *, draws: bool
) -> Exported:
    calls = client.cdrs(job.datefrom, job.dateto, **job.question())
    # Where the data goes to the same screen, a bar would stand in the middle of it.
    shown = draws and not sys.stdout.isatty()
    async with client:
        with Bar(calls.plan(), shown=shown) as bar:

            def progress(stats: Stats) -> None:
                latest.stats = stats
                bar.update(stats)

            return await write(
                calls, file, job.format, formula_safe=job.formula_safe, progress=progress
            )
