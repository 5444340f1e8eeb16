"""`boxis calls`: a line for each call, all of them or those that matter now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Unpack

import attrs
import click

from boxis_async import Call, Direction, Outcome, e164

from .call_lines import csv_lines, json_lines, text_lines
from .database import (
    calls_of_mirror,
    database_option,
    lacks_spans,
    refuse_with_database,
    warn_of_password,
)
from .dates import range_in_words, starts_before
from .messages import plural, show_empty, show_range, warn_of_dropped
from .option_groups import GroupedCommand, option
from .options import (
    CALLS,
    DATES,
    OUTPUT,
    call_options,
    connection_options,
    quiet_option,
    range_options,
    require_range,
    verbose_option,
    window_option,
)
from .output import show, show_lines
from .progress import take_calls
from .settings import ConnectionValues, read_settings
from .signals import run_until_signal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from boxis_async import BoxisClient, CallStream

    from .errors import CommandError

__all__ = ["calls"]

_OUTCOMES: Final = (
    "\b\nHow a call ended:\n"
    + "\n".join(f"  {outcome:10}  {outcome.meaning}" for outcome in Outcome)
    + "\n\n"
)


@click.command(
    cls=GroupedCommand, epilog=_OUTCOMES + DATES, short_help="List calls: who called, how it ended."
)
@database_option
@range_options
@window_option
@option(
    "--missed",
    heading=CALLS,
    is_flag=True,
    help="Only calls that came in, and that no person answered.",
)
@option(
    "--not-called-back",
    heading=CALLS,
    is_flag=True,
    help="Only missed calls of numbers with whom nobody has talked since, until now.",
)
@option(
    "--number",
    "numbers",
    heading=CALLS,
    multiple=True,
    metavar="NUMBER",
    help="Only calls with this outside number, in any spelling; may be repeated.",
)
@option(
    "--answered-by",
    "answerers",
    heading=CALLS,
    multiple=True,
    metavar="WHO",
    help="Only calls that this person or extension answered; may be repeated.",
)
@call_options
@option("--json", "as_json", heading=OUTPUT, is_flag=True, help="Print a JSON object a line.")
@option(
    "--csv",
    "as_csv",
    heading=OUTPUT,
    is_flag=True,
    help="Print CSV; what a spreadsheet would take for a formula is made a text.",
)
@connection_options
@quiet_option("range and no progress on stderr")
@verbose_option
@click.pass_context
def calls(  # noqa: PLR0913 - each is one option
    ctx: click.Context,
    *,
    database: str | None,
    datefrom: str | None,
    dateto: str | None,
    month: str | None,
    day: str | None,
    missed: bool,
    not_called_back: bool,
    numbers: tuple[str, ...],
    answerers: tuple[str, ...],
    country: str,
    margin: timedelta,
    window: timedelta | None,
    as_json: bool,
    as_csv: bool,
    quiet: bool,
    verbose: bool,
    **connection: Unpack[ConnectionValues],
) -> None:
    """List the calls that start in a range, a line each.

    A call has all of its legs, and is answered where a person picked up. To see who reached nobody
    yesterday, and has not been called back, nor got through, since:

    \b
    Example: boxis calls --day yesterday --not-called-back
    """  # noqa: D301 - \b keeps click from wrapping
    if as_json and as_csv:
        raise click.UsageError("--json and --csv contradict each other: give one")
    settings = read_settings(ctx, connection, prompt_for_key=database is None)
    if database is None:
        settings.require_tenant()
    else:
        refuse_with_database(ctx, "margin", "window")
        warn_of_password(database)
    dates = require_range(settings, datefrom, dateto, month, day)
    read = dates
    if not_called_back:
        read = attrs.evolve(dates, dateto=datetime.now(UTC), is_open=True)
    ending: CommandError | None = None
    if database is None:
        client = settings.client()
        if not quiet:
            show_range(dates.datefrom, dates.dateto, settings.zone)
        stream = client.iter_calls(
            read.datefrom, read.until, margin=margin, country=country, window=window
        )
        found = run_until_signal(_fetch(client, stream, draw_bar=not (quiet or verbose)))
        warn_of_dropped(stream.stats)
        if not (stream.stats.records or quiet):
            show_empty(settings.tenant, settings.zone)
    else:
        if not quiet:
            show_range(dates.datefrom, dates.dateto, settings.zone)
        found, covered = run_until_signal(calls_of_mirror(database, settings, read))
        ending = lacks_spans(covered, database, read, settings)
    kept = [call for call in found if call.missed or not (missed or not_called_back)]
    if not_called_back:
        talks = _last_talks(found, country)
        kept = [call for call in kept if not _has_talked_since(call, talks, country)]
    # A range that ends now ends by the provider's clock, which may be ahead of ours.
    kept = [call for call in kept if dates.is_open or starts_before(call.start, dates.dateto)]
    kept = _chosen(kept, numbers, answerers, country)
    title = f"{plural(len(kept), 'call')} {range_in_words(dates, settings.zone)}"
    _print(kept, title, as_json=as_json, as_csv=as_csv)
    if ending is not None:
        raise ending


def _chosen(
    found: list[Call], numbers: tuple[str, ...], answerers: tuple[str, ...], country: str
) -> list[Call]:
    """Give the calls with one of the numbers, and answered by one of these; none is any."""
    wanted = {e164(number, country) for number in numbers}
    return [
        call
        for call in found
        if (not wanted or e164(call.outside, country) in wanted)
        and (not answerers or call.answered_by in answerers)
    ]


def _print(kept: list[Call], title: str, *, as_json: bool, as_csv: bool) -> None:
    if as_json:
        show_lines(json_lines(kept))
    elif as_csv:
        show_lines(csv_lines(kept), end="\r\n")
    else:
        show(title, on_stdout=True, wraps=False)
        show_lines(text_lines(kept))


async def _fetch(client: BoxisClient, stream: CallStream, *, draw_bar: bool) -> list[Call]:
    found: list[Call] = []
    async with client, stream:
        await take_calls(stream, found.append, draw_bar=draw_bar)
    found.sort(key=lambda call: call.start.timestamp())
    return found


def _last_talks(found: Iterable[Call], country: str) -> dict[str, float]:
    """Give when the last call began in which somebody talked with a number, in Unix seconds."""
    return {
        e164(call.outside, country): call.start.timestamp()
        for call in found
        if call.answered and call.outside
    }


def _has_talked_since(call: Call, talks: dict[str, float], country: str) -> bool:
    # Whoever hides the number cannot be called back, nor recognised.
    if call.direction is not Direction.INBOUND or not call.outside:
        return False
    return talks.get(e164(call.outside, country), 0.0) > call.start.timestamp()
