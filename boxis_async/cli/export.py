"""`boxis export`: write the calls of a range to a file, whole or absent, or to standard output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal, Unpack

import click

from boxis_async.export import FORMATS, rejects_path

from .database import database_option, refuse_with_database
from .export_from_mirror import export_from_mirror
from .export_options import DELIMITERS, ExportOptions, LayoutOptions
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
    from collections.abc import Sequence
    from datetime import timedelta

    from boxis_async.export import Format, Rows

__all__ = ["export"]

_SPELLING = "CSV"


def _read_columns(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[str, ...] | str | None:
    del ctx, param
    if value is None or value.strip() == "readable":
        return value and value.strip()
    return tuple(name.strip() for name in value.split(","))


@click.command(
    cls=GroupedCommand,
    epilog=DATES,
    short_help="Write calls to a CSV, JSON Lines, Parquet or Excel file.",
)
@database_option
@range_options
@request_options
@option("-o", "--output", heading=OUTPUT, metavar="FILE", type=click.Path(),
        help="Where to write; - is standard output.")  # fmt: skip
@option("--format", "form", heading=OUTPUT, type=click.Choice(FORMATS),
        help="Else the suffix of FILE decides.")  # fmt: skip
@option("--unique-by", heading=OUTPUT, type=click.Choice(["uniqueid", "leg"]),
        help="One record for each uniqueid (the default), or every leg.")  # fmt: skip
@option("--rows", heading=OUTPUT, type=click.Choice(["legs", "calls"]),
        help="A row for each leg (the default), or for each call.")  # fmt: skip
@option("--columns", heading=OUTPUT, metavar="NAMES", callback=_read_columns,
        help="Such as start,src,dst; or readable, for the few that people read.")  # fmt: skip
@option("--excel", heading=_SPELLING, is_flag=True,
        help="The same as --delimiter semicolon --bom --local-times.")  # fmt: skip
@option("--delimiter", heading=_SPELLING, type=click.Choice(list(DELIMITERS)),
        help="What separates the fields; else a comma.")  # fmt: skip
@option("--bom", heading=_SPELLING, is_flag=True,
        help="Begin with a byte order mark, by which Excel knows UTF-8.")  # fmt: skip
@option("--local-times", heading=_SPELLING, is_flag=True,
        help="Times on the provider's clock, as spreadsheets read them.")  # fmt: skip
@option("--decimal-comma", heading=_SPELLING, is_flag=True,
        help="Costs as 0,04319, as in Germany.")  # fmt: skip
@option("--formula-safe", heading=_SPELLING, is_flag=True,
        help="No spreadsheet runs a cell as a formula.")  # fmt: skip
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
    database: str | None,
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
    rows: Rows | None,
    columns: Sequence[str] | str | None,
    excel: bool,
    delimiter: str | None,
    bom: bool,
    local_times: bool,
    decimal_comma: bool,
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
    Examples: boxis export --month "last month" --unique-by leg -o calls.csv
              boxis export --day yesterday --rows calls -o calls.xlsx
    """  # noqa: D301 - \b keeps click from wrapping
    if output is None and sys.stdout.isatty():
        raise click.UsageError("where to? give -o FILE, or -o - for this terminal")
    if database is not None:
        refuse_with_database(ctx, "window", "row_limit", "resume", "rejects")
    settings = read_settings(ctx, connection, prompt_for_key=database is None)
    separator = delimiter or ("semicolon" if excel else None)
    options = ExportOptions(
        range=read_range(settings, datefrom, dateto, month, day),
        tenant=settings.tenant if settings.sources["tenant"] == FROM_OPTION else None,
        format=form,
        layout=LayoutOptions(
            rows=rows,
            columns=columns,
            delimiter=DELIMITERS[separator] if separator else None,
            bom=bom or excel,
            local_times=local_times or excel,
            decimal_comma=decimal_comma,
            formula_safe=formula_safe,
        ),
        unique_by=unique_by,
        clip=clip,
        has_open_end=month is None and day is None and dateto is None,
        window=window,
        row_limit=row_limit,
        keep_going=keep_going,
    )
    is_file = output is not None and output != "-"
    if not is_file and (resume or overwrite or mkdir):
        raise click.UsageError("--resume, --overwrite and --mkdir need a file: give -o FILE")
    if database is not None:
        export_from_mirror(
            settings, options, database, output, overwrite=overwrite, mkdir=mkdir, quiet=quiet
        )
        return
    draw_bar = not (quiet or verbose)  # the lines of --verbose would tear the bar
    if output is None or output == "-":
        check_rejects(rejects, keep_going=keep_going)
        if keep_going and rows == "calls":
            raise click.UsageError("--keep-going with --rows calls needs a file: give -o FILE")
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
