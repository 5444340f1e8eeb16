"""Servers that compare moments: no call is lost or comes twice where the clock is changed.

The stand-in provider compares texts. Here a small server compares moments, as one does that keeps
Unix times: what a time means that does not exist, or exists twice, is a matter of its library.
"""

# Naive datetimes here are the provider's wall clock.
# ruff: noqa: DTZ001

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import httpx
import pytest
from calls import HOUR, MINUTE, SECOND, call, ids
from resumes import kept

from boxis_async import BoxisClient, Contract, RetryPolicy
from boxis_async.testing import DATE_RULES, DateRule

if TYPE_CHECKING:
    from collections.abc import Callable

    from boxis_async.testing import Row

ZURICH: Final = ZoneInfo("Europe/Zurich")
NIGHT, MORNING = datetime(2025, 3, 30), datetime(2025, 3, 30, 6)
SKIPPED = datetime(2025, 3, 30, 2), datetime(2025, 3, 30, 3)
READINGS: Final[dict[str, Callable[[datetime], datetime]]] = {
    # PHP, Python, Java
    "later": lambda wall: wall + HOUR,
    "earlier": lambda wall: wall - HOUR,
    # MySQL
    "the change": lambda _: SKIPPED[1],
}
RULES = tuple(rule for rule in DATE_RULES if rule.by != "within")


@cache
def moment_of(text: str, reading: str) -> float:
    """Read a time as a server does that keeps moments."""
    wall = datetime.fromisoformat(text)
    if SKIPPED[0] <= wall < SKIPPED[1]:
        wall = READINGS[reading](wall)
    return wall.replace(tzinfo=ZURICH).timestamp()


def between(rule: DateRule, reading: str, rows: list[Row], first: str, last: str) -> list[Row]:
    """Select rows by their moments."""
    begin, end = moment_of(first, reading), moment_of(last, reading)

    def is_late_enough(time: float) -> bool:
        return time > begin or (rule.include_from and time == begin)

    def is_early_enough(time: float) -> bool:
        return time < end or (rule.include_to and time == end)

    found: list[Row] = []
    for row in rows:
        started, ended = (moment_of(str(row[name]), reading) for name in ("start", "end"))
        starts, ends = (is_late_enough(t) and is_early_enough(t) for t in (started, ended))
        overlaps = is_early_enough(started) and is_late_enough(ended)
        by = {"start": starts, "end": ends, "overlap": overlaps, "either": starts or ends}
        if by[rule.by]:
            found.append(row)
    return found


def served(rule: DateRule, reading: str, rows: list[Row]) -> httpx.AsyncClient:
    """Serve rows by their moments."""

    def answer(request: httpx.Request) -> httpx.Response:
        form = parse_qs(request.content.decode())
        found = between(rule, reading, rows, form["datefrom"][0], form["dateto"][0])
        cdr = {f"call_{number}": row for number, row in enumerate(found, 1)}
        return httpx.Response(200, text=json.dumps({"result": "1", "params": {"cdr": cdr}}))

    return httpx.AsyncClient(transport=httpx.MockTransport(answer))


