"""A year of calls into SQLite and PostgreSQL by the mirror: legs a second, beside what is less.

Beside it are the stream alone, which drops what it brings; the same legs by a plain `executemany`
into a table with a column for each field, from memory, in one transaction; and the loader that the
page "Resuming a run" shows, which keeps three fields. Then a second sync with nothing new: how many
requests it takes, how long, and how many rows it writes, as the databases themselves count them.
The server runs in a process of its own. Exits with 1 when a leg is missing, or the second sync
writes one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sqlite3
import sys
import time
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import psycopg
from _databases import DATABASES, END, START, connected, fresh_database, serving_year

from boxis_async import CDR, Coverage
from boxis_async.mirror import Mirror, Synced

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES = ("legs", "calls", "revisions", "coverage")
NAMES = [field.name for field in attrs.fields(CDR)]
SQLITE_PATH = "sqlite:///"
WEEK = timedelta(days=7)


async def stream(environment: dict[str, str]) -> list[CDR]:
    """Fetch the year and keep it."""
    async with connected(environment) as client:
        return await client.cdrs(START, END, unique_by="leg").to_list()


async def stream_alone(environment: dict[str, str]) -> None:
    """Fetch the year and drop it."""
    async with connected(environment) as client:
        async for _ in client.cdrs(START, END, unique_by="leg").batches():
            pass


def plain(url: str, legs: list[CDR]) -> None:
    """Write legs that are in memory by one `executemany`."""
    names = ", ".join(f'"{name}"' for name in NAMES)
    key = "PRIMARY KEY (uniqueid, sequence, start)"
    if url.startswith(SQLITE_PATH):
        with contextlib.closing(sqlite3.connect(url.removeprefix(SQLITE_PATH))) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(f"CREATE TABLE plain ({names}, {key})")
            marks = ", ".join("?" * len(NAMES))
            with database:
                database.executemany(
                    f"INSERT OR REPLACE INTO plain ({names}) VALUES ({marks})",
                    (written(leg) for leg in legs),
                )
        return
    types = {"start": "timestamptz", "answer": "timestamptz", "end": "timestamptz"}
    types |= {"sequence": "bigint", "cc_cost": "numeric"}
    columns = ", ".join(f'"{name}" {types.get(name, "text")}' for name in NAMES)
    others = ", ".join(f'"{name}" = excluded."{name}"' for name in NAMES)
    with psycopg.connect(url) as connection:
        connection.execute(f"CREATE TABLE plain ({columns}, {key})")  # type: ignore[arg-type]
        marks = ", ".join(["%s"] * len(NAMES))
        connection.cursor().executemany(
            f"INSERT INTO plain ({names}) VALUES ({marks}) "  # type: ignore[arg-type]
            f"ON CONFLICT (uniqueid, sequence, start) DO UPDATE SET {others}",
            [written(leg, keeps_times=True) for leg in legs],
        )


def written(leg: CDR, *, keeps_times: bool = False) -> list[Any]:
    """Give a leg's values as a database takes them."""
    values: list[Any] = []
    for name in NAMES:
        value = getattr(leg, name)
        if isinstance(value, datetime):
            value = value if keeps_times else f"{value}"
        elif isinstance(value, (date, Decimal)):
            value = f"{value}"
        elif name == "extra":
            value = json.dumps(value)
        values.append(value)
    return values


async def by_hand(environment: dict[str, str], path: str) -> None:
    """Fetch the year by the loader of the page "Resuming a run"."""
    database = sqlite3.connect(path)
    database.execute(
        "CREATE TABLE IF NOT EXISTS calls (leg TEXT PRIMARY KEY, start TEXT, billsec INT)"
    )
    database.execute("CREATE TABLE IF NOT EXISTS done (coverage TEXT)")
    async with connected(environment) as client:
        found = database.execute("SELECT coverage FROM done").fetchone()
        done = None if found is None else Coverage.from_json(found[0])
        calls = client.cdrs(START, END, unique_by="leg", resume=done)
        async for batch in calls.batches():
            rows = [(json.dumps(cdr.leg), f"{cdr.start}", cdr.billsec) for cdr in batch.cdrs]
            with database:
                database.executemany("INSERT OR REPLACE INTO calls VALUES (?, ?, ?)", rows)
                database.execute("DELETE FROM done")
                database.execute("INSERT INTO done VALUES (?)", [calls.coverage.to_json()])
        with database:
            database.execute("UPDATE done SET coverage = ?", [calls.coverage.to_json()])
    database.close()


