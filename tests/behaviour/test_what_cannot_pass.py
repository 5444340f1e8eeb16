"""Failures that no wait cures: reported at once, with what to set; what may pass is tried again."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import socket
import ssl
from typing import TYPE_CHECKING

import httpx
import pytest
from calls import DAY, HOUR, NEXT_DAY
from clients import PROMPTLY
from paths import DATA

from boxis_async import BoxisClient, ConnectionFailedError, RetryPolicy, WindowError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TLS = DATA / "tls"
BODY = b'{"result":"1","params":{}}'
NEVER = RetryPolicy(wait_initial=3600, wait_max=3600)
"""A wait that no test lives to see the end of."""

pytestmark = pytest.mark.both_loops


@contextlib.asynccontextmanager
async def serving(certificate: str) -> AsyncIterator[int]:
    """Serve over TLS, with a certificate of the test's own."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
                await reader.readexactly(int(length))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY)
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(TLS / certificate, TLS / "key.pem")
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


async def failure_of(client: BoxisClient) -> ConnectionFailedError:
    """Give the error of a window, which was asked for once and was not sent."""
    stream = client.cdrs(DAY, NEXT_DAY, window=24 * HOUR)
    with pytest.raises(WindowError, match="after 1 attempt:") as caught:
        await stream.to_list()
    error = caught.value.cause
    assert isinstance(error, ConnectionFailedError)
    assert error.is_permanent
    assert not error.was_sent
    assert (stream.stats.requests, stream.stats.splits) == (1, 0)
    again = pickle.loads(pickle.dumps(error))
    assert (again.is_permanent, str(again)) == (True, str(error))
    with pytest.raises(ConnectionFailedError):
        await client.call("voip", "getLineList", retry=True)
    return error


async def test_a_certificate_that_nobody_trusts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of an unknown authority is reported at once, and the advice is right."""
    async with serving("certificate.pem") as port:
        url = f"https://127.0.0.1:{port}/"
        async with BoxisClient("u", "k", tenant="t", base_url=url, retry=NEVER) as client:
            error = await failure_of(client)
        assert "the certificate of '127.0.0.1' is not trusted" in str(error)
        assert "set SSL_CERT_FILE" in str(error)
        monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "certificate.pem"))
        async with BoxisClient("u", "k", tenant="t", base_url=url, retry=NEVER) as client:
            assert await client.call("voip", "getLineList") == {}


async def test_a_certificate_of_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that is trusted, but another host's, is reported at once."""
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "certificate.pem"))
    async with serving("certificate.pem") as port:
        url = f"https://localhost:{port}/"
        async with BoxisClient("u", "k", tenant="t", base_url=url, retry=NEVER) as client:
            error = await failure_of(client)
    assert "the certificate of 'localhost' is not trusted: check base_url" in str(error)


async def test_a_certificate_that_is_out_of_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that is no longer valid hints at this machine's clock."""
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "out_of_date.pem"))
    async with serving("out_of_date.pem") as port:
        url = f"https://127.0.0.1:{port}/"
        async with BoxisClient("u", "k", tenant="t", base_url=url, retry=NEVER) as client:
            error = await failure_of(client)
    assert "is out of date: check this machine's clock" in str(error)


async def test_a_certificate_that_a_lent_client_does_not_trust() -> None:
    """Over a lent client the advice is about that client."""
    async with serving("certificate.pem") as port, httpx.AsyncClient(trust_env=False) as lent:
        client = BoxisClient(
            "u",
            "k",
            tenant="t",
            base_url=f"https://127.0.0.1:{port}/",
            retry=NEVER,
            http_client=lent,
        )
        error = await failure_of(client)
        assert "let http_client trust it" in str(error)
        await client.aclose()
    assert "SSL_CERT_FILE" not in str(error)


def patched_look_up(monkeypatch: pytest.MonkeyPatch, code: int) -> list[str]:
    """Let anyio's look-up of each name fail with a code, and list the names."""
    asked: list[str] = []

    async def getaddrinfo(host: str, *_: object, **__: object) -> object:
        asked.append(host)
        raise socket.gaierror(code, "as the test says")

    monkeypatch.setattr("anyio._core._sockets.getaddrinfo", getaddrinfo)
    return asked


def codes(*names: str) -> list[int]:
    return [getattr(socket, name) for name in names if hasattr(socket, name)]


@pytest.mark.parametrize("lent", [False, True], ids=["own", "lent"])
@pytest.mark.parametrize("code", codes("EAI_NONAME", "EAI_NODATA"))
async def test_a_host_that_does_not_exist(
    monkeypatch: pytest.MonkeyPatch, code: int, *, lent: bool
) -> None:
    """A host that has no address is reported at once."""
    asked = patched_look_up(monkeypatch, code)
    async with httpx.AsyncClient(trust_env=False) as http_client:
        client = BoxisClient(
            "u",
            "k",
            tenant="t",
            base_url="https://api.exampel/",
            retry=NEVER,
            http_client=http_client if lent else None,
        )
        error = await failure_of(client)
        await client.aclose()
    assert "no host 'api.exampel' exists: check base_url" in str(error)
    assert asked == ["api.exampel"] * 2


@pytest.mark.parametrize("code", codes("EAI_AGAIN", "EAI_FAIL"))
async def test_a_resolver_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """What the resolver says of the moment passes: it is tried as often as the policy says."""
    asked = patched_look_up(monkeypatch, code)
    async with BoxisClient(
        "u", "k", tenant="t", base_url="https://api.example/", retry=PROMPTLY
    ) as client:
        stream = client.cdrs(DAY, NEXT_DAY)
        with pytest.raises(WindowError, match="after 3 attempts:") as caught:
            await stream.to_list()
    assert isinstance(caught.value.cause, ConnectionFailedError)
    assert not caught.value.cause.is_permanent
    assert asked == ["api.example"] * 3


async def test_a_refused_connection_may_pass() -> None:
    """A port at which nobody listens may be listened at soon."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    async with BoxisClient(
        "u", "k", tenant="t", base_url=f"http://127.0.0.1:{port}/", retry=PROMPTLY
    ) as client:
        with pytest.raises(WindowError, match="after 3 attempts:") as caught:
            await client.cdrs(DAY, NEXT_DAY).to_list()
    assert isinstance(caught.value.cause, ConnectionFailedError)
    assert not caught.value.cause.is_permanent
