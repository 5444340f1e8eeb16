"""Lent clients of httpx: hooks that raise, small pools, transports that answer in their own way."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

import httpx
import pytest
from calls import DAY, HOUR, NEXT_DAY, hourly, ids, ids_of
from waiting import settled

from boxis_async import (
    AttemptTimeoutError,
    AuthenticationError,
    ConnectionFailedError,
    RateLimitError,
    RetryPolicy,
    StatusError,
    WindowError,
)
from boxis_async.testing import Fault, InProcessTransport, Provider

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias

    from conftest import MakeClient

    from boxis_async import BoxisClient
    from boxis_async.testing import LoopbackServer

    Hook: TypeAlias = Callable[[httpx.Response], Awaitable[None]]

ONCE = RetryPolicy(attempts=1)
WARNED = "the http_client that was passed in has fewer connections than"


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [m for r in caplog.records if (m := r.getMessage()).startswith(WARNED)]


# Hooks that raise for the status


async def at_once(response: httpx.Response) -> None:
    response.raise_for_status()


async def after_reading(response: httpx.Response) -> None:
    await response.aread()
    response.raise_for_status()


class ServiceError(Exception):
    """What a wrapper of somebody's raises in place of httpx's own error."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"{response.status_code}")
        self.response = response


async def in_its_own_words(response: httpx.Response) -> None:
    if response.is_error:
        raise ServiceError(response)


by_hook = pytest.mark.parametrize("hook", [at_once, after_reading, in_its_own_words])


def hooked(provider: Provider, hook: Hook) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=InProcessTransport(provider), event_hooks={"response": [hook]}
    )


@by_hook
@pytest.mark.parametrize("status", [400, 401, 403, 404, 451])
async def test_a_status_that_a_hook_raises_for(
    make_client: MakeClient, hook: Hook, status: int
) -> None:
    """A hook that raises for the status changes nothing: it is that status, and asked for once."""
    provider = Provider(faults=lambda _: Fault.status(status))
    async with hooked(provider, hook) as http_client:
        client = make_client(provider, http_client=http_client, retry=RetryPolicy())
        with pytest.raises(WindowError) as caught:
            await client.cdrs(DAY, NEXT_DAY).to_list()
        assert isinstance(caught.value.cause, StatusError)
        assert caught.value.cause.status_code == status
        assert len(provider.requests) == 1
        with pytest.raises(StatusError) as direct:
            await client.call("voip", "getLineList")
        assert direct.value.status_code == status


@by_hook
async def test_a_429_that_a_hook_raises_for(make_client: MakeClient, hook: Hook) -> None:
    """A 429 that a hook raises for is waited for as long as it says, and sent again."""
    faults = [Fault.status(429, retry_after="0.01"), Fault.status(503, retry_after="0")]
    provider = Provider(hourly(), faults=faults)
    async with hooked(provider, hook) as http_client:
        client = make_client(provider, http_client=http_client)
        stream = client.cdrs(DAY, NEXT_DAY, window=24 * HOUR)
        assert ids(await stream.to_list()) == ids_of(provider.select())
        assert (stream.stats.requests, stream.stats.splits) == (3, 0)
        provider.faults = lambda _: Fault.status(429, retry_after="0.01")
        with pytest.raises(RateLimitError) as caught:
            await client.call("voip", "getLineList")
        assert caught.value.retry_after == "0.01"


@pytest.mark.parametrize(("hook", "is_read"), [(at_once, False), (after_reading, True)])
async def test_what_the_api_says_before_a_hook_raises(
    make_client: MakeClient, hook: Hook, *, is_read: bool
) -> None:
    """Where a hook has read the body, the API's own refusal in it is told, not the bare status."""
    body = b'{"result":"0","resulttxt":"Error: wrong authcode"}'
    provider = Provider(faults=lambda _: Fault("status", code=403, body=body))
    async with hooked(provider, hook) as http_client:
        client = make_client(provider, http_client=http_client)
        kind = AuthenticationError if is_read else StatusError
        with pytest.raises(kind):
            await client.call("voip", "getLineList")


