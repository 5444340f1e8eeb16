"""`boxis mirror status`: up to when a mirror is complete, and whether its syncs still run.

A sync that has stopped says nothing. So the age of the last good one is shown, and judged.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import click

from .database import (
    advice_on_pruned,
    database_argument,
    ends_now,
    is_tail,
    open_mirror,
    shown_database,
    spans_in_words,
    warn_of_password,
    zone_of,
)
from .dates import write_length
from .errors import CommandError
from .exit_codes import ExitCode
from .messages import plural
from .option_groups import GroupedCommand, option
from .options import DATES, OUTPUT, length_option, range_options, read_dates
from .output import show, show_data
from .program import command_line
from .signals import run_until_signal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boxis_async import Window
    from boxis_async.mirror import TenantStatus

__all__ = ["status"]

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


@click.command(cls=GroupedCommand, epilog=DATES, short_help="Show up to when a mirror is complete.")
@database_argument
@range_options
@length_option("--max-age", heading=OUTPUT,
               help="Exit code 9 where the last good sync is older: 2h, 1d.")  # fmt: skip
@option("--json", "as_json", heading=OUTPUT, is_flag=True, help="Print one JSON object.")
def status(  # noqa: PLR0913 - each is one option
    *,
    database: str,
    datefrom: str | None,
    dateto: str | None,
    month: str | None,
    day: str | None,
    max_age: timedelta | None,
    as_json: bool,
) -> None:
    """Show what is in DATABASE, for each tenant: up to when, what is missing, how old it is.

    It sends no request. The exit code is 6 where a span of the range is missing, and 9 where the
    last good sync is older than --max-age. Without a range it is the one that is mirrored, until
    the last sync.

    \b
    Example: boxis mirror status calls.db --max-age 2h
    """  # noqa: D301 - \b keeps click from wrapping
    warn_of_password(database)
    tenants, zone = run_until_signal(_read(database, datefrom, dateto, month, day))
    if as_json:
        content = {
            "database": shown_database(database),
            "timezone": zone,
            "tenants": [_to_json(tenant) for tenant in tenants],
        }
        show_data(json.dumps(content, indent=2))
    elif not tenants:
        show("The mirror is empty: boxis mirror sync fills it", on_stdout=True)
    else:
        for tenant in tenants:
            _print(tenant)
    _judge(tenants, max_age, database)


async def _read(
    database: str, datefrom: str | None, dateto: str | None, month: str | None, day: str | None
) -> tuple[list[TenantStatus], str | None]:
    async with open_mirror(database) as mirror:
        zone = zone_of(mirror)
        dates = read_dates(zone, datefrom, dateto, month, day)
        if dates is None:
            tenants = await mirror.status()
        else:
            tenants = await mirror.status(dates.datefrom, dates.dateto)
        if dates is None or ends_now(dates, zone):
            tenants = [_until_last_sync(tenant) for tenant in tenants]
        return tenants, None if mirror.timezone is None else f"{mirror.timezone}"


def _until_last_sync(tenant: TenantStatus) -> TenantStatus:
    """Leave out of what is missing what no sync could know of yet."""
    if is_tail(tenant.missing, (*tenant.complete, *tenant.young)):
        return attrs.evolve(tenant, missing=tenant.missing[:-1])
    return tenant


def _judge(tenants: Sequence[TenantStatus], max_age: timedelta | None, database: str) -> None:
    """End as the exit codes say.

    Raises:
        CommandError: The last good sync is too old, or a span is missing.
    """
    if max_age is not None:
        now = datetime.now(UTC)
        old = [
            one for one in tenants if one.last_good_run is None or now - one.last_good_run > max_age
        ]
        if old or not tenants:
            which = ", ".join(f"{one.tenant}: {_age(one)}" for one in old) or "there was none"
            raise CommandError(
                f"the last good sync is older than {write_length(max_age)} ({which})",
                exit_code=ExitCode.STALE,
                advice="see why boxis mirror sync does not run, or fails",
            )
    lacking = [one for one in tenants if one.missing]
    if lacking:
        one = lacking[0]
        pruned = one.pruned_before
        failure = CommandError(
            f"{plural(len(one.missing), 'span')} of {one.tenant} missing: "
            f"{spans_in_words(one.missing)}",
            exit_code=ExitCode.PARTIAL,
            advice=None if pruned is None else advice_on_pruned(pruned),
        )
        if pruned is None:
            first, last = one.missing[0].start, one.missing[-1].end
            words = ("mirror", "sync", shown_database(database), "--tenant", one.tenant)
            again = command_line(*words, "--from", f"{first}", "--to", f"{last}")
            failure.suggest("Fetch it with", again)
        raise failure


def _print(tenant: TenantStatus) -> None:
    show(tenant.tenant, on_stdout=True, wraps=False)
    until = tenant.complete_until
    for name, value in (
        ("complete until", "nothing is complete" if until is None else f"{until}"),
        ("may still change", spans_in_words(tenant.young)),
        ("missing", spans_in_words(tenant.missing)),
        ("last good sync", _age(tenant)),
        ("legs", f"{tenant.legs:,}"),
        ("gone", f"{tenant.gone:,}" if tenant.gone else ""),
        ("changed in 24 hours", f"{tenant.changed_lately:,}"),
    ):
        if value:
            show(f"  {name:<20}{value}", on_stdout=True, wraps=False)


def _age(tenant: TenantStatus) -> str:
    """Write how long ago the last good sync ended."""
    if tenant.last_good_run is None:
        return "never"
    seconds = max(0.0, (datetime.now(UTC) - tenant.last_good_run).total_seconds())
    name, length = next(unit for unit in _UNITS if seconds >= unit[1] or unit[1] == 1)
    return f"{plural(int(seconds / length), name)} ago"


def _to_json(tenant: TenantStatus) -> dict[str, Any]:
    run, until = tenant.last_good_run, tenant.complete_until
    return {
        "tenant": tenant.tenant,
        "complete_until": None if until is None else f"{until}",
        "missing": _ends(tenant.missing),
        "young": _ends(tenant.young),
        "last_good_run": None if run is None else f"{run:%Y-%m-%dT%H:%M:%SZ}",
        "age_seconds": None if run is None else int((datetime.now(UTC) - run).total_seconds()),
        "legs": tenant.legs,
        "gone": tenant.gone,
        "changed_lately": tenant.changed_lately,
    }


def _ends(spans: Sequence[Window]) -> list[list[str]]:
    return [[f"{span.start}", f"{span.end}"] for span in spans]
