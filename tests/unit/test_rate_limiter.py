"""The limiter: never more requests in any second than allowed, over all streams of a client."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import pytest
from calls import DAY, HOUR, NEXT_DAY, hourly
from waiting import Gate, settled

from boxis_async import BoxisClient, ConfigurationError, RetryPolicy
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from conftest import MakeClient


def most_in_a_second(provider: Provider, span: float = 1.0) -> int:
    """Count the most requests that arrived within any second, as the server saw it."""
    arrived = sorted(received.arrived for received in provider.requests)
    return max(sum(begin <= moment < begin + span for moment in arrived) for begin in arrived)


@pytest.mark.parametrize("over_http", [False, True], ids=["in process", "over HTTP"])
async def test_never_exceeded(make_client: MakeClient, *, over_http: bool) -> None:
    """Three streams together send no more in any second than one could."""
    provider = Provider(hourly())
    client = make_client(provider, over_http=over_http, max_rate=20)
    streams = [client.cdrs(DAY, DAY + 15 * HOUR, window=HOUR) for _ in range(3)]
    found = await asyncio.gather(*(stream.to_list() for stream in streams))
    assert [len(cdrs) for cdrs in found] == [15] * 3
    assert len(provider.requests) == 45
    assert most_in_a_second(provider) <= 20


async def test_retries_and_other_calls_count(make_client: MakeClient) -> None:
    """What is sent again counts, and so does any other function."""
    provider = Provider(
        hourly(),
        faults=lambda received: Fault.empty() if received.number <= 5 else None,
        actions={("voip", "getLineList"): lambda _: {}},
    )
    client = make_client(
        provider, max_rate=10, retry=RetryPolicy(wait_initial=0, wait_max=0, wait_jitter=0)
    )
    reading = asyncio.create_task(client.cdrs(DAY, DAY + 2 * HOUR, window=HOUR).to_list())
    calling = [
        asyncio.create_task(client.call("voip", "getLineList", retry=True)) for _ in range(4)
    ]
    assert len(await reading) == 2
    await asyncio.gather(*calling)
    assert len(provider.requests) > 10
    assert most_in_a_second(provider) <= 10


@pytest.mark.parametrize(
    ("max_rate", "requests", "span", "most"),
    [
        # A fraction is rounded down,
        (2.9, 3, 1.0, 2),
        # and less than one is one in so many seconds.
        (0.8, 2, 1.25, 1),
        (1, 2, 1.0, 1),
    ],
)
async def test_fractions(
    make_client: MakeClient, max_rate: float, requests: int, span: float, most: int
) -> None:
    """A rate need not be whole, and is never exceeded for that."""
    provider = Provider(hourly())
    client = make_client(provider, max_rate=max_rate)
    stream = client.cdrs(DAY, DAY + requests * HOUR, window=HOUR)
    assert len(await stream.to_list()) == requests
    assert most_in_a_second(provider, span) == most


async def test_as_many_as_a_second_allows_are_sent_at_once(make_client: MakeClient) -> None:
    """Up to the rate nothing waits, and the next one does, however many may be in flight."""
    gate = Gate()
    client = make_client(Provider(hourly(), gate=gate), max_rate=20, concurrency=24)
    async with client.cdrs(DAY, NEXT_DAY, window=HOUR) as stream:
        reading = asyncio.create_task(anext(stream))
        await settled(lambda: gate.held == 20)
        reading.cancel()


async def test_a_high_rate_is_no_limit(make_client: MakeClient) -> None:
    """A rate that is never reached costs nothing."""
    provider = Provider(hourly())
    client = make_client(provider, max_rate=1e9)
    reading = asyncio.create_task(client.cdrs(DAY, NEXT_DAY, window=HOUR).to_list())
    await settled(reading.done)
    assert len(await reading) == 24


async def test_a_cancelled_waiter_leaves_the_pace_usable(make_client: MakeClient) -> None:
    """Who gives up waiting takes no turn, and those behind go on."""
    provider = Provider(hourly())
    client = make_client(provider, max_rate=2)
    streams = [client.cdrs(DAY, DAY + HOUR) for _ in range(6)]
    tasks = [asyncio.create_task(stream.to_list()) for stream in streams]
    await settled(lambda: len(provider.requests) == 2 and provider.in_flight == 0)
    # Two are through; the one that waits for the clock, and one that waits for it, give up.
    waiting = [task for task in tasks if not task.done()]
    assert len(waiting) == 4
    for task in waiting[:2]:
        task.cancel()
    for task in waiting[2:]:
        assert len(await task) == 1
    await asyncio.gather(*waiting[:2], return_exceptions=True)
    assert all(task.cancelled() for task in waiting[:2])
    assert len(provider.requests) == 4
    assert most_in_a_second(provider) <= 2


@pytest.mark.parametrize("max_rate", [0, -1, math.nan, math.inf, "5", True, []], ids=repr)
def test_validation(max_rate: object) -> None:
    """A rate that is none is refused by its name."""
    with pytest.raises(ConfigurationError, match="max_rate"):
        BoxisClient("x@example.com", "key", tenant="T", max_rate=max_rate)  # type: ignore[arg-type]
