"""A sync killed at random moments, and resumed: is a leg lost, or written twice?

Each sync runs in a process of its own, forked of one that has loaded all, against a real server in
this one, into SQLite and into PostgreSQL. Some time after its first request it gets a SIGKILL. Then
what the database says to be complete is compared with what the server has. When it has come to the
end of the year, a last sync is let run, all is compared, and the next year begins in an empty
database, until all kills are made. Exits with 1 when a leg is lost or repeated, counted as changed,
or missing in a span that is said to be there.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import multiprocessing.process
import random
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import attrs
from _databases import DATABASES, END, RULE, START, fresh_databases

from boxis_async import BoxisClient
from boxis_async.mirror import Covered, Mirror, Synced
from boxis_async.testing import LoopbackServer, Provider, generate_calls

if TYPE_CHECKING:
    from boxis_async import CDR
    from boxis_async.testing import Row

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["mirror_kills"])
LATENCY = 0.05
KILLS_A_YEAR = 12


@attrs.define
class Tally:
    """What was found in one kind of database."""

    kills: int = 0
    years: int = 0
    legs: int = 0
    lost: int = 0
    repeated: int = 0
    changed: int = 0
    untrue: int = 0
    """Legs that were not there, in a span that was said to be complete."""

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.repeated or self.changed or self.untrue)


def main(kills: int, calls_per_day: float, seed: int, kinds: list[str]) -> bool:
    """Kill and resume, and tell whether each database has each leg once."""
    rng = random.Random(seed)
    rows = generate_calls(START, END, calls_per_day=calls_per_day)
    provider = Provider(rows, latency=LATENCY)
    print(f"{len(rows):,} legs, {START} to {END}; {kills} kills a database", flush=True)
    right = True
    with LoopbackServer(provider) as server:
        for kind in kinds:
            began = time.perf_counter()
            tally = Tally(legs=len(rows))
            with fresh_databases(kind) as make:
                whole = seconds_of(provider, server.url, make())
                while tally.kills < kills:
                    killed_often(provider, server.url, make(), whole, kills, rng, tally)
            print(f"{kind}: {tally}; {time.perf_counter() - began:.0f} s", flush=True)
            right &= tally.is_right
    return right


def seconds_of(provider: Provider, address: str, url: str) -> float:
    """Give how long an undisturbed sync works, from its first request on."""
    seen = len(provider.requests)
    job = started(address, url)
    wait_for_request(job, provider, seen)
    began = time.perf_counter()
    job.join()
    assert job.exitcode == 0
    return time.perf_counter() - began


def killed_often(  # noqa: PLR0913, PLR0917 - what there is to know
    provider: Provider,
    address: str,
    url: str,
    whole: float,
    kills: int,
    rng: random.Random,
    tally: Tally,
) -> None:
    """Kill it until it has come to the end of the year, then compare all."""
    rows = provider.select()
    while tally.kills < kills:
        seen = len(provider.requests)
        job = started(address, url)
        wait_for_request(job, provider, seen)
        job.join(rng.uniform(0, 2 * whole / KILLS_A_YEAR))
        job.kill()
        job.join()
        if job.exitcode == 0:
            break
        tally.kills += 1
        covered, there = asyncio.run(read(url))
        tally.untrue += len(missing_in(covered, there, rows))
    synced = asyncio.run(sync(address, url))
    tally.years += 1
    tally.changed += synced.changed + synced.gone
    _, found = asyncio.run(read(url))
    wanted, have = Counter(map(name_of, rows)), Counter(map(leg_of, found))
    tally.lost += (wanted - have).total()
    tally.repeated += (have - wanted).total()


def started(address: str, url: str) -> multiprocessing.process.BaseProcess:
    """Begin a sync, or resume it."""
    job = PROCESSES.Process(target=run, args=(address, url))
    job.start()
    return job


def run(address: str, url: str) -> None:
    """Be the process that is killed."""
    asyncio.run(sync(address, url))


async def sync(address: str, url: str) -> Synced:
    """Sync the year."""
    async with (
        BoxisClient(
            "ops@example.com",
            "stand-in-key",
            tenant="VOICE-29001-1",
            base_url=address,
            contract=RULE,
            concurrency=2,
        ) as client,
        Mirror(url) as mirror,
    ):
        return await mirror.sync(client, START, END)


def wait_for_request(
    job: multiprocessing.process.BaseProcess, provider: Provider, seen: int
) -> None:
    """Wait until a request has arrived, or the process has ended."""
    pause = threading.Event()
    while len(provider.requests) == seen and job.is_alive():
        pause.wait(0.002)


async def read(url: str) -> tuple[Covered, list[CDR]]:
    """Give what the database says to be there, and what is there."""
    async with Mirror(url) as mirror:
        covered = await mirror.covered(START, END)
        return covered, [cdr async for cdr in mirror.cdrs(START, END)]


def missing_in(covered: Covered, there: list[CDR], rows: list[Row]) -> set[tuple[str, str]]:
    """List the legs of spans that are said to be complete, but which are not there."""
    spans = [(f"{span.start}", f"{span.end}") for span in covered.complete]
    said = {
        name_of(row) for row in rows if any(start < str(row["start"]) < end for start, end in spans)
    }
    return said - set(map(leg_of, there))


def name_of(row: Row) -> tuple[str, str]:
    """Name a leg as the server has it."""
    return str(row["uniqueid"]), str(row["sequence"])


def leg_of(cdr: CDR) -> tuple[str, str]:
    """Name a leg as the mirror has it."""
    return cdr.uniqueid, str(cdr.sequence)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=50)
    parser.add_argument("--calls-per-day", type=float, default=274)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=list(DATABASES))
    arguments = parser.parse_args()
    sys.exit(
        not main(arguments.kills, arguments.calls_per_day, arguments.seed, arguments.databases)
    )
