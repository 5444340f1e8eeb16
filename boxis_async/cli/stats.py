"""`boxis stats`: count the calls of a range: answered, missed, how long, at what cost."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Unpack

import click

from boxis_async import BoxisError, Stats
from boxis_async.call_stats import DIMENSIONS, CallStats, Dimension, Totals
from boxis_async.export import write_rejects

from .database import (
    calls_of_mirror,
    database_option,
    lacks_spans,
    refuse_with_database,
    warn_of_password,
)
from .dates import range_in_words, write_length, write_moment
from .errors import CommandError, advice_for, is_of_a_record, lacks_rejects
from .exit_codes import ExitCode
from .messages import percent, plural, show_empty, show_range, warn_of_dropped
from .option_groups import GroupedCommand, option
from .options import (
    DATES,
    DEFAULT_MARGIN,
    OUTPUT,
    call_options,
    check_rejects,
    connection_options,
    keep_going_options,
    quiet_option,
    range_options,
    request_options,
    require_range,
    verbose_option,
)
from .output import show_data
from .program import command_line
from .progress import take_calls
from .settings import DEFAULT_COUNTRY, ConnectionValues, read_settings
from .signals import run_until_signal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from boxis_async import BoxisClient, CallStream, Window
    from boxis_async.mirror import Covered

    from .dates import DateRange
    from .settings import Settings

__all__ = ["stats"]

# A longer range has no line for each day, unless `--by day` is given.
_MOST_DAYS = 31
_TOP = 15


@click.command(
    cls=GroupedCommand, epilog=DATES, short_help="Count calls, missed calls, talk time and cost."
)
@database_option
@range_options
@request_options
@call_options
@option("--by", "dimensions", heading=OUTPUT, multiple=True, metavar="GROUP",
        type=click.Choice(DIMENSIONS),
        help="Group by day, hour, direction, outcome, disposition, number, dialled (the line or "
             "queue), answered-by, extension or cc-date; may be repeated.")  # fmt: skip
@option("--top", heading=OUTPUT, type=click.IntRange(min=1), default=_TOP, metavar="N",
        show_default=True, help="How many numbers or extensions to show.")  # fmt: skip
@option("--json", "as_json", heading=OUTPUT, is_flag=True,
        help="Print one JSON object, with every group.")  # fmt: skip
@keep_going_options
@connection_options
@quiet_option("progress and no range on stderr")
@verbose_option
@click.pass_context
def stats(  # noqa: PLR0913 - each is one option
    ctx: click.Context,
    *,
    database: str | None,
    datefrom: str | None,
    dateto: str | None,
    month: str | None,
    day: str | None,
    dimensions: tuple[Dimension, ...],
    top: int,
    as_json: bool,
    window: timedelta | None,
    row_limit: int | None,
    clip: str | None,
    country: str,
    margin: timedelta,
    keep_going: bool,
    rejects: str | None,
    quiet: bool,
    verbose: bool,
    **connection: Unpack[ConnectionValues],
) -> None:
    """Count the calls that start in a range, each with all of its legs.

    Answered: a person picked up. Voicemail: a box took it. Machine: only a menu, an announcement
    or an empty queue picked up. Missed: it came in, and no person picked up. A call counts for
    the day and the hour at which its first leg began, and so does its cost; --by cc-date has the
    cost by the provider's own day. A number is that of the outside party.

    \b
    Example: boxis stats --month "last month" --by day --by dialled
    """  # noqa: D301 - \b keeps click from wrapping
    if database is not None:
        refuse_with_database(ctx, "margin", "window", "row_limit", "keep_going", "rejects")
        settings = read_settings(ctx, connection, prompt_for_key=False)
        dates = require_range(settings, datefrom, dateto, month, day)
        _show_those_of_mirror(
            database, settings, dates, dimensions,
            country=country, top=top, as_json=as_json, quiet=quiet,
        )  # fmt: skip
        return
    settings = read_settings(ctx, connection)
    settings.require_tenant()
    dates = require_range(settings, datefrom, dateto, month, day)
    check_rejects(rejects, keep_going=keep_going)
    client = settings.client()
    if not quiet:
        show_range(dates.datefrom, dates.dateto, settings.zone)
    choice: Literal["raise", "collect"] = "collect" if keep_going else "raise"
    calls = client.iter_calls(
        dates.datefrom,
        dates.until,
        margin=margin,
        country=country,
        window=window,
        row_limit=row_limit,
        on_error=choice,
        bad_records=choice,
    )
    again = command_line(
        *("stats", *dates.options()),
        # Calls are always those that start in the range.
        *(("--clip", "start") if clip else ()),
        *(("--window", write_length(window)) if window else ()),
        *(("--row-limit", str(row_limit)) if row_limit else ()),
        *(("--country", country) if country != DEFAULT_COUNTRY else ()),
        *(("--margin", write_length(margin)) if margin != DEFAULT_MARGIN else ()),
        *(word for dimension in dimensions for word in ("--by", dimension)),
        *(("--top", str(top)) if top != _TOP else ()),
        *(("--json",) if as_json else ()),
        "--keep-going",
        *(("--rejects", rejects) if rejects else ()),
        *(("--quiet",) if quiet else ()),
        *settings.given_options(),
    )
    # The lines of --verbose would tear the bar.
    count = _count(client, calls, country, draw_bar=not (quiet or verbose))
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
    if not (calls.stats.records or quiet):
        show_empty(settings.tenant, settings.zone)
    failed = [failure.window for failure in calls.failures if failure.window is not None]
    _print(
        call_stats, settings, dates, dimensions,
        run=calls.stats, missing=failed, top=top, as_json=as_json,
    )  # fmt: skip
    _check_whole(calls, rejects, again)


def _show_those_of_mirror(  # noqa: PLR0913 - each is one option
    database: str,
    settings: Settings,
    dates: DateRange,
    dimensions: tuple[Dimension, ...],
    *,
    country: str,
    top: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Count the calls in a mirror.

    Raises:
        CommandError: Spans of the range are not in it.
    """
    warn_of_password(database)
    if not quiet:
        show_range(dates.datefrom, dates.dateto, settings.zone)
    found, covered = run_until_signal(calls_of_mirror(database, settings, dates))
    ending = lacks_spans(covered, database, dates, settings)
    call_stats = CallStats(country)
    call_stats.add(found)
    _print(
        call_stats, settings, dates, dimensions,
        run=Stats(covered=_share_of(covered)), missing=covered.missing, top=top, as_json=as_json,
    )  # fmt: skip
    if ending is not None:
        raise ending


