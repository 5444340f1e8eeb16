"""A client with other options: what it has of its own, and all that it shares."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import time_machine
from calls import DAY, HOUR, NEXT_DAY, hourly
from waiting import Gate, settled

from boxis_async import (
    AttemptTimeoutError,
    BoxisClient,
    ClientClosedError,
    ConfigurationError,
    Hooks,
    RateLimitError,
    RetryPolicy,
    StreamClosedError,
    UsageError,
    WindowError,
)
from boxis_async.testing import Fault, InProcessTransport, Provider

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import MakeClient

    from boxis_async import CDRStream, RequestEvent

NEVER = 3600.0
"""A wait that no test lives to see the end of."""

AT_ONCE = RetryPolicy(attempts=1)

which = pytest.mark.parametrize("of_the_other", [False, True], ids=["itself", "the other"])


def hours(client: BoxisClient) -> CDRStream:
    return client.cdrs(DAY, NEXT_DAY, window=HOUR)


def day(client: BoxisClient) -> CDRStream:
    return client.cdrs(DAY, NEXT_DAY, window=24 * HOUR)


class Recording(InProcessTransport):
    """Counts what passes by."""

    def __init__(self, provider: Provider) -> None:
        super().__init__(provider)
        self.requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        return await super().handle_async_request(request)


# What is shared


async def test_both_are_clients_of_the_same(provider: Provider, client: BoxisClient) -> None:
    """The other client asks the same provider, as the same user; nothing is sent to make it."""
    other = client.with_options(timeout=5)
    assert type(other) is BoxisClient
    assert repr(other) == repr(client)
    assert provider.requests == []
    assert await hours(other).to_list() == await hours(client).to_list()
    (username,) = {received.parameters["username"] for received in provider.requests}
    assert username == provider.username


class OfTheUsersOwn(BoxisClient):
    """A child of the client, with something of its own."""

    color = "blue"


async def test_a_child_stays_one(provider: Provider) -> None:
    """A child of the client gives one of its kind, with what it was given besides."""
    async with (
        provider.client() as http_client,
        OfTheUsersOwn(
            provider.username, provider.api_key, tenant=provider.tenant, http_client=http_client
        ) as client,
    ):
        client.color = "red"
        other = client.with_options(timeout=5)
        assert isinstance(other, OfTheUsersOwn)
        assert other.color == "red"
        assert len(await day(other).to_list()) == 24


async def test_connections_are_shared(make_client: MakeClient) -> None:
    """Over HTTP, the other client uses the connections that are open."""
    provider = Provider(hourly())
    client = make_client(provider, over_http=True)
    await day(client).to_list()
    (transport,) = client._transport._own._open  # noqa: SLF001 - counts the connections
    other = client.with_options(timeout=5, tenant=provider.tenant)
    await day(other).to_list()
    await day(client).to_list()
    assert client._transport._own._open == {transport}  # noqa: SLF001 - counts the connections


async def test_a_lent_client_is_shared(make_client: MakeClient) -> None:
    """An HTTP client that was passed in sends for both, and stays open."""
    provider = Provider(hourly())
    recording = Recording(provider)
    async with httpx.AsyncClient(transport=recording) as http_client:
        client = make_client(provider, http_client=http_client)
        other = client.with_options(timeout=5)
        await day(client).to_list()
        await day(other).to_list()
        await other.aclose()
        assert not http_client.is_closed
    assert recording.requests == 2


@pytest.mark.both_loops
async def test_concurrency_is_shared(make_client: MakeClient) -> None:
    """The requests of both together are never more than the concurrency."""
    gate = Gate()
    provider = Provider(hourly(), gate=gate)
    client = make_client(provider, concurrency=3)
    clients = [client, client.with_options(timeout=20), client.with_options(max_rate=1000)]
    reading = asyncio.gather(*(hours(one).to_list() for one in clients))
    await settled(lambda: provider.in_flight == 3)
    gate.open()
    assert [len(found) for found in await reading] == [24] * 3
    assert provider.peak_in_flight == 3


@which
async def test_the_clock_is_shared(make_client: MakeClient, *, of_the_other: bool) -> None:
    """When either is refused for its clock, both are set right, and tell the same offset."""
    provider = Provider(hourly(), clock_skew=7200)
    client = make_client(provider)
    other = client.with_options(timeout=5)
    first, second = (other, client) if of_the_other else (client, other)
    with time_machine.travel(datetime(2024, 3, 7, tzinfo=UTC), tick=False):
        assert first.clock_offset is second.clock_offset is None
        await day(first).to_list()
        assert first.clock_offset == second.clock_offset == 7200
        await day(second).to_list()
    assert len(provider.refusals) == 1
    assert len(provider.requests) == 3


async def test_hooks_are_shared(make_client: MakeClient) -> None:
    """The hooks are called for both."""
    seen: list[RequestEvent] = []
    client = make_client(Provider(hourly()), hooks=Hooks(on_request=seen.append))
    await day(client.with_options(timeout=5)).to_list()
    await day(client).to_list()
    assert len(seen) == 2


@which
async def test_closing_is_shared(make_client: MakeClient, *, of_the_other: bool) -> None:
    """To close either closes both, cuts the streams of both short, and ends their requests."""
    gate = Gate()
    provider = Provider(hourly(), gate=gate)
    client = make_client(provider)
    other = client.with_options(timeout=20)
    reading = [asyncio.create_task(hours(one).to_list()) for one in (client, other)]
    await settled(lambda: gate.held == 8)
    await (other if of_the_other else client).aclose()
    assert provider.in_flight == 0
    for found in await asyncio.gather(*reading, return_exceptions=True):
        assert isinstance(found, ClientClosedError)
    for one in (client, other):
        assert "closed" in repr(one)
        with pytest.raises(ClientClosedError):
            one.cdrs(DAY, NEXT_DAY)
        with pytest.raises(ClientClosedError):
            await one.call("voip", "getLineList")
        with pytest.raises(ClientClosedError):
            async with one:
                pass
        with pytest.raises(ClientClosedError):
            one.with_options(timeout=5)
        await one.aclose()


async def test_leaving_the_block_of_the_other(make_client: MakeClient) -> None:
    """The block of the other client closes both at its end, too."""
    client = make_client(Provider(hourly()))
    stream = hours(client)
    await anext(stream)
    async with client.with_options(timeout=20) as other:
        assert len(await day(other).to_list()) == 24
    with pytest.raises((ClientClosedError, StreamClosedError)):
        await stream.to_list()


@pytest.mark.both_loops
@which
@pytest.mark.parametrize("options", [{"timeout": 20}, {"max_rate": 1000}], ids=str)
async def test_a_pause_is_shared(
    make_client: MakeClient, options: dict[str, Any], *, of_the_other: bool
) -> None:
    """A 429 that either is answered with holds both, and what was made of either."""
    provider = Provider(hourly(), faults=[Fault.status(429, retry_after=NEVER)])
    policy = RetryPolicy(wait_initial=NEVER, wait_max=NEVER, wait_jitter=0)
    client = make_client(provider, retry=policy)
    other = client.with_options(**options)
    first, second = (other, client) if of_the_other else (client, other)
    third = second.with_options(max_rate=500)
    tasks = [asyncio.create_task(day(first).to_list())]
    await settled(lambda: len(provider.requests) == 1 and provider.in_flight == 0)
    for one in (first, second, third):
        tasks.append(asyncio.create_task(hours(one).to_list()))
        tasks.append(asyncio.create_task(one.call("voip", "getLineList")))
    await settled(lambda: len(provider.requests) == 1)
    for task in tasks:
        assert not task.done()
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(provider.requests) == 1


async def test_a_pause_is_as_long_as_the_options_say(make_client: MakeClient) -> None:
    """How long a 429 without a time holds both is what the policy says of whoever met it."""
    provider = Provider(hourly(), faults=[Fault.status(429)])
    client = make_client(provider, retry=RetryPolicy(wait_initial=NEVER, wait_max=NEVER))
    hasty = client.with_options(retry=RetryPolicy(wait_initial=0, wait_max=0, wait_jitter=0))
    assert len(await day(hasty).to_list()) == 24
    assert len(await day(client).to_list()) == 24


# What is not


async def test_timeout(make_client: MakeClient) -> None:
    """A time-out holds for the other client's attempts, and for no others."""
    gate = Gate()
    provider = Provider(hourly(), gate=gate, actions={("voip", "getLineList"): lambda _: {}})
    client = make_client(provider, retry=AT_ONCE)
    hasty = client.with_options(timeout=0.05)
    patient = [
        asyncio.create_task(day(client).to_list()),
        asyncio.create_task(client.call("voip", "getLineList")),
    ]
    await settled(lambda: gate.held == 2)
    with pytest.raises(WindowError, match=r"within 0\.05 s") as caught:
        await day(hasty).to_list()
    assert isinstance(caught.value.cause, AttemptTimeoutError)
    with pytest.raises(AttemptTimeoutError, match=r"within 0\.05 s"):
        await hasty.call("voip", "getLineList")
    assert not any(task.done() for task in patient)
    gate.open()
    found, content = await asyncio.gather(*patient)
    assert len(found) == 24
    assert content == {}


