"""The transport: every error of httpx has a name of ours, and a hiccup does not end a stream."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest
import stamina
from calls import DAY, HOUR, NEXT_DAY, hourly, ids, ids_of

from boxis_async import (
    AttemptTimeoutError,
    BoxisClient,
    BoxisError,
    ClientClosedError,
    ConfigurationError,
    ConnectionFailedError,
    MalformedAnswerError,
    NoAnswerError,
    RetryPolicy,
    StatusError,
    UsageError,
    WindowError,
)
from boxis_async.testing import FAULT_KINDS, Fault, Provider

if TYPE_CHECKING:
    from conftest import MakeClient

REQUEST = httpx.Request("POST", "https://api.boxis.net/")


def below(error: type[Exception]) -> list[type[Exception]]:
    return [error, *(found for child in error.__subclasses__() for found in below(child))]


def every_error_of_httpx() -> list[Exception]:
    """Make one of each of httpx's own exceptions, by walking its tree."""
    roots = (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError)
    errors: list[Exception] = []
    for kind in {kind for root in roots for kind in below(root)}:
        if issubclass(kind, httpx.HTTPStatusError):
            errors.append(kind("it failed", request=REQUEST, response=httpx.Response(500)))
        else:
            try:
                errors.append(kind("it failed"))
            except TypeError:
                errors.append(kind())
    return sorted(errors, key=lambda error: type(error).__name__)


class Failing(httpx.AsyncBaseTransport):
    """Fails before the answer, or while its body is read."""

    def __init__(self, error: Exception, *, in_body: bool) -> None:
        self._error = error
        self._in_body = in_body

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        del request
        if not self._in_body:
            raise self._error
        return httpx.Response(200, content=self._body())

    async def _body(self) -> AsyncIterator[bytes]:
        yield b'{"result": "1"'
        raise self._error


def test_the_tree_of_httpx_is_walked() -> None:
    """The errors tried are all that httpx exports."""
    exported = {
        name
        for name in httpx.__all__
        if isinstance(kind := getattr(httpx, name), type) and issubclass(kind, Exception)
    }
    assert exported <= {type(error).__name__ for error in every_error_of_httpx()}
    assert len(exported) > 20


@pytest.mark.parametrize("in_body", [False, True], ids=["head", "body"])
@pytest.mark.parametrize("error", every_error_of_httpx(), ids=lambda error: type(error).__name__)
async def test_every_error_of_httpx_is_ours(
    make_client: MakeClient, error: Exception, *, in_body: bool
) -> None:
    """Whatever httpx raises, before the answer or within, comes as an error of this library."""
    async with httpx.AsyncClient(transport=Failing(error, in_body=in_body)) as http_client:
        client = make_client(Provider(), http_client=http_client)
        with pytest.raises(BoxisError) as caught:
            await client.call("voip", "getLineList")
    if isinstance(error, httpx.HTTPStatusError):
        # It keeps its status, and the response that it holds has the request.
        assert isinstance(caught.value, StatusError)
        assert caught.value.status_code == error.response.status_code
        return
    assert caught.value.__cause__ is error
    assert type(error).__name__ in str(caught.value)
    if isinstance(error, httpx.TimeoutException):
        assert isinstance(caught.value, AttemptTimeoutError)
        assert isinstance(caught.value, TimeoutError)
    elif isinstance(error, httpx.DecodingError):
        assert isinstance(caught.value, MalformedAnswerError)
    elif isinstance(error, (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL)):
        assert isinstance(caught.value, UsageError)
    else:
        assert isinstance(caught.value, ConnectionFailedError)


@pytest.mark.parametrize(
    "error", [OSError("no route"), ssl.SSLError("bad"), ConnectionResetError()]
)
async def test_errors_of_the_system(make_client: MakeClient, error: OSError) -> None:
    """An error of the operating system that httpx lets through is a failed connection."""
    async with httpx.AsyncClient(transport=Failing(error, in_body=True)) as http_client:
        client = make_client(Provider(), http_client=http_client)
        with pytest.raises(WindowError) as caught:
            await client.cdrs(DAY, NEXT_DAY).to_list()
    assert isinstance(caught.value.cause, ConnectionFailedError)
    assert caught.value.attempts == 3


async def test_a_mistake_is_not_hidden(make_client: MakeClient) -> None:
    """What a lent client's transport raises by mistake ends the stream as an error of ours."""
    error = ZeroDivisionError("a mistake in a transport")
    async with httpx.AsyncClient(transport=Failing(error, in_body=False)) as http_client:
        client = make_client(Provider(), http_client=http_client)
        with pytest.raises(WindowError) as caught:
            await client.cdrs(DAY, NEXT_DAY).to_list()
    assert isinstance(caught.value.cause, ConnectionFailedError)
    assert caught.value.cause.__cause__ is error
    assert "ZeroDivisionError" in str(caught.value)


