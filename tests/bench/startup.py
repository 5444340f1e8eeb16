"""What `import boxis_async` costs, beside the import of what it stands on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median

ROUNDS = 25
BELOW = "import httpx, attrs, cattrs, anyio, asyncio, stamina"


def seconds(code: str) -> float:
    """Run code in an interpreter of its own."""
    # Compiled modules are kept, as they are for whoever has it installed.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=kept)
    return time.perf_counter() - began


def main() -> bool:
    """Import in turn, and print the medians."""
    seconds("import boxis_async")  # which compiles it
    found = [
        (seconds("pass"), seconds(BELOW), seconds("import boxis_async")) for _ in range(ROUNDS)
    ]
    nothing, below, ours = (median(column) for column in zip(*found, strict=True))
    ratio = median(one[2] / one[1] for one in found)
    print(
        f"Python {sys.version.split()[0]}: interpreter {1000 * nothing:.0f} ms, what it stands on "
        f"{1000 * below:.0f} ms, boxis_async {1000 * ours:.0f} ms: {ratio:.2f} (aim: 1.10)"
    )
    return ratio <= 1.1


if __name__ == "__main__":
    sys.exit(not main())