async def test_a_stream_keeps_the_options_that_it_was_made_with(make_client: MakeClient) -> None:
    """A stream of the one client is not changed by making another; nor is one made again of it."""
    provider = Provider(hourly(), faults=lambda _: Fault.status(503))
    client = make_client(provider, retry=AT_ONCE)
    stream = day(client)
    stubborn = client.with_options(
        retry=RetryPolicy(attempts=4, wait_initial=0, wait_max=0, wait_jitter=0)
    )
    for one, attempts in (
        (stream, 1),
        (stream.again(), 1),
        (day(stubborn), 4),
        (day(stubborn).again(), 4),
        (day(client), 1),
    ):
        with pytest.raises(WindowError) as caught:
            await one.to_list()
        assert caught.value.attempts == attempts


async def test_retry(make_client: MakeClient) -> None:
    """A policy holds for the other client's requests: those of streams, and of `call`."""
    provider = Provider(hourly(), faults=lambda _: Fault.status(429))
    client = make_client(provider, retry=AT_ONCE)
    stubborn = client.with_options(
        retry=RetryPolicy(attempts=5, wait_initial=0, wait_max=0, wait_jitter=0)
    )

    async def requests(ask: Callable[[], Any]) -> int:
        provider.reset()
        with pytest.raises((RateLimitError, WindowError)):
            await ask()
        return len(provider.requests)

    # The one that waits for nothing first: after a 429 the other's policy would have both wait.
    assert await requests(day(stubborn).to_list) == 5
    assert await requests(lambda: stubborn.call("voip", "getLineList", retry=True)) == 5
    assert await requests(lambda: stubborn.call("voip", "getLineList")) == 1
    assert await requests(day(client.with_options(retry=AT_ONCE)).to_list) == 1