def calls_of_the_night() -> list[Row]:
    """Make a call every three minutes, of many lengths, and one at each second of the change."""
    real = NIGHT.replace(tzinfo=ZURICH).timestamp()
    change = SKIPPED[1].replace(tzinfo=ZURICH).timestamp()
    starts = [real + 180 * number for number in range(100)]
    starts += [change + second for second in range(-3, 4)]
    rows: list[Row] = []
    for number, start in enumerate(starts):
        begin, end = (
            datetime.fromtimestamp(at, ZURICH).replace(tzinfo=None)
            for at in (start, start + (0, 1, 50, 700)[number % 4])
        )
        rows.append(call(f"{begin}", f"n-{number}", end=f"{end}"))
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("rule", RULES, ids=str)
async def test_no_call_is_lost_where_the_clock_is_put_forward(rule: DateRule, reading: str) -> None:
    """Whatever the windows are, in one run or several, the stream is the undivided answer."""
    rows = calls_of_the_night()
    wanted = Counter(
        str(row["uniqueid"]) for row in between(rule, reading, rows, f"{NIGHT}", f"{MORNING}")
    )
    for window in (None, 25 * MINUTE, HOUR):
        for seam in (None, SKIPPED[0], SKIPPED[1], SKIPPED[1] + SECOND):
            found: list[str] = []
            coverage = None
            async with (
                served(rule, reading, rows) as http_client,
                BoxisClient(
                    "a@b", "k", tenant="V", http_client=http_client, contract=Contract(rule=rule.by)
                ) as client,
            ):
                # Each further run begins where the one before ended.
                for end in (seam, MORNING):
                    if end is not None:
                        stream = client.cdrs(NIGHT, end, window=window, resume=coverage)
                        batches = [batch async for batch in stream.batches()]
                        coverage = stream.coverage
                        found += ids(kept(batches, coverage))
            assert Counter(found) == wanted, (window, seam)


@pytest.mark.parametrize("fold", [0, 1])
@pytest.mark.parametrize("runs", [(3, 6), (2, 6), (4, 6)])
async def test_no_call_comes_twice_where_the_clock_is_put_back(
    runs: tuple[int, int], fold: int
) -> None:
    """A run that begins in the repeated hour recognises whichever pass the server takes it for."""
    night = datetime(2025, 10, 26)
    epochs = [int(night.replace(tzinfo=ZURICH).timestamp()) + 300 * n for n in range(84)]
    rows = [
        call(f"{start}", f"n-{epoch}.1", end=f"{start}")
        for epoch in epochs
        for start in [datetime.fromtimestamp(epoch, ZURICH).replace(tzinfo=None)]
    ]

    def answer(request: httpx.Request) -> httpx.Response:
        form = parse_qs(request.content.decode())
        first, last = (
            datetime.fromisoformat(form[name][0]).replace(tzinfo=ZURICH, fold=fold).timestamp()
            for name in ("datefrom", "dateto")
        )
        found = [row for row, epoch in zip(rows, epochs, strict=True) if first <= epoch <= last]
        cdr = {f"call_{number}": row for number, row in enumerate(found, 1)}
        return httpx.Response(200, text=json.dumps({"result": "1", "params": {"cdr": cdr}}))

    found: list[str] = []
    coverage = None
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http_client,
        BoxisClient(
            "a@b", "k", tenant="V", http_client=http_client, contract=Contract(rule="start")
        ) as client,
    ):
        for hours in runs:
            stream = client.cdrs(night, night + hours * HOUR, window=HOUR, resume=coverage)
            batches = [batch async for batch in stream.batches()]
            coverage = stream.coverage
            found += ids(kept(batches, coverage))
    assert Counter(found) == Counter(f"n-{epoch}.1" for epoch in epochs)


async def test_halves_part_outside_of_the_skipped_hour() -> None:
    """A window that is cut again and again has no part that begins or ends in the hour."""
    rule, rows = DateRule("start", include_from=False, include_to=False), calls_of_the_night()
    asked: list[str] = []
    async with served(rule, "later", rows) as http_client:

        async def note(request: httpx.Request) -> None:
            form = parse_qs(request.content.decode())
            asked.extend((form["datefrom"][0], form["dateto"][0]))

        http_client.event_hooks = {"request": [note]}
        async with BoxisClient(
            "a@b",
            "k",
            tenant="V",
            http_client=http_client,
            contract=Contract(rule="start"),
            retry=RetryPolicy(attempts=1),
        ) as client:
            found = ids(await client.cdrs(NIGHT, MORNING, row_limit=8).to_list())
    assert Counter(found) == Counter(
        str(row["uniqueid"]) for row in between(rule, "later", rows, f"{NIGHT}", f"{MORNING}")
    )
    assert not [text for text in asked if f"{SKIPPED[0]}" <= text < f"{SKIPPED[1]}"]
