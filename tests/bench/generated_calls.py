"""Calls that `group_calls` makes of a generated month, against what happened.

Counts the calls that differ: with all legs, and after 5 % of them were dropped at random. Talk and
wait are compared twice: with what records can show of them, and with what happened, since no
record tells when somebody picked up on a channel that was answered before.

    python tests/bench/generated_calls.py [calls a day] [seed]
"""

from __future__ import annotations

import asyncio
import random
import sys
from datetime import date
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "support"))

from truth import count, differences, legs_of

from boxis_async import group_calls
from boxis_async.testing import generate_history

DROPPED = 0.05
JUDGED = ("outcome", "answered_by", "talk", "wait")


def main() -> None:
    """Print the figures."""
    calls_per_day = float(sys.argv[1]) if len(sys.argv) > 1 else 120
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    history = generate_history(
        date(2026, 10, 1), date(2026, 11, 1), calls_per_day=calls_per_day, seed=seed
    )
    legs = asyncio.run(legs_of(history))
    hidden = sum(
        (call.talk, call.wait) != (call.recorded_talk, call.recorded_wait) for call in history.calls
    )
    print(f"{len(history.calls):,} calls in {len(legs):,} legs, seed {seed}")
    print(f"{hidden:,} calls of which no record tells when somebody picked up")
    rng = random.Random(seed)
    fewer = [leg for leg in legs if rng.random() >= DROPPED]
    for name, some in (("all legs", legs), (f"{DROPPED:.0%} of the legs dropped", fewer)):
        calls = group_calls(some)
        found = differences(history.calls, calls)
        judged = {id(one.truth) for one in found if one.attribute in (*JUDGED, "legs")}
        print(f"{name}: {len(calls):,} calls")
        print(f"  {len(judged):,} calls differ in {', '.join(JUDGED)}, or are in pieces or gone")
        print(f"  by attribute: {dict(count(found))}")
        for one in found[:5] if some is legs else ():
            print(f"    {one.attribute}: {one.truth!r}, found {one.found!r}")


if __name__ == "__main__":
    main()
