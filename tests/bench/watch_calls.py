"""False and late alarms of missed calls, by how long a call must be quiet.

A watch by calls runs in fast motion over days of generated calls, some 500 of which are missed. An
alarm is false if the call was answered after all: somebody was still talking when only the legs
that rang in vain were written. Prints, for each quiet time, the false alarms, how many of them
were said to be sure, and the delay from the end of a missed call to its alarm. Exits with 1 if an
alarm is absent or comes twice, or if one that is sure is false. With `--sure` the watch holds each
call back until it is surely over.
"""

from __future__ import annotations

import argparse
import logging
import sys
from datetime import date, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

sys.path.append(str(Path(__file__).parents[1] / "support"))

from alarms import alarms
from fast_forward import run_fast
from watched import HOUR, World

if TYPE_CHECKING:
    from boxis_async.types import WatchCertainty

START = date(2026, 10, 5)
QUIET = (30, 60, 120, 300, 600, 900, 1800)
EVERY = timedelta(seconds=30)


def main() -> bool:
    """Run, and tell whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--calls", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rule", choices=["start", "end"], default="start")
    parser.add_argument("--quiet", type=int, nargs="+", default=QUIET, help="seconds")
    parser.add_argument("--sure", action="store_true")
    arguments = parser.parse_args()
    logging.disable()
    right = True
    world = World(
        START,
        arguments.days,
        calls_per_day=arguments.calls,
        seed=arguments.seed,
        filter_mode=arguments.rule,
    )
    times = [timedelta(seconds=seconds) for seconds in arguments.quiet]
    certainty: WatchCertainty = "surely" if arguments.sure else "probably"
    until = world.end + (32 if arguments.sure else 6) * HOUR
    judged = run_fast(world.start, alarms(world, times, EVERY, until, certainty))
    for quiet, found in zip(times, judged, strict=True):
        late = sorted(found.delays)
        print(
            f"quiet {quiet}: {found.missed} missed, {found.false} false alarms "
            f"({found.falsely_sure} of them sure, {found.corrected} corrected), {found.sure} right "
            f"and sure at once, {found.absent} absent, {found.doubled} twice; after "
            f"{median(late):.0f} s, 95 % {quantiles(late, n=20)[-1]:.0f} s, "
            f"longest {late[-1]:.0f} s",
            flush=True,
        )
        right = right and found.absent == found.doubled == found.falsely_sure == 0
    return right


if __name__ == "__main__":
    sys.exit(not main())
