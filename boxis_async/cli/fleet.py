"""`boxis fleet`: many tenants into one data set, on this machine or on many."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, Unpack

import attrs
import click

from .errors import CommandError
from .exit_codes import ExitCode
from .fleet_client import client_of_profile
from .messages import plural
from .option_groups import GroupedCommand, OrderedGroup, option
from .options import (
    DATES,
    OUTPUT,
    RANGE,
    REQUESTS,
    connection_options,
    quiet_option,
    range_options,
    read_range,
)
from .output import show, show_data
from .settings import FROM_OPTION, VARIABLES, ConnectionValues, read_settings
from .signals import run_until_signal
from .tables import stdout_console

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from boxis_async.fleet import Harvested, HarvestPlan, HarvestProgress, Status

    from .settings import Settings

__all__ = ["fleet"]

Kind = Literal["day", "month", "year"]

_PERIODS: Final = ("day", "month", "year")
_DATASET: Final = "Data set"
_CLUSTER: Final = "Cluster"
_SHOWN_FAILURES: Final = 10


@click.group(cls=OrderedGroup, short_help="Put the calls of many tenants into one data set.")
def fleet() -> None:
    """Put the calls of many tenants into one data set, on this machine or on many.

    A data set has a Parquet file for each tenant and month, which DuckDB, polars, pandas and
    dask.dataframe read. The work is done by the workers of Dask, under one limit on requests.

    \b
    Example: boxis fleet run --tenants tenants.txt --from 2026-01 --dataset calls
             boxis fleet status --dataset calls
    """  # noqa: D301 - \b keeps click from wrapping


_dataset_option = option(
    "--dataset", heading=_DATASET, metavar="DIR", required=True,
    help="A folder, or s3://bucket/folder.",
)  # fmt: skip
_period_option = option(
    "--period", heading=_DATASET, type=click.Choice(_PERIODS), default="month", show_default=True,
    help="The time of one partition.",
)  # fmt: skip
_rate_option = option(
    "--max-rate", heading=REQUESTS, metavar="N", default=5.0, show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Requests a second, of all workers together; inf for no limit.",
)  # fmt: skip
_json_option = option("--json", "as_json", heading=OUTPUT, is_flag=True,
                      help="Print one JSON object.")  # fmt: skip


@fleet.command(cls=GroupedCommand, epilog=DATES, short_help="Fetch what the data set lacks.")
@option("--tenants", heading=_DATASET, metavar="FILE", type=click.File(encoding="utf-8"),
        help="A tenant on each line; - is standard input.")  # fmt: skip
@_dataset_option
@_period_option
@range_options
@_rate_option
@option("--patience", heading=REQUESTS, metavar="MINUTES", default=30.0, show_default=True,
        type=click.FloatRange(min=0, min_open=True),
        help="The time that one partition may take.")  # fmt: skip
@option("--workers", heading=_CLUSTER, metavar="N", type=click.IntRange(min=1),
        help="Processes on this machine; else one for each core, four at most.")  # fmt: skip
@option("--scheduler", heading=_CLUSTER, metavar="ADDRESS",
        help="A Dask scheduler, such as tls://10.0.0.5:8786.")  # fmt: skip
@option("--allow-insecure", heading=_CLUSTER, is_flag=True,
        help="Let a plain tcp:// scheduler be on another machine.")  # fmt: skip
@option("--wait-for-workers", heading=_CLUSTER, metavar="SECONDS", default=60.0,
        show_default=True, type=click.FloatRange(min=0),
        help="The time that a scheduler may be without any worker at first.")  # fmt: skip
@_json_option
@connection_options
@quiet_option("progress and no summary")
@click.pass_context
def run(  # noqa: PLR0913 - each is one option
    ctx: click.Context,
    *,
    tenants: Any,  # noqa: ANN401 - a file of texts
    dataset: str,
    period: Kind,
    datefrom: str | None,
    dateto: str | None,
    month: str | None,
    day: str | None,
    max_rate: float,
    patience: float,
    workers: int | None,
    scheduler: str | None,
    allow_insecure: bool,
    wait_for_workers: float,
    as_json: bool,
    quiet: bool,
    **connection: Unpack[ConnectionValues],
) -> None:
    """Fetch what the data set lacks of the tenants and periods.

    What is complete in the data set is not fetched again: after any end, the same command fetches
    the rest. With --scheduler the workers take username and key from their own environment, or
    from a profile on their machine.

    \b
    Example: boxis fleet run --tenants tenants.txt --from 2026-01 --dataset calls
    """  # noqa: D301 - \b keeps click from wrapping
    from boxis_async.fleet import harvest  # noqa: PLC0415 - the other commands start sooner

    settings = read_settings(ctx, connection)
    if scheduler is not None:
        _refuse_credentials(settings)
    elif not (settings.username and settings.api_key):
        settings.client()  # which says what is missing, and what to do
    names = _read_tenants(tenants, settings)
    start, end = _ends(settings, period, datefrom, dateto, month, day)
    given = {
        name: getattr(settings, name)
        for name in ("base_url", "timezone")
        if settings.sources[name] == FROM_OPTION
    }
    bar = _Bar(enabled=not quiet)
    children = _credentials_for_children(settings if scheduler is None else None)
    with _without_logs(), children, bar:
        done = run_until_signal(
            harvest(
                names,
                start,
                end,
                dataset,
                scheduler=scheduler,
                workers=workers,
                max_rate=None if math.isinf(max_rate) else max_rate,
                concurrency=settings.concurrency,
                period=period,
                make_client=partial(client_of_profile, profile=settings.profile, **given),
                allow_insecure=allow_insecure,
                patience=_time("--patience", 60 * patience),
                wait_for_workers=_time("--wait-for-workers", wait_for_workers),
                progress=bar.update,
            )
        )
    if as_json:
        show_data(json.dumps(attrs.asdict(done), indent=2))
    elif not quiet:
        _show_harvested(done, dataset)
    if not done.is_whole:
        raise _lacking(done)


@fleet.command(cls=GroupedCommand, epilog=DATES, short_help="Compute requests, hours and bytes.")
@option("--tenants", heading=_DATASET, metavar="FILE", type=click.File(encoding="utf-8"),
        help="A tenant on each line; - is standard input.")  # fmt: skip
@option("--count", heading=_DATASET, metavar="N", type=click.IntRange(min=1),
        help="How many tenants, instead of --tenants.")  # fmt: skip
@_period_option
@range_options
@_rate_option
@option("--legs-per-day", heading=RANGE, metavar="N", default=100.0, show_default=True,
        type=click.FloatRange(min=0), help="Records of one tenant in a day.")  # fmt: skip
@option("--latency", heading=REQUESTS, metavar="SECONDS", default=0.3, show_default=True,
        type=click.FloatRange(min=0), help="The time that an answer takes.")  # fmt: skip
@_json_option
@connection_options
@click.pass_context
def plan(  # noqa: PLR0913 - each is one option
    ctx: click.Context,
    *,
    tenants: Any,  # noqa: ANN401 - a file of texts
    count: int | None,
    period: Kind,
    datefrom: str | None,
    dateto: str | None,
    month: str | None,
    day: str | None,
    max_rate: float,
    legs_per_day: float,
    latency: float,
    as_json: bool,
    **connection: Unpack[ConnectionValues],
) -> None:
    """Compute what a harvest will take: requests, hours at this rate, bytes, and workers.

    The command sends nothing and needs no key.

    \b
    Example: boxis fleet plan --count 10000 --from 2021 --to 2026 --max-rate 5
    """  # noqa: D301 - \b keeps click from wrapping
    from boxis_async.fleet import plan as compute  # noqa: PLC0415 - the others start sooner

    settings = read_settings(ctx, connection, prompt_for_key=False)
    if count is None:
        count = len(_read_tenants(tenants, settings))
    elif tenants is not None:
        raise click.UsageError("--count and --tenants say the same: leave one of them out")
    start, end = _ends(settings, period, datefrom, dateto, month, day)
    found = compute(
        count,
        start,
        end,
        max_rate=max_rate,
        concurrency=settings.concurrency,
        period=period,
        legs_per_day=legs_per_day,
        latency=latency,
    )
    if as_json:
        show_data(json.dumps(attrs.asdict(found), indent=2))
    else:
        _print_plan(found, max_rate)


@fleet.command(cls=GroupedCommand, short_help="Show what the data set holds and lacks.")
@_dataset_option
@_json_option
def status(*, dataset: str, as_json: bool) -> None:
    """Show which partitions are complete, young, missing or failed.

    Young ones were written before their calls were at rest, and are fetched again by the next run.
    The command sends nothing and needs no key.

    \b
    Example: boxis fleet status --dataset calls
    """  # noqa: D301 - \b keeps click from wrapping
    from boxis_async.fleet import status as look  # noqa: PLC0415 - the others start sooner

    found = look(dataset)
    if as_json:
        content: dict[str, Any] = {
            "period": found.period,
            "counts": found.counts,
            "rows": found.rows,
            "size": found.size,
            "partitions": [attrs.asdict(one) for one in found.partitions],
        }
        show_data(json.dumps(content, indent=2))
    else:
        _print_status(found)


@fleet.command(cls=GroupedCommand, short_help="Read each file, and compare it with its manifest.")
@_dataset_option
@_json_option
def verify(*, dataset: str, as_json: bool) -> None:
    """Read each file of the data set, and compare it with its manifest.

    The exit code is 6 if a file is not what its manifest says. The command sends nothing and needs
    no key.

    \b
    Example: boxis fleet verify --dataset calls
    """  # noqa: D301 - \b keeps click from wrapping
    from boxis_async.fleet import verify as check  # noqa: PLC0415 - the others start sooner

    found = check(dataset)
    if as_json:
        show_data(json.dumps(attrs.asdict(found), indent=2))
    else:
        what = f"{plural(found.partitions, 'partition')}, {plural(found.rows, 'leg')}"
        show(f"{what}: {plural(len(found.flaws), 'flaw')}", on_stdout=True)
        for flaw in found.flaws:
            show(f"{flaw.tenant} {flaw.period}: {flaw.text}", on_stdout=True)
    if found.flaws:
        raise CommandError(
            f"{plural(len(found.flaws), 'partition')} cannot be relied on",
            exit_code=ExitCode.PARTIAL,
            advice="remove their folders, and run boxis fleet run again",
        )


class _Bar:
    """Shows how far a harvest is, on standard error, where that is a terminal."""

    def __init__(self, *, enabled: bool) -> None:
        from rich.console import Console  # noqa: PLC0415 - a run in a pipe needs no rich
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

        self._progress = (
            Progress(
                BarColumn(bar_width=20),
                TextColumn("{task.description}", markup=False),
                TimeRemainingColumn(compact=True),
                console=Console(stderr=True),
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
                refresh_per_second=5,
            )
            if enabled and sys.stderr.isatty()
            else None
        )

    def update(self, far: HarvestProgress) -> None:
        """Show how far it is."""
        if self._progress is None:
            return
        failed = f", {far.failed:,} failed" if far.failed else ""
        text = (
            f"{far.done:,}/{far.partitions:,} partitions{failed}, {far.rows:,} legs, "
            f"{plural(far.requests, 'request')}, {plural(far.workers, 'worker')}"
        )
        if not self._progress.tasks:
            self._progress.add_task(text, total=far.partitions, completed=far.done)
        self._progress.update(self._progress.tasks[0].id, completed=far.done, description=text)

    def __enter__(self) -> None:
        if self._progress is not None:
            self._progress.start()

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()


@contextmanager
def _without_logs() -> Generator[None]:
    """Keep what Dask logs off the screen, such as each connection that a lost worker had.

    It has a dozen loggers with handlers of their own, and this command has no log to show.
    """
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def _credentials_for_children(settings: Settings | None) -> Generator[None]:
    """Let the processes of a cluster on this machine inherit the credentials, and no others.

    They come with the environment, as with any process that a user starts; nothing is sent.
    """
    values: dict[str, str] = {}
    if settings is not None:
        if settings.username:
            values[VARIABLES["username"]] = settings.username
        if settings.api_key:
            values[VARIABLES["api_key"]] = settings.api_key.reveal()
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _refuse_credentials(settings: Settings) -> None:
    """Refuse credentials on the command line, which would not reach workers elsewhere."""
    for name in ("username", "api_key"):
        if settings.sources[name] not in (VARIABLES[name], "profile", "default"):
            flag = "--key" if name == "api_key" else f"--{name}"
            raise click.UsageError(
                f"{flag} would not reach the workers: they take it from {VARIABLES[name]} in their "
                "own environment, or from a profile on their machine"
            )


def _read_tenants(file: Any, settings: Settings) -> list[str]:  # noqa: ANN401 - a file of texts
    if file is None:
        if settings.tenant:
            return [settings.tenant]
        raise click.UsageError("which tenants? give --tenants FILE, with a tenant on each line")
    where = getattr(file, "name", "the file")
    try:
        lines = [line.partition("#")[0].strip() for line in file]
    except UnicodeDecodeError:
        raise click.UsageError(
            f"{where} is no text in UTF-8: give a text file with a tenant on each line"
        ) from None
    names = [line for line in lines if line]
    if not names:
        raise click.UsageError(f"{where} names no tenant: write one on each line")
    return names


def _ends(settings: Settings, period: Kind, *options: str | None) -> tuple[datetime, datetime]:
    """Read the range as whole periods, by the wall clock; without an end it is that of now."""
    dates = read_range(settings, *options)
    if dates is None:
        raise click.UsageError("which range? give --from, or --month")
    start, end = (
        one if one.tzinfo is None else one.astimezone(settings.zone).replace(tzinfo=None)
        for one in (dates.datefrom, dates.dateto)
    )
    if dates.is_open:
        end = _end_of(datetime.now(UTC).astimezone(settings.zone).replace(tzinfo=None), period)
    return start, end


def _time(option_name: str, seconds: float) -> timedelta:
    try:
        return timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        raise click.UsageError(f"{option_name} must be a time that ends") from None


def _end_of(moment: datetime, period: Kind) -> datetime:
    """Give the end of the period that a moment lies in."""
    first = datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001 - a wall time
    if period == "day":
        return first + timedelta(days=1)
    if period == "year":
        return first.replace(year=first.year + 1, month=1, day=1)
    over, month = divmod(first.month, 12)
    return first.replace(year=first.year + over, month=month + 1, day=1)


def _show_harvested(done: Harvested, dataset: str) -> None:
    show(
        f"{done.complete:,} of {plural(done.partitions, 'partition')} complete in {dataset} "
        f"({done.were_complete:,} were before), {done.young:,} young; "
        f"{plural(done.rows, 'leg')} written, {plural(done.requests, 'request')}, "
        f"{done.retries:,} sent again, {done.seconds:,.0f} s"
    )


def _lacking(done: Harvested) -> CommandError:
    """Return how a command ends that could not have all partitions."""
    text = f"{plural(len(done.failed), 'partition')} failed"
    if done.untried:
        text += f", and {done.untried:,} more of the same tenants were not tried"
    listed = done.failed[:_SHOWN_FAILURES]
    text += "".join(f"; {one.tenant} {one.period}: {one.error}" for one in listed)
    if len(done.failed) > len(listed):
        text += f"; and {len(done.failed) - len(listed):,} more, see boxis fleet status"
    return CommandError(
        text,
        exit_code=ExitCode.PARTIAL,
        advice="run the same command again: it fetches what is missing",
    )


def _print_plan(found: HarvestPlan, max_rate: float) -> None:
    limit = f"at {max_rate:g} requests a second" if math.isfinite(max_rate) else "without a limit"
    lines = {
        "partitions": f"{found.partitions:,}, of {plural(found.tenants, 'tenant')}",
        "legs": f"{found.legs:,}",
        "requests": f"{found.requests:,}",
        "time": f"{found.hours:,.1f} hours, {limit}",
        "answers": _bytes(found.answer_bytes),
        "data set": _bytes(found.file_bytes),
        "processor": f"{found.cpu_hours:,.1f} hours",
        "workers": f"{found.workers:,}; more would not make it faster",
    }
    for name, text in lines.items():
        show(f"{name:<11}{text}", on_stdout=True)


def _bytes(number: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if number < 1000:  # noqa: PLR2004 - a thousand of each is one of the next
            return f"{number:,.0f} {unit}" if unit == "bytes" else f"{number:,.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"


def _print_status(found: Status) -> None:
    # rich is loaded only where something is drawn, so that the other commands start sooner.
    from rich.table import Table  # noqa: PLC0415

    from boxis_async import printable  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(found.period)
    for name in (*found.counts, "legs", "bytes"):
        table.add_column(name, justify="right")
    by_period: dict[str, list[Any]] = {}
    for one in found.partitions:
        by_period.setdefault(one.period, []).append(one)
    for period, listed in sorted(by_period.items()):
        _add_row(table.add_row, period, listed, found)
    if len(by_period) > 1:
        _add_row(table.add_row, "all", list(found.partitions), found)
    console = stdout_console()
    console.print(table)
    failed = [one for one in found.partitions if one.state == "failed"]
    for one in failed[:_SHOWN_FAILURES]:
        console.print(printable(f"{one.tenant} {one.period}: {one.error}"))
    if len(failed) > _SHOWN_FAILURES:
        console.print(f"and {len(failed) - _SHOWN_FAILURES:,} more failed: --json has them all")


def _add_row(add: Callable[..., None], name: str, listed: list[Any], found: Status) -> None:
    states = [one.state for one in listed]
    counts = [f"{states.count(state):,}" for state in found.counts]
    rows, size = (sum(getattr(one, field) for one in listed) for field in ("rows", "size"))
    add(name, *counts, f"{rows:,}", _bytes(size))
