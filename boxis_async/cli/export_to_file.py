"""An export to a file: start it, or resume it; where it ends early, say how to resume it."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from boxis_async import BoxisError, RetryPolicy, UsageError
from boxis_async.export import Exported, Unfinished, export, format_of, rejects_path, unfinished

from .errors import CommandError, is_of_a_record
from .exit_codes import ExitCode
from .export_options import ExportJob
from .messages import percent, plural, show_empty, show_exported, show_range, them
from .output import show
from .program import command_line
from .progress import ProgressBar
from .settings import Settings
from .signals import run_until_signal

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from boxis_async import BoxisClient

    from .export_options import ExportOptions

__all__ = ["export_to_file", "require_folder"]


def export_to_file(  # noqa: PLR0913 - each is one option
    settings: Settings,
    options: ExportOptions,
    output: str,
    *,
    resume: bool,
    overwrite: bool,
    mkdir: bool,
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
    require_folder(Path(output).parent, mkdir=mkdir)
    commands = _Commands(settings, job, output, quiet=quiet)
    early_end = _EarlyEnd(output, commands, previous)
    work = _fetch(
        client,
        job,
        output,
        previous,
        zone=settings.zone,
        resume=resume,
        overwrite=overwrite,
        quiet=quiet,
        draw_bar=draw_bar,
    )
    try:
        exported = run_until_signal(work, on_signal=early_end.show)
    except (BoxisError, OSError) as error:
        raise early_end.command_error(error) from None
    show_exported(exported, noun=job.noun, target=output, quiet=quiet)
    if not (exported.records or quiet):
        show_empty(job.tenant, settings.zone)
    if exported.rejects:
        ending = _lacks_rejects(exported, output)
        if job.datefrom is not None:  # a program may have begun an export of everything
            lead = f"Once {them(exported.rejects)} can be read, export the range again with"
            ending.suggest(lead, commands.start(overwrite=True))
        raise ending


def _lacks_rejects(exported: Exported, output: str) -> CommandError:
    """Say that a file is there, but for records that could not be read."""
    it = them(exported.rejects)
    return CommandError(
        f"{plural(exported.rejects, 'record')} could not be read. {output} lacks {it}; "
        f"{rejects_path(output).name} has {it}, as sent, and why",
        exit_code=ExitCode.PARTIAL,
        advice=f"ask the provider about {it}",
    )


def require_folder(folder: Path, *, mkdir: bool) -> None:
    """Make sure that the folder of a file is there.

    Raises:
        click.UsageError: It is not.
        CommandError: It cannot be made.
    """
    if mkdir:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f"{folder} cannot be made: {error.strerror or error}") from None
    elif not folder.is_dir():
        raise click.UsageError(f"the folder {folder} does not exist: --mkdir makes it")


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
            f"there is nothing to resume beside {output}: give --from, --month or --day to start"
        )
    for path in (Path(output), rejects_path(output)):
        if path.exists() and not overwrite:
            name = output if path == Path(output) else path.name
            raise click.UsageError(f"{name} exists already: --overwrite replaces it")
    return options.start(settings.require_tenant(), options.format or format_of(output))


async def _fetch(  # noqa: PLR0913 - what the options say
    client: BoxisClient,
    job: ExportJob,
    output: str,
    previous: Unfinished | None,
    *,
    zone: ZoneInfo,
    resume: bool,
    overwrite: bool,
    quiet: bool,
    draw_bar: bool,
) -> Exported:
    async with client:
        dateto = await _now(client, job) if job.ends_now else job.dateto
        if not quiet:
            show_range(job.datefrom, dateto, zone)
            if previous is not None:
                show(f"Resuming: {_kept(previous)}", wraps=False)
        calls = client.cdrs(job.datefrom, dateto, **job.stream_arguments())
        covered = previous.covered if previous else 0.0
        with ProgressBar(calls.plan(), covered=covered, enabled=draw_bar) as bar:
            return await export(
                calls,
                output,
                format=job.format,
                **job.layout,
                resume=resume,
                overwrite=overwrite,
                progress=bar.update,
            )


async def _now(client: BoxisClient, job: ExportJob) -> datetime:
    """Return the end of a range without one: now, by this computer's clock or the provider's.

    The later of the two counts. An answer shows the provider's: that to a request for no time.
    """
    once = client.with_options(retry=RetryPolicy(attempts=1), tenant=job.tenant)
    # What fails here fails in the export too, which says what is kept, and how to continue.
    with contextlib.suppress(BoxisError):
        await once.cdrs(job.datefrom, job.datefrom).to_list()
    ahead = client.clock_offset or 0.0
    now = datetime.now(UTC)
    # An answer names whole seconds, so that a clock that is right can seem to be one ahead.
    return (now + timedelta(seconds=ahead + 1) if ahead > 1 else now).replace(microsecond=0)


@attrs.frozen
class _Commands:
    """The commands that start or resume this export, to be pasted."""

    settings: Settings
    job: ExportJob
    output: str
    quiet: bool = attrs.field(kw_only=True)

    def start(self, *, overwrite: bool = False) -> str:
        """Write the command that starts it."""
        replace = ("--overwrite",) if overwrite else ()
        return self._write(*replace, *self.job.options(self.output))

    def resume(self) -> str:
        """Write the command that resumes it; the journal has the range and the rest."""
        return self._write("--resume", "-o", self.output, *self.job.request_options())

    def keeping_going(self) -> _Commands:
        """Give those that leave out what cannot be read."""
        return attrs.evolve(self, job=attrs.evolve(self.job, keep_going=True))

    def _write(self, *arguments: str) -> str:
        quiet = ("--quiet",) if self.quiet else ()
        return command_line("export", *arguments, *quiet, *self.settings.given_options())


@attrs.define
class _EarlyEnd:
    """Says what is kept of an export that ended early, and how to resume it."""

    output: str
    commands: _Commands
    previous: Unfinished | None

    def show(self) -> None:
        """Write it to standard error."""
        kept = _find_unfinished(self.output)
        if kept is None:
            show("Stopped: nothing is kept yet. Run the same command again.", wraps=False)
        else:
            show(f"Stopped: {_kept(kept)}. Resume it with:", wraps=False)
            show(f"  {self.commands.resume()}", wraps=False)

    def command_error(self, error: BoxisError | OSError) -> CommandError:
        """Return how the command ends; as partial, where this run kept more than there was."""
        if isinstance(error, BoxisError):
            ending = CommandError.from_library(error)
        else:
            ending = CommandError(f"{error.filename or self.output}: {error.strerror or error}")
        if isinstance(error, UsageError):
            return ending
        if is_of_a_record(error):
            # The same command would end at the same record.
            self.commands = self.commands.keeping_going()
        kept = _find_unfinished(self.output)
        if kept is None:
            if is_of_a_record(error):
                ending.suggest("Leave it out with", self.commands.start())
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
