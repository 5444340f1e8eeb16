"""`boxis check`: check each step from the profile to the time zone, and say what to do."""

from __future__ import annotations

import math
import stat
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Unpack

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

from .errors import CredentialsError, ProfileError, advice_for
from .exit_codes import ExitCode, exit_code_of
from .option_groups import GroupedCommand
from .options import connection_options, verbose_option
from .output import show
from .profiles import DEFAULT_PROFILE, profile_path
from .settings import ConnectionValues, read_settings
from .signals import run_until_signal
from .wording import in_options
from .zone_check import check_zone

if TYPE_CHECKING:
    from boxis_async import CDR, BoxisClient

    from .settings import Settings

__all__ = ["check"]

_LATELY: Final = timedelta(hours=12)
# The provider refuses what was signed much earlier or later; a minute is still safe.
_CLOCK_SECONDS: Final = 60
_TIMEOUT: Final = 10.0


@attrs.define
class _Report:
    """Prints each step as it is checked; the first problem decides the exit code."""

    exit_code: int = ExitCode.DONE

    def ok(self, step: str, text: str) -> None:
        """Print that a step is in order."""
        _print_step(_symbol("✓", "ok"), step, text)

    def unknown(self, step: str, text: str) -> None:
        """Print that a step cannot be judged."""
        _print_step(_symbol("·", "??"), step, text)

    def problem(self, step: str, text: str, *, exit_code: int, advice: str | None) -> None:
        """Print what is wrong, and what to do."""
        _print_step(_symbol("✗", "!!"), step, text)
        if advice:
            arrow = f"  {_symbol('→', '->')} "
            show(f"{arrow}{advice}", on_stdout=True, indent=len(arrow))
        self.exit_code = self.exit_code or exit_code


class CheckCommand(GroupedCommand):
    """Reports a profile that cannot be used as a step, where other commands fail."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options, and with them the profile."""
        report = _Report()
        try:
            return super().parse_args(ctx, args)
        except CredentialsError as error:
            report.problem("profile", error.message, exit_code=error.code, advice=error.advice)
        except ProfileError as error:
            report.problem("profile", error.message, exit_code=error.exit_code, advice=None)
        raise click.exceptions.Exit(report.exit_code)


@click.command(cls=CheckCommand, short_help="Check settings, server, credentials, clock and zone.")
@connection_options
@verbose_option
@click.pass_context
def check(ctx: click.Context, *, verbose: bool, **connection: Unpack[ConnectionValues]) -> None:
    """Check the settings, the server, the credentials, the clock and the time zone.

    The command sends one request, for the last 12 hours. It shows each setting and where it comes
    from: an option counts before an environment variable, and that before the profile file, a
    TOML file with a table for each profile. Its keys are username, api_key, tenant, base_url,
    timezone and concurrency, and a table contract, which boxis probe prints: the probe finds out
    what the provider's two dates mean.

    \b
    Example: boxis check --profile office -v
    """  # noqa: D301 - \b keeps click from wrapping
    del verbose  # its own callback has turned the log on
    report = _Report()
    settings = read_settings(ctx, connection)
    _report_profile(report, settings)
    client = _make_client(report, settings)
    if client is not None:
        run_until_signal(_send_request(report, client, settings))
    if report.exit_code == ExitCode.DONE and settings.contract is None and sys.stdout.isatty():
        hint = "What the provider's two dates mean is not in the profile: boxis probe finds it out"
        show(hint)
    ctx.exit(report.exit_code)


def _report_profile(report: _Report, settings: Settings) -> None:
    path = profile_path()
    if path.exists():
        name = settings.profile or DEFAULT_PROFILE
        mode = stat.S_IMODE(path.stat().st_mode)
        report.ok("profile", f"{name}, in {path} (mode {mode:04o})")
    else:
        report.ok("profile", f"none; it would be {path}")


