"""`boxis check`: step by step whether all is well, and what to do where it is not."""

from __future__ import annotations

import math
import stat
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import attrs
import click

from boxis_async import (
    AuthenticationError,
    BadAnswerError,
    BoxisError,
    ClockError,
    NoAnswerError,
    RefusedError,
    RetryPolicy,
    StatusError,
    WindowError,
)

from .options import Screen, connected, connection_options
from .outcome import DONE, UNUSABLE, USAGE, Failure, code_of, cure_of
from .profile import profile_path
from .run import run
from .tell import flowing
from .zone import observe

if TYPE_CHECKING:
    from boxis_async import CDR, BoxisClient

    from .connection import Connection

__all__ = ["check"]

_LATELY: Final = timedelta(hours=12)
_APART: Final = 60
_TIMEOUT: Final = 10.0


@attrs.define
class _Steps:
    """What was found, told as it is found; the first thing wrong decides the exit code."""

    code: int = DONE

    def well(self, name: str, text: str) -> None:
        """Tell that a step is as it should be."""
        _say(_glyph("✓", "ok"), name, text)

    def unknown(self, name: str, text: str) -> None:
        """Tell that a step can be judged neither way."""
        _say(_glyph("·", "??"), name, text)

    def wrong(self, name: str, text: str, *, code: int, cure: str | None) -> None:
        """Tell what is wrong, and what to do."""
        _say(_glyph("✗", "!!"), name, text)
        if cure:
            arrow = f"  {_glyph('→', '->')} "
            click.echo(flowing(f"{arrow}{cure}", onto=sys.stdout, indent=len(arrow)))
        self.code = self.code or code


@click.command(cls=Screen, short_help="Check configuration, server, credentials, clock and zone.")
@connection_options(shown=True)
@click.pass_context
def check(ctx: click.Context) -> None:
    """Check that all is well: configuration, server, credentials, clock, time zone.

    It asks the provider once, for the last 12 hours. An option goes before the environment
    (BOXIS_USERNAME, BOXIS_API_KEY, BOXIS_TENANT, BOXIS_BASE_URL, BOXIS_PROFILE), and that
    before the profile file: profiles.toml, with a table such as [default] of username, api_key,
    tenant, base_url, timezone, concurrency. boxis check names its place.

    \b
    Example: boxis check --profile office -v
    """  # noqa: D301 - the sign keeps click from wrapping
    steps = _Steps()
    path = profile_path()
    try:
        connection = connected(ctx)
    except Failure as error:
        steps.wrong("profile", error.message, code=error.code, cure=error.cure)
        ctx.exit(steps.code)
    except click.ClickException as error:
        steps.wrong("profile", error.message, code=error.exit_code, cure=None)
        ctx.exit(steps.code)
    if path.exists():
        mode = stat.S_IMODE(path.stat().st_mode)
        steps.well("profile", f"{connection.origins['profile']}, in {path} (mode {mode:04o})")
    else:
        steps.well("profile", f"none; it would be {path}")
    client = _client(steps, connection)
    if client is not None:
        run(_ask(steps, client, connection))
    ctx.exit(steps.code)


def _client(steps: _Steps, connection: Connection) -> BoxisClient | None:
    """Tell the configuration, and make the client; None where it cannot be made."""
    for name, value in (
        ("username", connection.username),
        ("API key", "set" if connection.api_key else None),
        ("tenant", connection.tenant),
        ("base URL", connection.base_url or "https://api.boxis.net/"),
        ("time zone", connection.timezone),
    ):
        origin = connection.origins.get(name) or "default"
        if value:
            steps.well(name, f"{value} ({origin})")
        elif name == "tenant":
            steps.wrong(name, "none", code=USAGE, cure="set BOXIS_TENANT, or give --tenant")
    try:
        client = connection.client(
            retry=RetryPolicy(attempts=1, timeout=2 * _TIMEOUT), timeout=_TIMEOUT
        )
    except Failure as error:
        steps.wrong("credentials", error.message, code=error.code, cure=error.cure)
    except BoxisError as error:
        steps.wrong("client", str(error), code=code_of(error), cure=cure_of(error))
    else:
        return client if connection.tenant else None
    return None


