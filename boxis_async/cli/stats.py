"""`boxis stats`: count the calls of a range, and add up their talk time and cost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, Unpack

import click

from boxis_async import BoxisError
from boxis_async.export import write_rejects

from .call_stats import DIMENSIONS, CallStats, Dimension, Totals
from .dates import write_length, write_moment
from .errors import CommandError, advice_for, is_of_a_record, lacks_rejects
from .exit_codes import ExitCode
from .messages import percent, plural, show_range, warn_of_dropped
from .option_groups import GroupedCommand, option
from .options import (
    DATES,
    OUTPUT,
    check_rejects,
    connection_options,
    keep_going_options,
    quiet_option,
    range_options,
    request_options,
    require_range,
    verbose_option,
)
from .program import command_line
from .progress import ProgressBar
from .settings import ConnectionValues, read_settings
from .signals import run_until_signal

if TYPE_CHECKING:
    from datetime import timedelta

    from boxis_async import BoxisClient, CDRStream, Stats

    from .dates import DateRange
    from .settings import Settings

__all__ = ["stats"]

# A longer range has no line for each day, unless `--by day` is given.
_MOST_DAYS = 31
_TOP = 15


@click.command(
    cls=GroupedCommand, epilog=DATES, short_help="Count calls, missed calls, talk time and cost."
)
@range_options
@request_options
@option("--by", "dimensions", heading=OUTPUT, multiple=True, metavar="GROUP",
        type=click.Choice(DIMENSIONS),
        help="Group by day, hour, direction, disposition or number; may be repeated.")  # fmt: skip
@option("--top", heading=OUTPUT, type=click.IntRange(min=1), default=_TOP, metavar="N",
        show_default=True, help="How many numbers to show.")  # fmt: skip
@option("--json", "as_json", heading=OUTPUT, is_flag=True,
        help="Print one JSON object, with every group.")  # fmt: skip
@keep_going_options
@connection_options
@quiet_option("progress and no range")
@verbose_option
@click.pass_context
def stats(  # noqa: PLR0913 - each is one option
    ctx: click.Context,
    *,
    datefrom: str | None,
    dateto: str | None,
    month: str | None,
    dimensions: tuple[Dimension, ...],
    top: int,
    as_json: bool,
    window: timedelta | None,
    row_limit: int | None,
    clip: str | None,
    keep_going: bool,
    rejects: str | None,
    quiet: bool,
    verbose: bool,
    **connection: Unpack[ConnectionValues],
) -> None:
    """Count the calls of a range, each with all of its legs.

    A call was missed if it came in and none of its legs was answered. It counts for the day and
    the hour at which its first leg began. Its number is that of the outside party.

    \b
    Example: boxis stats --month "last month" --by day --by number
    """  # noqa: D301 - \b keeps click from wrapping
    settings = read_settings(ctx, connection)
    settings.require_tenant()
    dates = require_range(settings, datefrom, dateto, month)
    check_rejects(rejects, keep_going=keep_going)
    client = settings.client()
    if not quiet:
        show_range(dates.datefrom, dates.dateto, settings.zone)
    choice: Literal["raise", "collect"] = "collect" if keep_going else "raise"
    calls = client.cdrs(
        dates.datefrom,
        dates.until,
        window=window,
        unique_by="leg",
        clip="start" if clip or dates.is_month else None,
        row_limit=row_limit,
        on_error=choice,
        bad_records=choice,
    )
    again = command_line(
        *("stats", *dates.options()),
        *(("--clip", "start") if clip else ()),
        *(("--window", write_length(window)) if window else ()),
        *(("--row-limit", str(row_limit)) if row_limit else ()),
        *(word for dimension in dimensions for word in ("--by", dimension)),
        *(("--top", str(top)) if top != _TOP else ()),
        *(("--json",) if as_json else ()),
        "--keep-going",
        *(("--rejects", rejects) if rejects else ()),
        *(("--quiet",) if quiet else ()),
        *settings.given_options(),
    )
    # The lines of --verbose would tear the bar.
    count = _count(client, calls, draw_bar=not (quiet or verbose))
    try:
        call_stats = run_until_signal(count)
    except BoxisError as error:
        if not is_of_a_record(error):
            raise
        raise CommandError.from_library(error).suggest("Leave it out with", again) from None
    if rejects is not None:
        write_rejects(calls.rejects, rejects)
    if calls.failures and not (calls.stats.records or calls.stats.covered):
        raise calls.failures[0]
    warn_of_dropped(calls.stats)
    if as_json:
        found = _to_json(call_stats, settings, dates, dimensions, run=calls.stats, top=top)
        click.echo(json.dumps(found, indent=2))
    else:
        # Here, as it loads rich.
        from .tables import print_stats, stdout_console  # noqa: PLC0415

        print_stats(stdout_console(), call_stats, dimensions or _overview(call_stats), top=top)
    _check_whole(calls, rejects, again)


def _check_whole(calls: CDRStream, file: str | None, again: str) -> None:
    """Say what the figures lack.

    Raises:
        CommandError: They are of a part of the range.
    """
    lacks = ""
    if failures := calls.failures:
        lacks = (
            f"The figures are of {percent(calls.stats.covered)} of the range: "
            f"{plural(len(failures), 'window')} failed, the first: {failures[0]}"
        )
    if rejects := calls.rejects:
        ending = lacks_rejects(rejects, "The figures lack", file, before=lacks and f"{lacks}. ")
    elif lacks:
        advice = advice_for(failures[0])
        ending = CommandError(lacks, exit_code=ExitCode.PARTIAL, advice=advice)
    else:
        return
    raise ending.suggest("Later, count again with", again)


async def _count(client: BoxisClient, calls: CDRStream, *, draw_bar: bool) -> CallStats:
    call_stats = CallStats()
    async with client, calls:
        with ProgressBar(calls.plan(), enabled=draw_bar) as bar:
            async for batch in calls.batches():
                call_stats.add(batch.cdrs)
                bar.update(calls.stats)
    return call_stats


def _overview(call_stats: CallStats) -> tuple[Dimension, ...]:
    """Choose the groups where `--by` is not given: days, or of a long range the hours."""
    days = call_stats.by_day()
    few = not days or (max(days) - min(days)).days < _MOST_DAYS
    return ("direction", "disposition", "day" if few else "hour", "number")


def _to_json(  # noqa: PLR0913 - each is a part of the object, or chooses one
    call_stats: CallStats,
    settings: Settings,
    dates: DateRange,
    dimensions: tuple[Dimension, ...],
    *,
    run: Stats,
    top: int,
) -> dict[str, Any]:
    """Make the object that `--json` prints; costs are texts, so that no digit is lost."""
    groups: dict[Dimension, list[dict[str, Any]]] = {
        "day": [{"day": f"{day}"} | _totals(totals) for day, totals in call_stats.by_day().items()],
        "hour": [{"hour": hour} | _totals(totals) for hour, totals in call_stats.by_hour().items()],
        "direction": [
            {"direction": way} | _totals(totals)
            for way, totals in call_stats.by_direction().items()
        ],
        "disposition": [
            {"disposition": name, "legs": legs}
            for name, legs in call_stats.dispositions.most_common()
        ],
        "number": [
            {"number": number} | _totals(totals)
            for number, totals in call_stats.by_number(top).items()
        ],
    }
    return {
        "from": write_moment(dates.datefrom, settings.zone),
        "to": write_moment(dates.dateto, settings.zone),
        "timezone": settings.timezone,
        "tenant": settings.tenant,
        "conflicts": run.conflicts,
        "revisions": run.revisions,
        "rejects": run.rejects,
        "failed_windows": run.failures,
        "total": _totals(call_stats.total()),
    } | {f"by_{name}": groups[name] for name in dimensions or DIMENSIONS}


def _totals(totals: Totals) -> dict[str, Any]:
    return {
        "calls": totals.calls,
        "legs": totals.legs,
        "answered_calls": totals.answered,
        "missed_calls": totals.missed,
        "talk_seconds": totals.talk,
        "cost": f"{totals.cost:f}",
    }
