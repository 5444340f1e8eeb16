"""What the commands write to standard error: the range, warnings, and what was exported."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from boxis_async import Stats

from .dates import write_moment
from .output import show

if TYPE_CHECKING:
    from datetime import date
    from zoneinfo import ZoneInfo

    from boxis_async.export import Exported

__all__ = [
    "percent",
    "plural",
    "show_empty",
    "show_exported",
    "show_range",
    "them",
    "warn",
    "warn_of_dropped",
]


def percent(share: float) -> str:
    """Write a share, from 0 to 1, in whole per cent: "100%" only where nothing is missing."""
    return f"{Stats(covered=share).percent}%"


def plural(number: int, noun: str) -> str:
    """Write a number with its noun: "1 record", "1,000 records"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def them(number: int) -> str:
    """Give the word for so many things that were just named."""
    return "it" if number == 1 else "them"


def warn(text: str) -> None:
    """Write a warning to standard error, with `--quiet` too."""
    show(f"Warning: {text}")


def show_range(datefrom: date | None, dateto: date | None, zone: ZoneInfo) -> None:
    """Write the range as it was understood, on the provider's clock."""
    first, last = (
        "?" if moment is None else write_moment(moment, zone) for moment in (datefrom, dateto)
    )
    show(f"{first} to {last} ({zone.key})", wraps=False)
    now = write_moment(datetime.now(zone), zone)
    if dateto is not None and last > now:
        warn(f"the range ends in the future: calls after {now} are not in it")


def show_empty(tenant: str | None, zone: ZoneInfo) -> None:
    """Write why there may be no record; the range stands above it already."""
    text = (
        f"The provider sent no record. Either there was no call in the range, or tenant {tenant} "
        f"is not the right one, or {zone.key} is not the zone of the provider's clock. "
        "boxis check looks at the last 12 hours"
    )
    show(text)


def show_exported(
    exported: Exported, *, noun: str = "record", target: str = "standard output", quiet: bool
) -> None:
    """Write what was exported, and warn of records that one may miss, with `--quiet` too."""
    stats = exported.stats
    if not quiet:
        earlier = ", with those of earlier runs" if exported.resumed else ""
        text = (
            f"{plural(exported.records, noun)} to {target}{earlier}; "
            f"{plural(stats.requests, 'request')}, {stats.retries:,} sent again"
        )
        show(text)
    if exported.conflicts:
        warn(
            f"{_records(exported.conflicts)} left out that {_no_copies(exported.conflicts)}: "
            "further legs of a uniqueid that is in the output already. To have every leg: "
            "--unique-by leg"
        )
    if stats.revisions:
        _warn_of_revisions(stats.revisions, "kept", again="export the range again")


def warn_of_dropped(stats: Stats) -> None:
    """Warn of records that were not counted though they are no copies, with `--quiet` too."""
    if stats.conflicts:
        warn(
            f"{_records(stats.conflicts)} not counted that {_no_copies(stats.conflicts)}, but "
            "differ from another record with the same key"
        )
    if stats.revisions:
        _warn_of_revisions(stats.revisions, "counted", again="run the command again")


def _records(number: int) -> str:
    return f"{plural(number, 'record')} {'was' if number == 1 else 'were'}"


def _no_copies(number: int) -> str:
    return "is not a duplicate" if number == 1 else "are not duplicates"


def _warn_of_revisions(revisions: int, done: str, *, again: str) -> None:
    legs = "1 leg" if revisions == 1 else f"{revisions:,} legs"
    warn(
        f"{legs} came again with other content, such as a cost that was worked out later; "
        f"the first version is {done}. To have the last version, {again} later"
    )
