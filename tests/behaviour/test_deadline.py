"""The deadline of a whole answer: one argument, over all attempts, waits, windows and streams."""

from __future__ import annotations

import asyncio
import gc
import pickle
import weakref
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from calls import DAY, HOUR, NEXT_DAY, hourly
from waiting import Gate, settled

from boxis_async import (
    BoxisError,
    ConfigurationError,
    DeadlineError,
    NoAnswerError,
    RetryPolicy,
    StatusError,
    StreamClosedError,
)
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from conftest import MakeClient

    from boxis_async import CDR, BoxisClient
    from boxis_async.testing import Received

SOON = 0.02
NEVER = 3600.0
"""Seconds that no test lives to see the end of."""

LONG = 600.0
"""Seconds after which a test says that they are over."""


@pytest.fixture
async def let_pass(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Put the event loop's clock forward."""
    loop = asyncio.get_running_loop()
    passed = 0.0
    time = loop.time

    def let_pass(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    monkeypatch.setattr(loop, "time", lambda: time() + passed)
    return let_pass


whole_answers = pytest.mark.parametrize(
    "fetch",
    [
        lambda client: client.cdrs(DAY, NEXT_DAY).to_list(),
        lambda client: anext(client.cdrs(DAY, NEXT_DAY)),
        lambda client: anext(client.cdrs(DAY, NEXT_DAY, order="completion").batches()),
        lambda client: client.cdrs(DAY, NEXT_DAY, on_error="collect").to_list(),
        lambda client: client.cdrs(DAY).to_list(),
        lambda client: client.cdrs().to_list(),
        lambda client: client.calls(DAY, NEXT_DAY),
        lambda client: anext(client.iter_calls(DAY, NEXT_DAY)),
        lambda client: client.call("voip", "getLineList"),
        lambda client: client.call("voip", "getLineList", retry=True),
        lambda client: client.probe(),
    ],
    ids=[
        "list",
        "item",
        "batch",
        "collect",
        "now",
        "all",
        "calls",
        "call",
        "any",
        "again",
        "probe",
    ],
)


@whole_answers
async def test_a_provider_that_hangs(
    fetch: Callable[[BoxisClient], Awaitable[object]], make_client: MakeClient
) -> None:
    """Whatever is fetched ends at the deadline, by a typed error that says how long it had."""
    client = make_client(Provider(hourly(), faults=lambda _: Fault.hang()))
    with pytest.raises(DeadlineError, match=r"within 0\.02 s \(deadline\)") as raised:
        await fetch(client.with_options(deadline=SOON))
    assert isinstance(raised.value, NoAnswerError)
    assert isinstance(raised.value, TimeoutError)
    assert raised.value.deadline == SOON
    again = pickle.loads(pickle.dumps(raised.value))
    assert (str(again), again.deadline) == (str(raised.value), SOON)


@whole_answers
async def test_waits_between_attempts_count(
    fetch: Callable[[BoxisClient], Awaitable[object]], make_client: MakeClient
) -> None:
    """A wait for the next attempt, or of the whole client, ends at the deadline too."""
    provider = Provider(hourly(), faults=lambda _: Fault.status(503, retry_after=NEVER))
    client = make_client(provider, retry=RetryPolicy(wait_max=NEVER, timeout=NEVER))
    with pytest.raises(BoxisError) as raised:
        await fetch(client.with_options(deadline=SOON))
    error = raised.value
    if not isinstance(error, DeadlineError):
        # A call that is not to be sent again fails at once.
        assert "503" in str(error)
        assert len(provider.requests) == 1


async def test_it_says_what_failed_last(
    make_client: MakeClient, let_pass: Callable[[float], None]
) -> None:
    """The error names the last failure that was tried again, and has it as its cause."""
    gate = Gate(lambda _: len(provider.requests) > 1)
    provider = Provider(hourly(), faults=[Fault.status(503)], gate=gate)
    stream = make_client(provider, deadline=LONG).cdrs(DAY, NEXT_DAY)
    first = asyncio.ensure_future(anext(stream))
    await settled(lambda: gate.held == 1)
    let_pass(LONG)
    with pytest.raises(DeadlineError, match=r"after 2 requests; the last failure: .*503") as raised:
        await first
    assert isinstance(raised.value.__cause__, StatusError)


async def test_what_came_before_is_right(
    make_client: MakeClient, let_pass: Callable[[float], None]
) -> None:
    """What was fetched in order is handed over as it comes; then the error, and never an end."""
    gate = Gate(lambda received: received.parameters["datefrom"] > "2024-03-05 11:00:00")
    provider = Provider(hourly(), gate=gate)
    stream = make_client(provider, deadline=LONG).cdrs(DAY, NEXT_DAY, window=HOUR)
    found: list[CDR] = []

    async def consume() -> None:
        async for cdr in stream:
            found.append(cdr)

    task = asyncio.ensure_future(consume())
    await settled(lambda: len(found) == 12)
    let_pass(LONG)
    with pytest.raises(DeadlineError):
        await task
    assert [cdr.start.hour for cdr in found] == list(range(12))
    assert stream.stats.covered < 1
    with pytest.raises(StreamClosedError):
        await anext(stream)
    gate.open()
    let_pass(-LONG)
    found += await stream.again(resume=stream.coverage).to_list()
    assert len({cdr.uniqueid for cdr in found}) == 24


async def test_what_is_fetched_may_be_read_later(
    provider: Provider, make_client: MakeClient, let_pass: Callable[[float], None]
) -> None:
    """Once all is fetched, the deadline is over: a slow consumer gets everything."""
    stream = make_client(provider, deadline=LONG).cdrs(DAY, NEXT_DAY)
    found = [await anext(stream)]
    await settled(lambda: len(asyncio.all_tasks()) == 1)
    let_pass(LONG)
    found += [cdr async for cdr in stream]
    assert len(found) == 24


async def test_a_slow_consumer_is_no_excuse(
    provider: Provider, make_client: MakeClient, let_pass: Callable[[float], None]
) -> None:
    """So long as windows are to be fetched, what the consumer does in between counts."""
    client = make_client(provider, deadline=LONG, concurrency=1)
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    await anext(stream)
    let_pass(LONG)
    with pytest.raises(DeadlineError):
        await stream.to_list()


async def test_it_begins_with_the_first_item(
    provider: Provider, make_client: MakeClient, let_pass: Callable[[float], None]
) -> None:
    """A stream that nobody has begun with uses up no time, and each stream has its own."""
    client = make_client(provider, deadline=LONG)
    first, second = client.cdrs(DAY, NEXT_DAY), client.cdrs(DAY, NEXT_DAY)
    let_pass(LONG)
    assert len(await first.to_list()) == 24
    let_pass(LONG)
    assert len(await second.to_list()) == 24


async def test_one_for_all_legs_of_calls(
    make_client: MakeClient, let_pass: Callable[[float], None]
) -> None:
    """Calls are fetched by several streams, where they reach beyond the range: one deadline."""
    last = {"uniqueid": "1", "start": "2024-03-05 23:50:00", "end": "2024-03-06 03:55:00"}

    async def take_long(_: Received) -> None:
        let_pass(LONG * 0.6)

    provider = Provider([last], gate=take_long)
    client = make_client(provider, timeout=NEVER)
    calls = client.with_options(deadline=LONG).calls(DAY, NEXT_DAY, window=timedelta(days=9))
    with pytest.raises(DeadlineError, match=r"within 600 s .*after 1 request"):
        await calls
    assert len(provider.requests) == 2
    assert len(await client.calls(DAY, NEXT_DAY)) == 1


async def test_none_is_left_behind(make_client: MakeClient) -> None:
    """A deadline keeps no stream alive that was dropped, and leaves no timer behind."""
    loop = asyncio.get_running_loop()
    client = make_client(Provider(hourly(), faults=lambda _: Fault.hang()), deadline=NEVER)
    stream = client.cdrs(DAY, NEXT_DAY)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON):
            await anext(stream)
    dropped = weakref.ref(stream)
    del stream
    gc.collect()
    assert dropped() is None
    timers = loop._scheduled  # type: ignore[attr-defined]  # noqa: SLF001 - nothing else shows it
    await settled(
        lambda: not [one for one in timers if one.when() > loop.time() + 60 and not one.cancelled()]
    )


async def test_options_keep_and_remove_it(make_client: MakeClient) -> None:
    """It stays as it is under other options, and None takes it away."""
    client = make_client(Provider(hourly(), faults=lambda _: Fault.hang()), deadline=SOON)
    with pytest.raises(DeadlineError):
        await client.with_options(timeout=5).cdrs(DAY, NEXT_DAY).to_list()
    without = client.with_options(deadline=None, timeout=SOON, retry=RetryPolicy(attempts=1))
    with pytest.raises(BoxisError) as raised:
        await without.cdrs(DAY, NEXT_DAY).to_list()
    assert not isinstance(raised.value, DeadlineError)


@pytest.mark.parametrize("wrong", [0, -1, "5", True, timedelta(seconds=5), float("nan"), 1e10])
def test_wrong_deadlines(wrong: float, make_client: MakeClient) -> None:
    """A deadline that is no number of seconds is refused, for a client and for options."""
    client = make_client(Provider())
    with pytest.raises(ConfigurationError, match="deadline must be seconds"):
        client.with_options(deadline=wrong)
    with pytest.raises(ConfigurationError, match="deadline must be seconds"):
        make_client(Provider(), deadline=wrong)
