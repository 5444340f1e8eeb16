"""Calls as the provider holds them, made by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from boxis_async import Window

if TYPE_CHECKING:
    from collections.abc import Iterable

    from boxis_async import CDR

DAY = datetime(2024, 3, 5)  # noqa: DTZ001 - the provider's wall clock
NEXT_DAY = DAY + timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
ZURICH = ZoneInfo("Europe/Zurich")

_numbers = count(1)


def hour(number: int, hours: int = 1) -> Window:
    """Name the window of one hour of `DAY`, or of several from that one on.

    It begins a second before the one before it ends, but for the first of the day.
    """
    begin = DAY + number * HOUR - (SECOND if number else timedelta(0))
    return Window(begin, DAY + (number + hours) * HOUR)


def overlapping(start: datetime, length: timedelta, end: datetime) -> list[Window]:
    """List the windows of a range, of one length but for the last, as they are to be."""
    ends = [start]
    while ends[-1] < end:
        ends.append(min(ends[-1] + length, end))
    return [Window(start, ends[1])] + [
        Window(begin - SECOND, end) for begin, end in pairwise(ends[1:])
    ]


def call(start: str, uniqueid: str | None = None, **fields: str | None) -> dict[str, str | None]:
    """Make one record, by default a minute long and under a uniqueid of its own."""
    began = datetime.fromisoformat(start)
    row: dict[str, str | None] = {
        "uniqueid": f"sip022.voice.boxis.net-call.{next(_numbers)}"
        if uniqueid is None
        else uniqueid,
        "start": start,
        "answer": start,
        "end": f"{began + timedelta(minutes=1)}",
        "clid": '"Anna Meier" <0041445550123>',
        "src": "0041445550123",
        "dst": "201",
        "duration": "60",
        "billsec": "60",
        "disposition": "ANSWERED",
        "sequence": "1",
    }
    return row | fields


def rung_out(name: str, minutes: int, **fields: str | None) -> dict[str, str | None]:
    """Make a leg of an inbound call that nobody answered, and that ended so many minutes ago."""
    end = datetime.now(UTC).astimezone(ZURICH) - timedelta(minutes=minutes)
    return {
        "uniqueid": name,
        "linkedid": name,
        "sequence": "1",
        "start": f"{end - timedelta(seconds=20):%Y-%m-%d %H:%M:%S}",
        "end": f"{end:%Y-%m-%d %H:%M:%S}",
        "duration": "20",
        "billsec": "0",
        "userfield": "[inbound]",
        "src": "0041445550101",
        "clid": f'"{name}" <0041445550101>',
        "disposition": "NO ANSWER",
    } | fields


def hourly(*, calls: int = 1) -> list[dict[str, str | None]]:
    """Make so many calls in each hour of `DAY`, none of them on a boundary of hours."""
    return [
        call(f"{DAY + hour * HOUR + timedelta(minutes=30, seconds=second)}", sequence=f"{second}")
        for hour in range(24)
        for second in range(calls)
    ]


def ids(cdrs: Iterable[CDR]) -> list[str]:
    """Name records by their uniqueid."""
    return [cdr.uniqueid for cdr in cdrs]


def ids_of(rows: Iterable[dict[str, str | None]]) -> list[str]:
    """Name rows likewise."""
    return [row["uniqueid"] or "" for row in rows]
