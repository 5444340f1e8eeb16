"""The pytest plugin: a stand-in provider, and a client and a server of it, as fixtures.

It stands beside the package, not in it, since pytest imports the plugins of all that is installed:
from in here it would load the whole library into the tests of people who do not use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from boxis_async import BoxisClient
    from boxis_async.testing import LoopbackServer, Provider, ServedProvider

__all__ = ["boxis_client", "boxis_provider", "boxis_server"]

# Plain functions all of them, so that no plugin for asynchronous tests is needed, and any will do.


@pytest.fixture
def boxis_provider() -> Provider:
    """Stand-in for Boxis: add() calls to it, set its faults or latency, read its requests."""
    from boxis_async.testing import Provider  # noqa: PLC0415 - see above

    return Provider()


@pytest.fixture
def boxis_client(boxis_provider: Provider) -> BoxisClient:
    """BoxisClient that reaches boxis_provider in process; its retries wait for nothing."""
    from boxis_async import BoxisClient, RetryPolicy  # noqa: PLC0415 - see above

    # Nothing has to be closed, and a plain function could not: there is no socket, and the
    # client's event loop ends with the test.
    return BoxisClient(
        boxis_provider.username,
        boxis_provider.api_key,
        tenant=boxis_provider.tenant,
        # Given, so that BOXIS_BASE_URL does not matter; and no host has this name.
        base_url="https://boxis.invalid/",
        retry=RetryPolicy(wait_initial=0, wait_max=0, wait_jitter=0),
        http_client=boxis_provider.client(),
    )


@pytest.fixture(scope="session")
def _boxis_loopback() -> Iterator[LoopbackServer]:
    """HTTP server for the whole session, as a thread takes longer to start than most tests."""
    from boxis_async.testing import LoopbackServer  # noqa: PLC0415 - see above

    with LoopbackServer() as server:
        yield server


@pytest.fixture
def boxis_server(
    boxis_provider: Provider, _boxis_loopback: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ServedProvider]:
    """boxis_provider over HTTP, at its url, where the BOXIS_* environment variables point."""
    from boxis_async.testing import ServedProvider  # noqa: PLC0415 - see above

    served = ServedProvider(_boxis_loopback.mount(boxis_provider), boxis_provider)
    for name, value in served.environment.items():
        monkeypatch.setenv(name, value)
    yield served
    _boxis_loopback.unmount(boxis_provider)
