"""The tables of a mirror, as the page describes them: other programs rely on their names."""

from __future__ import annotations

import re

import attrs
from mirrors import select
from paths import ROOT

from boxis_async import CDR
from boxis_async.mirror import Mirror

PAGE = (ROOT / "docs" / "mirror.md").read_text("utf-8")
DESCRIBED = {name for line in PAGE.splitlines() if line.startswith("| `")
             for name in re.findall(r"`(\w+)`", line.split("|")[1])}  # fmt: skip
API_NAMES = {"src_call_id": "srcCallID"}


async def test_every_table_is_described(database: str) -> None:
    """The page has each table and view, and none that is not there on a server."""
    async with Mirror(database):
        pass
    if database.startswith("postgresql://"):
        query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    else:
        query = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
    there = {name for (name,) in select(database, query) if not name.startswith("sqlite_")}
    assert there <= DESCRIBED
    assert {"legs", "calls", "calls_by_day", "revisions", "coverage", "runs"} <= there


async def test_every_column_of_a_leg_is_described(sqlite: str) -> None:
    """A leg has every field under the API's own name, and what the page lists beside them."""
    async with Mirror(sqlite):
        pass
    columns = [name for (name,) in select(sqlite, "SELECT name FROM pragma_table_info('legs')")]
    fields = {API_NAMES.get(name, name) for name in attrs.fields_dict(CDR)}
    assert fields <= set(columns)
    others = {re.sub(r"^(answer|end)_", "start_", name) for name in set(columns) - fields}
    assert others <= DESCRIBED
    revised = [
        name for (name,) in select(sqlite, "SELECT name FROM pragma_table_info('revisions')")
    ]
    assert fields <= set(revised)
