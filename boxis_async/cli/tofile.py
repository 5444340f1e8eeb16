"""An export to a file: begun, gone on with, and told how to go on with when it ended early."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from boxis_async import BoxisError, UsageError
from boxis_async.export import Exported, Unfinished, export, format_of, unfinished

from .dates import write_length
from .options import given_of, may_draw
from .outcome import PARTIAL, Failure, failure_of
from .program import command_line
from .progress import Bar
from .run import run
from .tell import tell_exported, tell_range

if TYPE_CHECKING:
    from collections.abc import Iterator

    from boxis_async import BoxisClient

    from .connection import Connection
    from .job import Job, Wanted

__all__ = ["to_file"]


def to_file(  # noqa: PLR0913 - each is one option
    ctx: click.Context,
    connection: Connection,
    wanted: Wanted,
    output: str,
    *,
    resume: bool,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Write the calls to a file, or go on with what is unfinished beside it.

    Raises:
        Failure: It failed; with the code of a part where this run kept some of it.
    """
    left = unfinished(output) if resume or not overwrite else None
    if left is not None and not resume:
        if left.records or left.covered or Path(output).exists():
            raise click.UsageError(
                f"an unfinished export stands beside {output}: {_kept(left)}. Go on with it, "
                "--resume, or begin it anew, --overwrite"
            )
        left = None  # there is nothing to go on with
    if left is not None:
        job = wanted.go_on(
            left,
            connection.tenant,
            connection.zone,
            tenant_from=connection.origins.get("tenant", "option"),
        )
    else:
        job = _begin(wanted, connection, output, resume=resume, overwrite=overwrite)
    client = connection.client()
    draws = may_draw(ctx, quiet=quiet)
    if not quiet:
        tell_range(connection, job.datefrom, job.dateto)
        if left is not None:
            click.echo(f"Going on: {_kept(left)}", err=True)
    end = _End(output, command_line(*_go_on_with(ctx, wanted, output, quiet=quiet)), left)
    work = _export(client, job, output, left, resume=resume, overwrite=overwrite, draws=draws)
    try:
        exported = run(work, last_words=end.tell)
    except (BoxisError, OSError) as error:
        raise end.failure(error) from None
    tell_exported(exported, to=output, quiet=quiet)


def _begin(
    wanted: Wanted, connection: Connection, output: str, *, resume: bool, overwrite: bool
) -> Job:
    if Path(output).exists() and not Path(output).is_file():
        raise click.UsageError(f"{output} is no file: name one, or - for standard output")
    if Path(output).exists() and resume and not overwrite:
        raise click.UsageError(
            f"{output} is complete, there is nothing to go on with: --overwrite replaces it"
        )
    if resume and wanted.span is None:
        raise click.UsageError(
            f"there is nothing to go on with beside {output}: give --from, or --month, to begin"
        )
    if Path(output).exists() and not overwrite:
        raise click.UsageError(f"{output} is there already: --overwrite replaces it")
    return wanted.begin(connection.need_tenant(), wanted.format or format_of(output))


async def _export(  # noqa: PLR0913 - what the options say
    client: BoxisClient,
    job: Job,
    output: str,
    left: Unfinished | None,
    *,
    resume: bool,
    overwrite: bool,
    draws: bool,
) -> Exported:
    plan = client.cdrs(job.datefrom, job.dateto, **job.question()).plan()
    covered = left.covered if left else 0.0
    async with client:
        with Bar(plan, covered=covered, shown=draws) as bar:
            return await export(
                client,
                output,
                job.datefrom,
                job.dateto,
                format=job.format,
                formula_safe=job.formula_safe,
                resume=resume,
                overwrite=overwrite,
                progress=bar.update,
                **job.question(),
            )


@attrs.frozen
class _End:
    """Says what is kept of an export that ended early, and how to go on with it."""

    output: str
    command: str
    before: Unfinished | None

    def tell(self) -> None:
        """Say it on standard error; nothing where nothing can be gone on with."""
        left = _left(self.output)
        if left is None:
            click.echo("Stopped: nothing is kept yet. Run the same command again.", err=True)
        else:
            click.echo(f"Stopped: {_kept(left)}. Go on with it:\n  {self.command}", err=True)

    def failure(self, error: BoxisError | OSError) -> Failure:
        """Give the end for an error: a part, where this run kept some of it."""
        failure = (
            failure_of(error)
            if isinstance(error, BoxisError)
            else Failure(f"{error.filename or self.output}: {error.strerror or error}")
        )
        if isinstance(error, UsageError):
            return failure
        left = _left(self.output)
        if left is None:
            return failure
        done = (self.before.records, self.before.covered) if self.before else (0, 0.0)
        if (left.records, left.covered) > done:
            failure.code = PARTIAL
        failure.last_words = self.tell
        return failure


def _left(output: str) -> Unfinished | None:
    try:
        return unfinished(output)
    except UsageError:  # its journal cannot be read, so there is nothing to go on with
        return None


def _kept(left: Unfinished) -> str:
    kept = "record is" if left.records == 1 else "records are"
    return f"{left.records:,} {kept} kept, {left.covered:.0%} of the range"


def _go_on_with(ctx: click.Context, wanted: Wanted, output: str, *, quiet: bool) -> Iterator[str]:
    """Give the arguments of a run that goes on; the rest stands in the journal."""
    yield from ("export", "--resume", "-o", output)
    if wanted.window is not None:
        yield from ("--window", write_length(wanted.window))
    if wanted.row_limit is not None:
        yield from ("--row-limit", str(wanted.row_limit))
    if wanted.keep_going:
        yield "--keep-going"
    if quiet:
        yield "--quiet"
    yield from given_of(ctx).arguments()
