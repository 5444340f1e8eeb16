"""`boxis report`: one page of HTML of the calls of a range, from any source of calls."""

from __future__ import annotations

import json
import os
import webbrowser
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Final, Unpack

import click

from boxis_async.export import write_rejects

from .database import database_option, refuse_with_database
from .dates import parse_moment, parse_range
from .errors import CommandError, advice_for, lacks_rejects
from .exit_codes import ExitCode
from .messages import plural, show_empty, show_range, warn, warn_of_dropped
from .option_groups import GroupedCommand, option
from .options import (
    DATES,
    OUTPUT,
    call_options,
    check_rejects,
    connection_options,
    keep_going_options,
    quiet_option,
    range_options,
    verbose_option,
    window_option,
)
from .output import show, show_data
from .report_source import Request, source_of
from .settings import ConnectionValues, Settings, read_settings
from .signals import run_until_signal

if TYPE_CHECKING:
    from datetime import timedelta

    from .report_source import Taken

__all__ = ["report"]

_SOURCE: Final = "Source"
_STDOUT: Final = "-"
_ALL: Final = 0o777
_NEW: Final = 0o666


@click.command(
    cls=GroupedCommand, epilog=DATES, short_help="Make a page of charts and lists, to look at."
)
@range_options
@database_option
@option("--file", "file", heading=_SOURCE, metavar="FILE",
        type=click.Path(exists=True, dir_okay=False),
        help="Read an export instead: CSV, JSON Lines or Parquet, of legs or calls.")  # fmt: skip
@call_options
@window_option
@option("-o", "--output", "target", heading=OUTPUT, metavar="FILE",
        type=click.Path(dir_okay=False), help="Write the page here; - is stdout.")  # fmt: skip
@option("--lang", "language", heading=OUTPUT, type=click.Choice(["en", "de"]), default="en",
        show_default=True, help="The language of the page.")  # fmt: skip
@option("--redact", heading=OUTPUT, is_flag=True,
        help="Mask numbers but for three digits, and leave out the names of callers.")  # fmt: skip
@option("--now", "now_text", heading=OUTPUT, metavar="DATE",
        help="The time of the page; the same calls then give the same bytes.")  # fmt: skip
@option("--open", "opens", heading=OUTPUT, is_flag=True, help="Open the page in the browser.")
@option("--json", "as_json", heading=OUTPUT, is_flag=True,
        help="Print the figures of the page as one JSON object.")  # fmt: skip
@keep_going_options
@connection_options
@quiet_option("progress and no range on stderr")
@verbose_option
@click.pass_context
def report(  # noqa: PLR0913 - each is one option
    ctx: click.Context,
    *,
    datefrom: str | None,
    dateto: str | None,
    month: str | None,
    day: str | None,
    database: str | None,
    file: str | None,
    country: str,
    margin: timedelta,
    window: timedelta | None,
    target: str | None,
    language: str,
    redact: bool,
    now_text: str | None,
    opens: bool,
    as_json: bool,
    keep_going: bool,
    rejects: str | None,
    quiet: bool,
    verbose: bool,
    **connection: Unpack[ConnectionValues],
) -> None:
    """Make one page of the calls of a range, that anybody can open, print or forward.

    It has totals beside those of the span before, calls by day, when calls come, how long callers
    wait, who was called back, top numbers, costs, and the longest calls. It is one file, and loads
    nothing. Answered: a person picked up. Missed: it came in, and no person picked up.

    \b
    Example: boxis report -o october.html --month 2026-10
    """  # noqa: D301 - \b keeps click from wrapping
    _check_output(target, opens=opens, as_json=as_json)
    check_rejects(rejects, keep_going=keep_going)
    if database is not None:
        refuse_with_database(ctx, "margin", "window", "keep_going", "rejects")
    settings = read_settings(ctx, connection, prompt_for_key=database is None and file is None)
    now = _now(settings, now_text)
    try:
        dates = parse_range(datefrom, dateto, month, day, now=now.astimezone(settings.zone))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    source = source_of(
        Request(
            settings=settings,
            dates=dates,
            now=now,
            country=country,
            margin=margin,
            window=window,
            keep_going=keep_going,
            draw_bar=not (quiet or verbose),
            file=file,
            database=database,
        )
    )
    if not quiet:
        show_range(source.dates.datefrom, source.dates.dateto, settings.zone)
    made, tenant = source.report, source.tenant
    taken = run_until_signal(source.take())
    if not (taken.stats.records or file or database or quiet):
        show_empty(settings.tenant, settings.zone)
    warn_of_dropped(taken.stats)
    if as_json:
        found = {"timezone": settings.timezone, "tenant": tenant} | made.to_dict(redact=redact)
        show_data(json.dumps(found, indent=2))
    if rejects is not None:
        write_rejects(taken.rejects, rejects)
    if target or opens:
        page = made.html(language=language, redact=redact, tenant=tenant)
        _hand_over(page, target, opens=opens, quiet=quiet)
    _check_whole(taken, rejects)