async def test_a_hook_that_raises_for_a_good_status(make_client: MakeClient) -> None:
    """A hook that raises although the status is good is no status error."""

    async def never_content(response: httpx.Response) -> None:
        raise ServiceError(response)

    provider = Provider(hourly())
    async with hooked(provider, never_content) as http_client:
        client = make_client(provider, http_client=http_client)
        with pytest.raises(ConnectionFailedError, match="ServiceError"):
            await client.call("voip", "getLineList")


async def test_a_hook_sees_the_form(make_client: MakeClient) -> None:
    """A request hook can read what is sent, as with any request of httpx."""
    seen: list[bytes] = []

    async def look(request: httpx.Request) -> None:
        seen.append(request.content)

    provider = Provider(hourly())
    async with httpx.AsyncClient(
        transport=InProcessTransport(provider), event_hooks={"request": [look]}
    ) as http_client:
        client = make_client(provider, http_client=http_client)
        assert len(await client.cdrs(DAY, NEXT_DAY).to_list()) == 24
    assert b"action=getCDR" in seen[0]


# Pools with fewer places than there are requests


def over_few(
    server: LoopbackServer, provider: Provider, places: int
) -> tuple[str, httpx.AsyncClient]:
    """Serve a provider, and make a client of httpx with so many places for connections."""
    limits = httpx.Limits(max_connections=places)
    return server.mount(provider), httpx.AsyncClient(limits=limits, trust_env=False)


@pytest.mark.slow
@pytest.mark.both_loops
@pytest.mark.parametrize("places", [1, 2])
async def test_a_small_pool(
    make_client: MakeClient,
    server: LoopbackServer,
    caplog: pytest.LogCaptureFixture,
    places: int,
) -> None:
    """A pool with fewer places than the concurrency costs time alone, and that is logged once."""
    caplog.set_level(logging.WARNING, "boxis_async")
    # Longer all in all than the time-out, which each request has to itself.
    provider = Provider(hourly(), latency=0.04 * places)
    url, http_client = over_few(server, provider, places)
    async with http_client:
        client = make_client(
            provider, base_url=url, http_client=http_client, timeout=0.9, retry=ONCE
        )
        stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
        assert ids(await stream.to_list()) == ids_of(provider.select())
        assert (stream.stats.requests, stream.stats.splits) == (24, 0)
        assert len(await client.cdrs(DAY, DAY + 6 * HOUR, window=HOUR).to_list()) == 6
    assert provider.peak_in_flight <= places
    assert len(warnings(caplog)) == 1
    server.unmount(provider)


@pytest.mark.both_loops
async def test_a_pool_that_is_large_enough(
    make_client: MakeClient, server: LoopbackServer, caplog: pytest.LogCaptureFixture
) -> None:
    """With a place for each request nothing is logged, in one process or over HTTP."""
    caplog.set_level(logging.WARNING, "boxis_async")
    provider = Provider(hourly(), latency=0.002)
    url, http_client = over_few(server, provider, 8)
    async with http_client:
        client = make_client(provider, base_url=url, http_client=http_client)
        assert len(await client.cdrs(DAY, NEXT_DAY, window=HOUR).to_list()) == 24
    assert len(await make_client(provider).cdrs(DAY, NEXT_DAY, window=HOUR).to_list()) == 24
    assert warnings(caplog) == []
    server.unmount(provider)


@pytest.mark.both_loops
async def test_a_pool_without_a_place(make_client: MakeClient, server: LoopbackServer) -> None:
    """Where no place becomes free, the wait ends with the time-out, and nothing was sent."""
    provider = Provider(hourly(), faults=lambda _: Fault.hang())
    url, http_client = over_few(server, provider, 1)
    async with http_client:
        occupying = asyncio.create_task(http_client.post(url, timeout=None))
        await settled(lambda: provider.in_flight == 1)
        client = make_client(
            provider, base_url=url, http_client=http_client, timeout=0.1, retry=ONCE
        )
        stream = client.cdrs(DAY, NEXT_DAY)
        with pytest.raises(WindowError) as caught:
            await stream.to_list()
        assert isinstance(caught.value.cause, AttemptTimeoutError)
        assert not caught.value.cause.was_sent
        assert "no connection within 0.1 s" in str(caught.value)
        # Not its smallest part, nor halves: it is not its size.
        assert stream.stats.requests == len(provider.requests) == 1
        with pytest.raises(AttemptTimeoutError):
            await client.call("voip", "getLineList")
        occupying.cancel()
        await asyncio.wait([occupying])
    server.unmount(provider)


