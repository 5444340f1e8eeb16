"""`boxis watch`: new and changed calls as they come, until Ctrl-C."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, Unpack

import attrs
import click

from boxis_async import BoxisClient, Call, CallChange, FilePosition
from boxis_async.types import WatchCertainty

from .change_command import ChangeCommand
from .change_lines import json_line, text_line
from .database import open_mirror, warn_of_password
from .dates import write_length, write_moment
from .messages import plural, warn
from .option_groups import GroupedCommand, option
from .options import (
    CALLS,
    OUTPUT,
    REQUESTS,
    connection_options,
    country_option,
    length_option,
    quiet_option,
    read_moment,
    verbose_option,
)
from .output import show, show_lines
from .settings import ConnectionValues, read_settings
from .signals import run_until_signal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from boxis_async import CallWatch, Change, Position, Watch

__all__ = ["watch"]

_EVERY: Final = timedelta(seconds=30)
_QUIET: Final = timedelta(minutes=5)
_NAME: Final = "boxis watch"
_HEARTBEAT: Final = timedelta(minutes=15)


class _Handler(Protocol):
    async def __call__(self, change: Change | CallChange) -> None: ...


@click.command(cls=GroupedCommand, short_help="Show new and changed calls as they come.")
@option("--since", heading=CALLS, metavar="DATE",
        help="Begin with what ended since then: 1h, today; else from now on.")  # fmt: skip
@option("--calls", "by_calls", heading=CALLS, is_flag=True,
        help="Show calls, each once it is over; else each leg.")  # fmt: skip
@option("--missed", heading=CALLS, is_flag=True,
        help="Show missed calls, and those that were missed before.")  # fmt: skip
@option("--sure", heading=CALLS, is_flag=True,
        help="Show a call only once it is over for certain, which may take a day.")  # fmt: skip
@length_option("--quiet-time", heading=CALLS, default=_QUIET, help="How long a call must be over.")
@country_option
@length_option("--every", heading=REQUESTS, default=_EVERY, help="How often to look.")
@option("--position", heading=REQUESTS, metavar="FILE",
        help="Keep in FILE what was shown, and continue there; with --database a name in it."
        )  # fmt: skip
@option("--database", heading=REQUESTS, metavar="DATABASE",
        help="Keep what was shown in a mirror, and say what a change was before.")  # fmt: skip
@option("--json", "as_json", heading=OUTPUT, is_flag=True,
        help="Print a JSON object a line, as a pipe gets it anyway.")  # fmt: skip
@option("--exec", "command", heading=OUTPUT, metavar="COMMAND",
        help="Run COMMAND for each, with the JSON on its standard input.")  # fmt: skip
@length_option("--heartbeat", heading=OUTPUT, default=_HEARTBEAT,
               help="How often to say on stderr that it is alive.")  # fmt: skip
@connection_options
@quiet_option("heartbeat")
@verbose_option
@click.pass_context
def watch(  # noqa: PLR0913 - each is one option
    ctx: click.Context,
    *,
    since: str | None,
    by_calls: bool,
    missed: bool,
    sure: bool,
    quiet_time: timedelta,
    country: str,
    every: timedelta,
    position: str | None,
    database: str | None,
    as_json: bool,
    command: str | None,
    heartbeat: timedelta,
    quiet: bool,
    verbose: bool,
    **connection: Unpack[ConnectionValues],
) -> None:
    """Show new and changed calls as they come, without end.

    An outage does not end it: it is said once when it begins, and once when it is over. With
    --position or --database, the next start continues where this one ends; what was shown last may
    then come again.

    \b
    Example: boxis watch --missed --position missed.json --exec "./post-to-chat"
    """  # noqa: D301 - \b keeps click from wrapping
    del verbose
    settings = read_settings(ctx, connection)
    tenant = settings.require_tenant()
    begin = None if since is None else read_moment("--since", since, settings.zone)
    handle = _handler(command, as_json=as_json)
    client = settings.client()
    if database is not None:
        warn_of_password(database)
    job = _Job(
        client=client,
        since=begin,
        every=every,
        quiet_time=quiet_time if by_calls or missed or sure else None,
        certainty="surely" if sure else "probably",
        country=country,
        missed=missed,
        position=position,
        database=database,
    )
    job.check()
    begins = "from now on" if begin is None else f"since {write_moment(begin, settings.zone)}"
    if job.may_continue:
        begins = f"from where it ended, else {begins}"
    greeting = f"Watching {tenant} {begins}, every {write_length(every)}; Ctrl-C ends it"
    run_until_signal(
        _watch(
            job,
            handle,
            greeting=None if quiet else greeting,
            heartbeat=None if quiet else heartbeat,
        )
    )


@attrs.frozen(kw_only=True)
class _Job:
    """What is watched, and where the position is kept."""

    client: BoxisClient
    since: datetime | None
    every: timedelta
    quiet_time: timedelta | None
    """How long a call must be over; None watches legs."""
    certainty: WatchCertainty
    country: str
    missed: bool
    position: str | None
    database: str | None

    @property
    def may_continue(self) -> bool:
        """Whether an earlier run may have left a position."""
        if self.database is not None:
            return True
        return self.position is not None and Path(self.position).exists()

    def check(self) -> None:
        """Refuse what the library would refuse, before anything is opened.

        Raises:
            UsageError: An argument is wrong.
            click.UsageError: There cannot be such a file.
        """
        self.items(None)
        if self.position is None or self.database is not None:
            return
        path = Path(self.position)
        if path.is_dir():
            raise click.UsageError(f"--position: {path} is a folder: name a file in it")
        if not path.absolute().parent.is_dir():
            raise click.UsageError(f"the folder of {path} does not exist: make it first")

    def items(self, position: Position | None) -> Watch | CallWatch:
        """Begin to watch."""
        watched = self.client.watch(self.since, every=self.every, position=position)
        if self.quiet_time is None:
            return watched
        return watched.calls(quiet=self.quiet_time, certainty=self.certainty, country=self.country)


@asynccontextmanager
async def _position(job: _Job) -> AsyncGenerator[Position | None]:
    """Open what keeps the position."""
    if job.database is not None:
        async with open_mirror(job.database, makes_one=True) as mirror:
            yield mirror.position(job.client, job.position or _NAME)
    else:
        yield None if job.position is None else FilePosition(job.position)


async def _watch(
    job: _Job, handle: _Handler, *, greeting: str | None, heartbeat: timedelta | None
) -> None:
    if greeting is not None:
        # Not earlier: from here on, Ctrl-C ends it.
        show(greeting)
    async with job.client, _position(job) as position, job.items(position) as items:
        shown = _Shown(items)
        async with _beating(shown, heartbeat):
            changes: AsyncIterator[Change | CallChange] = items
            async for change in changes:
                if not job.missed or _is_of_missed(change):
                    await handle(change)
                    shown.count += 1


class _Shown:
    """What a heartbeat tells."""

    def __init__(self, items: Watch | CallWatch) -> None:
        self._items = items
        self._was_failing = False
        self.count = 0

    def beat(self) -> None:
        """Write how it is going."""
        looked = self._items.looked_at
        seen = "nothing yet"
        if looked is not None:
            ago = max(timedelta(0), datetime.now(UTC) - looked)
            seen = f"all of {_in_words(ago)} ago"
        requests = plural(self._items.requests, "request")
        show(f"{_now()} watching: {self.count:,} shown, {requests}, seen {seen}", wraps=False)

    def tell_of_outage(self) -> None:
        """Write once that an outage begins, and once that it is over; with `--quiet` too."""
        since = self._items.failing_since
        if (since is not None) == self._was_failing:
            return
        self._was_failing = since is not None
        if since is not None:
            warn(f"{_now()} the provider cannot be read; nothing is lost, it is tried again")
        else:
            show(f"{_now()} the provider can be read again", wraps=False)


@asynccontextmanager
async def _beating(shown: _Shown, heartbeat: timedelta | None) -> AsyncGenerator[None]:
    """Tell of outages and, now and then, how it is going, until the block ends."""

    async def beat() -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await asyncio.sleep(1)
            shown.tell_of_outage()
            if heartbeat is not None and loop.time() - due >= heartbeat.total_seconds():
                due = loop.time()
                shown.beat()

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        shown.tell_of_outage()


def _handler(command: str | None, *, as_json: bool) -> _Handler:
    """Choose what is done with a change.

    Raises:
        click.UsageError: Two things contradict each other.
    """
    if command is not None:
        if as_json:
            raise click.UsageError("--exec gives the JSON to the command: leave out --json")
        run = ChangeCommand(command)

        async def execute(change: Change | CallChange) -> None:
            await run.run(json_line(change))

        return execute
    write = json_line if as_json or not sys.stdout.isatty() else text_line

    async def print_line(change: Change | CallChange) -> None:
        # In this thread: what a pipe does not take yet ends with the timer of a signal.
        show_lines([write(change)])

    return print_line


def _is_of_missed(change: Change | CallChange) -> bool:
    calls: list[Call | None] = []
    if isinstance(change, CallChange):
        calls = [change.call, change.previous]
    return any(call is not None and call.missed for call in calls)


def _in_words(time: timedelta) -> str:
    seconds = round(time.total_seconds())
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _now() -> str:
    return f"{datetime.now():%H:%M:%S}"  # noqa: DTZ005 - the clock of whoever reads it
