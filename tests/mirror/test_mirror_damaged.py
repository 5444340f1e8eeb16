"""Databases whose values no mirror wrote: an error of the mirror's that shows none of them."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from calls import DAY, NEXT_DAY, hourly
from clients import connected

from boxis_async import BoxisError, printable
from boxis_async.mirror import Mirror, MirrorDatabaseError
from boxis_async.testing import Provider

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from boxis_async import BoxisClient

EVIL = "\x1b[31m0041445550123\u202e"
TIMES = (EVIL, "", 7, 2**62, float("inf"), b"\xff\x00", "9999-99-99 00:00:00", "2024-03-05T00:00Z")
TEXTS = (b"\xff\x00",)
WHOLES = (EVIL, float("inf"), b"\xff")
PLACES: dict[tuple[str, str], tuple[object, ...]] = {
    ("legs", "start_wall"): TIMES,
    ("legs", "end_wall"): TIMES[:5],
    ("legs", "start_pass"): (EVIL, 7, 2**62, 1.5),
    ("legs", "clid"): TEXTS,
    ("legs", "uniqueid"): TEXTS,
    ("legs", "disposition"): TEXTS,
    ("legs", "billsec"): WHOLES,
    ("legs", "cc_cost_e5"): WHOLES,
    ("legs", "cc_date"): TIMES[:5],
    ("legs", "extra"): (EVIL, "[" * 50_000, b"\xff"),
    ("legs", "exact"): (EVIL, '{"billsec":"x"}', '{"nosuchfield":1}', "7"),
    ("tenants", "range_from"): TIMES,
    ("tenants", "rechecked"): TIMES[:7],
    ("coverage", "start"): TIMES,
    ("coverage", "marks"): (EVIL, b"\xff"),
    ("coverage", "kind"): (EVIL,),
    ("runs", "ended"): TIMES[:7],
    ("mirror", "value"): (EVIL, "", "[" * 50_000, "{}"),
}
READS: dict[str, Callable[[Mirror, BoxisClient], Awaitable[object]]] = {
    "cdrs": lambda mirror, _: mirror.cdrs(DAY, NEXT_DAY).to_list(),
    "calls": lambda mirror, _: mirror.calls(DAY, NEXT_DAY),
    "status": lambda mirror, _: mirror.status(),
    "sync": lambda mirror, client: mirror.sync(client, DAY, NEXT_DAY),
}


@pytest.mark.parametrize(("table", "column"), PLACES)
async def test_values_that_no_mirror_wrote(table: str, column: str, tmp_path: Path) -> None:
    """Whatever stands in a column, reading ends in what it can, or in an error of the library."""
    base, path = tmp_path / "base.db", tmp_path / "calls.db"
    problems: list[BoxisError] = []
    async with connected(Provider(hourly()[:3])) as client:
        async with Mirror(base) as mirror:
            await mirror.sync(client, DAY, NEXT_DAY)
        for value in PLACES[table, column]:
            shutil.copy(base, path)
            spoil(path, table, column, value)
            for read in READS.values():
                try:
                    async with Mirror(path) as mirror:
                        await read(mirror, client)
                except BoxisError as error:
                    problems.append(error)
    assert problems or column in {"billsec", "cc_cost_e5"}
    for problem in problems:
        assert printable(str(problem)) == str(problem)
        assert len(str(problem)) < 400
        assert "0041445550123" not in str(problem)
    if table == "legs":
        assert {type(problem) for problem in problems} == {MirrorDatabaseError}


def spoil(path: Path, table: str, column: str, value: Any) -> None:  # noqa: ANN401 - whatever SQLite takes
    with closing(sqlite3.connect(path)) as database:
        database.execute(f'UPDATE {table} SET "{column}" = ?', (value,))
        database.commit()