async def test_no_policy_is_the_default_one(make_client: MakeClient) -> None:
    """`retry=None` is the default policy, as for a client."""
    provider = Provider(hourly(), faults=[Fault.refuse("no")])
    other = make_client(provider, retry=AT_ONCE).with_options(retry=None)
    assert other._options.retry == RetryPolicy()  # noqa: SLF001 - its options
    with pytest.raises(WindowError, match="1 attempt"):
        await day(other).to_list()
    assert len(await day(other).to_list()) == 24


async def test_tenant(make_client: MakeClient) -> None:
    """A tenant is the other client's own; None is none at all."""
    rows = hourly()
    provider = Provider(rows, tenants={"VOICE-2": rows[:2]})
    client = make_client(provider)
    other = client.with_options(tenant="VOICE-2")
    assert len(await day(other).to_list()) == 2
    assert len(await day(client).to_list()) == 24
    assert day(other).tenant == "VOICE-2"
    assert day(client).tenant == provider.tenant
    assert "tenant='VOICE-2'" in repr(other)
    nameless = client.with_options(tenant=None)
    assert "tenant" not in repr(nameless)
    with pytest.raises(UsageError, match="no tenant"):
        nameless.cdrs(DAY, NEXT_DAY)
    assert len(await nameless.cdrs(DAY, NEXT_DAY, tenant="VOICE-2").to_list()) == 2