def _make_client(report: _Report, settings: Settings) -> BoxisClient | None:
    """Report each setting, and make the client; None where it cannot be made."""
    for step, field, value in (
        ("username", "username", settings.username),
        ("API key", "api_key", "set" if settings.api_key else None),
        ("tenant", "tenant", settings.tenant),
        ("base URL", "base_url", settings.base_url or "https://api.boxis.net/"),
        ("time zone", "timezone", settings.timezone),
    ):
        if value:
            # What is invisible is what is wrong with it, and a terminal might obey it.
            shown = value if value.isprintable() else ascii(value)
            report.ok(step, f"{shown} ({settings.sources[field]})")
        elif field == "tenant":
            advice = "set BOXIS_TENANT, or give --tenant"
            report.problem(step, "none", exit_code=ExitCode.USAGE, advice=advice)
    try:
        client = settings.client(
            retry=RetryPolicy(attempts=1, timeout=2 * _TIMEOUT), timeout=_TIMEOUT
        )
    except CredentialsError as error:
        report.problem("credentials", error.message, exit_code=error.code, advice=error.advice)
    except BoxisError as error:
        report.problem(
            "client",
            in_options(str(error)),
            exit_code=exit_code_of(error),
            advice=advice_for(error),
        )
    else:
        return client if settings.tenant else None
    return None


async def _send_request(report: _Report, client: BoxisClient, settings: Settings) -> None:
    """Ask for the last hours, and judge the answer."""
    now = datetime.now(UTC).replace(microsecond=0)  # so that the range is exactly one window
    async with client:
        started = time.perf_counter()
        try:
            calls = client.cdrs(now - _LATELY, now, window=_LATELY, unique_by="leg")
            cdrs = await calls.to_list()
        except WindowError as error:
            seconds = time.perf_counter() - started
            _report_failure(report, error, error.cause or error, seconds)
            if not isinstance(error.cause, ClockError):
                _report_clock(report, client.clock_offset)
            return
        seconds = time.perf_counter() - started
    report.ok("server", f"answers, in {1000 * seconds:,.0f} ms")
    report.ok("credentials", f"accepted; {len(cdrs):,} records in the last 12 hours")
    _report_clock(report, client.clock_offset)
    _report_zone(report, cdrs, settings)


def _report_failure(report: _Report, error: WindowError, cause: Exception, seconds: float) -> None:
    """Report at which step the request failed."""
    text, exit_code, advice = in_options(str(cause)), exit_code_of(error), advice_for(error)
    if isinstance(cause, (NoAnswerError, StatusError)):
        advice = "check the network and the base URL, or try again later"
        report.problem("server", text, exit_code=exit_code, advice=advice)
        return
    report.ok("server", f"answers, in {1000 * seconds:,.0f} ms")
    step = "request"
    if isinstance(cause, BadAnswerError):
        step = "answer"
    elif isinstance(cause, ClockError):
        step = "clock"
    elif isinstance(cause, AuthenticationError):
        step = "credentials"
        advice = "the provider does not know this username with this key: correct them"
    elif isinstance(cause, RefusedError):
        step = "credentials"
        advice = "the text is the provider's; the username, key or tenant may be wrong"
    report.problem(step, text, exit_code=exit_code, advice=advice)


def _report_clock(report: _Report, offset: float | None) -> None:
    if offset is None:
        return
    if abs(offset) <= _CLOCK_SECONDS:
        report.ok("clock", f"within {max(1, math.ceil(abs(offset)))} s of the provider's")
        return
    relation = "ahead of" if offset > 0 else "behind"
    report.problem(
        "clock",
        f"the provider's is {abs(offset):,.0f} s {relation} this computer's",
        exit_code=ExitCode.UNUSABLE_ANSWER,
        advice="set this computer's clock",
    )


def _report_zone(report: _Report, cdrs: list[CDR], settings: Settings) -> None:
    found = check_zone(cdrs, settings.zone)
    if found is None:
        reason = "none of the records has an epoch" if cdrs else "no calls"
        hint = "" if cdrs else f": a quiet time, or {settings.tenant} is not the right tenant"
        report.unknown("time zone", f"cannot be checked: {reason} in the last 12 hours{hint}")
    elif found.fits:
        report.ok("time zone", f"{settings.timezone} fits {found.records:,} records")
    else:
        report.problem(
            "time zone",
            f"the records look like UTC{found.offset}, but {settings.timezone} "
            f"is UTC{found.expected}",
            exit_code=ExitCode.USAGE,
            advice="give the provider's zone: --timezone, or timezone in the profile",
        )


def _print_step(symbol: str, step: str, text: str) -> None:
    start = f"{symbol} {step:<11} "
    show(f"{start}{text}", on_stdout=True, indent=len(start))


def _symbol(symbol: str, letters: str) -> str:
    """Return the symbol, or letters where standard output cannot carry it."""
    return symbol if (sys.stdout.encoding or "").lower().startswith("utf") else letters
