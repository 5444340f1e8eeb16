"""`boxis export`: the calls of a range into a file, whole or absent, or to standard output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

import click

from .job import Wanted
from .options import (
    DATES,
    Screen,
    connected,
    connection_options,
    given_of,
    may_draw,
    range_options,
    read_range,
    trust_options,
    window_option,
)
from .tofile import to_file
from .tooutput import to_output

if TYPE_CHECKING:
    from datetime import timedelta

    from boxis_async.export import Format

__all__ = ["export"]

_EXAMPLE = 'Example: boxis export --month "last month" --unique-by leg -o calls.csv'


@click.command(
    cls=Screen,
    epilog=f"{DATES}\n{_EXAMPLE}",
    short_help="Write calls to a CSV, JSON Lines or Parquet file.",
)
@range_options
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(),
    help="where to; - is standard output, as in a pipe",
)
@click.option("--format", "form", metavar="FORMAT",
              type=click.Choice(["csv", "jsonl", "parquet"]),
              help="csv|jsonl|parquet; else by FILE's suffix")  # fmt: skip
@click.option("--unique-by", metavar="KEY", type=click.Choice(["uniqueid", "leg"]),
              help="uniqueid (default: each once) | leg: every leg")  # fmt: skip
@window_option
@trust_options
@click.option("--formula-safe", is_flag=True, help="CSV: no cell is run as a formula")
@click.option("--resume", is_flag=True, help="go on with what is unfinished beside FILE")
@click.option("--overwrite", is_flag=True, help="replace FILE, or begin it anew")
@click.option("--keep-going", is_flag=True, help="when a window fails, fetch the others first")
@click.option("-q", "--quiet", is_flag=True, help="no progress, no summary")
@connection_options()
@click.pass_context
def export(  # noqa: PLR0913 - each is one option
    ctx: click.Context,
    *,
    datefrom: str | None,
    dateto: str | None,
    month: str | None,
    output: str | None,
    form: Format | None,
    unique_by: Literal["uniqueid", "leg"] | None,
    window: timedelta | None,
    row_limit: int | None,
    clip: Literal["start"] | None,
    formula_safe: bool,
    resume: bool,
    overwrite: bool,
    keep_going: bool,
    quiet: bool,
) -> None:
    """Write the calls of a range to FILE, which is whole in the end or absent."""
    if output is None and sys.stdout.isatty():
        raise click.UsageError("where to? give -o FILE, or -o - for this terminal")
    connection = connected(ctx)
    wanted = Wanted(
        span=read_range(connection, datefrom, dateto, month),
        tenant=given_of(ctx).tenant,
        format=form,
        formula_safe=formula_safe,
        unique_by=unique_by,
        clip=clip,
        is_open_end=month is None and dateto is None,
        window=window,
        row_limit=row_limit,
        keep_going=keep_going,
    )
    if output is None or output == "-":
        if resume or overwrite:
            raise click.UsageError("--resume and --overwrite need a file: give -o FILE")
        to_output(connection, wanted, quiet=quiet, draws=may_draw(ctx, quiet=quiet))
    else:
        to_file(ctx, connection, wanted, output, resume=resume, overwrite=overwrite, quiet=quiet)
