"""The tenants of the fleet's tests, and how their rows are compared with a data set."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any

from boxis_async import BoxisClient, Contract, Hooks
from boxis_async.fleet.cluster import WITHOUT_PROFILER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from boxis_async.fleet.cluster_limiter import ClusterLimiter
    from boxis_async.testing import Provider, Row

FIRST, LAST = date(2025, 1, 1), date(2025, 4, 1)
# A number, too: readers guess the types of folders' names.
TENANTS = ("VOICE-1", "VOICE-2", "00123")


@contextmanager
def local_cluster(**settings: Any) -> Iterator[Any]:  # noqa: ANN401 - whatever Dask takes
    """Run a scheduler and workers in threads of this process; the pages are at free ports."""
    import dask  # noqa: PLC0415 - takes half a second
    from distributed import LocalCluster  # noqa: PLC0415

    ports = {"dashboard_address": "127.0.0.1:0", "worker_dashboard_address": "127.0.0.1:0"}
    with (
        dask.config.set(WITHOUT_PROFILER),
        LocalCluster(processes=False, **ports, **settings) as cluster,
    ):
        yield cluster


def legs_of(rows: Iterable[Row]) -> Counter[tuple[str, str]]:
    """Name each leg of a provider's rows."""
    return Counter((str(row["uniqueid"]), str(row["sequence"])) for row in rows)


def names_in(folder: Path) -> list[str]:
    """List what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def most_in_a_second(provider: Provider) -> int:
    """Count the most requests that arrived within any second."""
    arrived = sorted(received.arrived for received in provider.requests)
    return max(sum(begin <= moment < begin + 1 for moment in arrived) for begin in arrived)


class BusyClients:
    """Makes clients whose loop is blocked after each third answer, for longer than a time waits.

    Workers import it from here by its name.
    """

    def __init__(self) -> None:
        self.limiters: list[ClusterLimiter] = []

    def __call__(self, *, limiter: ClusterLimiter) -> BoxisClient:
        """Make one."""
        self.limiters.append(limiter)
        answers = 0

        def block(_: object) -> None:
            nonlocal answers
            answers += 1
            if answers % 3 == 0:
                time.sleep(0.2)

        return BoxisClient(
            limiter=limiter,
            hooks=Hooks(on_response=block),
            contract=Contract(rule="start", no_cap_up_to=10_000),
        )

    def __reduce__(self) -> str:
        return "busy_client"


busy_client = BusyClients()
