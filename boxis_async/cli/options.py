"""The options that several commands share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from .connection import Connection, Given, connect
from .dates import Span, parse_length, span_of
from .logs import told
from .profile import profile_names
from .secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

__all__ = [
    "DATES",
    "Screen",
    "connected",
    "connection_options",
    "given_of",
    "may_draw",
    "need_range",
    "range_options",
    "read_range",
    "trust_options",
    "window_option",
]

Command = TypeVar("Command", bound="Callable[..., Any]")

DATES: Final = """\b
Connection: --profile, --username, --key, --tenant, ...: boxis check --help.
DATE: 2026-10-01, "2026-10-01 08:00+02:00", 01.10.2026, 2026-10, now, today,
yesterday, "last week", 7d (ago): when that begins, on the provider's clock."""


def _length(ctx: click.Context, param: click.Parameter, value: str | None) -> timedelta | None:
    del ctx, param
    try:
        return None if value is None else parse_length(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


class Screen(click.Command):
    """A command whose help fits a screen: it does not list the option that shows it."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Give `--help`, left out of the list."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.hidden = True
        return option

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the epilog right below the options, without the empty line."""
        del ctx
        if self.epilog:
            with formatter.indentation():
                formatter.write_text(cleandoc(self.epilog))


def given_of(ctx: click.Context) -> Given:
    """Give the connection options of the command that runs."""
    return ctx.ensure_object(Given)


def _keep(ctx: click.Context, param: click.Parameter, value: object) -> None:
    if value is not None and value is not False:
        setattr(given_of(ctx), str(param.name), value)


def _complete_profile(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem | str]:
    del ctx, param
    return [name for name in profile_names() if name.startswith(incomplete)]


def connection_options(*, shown: bool = False) -> Callable[[Command], Command]:
    """Add the connection options, shown in the help or not."""
    made: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
        (("--profile",), {"metavar": "NAME", "shell_complete": _complete_profile,
            "help": "table of the profile file; else default"}),
        (("--username",), {"metavar": "EMAIL", "help": "the user's e-mail address"}),
        (("--key",), {"metavar": "KEY", "type": Secret,
            "help": "- asks for it, or reads a line of a pipe"}),
        (("--tenant",), {"metavar": "NAME", "help": "such as VOICE-29001-1"}),
        (("--base-url",), {"metavar": "URL", "help": "where the API is"}),
        (("--timezone",), {"metavar": "ZONE", "help": "of the provider's wall clock"}),
        (("--concurrency",), {"metavar": "N", "type": click.IntRange(min=1),
            "help": "requests in flight at most; else 8"}),
        (("-v", "--verbose"), {"is_flag": True, "help": "tell of each request on stderr"}),
    )  # fmt: skip

    def add(command: Command) -> Command:
        for names, settings in reversed(made):
            option = click.option(
                *names, **settings, hidden=not shown, expose_value=False, callback=_keep
            )
            command = option(command)
        return command

    return add


def may_draw(ctx: click.Context, *, quiet: bool) -> bool:
    """Tell whether a bar may be drawn: lines of `--verbose` would tear it."""
    return not quiet and not given_of(ctx).verbose


def range_options(command: Command) -> Command:
    """Add `--from`, `--to` and `--month`."""
    for option in (
        click.option("--month", metavar="MONTH", help='2026-10, "last month": its own calls'),
        click.option("--to", "dateto", metavar="DATE", help="end of the range; else now"),
        click.option("--from", "datefrom", metavar="DATE", help="start of the range"),
    ):
        command = option(command)
    return command


def window_option(command: Command) -> Command:
    """Add `--window`."""
    return click.option(
        "--window", callback=_length, metavar="LENGTH", help="what one request asks for: 6h, 1d"
    )(command)


def trust_options(command: Command) -> Command:
    """Add `--row-limit` and `--clip`."""
    for option in (
        click.option(
            "--clip",
            type=click.Choice(["start"]),
            metavar="start",
            help="keep only records that start in the range",
        ),
        click.option(
            "--row-limit",
            type=click.IntRange(min=1),
            metavar="N",
            help="do not trust an answer of N records or more",
        ),
    ):
        command = option(command)
    return command


def connected(ctx: click.Context, *, asks_key: bool = True) -> Connection:
    """Put the connection together from the command's options, and begin to log if asked."""
    given = given_of(ctx)
    if given.verbose:
        ctx.with_resource(told())
    return connect(given, asks_key=asks_key)


def read_range(
    connection: Connection, datefrom: str | None, dateto: str | None, month: str | None
) -> Span | None:
    """Read the range options on the provider's wall clock; None where there are none.

    Raises:
        click.UsageError: They cannot be read, or contradict each other.
    """
    try:
        return span_of(datefrom, dateto, month, now=datetime.now(UTC).astimezone(connection.zone))
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def need_range(
    connection: Connection, datefrom: str | None, dateto: str | None, month: str | None
) -> Span:
    """Read the range options.

    Raises:
        click.UsageError: There are none, or they cannot be read.
    """
    span = read_range(connection, datefrom, dateto, month)
    if span is None:
        raise click.UsageError("which range? give --from, or --month")
    return span
