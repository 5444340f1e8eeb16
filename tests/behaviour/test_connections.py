"""The library's own connections: how many there are, which are used again, and when they close."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import httpx
import pytest
from calls import DAY, HOUR, NEXT_DAY
from waiting import settled

import boxis_async
from boxis_async import (
    AttemptTimeoutError,
    BoxisClient,
    ClientClosedError,
    ConnectionFailedError,
    Hooks,
    RetryPolicy,
    TooLargeError,
    UsageError,
)
from boxis_async._http.transport import Transport
from boxis_async._wire.messages import Form, Reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = pytest.mark.both_loops

BODY = b'{"result":"1","params":{}}'
HEAD = b"HTTP/1.1 200 OK\r\nset-cookie: session=1\r\ncontent-length: %d\r\n\r\n"
FORM = Form(b"section=voip&action=getLineList")


@attrs.define(eq=False)
class Server:
    """Answers over connections that it keeps open, and counts them."""

    url: str = ""
    opened: int = 0
    most: int = 0
    held: int = 0
    heads: list[bytes] = attrs.Factory(list)
    over: list[int] = attrs.Factory(list)
    may_answer: asyncio.Event = attrs.Factory(asyncio.Event)
    writers: set[asyncio.StreamWriter] = attrs.Factory(set)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it is closed."""
        self.opened += 1
        number = self.opened
        self.writers.add(writer)
        self.most = max(self.most, len(self.writers))
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                length = self.heads[-1].lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                self.over.append(number)
                self.held += 1
                await self.may_answer.wait()
                self.held -= 1
                writer.write(HEAD % len(BODY) + BODY)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    @property
    def left(self) -> int:
        """How many connections are open."""
        return len(self.writers)

    def answer(self) -> None:
        """Answer what is held, and whatever comes."""
        self.may_answer.set()

    def hold(self) -> None:
        """Answer nothing from now on."""
        self.may_answer.clear()


