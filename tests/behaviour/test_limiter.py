"""A limiter of the user's: it says when each request is sent, and hears how each ends."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from calls import DAY, HOUR, hourly
from clients import PROMPTLY
from waiting import settled

from boxis_async import BoxisClient, ConfigurationError, RetryPolicy, WindowError
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from conftest import MakeClient


class Turns:
    """Gives a turn whenever a test lets one go, and notes what it is called with."""

    def __init__(self, free: int = 1000) -> None:
        self.free = asyncio.Semaphore(free)
        self.acquired = 0
        self.released = 0
        self.most_at_once = 0
        self.slowed: list[float] = []
        self.error: Exception | None = None

    async def acquire(self) -> None:
        await self.free.acquire()
        if self.error is not None:
            raise self.error
        self.acquired += 1
        self.most_at_once = max(self.most_at_once, self.acquired - self.released)

    def release(self) -> None:
        self.released += 1

    def slow_down(self, seconds: float) -> None:
        self.slowed.append(seconds)


async def test_no_request_without_a_turn(make_client: MakeClient) -> None:
    """Each request waits for its turn, of whichever client it is, and gives it back."""
    provider = Provider(hourly())
    turns = Turns(free=0)
    clients = [make_client(provider, limiter=turns) for _ in range(2)]
    streams = [
        asyncio.create_task(one.cdrs(DAY, DAY + 5 * HOUR, window=HOUR).to_list()) for one in clients
    ]
    for sent in range(1, 4):
        turns.free.release()
        await settled(lambda: turns.released == sent)  # noqa: B023 - awaited in the loop
        assert len(provider.requests) == sent
    for _ in range(1000):
        turns.free.release()
    assert [len(found) for found in await asyncio.gather(*streams)] == [5, 5]
    assert turns.acquired == turns.released == len(provider.requests) == 10


async def test_retries_refused_clocks_and_other_calls_take_turns(make_client: MakeClient) -> None:
    """What is sent again takes a turn of its own, whatever the reason, and so does `call`."""
    provider = Provider(
        hourly(),
        clock_skew=4000,
        faults=lambda received: Fault.empty() if received.number <= 2 else None,
        actions={("voip", "getLineList"): lambda _: {}},
    )
    turns = Turns()
    client = make_client(provider, limiter=turns)
    await client.cdrs(DAY, DAY + 2 * HOUR, window=HOUR).to_list()
    await client.with_options(timeout=5).call("voip", "getLineList")
    assert turns.acquired == turns.released == len(provider.requests)
    assert len(provider.requests) > 5


@pytest.mark.parametrize(
    ("faults", "slowed"),
    [
        ([Fault.status(429), Fault.status(429)], [0.001, 0.002]),
        ([Fault.status(429, retry_after="0.25")], [0.25]),
        ([Fault.status(503, retry_after="0.25")], [0.25]),
        ([Fault.status(503), Fault.empty()], []),
    ],
    ids=["429", "429 with a time", "503 with a time", "others"],
)
async def test_it_hears_that_the_provider_wants_a_pause(
    make_client: MakeClient, faults: list[Fault], slowed: list[float]
) -> None:
    """A 429, and a `Retry-After`, is reported with the seconds that the client itself pauses."""
    turns = Turns()
    retry = RetryPolicy(attempts=4, wait_initial=0.001, wait_max=0.3, wait_jitter=0)
    client = make_client(Provider(hourly(), faults=faults), limiter=turns, retry=retry)
    await client.cdrs(DAY, DAY + HOUR, window=HOUR).to_list()
    assert turns.slowed == slowed
    assert turns.acquired == turns.released == 1 + len(faults)


async def test_a_turn_is_given_back_however_a_request_ends(make_client: MakeClient) -> None:
    """After a failure, and where the stream is left while a request is in flight, too."""
    provider = Provider(hourly(), faults=[Fault("hang")])
    turns = Turns()
    client = make_client(provider, limiter=turns)
    stream = client.cdrs(DAY, DAY + HOUR, window=HOUR)
    reading = asyncio.create_task(stream.to_list())
    await settled(lambda: turns.acquired)
    assert turns.released == 0
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert turns.released == 1
    provider.faults = itertools.repeat(Fault.refuse("no"))
    with pytest.raises(WindowError):
        await client.cdrs(DAY, DAY + HOUR, window=HOUR).to_list()
    assert turns.acquired == turns.released == 2


async def test_a_wait_that_is_cancelled_gives_nothing_back(make_client: MakeClient) -> None:
    """Who never had a turn gives none back, and the next stream gets its own."""
    provider = Provider(hourly())
    turns = Turns(free=0)
    client = make_client(provider, limiter=turns)
    reading = asyncio.create_task(client.cdrs(DAY, DAY + HOUR, window=HOUR).to_list())
    await settled(lambda: turns.free.locked() and bool(turns.free._waiters))  # noqa: SLF001
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert (turns.acquired, turns.released) == (0, 0)
    turns.free.release()
    assert len(await client.cdrs(DAY, DAY + HOUR, window=HOUR).to_list()) == 1


async def test_its_own_errors_end_the_stream(make_client: MakeClient) -> None:
    """What the limiter raises is the cause of the stream's error, and no request is sent."""
    provider = Provider(hourly())
    turns = Turns()
    turns.error = LookupError("no scheduler")
    client = make_client(provider, limiter=turns)
    with pytest.raises(WindowError, match="no scheduler") as raised:
        await client.cdrs(DAY, DAY + HOUR, window=HOUR).to_list()
    assert raised.value.cause is not None
    assert raised.value.cause.__cause__ is turns.error
    assert provider.requests == []
    assert turns.released == 0


async def test_the_clients_own_limits_apply_as_well(make_client: MakeClient) -> None:
    """A limiter that lets everything go leaves `concurrency` as it is."""
    provider = Provider(hourly(), latency=0.01)
    turns = Turns()
    client = make_client(provider, limiter=turns, concurrency=2, retry=PROMPTLY)
    await client.cdrs(DAY, DAY + 10 * HOUR, window=HOUR).to_list()
    assert turns.most_at_once == provider.peak_in_flight == 2


def test_anything_else_is_refused() -> None:
    """An object without the methods is an error that names them, before any request."""
    with pytest.raises(ConfigurationError, match="acquire, release and slow_down"):
        BoxisClient("a@b.ch", "key", limiter=object())  # type: ignore[arg-type]


PREPARED = """
import asyncio, sys
from datetime import datetime
from boxis_async import BoxisClient, RetryPolicy

class Turns:
    async def acquire(self):
        if not seen:
            seen.update(sys.modules)
    def release(self): pass
    def slow_down(self, seconds): pass

seen = set()

async def main():
    # Nobody listens there.
    async with BoxisClient(
        "a@b.ch", "key", tenant="VOICE-1-1", base_url="http://127.0.0.1:9/", limiter=Turns(),
        retry=RetryPolicy(attempts=1)
    ) as client:
        stream = client.cdrs(datetime(2024, 3, 5), datetime(2024, 3, 6), on_error="collect")
        await stream.to_list()
        assert stream.failures and seen
    print(*sorted(set(sys.modules) - seen))

asyncio.run(main())
"""


@pytest.mark.subprocess
def test_all_is_loaded_before_the_first_turn() -> None:
    """A turn is for that very moment: nothing is loaded between it and the request."""
    done = subprocess.run(
        [sys.executable, "-c", PREPARED], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"httpx", "httpcore", "h11", "trio", "certifi", "ssl"}