def _check_output(target: str | None, *, opens: bool, as_json: bool) -> None:
    if not (target or opens or as_json):
        raise click.UsageError("what to make? give -o FILE, --open or --json")
    if as_json and target == _STDOUT:
        raise click.UsageError("--json and -o - contradict each other: give one")
    if target is not None and not Path(target).absolute().parent.is_dir():
        raise click.UsageError(f"the folder of {target} does not exist: make it first")


def _now(settings: Settings, text: str | None) -> datetime:
    now = datetime.now(UTC).astimezone(settings.zone)
    if text is None:
        return now.replace(microsecond=0)
    try:
        found = parse_moment(text, now=now)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return found.replace(tzinfo=settings.zone) if found.tzinfo is None else found


def _hand_over(page: str, target: str | None, *, opens: bool, quiet: bool) -> None:
    """Write the page, and open it."""
    if target == _STDOUT:
        show_data(page, ends_line=False)
        return
    path = _write(page, target)
    if not quiet:
        show(f"{len(page.encode('utf-8')) / 1000:,.0f} kB in {path}", wraps=False)
    if opens and not webbrowser.open(path.absolute().as_uri()):
        warn(f"no browser was found: open {path} yourself")


def _write(page: str, target: str | None) -> Path:
    """Write the page to a file, whole or not at all; one that was not named is kept, too."""
    path = None if target is None else Path(target).resolve()
    if path is not None and path.exists() and not path.is_file():
        path.write_bytes(page.encode("utf-8"))
        return path
    with NamedTemporaryFile(
        "wb",
        dir=None if path is None else path.parent,
        prefix="boxis-report-",
        suffix=".html",
        delete=False,
    ) as draft:
        written = Path(draft.name)
        try:
            draft.write(page.encode("utf-8"))
            draft.close()
            if path is None:
                return written
            # The draft can be read by its owner alone. The page is as the one before it, or as new.
            written.chmod(path.stat().st_mode & _ALL if path.exists() else _NEW & ~_umask())
            return written.replace(path)
        except BaseException:
            written.unlink(missing_ok=True)
            raise


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def _check_whole(taken: Taken, file: str | None) -> None:
    """Say what the page lacks.

    Raises:
        CommandError: It is of a part of the range.
    """
    if taken.partial is not None:
        raise taken.partial
    lacks = ""
    if failures := taken.failures:
        lacks = (
            f"The page is of a part of the range: {plural(len(failures), 'window')} failed, "
            f"the first: {failures[0]}"
        )
    if rejects := taken.rejects:
        raise lacks_rejects(rejects, "The page lacks", file, before=lacks and f"{lacks}. ")
    if lacks:
        advice = advice_for(failures[0])
        raise CommandError(lacks, exit_code=ExitCode.PARTIAL, advice=advice)
