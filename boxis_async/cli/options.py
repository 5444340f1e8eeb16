"""The options that several commands share; the help of each command lists them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from .dates import NO_RANGE, DateRange, parse_length, parse_moment, parse_range, write_length
from .logs import logs_on_stderr
from .option_groups import GroupedOption, option
from .profiles import load_profile, profile_names
from .settings import (
    DEFAULT_CONCURRENCY,
    DEFAULT_COUNTRY,
    DEFAULT_TIMEZONE,
    VARIABLES,
    secret,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import tzinfo

    from click.shell_completion import CompletionItem

    from .settings import Settings

__all__ = [
    "CALLS",
    "DATES",
    "DEFAULT_MARGIN",
    "OUTPUT",
    "RANGE",
    "REQUESTS",
    "call_options",
    "check_rejects",
    "connection_options",
    "country_option",
    "keep_going_options",
    "length_option",
    "quiet_option",
    "range_options",
    "read_dates",
    "read_moment",
    "read_range",
    "request_options",
    "require_range",
    "tenants_options",
    "verbose_option",
    "window_option",
]

Function = TypeVar("Function", bound="Callable[..., Any]")

RANGE: Final = "Range"
CALLS: Final = "Calls"
DEFAULT_MARGIN: Final = timedelta(hours=4)
OUTPUT: Final = "Output"
REQUESTS: Final = "Requests"
_CONNECTION: Final = "Connection"

DATES: Final = """\b
A DATE is on the provider's clock, and means the moment at which it begins:
  2026-10-01  01.10.2026  "2026-10-01 08:00"  2026-10  2026
  now  today  yesterday  tomorrow  "this week"  "last month"  "last year"
  30m  12h                          so long before now
  7d  2w  3mo                       so many days, weeks, months before today
  "2026-10-01 08:00+02:00"          a moment with its offset from UTC"""


def _length(ctx: click.Context, param: click.Parameter, value: str | None) -> timedelta | None:
    """Read a length of time, such as `6h`."""
    del ctx, param
    try:
        return None if value is None else parse_length(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


class ConnectionOption(GroupedOption):
    """An option that counts as left out where its text is empty, as click treats a variable.

    So `--tenant "$TENANT"`, with a variable that is not set, does not hide the profile's tenant.
    """

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, Any]:
        """Take the value from the command line, else from where click looks next."""
        return super().consume_value(ctx, {k: v for k, v in opts.items() if v != ""})


class TenantsOption(ConnectionOption):
    """A tenant, or several: from the environment or a profile there comes one text."""

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, Any]:
        """Take the values from the command line, else the one from where click looks next."""
        value, source = super().consume_value(ctx, opts)
        return (value,) if isinstance(value, str) else value, source


def _use_profile(ctx: click.Context, param: click.Parameter, name: str | None) -> str | None:
    """Let the profile's values be the defaults of the options that are read after this one."""
    del param
    if not ctx.resilient_parsing:  # while a shell completes, nothing is read
        ctx.default_map = load_profile(name)
    return name


def _complete_profile(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem | str]:
    del ctx, param
    return [name for name in profile_names() if name.startswith(incomplete)]


def connection_options(function: Function) -> Function:
    """Add the connection options; they reach the command as `ConnectionValues`.

    Option before environment before profile before default: the order is click's own.
    """
    return _add(function, *_connection_options())


def tenants_options(function: Function) -> Function:
    """Add the connection options with a tenant that may be repeated: `tenant` is a tuple."""
    return _add(function, *_connection_options(many_tenants=True))


def _connection_options(*, many_tenants: bool = False) -> list[Callable[[Any], Any]]:
    """List the connection options; the tenant may be one or many."""
    add = partial(option, heading=_CONNECTION, cls=ConnectionOption)
    return [
        add(
            "--profile",
            metavar="NAME",
            envvar=VARIABLES["profile"],
            show_envvar=True,
            is_eager=True,  # its values must be there before the other options are read
            callback=_use_profile,
            shell_complete=_complete_profile,
            help="Table of the profile file.",
        ),
        add(
            "--username",
            metavar="EMAIL",
            envvar=VARIABLES["username"],
            show_envvar=True,
            help="The user's e-mail address.",
        ),
        add(
            "--key",
            "api_key",
            metavar="KEY",
            type=secret,
            envvar=VARIABLES["api_key"],
            show_envvar=True,
            help="API key; - prompts for it, or reads a line of a pipe.",
        ),
        option(
            "--tenant",
            heading=_CONNECTION,
            cls=TenantsOption if many_tenants else ConnectionOption,
            multiple=many_tenants,
            metavar="NAME",
            envvar=VARIABLES["tenant"],
            show_envvar=True,
            help=f"Such as VOICE-29001-1{'; may be repeated' if many_tenants else ''}.",
        ),
        add(
            "--base-url",
            metavar="URL",
            envvar=VARIABLES["base_url"],
            show_envvar=True,
            help="Where the API is.",
        ),
        add(
            "--timezone",
            metavar="ZONE",
            default=DEFAULT_TIMEZONE,
            help=f"Zone of the provider's clock; else {DEFAULT_TIMEZONE}.",
        ),
        add(
            "--concurrency",
            metavar="N",
            type=click.IntRange(min=1),
            default=DEFAULT_CONCURRENCY,
            help=f"Requests in flight at most; else {DEFAULT_CONCURRENCY}.",
        ),
    ]


