"""Errors that somebody keeps: they lead to no request, and keeping them disturbs no other task."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import pickle
import traceback
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from calls import DAY, HOUR, NEXT_DAY, hourly
from clients import PROMPTLY
from provider_page import KEY
from reachable import reachable
from waiting import settled

from boxis_async import (
    BoxisClient,
    BoxisError,
    Hooks,
    ResponseEvent,
    RetryEvent,
    StatusError,
    UsageError,
    WindowError,
)
from boxis_async._wire.messages import Form
from boxis_async.testing import FAULT_KINDS, Fault, InProcessTransport, Provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from conftest import MakeClient

    from boxis_async.testing import FaultKind, Received

PASSWORD = "a-password-of-the-proxy"


class Sent:
    """The authcodes that were sent, so that they can be looked for."""

    def __init__(self) -> None:
        self.stamps: set[str] = set()

    @functools.cached_property
    def _codes(self) -> set[str]:
        assert self.stamps, "nothing was sent"
        return {hashlib.md5(f"{stamp}{KEY}".encode()).hexdigest() for stamp in self.stamps}

    def note(self, body: bytes) -> None:
        """Note a form."""
        fields = dict(part.split("=", 1) for part in body.decode("ascii").split("&"))
        self.stamps.add(fields["timestamp"])

    def are_in(self, text: str) -> bool:
        """Report whether one stands in a text."""
        return any(code in text for code in self._codes)


def lead_to_no_request(errors: list[BaseException], sent: Sent, *without: object) -> bool:
    """Look at all that errors lead to, at their pickles, and at their tracebacks as printed."""
    for found in reachable(errors, without=(Provider, httpx.AsyncBaseTransport, Sent, *without)):
        assert not isinstance(found, (httpx.Request, Form)), found
        if isinstance(found, (str, bytes)):
            text = found if isinstance(found, str) else found.decode("latin-1")
            assert not sent.are_in(text), text
    for error in errors:
        if isinstance(error, BoxisError):
            assert not sent.are_in(pickle.dumps(error).decode("latin-1"))
    return not any(sent.are_in("".join(traceback.format_exception(error))) for error in errors)


# What stands behind errors


class HoldingError(Exception):
    """An error of a transport that holds the request, as httpx's own do."""

    def __init__(self, request: httpx.Request) -> None:
        super().__init__("it failed")
        self.request = request


def httpx_error(request: httpx.Request) -> Exception:
    return httpx.ReadError("it broke", request=request)


def with_the_body_in_its_text(request: httpx.Request) -> Exception:
    return LookupError(f"no answer to {request.content!r} was prepared")


def with_the_body_as_argument(request: httpx.Request) -> Exception:
    return ValueError("no answer", request.content, request)


def behind_another(request: httpx.Request) -> Exception:
    error = httpx.ConnectError("all attempts failed", request=request)
    error.__cause__ = ExceptionGroup("attempts", [OSError("refused"), HoldingError(request)])
    return error


def behind_a_time_out(request: httpx.Request) -> Exception:
    error = httpx.ReadTimeout("too late", request=request)
    error.__context__ = HoldingError(request)
    return error


def for_the_status(request: httpx.Request) -> Exception:
    response = httpx.Response(403, request=request)
    return httpx.HTTPStatusError("403", request=request, response=response)


def with_a_note(request: httpx.Request) -> Exception:
    error = httpx.RemoteProtocolError("it broke", request=request)
    error.add_note(f"while sending {request.content!r}")
    return error


def of_ours(request: httpx.Request) -> Exception:
    error = BoxisError("a transport may use ours")
    error.__cause__ = HoldingError(request)
    return error


ERRORS = (
    httpx_error,
    HoldingError,
    with_the_body_in_its_text,
    with_the_body_as_argument,
    behind_another,
    behind_a_time_out,
    for_the_status,
    with_a_note,
    of_ours,
)


class Failing(httpx.AsyncBaseTransport):
    """Raises an error that leads to its request, from deep within, or from the body."""

    def __init__(
        self, make: Callable[[httpx.Request], Exception], sent: Sent, *, in_body: bool
    ) -> None:
        self._make = make
        self._sent = sent
        self._in_body = in_body

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        self._sent.note(body)
        if self._in_body:
            return httpx.Response(200, content=self._body(request))
        await self._deeper(request, body)
        raise AssertionError

    async def _deeper(self, request: httpx.Request, body: bytes) -> None:
        copied = bytes(bytearray(body))
        raise self._make(request) from (HoldingError(request) if copied else None)

    async def _body(self, request: httpx.Request) -> AsyncIterator[bytes]:
        yield b'{"result": "1"'
        raise self._make(request)


