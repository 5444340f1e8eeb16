"""What the benches of the mirror share: a year of calls in a server of its own, and two databases.

Both databases are as they come: SQLite in a file, PostgreSQL with `fsync` on, each in a temporary
folder of one disk.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from boxis_async import BoxisClient, Contract

sys.path.append(str(Path(__file__).parents[1] / "support"))
from postgres_server import PASSWORD, PostgresServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "DATABASES",
    "END",
    "PASSWORD",
    "RULE",
    "START",
    "connected",
    "fresh_database",
    "fresh_databases",
    "serving_year",
]

START, END = date(2025, 1, 1), date(2026, 1, 1)
DATABASES = ("sqlite", "postgresql")
RULE = Contract(rule="start", no_cap_up_to=10**9)
"""Known, so that no request is sent to find it out."""
ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def serving_year(calls: int) -> Iterator[dict[str, str]]:
    """Serve the calls of a year in a process of its own, and give the variables that lead there."""
    per_day = max(1, round(calls / (END - START).days))
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "boxis_async", "serve", "--from", f"{START}", "--to", f"{END}"),
            *("--calls-per-day", f"{per_day}"),
        ],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
    )
    assert server.stdout is not None
    try:
        lines = [server.stdout.readline().removeprefix("export ").strip() for _ in range(4)]
        yield dict(line.split("=", 1) for line in lines)
    finally:
        server.terminate()
        server.communicate()


def connected(environment: dict[str, str]) -> BoxisClient:
    """Make a client of that server."""
    return BoxisClient(
        environment["BOXIS_USERNAME"],
        environment["BOXIS_API_KEY"],
        tenant=environment["BOXIS_TENANT"],
        base_url=environment["BOXIS_BASE_URL"],
        contract=RULE,
    )


@contextlib.contextmanager
def fresh_databases(kind: str) -> Iterator[Callable[[], str]]:
    """Give what makes an empty database, and gives its URL, as often as it is called."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            numbers = itertools.count(1)
            yield lambda: f"sqlite:///{folder}/calls{next(numbers)}.db"
    else:
        with PostgresServer(waits_for_disk=True) as server:
            yield server.create_database


@contextlib.contextmanager
def fresh_database(kind: str) -> Iterator[str]:
    """Make an empty database, and give its URL."""
    with fresh_databases(kind) as make:
        yield make()
