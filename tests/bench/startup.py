"""What `import boxis_async` costs, beside the import of what it stands on.

In processor time, which tells little of what else the machine is doing: importing computes, and
waits for nothing once its files have been read.
"""

from __future__ import annotations

import os
import subprocess
import sys
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median

ROUNDS = 40
BELOW = "import httpx, attrs, cattrs, anyio, asyncio, stamina"
OURS = "import boxis_async"


def seconds(code: str) -> float:
    """Run code in an interpreter of its own."""
    # Compiled modules are kept, as they are for whoever has it installed.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = getrusage(RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, env=kept)
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> bool:
    """Import in turn, and print the medians."""
    seconds(OURS)  # which compiles it
    found: list[tuple[float, float]] = []
    for turn in range(ROUNDS):
        # Each comes first in every other round, so that neither has the quieter machine.
        one, other = (BELOW, OURS) if turn % 2 else (OURS, BELOW)
        took = {one: seconds(one), other: seconds(other)}
        found.append((took[BELOW], took[OURS]))
    below, ours = (median(column) for column in zip(*found, strict=True))
    ratio = median(one / other for other, one in found)
    print(
        f"Python {sys.version.split()[0]}: what it stands on {1000 * below:.0f} ms, "
        f"boxis_async {1000 * ours:.0f} ms: {ratio:.2f} (aim: 1.10)"
    )
    return ratio <= 1.1


if __name__ == "__main__":
    sys.exit(not main())
