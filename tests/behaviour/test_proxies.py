"""Proxies of the environment: none for loopback, and what fails there names the variable."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING

import httpx
import pytest
from calls import DAY, NEXT_DAY, hourly
from clients import PROMPTLY

from boxis_async import (
    AttemptTimeoutError,
    BoxisClient,
    BoxisError,
    ConnectionFailedError,
    StatusError,
    UsageError,
)
from boxis_async.testing import LoopbackServer, Provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import MakeClient

pytestmark = pytest.mark.both_loops

VARIABLES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
DEAD = "http://user:password@127.0.0.1:9"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@contextlib.asynccontextmanager
async def proxy(answer: bytes | None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Be a proxy that answers each request alike, or never; list the first lines."""
    lines: list[bytes] = []
    over = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        if answer is None:
            await over.wait()
        else:
            writer.write(answer)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], lines
        over.set()


async def failure_of(url: str, *, timeout: float = 20) -> BoxisError:  # noqa: ASYNC109 - a setting
    async with BoxisClient(
        "u", "k", base_url=url, allow_insecure=True, retry=PROMPTLY, timeout=timeout
    ) as client:
        with pytest.raises(BoxisError) as caught:
            await client.call("voip", "getLineList")
    return caught.value


# Loopback


@pytest.mark.parametrize("name", VARIABLES)
async def test_loopback_is_reached_directly(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What is on this machine is never asked for through a proxy, which would read the form."""
    provider = Provider(hourly())
    async with proxy(b"HTTP/1.1 502 X\r\n\r\n") as (port, lines):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        client = make_client(provider, over_http=True)
        assert len(await client.cdrs(DAY, NEXT_DAY).to_list()) == 24
    assert lines == []


HOSTS = ["127.0.0.1", "127.8.8.8", "localhost", "LocalHost", "[::1]", "[0:0:0:0:0:0:0:1]"]


@pytest.mark.parametrize("host", HOSTS)
async def test_all_names_of_loopback(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """However this machine is named: a refused connection is its own, not one of the proxy."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        free = listening.getsockname()[1]
    async with proxy(b"HTTP/1.1 502 X\r\n\r\n") as (port, lines):
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        for scheme in ("http", "https"):
            error = await failure_of(f"{scheme}://{host}:{free}/")
            assert isinstance(error, ConnectionFailedError)
            assert "proxy" not in str(error)
    assert lines == []


async def test_a_proxy_that_cannot_be_used_is_none_of_loopbacks(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that nobody could follow stops nothing on this machine."""
    monkeypatch.setenv("all_proxy", "gopher://x")
    client = make_client(Provider(hourly()), over_http=True)
    assert len(await client.cdrs(DAY, NEXT_DAY).to_list()) == 24


async def test_the_proxy_of_a_lent_client(make_client: MakeClient, server: LoopbackServer) -> None:
    """A proxy that a lent client was given stays its user's choice, on loopback too."""
    provider = Provider(hourly())
    async with (
        proxy(b"HTTP/1.1 502 X\r\ncontent-length: 0\r\n\r\n") as (port, lines),
        httpx.AsyncClient(proxy=f"http://127.0.0.1:{port}") as http_client,
    ):
        url = server.mount(provider)
        client = make_client(provider, base_url=url, http_client=http_client)
        with pytest.raises(StatusError, match="502"):
            await client.call("voip", "getLineList")
    assert lines == [f"POST {url} HTTP/1.1".encode()]
    server.unmount(provider)


# Failures name the variable


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("suffix", ["", "/"])
async def test_a_proxy_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, scheme: str, suffix: str
) -> None:
    """A proxy that refuses connections is named with its variable, without its password."""
    for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy"):
        monkeypatch.setenv(name, DEAD + suffix)
        error = await failure_of(f"{scheme}://api.example/")
        assert isinstance(error, ConnectionFailedError)
        assert f"through the proxy 127.0.0.1:9 of {name}" in str(error)
        assert "name api.example in NO_PROXY" in str(error)
        assert "password" not in str(error)
        assert not error.was_sent
        monkeypatch.delenv(name)


async def test_a_proxy_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that takes a connection and says nothing is named, and nothing was sent."""
    async with proxy(None) as (port, lines):
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{port}")
        error = await failure_of("https://api.example/", timeout=1.5)
        assert lines == [b"CONNECT api.example:443 HTTP/1.1"]
    assert isinstance(error, AttemptTimeoutError)
    assert not error.was_sent
    assert f"no connection within 1.5 s, through the proxy 127.0.0.1:{port}" in str(error)
    assert "of HTTPS_PROXY" in str(error)


@pytest.mark.parametrize("status", [403, 407, 502])
async def test_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """What a proxy answers in the server's place is reported with its variable."""
    async with proxy(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status) as (port, lines):
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        error = await failure_of("https://api.example/")
        assert isinstance(error, ConnectionFailedError)
        assert not error.was_sent
        assert f"{status} X" in str(error)
        assert "of https_proxy" in str(error)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        error = await failure_of("http://api.example/")
        assert isinstance(error, StatusError)
        assert error.status_code == status
        assert f"HTTP status {status}, through the proxy 127.0.0.1:{port} of http_proxy" in str(
            error
        )
    assert lines == [b"CONNECT api.example:443 HTTP/1.1", b"POST http://api.example/ HTTP/1.1"]


async def test_a_proxy_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host of a proxy that does not exist is reported at once, with its variable."""

    async def getaddrinfo(host: str, *_: object, **__: object) -> object:
        assert host == "proxy.exampel"
        raise socket.gaierror(socket.EAI_NONAME, "as the test says")

    monkeypatch.setattr("anyio._core._sockets.getaddrinfo", getaddrinfo)
    monkeypatch.setenv("ALL_PROXY", "http://proxy.exampel:3128")
    error = await failure_of("https://api.example/")
    assert isinstance(error, ConnectionFailedError)
    assert error.is_permanent
    assert "there is no such host as the proxy" in str(error)
    assert "through the proxy proxy.exampel:3128 of ALL_PROXY" in str(error)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTPS_PROXY", "gopher://user:password@x"),
        ("https_proxy", "http://user:password@[::1"),
        ("ALL_PROXY", "http://user:password@x:password"),
        ("all_proxy", "socks5://user:password@127.0.0.1:9"),
        ("NO_PROXY", "[::1"),
    ],
)
async def test_a_variable_that_cannot_be_followed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """A value that is no proxy is reported by the name of its variable, and not shown."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:3128")
    monkeypatch.setenv(name, value)
    error = await failure_of("https://api.example/")
    assert isinstance(error, UsageError)
    assert f"no connection can be made as {name} in the environment asks for" in str(error)
    assert "password" not in str(error)
    assert error.__cause__ is error.__context__ is None