class Clock:
    """Stands still, unless it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@pytest.fixture
async def served() -> AsyncIterator[Server]:
    """Serve on loopback."""
    served = Server()
    served.answer()
    async with await asyncio.start_server(served.handle, "127.0.0.1", 0) as listening:
        served.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        yield served
        for writer in served.writers:
            writer.close()


@pytest.fixture
def clock() -> Clock:
    """Be the clock of `transport`."""
    return Clock()


@pytest.fixture
async def transport(served: Server, clock: Clock) -> AsyncIterator[Transport]:
    """Send to `served`."""
    transport = Transport(served.url, most_bytes=100, clock=clock)
    yield transport
    await transport.aclose()
    await settled(lambda: served.left == 0)


async def at_once(transport: Transport, served: Server, count: int) -> list[asyncio.Task[Reply]]:
    """Send so many requests, which the server holds."""
    served.hold()
    before = served.held
    tasks = [asyncio.create_task(transport.post(FORM, timeout=20)) for _ in range(count)]
    await settled(lambda: served.held == before + count)
    return tasks


async def burst(transport: Transport, served: Server, count: int) -> None:
    """Send so many requests at once, and take their answers."""
    tasks = await at_once(transport, served, count)
    served.answer()
    await asyncio.gather(*tasks)


# What is sent


async def test_the_version_is_sent(transport: Transport, served: Server) -> None:
    """Each request names the library and its version, and carries no cookie."""
    for _ in range(2):
        await transport.post(FORM, timeout=20)
    for head in served.heads:
        lines = head.lower().split(b"\r\n")
        assert f"user-agent: boxis-async/{boxis_async.__version__}".encode() in lines
        assert b"accept-encoding: gzip" in lines
        assert not any(line.startswith(b"cookie") for line in lines)


# How many


async def test_one_after_the_other(transport: Transport, served: Server) -> None:
    """Requests that follow each other use one connection."""
    for _ in range(10):
        assert (await transport.post(FORM, timeout=20)).body == BODY
    assert (served.opened, len(served.heads)) == (1, 10)


async def test_as_many_as_are_in_flight(transport: Transport, served: Server) -> None:
    """There is a connection for each request in flight, and all are used again."""
    await burst(transport, served, 8)
    assert served.opened == 8
    for _ in range(3):
        await burst(transport, served, 8)
        await burst(transport, served, 3)
    assert (served.opened, served.left) == (8, 8)


async def test_no_more_than_the_concurrency(served: Server) -> None:
    """A client opens as many connections as its concurrency allows, and no more."""
    async with BoxisClient("u", "k", base_url=served.url, concurrency=3) as client:
        await asyncio.gather(*(client.call("voip", "getLineList") for _ in range(30)))
        assert (served.opened, served.left, served.most) == (3, 3, 3)
    await settled(lambda: served.left == 0)


async def test_the_last_used_is_used_next(transport: Transport, served: Server) -> None:
    """One request at a time goes over the connection that is warm, whatever others are idle."""
    await burst(transport, served, 4)
    served.over.clear()
    for _ in range(6):
        await transport.post(FORM, timeout=20)
    assert len(served.over) == 6
    assert len(set(served.over)) == 1
    await burst(transport, served, 2)
    assert served.over[0] in served.over[6:]


# Time without use


async def test_what_is_idle_for_long_is_closed(
    transport: Transport, served: Server, clock: Clock
) -> None:
    """After a burst, those that were idle for four seconds close at the next use of any."""
    await burst(transport, served, 4)
    clock.now += 3
    await burst(transport, served, 2)
    clock.now += 0.9
    await transport.post(FORM, timeout=20)
    assert served.left == 4
    clock.now += 0.1
    await transport.post(FORM, timeout=20)
    await settled(lambda: served.left == 2)
    for _ in range(10):
        clock.now += 3.9
        await transport.post(FORM, timeout=20)
    await settled(lambda: served.left == 1)
    assert served.opened == 4
    await burst(transport, served, 4)
    assert (served.opened, served.left, served.most) == (7, 4, 4)


@pytest.mark.parametrize(("idle", "opened"), [(3.99, 3), (4, 4), (4.01, 4), (60, 4)])
async def test_what_was_idle_for_long_is_not_used_again(
    transport: Transport, served: Server, clock: Clock, idle: float, opened: int
) -> None:
    """Nothing goes over a connection that was idle for four seconds: it may be closed just now."""
    await burst(transport, served, 3)
    clock.now += idle
    served.over.clear()
    await transport.post(FORM, timeout=20)
    assert served.opened == opened
    assert (served.over[0] > 3) is (opened > 3)
    if opened > 3:
        await settled(lambda: served.left == 1)


async def test_the_server_closes_what_is_idle(transport: Transport, served: Server) -> None:
    """A connection that the server closed while it was idle is no failure: another is opened."""
    await burst(transport, served, 3)
    for writer in served.writers:
        writer.close()
    await settled(lambda: served.left == 0)
    await burst(transport, served, 3)
    assert (served.opened, served.left) == (6, 3)


# Connections that the server closes just as they are used


@attrs.define(eq=False)
class Held:
    """Holds what is sent over a connection before one of its writes, until a test lets it go on."""

    at: int
    writes: int = 0
    reached: asyncio.Event = attrs.Factory(asyncio.Event)
    may_go_on: asyncio.Event = attrs.Factory(asyncio.Event)


@pytest.fixture
def hold_write(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Held]:
    """Hold the connections to be made from here on before one of their writes, counted over all."""
    connect = anyio.connect_tcp

    def hold(at: int) -> Held:
        held = Held(at)

        async def connected(*args: Any, **more: Any) -> object:  # noqa: ANN401 - whatever it takes
            stream = await connect(*args, **more)
            send = stream.send

            async def sent(item: bytes) -> None:
                held.writes += 1
                if held.writes == held.at:
                    held.reached.set()
                    await held.may_go_on.wait()
                await send(item)

            monkeypatch.setattr(stream, "send", sent)
            return stream

        monkeypatch.setattr(anyio, "connect_tcp", connected)
        return held

    return hold


async def closed_before(
    served: Server, held: Held, sending: Awaitable[object]
) -> asyncio.Future[object]:
    """Send something, and let the server close all its connections before that write."""
    task = asyncio.ensure_future(sending)
    await held.reached.wait()
    for writer in served.writers:
        writer.close()
    await settled(lambda: served.left == 0)
    held.may_go_on.set()
    await asyncio.wait([task])
    return task


@pytest.mark.parametrize("how", ["call", "stream"])
async def test_a_form_that_was_never_read_is_sent_once_more(
    served: Server, hold_write: Callable[[int], Held], how: str
) -> None:
    """A connection that closes after the head of a request and before its form costs nothing.

    It is certain that the server did not act on it: nobody has the form.
    """
    # The head and the form of the first request, and then the head of the second.
    held = hold_write(3)
    hooked: list[object] = []
    hooks = Hooks(on_request=hooked.append, on_retry=hooked.append)
    once = RetryPolicy(attempts=1)
    async with BoxisClient(
        "u", "k", tenant="t", base_url=served.url, hooks=hooks, retry=once
    ) as client:
        await client.call("voip", "getLineList")
        stream = client.cdrs()
        sending = stream.to_list() if how == "stream" else client.call("sms", "sendSMS", to="1")
        task = await closed_before(served, held, sending)
        assert task.result() == ([] if how == "stream" else {})
        # Over a connection of its own, and as one request.
        assert (served.opened, len(served.over)) == (2, 2)
        assert len(hooked) == 2
        assert served.over == [1, 2]


async def test_a_form_that_may_have_been_read_is_not_sent_again(
    served: Server, hold_write: Callable[[int], Held]
) -> None:
    """A connection that closes once the form is on its way is a failure: it may have been read."""
    del hold_write
    async with BoxisClient("u", "k", tenant="t", base_url=served.url) as client:
        await client.call("voip", "getLineList")
        served.hold()
        task = asyncio.ensure_future(client.call("sms", "sendSMS", to="1"))
        await settled(lambda: served.held == 1)
        for writer in served.writers:
            writer.close()
        served.answer()
        with pytest.raises(ConnectionFailedError) as caught:
            await task
        assert caught.value.was_sent
        assert (served.opened, len(served.over)) == (1, 2)


async def test_a_new_connection_that_closes_is_not_stale(
    served: Server, hold_write: Callable[[int], Held]
) -> None:
    """A connection that closes before it was ever used is a failure like any other."""
    held = hold_write(1)
    async with BoxisClient("u", "k", tenant="t", base_url=served.url) as client:
        task = await closed_before(served, held, client.call("voip", "getLineList"))
        assert isinstance(task.exception(), ConnectionFailedError)
        assert (served.opened, len(served.over)) == (1, 0)


async def test_it_is_sent_once_more_and_not_twice(
    served: Server, hold_write: Callable[[int], Held]
) -> None:
    """Where the new connection closes as well, that is a failure."""
    held = hold_write(3)
    async with BoxisClient("u", "k", tenant="t", base_url=served.url) as client:
        await client.call("voip", "getLineList")
        task = asyncio.ensure_future(client.call("voip", "getLineList"))
        await held.reached.wait()
        for writer in served.writers:
            writer.close()
        await settled(lambda: served.left == 0)
        again = hold_write(1)
        held.may_go_on.set()
        await again.reached.wait()
        for writer in served.writers:
            writer.close()
        await settled(lambda: served.left == 0)
        again.may_go_on.set()
        with pytest.raises(ConnectionFailedError):
            await task
        assert (served.opened, len(served.over)) == (2, 1)


# What ends in another way


@pytest.mark.parametrize("turns", range(8))
async def test_cancelled_in_mid_request(transport: Transport, served: Server, turns: int) -> None:
    """A cancelled request loses its connection alone, also when it is cancelled once more."""
    tasks = await at_once(transport, served, 4)
    for task in tasks[:3]:
        task.cancel()
    for _ in range(turns):
        await asyncio.sleep(0)
    for task in tasks[:2]:
        task.cancel()
    await asyncio.wait(tasks[:3])
    assert [task.cancelled() for task in tasks] == [True, True, True, False]
    served.answer()
    assert (await tasks[3]).body == BODY
    await settled(lambda: served.left == 1)
    await burst(transport, served, 4)
    assert (served.opened, served.left, served.most) == (7, 4, 4)


@pytest.mark.parametrize("turns", range(12))
async def test_cancelled_at_any_turn(transport: Transport, served: Server, turns: int) -> None:
    """Wherever a request is cancelled, from its connecting on, none is in the next one's way."""
    for warm in (False, True):
        if warm:
            await transport.post(FORM, timeout=20)
        task = asyncio.create_task(transport.post(FORM, timeout=20))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert (await transport.post(FORM, timeout=20)).body == BODY
        await settled(lambda: served.left == 1)


