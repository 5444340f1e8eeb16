"""`boxis serve`: run a stand-in provider on this machine, with made-up calls, until Ctrl-C."""

from __future__ import annotations

import asyncio
import shlex
import signal
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from .dates import parse_length, parse_moment
from .output import show, show_data
from .settings import DEFAULT_TIMEZONE
from .signals import SignalError, run_until_signal
from .stand_in import API_KEY, TENANT, USERNAME, require_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from boxis_async.testing import Fault, Provider, Received

__all__ = ["serve"]

_DAY = timedelta(days=1)
_DAYS = 30 * _DAY


@click.command(short_help="Run a stand-in provider on this machine.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N",
              help="Port to listen on; else a free one.")  # fmt: skip
@click.option("--calls-per-day", type=click.IntRange(min=0), default=150, metavar="N",
              show_default=True, help="Calls to make up for each day.")  # fmt: skip
@click.option("--from", "datefrom", metavar="DATE", help="First day; else 30 days before --to.")
@click.option("--to", "dateto", metavar="DATE", help="Day after the last one; else tomorrow.")
@click.option("--live", is_flag=True,
              help="Serve yesterday to tomorrow, each call once it has ended.")  # fmt: skip
@click.option("--cost-delay", metavar="LENGTH",
              help="With --live: how much later costs appear; else 4h.")  # fmt: skip
@click.option("--latency", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS",
              help="Wait so long before each answer.")  # fmt: skip
@click.option("--fault-rate", type=click.FloatRange(0, 1), default=0.0, metavar="SHARE",
              help="Answer this share of the requests with HTTP 503.")  # fmt: skip
def serve(  # noqa: PLR0913 - each is one option
    *,
    port: int,
    calls_per_day: int,
    datefrom: str | None,
    dateto: str | None,
    live: bool,
    cost_delay: str | None,
    latency: float,
    fault_rate: float,
) -> None:
    """Serve made-up calls in place of the real provider, on 127.0.0.1, until Ctrl-C.

    The command prints four lines to paste into another shell. There each command, and each
    program that uses boxis_async, then talks to the stand-in.

    \b
    Example: boxis serve --from 2026-10-01 --to 2026-11-01 --fault-rate 0.1
    """  # noqa: D301 - \b keeps click from wrapping
    require_server()
    first, last = _days(datefrom, dateto, live=live)
    delay = _seconds(cost_delay, live=live)
    # Here, so that the other commands start without it.
    from boxis_async.testing import LoopbackServer, Provider, generate_calls  # noqa: PLC0415

    rows = generate_calls(first, last, calls_per_day=calls_per_day)
    provider = Provider(
        rows, username=USERNAME, api_key=API_KEY, tenant=TENANT, latency=latency, live=live
    )
    if delay is not None:
        provider.cost_delay = delay
    if fault_rate:
        provider.faults = _faults(provider, fault_rate)
    with LoopbackServer(provider, port=port) as server:
        how = "appear as their calls end" if live else "are served"
        text = f"{len(rows):,} records of {first} to {last} {how}; Ctrl-C ends it"
        try:
            run_until_signal(_serve(server.url, text))
        except SignalError as error:
            if error.signal is not signal.SIGINT:
                raise
    show()
    show(f"{len(provider.requests):,} requests were answered", wraps=False)


def _print_environment(url: str) -> None:
    for name, value in (
        ("USERNAME", USERNAME),
        ("API_KEY", API_KEY),
        ("TENANT", TENANT),
        ("BASE_URL", url),
    ):
        show_data(f"export BOXIS_{name}={shlex.quote(value)}")


def _days(datefrom: str | None, dateto: str | None, *, live: bool) -> tuple[date, date]:
    now = datetime.now(UTC).astimezone(ZoneInfo(DEFAULT_TIMEZONE))
    tomorrow = now.date() + _DAY
    # With `live`, a day of calls lies behind, and one more is to come.
    default_last = tomorrow + _DAY if live else tomorrow
    try:
        last = parse_moment(dateto, now=now).date() if dateto else default_last
        default_first = now.date() - _DAY if live else last - _DAYS
        first = parse_moment(datefrom, now=now).date() if datefrom else default_first
    except (ValueError, OverflowError) as error:
        raise click.UsageError(str(error)) from None
    if first > last:
        raise click.UsageError(f"--from ({first}) is after --to ({last})")
    return first, last


def _seconds(cost_delay: str | None, *, live: bool) -> float | None:
    if cost_delay is None:
        return None
    if not live:
        raise click.UsageError("--cost-delay needs --live: otherwise records have their costs")
    try:
        return parse_length(cost_delay).total_seconds()
    except ValueError as error:
        raise click.UsageError(f"--cost-delay: {error}") from None


def _faults(provider: Provider, rate: float) -> Callable[[Received], Fault | None]:
    from boxis_async.testing import Fault  # noqa: PLC0415

    return lambda _: Fault.status(503) if provider.random.random() < rate else None


async def _serve(url: str, text: str) -> None:
    # Printed in here, where Ctrl-C is handled already: whoever reads it may press it at once.
    _print_environment(url)
    show(text, wraps=False)
    await asyncio.Event().wait()
