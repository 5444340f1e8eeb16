"""`boxis mirror verify`: ask the provider again, and compare its legs with those of a mirror."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Unpack

import click

from .database import database_argument, open_mirror, shown_database, warn_of_password
from .dates import write_moment
from .errors import CommandError
from .exit_codes import ExitCode
from .messages import plural, show_range
from .option_groups import GroupedCommand, option
from .options import (
    DATES,
    OUTPUT,
    connection_options,
    quiet_option,
    range_options,
    require_range,
    verbose_option,
)
from .output import show, show_data
from .program import command_line
from .settings import ConnectionValues, read_settings
from .signals import run_until_signal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from boxis_async import CDR, BoxisClient
    from boxis_async.mirror import Verified

    from .dates import DateRange
    from .settings import Settings

__all__ = ["verify"]

_SHOWN: Final = 20


@click.command(
    cls=GroupedCommand, epilog=DATES, short_help="Compare a mirror with the provider, for billing."
)
@database_argument
@range_options
@option("--json", "as_json", heading=OUTPUT, is_flag=True,
        help="Print one JSON object, with every difference.")  # fmt: skip
@connection_options
@quiet_option("range on stderr")
@verbose_option
@click.pass_context
def verify(  # noqa: PLR0913 - each is one option
    ctx: click.Context,
    *,
    database: str,
    datefrom: str | None,
    dateto: str | None,
    month: str | None,
    day: str | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **connection: Unpack[ConnectionValues],
) -> None:
    """Ask the provider again for a range, and compare its legs with those in DATABASE.

    It changes nothing. Where they differ, the exit code is 7, and the command shows how to read
    the range again. To be done before a bill is made of a mirror.

    \b
    Example: boxis mirror verify calls.db --month "last month"
    """  # noqa: D301 - \b keeps click from wrapping
    del verbose  # its own callback has turned the log on
    warn_of_password(database)
    settings = read_settings(ctx, connection)
    tenant = settings.require_tenant()
    dates = require_range(settings, datefrom, dateto, month, day)
    client = settings.client()
    if not quiet:
        show_range(dates.datefrom, dates.dateto, settings.zone)
    found = run_until_signal(_compare(client, database, dates, tenant))
    if as_json:
        show_data(json.dumps(_to_json(found), indent=2))
    else:
        _print(found)
    if not found.is_same:
        raise _differs(found, database, dates, settings)


async def _compare(client: BoxisClient, database: str, dates: DateRange, tenant: str) -> Verified:
    async with client, open_mirror(database) as mirror:
        return await mirror.verify(client, dates.datefrom, dates.dateto, tenant=tenant)


def _differs(found: Verified, database: str, dates: DateRange, settings: Settings) -> CommandError:
    counts = (
        (len(found.different), "different"),
        (len(found.only_there), "only at the provider"),
        (len(found.only_here), "only in the mirror"),
    )
    which = ", ".join(f"{count:,} {what}" for count, what in counts if count)
    start, end = (write_moment(one, settings.zone) for one in (dates.datefrom, dates.dateto))
    return CommandError(
        f"the mirror has other legs than the provider: {which}", exit_code=ExitCode.CONTRADICTION
    ).suggest(
        "Read them again with",
        command_line(
            # From the start, as it may lie before what is mirrored, which would not be read.
            *("mirror", "sync", shown_database(database), "--recheck", start, "--from", start),
            *(() if dates.is_open else ("--to", end)),
            *settings.given_options(),
        ),
    )


def _print(found: Verified) -> None:
    show(f"{plural(found.same, 'leg')} the same", on_stdout=True, wraps=False)
    lines = [*_lines(found)]
    for line in lines[:_SHOWN]:
        show(line, on_stdout=True, wraps=False)
    if len(lines) > _SHOWN:
        more = f"… {len(lines) - _SHOWN:,} more: --json has them all"
        show(more, on_stdout=True, wraps=False)


def _lines(found: Verified) -> Iterator[str]:
    for one in found.different:
        changes = ", ".join(
            f"{name} {getattr(one.here, name)!s} → {getattr(one.there, name)!s}"
            for name in one.fields
        )
        yield f"different  {_name(one.here)}: {changes}"
    for leg in found.only_there:
        yield f"not here   {_name(leg)}"
    for leg in found.only_here:
        yield f"only here  {_name(leg)}"


def _name(leg: CDR) -> str:
    return f"{leg.start:%Y-%m-%d %H:%M:%S} {' '.join(leg.leg)}"


def _to_json(found: Verified) -> dict[str, Any]:
    return {
        "same": found.same,
        "different": [
            {
                "leg": list(one.here.leg),
                "fields": {
                    name: [_value(one.here, name), _value(one.there, name)] for name in one.fields
                },
            }
            for one in found.different
        ],
        "only_there": [list(leg.leg) for leg in found.only_there],
        "only_here": [list(leg.leg) for leg in found.only_here],
        "forgotten": found.forgotten,
        "requests": found.requests,
    }


def _value(leg: CDR, name: str) -> str | None:
    value = getattr(leg, name)
    return None if value is None else str(value)