@pytest.mark.both_loops
async def test_a_refused_connection() -> None:
    """A port where nobody listens is a failed connection, told with window and attempts."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
    client = BoxisClient(
        "u", "k", tenant="t", base_url=f"http://127.0.0.1:{port}/", retry=RetryPolicy(attempts=1)
    )
    async with client:
        with pytest.raises(
            WindowError, match="failed after 1 attempt: the connection failed"
        ) as caught:
            await client.cdrs(DAY, NEXT_DAY).to_list()
    assert isinstance(caught.value.cause, NoAnswerError)


# What may be lent


class Wrapped:
    """Sends by an httpx client, and is none itself."""

    def __init__(self, http_client: httpx.AsyncClient) -> None:
        self._http_client = http_client
        self.sent = 0

    @property
    def is_closed(self) -> bool:
        return self._http_client.is_closed

    async def send(
        self, request: httpx.Request, *, stream: bool, auth: None, follow_redirects: bool
    ) -> httpx.Response:
        self.sent += 1
        return await self._http_client.send(
            request, stream=stream, auth=auth, follow_redirects=follow_redirects
        )


async def test_what_sends_like_an_httpx_client_may_be_lent(make_client: MakeClient) -> None:
    """A client needs no more than to send, and to say whether it is closed."""
    provider = Provider(hourly())
    async with provider.client() as http_client:
        lent = Wrapped(http_client)
        client = make_client(provider, http_client=lent)
        assert len(await client.cdrs(DAY, NEXT_DAY).to_list()) == 24
        assert lent.sent == len(provider.requests) == 1
    with pytest.raises(ClientClosedError, match="http_client that was passed in is closed"):
        await client.call("voip", "getLineList")


@pytest.mark.parametrize("lent", [httpx.AsyncClient, object()])
def test_what_does_not_send_is_refused(make_client: MakeClient, lent: object) -> None:
    """A class in place of a client, and what cannot send, are refused at once."""
    with pytest.raises(
        ConfigurationError, match=r"must be an httpx\.AsyncClient or an httpx2\.AsyncClient"
    ):
        make_client(Provider(), http_client=lent)


# Time


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"


@pytest.mark.both_loops
@pytest.mark.parametrize(
    "begun", [b"", HEAD[:20], HEAD, HEAD + b"{"], ids=["silence", "half a head", "head", "a byte"]
)
async def test_an_attempt_has_a_total_time_out(begun: bytes) -> None:
    """An answer that begins and never ends is given up after the time-out of the attempt."""
    over = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(begun)
        await over.wait()
        writer.close()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = BoxisClient(
            "u",
            "k",
            tenant="t",
            base_url=f"http://127.0.0.1:{port}/",
            timeout=0.2,
            retry=RetryPolicy(attempts=1),
        )
        async with client:
            with pytest.raises(AttemptTimeoutError, match=r"no complete answer within 0\.2 s"):
                await client.call("voip", "getLineList")
            with pytest.raises(WindowError) as caught:
                await client.cdrs(DAY, NEXT_DAY).to_list()
        assert isinstance(caught.value.cause, AttemptTimeoutError)
        over.set()


@pytest.mark.both_loops
async def test_bytes_that_drip_do_not_extend_the_time_out() -> None:
    """The time-out counts from the beginning of the attempt, however often a byte comes."""
    gone = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        client_left = asyncio.ensure_future(reader.read())
        while not client_left.done():
            writer.write(b" ")
            await asyncio.wait([client_left], timeout=0.05)
        gone.set()
        writer.close()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/"
        async with BoxisClient("u", "k", base_url=url, timeout=0.2) as client:
            with pytest.raises(AttemptTimeoutError):
                await client.call("voip", "getLineList")
            await gone.wait()


async def test_a_hang_is_tried_again(make_client: MakeClient) -> None:
    """A request that hangs is given up after its time-out and sent again."""
    provider = Provider(hourly(), faults=[None, Fault.hang()])
    stream = make_client(provider, over_http=True, timeout=0.5).cdrs(DAY, NEXT_DAY, window=6 * HOUR)
    assert len(await stream.to_list()) == 24
    assert stream.stats.retries >= 1


# Redirects


@pytest.mark.both_loops
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(make_client: MakeClient, status: int) -> None:
    """A redirect sends no credentials elsewhere: it is an error that says where it pointed."""
    elsewhere = Provider(hourly())
    other = make_client(elsewhere, over_http=True)
    url = repr(other).partition("base_url='")[2].partition("'")[0]
    provider = Provider(faults=lambda _: Fault.status(status, location=url))
    client = make_client(provider, over_http=True)
    with pytest.raises(WindowError, match=f"HTTP status {status} to {url}") as caught:
        await client.cdrs(DAY, NEXT_DAY).to_list()
    assert isinstance(caught.value.cause, StatusError)
    assert (len(provider.requests), len(elsewhere.requests)) == (1, 0)


# Faults over real HTTP


PASSING = [
    Fault.status(500),
    Fault.status(502),
    Fault.status(503, retry_after=0),
    Fault.status(429, retry_after=0),
    Fault.status(429, retry_after="Wed, 21 Oct 2015 07:28:00 GMT"),
    Fault.status(408),
    Fault.cut(),
    Fault.cut(1),
    Fault.empty(),
    Fault.html(),
    Fault.disconnect(),
    Fault.garbage(),
    Fault.out_of_memory(),
]


@pytest.mark.both_loops
@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{fault.kind}-{fault.code}")
async def test_a_hiccup_does_not_end_a_stream(make_client: MakeClient, fault: Fault) -> None:
    """One fault of each kind that may pass is tried again, and the stream is complete."""
    provider = Provider(hourly(), faults=[None, fault, None])
    client = make_client(provider, over_http=True)
    stream = client.cdrs(DAY, NEXT_DAY, window=4 * HOUR)
    assert ids(await stream.to_list()) == ids_of(provider.select())
    assert (stream.stats.requests, stream.stats.retries) == (7, 1)


@pytest.mark.both_loops
@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{fault.kind}-{fault.code}")
async def test_a_fault_that_stays_ends_in_an_error(make_client: MakeClient, fault: Fault) -> None:
    """A fault that does not pass ends the stream in one error that names the window."""
    provider = Provider(
        hourly(), faults=lambda received: fault if received.datefrom == f"{DAY}" else None
    )
    stream = make_client(provider, over_http=True).cdrs(DAY, NEXT_DAY, window=4 * HOUR)
    with pytest.raises(WindowError) as caught:
        await stream.to_list()
    assert caught.value.window == stream.plan()[0]
    assert caught.value.attempts == 3
    assert isinstance(caught.value.cause, BoxisError)
    assert [request.dateto for request in provider.requests].count(f"{DAY + 4 * HOUR}") == 3


@pytest.mark.parametrize(
    "fault",
    [
        Fault.status(400),
        Fault.status(401),
        Fault.status(404),
        Fault.status(302),
        Fault.refuse("no"),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.code}",
)
async def test_what_does_not_pass_is_not_tried_again(make_client: MakeClient, fault: Fault) -> None:
    """A refusal, and a status that says the request is at fault, end the stream at once."""
    provider = Provider(faults=lambda _: fault)
    with pytest.raises(WindowError) as caught:
        await make_client(provider, over_http=True).cdrs(DAY, NEXT_DAY).to_list()
    assert caught.value.attempts == 1
    assert len(provider.requests) == 1


def test_every_kind_of_fault_is_tried() -> None:
    """No kind of fault that the stand-in knows is left out here."""
    tried = {fault.kind for fault in PASSING} | {"refuse", "hang"}
    assert tried == set(FAULT_KINDS)


async def test_staminas_testing_switch(make_client: MakeClient) -> None:
    """In stamina's testing mode a policy that waits for minutes waits for nothing."""
    provider = Provider(hourly(), faults=[Fault.status(500), Fault.html()])
    client = make_client(
        provider, over_http=True, retry=RetryPolicy(wait_initial=600, wait_max=600)
    )
    with stamina.set_testing(True, attempts=3, cap=True):
        stream = client.cdrs(DAY, NEXT_DAY)
        assert len(await stream.to_list()) == 24
    assert stream.stats.retries == 2


async def test_a_fault_in_every_other_answer(make_client: MakeClient) -> None:
    """A provider that fails at random, and never for good, loses nothing and repeats nothing."""
    provider = Provider(hourly(calls=5), seed=3)

    def fault(received: object) -> Fault | None:
        del received
        return provider.random.choice(PASSING) if provider.random.random() < 0.4 else None

    provider.faults = fault
    patient = RetryPolicy(attempts=30, wait_initial=0, wait_max=0, wait_jitter=0)
    client = make_client(provider, over_http=True, retry=patient)
    for order in ("time", "completion"):
        stream = client.cdrs(DAY, NEXT_DAY, window=HOUR / 2, order=order)
        assert sorted(ids(await stream.to_list())) == sorted(ids_of(provider.select()))
        assert stream.stats.retries == stream.stats.requests - 48 > 0