async def _ask(steps: _Steps, client: BoxisClient, connection: Connection) -> None:
    """Ask for the last hours, and judge the answer."""
    now = datetime.now(UTC).replace(microsecond=0)  # so that it is one window
    async with client:
        began = time.perf_counter()
        try:
            calls = client.cdrs(now - _LATELY, now, window=_LATELY, unique_by="leg")
            cdrs = await calls.to_list()
        except WindowError as error:
            took = time.perf_counter() - began
            _judge(steps, error, error.cause or error, took)
            if not isinstance(error.cause, ClockError):
                _judge_clock(steps, client.clock_offset)
            return
        took = time.perf_counter() - began
    steps.well("server", f"answers, in {1000 * took:,.0f} ms")
    steps.well("credentials", f"accepted; {len(cdrs):,} records in the last 12 hours")
    _judge_clock(steps, client.clock_offset)
    _judge_zone(steps, cdrs, connection)


def _judge(steps: _Steps, error: WindowError, cause: Exception, took: float) -> None:
    """Tell at which step the request failed."""
    text = str(cause)
    if isinstance(cause, (NoAnswerError, StatusError)):
        cure = "check the network and the base URL, or try again later"
        steps.wrong("server", text, code=code_of(error), cure=cure)
        return
    steps.well("server", f"answers, in {1000 * took:,.0f} ms")
    if isinstance(cause, BadAnswerError):
        steps.wrong("answer", text, code=code_of(error), cure=cure_of(error))
    elif isinstance(cause, ClockError):
        steps.wrong("clock", text, code=code_of(error), cure=cure_of(error))
    elif isinstance(cause, AuthenticationError):
        cure = "the username, or the key, is not what the provider has: correct it"
        steps.wrong("credentials", text, code=code_of(error), cure=cure)
    elif isinstance(cause, RefusedError):
        cure = "the text is the provider's own; a wrong username, key or tenant may be meant"
        steps.wrong("credentials", text, code=code_of(error), cure=cure)
    else:
        steps.wrong("request", text, code=code_of(error), cure=cure_of(error))


def _judge_clock(steps: _Steps, offset: float | None) -> None:
    if offset is None:
        return
    if abs(offset) <= _APART:
        steps.well("clock", f"within {max(1, math.ceil(abs(offset)))} s of the provider's")
        return
    way = "ahead of" if offset > 0 else "behind"
    text = f"the provider's is {abs(offset):,.0f} s {way} this computer's"
    steps.wrong("clock", text, code=UNUSABLE, cure="set this computer's clock")


def _judge_zone(steps: _Steps, cdrs: list[CDR], connection: Connection) -> None:
    finding = observe(cdrs, connection.zone)
    if finding is None:
        why = "none of the records tells its moment" if cdrs else "no calls"
        steps.unknown("time zone", f"cannot tell: {why} in the last 12 hours")
    elif finding.fits:
        steps.well("time zone", f"{connection.timezone} fits {finding.records:,} records")
    else:
        steps.wrong(
            "time zone",
            f"the records look like UTC{finding.offset}, but {connection.timezone} "
            f"is UTC{finding.expected}",
            code=USAGE,
            cure="give the provider's zone: --timezone, or timezone in the profile",
        )


def _say(sign: str, name: str, text: str) -> None:
    begin = f"{sign} {name:<11} "
    click.echo(flowing(f"{begin}{text}", onto=sys.stdout, indent=len(begin)))


def _glyph(sign: str, plain: str) -> str:
    """Give the sign, or letters where standard output cannot carry it."""
    return sign if (sys.stdout.encoding or "").lower().startswith("utf") else plain
