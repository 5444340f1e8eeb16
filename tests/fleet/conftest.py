"""Fixtures of the fleet's tests: a cluster within this process, and tenants on loopback."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import pytest
from fleets import FIRST, LAST, TENANTS, local_cluster

from boxis_async.testing import LoopbackServer, Provider, generate_calls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from boxis_async.testing import Row


@pytest.fixture(scope="session", autouse=True)
def _processor() -> None:
    """Have Python learn of the processor, for which it starts `uname` once; Dask wants to know."""
    platform.processor()


@pytest.fixture(scope="session")
def of_tenants() -> dict[str, list[Row]]:
    """Make up a few months of a few tenants; one month has no call at all."""
    found = {
        name: list(generate_calls(FIRST, LAST, calls_per_day=2, seed=number))
        for number, name in enumerate(TENANTS)
    }
    found["00123"] = [row for row in found["00123"] if not str(row["start"]).startswith("2025-02")]
    return found


@pytest.fixture
def served(
    server: LoopbackServer, of_tenants: dict[str, list[Row]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Provider]:
    """Serve the tenants over HTTP, and point the environment at it."""
    provider = Provider(tenants=of_tenants)
    monkeypatch.setenv("BOXIS_USERNAME", provider.username)
    monkeypatch.setenv("BOXIS_API_KEY", provider.api_key)
    monkeypatch.setenv("BOXIS_BASE_URL", server.mount(provider))
    yield provider
    server.unmount(provider)


@pytest.fixture(scope="session")
def scheduler() -> Iterator[str]:
    """Run a scheduler and two workers in threads of this process, and give the address."""
    with local_cluster(n_workers=2, threads_per_worker=2) as cluster:
        yield cluster.scheduler_address
