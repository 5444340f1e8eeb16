"""What `import boxis_async` costs, beside the import of what it stands on.

In processor time, which shows little of what else the machine is doing: importing computes, and
waits for nothing once its files have been read. Where click and rich are installed, httpx loads
them too, which would make what is beside us dearer: here they are hidden, as who installs only
the library has neither. What a program needs that makes a client, too, is measured beside the
same: cattrs is loaded with the first client.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median

HIDDEN = "import sys; sys.modules.update(dict.fromkeys(['click', 'pygments', 'rich']))\n"
WAYS = {
    "what it stands on": "import httpx, attrs, cattrs, anyio, asyncio, stamina",
    "boxis_async": "import boxis_async",
    "and a client": "import boxis_async; boxis_async.BoxisClient('a@b.ch', 'key', tenant='T')",
}


def seconds(code: str) -> float:
    """Run code in an interpreter of its own."""
    # Compiled modules are kept, as they are for whoever has it installed.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = getrusage(RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", HIDDEN + code], check=True, env=kept)
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main(rounds: int) -> bool:
    """Import in turn, and print the medians."""
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for code in WAYS.values():
        seconds(code)  # which compiles what it imports
    for turn in range(rounds):
        # Each comes first in every other round, so that none has the quieter machine.
        for way in list(WAYS) if turn % 2 else reversed(WAYS):
            found[way].append(seconds(WAYS[way]))
    below, ours, client = found.values()
    ratio, with_client = (
        median(one / other for one, other in zip(column, below, strict=True))
        for column in (ours, client)
    )
    print(
        f"Python {sys.version.split()[0]}: what it stands on {1000 * median(below):.0f} ms, "
        f"boxis_async {1000 * median(ours):.0f} ms: {ratio:.2f} (aim: 1.10); "
        f"with a client made {1000 * median(client):.0f} ms: {with_client:.2f}"
    )
    return ratio <= 1.1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    sys.exit(not main(parser.parse_args().rounds))
