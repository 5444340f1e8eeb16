"""`boxis serve`: the stand-in provider on this machine, with made-up calls, until Ctrl-C."""

from __future__ import annotations

import asyncio
import shlex
import signal
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import click

from .connection import TIMEZONE
from .dates import parse_moment
from .options import Screen
from .outcome import Failure
from .run import StoppedError, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from boxis_async.testing import Fault, Provider, Received

__all__ = ["API_KEY", "TENANT", "USERNAME", "need_server", "serve"]

# Made up, and printed: it opens nothing but the stand-in.
USERNAME: Final = "demo@example.com"
API_KEY: Final = "demo-key"
TENANT: Final = "VOICE-29001-1"

_DAYS = timedelta(days=30)


def need_server() -> None:
    """Check that the stand-in's HTTP server is installed.

    Raises:
        Failure: It is not; it names the extra.
    """
    if find_spec("uvicorn") is None:
        raise Failure(
            'the stand-in\'s HTTP server is not installed: pip install "boxis-async[cli]"'
        )


@click.command(cls=Screen, short_help="Run a stand-in provider on this machine.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N",
              help="to listen on; else one that is free")  # fmt: skip
@click.option("--calls-per-day", type=click.IntRange(min=0), default=150, metavar="N",
              show_default=True, help="calls to make up for each day")  # fmt: skip
@click.option("--from", "datefrom", metavar="DATE", help="first day; else 30 days before --to")
@click.option("--to", "dateto", metavar="DATE", help="the day after the last; else tomorrow")
@click.option("--latency", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS",
              help="to wait before each answer")  # fmt: skip
@click.option("--fault-rate", type=click.FloatRange(0, 1), default=0.0, metavar="SHARE",
              help="of requests answered by HTTP 503: 0 to 1")  # fmt: skip
def serve(  # noqa: PLR0913 - each is one option
    *,
    port: int,
    calls_per_day: int,
    datefrom: str | None,
    dateto: str | None,
    latency: float,
    fault_rate: float,
) -> None:
    """Serve made-up calls on 127.0.0.1, in place of the real provider, until Ctrl-C.

    Prints the lines to paste into another shell, where every command, and every program that
    uses boxis_async, then talks to it.

    \b
    Example: boxis serve --from 2026-10-01 --to 2026-11-01 --fault-rate 0.1
    """  # noqa: D301 - the sign keeps click from wrapping
    need_server()
    first, last = _days(datefrom, dateto)
    # Here, so that the other commands start without it.
    from boxis_async.testing import LoopbackServer, Provider, generate_calls  # noqa: PLC0415

    rows = generate_calls(first, last, calls_per_day=calls_per_day)
    provider = Provider(rows, username=USERNAME, api_key=API_KEY, tenant=TENANT, latency=latency)
    if fault_rate:
        provider.faults = _faults(provider, fault_rate)
    with LoopbackServer(provider, port=port) as server:
        text = f"{len(rows):,} records of {first} to {last} are served; Ctrl-C ends it"
        try:
            run(_serve(server.url, text))
        except StoppedError as stopped:
            if stopped.signal is not signal.SIGINT:
                raise
    click.echo(f"\n{len(provider.requests):,} requests were answered", err=True)


def _print_environment(url: str) -> None:
    for name, value in (
        ("USERNAME", USERNAME),
        ("API_KEY", API_KEY),
        ("TENANT", TENANT),
        ("BASE_URL", url),
    ):
        click.echo(f"export BOXIS_{name}={shlex.quote(value)}")


def _days(datefrom: str | None, dateto: str | None) -> tuple[date, date]:
    now = datetime.now(UTC).astimezone(ZoneInfo(TIMEZONE))
    try:
        last = parse_moment(dateto or "tomorrow", now=now).date()
        first = parse_moment(datefrom, now=now).date() if datefrom else last - _DAYS
    except (ValueError, OverflowError) as error:
        raise click.UsageError(str(error)) from None
    if first > last:
        raise click.UsageError(f"--from ({first}) lies after --to ({last})")
    return first, last


def _faults(provider: Provider, rate: float) -> Callable[[Received], Fault | None]:
    from boxis_async.testing import Fault  # noqa: PLC0415

    return lambda _: Fault.status(503) if provider.random.random() < rate else None


async def _serve(url: str, text: str) -> None:
    # Told from in here, where Ctrl-C ends it well already.
    _print_environment(url)
    click.echo(text, err=True)
    await asyncio.Event().wait()
