"""Mutated answers, thousands of them: in what does each end?

Prints how many of each kind of mutation ended complete, or in which error. A record that is not
in the mutated answer, a missing one, or an error that is not this library's stops it with 1.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import logging
import random
import sys
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from boxis_async import CDR, BoxisClient, BoxisError, RetryPolicy, WindowError
from boxis_async.testing import Fault

if TYPE_CHECKING:
    from types import ModuleType


def beside(name: str) -> ModuleType:
    """Import a module of the tests by its path, as this script has its name too."""
    spec = importlib.util.spec_from_file_location(
        f"tests_{name}", Path(__file__).parents[1] / "support" / f"{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


mutations = beside("mutations")


def whole(cdr: CDR) -> CDR:
    """Make the whole record its own key."""
    return cdr


async def main(each: int, seed: int) -> bool:
    """Try so many of each kind, as JSON and as XML, and print the table."""
    began = time.perf_counter()
    table: dict[str, Counter[str]] = {}
    wrong = 0
    for returntype, body in (
        ("json", mutations.json_answer()),
        ("xml", mutations.xml_answer()),
    ):
        provider = mutations.provider()
        async with (
            provider.client() as http_client,
            BoxisClient(
                provider.username,
                provider.api_key,
                tenant=provider.tenant,
                http_client=http_client,
                returntype=returntype,  # type: ignore[arg-type]
                retry=RetryPolicy(attempts=1),
                timeout=10,
            ) as client,
        ):
            for kind, mutate in mutations.MUTATIONS.items():
                rng = random.Random(f"{seed} {kind} {returntype}")
                counts = table.setdefault(f"{kind} ({returntype})", Counter())
                for _ in range(each):
                    mutated = mutate(body, rng)
                    provider.faults = lambda _, mutated=mutated: Fault.garbage(mutated)
                    outcome = await outcome_of(client, mutated, returntype)
                    counts[outcome] += 1
                    if outcome.startswith("WRONG"):
                        wrong += 1
                        print(outcome, repr(mutated)[:2000])
    print_table(table)
    tried = sum(counts.total() for counts in table.values())
    print(f"\n{tried:,} mutated answers, {wrong} wrong, {time.perf_counter() - began:.0f} s")
    return not wrong


async def outcome_of(client: BoxisClient, mutated: bytes, returntype: str) -> str:
    """Name what one answer ends in."""
    start, end = map(datetime.fromisoformat, mutations.SECOND)
    try:
        cdrs = await client.cdrs(start, end, unique_by=whole).to_list()
    except WindowError as error:
        kind = type(error.cause).__name__
        return kind if isinstance(error.cause, BoxisError) else f"WRONG: {kind}"
    except Exception as error:  # noqa: BLE001 - what must not be
        return f"WRONG: {type(error).__name__}"
    if not mutations.is_what_was_sent(cdrs, mutated, returntype):
        return "WRONG: not what was sent"
    return "complete"


def print_table(table: dict[str, Counter[str]]) -> None:
    """Print a row for each kind of mutation, and a column for each end."""
    ends = sorted({end for counts in table.values() for end in counts})
    width = max(map(len, table))
    print(" " * width, *(f"{end:>{max(len(end), 6)}}" for end in ends), sep="  ")
    total: Counter[str] = sum(table.values(), Counter())
    for kind, counts in [*table.items(), ("all", total)]:
        cells = (f"{counts[end]:>{max(len(end), 6)},}" for end in ends)
        print(f"{kind:{width}}", *cells, sep="  ")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("each", type=int, nargs="?", default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.getLogger("boxis_async").setLevel(logging.ERROR)
    sys.exit(not asyncio.run(main(arguments.each, arguments.seed)))
