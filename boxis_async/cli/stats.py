"""`boxis stats`: what a range of calls amounts to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from .dates import write_moment
from .options import (
    DATES,
    Screen,
    connected,
    connection_options,
    may_draw,
    need_range,
    range_options,
    trust_options,
    window_option,
)
from .progress import Bar
from .run import run
from .tally import DIMENSIONS, Dimension, Figures, Tally
from .tell import tell_range

if TYPE_CHECKING:
    from datetime import timedelta

    from boxis_async import BoxisClient, CDRStream

    from .connection import Connection
    from .dates import Span

__all__ = ["stats"]

_MOST_DAYS = 31


@click.command(
    cls=Screen, epilog=DATES, short_help="Count calls, missed calls, talk time and cost."
)
@range_options
@click.option("--by", "dimensions", multiple=True, metavar="GROUP", type=click.Choice(DIMENSIONS),
              help="day|hour|direction|disposition|number; again for more")  # fmt: skip
@click.option("--top", type=click.IntRange(min=1), default=15, metavar="N", show_default=True,
              help="how many numbers")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="one JSON object, with every group")
@window_option
@trust_options
@click.option("-q", "--quiet", is_flag=True, help="no progress, no range on stderr")
@connection_options()
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
) -> None:
    """Count the calls of a range, each by all of its legs, as --unique-by leg does.

    \b
    A call was missed if it came in and none of its legs was answered. By day and
    hour it counts where its first leg began; a number is the party outside.
    Example: boxis stats --month "last month" --by day --by number
    """  # noqa: D301 - the sign keeps click from wrapping
    connection = connected(ctx)
    connection.need_tenant()
    span = need_range(connection, datefrom, dateto, month)
    client = connection.client()
    if not quiet:
        tell_range(connection, span.datefrom, span.dateto)
    calls = client.cdrs(
        span.datefrom,
        span.dateto,
        window=window,
        unique_by="leg",
        clip="start" if clip or span.is_month else None,
        row_limit=row_limit,
    )
    tally = run(_count(client, calls, shown=may_draw(ctx, quiet=quiet)))
    if as_json:
        click.echo(json.dumps(_object(tally, connection, span, dimensions, top), indent=2))
        return
    # Here, as it loads rich.
    from .tables import draw, screen  # noqa: PLC0415

    draw(screen(), tally, dimensions or _overview(tally), top=top)


async def _count(client: BoxisClient, calls: CDRStream, *, shown: bool) -> Tally:
    tally = Tally()
    async with client, calls:
        with Bar(calls.plan(), shown=shown) as bar:
            async for batch in calls.batches():
                tally.add(batch.cdrs)
                bar.update(calls.stats)
    return tally


def _overview(tally: Tally) -> tuple[Dimension, ...]:
    """Choose what to show when nothing is asked for; a line for each day only of a month."""
    days = tally.by_day()
    few = not days or (max(days) - min(days)).days < _MOST_DAYS
    return ("direction", "disposition", "day" if few else "hour", "number")


def _object(
    tally: Tally,
    connection: Connection,
    span: Span,
    dimensions: tuple[Dimension, ...],
    top: int,
) -> dict[str, Any]:
    """Make the object for machines: names that stay, costs as texts, times in seconds."""
    groups: dict[Dimension, list[dict[str, Any]]] = {
        "day": [{"day": f"{day}"} | _figures(found) for day, found in tally.by_day().items()],
        "hour": [{"hour": hour} | _figures(found) for hour, found in tally.by_hour().items()],
        "direction": [
            {"direction": way} | _figures(found) for way, found in tally.by_direction().items()
        ],
        "disposition": [
            {"disposition": name, "legs": legs} for name, legs in tally.dispositions.most_common()
        ],
        "number": [
            {"number": number} | _figures(found) for number, found in tally.by_number(top).items()
        ],
    }
    return {
        "from": write_moment(span.datefrom, connection.zone),
        "to": write_moment(span.dateto, connection.zone),
        "timezone": connection.timezone,
        "tenant": connection.tenant,
        "total": _figures(tally.total()),
    } | {f"by_{name}": groups[name] for name in dimensions or DIMENSIONS}


def _figures(figures: Figures) -> dict[str, Any]:
    return {
        "calls": figures.calls,
        "legs": figures.legs,
        "answered_calls": figures.answered,
        "missed_calls": figures.missed,
        "talk_seconds": figures.talk,
        "cost": f"{figures.cost:f}",
    }
