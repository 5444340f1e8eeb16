"""Lent clients of httpx and of its successor, httpx2: the same over both, errors included."""

from __future__ import annotations

import gzip
import inspect
import socket
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import pytest
from calls import DAY, HOUR, NEXT_DAY, hourly
from reachable import reachable

from boxis_async import (
    AttemptTimeoutError,
    BoxisClient,
    BoxisError,
    ClientClosedError,
    ConfigurationError,
    ConnectionFailedError,
    MalformedAnswerError,
    RetryPolicy,
    StatusError,
    WindowError,
)
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import ModuleType

    from conftest import MakeClient

    from boxis_async.testing import FaultKind, LoopbackServer

ONCE = RetryPolicy(attempts=1)
KINDS: dict[FaultKind, type[BoxisError]] = {
    "status": StatusError,
    "cut": ConnectionFailedError,
    "disconnect": ConnectionFailedError,
    "hang": AttemptTimeoutError,
    "garbage": MalformedAnswerError,
}


class OfTheUsersOwn(httpx2.AsyncClient):
    """A client of somebody's, made of one of httpx2."""


both = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])


async def failure_of(client: BoxisClient) -> BoxisError:
    with pytest.raises(WindowError) as raised:
        await client.cdrs(DAY, NEXT_DAY, window=24 * HOUR).to_list()
    assert isinstance(raised.value.cause, BoxisError)
    return raised.value.cause


@pytest.mark.parametrize(
    "kind", [httpx.AsyncClient, httpx2.AsyncClient, OfTheUsersOwn], ids=["httpx", "httpx2", "own"]
)
async def test_records_come_over_it(
    kind: type[httpx.AsyncClient], make_client: MakeClient, server: LoopbackServer
) -> None:
    """Over HTTP, requests go out through the lent client, and its time-outs do not apply."""
    provider = Provider(hourly())
    url = server.mount(provider)
    async with kind(timeout=1e-9) as http_client:
        client = make_client(provider, http_client=http_client, base_url=url)
        assert len(await client.cdrs(DAY, NEXT_DAY, window=HOUR).to_list()) == 24
        await client.aclose()
        assert not http_client.is_closed
    server.unmount(provider)


async def test_in_process(make_client: MakeClient) -> None:
    """The stand-in answers a client of httpx2 without a socket, as any ASGI application does."""
    provider = Provider(hourly())
    transport = httpx2.ASGITransport(provider)
    async with httpx2.AsyncClient(transport=transport) as http_client:
        client = make_client(provider, http_client=http_client)
        assert len(await client.cdrs(DAY, NEXT_DAY).to_list()) == 24


@both
@pytest.mark.parametrize("kind", KINDS)
async def test_failures_are_named_alike(
    library: ModuleType, kind: FaultKind, make_client: MakeClient, server: LoopbackServer
) -> None:
    """What goes wrong over HTTP is the same typed error, and leads to no request."""
    provider = Provider(hourly(), faults=lambda _: Fault(kind))
    url = server.mount(provider)
    async with library.AsyncClient() as http_client:
        timeout = 0.05 if kind == "hang" else 10
        client = make_client(
            provider, http_client=http_client, base_url=url, retry=ONCE, timeout=timeout
        )
        error = await failure_of(client)
    assert type(error) is KINDS[kind]
    held = reachable(error)
    assert not [one for one in held if isinstance(one, (library.Request, library.Response))]
    server.unmount(provider)


@both
async def test_a_closed_port(library: ModuleType, make_client: MakeClient) -> None:
    """A connection that is refused was not sent, and may pass."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    async with library.AsyncClient(trust_env=False) as http_client:
        client = make_client(
            Provider(), http_client=http_client, base_url=f"http://127.0.0.1:{port}/", retry=ONCE
        )
        error = await failure_of(client)
    assert isinstance(error, ConnectionFailedError)
    assert not error.was_sent
    assert not error.is_permanent


@both
@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("ConnectTimeout", AttemptTimeoutError),
        ("ReadTimeout", AttemptTimeoutError),
        ("PoolTimeout", AttemptTimeoutError),
        ("ReadError", ConnectionFailedError),
        ("ProxyError", ConnectionFailedError),
        ("RemoteProtocolError", ConnectionFailedError),
        ("DecodingError", MalformedAnswerError),
    ],
)
async def test_each_error_is_translated(
    library: ModuleType, name: str, ours: type[BoxisError], make_client: MakeClient
) -> None:
    """Each error of the library's that a request can raise becomes the same one of ours."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise getattr(library, name)("no", request=request)

    async with library.AsyncClient(transport=library.MockTransport(fail)) as http_client:
        error = await failure_of(make_client(Provider(), http_client=http_client, retry=ONCE))
    assert type(error) is ours
    assert error.__cause__ is not None
    assert type(error.__cause__).__name__ == name


@both
async def test_a_request_that_cannot_be_sent(library: ModuleType, make_client: MakeClient) -> None:
    """What is wrong with the request itself is a wrong use, and is not sent again."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise library.UnsupportedProtocol("no", request=request)

    async with library.AsyncClient(transport=library.MockTransport(fail)) as http_client:
        client = make_client(Provider(), http_client=http_client)
        with pytest.raises(BoxisError, match="the request cannot be sent"):
            await client.call("voip", "getLineList")


@both
async def test_a_hook_that_raises(library: ModuleType, make_client: MakeClient) -> None:
    """A hook that raises for the status changes nothing: it is that status."""

    async def raise_for_status(response: httpx.Response) -> None:
        response.raise_for_status()

    provider = Provider(hourly(), faults=lambda _: Fault.status(404))
    transport = library.ASGITransport(provider)
    async with library.AsyncClient(
        transport=transport, event_hooks={"response": [raise_for_status]}
    ) as http_client:
        error = await failure_of(make_client(provider, http_client=http_client))
    assert isinstance(error, StatusError)
    assert error.status_code == 404


@both
async def test_broken_compression(library: ModuleType, make_client: MakeClient) -> None:
    """An answer whose compression is broken is malformed."""

    async def body() -> AsyncIterator[bytes]:
        yield gzip.compress(b"{}")[:-9] + b"broken..."

    def answer(_: httpx.Request) -> httpx.Response:
        response: httpx.Response = library.Response(
            200, headers={"content-encoding": "gzip"}, content=body()
        )
        return response

    async with library.AsyncClient(transport=library.MockTransport(answer)) as http_client:
        error = await failure_of(make_client(Provider(), http_client=http_client, retry=ONCE))
    assert type(error) is MalformedAnswerError


@both
async def test_a_client_that_is_closed(library: ModuleType, make_client: MakeClient) -> None:
    """A lent client that was closed is named."""
    http_client = library.AsyncClient()
    client = make_client(Provider(), http_client=http_client)
    await http_client.aclose()
    with pytest.raises(ClientClosedError, match="http_client"):
        await client.cdrs(DAY, NEXT_DAY).to_list()


@both
async def test_what_blocks_is_refused(library: ModuleType, make_client: MakeClient) -> None:
    """A client that blocks is refused, of either library."""
    with library.Client() as http_client, pytest.raises(ConfigurationError, match="AsyncClient"):
        make_client(Provider(), http_client=http_client)


def test_the_libraries_agree() -> None:
    """Both take what is given to `send`, so that one way of sending is enough."""
    given = {"request", "stream", "auth", "follow_redirects"}
    clients: list[Any] = [httpx.AsyncClient, httpx2.AsyncClient]
    for client in clients:
        assert given <= set(inspect.signature(client.send).parameters)
