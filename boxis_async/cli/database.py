"""A mirror in place of the provider: which database, how it is opened, and what its errors mean.

A URL of a server may hold a password. It is never shown: the library names a database without it,
and so do we.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import click
from click.core import ParameterSource

from .dates import write_moment
from .errors import CommandError
from .exit_codes import ExitCode
from .messages import plural, warn
from .option_groups import option
from .program import command_line
from .settings import DEFAULT_TIMEZONE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Sequence
    from datetime import tzinfo

    from boxis_async import Call, Window
    from boxis_async.mirror import Covered, Mirror

    from .dates import DateRange
    from .settings import Settings

__all__ = [
    "advice_on_pruned",
    "calls_of_mirror",
    "check_zone",
    "database_argument",
    "database_option",
    "ends_now",
    "is_tail",
    "lacks_spans",
    "mirror_errors",
    "open_mirror",
    "refuse_with_database",
    "require_file",
    "shown_database",
    "spans_in_words",
    "warn_of_password",
    "zone_of",
]

Function = TypeVar("Function", bound="Callable[..., Any]")

_SOURCE: Final = "Source"
_SHOWN: Final = 3
_FILE_SCHEME: Final = "sqlite:///"
_WARNING: Final = (
    "the database's password is now in the shell's history and in the list of processes. Leave it "
    "out of the URL, and give it by PGPASSWORD or by ~/.pgpass"
)


def database_option(function: Function) -> Function:
    """Add `--database`, for commands that read the provider otherwise."""
    return option("--database", heading=_SOURCE, metavar="DATABASE",
                  help="Read a mirror, in place of the provider: a path or a URL.",
                  )(function)  # fmt: skip


def database_argument(function: Function) -> Function:
    """Add DATABASE, for the commands of a mirror."""
    return click.argument("database", metavar="DATABASE")(function)


def refuse_with_database(ctx: click.Context, *names: str) -> None:
    """Refuse options that are for the provider.

    Raises:
        click.UsageError: One of them is given.
    """
    for parameter in ctx.command.params:
        is_given = (
            parameter.name in names
            and ctx.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
        )
        if is_given:
            raise click.UsageError(
                f"{parameter.opts[0]} is for the provider: leave it out with --database"
            )


def shown_database(database: str) -> str:
    """Name a database as a user gave it, without a password."""
    scheme, is_url, rest = database.partition("://")
    if not is_url or scheme == "sqlite":
        return database
    place, _, path = rest.partition("/")
    name, _, _ = path.partition("?")
    user, is_named, host = place.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}{is_named}{host}/{name}"


def warn_of_password(database: str) -> None:
    """Warn of a password in a URL."""
    try:
        has_one = "://" in database and urlsplit(database).password is not None
    except ValueError:
        has_one = False  # the library refuses it
    if has_one:
        warn(_WARNING)


@asynccontextmanager
async def open_mirror(database: str, *, makes_one: bool = False) -> AsyncGenerator[Mirror]:
    """Open a mirror.

    Args:
        database: A path or a URL.
        makes_one: Whether it is made where there is none.

    Raises:
        click.UsageError: There is no such file.
        CommandError: The database cannot be used, or fails within the block.
    """
    with mirror_errors():
        # Here, as it loads SQLAlchemy, which the other commands start without.
        from boxis_async.mirror import Mirror  # noqa: PLC0415

        if not makes_one:
            require_file(database)
        async with Mirror(database) as mirror:
            yield mirror


@contextmanager
def mirror_errors() -> Generator[None]:
    """Give the errors of a mirror their advice and exit codes.

    Raises:
        CommandError: One of them was raised within.
    """
    # Loaded by now, or the extra is missing, which the import itself says.
    from boxis_async.mirror import (  # noqa: PLC0415
        MirrorBusyError,
        MirrorContractError,
        MirrorError,
        MirrorLeaseLostError,
        MirrorMismatchError,
    )

    try:
        yield
    except MirrorBusyError as error:
        since = "" if error.since is None else f" since {error.since:%Y-%m-%d %H:%M:%S} UTC"
        raise CommandError(
            f"another sync is at work{since}: {error.holder}",
            exit_code=ExitCode.BUSY,
            advice="wait until it has ended; without --no-wait, this command does so",
        ) from None
    except MirrorLeaseLostError as error:
        again = "run the same command again"
        raise CommandError(str(error), exit_code=ExitCode.BUSY, advice=again) from None
    except MirrorContractError as error:
        raise CommandError(str(error), exit_code=ExitCode.CONTRADICTION) from None
    except MirrorMismatchError as error:
        raise CommandError(str(error), exit_code=ExitCode.USAGE) from None
    except MirrorError as error:
        raise CommandError(str(error)) from None


def zone_of(mirror: Mirror) -> tzinfo:
    """Return the zone of a mirror's wall clock; of an empty one, the provider's usual one."""
    return mirror.timezone or ZoneInfo(DEFAULT_TIMEZONE)


def check_zone(mirror: Mirror, settings: Settings) -> None:
    """Refuse a zone by which the range would be read otherwise than the mirror means it.

    Raises:
        click.UsageError: It is another one.
    """
    zone = mirror.timezone
    if zone is not None and zone != settings.zone:
        raise click.UsageError(
            f"the mirror is in the time zone {zone}, and the settings say {settings.zone}: "
            f"give --timezone {zone}"
        )


async def calls_of_mirror(
    database: str, settings: Settings, dates: DateRange
) -> tuple[list[Call], Covered]:
    """Read the calls that start in a range, and how much of it is there."""
    async with open_mirror(database) as mirror:
        check_zone(mirror, settings)
        tenant = settings.tenant or None
        # First, so that what it says is there is read after that.
        covered = await mirror.covered(dates.datefrom, dates.dateto, tenant=tenant)
        return await mirror.calls(dates.datefrom, dates.dateto, tenant=tenant), covered


def lacks_spans(
    covered: Covered, database: str, dates: DateRange, settings: Settings
) -> CommandError | None:
    """Return how a command ends whose range is not all in the mirror, as partial; None if it is.

    What ends now, or in the future, ends where the mirror ends: that is a warning.
    """
    missing = list(covered.missing)
    if ends_now(dates, settings.zone) and is_tail(missing, (*covered.complete, *covered.young)):
        warn(f"the mirror ends at {missing.pop().start}: later calls are not in it")
    if not missing:
        return None
    verb = "is" if len(missing) == 1 else "are"
    failure = CommandError(
        f"{plural(len(missing), 'span')} of the range {verb} not in the mirror: "
        f"{spans_in_words(missing)}",
        exit_code=ExitCode.PARTIAL,
        advice=None if covered.pruned_before is None else advice_on_pruned(covered.pruned_before),
    )
    if covered.pruned_before is not None:
        return failure
    return failure.suggest(
        "Fetch it with",
        command_line(
            *("mirror", "sync", shown_database(database)),
            *("--from", f"{missing[0].start}", "--to", f"{missing[-1].end}"),
            *settings.given_options(),
        ),
    )


def advice_on_pruned(pruned_before: datetime) -> str:
    """Say what to do about what was pruned."""
    return (
        f"what was before {pruned_before} was pruned, and no sync fetches it again: begin the "
        "range there, or fill another database"
    )


def spans_in_words(spans: Sequence[Window]) -> str:
    """Write the first few of some spans."""
    shown = ", ".join(str(span) for span in spans[:_SHOWN])
    return shown if len(spans) <= _SHOWN else f"{shown}, and {len(spans) - _SHOWN:,} more"


def is_tail(missing: Sequence[Window], fetched: Sequence[Window]) -> bool:
    """Report whether the last of what is missing is only what came after the last sync."""
    ends = [span.end for span in fetched if span.end is not None]
    return bool(missing and ends) and missing[-1].start == max(ends)


def ends_now(dates: DateRange, zone: tzinfo) -> bool:
    """Report whether a range ends now, or in the future."""
    now = write_moment(datetime.now(zone), zone)
    return dates.is_open or write_moment(dates.dateto, zone) > now


def require_file(database: str) -> None:
    """Refuse a file that is not there: opening it would make an empty mirror.

    Raises:
        click.UsageError: It is not there.
    """
    path = database
    if database.startswith(_FILE_SCHEME):
        path = unquote(database.removeprefix(_FILE_SCHEME))
    if "://" not in path and not Path(path).expanduser().exists():
        raise click.UsageError(
            f"there is no mirror at {path}: boxis mirror sync {path} --from DATE makes one"
        )
