"""Spoiled answers, coverages, journals and command lines, for as long as there is time.

`python tests/bench/fuzz.py --seconds 3600 answers` tries answers for an hour; without names all
targets take turns. An input that shows a fault is made as small as it can be, and is written to
tests/data/fuzz, from where the suite tries it again on each run. Prints how many inputs were tried,
and exits with 1 if one showed a fault. How inputs are drawn, and what has to come of them, says
tests/support/fuzzing.py.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
import traceback
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "support"), str(Path(__file__).parents[2])]

from fuzzing import TARGETS, Target, keep, kept_inputs  # noqa: E402 - found by the path above
from hypothesis import (  # noqa: E402 - likewise
    HealthCheck,
    Phase,
    Verbosity,
    given,
    seed,
    settings,
)

AT_A_TIME = 200
MOST_FAULTS = 5
"""Of one target; then the others go on without it."""

SETTINGS = settings(
    max_examples=AT_A_TIME,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    verbosity=Verbosity.quiet,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


class Fuzzer:
    """Tries inputs of one target, and counts them."""

    def __init__(self, name: str, target: Target) -> None:
        self.name = name
        self.target = target
        self.inputs = self.faults = 0
        self.seconds = 0.0
        self._latest: list[str] = []

    def try_some(self, number: int) -> None:
        """Try some inputs, by a seed; write down the first that shows a fault."""
        began = time.monotonic()

        @seed(number)
        @SETTINGS
        @given(self.target.inputs)
        def attempt(sent: list[str]) -> None:
            self.inputs += 1
            try:
                self.target.check(sent)
            except BaseException:
                # The last one that hypothesis tries is the smallest.
                self._latest = sent
                raise

        try:
            attempt()
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - whatever a fault looks like
            self.faults += 1
            found = keep(self.name, self._latest)
            print(f"\nFAULT in {self.name}: {found}, seed {number}", flush=True)
            traceback.print_exc(limit=-6, file=sys.stdout)
        self.seconds += time.monotonic() - began

    def try_kept(self) -> None:
        """Try what showed a fault once."""
        for name, sent in kept_inputs(self.name):
            try:
                self.target.check(sent)
            except Exception:  # noqa: BLE001 - likewise
                self.faults += 1
                print(f"\nFAULT in {self.name}, again: {name}")
                traceback.print_exc(limit=-6, file=sys.stdout)


def main(names: list[str], seconds: float, number: int) -> bool:
    """Let the targets take turns until the time is over, and tell whether there was no fault."""
    end = time.monotonic() + seconds
    turns = random.Random(number)
    with ExitStack() as stack:
        fuzzers = [Fuzzer(name, stack.enter_context(TARGETS[name]())) for name in names]
        for fuzzer in fuzzers:
            fuzzer.try_kept()
        while time.monotonic() < end:
            left = [fuzzer for fuzzer in fuzzers if fuzzer.faults < MOST_FAULTS]
            if not left:
                break
            # Whose turns took the least so far is next, so that all have as much time.
            next_one = min(left, key=lambda fuzzer: fuzzer.seconds)
            next_one.try_some(turns.randrange(2**32))
    print(f"seed {number}\n\ntarget        seconds     inputs  faults")
    for fuzzer in fuzzers:
        print(f"{fuzzer.name:12}{fuzzer.seconds:9,.0f}{fuzzer.inputs:11,}{fuzzer.faults:8}")
    total: Counter[str] = Counter()
    for fuzzer in fuzzers:
        total.update(inputs=fuzzer.inputs, faults=fuzzer.faults)
    print(f"\n{total['inputs']:,} inputs, {total['faults']} faults")
    return not total["faults"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], default=[])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    chosen = parser.parse_args()
    # What a command sets up for its own run would undo a level.
    logging.disable()
    sys.exit(not main(chosen.targets or list(TARGETS), chosen.seconds, chosen.seed))
