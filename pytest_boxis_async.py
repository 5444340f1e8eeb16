"""The pytest plugin: a stand-in provider, a client of it and a server for it, as fixtures.

pytest imports the plugins of every installed distribution. So this module lies beside the package,
and the fixtures import the library: tests that use no fixture do not load it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from boxis_async import BoxisClient
    from boxis_async.testing import LoopbackServer, Provider, ServedProvider

__all__ = ["boxis_client", "boxis_provider", "boxis_server"]

# Plain functions, so that the fixtures work with any asynchronous plugin, and without one.


@pytest.fixture
def boxis_provider() -> Iterator[Provider]:
    """Stand-in for Boxis: add() calls, set faults or latency, read the requests.

    During the test no client waits before it sends a request again, also one that your program
    makes itself: stamina is in its test mode, which leaves the attempts as many as they are.
    """
    import stamina  # noqa: PLC0415 - see above

    from boxis_async.testing import Provider  # noqa: PLC0415 - see above

    with stamina.set_testing(True, attempts=sys.maxsize, cap=True):
        yield Provider()


@pytest.fixture
def boxis_client(boxis_provider: Provider) -> BoxisClient:
    """BoxisClient that reaches boxis_provider in process and retries without waiting."""
    from boxis_async import BoxisClient, RetryPolicy  # noqa: PLC0415 - see above

    # A plain function cannot close an asynchronous client, and need not: there is no socket, and
    # the client's event loop ends with the test.
    return BoxisClient(
        boxis_provider.username,
        boxis_provider.api_key,
        tenant=boxis_provider.tenant,
        # We pass it, so that BOXIS_BASE_URL has no effect. No host can have this name.
        base_url="https://boxis.invalid/",
        retry=RetryPolicy(wait_initial=0, wait_max=0, wait_jitter=0),
        http_client=boxis_provider.client(),
    )


@pytest.fixture(scope="session")
def _boxis_loopback() -> Iterator[LoopbackServer]:
    """HTTP server for the whole session: its thread takes longer to start than most tests."""
    from boxis_async.testing import LoopbackServer  # noqa: PLC0415 - see above

    with LoopbackServer() as server:
        yield server


@pytest.fixture
def boxis_server(
    boxis_provider: Provider, _boxis_loopback: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ServedProvider]:
    """boxis_provider over HTTP, at the url to which the BOXIS_* environment variables point."""
    from boxis_async.testing import ServedProvider  # noqa: PLC0415 - see above

    served = ServedProvider(_boxis_loopback.mount(boxis_provider), boxis_provider)
    for name, value in served.environment.items():
        monkeypatch.setenv(name, value)
    yield served
    _boxis_loopback.unmount(boxis_provider)
