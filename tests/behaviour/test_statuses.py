"""HTTP statuses, as a user meets them: which error, and what it carries."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import pickle
from typing import TYPE_CHECKING

import pytest
from calls import DAY, NEXT_DAY
from clients import PROMPTLY

from boxis_async import (
    AuthenticationError,
    BadAnswerError,
    BoxisClient,
    BoxisError,
    RateLimitError,
    RetryPolicy,
    StatusError,
    WindowError,
)
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import MakeClient

OTHERS = [*(301, 302, 307, 308), *(400, 401, 403, 404, 408, 410, 425, 451), *(500, 502, 503, 504)]
over_both = pytest.mark.parametrize("over_http", [False, True], ids=["in process", "over HTTP"])


async def status_error_of(client: BoxisClient, how: str) -> StatusError:
    """Give the error that a user meets, by a stream or by a call."""
    error: BoxisError | Exception | None
    with pytest.raises(BoxisError) as caught:
        await (
            client.call("voip", "getLineList", retry=True)
            if how == "call"
            else client.cdrs(DAY, NEXT_DAY, window=NEXT_DAY - DAY).to_list()
        )
    error = caught.value
    if isinstance(error, WindowError):
        assert str(error.cause) in str(error)
        error = error.cause
    assert isinstance(error, StatusError)
    return error


@over_both
@pytest.mark.parametrize("how", ["call", "stream"])
@pytest.mark.parametrize("retry_after", [None, "0", "soon", "Tue, 05 Mar 2024 12:00:00 GMT"])
async def test_too_many_requests(
    make_client: MakeClient, how: str, retry_after: str | None, *, over_http: bool
) -> None:
    """A 429 has an error of its own, which is a status error too, with `Retry-After` as sent."""
    provider = Provider(faults=lambda _: Fault.status(429, retry_after=retry_after))
    error = await status_error_of(make_client(provider, over_http=over_http), how)
    assert type(error) is RateLimitError
    assert isinstance(error, BadAnswerError)
    assert (error.status_code, error.retry_after) == (429, retry_after)
    assert str(error) == "HTTP status 429"
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is RateLimitError
    assert (again.status_code, again.retry_after) == (429, retry_after)
    # As often as anything that may pass.
    assert len(provider.requests) == 3


@over_both
@pytest.mark.parametrize("how", ["call", "stream"])
@pytest.mark.parametrize("status_code", OTHERS)
async def test_any_other_status(
    make_client: MakeClient, how: str, status_code: int, *, over_http: bool
) -> None:
    """Any other status without an answer is a status error, and no more than that."""
    provider = Provider(faults=lambda _: Fault.status(status_code, retry_after="0"))
    error = await status_error_of(make_client(provider, over_http=over_http), how)
    assert type(error) is StatusError
    assert (error.status_code, error.retry_after) == (status_code, "0")
    assert f"HTTP status {status_code}" in str(error)
    assert not hasattr(error, "status")


@pytest.mark.parametrize("how", ["call", "stream"])
async def test_what_the_api_says_with_a_429(make_client: MakeClient, how: str) -> None:
    """What the API itself says with a 429 is not lost."""
    body = b'{"result":"0","resulttxt":"Error: 100 requests an hour"}'
    provider = Provider(faults=lambda _: Fault("status", code=429, body=body))
    error = await status_error_of(make_client(provider), how)
    assert type(error) is RateLimitError
    assert "100 requests an hour" in str(error)


# A body must not hide the status


REFUSAL = b'{"result":"0","resulttxt":"Error: wrong authcode"}'
LARGE = 2_000_000
AS_ASKED = RetryPolicy(attempts=3, wait_initial=0, wait_jitter=0)
BODIES = {
    "falsely gzip": b"content-encoding: gzip\r\ncontent-length: 4\r\n\r\nbusy",
    "gzip and empty": b"content-encoding: gzip\r\ncontent-length: 0\r\n\r\n",
    "gzip and cut": b"content-encoding: gzip\r\ncontent-length: 20\r\n\r\n"
    + gzip.compress(b"busy")[:20],
    "unasked for": b"content-encoding: br\r\ncontent-length: 4\r\n\r\nbusy",
    "twice": b"content-encoding: gzip, gzip\r\ncontent-length: 4\r\n\r\nbusy",
    "too large": b"content-length: %d\r\n\r\n%b" % (LARGE, b"x" * LARGE),
    "large when decompressed": b"content-encoding: gzip\r\nconnection: close\r\n\r\n"
    + gzip.compress(b" " * LARGE),
    "cut": b"content-length: 100\r\n\r\nbusy",
    "cut chunk": b"transfer-encoding: chunked\r\n\r\n4\r\nbusy\r\n",
    "no chunk": b"transfer-encoding: chunked\r\n\r\nbusy\r\n",
    "nested": b"connection: close\r\n\r\n" + b"[" * 100_000,
    "garbage": b"connection: close\r\n\r\n" + bytes(range(256)),
    "another result": b'connection: close\r\n\r\n{"result":"2"}',
}


@contextlib.asynccontextmanager
async def answering_with(status: int, rest: bytes) -> AsyncIterator[tuple[str, list[float]]]:
    """Answer each request with a status and what stands behind it, and close."""
    received: list[float] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        received.append(asyncio.get_running_loop().time())
        writer.write(b"HTTP/1.1 %d X\r\nretry-after: 0.02\r\n%b" % (status, rest))
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", received


@pytest.mark.both_loops
@pytest.mark.parametrize("status", [404, 429, 503])
@pytest.mark.parametrize("body", BODIES)
async def test_a_body_does_not_hide_the_status(status: int, body: str) -> None:
    """Whatever the body of an error is, the status decides, and its `Retry-After` is followed."""
    async with (
        answering_with(status, BODIES[body]) as (url, received),
        BoxisClient(
            "u", "k", tenant="t", base_url=url, retry=AS_ASKED, max_response_bytes=1_000_000
        ) as client,
    ):
        error = await status_error_of(client, "call")
        assert (error.status_code, error.retry_after) == (status, "0.02")
        assert type(error) is (RateLimitError if status == 429 else StatusError)
        assert len(received) == (1 if status == 404 else 3)
        if status != 404:
            assert received[1] - received[0] >= 0.015  # uvloop's clock ticks in ms
        received.clear()
        stream = client.cdrs(DAY, NEXT_DAY)
        with pytest.raises(WindowError) as caught:
            await stream.to_list()
        assert isinstance(caught.value.cause, StatusError)
        # A 503 is asked for its smallest part as well, and that fails alike; nothing is split.
        assert len(received) == {404: 1, 429: 3, 503: 6}[status]
        assert stream.stats.splits == 0


@pytest.mark.both_loops
@pytest.mark.parametrize("status", [404, 429, 503])
async def test_a_body_that_never_ends_does_not_hide_the_status(status: int) -> None:
    """Where the body of an error does not come within the time-out, there is the status."""
    over = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d X\r\nretry-after: 7\r\ncontent-length: 9\r\n\r\nbusy" % status)
        await over.wait()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with BoxisClient("u", "k", base_url=url, timeout=0.4, retry=PROMPTLY) as client:
            with pytest.raises(StatusError) as caught:
                await client.call("voip", "getLineList")
        assert (caught.value.status_code, caught.value.retry_after) == (status, "7")
        over.set()


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
async def test_what_the_api_says_with_a_status_is_read(*, packed: bool) -> None:
    """A body that can be read still decides which error a refusal is."""
    body = gzip.compress(REFUSAL) if packed else REFUSAL
    coding = b"content-encoding: gzip\r\n" if packed else b""
    rest = coding + b"content-length: %d\r\n\r\n%b" % (len(body), body)
    async with (
        answering_with(403, rest) as (url, _),
        BoxisClient("u", "k", base_url=url, retry=PROMPTLY) as client,
    ):
        with pytest.raises(AuthenticationError, match="wrong authcode"):
            await client.call("voip", "getLineList")
