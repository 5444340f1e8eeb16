"""`boxis export`: write the calls of a range to a file, whole or absent, or to standard output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal, Unpack

import click

from boxis_async.export import rejects_path

from .export_options import ExportOptions
from .export_to_file import export_to_file
from .export_to_output import export_to_output
from .option_groups import GroupedCommand, option
from .options import (
    DATES,
    OUTPUT,
    check_rejects,
    connection_options,
    keep_going_options,
    quiet_option,
    range_options,
    read_range,
    request_options,
    verbose_option,
)
from .settings import FROM_OPTION, ConnectionValues, read_settings

if TYPE_CHECKING:
    from datetime import timedelta

    from boxis_async.export import Format

__all__ = ["export"]


@click.command(
    cls=GroupedCommand, epilog=DATES, short_help="Write calls to a CSV, JSON Lines or Parquet file."
)
@range_options
@request_options
@option("-o", "--output", heading=OUTPUT, metavar="FILE", type=click.Path(),
        help="Where to write; - is standard output.")  # fmt: skip
@option("--format", "form", heading=OUTPUT, type=click.Choice(["csv", "jsonl", "parquet"]),
        help="Else the suffix of FILE decides.")  # fmt: skip
@option("--unique-by", heading=OUTPUT, type=click.Choice(["uniqueid", "leg"]),
        help="One record for each uniqueid (the default), or every leg.")  # fmt: skip
@option("--formula-safe", heading=OUTPUT, is_flag=True,
        help="CSV: no spreadsheet runs a cell as a formula.")  # fmt: skip
@option("--resume", heading=OUTPUT, is_flag=True,
        help="Complete the unfinished export beside FILE.")  # fmt: skip
@option("--overwrite", heading=OUTPUT, is_flag=True, help="Replace FILE, or start it again.")
@option("--mkdir", heading=OUTPUT, is_flag=True, help="Make the folder of FILE.")
@keep_going_options
@connection_options
@quiet_option("progress and no summary")
@verbose_option
@click.pass_context
def export(  # noqa: PLR0913 - each is one option
    ctx: click.Context,
    *,
    datefrom: str | None,
    dateto: str | None,
    month: str | None,
    day: str | None,
    output: str | None,
    form: Format | None,
    unique_by: Literal["uniqueid", "leg"] | None,
    window: timedelta | None,
    row_limit: int | None,
    clip: Literal["start"] | None,
    formula_safe: bool,
    resume: bool,
    overwrite: bool,
    mkdir: bool,
    keep_going: bool,
    rejects: str | None,
    quiet: bool,
    verbose: bool,
    **connection: Unpack[ConnectionValues],
) -> None:
    """Write the calls of a range to FILE.

    FILE appears when it is complete, and not before. What an interrupted export has fetched is
    kept beside FILE, and --resume completes it. With --keep-going, records that cannot be read are
    in FILE.rejects.jsonl instead.

    \b
    Example: boxis export --month "last month" --unique-by leg -o calls.csv
    """  # noqa: D301 - \b keeps click from wrapping
    if output is None and sys.stdout.isatty():
        raise click.UsageError("where to? give -o FILE, or -o - for this terminal")
    settings = read_settings(ctx, connection)
    options = ExportOptions(
        range=read_range(settings, datefrom, dateto, month, day),
        tenant=settings.tenant if settings.sources["tenant"] == FROM_OPTION else None,
        format=form,
        formula_safe=formula_safe,
        unique_by=unique_by,
        clip=clip,
        has_open_end=month is None and day is None and dateto is None,
        window=window,
        row_limit=row_limit,
        keep_going=keep_going,
    )
    draw_bar = not (quiet or verbose)  # the lines of --verbose would tear the bar
    if output is None or output == "-":
        if resume or overwrite or mkdir:
            raise click.UsageError("--resume, --overwrite and --mkdir need a file: give -o FILE")
        check_rejects(rejects, keep_going=keep_going)
        export_to_output(settings, options, rejects=rejects, quiet=quiet, draw_bar=draw_bar)
    else:
        if rejects is not None:
            raise click.UsageError(
                f"--rejects is for standard output: beside {output} they are in "
                f"{rejects_path(output).name}"
            )
        export_to_file(
            settings,
            options,
            output,
            resume=resume,
            overwrite=overwrite,
            mkdir=mkdir,
            quiet=quiet,
            draw_bar=draw_bar,
        )