def _share_of(covered: Covered) -> float:
    """Give the share of a range that is there, complete or young."""
    there = sum((span.length for span in (*covered.complete, *covered.young)), timedelta(0))
    missing = sum((span.length for span in covered.missing), timedelta(0))
    return there / (there + missing)


def _print(  # noqa: PLR0913 - what is shown, and how
    call_stats: CallStats,
    settings: Settings,
    dates: DateRange,
    dimensions: tuple[Dimension, ...],
    *,
    run: Stats,
    missing: Sequence[Window],
    top: int,
    as_json: bool,
) -> None:
    if as_json:
        found = _to_json(call_stats, settings, dates, dimensions, run=run, missing=missing, top=top)
        show_data(json.dumps(found, indent=2))
        return
    # Here, as it loads rich.
    from .tables import print_stats, stdout_console  # noqa: PLC0415

    print_stats(
        stdout_console(),
        call_stats,
        dimensions or _overview(call_stats),
        title=f"Calls {range_in_words(dates, settings.zone)}",
        place=", ".join(filter(None, (settings.tenant, settings.timezone))),
        top=top,
    )


def _check_whole(calls: CallStream, file: str | None, again: str) -> None:
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


async def _count(
    client: BoxisClient, calls: CallStream, country: str, *, draw_bar: bool
) -> CallStats:
    call_stats = CallStats(country)
    async with client, calls:
        await take_calls(calls, lambda call: call_stats.add([call]), draw_bar=draw_bar)
    return call_stats


def _overview(call_stats: CallStats) -> tuple[Dimension, ...]:
    """Choose the groups where `--by` is not given: days, or of a long range the hours."""
    days = call_stats.by_day()
    few = not days or (max(days) - min(days)).days < _MOST_DAYS
    return ("direction", "outcome", "day" if few else "hour", "dialled", "number")


def _to_json(  # noqa: PLR0913 - each is a part of the object, or chooses one
    call_stats: CallStats,
    settings: Settings,
    dates: DateRange,
    dimensions: tuple[Dimension, ...],
    *,
    run: Stats,
    missing: Sequence[Window],
    top: int,
) -> dict[str, Any]:
    """Make the object that `--json` prints; costs are texts, so that no digit is lost."""
    groups: dict[Dimension, list[dict[str, Any]]] = {
        "day": _listed("day", {f"{day}": totals for day, totals in call_stats.by_day().items()}),
        "hour": _listed("hour", call_stats.by_hour()),
        "direction": _listed("direction", call_stats.by_direction()),
        "outcome": _listed("outcome", call_stats.by_outcome()),
        "disposition": [
            {"disposition": name, "legs": legs}
            for name, legs in call_stats.dispositions.most_common()
        ],
        "number": _listed("number", call_stats.by_number(top)),
        "dialled": _listed("dialled", call_stats.by_dialled(top)),
        "answered-by": _listed("answered_by", call_stats.by_answerer(top)),
        "extension": _listed("extension", call_stats.by_extension(top)),
        "cc-date": [
            {"cc_date": day, "legs": booked.legs, "cost": f"{booked.cost:f}"}
            for day, booked in call_stats.by_cc_date().items()
        ],
    }
    waits = call_stats.waits()
    return {
        "from": write_moment(dates.datefrom, settings.zone),
        "to": write_moment(dates.dateto, settings.zone),
        "timezone": settings.timezone,
        "tenant": settings.tenant,
        # Of which part of the range the figures are.
        "covered": run.covered,
        "missing": [[f"{span.start}", f"{span.end}"] for span in missing],
        "conflicts": run.conflicts,
        "revisions": run.revisions,
        "rejects": run.rejects,
        "failed_windows": run.failures,
        "total": call_stats.total.to_dict(),
        "waiting": None if waits is None else waits.to_dict(),
    } | {f"by_{name.replace('-', '_')}": groups[name] for name in dimensions or DIMENSIONS}


def _listed(name: str, groups: Mapping[str, Totals] | Mapping[int, Totals]) -> list[dict[str, Any]]:
    return [{name: group} | totals.to_dict() for group, totals in groups.items()]
