"""Where the calls of a report come from: the provider, a mirror, or an exported file.

Each source is a function of a `Request` that gives a `Source`. A further one joins `source_of`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs
import click

from boxis_async import Reject, Stats, WindowError
from boxis_async.export import CallsFile
from boxis_async.report import Report

from .database import check_zone, lacks_spans, open_mirror, warn_of_password
from .dates import NO_RANGE, DateRange
from .errors import CommandError
from .progress import take_calls
from .settings import Settings

if TYPE_CHECKING:
    from boxis_async import BoxisClient, CallStream

__all__ = ["Request", "Source", "Taken", "source_of"]

_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(days=7)
_AT_ONCE: Final = 1000
# A span that begins on a weekend may well have its first call days later.
_QUIET_DAYS: Final = 3


@attrs.frozen(kw_only=True)
class Request:
    """What the options ask for."""

    settings: Settings
    dates: DateRange | None
    now: datetime
    country: str
    margin: timedelta
    window: timedelta | None
    keep_going: bool
    draw_bar: bool
    file: str | None
    database: str | None


@attrs.frozen
class Taken:
    """How calls were taken, and what they lack."""

    stats: Stats
    failures: tuple[WindowError, ...] = ()
    rejects: tuple[Reject, ...] = ()
    partial: CommandError | None = None
    """How the command ends where the source itself lacks a part."""


@attrs.frozen
class Source:
    """A report, and what fills it with calls."""

    report: Report
    dates: DateRange
    tenant: str
    take: Callable[[], Coroutine[Any, Any, Taken]]


def source_of(request: Request) -> Source:
    """Choose the source that the options name.

    Raises:
        click.UsageError: They contradict each other, or the range is missing.
    """
    if request.file is not None and request.database is not None:
        raise click.UsageError("--file and --database contradict each other: give one")
    if request.file is not None:
        return _file(request, request.file)
    return _provider(request) if request.database is None else _mirror(request, request.database)


def _provider(request: Request) -> Source:
    settings, dates = request.settings, request.dates
    tenant = settings.require_tenant()
    if dates is None:
        raise click.UsageError(NO_RANGE)
    client = settings.client()
    report = _report(request, dates)
    first, last = report.needs
    calls = client.iter_calls(
        first,
        # The library finds out what "now" is, by whichever clock is later.
        None if dates.is_open else last,
        margin=request.margin,
        country=request.country,
        window=request.window,
        on_error="collect" if request.keep_going else "raise",
        bad_records="collect" if request.keep_going else "raise",
    )

    async def take() -> Taken:
        await _fill(report, client, calls, draw_bar=request.draw_bar)
        failures = calls.failures
        if failures and not (calls.stats.records or calls.stats.covered):
            raise failures[0]
        for failure in failures:
            window = failure.window
            if window is not None:
                report.lacks(window.start or dates.datefrom, window.end or dates.dateto)
        return Taken(calls.stats, failures, calls.rejects)

    return Source(report, dates, tenant, take)


async def _fill(report: Report, client: BoxisClient, calls: CallStream, *, draw_bar: bool) -> None:
    async with client, calls:
        await take_calls(calls, report.add, draw_bar=draw_bar)


def _file(request: Request, file: str) -> Source:
    if request.keep_going or request.window is not None:
        raise click.UsageError("--keep-going and --window are for the provider: leave them out")
    read = CallsFile.of(
        file, timezone=request.settings.zone, country=request.country, margin=request.margin
    )
    dates = request.dates
    if dates is None:
        if read.first is None or read.last is None:
            raise click.UsageError(f"{file} has no calls: give --month or --from")
        first, last = (_midnight(moment).replace(tzinfo=None) for moment in (read.first, read.last))
        dates = DateRange(first, last + _DAY)
    report = _report(request, dates)
    before = report.needs[0].date()
    if read.first is None or read.first.date() > before + _QUIET_DAYS * _DAY:
        report.lacks_before()
    report.is_of_file()
    if read.first is not None and read.last is not None:
        # A file says nothing of days before its first call and after its last.
        report.knows_from(_midnight(read.first))
        report.knows_until(_midnight(read.last + _DAY))

    async def take() -> Taken:
        for number, call in enumerate(read.calls()):
            report.add(call)
            if not number % _AT_ONCE:
                # So that Ctrl-C ends it.
                await asyncio.sleep(0)
        return Taken(Stats())

    return Source(report, dates, request.settings.tenant or "", take)


def _mirror(request: Request, database: str) -> Source:
    settings, dates = request.settings, request.dates
    if dates is None:
        raise click.UsageError(NO_RANGE)
    warn_of_password(database)
    report = _report(request, dates)
    before, after = report.needs

    async def take() -> Taken:
        async with open_mirror(database) as mirror:
            check_zone(mirror, settings)
            tenant = settings.tenant or None
            # First, so that what it says is there is read after that.
            covered = await mirror.covered(dates.datefrom, dates.dateto, tenant=tenant)
            earlier = await mirror.covered(before, dates.datefrom, tenant=tenant)
            if earlier.missing:
                report.lacks_before()
            for span in covered.missing:
                report.lacks(span.start or dates.datefrom, span.end or dates.dateto)
            later = (
                await mirror.covered(dates.dateto, after, tenant=tenant)
                if _is_later(after, dates.dateto, settings)
                else None
            )
            if later is not None and later.missing:
                report.knows_until(_aware(later.missing[0].start or dates.dateto, settings))
            records = 0
            # A week at a time, so that a year needs little memory. Each call starts in one.
            start = before
            while start != after:
                end = start + _WEEK
                end = end if _is_later(after, end, settings) else after
                for call in await mirror.calls(start, end, tenant=tenant):
                    report.add(call)
                    records += len(call.legs)
                start = end
        return Taken(
            Stats(records=records), partial=lacks_spans(covered, database, dates, settings)
        )

    return Source(report, dates, settings.tenant or "", take)


def _is_later(one: datetime, other: datetime, settings: Settings) -> bool:
    return _aware(one, settings).timestamp() > _aware(other, settings).timestamp()


def _aware(end: datetime, settings: Settings) -> datetime:
    return end.replace(tzinfo=settings.zone) if end.tzinfo is None else end


def _report(request: Request, dates: DateRange) -> Report:
    return Report(
        dates.datefrom,
        dates.dateto,
        timezone=request.settings.zone,
        country=request.country,
        now=request.now,
    )


def _midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.date(), time(), moment.tzinfo)
