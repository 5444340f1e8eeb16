"""Clusters and tenants for the fleet's benches: a scheduler and workers as processes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pyarrow as pa
import pyarrow.parquet as pq

from boxis_async.testing import generate_calls

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date
    from typing import Self

    from boxis_async.testing import Provider, Row

__all__ = [
    "ROOT", "Cluster", "Reading", "free_port", "legs_at", "legs_in", "most_in_a_second",
    "read_by_all", "tenants",
]  # fmt: skip

ROOT = Path(__file__).parents[2]
_QUIET = ["--no-dashboard"]


def tenants(count: int, first: date, last: date, calls_per_day: float) -> dict[str, list[Row]]:
    """Make up the calls of so many tenants."""
    return {
        f"VOICE-{30000 + number}-1": list(
            generate_calls(first, last, calls_per_day=calls_per_day, seed=number)
        )
        for number in range(count)
    }


def legs_at(of_tenants: dict[str, list[Row]]) -> Counter[tuple[str, str, str]]:
    """Name each leg of the provider, with its tenant."""
    return Counter(
        (name, str(row["uniqueid"]), str(row["sequence"]))
        for name, rows in of_tenants.items()
        for row in rows
    )


def legs_in(dataset: Path) -> Counter[tuple[str, str, str]]:
    """Name each leg of a data set, with the tenant that its file says."""
    found: Counter[tuple[str, str, str]] = Counter()
    for path in dataset.glob("tenant=*/period=*/*.parquet"):
        columns = pq.ParquetFile(path).read(["tenant_name", "uniqueid", "sequence"]).to_pydict()
        found.update(
            (tenant, uniqueid, str(sequence))
            for tenant, uniqueid, sequence in zip(*columns.values(), strict=True)
        )
    return found


@attrs.frozen
class Reading:
    """What one reader finds in a data set."""

    rows: int
    keys: str
    """A digest of which legs these are, in their order."""
    billsec: int
    cc_cost: Decimal
    types: tuple[str, ...]
    """What kinds of columns it makes of four."""
    seconds: float


def read_by_all(dataset: Path) -> dict[str, Reading]:
    """Read a data set by DuckDB, polars, pandas and dask.dataframe, each in its own way."""
    import dask.dataframe as dd  # noqa: PLC0415 - a second
    import duckdb  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415
    import polars as pl  # noqa: PLC0415

    columns = ["tenant_name", "uniqueid", "sequence", "start", "billsec", "cc_cost"]
    kept: dict[str, Any] = {"dtype_backend": "pyarrow", "columns": columns}
    readers: dict[str, Callable[[], pa.Table]] = {
        "DuckDB": lambda: duckdb.sql(
            f"SELECT {', '.join(columns)} FROM '{dataset}/*/*/*.parquet'"
        ).to_arrow_table(),
        "polars": lambda: pl.read_parquet(f"{dataset}/**/*.parquet", columns=columns).to_arrow(),
        "pandas": lambda: pa.Table.from_pandas(pd.read_parquet(dataset, **kept)),
        "dask.dataframe": lambda: pa.Table.from_pandas(
            dd.read_parquet(str(dataset), **kept).compute(), preserve_index=False
        ),
    }
    found: dict[str, Reading] = {}
    with warnings.catch_warnings():
        # dask.dataframe guesses the types of the folders' names, and pandas has it warned.
        warnings.simplefilter("ignore")
        for name, reader in readers.items():
            began = time.perf_counter()
            table = reader().select(columns)
            seconds = time.perf_counter() - began
            ordered = table.sort_by([(column, "ascending") for column in columns[:3]]).to_pydict()
            keys = zip(*(map(str, ordered[column]) for column in columns[:3]), strict=True)
            found[name] = Reading(
                rows=len(table),
                keys=hashlib.sha256("\n".join(map("/".join, keys)).encode()).hexdigest(),
                billsec=sum(value or 0 for value in ordered["billsec"]),
                cc_cost=sum((value or Decimal(0) for value in ordered["cc_cost"]), Decimal(0)),
                types=tuple(
                    _kind(table.schema.field(one).type) for one in (columns[0], *columns[3:])
                ),
                seconds=seconds,
            )
    return found


def _kind(of_column: pa.DataType) -> str:
    kinds = {
        "text": (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
        "moment": (pa.types.is_timestamp,),
        "integer": (pa.types.is_integer,),
        "decimal": (pa.types.is_decimal,),
    }
    names = [name for name, checks in kinds.items() if any(check(of_column) for check in checks)]
    return names[0] if names else str(of_column)


def most_in_a_second(provider: Provider) -> int:
    """Count the most requests that arrived within any second."""
    arrived = sorted(received.arrived for received in provider.requests)
    most = begin = 0
    for end, moment in enumerate(arrived):
        while arrived[begin] <= moment - 1:
            begin += 1
        most = max(most, end - begin + 1)
    return most


def free_port() -> int:
    """Find a port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Cluster:
    """A scheduler and workers, as a user starts them: `dask scheduler`, `dask worker`."""

    def __init__(self, environment: dict[str, str], *, threads: int) -> None:
        self._environment = os.environ | environment | {"PYTHONPATH": str(ROOT)}
        self._threads = threads
        self.address = ""
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self, workers: int) -> None:
        """Start the scheduler, and so many workers."""
        port = free_port()
        self.address = f"tcp://127.0.0.1:{port}"
        self.scheduler = self._run("scheduler", "--host", "127.0.0.1", "--port", f"{port}", *_QUIET)
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert time.monotonic() < deadline, "the scheduler did not start"
            time.sleep(0.05)
        for _ in range(workers):
            self.add_worker()

    def add_worker(self) -> None:
        """Start one more worker."""
        more = ("--nthreads", f"{self._threads}", "--no-nanny", "--death-timeout", "30", *_QUIET)
        self.workers.append(self._run("worker", self.address, "--host", "127.0.0.1", *more))

    def kill_worker(self, number: int) -> None:
        """Kill one, and start another in its place."""
        self.workers.pop(number).kill()
        self.add_worker()

    def kill(self) -> None:
        """Kill the scheduler and all workers, and wait until they are gone."""
        processes = [*self.workers, *([self.scheduler] if self.scheduler else [])]
        for process in processes:
            process.send_signal(signal.SIGKILL)
        for process in processes:
            process.wait()
        self.workers, self.scheduler = [], None

    def kill_scheduler(self) -> None:
        """Kill the scheduler alone; the workers end by themselves."""
        assert self.scheduler is not None
        self.scheduler.kill()
        self.scheduler.wait()
        for worker in self.workers:
            worker.wait(60)
        self.workers, self.scheduler = [], None

    def _run(self, what: str, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli." + f"dask_{what}", *arguments],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
