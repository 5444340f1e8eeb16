"""An export to standard output: nothing is kept beside it, so there is nothing to resume."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import attrs
import click

from boxis_async import BoxisError, Stats
from boxis_async.export import Exported, write

from .errors import CommandError
from .exit_codes import ExitCode
from .messages import show_exported, show_range
from .progress import ProgressBar
from .signals import run_until_signal

if TYPE_CHECKING:
    from typing import BinaryIO

    from boxis_async import BoxisClient

    from .export_options import ExportJob, ExportOptions
    from .settings import Settings

__all__ = ["export_to_output"]


def export_to_output(
    settings: Settings, options: ExportOptions, *, quiet: bool, draw_bar: bool
) -> None:
    """Write the calls to standard output.

    Raises:
        CommandError: It failed; with the exit code for a part where some records were written.
    """
    job = options.start(settings.require_tenant(), default_format="csv")
    if job.format == "parquet" and sys.stdout.isatty():
        raise click.UsageError("Parquet is not for a terminal: give -o FILE")
    client = settings.client()
    if not quiet:
        show_range(job.datefrom, job.dateto, settings.zone)
    latest = _Latest()
    work = _write(client, job, sys.stdout.buffer, latest, draw_bar=draw_bar)
    try:
        exported = run_until_signal(work, on_signal=_show_partial)
    except BoxisError as error:
        exit_code = ExitCode.PARTIAL if latest.stats.covered else None
        raise CommandError.from_library(error, exit_code=exit_code) from None
    show_exported(exported, quiet=quiet)


def _show_partial() -> None:
    click.echo("Stopped: what was written to standard output is a part of the range", err=True)


@attrs.define
class _Latest:
    """The latest stats of a run; they are needed after it failed."""

    stats: Stats = attrs.field(factory=Stats)


async def _write(
    client: BoxisClient, job: ExportJob, file: BinaryIO, latest: _Latest, *, draw_bar: bool
) -> Exported:
    calls = client.cdrs(job.datefrom, job.dateto, **job.stream_arguments())
    # Where the data goes to the same terminal, a bar would appear in the middle of it.
    enabled = draw_bar and not sys.stdout.isatty()
    async with client:
        with ProgressBar(calls.plan(), enabled=enabled) as bar:

            def progress(stats: Stats) -> None:
                latest.stats = stats
                bar.update(stats)

            return await write(
                calls, file, job.format, formula_safe=job.formula_safe, progress=progress
            )
