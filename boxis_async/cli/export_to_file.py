"""An export to a file: start it, or resume it; where it ends early, say how to resume it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from boxis_async import BoxisError, UsageError
from boxis_async.export import Exported, Unfinished, export, format_of, unfinished

from .dates import write_length
from .errors import CommandError
from .exit_codes import ExitCode
from .messages import percent, show_exported, show_range
from .program import command_line
from .progress import ProgressBar
from .signals import run_until_signal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from boxis_async import BoxisClient

    from .export_options import ExportJob, ExportOptions
    from .settings import Settings

__all__ = ["export_to_file"]


def export_to_file(  # noqa: PLR0913 - each is one option
    settings: Settings,
    options: ExportOptions,
    output: str,
    *,
    resume: bool,
    overwrite: bool,
    quiet: bool,
    draw_bar: bool,
) -> None:
    """Write the calls to a file, or resume the unfinished export beside it.

    Raises:
        CommandError: It failed; with the exit code for a part where this run kept some records.
    """
    previous = unfinished(output) if resume or not overwrite else None
    if previous is not None and not resume:
        if previous.records or previous.covered or Path(output).exists():
            raise click.UsageError(
                f"an unfinished export is beside {output}: {_kept(previous)}. Complete it with "
                "--resume, or start again with --overwrite"
            )
        previous = None  # nothing was kept, so there is nothing to resume
    if previous is not None:
        job = options.resume(
            previous,
            settings.tenant,
            settings.zone,
            tenant_source=settings.sources["tenant"],
        )
    else:
        job = _start(options, settings, output, resume=resume, overwrite=overwrite)
    client = settings.client()
    if not quiet:
        show_range(job.datefrom, job.dateto, settings.zone)
        if previous is not None:
            click.echo(f"Resuming: {_kept(previous)}", err=True)
    command = command_line(*_resume_arguments(settings, options, output, quiet=quiet))
    early_end = _EarlyEnd(output, command, previous)
    work = _fetch(
        client, job, output, previous, resume=resume, overwrite=overwrite, draw_bar=draw_bar
    )
    try:
        exported = run_until_signal(work, on_signal=early_end.show)
    except (BoxisError, OSError) as error:
        raise early_end.command_error(error) from None
    show_exported(exported, target=output, quiet=quiet)


def _start(
    options: ExportOptions, settings: Settings, output: str, *, resume: bool, overwrite: bool
) -> ExportJob:
    """Check that nothing is in the way of a new export, and return it."""
    if Path(output).exists() and not Path(output).is_file():
        raise click.UsageError(f"{output} is not a file: name one, or - for standard output")
    if Path(output).exists() and resume and not overwrite:
        raise click.UsageError(
            f"{output} is complete, there is nothing to resume: --overwrite replaces it"
        )
    if resume and options.range is None:
        raise click.UsageError(
            f"there is nothing to resume beside {output}: give --from, or --month, to start"
        )
    if Path(output).exists() and not overwrite:
        raise click.UsageError(f"{output} exists already: --overwrite replaces it")
    return options.start(settings.require_tenant(), options.format or format_of(output))


async def _fetch(  # noqa: PLR0913 - what the options say
    client: BoxisClient,
    job: ExportJob,
    output: str,
    previous: Unfinished | None,
    *,
    resume: bool,
    overwrite: bool,
    draw_bar: bool,
) -> Exported:
    calls = client.cdrs(job.datefrom, job.dateto, **job.stream_arguments())
    covered = previous.covered if previous else 0.0
    async with client:
        with ProgressBar(calls.plan(), covered=covered, enabled=draw_bar) as bar:
            return await export(
                calls,
                output,
                format=job.format,
                formula_safe=job.formula_safe,
                resume=resume,
                overwrite=overwrite,
                progress=bar.update,
            )


@attrs.frozen
class _EarlyEnd:
    """Says what is kept of an export that ended early, and how to resume it."""

    output: str
    command: str
    previous: Unfinished | None

    def show(self) -> None:
        """Write it to standard error."""
        kept = _find_unfinished(self.output)
        if kept is None:
            click.echo("Stopped: nothing is kept yet. Run the same command again.", err=True)
        else:
            click.echo(f"Stopped: {_kept(kept)}. Resume it with:\n  {self.command}", err=True)

    def command_error(self, error: BoxisError | OSError) -> CommandError:
        """Return how the command ends; as partial, where this run kept more than there was."""
        if isinstance(error, BoxisError):
            ending = CommandError.from_library(error)
        else:
            ending = CommandError(f"{error.filename or self.output}: {error.strerror or error}")
        if isinstance(error, UsageError):
            return ending
        kept = _find_unfinished(self.output)
        if kept is None:
            return ending
        before = (self.previous.records, self.previous.covered) if self.previous else (0, 0.0)
        if (kept.records, kept.covered) > before:
            ending.code = ExitCode.PARTIAL
        ending.on_show = self.show
        return ending


def _find_unfinished(output: str) -> Unfinished | None:
    try:
        return unfinished(output)
    except UsageError:  # its journal cannot be read, so there is nothing to resume
        return None


def _kept(part: Unfinished) -> str:
    records = "record is" if part.records == 1 else "records are"
    return f"{part.records:,} {records} kept, {percent(part.covered)} of the range"


def _resume_arguments(
    settings: Settings, options: ExportOptions, output: str, *, quiet: bool
) -> Iterator[str]:
    """Yield the arguments of a command that resumes; the journal has the range and the rest."""
    yield from ("export", "--resume", "-o", output)
    if options.window is not None:
        yield from ("--window", write_length(options.window))
    if options.row_limit is not None:
        yield from ("--row-limit", str(options.row_limit))
    if options.keep_going:
        yield "--keep-going"
    if quiet:
        yield "--quiet"
    yield from settings.given_options()