@pytest.mark.both_loops
@pytest.mark.parametrize("in_body", [False, True], ids=["head", "body"])
@pytest.mark.parametrize("make", ERRORS, ids=lambda make: make.__name__)
async def test_no_request_behind_an_error_of_a_lent_client(
    make_client: MakeClient, make: Callable[[httpx.Request], Exception], *, in_body: bool
) -> None:
    """Whatever a lent transport raises, no error that a user can keep leads to the request."""
    sent, kept = Sent(), list[Exception]()

    def keep(event: ResponseEvent | RetryEvent) -> None:
        assert event.error is not None
        kept.append(event.error)

    async with httpx.AsyncClient(transport=Failing(make, sent, in_body=in_body)) as http_client:
        client = make_client(
            Provider(api_key=KEY),
            http_client=http_client,
            hooks=Hooks(on_response=keep, on_retry=keep),
        )
        with pytest.raises(BoxisError) as of_call:
            await client.call("voip", "getLineList")
        with pytest.raises(BoxisError) as of_stream:
            await client.cdrs(DAY, NEXT_DAY).to_list()
        stream = client.cdrs(DAY, NEXT_DAY, window=12 * HOUR, on_error="collect")
        with contextlib.suppress(BoxisError):
            await stream.to_list()
        assert kept
        errors = [of_call.value, of_stream.value, *stream.failures, *kept]
        assert lead_to_no_request(errors, sent)


@pytest.mark.parametrize("kind", FAULT_KINDS)
async def test_no_request_behind_an_error_over_http(
    make_client: MakeClient, kind: FaultKind
) -> None:
    """Nor does an error over the library's own connections, however the answer fails."""
    sent = Sent()
    provider = Provider(api_key=KEY, faults=lambda _: Fault(kind))
    client = make_client(provider, over_http=True, timeout=0.05 if kind == "hang" else 10)
    with pytest.raises(WindowError) as of_stream:
        await client.cdrs(DAY, NEXT_DAY).to_list()
    with pytest.raises(BoxisError) as of_call:
        await client.call("voip", "getLineList")
    sent.stamps = {received.parameters["timestamp"] for received in provider.requests}
    assert lead_to_no_request([of_stream.value, of_call.value], sent)


@pytest.mark.both_loops
@pytest.mark.parametrize("lent", [False, True], ids=["own", "lent"])
@pytest.mark.parametrize("how", ["cancelled", "timed out"])
async def test_no_request_behind_a_cancellation(
    make_client: MakeClient, how: str, *, lent: bool
) -> None:
    """A cancellation, and a time-out of the user's own, lead to no request either."""
    sent = Sent()
    provider = Provider(api_key=KEY, faults=lambda _: Fault.hang())
    client = make_client(provider, over_http=not lent)
    error: BaseException | None = None
    try:
        async with asyncio.timeout(None) as scope:
            task = asyncio.current_task()
            assert task is not None

            async def end() -> None:
                await settled(lambda: len(provider.requests) == 1)
                if how == "cancelled":
                    task.cancel()
                else:
                    scope.reschedule(0)

            ending = asyncio.create_task(end())
            await client.call("voip", "getLineList")
    except (asyncio.CancelledError, TimeoutError) as caught:
        error = caught
        task.uncancel()
    assert isinstance(error, asyncio.CancelledError if how == "cancelled" else TimeoutError)
    await ending
    sent.stamps = {received.parameters["timestamp"] for received in provider.requests}
    assert lead_to_no_request([error], sent, end, ending, task)


async def test_no_signature_behind_an_error_in_a_parameter(make_client: MakeClient) -> None:
    """A parameter that cannot be sent is refused before anything is signed."""
    client = make_client(Provider(api_key=KEY))
    with pytest.raises(UsageError) as caught:
        await client.call("voip", "getLineList", line=object())
    for found in reachable(caught.value, without=(Provider, httpx.AsyncBaseTransport)):
        assert not (isinstance(found, dict) and "authcode" in found)


async def test_no_password_of_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The password of a proxy stands in no error, nor behind one."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        for value in (f"http://user:{PASSWORD}@127.0.0.1:{port}", f"http://user:{PASSWORD}@[::1"):
            monkeypatch.setenv("https_proxy", value)
            client = BoxisClient("u", KEY, base_url="https://api.example/", retry=PROMPTLY)
            with pytest.raises(BoxisError, match="https_proxy") as caught:
                await client.call("voip", "getLineList")
            for found in reachable(caught.value):
                assert not (isinstance(found, str) and PASSWORD in found)
            assert PASSWORD not in "".join(traceback.format_exception(caught.value))
            await client.aclose()


# What is left of a cause


async def test_the_causes_are_kept() -> None:
    """What failed below is still told, layer by layer, as far as it holds only texts."""
    client = BoxisClient("u", KEY, base_url="http://127.0.0.1:9/", retry=PROMPTLY)
    with pytest.raises(BoxisError) as caught:
        await client.call("voip", "getLineList")
    layers: list[BaseException] = []
    at: BaseException | None = caught.value.__cause__
    while at is not None:
        layers.append(at)
        at = at.__cause__ or at.__context__
    assert isinstance(layers[0], httpx.ConnectError)
    assert isinstance(layers[-1], ConnectionRefusedError)
    await client.aclose()