def verbose_option(function: Function) -> Function:
    """Add `-v`, which logs each request."""

    def log(ctx: click.Context, param: click.Parameter, value: bool) -> bool:  # noqa: FBT001 - click's
        del param
        if value and not ctx.resilient_parsing:
            ctx.with_resource(logs_on_stderr())
        return value

    return click.option(
        "-v", "--verbose", is_flag=True, callback=log, help="Log each request to stderr."
    )(function)


def quiet_option(what: str) -> Callable[[Function], Function]:
    """Add `-q`; its help says what it leaves out."""
    return click.option("-q", "--quiet", is_flag=True, help=f"Show no {what}.")


def range_options(function: Function) -> Function:
    """Add `--from`, `--to`, `--month` and `--day`."""
    add = partial(option, heading=RANGE)
    return _add(
        function,
        add("--from", "datefrom", metavar="DATE", help="Start of the range."),
        add("--to", "dateto", metavar="DATE", help="End of the range; else now."),
        add("--month", metavar="MONTH",
            help='The calls that start in a month: 2026-10, "last month".'),
        add("--day", metavar="DAY",
            help="The calls that start in a day: 2026-10-05, yesterday."),
    )  # fmt: skip


def country_option(function: Function) -> Function:
    """Add `--country`."""
    text = f"Country of numbers with a single 0; else {DEFAULT_COUNTRY}."
    return option("--country", heading=CALLS, metavar="CC", default=DEFAULT_COUNTRY, help=text)(
        function
    )


def call_options(function: Function) -> Function:
    """Add `--country` and `--margin`, for commands that make calls of legs."""
    return _add(
        function,
        country_option,
        length_option("--margin", heading=CALLS, default=DEFAULT_MARGIN,
                      help="How long a call may be quiet between two legs."),
    )  # fmt: skip


def length_option(
    name: str,
    *,
    heading: str,
    help: str,  # noqa: A002 - click's
    default: timedelta | None = None,
) -> Callable[[Function], Function]:
    """Add an option that takes a length of time; its help shows the default."""
    return option(
        name,
        heading=heading,
        callback=_length,
        metavar="LENGTH",
        default=None if default is None else write_length(default),
        show_default=default is not None,
        help=help,
    )


def window_option(function: Function) -> Function:
    """Add `--window`."""
    return length_option("--window", heading=REQUESTS,
                         help="Time that one request asks for: 30m, 6h, 1d.")(function)  # fmt: skip


def keep_going_options(function: Function) -> Function:
    """Add `--keep-going` and `--rejects`."""
    return _add(
        function,
        option("--keep-going", heading=REQUESTS, is_flag=True,
               help="When a window fails or a record cannot be read, fetch the others."),
        option("--rejects", heading=OUTPUT, metavar="FILE", type=click.Path(dir_okay=False),
               help="Write the records that cannot be read to FILE."),
    )  # fmt: skip


def check_rejects(rejects: str | None, *, keep_going: bool) -> None:
    """Refuse `--rejects` where it would write nothing, or could not.

    Raises:
        click.UsageError: `--keep-going` or the folder is missing.
    """
    if rejects is None:
        return
    if not keep_going:
        raise click.UsageError(
            "--rejects needs --keep-going: else the first such record is an error"
        )
    if not Path(rejects).absolute().parent.is_dir():
        raise click.UsageError(f"the folder of {rejects} does not exist: make it first")


def request_options(function: Function) -> Function:
    """Add `--clip`, `--window` and `--row-limit`."""
    return _add(
        function,
        option("--clip", heading=RANGE, type=click.Choice(["start"]), metavar="start",
               help="Keep only the records that start in the range."),
        window_option,
        option("--row-limit", heading=REQUESTS, type=click.IntRange(min=1), metavar="N",
               help="Do not trust an answer of N records or more."),
    )  # fmt: skip


def _add(function: Function, *options: Callable[[Any], Any]) -> Function:
    """Decorate a function with options, so that the help has them in the order given here."""
    for add in reversed(options):
        function = add(function)
    return function


def read_moment(name: str, text: str, zone: tzinfo) -> datetime:
    """Read the moment that an option gives, on the provider's clock.

    Raises:
        click.UsageError: It cannot be read.
    """
    try:
        return parse_moment(text, now=datetime.now(UTC).astimezone(zone))
    except ValueError as error:
        raise click.UsageError(f"{name}: {error}") from None


def read_range(
    settings: Settings,
    datefrom: str | None,
    dateto: str | None,
    month: str | None,
    day: str | None,
) -> DateRange | None:
    """Read the range options on the provider's clock; None where there are none.

    Raises:
        click.UsageError: They cannot be read, or contradict each other.
    """
    return read_dates(settings.zone, datefrom, dateto, month, day)


def read_dates(
    zone: tzinfo, datefrom: str | None, dateto: str | None, month: str | None, day: str | None
) -> DateRange | None:
    """Read the range options on the clock of a zone; None where there are none.

    Raises:
        click.UsageError: They cannot be read, or contradict each other.
    """
    try:
        now = datetime.now(UTC).astimezone(zone)
        return parse_range(datefrom, dateto, month, day, now=now)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def require_range(
    settings: Settings,
    datefrom: str | None,
    dateto: str | None,
    month: str | None,
    day: str | None,
) -> DateRange:
    """Read the range options.

    Raises:
        click.UsageError: There are none, or they cannot be read.
    """
    found = read_range(settings, datefrom, dateto, month, day)
    if found is None:
        raise click.UsageError(NO_RANGE)
    return found
