"""`boxis mirror sync`: fetch what a mirror lacks; once, or again and again until a signal.

On a terminal a bar shows it; elsewhere each sync leaves a line, and each tenant of several its own.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Unpack

import attrs
import click

from boxis_async import BoxisError

from .database import (
    database_argument,
    is_tail,
    mirror_errors,
    open_mirror,
    require_file,
    spans_in_words,
    warn_of_password,
)
from .dates import write_moment
from .errors import CommandError
from .exit_codes import ExitCode
from .messages import plural, them
from .option_groups import GroupedCommand, option
from .options import (
    DATES,
    RANGE,
    REQUESTS,
    length_option,
    quiet_option,
    range_options,
    read_moment,
    read_range,
    tenants_options,
    verbose_option,
)
from .output import show
from .progress import ProgressBar
from .settings import Settings, TenantlessValues, read_settings
from .signals import run_until_signal

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from boxis_async import BoxisClient
    from boxis_async.mirror import Mirror, Progress, Synced, SyncedTenant

    from .dates import DateRange

__all__ = ["sync"]

# The same would happen in the next round. What is about the network, the answers, the database or
# another sync may pass.
_STAYS: Final = frozenset({ExitCode.USAGE, ExitCode.CREDENTIALS, ExitCode.CONTRADICTION})


@click.command(cls=GroupedCommand, epilog=DATES, short_help="Fetch what a mirror lacks.")
@database_argument
@range_options
@option("--recheck", heading=RANGE, metavar="DATE",
        help="Read again all since then, complete or not; else the last 35 days, once a day."
        )  # fmt: skip
@length_option("--every", heading=REQUESTS,
               help="Do it again and again, until a signal: 5m, 1h.")  # fmt: skip
@option("--no-wait", heading=REQUESTS, is_flag=True,
        help="Where another sync is at work, end at once, with exit code 8.")  # fmt: skip
@tenants_options
@quiet_option("progress and no summary")
@verbose_option
@click.pass_context
def sync(  # noqa: PLR0913 - each is one option
    ctx: click.Context,
    *,
    database: str,
    datefrom: str | None,
    dateto: str | None,
    month: str | None,
    day: str | None,
    recheck: str | None,
    every: timedelta | None,
    no_wait: bool,
    tenant: tuple[str, ...],
    quiet: bool,
    verbose: bool,
    **connection: Unpack[TenantlessValues],
) -> None:
    """Fetch what DATABASE lacks of a range, and make DATABASE where there is none.

    Without a range, it is the one that is mirrored already, until now. Legs and what is covered
    change together, so a sync that was killed continues where it was. What is younger than a
    day is fetched again each time, and the last 35 days once a day, as costs come late.

    \b
    Examples: boxis mirror sync calls.db --from 2026-01-01
              boxis mirror sync calls.db --every 5m
    """  # noqa: D301 - \b keeps click from wrapping
    warn_of_password(database)
    # The client's own is the first one.
    settings = read_settings(ctx, {**connection, "tenant": tenant[0] if tenant else None})
    settings.require_tenant()
    client = settings.client()

    def dates() -> DateRange | None:
        return read_range(settings, datefrom, dateto, month, day)

    job = _Job(
        settings=settings,
        tenants=tenant,
        # Checked now, and read again for each round: "today" is another day then.
        range=dates if dates() is not None else _none,
        recheck=recheck,
        waits=not no_wait,
        quiet=quiet,
        draws=not (quiet or verbose),  # the lines of --verbose would tear the bar
    )
    job.rechecked_since()
    if dates() is None:
        require_file(database)
    run_until_signal(
        _sync(job, client, database, every), on_signal=_show_kept if every is None else None
    )


def _none() -> None:
    return None


def _show_kept() -> None:
    show("Stopped: what was fetched is kept. The same command continues there.", wraps=False)


@attrs.frozen(kw_only=True)
class _Job:
    """What each round does, and how it shows it."""

    settings: Settings
    tenants: tuple[str, ...]
    range: "Callable[[], DateRange | None]"
    recheck: str | None
    waits: bool
    quiet: bool
    draws: bool

    def rechecked_since(self) -> datetime | None:
        """Return since when all is read again; None leaves it to the library.

        Raises:
            click.UsageError: It cannot be read.
        """
        if self.recheck is None:
            return None
        return read_moment("--recheck", self.recheck, self.settings.zone)


async def _sync(job: _Job, client: BoxisClient, database: str, every: timedelta | None) -> None:
    async with client, open_mirror(database, makes_one=True) as mirror:
        if every is None:
            await _once(job, client, mirror)
            return
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                with mirror_errors():
                    await _once(job, client, mirror, is_dated=True)
            except (BoxisError, CommandError) as error:
                _show_failure(job, error)
            # A sync that takes longer than that is followed by the next one at once.
            await asyncio.sleep(max(0.0, began + every.total_seconds() - loop.time()))


async def _once(job: _Job, client: BoxisClient, mirror: Mirror, *, is_dated: bool = False) -> None:
    """Do one round, and write what it did.

    Raises:
        BoxisError: It failed.
        CommandError: Records could not be read, so that their windows are missing.
    """
    dates, recheck = job.range(), job.rechecked_since()
    arguments: dict[str, Any] = {} if recheck is None else {"recheck": recheck}
    with ProgressBar(None, enabled=job.draws, has_label=True) as bar:
        synced = await mirror.sync(
            client,
            None if dates is None else dates.datefrom,
            None if dates is None else dates.until,
            tenants=job.tenants or None,
            wait=job.waits,
            on_progress=_Display(job, bar),
            **arguments,
        )
    before = _now(job) if is_dated else ""
    if not job.quiet:
        for tenant in synced.tenants:
            show(f"{before}{_summary(tenant)}", wraps=False)
    if synced.rejects:
        raise _lacks_rejects(synced)


class _Display:
    """Shows the progress of a sync in a bar; in a log, that it waits."""

    def __init__(self, job: _Job, bar: ProgressBar) -> None:
        self._job = job
        self._bar = bar
        self._shown = ""

    def __call__(self, progress: Progress) -> None:
        """Show it."""
        if progress.stage == "waiting":
            label = f"another sync is at work: {progress.holder}; waiting"
        else:
            label = progress.tenant + (" again" if progress.stage == "rechecking" else "")
        if label != self._shown:
            self._shown = label
            self._bar.begin(label)
            if progress.stage == "waiting" and not (self._job.quiet or self._bar.is_shown):
                show(label, wraps=False)
        self._bar.update(progress.stats)


def _summary(tenant: SyncedTenant) -> str:
    """Write what a sync did for a tenant."""
    counts = ", ".join(
        f"{number:,} {what}"
        for what, number in (
            ("new", tenant.new),
            ("changed", tenant.changed),
            ("gone", tenant.gone),
            ("left out, as forgotten", tenant.forgotten),
        )
        if number or what in ("new", "changed")
    )
    covered = tenant.covered
    missing = [*covered.missing]
    if is_tail(missing, (*covered.complete, *covered.young)):
        missing.pop()  # the seconds that the sync took
    if missing:
        until = f"missing: {spans_in_words(missing)}"
    elif covered.complete:
        until = f"complete until {covered.complete[-1].end}"
    elif covered.young:
        until = "nothing is complete yet, as all of it is young"
    else:
        until = "nothing to fetch: the range is empty, or was pruned"
    return f"{tenant.tenant}: {counts}; {plural(tenant.requests, 'request')}; {until}"


def _lacks_rejects(synced: Synced) -> CommandError:
    count = len(synced.rejects)
    return CommandError(
        f"{plural(count, 'record')} could not be read. The mirror lacks {them(count)}, and fetches "
        f"the windows again by the next sync. The first: {synced.rejects[0]}",
        exit_code=ExitCode.PARTIAL,
        advice=f"ask the provider about {them(count)}",
    )


def _show_failure(job: _Job, error: BoxisError | CommandError) -> None:
    """Write why a round failed.

    Raises:
        CommandError: The next round would fail likewise.
    """
    failure = CommandError.from_library(error) if isinstance(error, BoxisError) else error
    if failure.code in _STAYS:
        raise failure
    show(f"{_now(job)}Error: {failure.message}", wraps=False)


def _now(job: _Job) -> str:
    zone = job.settings.zone
    return f"{write_moment(datetime.now(zone), zone)}  "
