"""Calls that change after they came: costs days later, legs repaired, legs gone. Are all found?

A mirror is synced each night, by a clock that is set forward, while the stand-in changes what it
has: of the legs of each day, 5 % get another cost 1 to 30 days later, 1 % are repaired, and 0.1 %
go. Prints what the mirror counted, how many requests that took, and how many revisions it kept, and
compares the whole in the end. Exits with 1 when a change was not found, or an earlier version is
not kept.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sqlite3
import sys
import time
from collections import Counter, defaultdict
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import psycopg
import time_machine
from _databases import DATABASES, END, RULE, START, fresh_database

from boxis_async import BoxisClient
from boxis_async.mirror import Mirror
from boxis_async.testing import Provider, generate_calls

if TYPE_CHECKING:
    from boxis_async.testing import Row

ZURICH = ZoneInfo("Europe/Zurich")
COSTS, REPAIRED, GONE = 0.05, 0.01, 0.001
LATEST = 30
NIGHT = timedelta(hours=3)


class Changes:
    """What the stand-in will do to its legs, by the night on which it is done."""

    def __init__(self, rows: list[Row], rng: random.Random) -> None:
        self.by_night: dict[int, list[tuple[str, Row]]] = defaultdict(list)
        self.counts: Counter[str] = Counter()
        for row in rows:
            day = (datetime.fromisoformat(str(row["start"])).date() - START).days
            drawn = rng.random()
            for what, share in (("cost", COSTS), ("repaired", REPAIRED), ("gone", GONE)):
                if drawn < share:
                    # The night after its day has it first.
                    self.by_night[day + 1 + rng.randint(1, LATEST)].append((what, row))
                    self.counts[what] += 1
                    break
                drawn -= share

    def apply(self, night: int, provider: Provider) -> None:
        """Do what is due between the night before and this one."""
        for what, row in self.by_night[night]:
            leg = {"uniqueid": str(row["uniqueid"]), "sequence": str(row["sequence"])}
            if what == "cost":
                provider.change({"cc_cost": "9.87654"}, **leg)
            elif what == "repaired":
                provider.change({"wherelanded": "Repaired 301", "lastdst": "301"}, **leg)
            else:
                provider.remove(**leg)


async def nights(url: str, days: int, calls_per_day: float, seed: int, kind: str) -> bool:
    """Sync each night; tell whether the mirror is as the stand-in in the end."""
    end = START + timedelta(days=days)
    rows = generate_calls(START, end, calls_per_day=calls_per_day)
    provider = Provider(rows)
    changes = Changes(rows, random.Random(seed))
    totals: Counter[str] = Counter()
    began = time.perf_counter()
    http_client = provider.client()
    async with (
        http_client,
        BoxisClient(
            provider.username, provider.api_key, tenant=provider.tenant,
            http_client=http_client, contract=RULE,
        ) as client,
        Mirror(url) as mirror,
    ):  # fmt: skip
        # So long that the last change is seen too.
        for night in range(1, days + LATEST + 3):
            moment = datetime.combine(START, datetime.min.time(), ZURICH) + night * timedelta(
                days=1
            )
            with time_machine.travel((moment + NIGHT).astimezone(UTC), tick=True):
                changes.apply(night, provider)
                synced = await mirror.sync(client, START)
            for name in ("new", "changed", "gone", "requests"):
                totals[name] += getattr(synced, name)
        wanted = {(str(row["uniqueid"]), str(row["sequence"])): row for row in provider.select()}
        found = {(cdr.uniqueid, str(cdr.sequence)): cdr async for cdr in mirror.cdrs(START, end)}
    stale = [
        name
        for name, row in wanted.items()
        if name not in found
        or found[name].cc_cost != (Decimal(str(row["cc_cost"])) if row["cc_cost"] else None)
        or found[name].wherelanded != row["wherelanded"]
    ]
    left = found.keys() - wanted.keys()
    expected = changes.counts["cost"] + changes.counts["repaired"]
    kept = await revisions(url)
    print(
        f"{kind}: {len(rows):,} legs of {days} days, {days + LATEST + 2} nights, "
        f"{time.perf_counter() - began:.0f} s\n"
        f"  done to them: {dict(changes.counts)}\n"
        f"  the mirror counted: {dict(totals)}; {kept:,} revisions\n"
        f"  stale in the end: {len(stale)}; there, but gone at the provider: {len(left)}",
        flush=True,
    )
    return (
        not (stale or left)
        and totals["new"] == len(rows)
        and totals["changed"] == kept == expected
        and totals["gone"] == changes.counts["gone"]
    )


async def revisions(url: str) -> int:
    """Count the earlier versions that are kept."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
            return int(database.execute("SELECT count(*) FROM revisions").fetchone()[0])
    with psycopg.connect(url) as connection:
        return int(connection.execute("SELECT count(*) FROM revisions").fetchone()[0])  # type: ignore[index]


def main(days: int, calls_per_day: float, seed: int, kinds: list[str]) -> bool:
    """Run both databases, and tell whether all was found."""
    right = True
    for kind in kinds:
        with fresh_database(kind) as url:
            right &= asyncio.run(nights(url, days, calls_per_day, seed, kind))
    return right


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=(END - START).days)
    parser.add_argument("--calls-per-day", type=float, default=274)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=list(DATABASES))
    arguments = parser.parse_args()
    sys.exit(not main(arguments.days, arguments.calls_per_day, arguments.seed, arguments.databases))