async def mirrored(environment: dict[str, str], url: str) -> Synced:
    """Let the mirror fetch what it lacks of the year, and give what it did."""
    async with connected(environment) as client, Mirror(url) as mirror:
        return await mirror.sync(client, START, END)


def size_of(url: str) -> int:
    """Give how many bytes the mirror's tables and indexes take."""
    if url.startswith(SQLITE_PATH):
        path = Path(url.removeprefix(SQLITE_PATH))
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.stat().st_size
    with psycopg.connect(url) as connection:
        query = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname = ANY(%s)"
        return int(connection.execute(query, [list(TABLES)]).fetchone()[0])  # type: ignore[index]


@contextlib.contextmanager
def counting_writes(url: str) -> Iterator[dict[str, int]]:
    """Count the rows of each table that are written within the block, as the database does."""
    found: dict[str, int] = {}
    if not url.startswith(SQLITE_PATH):
        with psycopg.connect(url, autocommit=True) as connection:
            before = counted(connection)
            yield found
            found |= {name: count - before[name] for name, count in counted(connection).items()}
        return
    with contextlib.closing(sqlite3.connect(url.removeprefix(SQLITE_PATH))) as database:
        with database:
            database.execute("CREATE TABLE written (name TEXT)")
            for name in TABLES:
                for event in ("INSERT", "UPDATE", "DELETE"):
                    database.execute(
                        f"CREATE TRIGGER written_{name}_{event} AFTER {event} ON {name} "
                        f"BEGIN INSERT INTO written VALUES ('{name}'); END"
                    )
        yield found
        rows = database.execute("SELECT name, count(*) FROM written GROUP BY name")
        found |= dict.fromkeys(TABLES, 0) | dict(rows.fetchall())


def counted(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Give how many rows of each table were written since it is there."""
    query = (
        "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables "
        "WHERE relname = ANY(%s)"
    )
    # Each session tells what it did when it ends, and the statistics of this one are of its start.
    connection.execute("SELECT pg_stat_clear_snapshot()")
    return dict(connection.execute(query, [list(TABLES)]).fetchall())


@contextlib.contextmanager
def timed(what: str, legs: int, more: dict[str, str]) -> Iterator[None]:
    """Print how fast something was, by the clock and by the processor's time of this process."""
    began, worked = time.perf_counter(), time.process_time()
    yield
    took, work = time.perf_counter() - began, time.process_time() - worked
    print(
        f"{what:42} {took:7.1f} s {legs / took:8,.0f} legs/s "
        f"{work:7.1f} s of CPU {''.join(more.values())}",
        flush=True,
    )


def main(calls: int, kinds: list[str]) -> bool:
    """Measure, and tell whether all is there, and nothing was written twice."""
    right = True
    print(f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}")
    with serving_year(calls) as environment:
        legs = asyncio.run(stream(environment))
        count = len(legs)
        print(f"{count:,} legs of {START} to {END}\n")
        with timed("the stream alone", count, {}):
            asyncio.run(stream_alone(environment))
        with (
            fresh_database("sqlite") as url,
            timed("by hand, three fields, sqlite", count, {}),
        ):
            asyncio.run(by_hand(environment, url.removeprefix(SQLITE_PATH)))
        for kind in kinds:
            with (
                fresh_database(kind) as url,
                timed(f"executemany of what is in memory, {kind}", count, {}),
            ):
                plain(url, legs)
            with fresh_database(kind) as url:
                right &= twice(environment, url, kind, count)
    return right


def twice(environment: dict[str, str], url: str, kind: str, count: int) -> bool:
    """Sync twice, and tell whether the first brought all, and the second wrote nothing."""
    more: dict[str, str] = {}
    with timed(f"the mirror, {kind}", count, more):
        first = asyncio.run(mirrored(environment, url))
        more["requests"] = f"{first.requests} requests"
    print(f"  {size_of(url) / count:,.0f} bytes a leg")
    more = {}
    with counting_writes(url) as written, timed("  again, with nothing new", count, more):
        second = asyncio.run(mirrored(environment, url))
        more["requests"] = f"{second.requests} requests"
    found = ", ".join(f"{number} in {name}" for name, number in written.items())
    print(f"  rows written: {found}", flush=True)
    return first.new == count and not any(written[name] for name in TABLES[:3])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=list(DATABASES))
    arguments = parser.parse_args()
    sys.exit(not main(arguments.calls, arguments.databases))
