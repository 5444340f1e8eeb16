"""`boxis stats`: count the calls of a range, and add up their talk time and cost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Unpack

import click

from .call_stats import DIMENSIONS, CallStats, Dimension, Totals
from .dates import write_moment
from .messages import show_range, warn_of_dropped
from .option_groups import GroupedCommand, option
from .options import (
    DATES,
    OUTPUT,
    connection_options,
    quiet_option,
    range_options,
    request_options,
    require_range,
    verbose_option,
)
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


@click.command(
    cls=GroupedCommand, epilog=DATES, short_help="Count calls, missed calls, talk time and cost."
)
@range_options
@request_options
@option("--by", "dimensions", heading=OUTPUT, multiple=True, metavar="GROUP",
        type=click.Choice(DIMENSIONS),
        help="Group by day, hour, direction, disposition or number; may be repeated.")  # fmt: skip
@option("--top", heading=OUTPUT, type=click.IntRange(min=1), default=15, metavar="N",
        show_default=True, help="How many numbers to show.")  # fmt: skip
@option("--json", "as_json", heading=OUTPUT, is_flag=True,
        help="Print one JSON object, with every group.")  # fmt: skip
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
    client = settings.client()
    if not quiet:
        show_range(dates.datefrom, dates.dateto, settings.zone)
    calls = client.cdrs(
        dates.datefrom,
        dates.dateto,
        window=window,
        unique_by="leg",
        clip="start" if clip or dates.is_month else None,
        row_limit=row_limit,
    )
    # The lines of --verbose would tear the bar.
    count = _count(client, calls, draw_bar=not (quiet or verbose))
    call_stats = run_until_signal(count)
    warn_of_dropped(calls.stats)
    if as_json:
        found = _to_json(call_stats, settings, dates, dimensions, run=calls.stats, top=top)
        click.echo(json.dumps(found, indent=2))
        return
    # Here, as it loads rich.
    from .tables import print_stats, stdout_console  # noqa: PLC0415

    print_stats(stdout_console(), call_stats, dimensions or _overview(call_stats), top=top)


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
