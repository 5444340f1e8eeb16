"""A server of any number of calls, spread over working weeks, made when they are asked for.

It runs in a process of its own and holds but the starts, so that a million calls cost it little.
`serving` starts it, and gives its address; `days_for` tells how long they take.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from bisect import bisect_left, bisect_right
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from _http import running, serve

from boxis_async.testing import generate_calls

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["START", "end_of", "serving"]

START = datetime(2025, 1, 6)  # noqa: DTZ001 - the provider's wall clock; a Monday
_SHARES = (1, 1, 1, 1, 1, 2, 4, 20, 60, 90, 90, 70, 30, 60, 90, 80, 60, 30, 10, 6, 4, 3, 2, 1)
_WEEK = [share * (1.0 if day < 5 else 0.2) for day in range(7) for share in _SHARES]


def end_of(days: int) -> datetime:
    """Tell when so many days are over."""
    return START + timedelta(days=days)


@contextlib.contextmanager
def serving(calls: int, days: int, *, latency: float = 0.0) -> Iterator[str]:
    """Serve so many calls in so many days, and give the address."""
    with running(__file__, str(calls), str(days), str(latency)) as url:
        yield url


def _starts(calls: int, days: int) -> list[int]:
    """Draw when the calls start, in seconds from the beginning."""
    rng = random.Random(0)
    hours = range(24 * days)
    weights = [_WEEK[hour % len(_WEEK)] for hour in hours]
    drawn = rng.choices(hours, weights, k=calls)
    return sorted(hour * 3600 + rng.randrange(3600) for hour in drawn)


def _template() -> str:
    """Give a record as JSON, with places for its number, epoch, start and end."""
    rows = generate_calls(START.date(), START.date() + timedelta(days=1), calls_per_day=50)
    row = next(row for row in rows if row["disposition"] == "ANSWERED")
    made = row | {
        "uniqueid": "<uniqueid>",
        "linkedid": "<uniqueid>",
        "sequence": "<number>",
        "start": "<start>",
        "answer": "<start>",
        "end": "<start>",
    }
    text = json.dumps(made, separators=(",", ":")).replace("/", "\\/").replace("%", "%%")
    text = text.replace("<uniqueid>", "sip022.voice.boxis.net-%(epoch)d.%(number)d")
    return text.replace("<number>", "%(number)d").replace("<start>", "%(start)s")


async def _serve(calls: int, days: int, latency: float) -> None:
    starts, template = _starts(calls, days), _template()
    offset = int(START.replace(tzinfo=UTC).timestamp()) - 3600

    def body(datefrom: str, dateto: str) -> bytes:
        low, high = (
            (datetime.fromisoformat(text) - START).total_seconds() for text in (datefrom, dateto)
        )
        rows: list[str] = []
        for number in range(bisect_left(starts, low), bisect_right(starts, high)):
            at = starts[number]
            values = {
                "number": number,
                "epoch": offset + at,
                "start": f"{START + timedelta(seconds=at)}",
            }
            rows.append(f'"call_{len(rows) + 1}":{template % values}')
        params = '{"cdr":{' + ",".join(rows) + "}}" if rows else "[]"
        return f'{{"result":"1","resulttxt":"","params":{params},"timestamp":1}}'.encode()

    await serve(lambda form: (latency, body(form["datefrom"][0], form["dateto"][0])))


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
