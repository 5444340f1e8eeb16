"""An export to standard output: nothing is kept beside it, so there is nothing to resume."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

import attrs
import click

from boxis_async import BoxisError, Reject, Stats
from boxis_async.export import Exported, write, write_rejects

from .errors import CommandError, is_of_a_record, lacks_rejects
from .exit_codes import ExitCode
from .messages import show_empty, show_exported, show_range, them
from .output import PrintableOutput, show
from .program import command_line
from .progress import ProgressBar
from .signals import run_until_signal

if TYPE_CHECKING:
    from typing import BinaryIO

    from boxis_async import BoxisClient

    from .export_options import ExportJob, ExportOptions
    from .settings import Settings

__all__ = ["export_to_output"]

_STDOUT = "-"


def export_to_output(
    settings: Settings,
    options: ExportOptions,
    *,
    rejects: str | None,
    quiet: bool,
    draw_bar: bool,
) -> None:
    """Write the calls to standard output, and those that cannot be read to the file `rejects`.

    Raises:
        CommandError: It failed; with the exit code for a part where some records were written.
    """
    job = options.start(settings.require_tenant(), default_format="csv")
    binary = {"parquet": "Parquet", "xlsx": "A workbook"}.get(job.format)
    if binary is not None and sys.stdout.isatty():
        raise click.UsageError(f"{binary} is not for a terminal: give -o FILE")
    client = settings.client()
    if not quiet:
        show_range(job.datefrom, job.dateto, settings.zone)
    latest = _Latest()
    file = sys.stdout.buffer
    if sys.stdout.isatty():
        # It has all that `write` needs of a file.
        file = cast("BinaryIO", PrintableOutput(file))
    work = _write(client, job, file, latest, draw_bar=draw_bar)
    try:
        exported = run_until_signal(work, on_signal=_show_partial)
    except BoxisError as error:
        has_some = latest.stats.covered or latest.stats.records
        ending = CommandError.from_library(error, exit_code=ExitCode.PARTIAL if has_some else None)
        if is_of_a_record(error):
            ending.suggest("Leave it out with", _command(settings, job, rejects, quiet=quiet))
        raise ending from None
    finally:
        if rejects is not None:
            write_rejects(latest.rejects, rejects)
    show_exported(exported, noun=job.noun, quiet=quiet)
    if not (exported.records or quiet):
        show_empty(job.tenant, settings.zone)
    if latest.rejects:
        raise lacks_rejects(latest.rejects, "The output lacks", rejects).suggest(
            f"Once {them(len(latest.rejects))} can be read, export the range again with",
            _command(settings, job, rejects, quiet=quiet),
        )


def _command(settings: Settings, job: ExportJob, rejects: str | None, *, quiet: bool) -> str:
    """Write the command that exports the same to standard output, and keeps going."""
    return command_line(
        "export",
        *attrs.evolve(job, keep_going=True).options(_STDOUT),
        *(() if rejects is None else ("--rejects", rejects)),
        *(("--quiet",) if quiet else ()),
        *settings.given_options(),
    )


def _show_partial() -> None:
    show("Stopped: what was written to standard output is a part of the range", wraps=False)


@attrs.define
class _Latest:
    """What a run did so far; it is needed after it failed."""

    stats: Stats = attrs.field(factory=Stats)
    rejects: tuple[Reject, ...] = ()


async def _write(
    client: BoxisClient, job: ExportJob, file: BinaryIO, latest: _Latest, *, draw_bar: bool
) -> Exported:
    dateto = None if job.ends_now else job.dateto
    calls = client.cdrs(job.datefrom, dateto, **job.stream_arguments())
    # Where the data goes to the same terminal, a bar would appear in the middle of it.
    enabled = draw_bar and not sys.stdout.isatty()
    async with client:
        with ProgressBar(calls.plan(), enabled=enabled) as bar:

            def progress(stats: Stats) -> None:
                latest.stats = stats
                bar.update(stats)

            try:
                return await write(calls, file, job.format, **job.layout, progress=progress)
            finally:
                latest.rejects = calls.rejects