async def test_a_mistake_says_where_it_is(make_client: MakeClient) -> None:
    """A mistake in a lent transport is shown with its file and line, without its locals."""
    sent = Sent()
    transport = Failing(with_the_body_in_its_text, sent, in_body=False)
    async with httpx.AsyncClient(transport=transport) as http_client:
        client = make_client(Provider(api_key=KEY), http_client=http_client)
        with pytest.raises(BoxisError) as caught:
            await client.call("voip", "getLineList")
    shown = "".join(traceback.format_exception(caught.value))
    assert "LookupError came from:" in shown
    assert 'test_kept_errors.py", line' in shown
    assert "in _deeper" in shown


# One error for several tasks


class Sharing(InProcessTransport):
    """Raises one error to each of its requests, as HTTP/2 does for a broken connection.

    The first of them is still cleaning up when the others get it.
    """

    def __init__(self, provider: Provider, error: Exception) -> None:
        super().__init__(provider)
        self.error = error
        self.received = 0
        self.is_cleaning = asyncio.Event()
        self.may_end = asyncio.Event()
        self.ended = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.received += 1
        if self.received > 2:
            return await super().handle_async_request(request)
        if self.received == 2:
            await self.is_cleaning.wait()
            raise self.error
        try:
            raise self.error
        finally:
            self.is_cleaning.set()
            await self.may_end.wait()
            self.ended += 1


@pytest.mark.both_loops
@pytest.mark.parametrize("error", [httpx.ReadError("broken"), OSError("broken"), BoxisError("x")])
async def test_an_error_that_two_windows_share(make_client: MakeClient, error: Exception) -> None:
    """Keeping an error that another task gets too lets that one clean up, to its end."""
    provider = Provider(hourly())
    transport = Sharing(provider, error)
    async with httpx.AsyncClient(transport=transport) as http_client:
        client = make_client(provider, http_client=http_client, concurrency=2)
        stream = client.cdrs(DAY, NEXT_DAY, window=HOUR, order="completion", on_error="collect")
        async with asyncio.timeout(20), stream:
            taken = asyncio.ensure_future(stream.to_list())
            if isinstance(error, BoxisError):
                # It ends the stream, and so is raised as soon as it is there.
                transport.may_end.set()
                with pytest.raises(BoxisError):
                    await taken
                return
            await settled(lambda: transport.received > 20)
            assert transport.ended == 0
            transport.may_end.set()
            assert len(await taken) == 24
    assert transport.ended == 1


@pytest.mark.both_loops
async def test_an_error_of_the_caller_is_left_alone(make_client: MakeClient) -> None:
    """What a caller handles while it calls is none of ours: its tasks clean up to their end."""
    shared = LookupError("for both")
    cleaning, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def first() -> None:
        try:
            raise shared
        finally:
            cleaning.set()
            await may_end.wait()
            ended.set()

    def faults(_: Received) -> Fault:
        return Fault.refuse("no")

    task = asyncio.create_task(first())
    await cleaning.wait()
    client = make_client(Provider(faults=faults))
    try:
        raise shared
    except LookupError:
        with pytest.raises(BoxisError, match="no"):
            await client.call("voip", "getLineList")
        with pytest.raises(WindowError, match="no"):
            await client.cdrs(DAY, NEXT_DAY).to_list()
    may_end.set()
    async with asyncio.timeout(20):
        await ended.wait()
    with pytest.raises(LookupError):
        await task


async def test_errors_keep_no_answer(make_client: MakeClient) -> None:
    """An error that is kept leads to nothing of the answer that it is about."""
    mark = "x" * 5000
    kept: list[Any] = []
    bodies = (
        b'{"result":"1","params":{"cdr":{"call_1":{"clid":"%b"},}}' % mark.encode(),
        b"<html>%b" % mark.encode(),
        b'{"result":"0","resulttxt":"no","more":"%b"}' % mark.encode(),
        b'{"result":"1","params":{"cdr":{"call_1":{"start":"soon","clid":"%b"}}}}' % mark.encode(),
    )
    for body in bodies:
        provider = Provider(faults=lambda _, body=body: Fault.garbage(body))
        client = make_client(provider, hooks=Hooks(on_response=kept.append))
        with pytest.raises(WindowError) as caught:
            await client.cdrs(DAY, NEXT_DAY).to_list()
        kept.append(caught.value)
    for error in kept:
        for found in reachable(error, without=(Provider, httpx.AsyncBaseTransport)):
            if isinstance(found, (str, bytes)):
                assert len(found) < len(mark) or mark not in str(found)


async def test_a_status_error_of_a_hook_holds_no_response(make_client: MakeClient) -> None:
    """A hook's error for a status becomes one of ours, without the response and its request."""

    async def check(response: httpx.Response) -> None:
        response.raise_for_status()

    provider = Provider(api_key=KEY, faults=lambda _: Fault.status(403))
    async with httpx.AsyncClient(
        transport=InProcessTransport(provider), event_hooks={"response": [check]}
    ) as http_client:
        client = make_client(provider, http_client=http_client)
        with pytest.raises(StatusError) as caught:
            await client.call("voip", "getLineList")
    sent = Sent()
    sent.stamps = {received.parameters["timestamp"] for received in provider.requests}
    assert lead_to_no_request([caught.value], sent)
