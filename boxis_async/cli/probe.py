"""`boxis probe`: find out what the provider's two dates mean, and show the evidence."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Final, Unpack

import click

from .dates import parse_moment
from .exit_codes import ExitCode
from .messages import plural, warn
from .option_groups import GroupedCommand, option
from .options import DATES, OUTPUT, REQUESTS, connection_options, verbose_option
from .output import show, show_data
from .profiles import DEFAULT_PROFILE
from .settings import ConnectionValues, read_settings
from .signals import run_until_signal

if TYPE_CHECKING:
    from datetime import date

    from boxis_async import BoxisClient, Contract, Finding

    from .settings import Settings

__all__ = ["probe"]

_SYMBOLS: Final = {"certain": ("✓", "ok"), "likely": ("~", "~~"), "unknown": ("·", "??")}
_UNITS: Final = {"longest_call": " s", "clock_offset": " s"}
_INDENT: Final = 17


@click.command(
    cls=GroupedCommand, epilog=DATES, short_help="Find out what the provider's two dates mean."
)
@option("--around", heading=REQUESTS, metavar="DATE",
        help="Where to look for calls; else where they came to rest last.")  # fmt: skip
@option("--max-requests", heading=REQUESTS, type=click.IntRange(min=1), metavar="N", default=12,
        help="Requests at most, those sent again included; else 12.")  # fmt: skip
@option("--json", "as_json", heading=OUTPUT, is_flag=True, help="Print one JSON object.")
@connection_options
@verbose_option
@click.pass_context
def probe(
    ctx: click.Context,
    *,
    around: str | None,
    max_requests: int,
    as_json: bool,
    verbose: bool,
    **connection: Unpack[ConnectionValues],
) -> None:
    """Find out what the provider's two dates mean, and whether answers are cut off.

    The command looks at calls that are there, some 10,000 records at most. It prints each finding
    with its evidence, and a table for the profile. Nothing that it prints names a person. Where
    the profile has such a table and the provider does otherwise, the exit code is 7.

    \b
    Example: boxis probe --around 2026-10-01
    """  # noqa: D301 - \b keeps click from wrapping
    del verbose  # its own callback has turned the log on
    settings = read_settings(ctx, connection)
    settings.require_tenant()
    moment = _read_around(settings, around)
    client = settings.client()
    contract = run_until_signal(_probe(client, moment, max_requests))
    contradictions = settings.contract.contradictions(contract) if settings.contract else ()
    if as_json:
        shown = json.loads(contract.to_json()) | {"contradictions": list(contradictions)}
        show_data(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        _print_findings(contract)
        _print_table(contract, settings.profile or DEFAULT_PROFILE)
    for contradiction in contradictions:
        warn(f"the profile's contract does not hold: {contradiction}")
    if contradictions:
        ctx.exit(ExitCode.CONTRADICTION)


def _read_around(settings: Settings, around: str | None) -> date | None:
    if around is None:
        return None
    try:
        moment = parse_moment(around, now=datetime.now(UTC).astimezone(settings.zone))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    # A day is meant, and there are few calls at midnight.
    return moment.date() if moment.time() == time() else moment


async def _probe(client: BoxisClient, around: date | None, max_requests: int) -> Contract:
    async with client:
        return await client.probe(around=around, max_requests=max_requests)


def _print_findings(contract: Contract) -> None:
    show(contract.describe(), on_stdout=True, wraps=False)
    show(on_stdout=True)
    for finding in contract.findings:
        start = f"{_symbol(finding.certainty)} {finding.name:<{_INDENT - 2}}"
        text = f"{_shown(finding)}: {finding.evidence}"
        show(start + text, on_stdout=True, indent=_INDENT)
    show(on_stdout=True)
    show(plural(contract.requests, "request"), on_stdout=True)


def _print_table(contract: Contract, profile: str) -> None:
    table = f"[{_quoted(profile)}.contract]\n{contract.to_toml()}"
    show_data(f"\nFor the profile:\n\n{table}", ends_line=False)


def _quoted(name: str) -> str:
    """Write a name as a key of TOML; JSON's texts are TOML's."""
    is_bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if is_bare else json.dumps(name, ensure_ascii=False)


def _shown(finding: Finding) -> str:
    match finding.value:
        case None:
            return "unknown"
        case bool():
            return "yes" if finding.value else "no"
        case _:
            return f"{finding.value}{_UNITS.get(finding.name, '')}"


def _symbol(certainty: str) -> str:
    """Return the symbol, or letters where standard output cannot carry it."""
    symbol, letters = _SYMBOLS[certainty]
    return symbol if (sys.stdout.encoding or "").lower().startswith("utf") else letters