async def test_cancelled_anywhere_none_is_lost(transport: Transport, served: Server) -> None:
    """However many requests are cancelled, once or twice, nothing stays open that is not used."""
    for turns in range(100):
        tasks = [asyncio.create_task(transport.post(FORM, timeout=20)) for _ in range(4)]
        for _ in range(turns // 2):
            await asyncio.sleep(0)
        for task in tasks[:2]:
            task.cancel()
        for _ in range(turns % 5):
            await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.wait(tasks)
        assert [task.result().body for task in tasks[2:]] == [BODY, BODY]
    await settled(lambda: served.left <= 4)
    await burst(transport, served, 4)
    assert served.left == 4


async def test_cancelled_while_others_are_closed(
    transport: Transport, served: Server, clock: Clock
) -> None:
    """A request that is cancelled while it closes idle connections leaves the rest to the next."""
    await burst(transport, served, 6)
    clock.now += 6
    task = asyncio.create_task(transport.post(FORM, timeout=20))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await transport.post(FORM, timeout=20)
    await settled(lambda: served.left == 1)


async def test_timed_out(transport: Transport, served: Server) -> None:
    """A request that takes too long closes its connection, and the next opens another."""
    served.hold()
    with pytest.raises(AttemptTimeoutError, match=r"no complete answer within 0\.3 s"):
        await transport.post(FORM, timeout=0.3)
    served.answer()
    await settled(lambda: served.left == 0)
    await transport.post(FORM, timeout=20)
    assert (served.opened, served.left) == (2, 1)


async def test_an_answer_that_is_not_read(served: Server) -> None:
    """An answer that is too large closes its connection, and the next opens another."""
    transport = Transport(served.url, most_bytes=len(BODY) - 1)
    for opened in (1, 2):
        with pytest.raises(TooLargeError):
            await transport.post(FORM, timeout=20)
        await settled(lambda: served.left == 0)
        assert served.opened == opened
    await transport.aclose()


# The end


async def test_closed_during_requests(transport: Transport, served: Server) -> None:
    """What is in flight fails, whoever closes and how often; all connections close."""
    await burst(transport, served, 5)
    tasks = await at_once(transport, served, 3)
    await asyncio.gather(*(transport.aclose() for _ in range(3)))
    for task in tasks:
        with pytest.raises(ClientClosedError, match="closed during the request"):
            await task
    served.answer()
    await settled(lambda: served.left == 0)
    await transport.aclose()
    with pytest.raises(ClientClosedError, match="make a new one"):
        await transport.post(FORM, timeout=20)
    assert served.opened == 5


async def test_closed_while_connecting(
    transport: Transport, served: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is made too late is closed unused."""
    connect, connecting, may_connect = anyio.connect_tcp, asyncio.Event(), asyncio.Event()

    async def slowly(*args: Any, **more: Any) -> object:  # noqa: ANN401 - whatever it takes
        connecting.set()
        await may_connect.wait()
        return await connect(*args, **more)

    monkeypatch.setattr(anyio, "connect_tcp", slowly)
    task = asyncio.create_task(transport.post(FORM, timeout=20))
    await connecting.wait()
    await transport.aclose()
    may_connect.set()
    with pytest.raises(ClientClosedError, match="closed during the request"):
        await task
    await settled(lambda: served.left == 0)
    assert served.heads == []


@pytest.mark.parametrize("cancellations", [1, 2, 3])
@pytest.mark.parametrize("turns", [*range(8), 12, 20])
async def test_closed_and_cancelled(served: Server, turns: int, cancellations: int) -> None:
    """However often the end of `async with` is cancelled, all connections are closed."""
    opened = asyncio.Event()

    async def use() -> None:
        async with BoxisClient(
            "u", "k", tenant="t", base_url=served.url, concurrency=6, retry=RetryPolicy(attempts=1)
        ) as client:
            await asyncio.gather(*(client.call("voip", "getLineList") for _ in range(6)))
            served.hold()
            stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
            waiting = asyncio.ensure_future(anext(stream))
            await settled(lambda: served.held == 6)
            opened.set()
            try:
                await asyncio.sleep(3600)
            finally:
                waiting.cancel()

    task = asyncio.create_task(use())
    await opened.wait()
    for _ in range(cancellations):
        task.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    served.answer()
    await settled(lambda: served.left == 0)


@pytest.mark.parametrize("turns", range(10))
async def test_idle_ones_closed_and_cancelled(
    transport: Transport, served: Server, turns: int
) -> None:
    """A cancellation while idle connections are closed one by one leaves none of them open."""
    await burst(transport, served, 8)
    task = asyncio.create_task(transport.aclose())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await settled(lambda: served.left == 0 or turns == 0)
    await transport.aclose()


async def test_one_that_does_not_close(transport: Transport, served: Server) -> None:
    """An error while one connection is closed leaves the others no less closed."""
    await burst(transport, served, 4)
    close = httpx.AsyncClient.aclose
    failed: list[object] = []

    async def fail_once(self: httpx.AsyncClient) -> None:
        await close(self)
        if not failed:
            failed.append(self)
            raise OSError("it does not close")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx.AsyncClient, "aclose", fail_once)
        with pytest.raises(OSError, match="does not close"):
            await transport.aclose()
    await settled(lambda: served.left == 0)


# What is built


@pytest.fixture
def contexts(monkeypatch: pytest.MonkeyPatch) -> list[ssl.SSLContext]:
    """List the SSL contexts with which connections are made."""
    contexts: list[ssl.SSLContext] = []
    init = httpx.AsyncHTTPTransport.__init__

    def recorded(
        self: httpx.AsyncHTTPTransport,
        *,
        verify: ssl.SSLContext,
        **more: Any,  # noqa: ANN401 - whatever it takes
    ) -> None:
        contexts.append(verify)
        init(self, verify=verify, **more)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "__init__", recorded)
    return contexts


async def test_nothing_is_built_unused(contexts: list[ssl.SSLContext]) -> None:
    """A client that sends nothing makes no HTTP client."""
    async with BoxisClient("u", "k"):
        pass
    assert contexts == []


async def test_one_ssl_context_for_all(contexts: list[ssl.SSLContext]) -> None:
    """All connections share one SSL context, which checks certificates and names."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
    transport = Transport(f"https://127.0.0.1:{port}/", most_bytes=100)
    ends = await asyncio.gather(
        *(transport.post(FORM, timeout=20) for _ in range(3)), return_exceptions=True
    )
    assert {type(end) for end in ends} == {ConnectionFailedError}
    assert (len(contexts), len(set(contexts))) == (3, 1)
    assert contexts[0].verify_mode is ssl.CERT_REQUIRED
    assert contexts[0].check_hostname
    assert contexts[0].cert_store_stats()["x509_ca"] > 0
    await transport.aclose()


async def test_without_tls_nobody_is_trusted(
    transport: Transport, contexts: list[ssl.SSLContext]
) -> None:
    """Over plain HTTP no certificates are loaded, and none would be believed."""
    await transport.post(FORM, timeout=20)
    (context,) = contexts
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.cert_store_stats()["x509"] == 0


@pytest.mark.parametrize(
    ("scheme", "name", "line"),
    [
        ("http", "http_proxy", b"POST http://api.example/ HTTP/1.1"),
        ("https", "HTTPS_PROXY", b"CONNECT api.example:443 HTTP/1.1"),
        ("http", "all_proxy", b"POST http://api.example/ HTTP/1.1"),
    ],
)
async def test_proxies_of_the_environment(
    served: Server, monkeypatch: pytest.MonkeyPatch, scheme: str, name: str, line: bytes
) -> None:
    """Every connection goes through the proxy that the environment names, or past it."""
    for other in [other for other in os.environ if other.lower().endswith("_proxy")]:
        monkeypatch.delenv(other)
    monkeypatch.setenv(name, served.url)
    transport = Transport(f"{scheme}://api.example/", most_bytes=100)
    served.hold()
    tasks = [asyncio.create_task(transport.post(FORM, timeout=20)) for _ in range(2)]
    await settled(lambda: served.held == 2)
    assert [head.split(b"\r\n")[0] for head in served.heads] == [line, line]
    await transport.aclose()
    await asyncio.wait(tasks)
    assert all(isinstance(task.exception(), ClientClosedError) for task in tasks)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    served.answer()
    direct = Transport(served.url, most_bytes=100)
    assert (await direct.post(FORM, timeout=20)).body == BODY
    assert served.heads[-1].startswith(b"POST / HTTP/1.1")
    await direct.aclose()


@pytest.mark.parametrize(
    ("name", "value"),
    [("SSL_CERT_FILE", "/nowhere"), ("HTTPS_PROXY", "gopher://x")],
)
async def test_an_environment_that_cannot_be_obeyed(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What httpx cannot do with the environment is told as such, and what to do about it."""
    monkeypatch.setenv(name, value)
    transport = Transport("https://api.example/", most_bytes=100)
    with pytest.raises(UsageError, match="SSL_CERT_FILE, SSL_CERT_DIR, HTTPS_PROXY"):
        await transport.post(FORM, timeout=20)
    await transport.aclose()