async def test_a_wait_for_a_place_is_within_the_windows_time(
    make_client: MakeClient, server: LoopbackServer
) -> None:
    """However long a place is waited for, the time of a window bounds it."""
    provider = Provider(hourly(), latency=0.05)
    url, http_client = over_few(server, provider, 1)
    async with http_client:
        policy = RetryPolicy(attempts=1, timeout=1)
        client = make_client(
            provider, base_url=url, http_client=http_client, timeout=10, retry=policy
        )
        stream = client.cdrs(DAY, NEXT_DAY, window=HOUR, on_error="collect")
        found = await stream.to_list()
        assert 0 < len(found) <= 24
        for failure in stream.failures:
            assert isinstance(failure.cause, AttemptTimeoutError)
    server.unmount(provider)


class Raising(httpx.AsyncBaseTransport):
    """Raises before anything is sent, as a pool does whose own patience ends."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        del request
        self.requests += 1
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        httpx.PoolTimeout("no place"),
        httpx.ConnectTimeout("late"),
        httpx.ReadTimeout("not even sent"),
        httpx.ConnectError("refused"),
        RuntimeError("no more tokens"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_was_never_sent_is_not_halved(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """An error before the form was read is tried again, and its window is not split."""
    transport = Raising(error)
    async with httpx.AsyncClient(transport=transport) as http_client:
        client = make_client(Provider(hourly()), http_client=http_client)
        stream = client.cdrs(DAY, NEXT_DAY)
        with pytest.raises(WindowError) as caught:
            await stream.to_list()
    assert isinstance(caught.value.cause, (AttemptTimeoutError, ConnectionFailedError))
    assert not caught.value.cause.was_sent
    assert stream.stats.requests == transport.requests == 3
    assert len(warnings(caplog)) == isinstance(error, httpx.PoolTimeout)


# Transports that answer in their own way


class Queueing(InProcessTransport):
    """Lets requests wait in a queue of its own, one after the other."""

    def __init__(self, provider: Provider) -> None:
        super().__init__(provider)
        self._turn = asyncio.Lock()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        async with self._turn:
            return await super().handle_async_request(request)


@pytest.mark.both_loops
async def test_a_transport_with_a_queue(make_client: MakeClient) -> None:
    """Requests that wait in a transport's own queue have their time-out from their turn on."""
    provider = Provider(hourly(), latency=0.04)
    async with httpx.AsyncClient(transport=Queueing(provider)) as http_client:
        client = make_client(provider, http_client=http_client, timeout=0.9, retry=ONCE)
        stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
        assert ids(await stream.to_list()) == ids_of(provider.select())
        assert stream.stats.requests == 24


class Prepared(httpx.AsyncBaseTransport):
    """Answers from a queue of what was prepared, without a look at the request."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = deque(answers)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        del request
        answer = self.answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer


async def lists_lines(client: BoxisClient) -> bool:
    return await client.call("voip", "getLineList", retry=True) == {"line1": "x"}


async def test_answers_from_a_queue(make_client: MakeClient) -> None:
    """Answers that were prepared are taken, the same one twice too, and an empty queue is told."""
    good = httpx.Response(200, json={"result": "1", "params": {"line1": "x"}})
    busy = httpx.Response(503, json={})
    transport = Prepared(good, good, busy, httpx.ReadError("broken"), good)
    async with httpx.AsyncClient(transport=transport) as http_client:
        client = make_client(Provider(), http_client=http_client)
        for _ in range(3):
            assert await lists_lines(client)
        with pytest.raises(ConnectionFailedError, match="IndexError") as caught:
            await client.call("voip", "getLineList")
        assert not caught.value.was_sent
