"""An export of what a mirror has: there is nothing to fetch, so nothing to resume."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import click

from boxis_async.export import ExportExistsError, format_of, save

from .database import check_zone, lacks_spans, open_mirror, shown_database, warn_of_password
from .export_to_file import require_folder
from .messages import plural, show_range, warn
from .output import PrintableOutput, show
from .signals import run_until_signal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from boxis_async import CDR, Call
    from boxis_async.mirror import Mirror

    from .errors import CommandError
    from .export_options import ExportJob, ExportOptions
    from .settings import Settings

__all__ = ["export_from_mirror"]

_STDOUT = "-"


def export_from_mirror(  # noqa: PLR0913 - each is one option
    settings: Settings,
    options: ExportOptions,
    database: str,
    output: str | None,
    *,
    overwrite: bool,
    mkdir: bool,
    quiet: bool,
) -> None:
    """Write the legs or the calls of a mirror that start in a range.

    Raises:
        CommandError: Spans of the range are not in the mirror. There is no file then, unless
            `--keep-going` is given.
    """
    warn_of_password(database)
    is_file = output is not None and output != _STDOUT
    if is_file:
        job = options.start("", options.format or format_of(output or ""))
        require_folder(Path(output or "").parent, mkdir=mkdir)
        if Path(output or "").exists() and not overwrite:
            raise _exists(output)
    else:
        job = options.start("", options.format or "csv")
        if job.format in ("parquet", "xlsx") and sys.stdout.isatty():
            raise click.UsageError(f"{job.format} is not for a terminal: give -o FILE")
    if not quiet:
        show_range(job.datefrom, job.dateto, settings.zone)
    target = output if is_file and output is not None else _stdout()
    work = _Work(settings, options, job, database, quiet=quiet)
    try:
        ending = run_until_signal(work.save_to(target, overwrite=overwrite))
    except ExportExistsError:
        raise _exists(output) from None
    if ending is not None:
        raise ending


def _exists(output: str | None) -> click.UsageError:
    return click.UsageError(f"{output} exists already: --overwrite replaces it")


def _stdout() -> BinaryIO:
    file = sys.stdout.buffer
    # It has all that `save` needs of a file.
    return cast("BinaryIO", PrintableOutput(file)) if sys.stdout.isatty() else file


class _Work:
    """One export of a mirror."""

    def __init__(
        self,
        settings: Settings,
        options: ExportOptions,
        job: ExportJob,
        database: str,
        *,
        quiet: bool,
    ) -> None:
        self._settings = settings
        self._options = options
        self._job = job
        self._database = database
        self._quiet = quiet
        self._conflicts = 0

    async def save_to(self, target: str | BinaryIO, *, overwrite: bool) -> CommandError | None:
        """Write it; return how the command ends if spans are missing."""
        dates, job = self._options.range, self._job
        assert dates is not None  # noqa: S101 - or there were no job
        async with open_mirror(self._database) as mirror:
            check_zone(mirror, self._settings)
            tenant = self._settings.tenant or None
            covered = await mirror.covered(dates.datefrom, dates.dateto, tenant=tenant)
            ending = lacks_spans(covered, self._database, dates, self._settings)
            if ending is not None and not job.keep_going:
                return ending
            rows: Iterable[Call] | AsyncIterator[CDR]
            if job.layout.get("rows") == "calls":
                rows = await mirror.calls(dates.datefrom, dates.dateto, tenant=tenant)
            else:
                rows = self._legs(mirror, tenant)
            count = await save(
                rows,
                target,
                format=job.format,
                **job.layout,
                timezone=self._settings.zone,
                overwrite=overwrite,
            )
        name = target if isinstance(target, str) else "standard output"
        if not self._quiet:
            show(f"{plural(count, job.noun)} of {shown_database(self._database)} to {name}")
        if self._conflicts:
            warn(
                f"{plural(self._conflicts, 'leg')} "
                f"{'was' if self._conflicts == 1 else 'were'} left out, as the uniqueid is in the "
                "output already. To have every leg: --unique-by leg"
            )
        return ending

    async def _legs(self, mirror: Mirror, tenant: str | None) -> AsyncIterator[CDR]:
        """Give the legs by their start; of a uniqueid the first alone, unless all are wanted."""
        dates = self._options.range
        assert dates is not None  # noqa: S101 - or there were no job
        seen: set[str] = set()
        async for leg in mirror.cdrs(dates.datefrom, dates.dateto, tenant=tenant):
            if self._job.unique_by == "uniqueid" and leg.uniqueid:
                if leg.uniqueid in seen:
                    self._conflicts += 1
                    continue
                seen.add(leg.uniqueid)
            yield leg