async def test_max_rate(make_client: MakeClient) -> None:
    """A limit holds for the other client's requests, and no others wait for it."""
    provider = Provider(hourly())
    client = make_client(provider, concurrency=4)
    slow = client.with_options(max_rate=1 / NEVER)
    assert len(await day(slow).to_list()) == 24
    waiting = [
        asyncio.create_task(hours(slow).to_list()),
        asyncio.create_task(hours(slow.with_options(max_rate=None)).to_list()),
        asyncio.create_task(slow.call("voip", "getLineList")),
    ]
    await settled(lambda: len(provider.requests) == 1)
    # Nor do they hold what these need in order to be sent.
    async with asyncio.timeout(20):
        assert len(await hours(client).to_list()) == 24
        assert len(await hours(client.with_options(max_rate=1000)).to_list()) == 24
        assert len(await hours(client.with_options(timeout=5)).to_list()) == 24
    for task in waiting:
        assert not task.done()
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_the_limit_of_the_first_holds_for_both(make_client: MakeClient) -> None:
    """A limit that was there before applies as well, whatever the other client's is."""
    provider = Provider(hourly())
    client = make_client(provider, max_rate=1 / NEVER)
    assert len(await day(client).to_list()) == 24
    waiting = [
        asyncio.create_task(day(client.with_options(max_rate=max_rate)).to_list())
        for max_rate in (None, 1000)
    ]
    await settled(lambda: len(provider.requests) == 1)
    for task in waiting:
        assert not task.done()
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_what_waits_for_a_limit_can_be_given_up(make_client: MakeClient) -> None:
    """Requests that are given up while they wait for either limit leave room for others."""
    provider = Provider(hourly())
    client = make_client(provider, concurrency=2, max_rate=30)
    other = client.with_options(max_rate=3)
    for _ in range(3):
        waiting = asyncio.create_task(hours(other).to_list())
        await settled(lambda: provider.in_flight == 0)
        waiting.cancel()
        await asyncio.wait([waiting])
    async with asyncio.timeout(20):
        assert len(await hours(client).to_list()) == 24
        assert len(await day(other).to_list()) == 24


async def test_options_are_changed_one_by_one(make_client: MakeClient) -> None:
    """What is left out stays as it is, also of a client that has other options already."""
    provider = Provider(hourly(), tenants={"VOICE-2": []})
    client = make_client(provider, retry=AT_ONCE, timeout=7)
    other = client.with_options(tenant="VOICE-2").with_options(timeout=9)
    assert (other._options.timeout, other._options.retry, other._tenant) == (9, AT_ONCE, "VOICE-2")  # noqa: SLF001 - its options
    assert (client._options.timeout, client._tenant) == (7, provider.tenant)  # noqa: SLF001 - its options
    same = other.with_options()
    assert same is not other
    assert (same._options.timeout, same._options.retry, same._tenant) == (9, AT_ONCE, "VOICE-2")  # noqa: SLF001 - its options


# What is refused


def test_all_problems_at_once(client: BoxisClient) -> None:
    """Everything that is wrong comes in one error, a sentence each, and nothing is made."""
    with pytest.raises(ConfigurationError) as caught:
        client.with_options(timeout=0, retry=3, tenant=29001, max_rate=-1)  # type: ignore[arg-type]
    assert [problem.split()[0] for problem in caught.value.problems] == [
        *("timeout", "retry", "tenant", "max_rate")
    ]


@pytest.mark.parametrize(
    "options",
    [
        *({"timeout": value} for value in (0, -1, float("nan"), float("inf"), "30", None, True)),
        *({"retry": value} for value in (3, "never", {"attempts": 3})),
        *({"tenant": value} for value in (29001, b"VOICE", "\ud800")),
        *({"max_rate": value} for value in (0, -1, float("nan"), "5", True)),
    ],
    ids=str,
)
def test_bad_values(client: BoxisClient, options: dict[str, Any]) -> None:
    """A value that a client would not take is none for the other either, in the same words."""
    with pytest.raises(ConfigurationError) as caught:
        client.with_options(**options)
    with pytest.raises(ConfigurationError) as of_a_new_one:
        BoxisClient("u", "k", **options)
    assert caught.value.problems == of_a_new_one.value.problems
    assert len(caught.value.problems) == 1


def test_unknown_options(client: BoxisClient) -> None:
    """What both share cannot be changed."""
    for name in ("concurrency", "base_url", "username", "hooks", "http_client", "timezone"):
        with pytest.raises(TypeError, match=name):
            client.with_options(**{name: 1})


async def test_no_secret(client: BoxisClient) -> None:
    """Neither the other client nor its options show the key."""
    other = client.with_options(timeout=5)
    assert "stand-in-key" not in repr(other) + repr(vars(other)) + repr(other._options)  # noqa: SLF001 - its options
    with pytest.raises(ConfigurationError) as caught:
        client.with_options(timeout=0)
    assert "stand-in-key" not in str(caught.value)
