"""The stream: what it hands over, in which order, how far it reads ahead, how it ends."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from calls import DAY, HOUR, NEXT_DAY, SECOND, call, hour, hourly, ids, ids_of, overlapping
from choices import ORDERS
from clients import connected
from consumers import take
from faults import failing_at
from waiting import Gate, settled

from boxis_async import (
    CDR,
    BoxisClient,
    BoxisError,
    Contract,
    Stats,
    StatusError,
    StreamClosedError,
    UsageError,
    Window,
    WindowError,
)
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from conftest import MakeClient

    from boxis_async import CDR, Batch, CDRStream
    from boxis_async.types import Order

pytestmark = pytest.mark.both_loops

BROKEN = Fault.status(500)


@pytest.fixture
def stream(client: BoxisClient) -> CDRStream:
    """Ask for the day, an hour at a time: a call each."""
    return client.cdrs(DAY, NEXT_DAY, window=HOUR)


# What is handed over


async def test_no_request_before_the_first_item(
    provider: Provider, client: BoxisClient, stream: CDRStream
) -> None:
    """Nothing is sent by making a stream, opening it, planning it, or asking for its batches."""
    async with client.cdrs(DAY, NEXT_DAY) as opened, stream:
        assert len(opened.plan()) == 1
        assert opened.stats == Stats()
        aiter(stream)
        aiter(stream.batches())
        await settled(lambda: not provider.requests)
    assert provider.requests == []


@pytest.mark.parametrize("order", ORDERS)
async def test_every_call_once(provider: Provider, client: BoxisClient, order: Order) -> None:
    """Both orders hand over every call of the range once; by time, the windows are in order."""
    found = [cdr async for cdr in client.cdrs(DAY, NEXT_DAY, window=HOUR, order=order)]
    assert sorted(ids(found)) == sorted(ids_of(provider.select()))
    if order == "time":
        assert ids(found) == ids_of(provider.select())


async def test_a_stream_is_its_own_iterator(stream: CDRStream) -> None:
    """A stream gives itself to `async for` and to `async with`."""
    assert aiter(stream) is stream
    async with stream as opened:
        assert opened is stream


async def test_to_list(provider: Provider, stream: CDRStream) -> None:
    """A list of the whole range counts all that it took."""
    found = await stream.to_list()
    assert ids(found) == ids_of(provider.select())
    assert stream.stats == Stats(records=24, requests=24, windows=24, covered=1.0)


async def test_to_list_goes_on_with_a_live_run(provider: Provider, stream: CDRStream) -> None:
    """A list of a run that was begun holds what is still to come."""
    first = await take(stream, 5)
    rest = await stream.to_list()
    assert ids(first + rest) == ids_of(provider.select())
    assert stream.stats == Stats(records=24, requests=24, windows=24, covered=1.0)


async def test_batches_state_their_windows(client: BoxisClient) -> None:
    """There is a batch for each window, also where a window holds no calls."""
    stream = client.cdrs(DAY - 3 * HOUR, DAY + 3 * HOUR, window=HOUR)
    batches = [batch async for batch in stream.batches()]
    assert [batch.window for batch in batches] == overlapping(DAY - 3 * HOUR, HOUR, DAY + 3 * HOUR)
    assert [len(batch.cdrs) for batch in batches] == [0, 0, 0, 1, 1, 1]
    assert stream.stats == Stats(records=3, requests=6, windows=6, covered=1.0)


async def test_batches_of_nothing(client: BoxisClient) -> None:
    """A range without calls has batches without calls, and no items."""
    stream = client.cdrs(DAY - 4 * HOUR, DAY, window=HOUR)
    assert [batch.cdrs async for batch in stream.batches()] == [()] * 4
    assert [cdr async for cdr in stream] == []
    assert stream.stats == Stats(requests=4, windows=4, covered=1.0)


async def test_batches_and_items_share_a_run(make_client: MakeClient) -> None:
    """After some items of a window comes a batch with the rest of it; then the next window."""
    provider = Provider(hourly(calls=3))
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=HOUR)
    everything = ids_of(provider.select())
    batches = stream.batches()

    assert ids(await take(stream, 1)) == everything[:1]
    rest = await anext(batches)
    assert (rest.window, ids(rest.cdrs)) == (hour(0), everything[1:3])
    assert ids(await take(stream, 3)) == everything[3:6]
    following = await anext(batches)
    assert (following.window, ids(following.cdrs)) == (hour(2), everything[6:9])
    assert ids([cdr async for cdr in stream]) == everything[9:]
    with pytest.raises(StopAsyncIteration):
        await anext(batches)
    assert stream.stats == Stats(records=72, requests=24, windows=24, covered=1.0)


async def test_batches_close_the_stream(provider: Provider, stream: CDRStream) -> None:
    """Closing the batches, by name or by leaving their block, closes their stream."""
    async with stream.batches() as batches:
        first: Batch = await anext(batches)
    assert len(first.cdrs) == 1
    with pytest.raises(StreamClosedError):
        await anext(stream)
    assert provider.in_flight == 0
    again = stream.batches()
    await again.aclose()
    with pytest.raises(StreamClosedError):
        await anext(again)


async def test_stats_while_it_runs(make_client: MakeClient) -> None:
    """A record counts when it is handed over, its window once the item after it is asked for."""
    provider = Provider(hourly(calls=2))
    stream = make_client(provider, concurrency=1).cdrs(DAY, DAY + 4 * HOUR, window=HOUR)
    seen: list[tuple[int, int, float]] = []
    async for _ in stream:
        stats = stream.stats
        seen.append((stats.records, stats.windows, stats.covered))
    assert seen == [
        (1, 0, 0.0),
        (2, 0, 0.0),
        (3, 1, 0.25),
        (4, 1, 0.25),
        (5, 2, 0.5),
        (6, 2, 0.5),
        (7, 3, 0.75),
        (8, 3, 0.75),
    ]
    assert stream.stats == Stats(records=8, requests=4, windows=4, covered=1.0)


async def test_stats_of_a_run_cut_short(make_client: MakeClient) -> None:
    """Only what was handed over is counted of a run that was closed early."""
    provider = Provider(hourly(calls=2))
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=HOUR)
    await take(stream, 3)
    await stream.aclose()
    assert (stream.stats.records, stream.stats.windows) == (3, 1)
    assert stream.stats.covered == pytest.approx(1 / 24)


async def test_stats_tell_what_was_dropped(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Copies, further legs and changed legs are dropped under three different counts."""
    leg = call(f"{DAY + HOUR}", "a-1517944376.1", sequence="1", cc_cost="0.00000")
    provider = Provider(
        [
            leg,
            {**leg, "sequence": "2", "dst": "202"},
            {**leg, "sequence": "3", "dst": "203"},
            {**leg, "cc_cost": "0.25000"},
            call(f"{DAY + 90 * timedelta(minutes=1)}"),
        ]
    )
    stream = make_client(provider).cdrs(DAY, DAY + 2 * HOUR, window=HOUR)
    assert len(await stream.to_list()) == 2
    # All four begin on the boundary second, and come in both windows.
    assert stream.stats == Stats(
        records=2, duplicates=4, conflicts=2, revisions=1, requests=2, windows=2, covered=1.0
    )
    (conflict,) = [r.getMessage() for r in caplog.records if "share a uniqueid" in r.getMessage()]
    assert 'unique_by="leg"' in conflict
    by_leg = make_client(provider).cdrs(DAY, DAY + 2 * HOUR, window=HOUR, unique_by="leg")
    assert len(await by_leg.to_list()) == 4
    assert (by_leg.stats.conflicts, by_leg.stats.revisions) == (0, 1)


async def test_a_key_of_the_users_own(client: BoxisClient) -> None:
    """A function of a CDR keeps the first record with each of its values."""
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR, unique_by=lambda cdr: cdr.start.hour // 6)
    assert [cdr.start.hour for cdr in await stream.to_list()] == [0, 6, 12, 18]
    assert stream.stats.conflicts == 20


async def test_a_range_shorter_than_a_window(provider: Provider, client: BoxisClient) -> None:
    """One request asks for exactly the range when a window is longer than it."""
    found = await client.cdrs(DAY, DAY + timedelta(minutes=45), window=HOUR).to_list()
    assert ids(found) == ids_of(provider.select())[:1]
    asked = [(request.datefrom, request.dateto) for request in provider.requests]
    assert asked == [(f"{DAY}", f"{DAY + timedelta(minutes=45)}")]


async def test_a_range_of_one_moment(make_client: MakeClient) -> None:
    """A range that ends where it begins is one request for that second."""
    provider = Provider([call(f"{DAY}"), call(f"{DAY + HOUR}")])
    stream = make_client(provider).cdrs(DAY, DAY)
    assert len(await stream.to_list()) == 1
    assert stream.stats == Stats(records=1, requests=1, windows=1, covered=1.0)


# Runs


async def test_a_further_loop_goes_on(provider: Provider, stream: CDRStream) -> None:
    """A loop after a break goes on where the first one stopped."""
    first: list[CDR] = []
    async for cdr in stream:
        first.append(cdr)
        if len(first) == 5:
            break
    rest = [cdr async for cdr in stream]
    assert ids(first + rest) == ids_of(provider.select())
    assert stream.stats.requests == 24


async def test_an_ended_stream_stays_ended(provider: Provider, stream: CDRStream) -> None:
    """After its end a stream gives nothing, however it is asked; a new one sees what is new."""
    first = await stream.to_list()
    provider.add(call(f"{DAY + HOUR}"))
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        assert [cdr async for cdr in stream] == []
        assert [batch async for batch in stream.batches()] == []
        assert await stream.to_list() == []
    assert len(provider.requests) == 24
    again = stream.again()
    assert len([cdr async for cdr in again]) == len(first) + 1
    assert again.stats.records == 25
    assert again.stats.requests == 24
    assert stream.stats.records == 24


async def test_a_stream_in_chunks(stream: CDRStream) -> None:
    """Whoever takes some records at a time, until there are none, gets each once and an end."""

    async def take(count: int) -> list[CDR]:
        found: list[CDR] = []
        async for cdr in stream:
            found.append(cdr)
            if len(found) == count:
                break
        return found

    sizes: list[int] = []
    while chunk := await take(10):
        sizes.append(len(chunk))
    assert sizes == [10, 10, 4]


async def test_a_closed_stream_stays_closed(provider: Provider, stream: CDRStream) -> None:
    """After `aclose()` whatever is requested raises, and a new stream gives everything."""
    await take(stream, 3)
    await stream.aclose()
    await stream.aclose()
    for _ in range(2):
        with pytest.raises(StreamClosedError, match=r"stream\.again\(\)"):
            await anext(stream)
        with pytest.raises(StreamClosedError):
            [cdr async for cdr in stream]
        with pytest.raises(StreamClosedError):
            await stream.to_list()
    assert ids([cdr async for cdr in stream.again()]) == ids_of(provider.select())


async def test_a_stream_closed_before_its_first_item(provider: Provider, stream: CDRStream) -> None:
    """Closing a stream that was never asked for an item sends nothing, and its next item raises."""
    await stream.aclose()
    with pytest.raises(StreamClosedError):
        await anext(stream)
    assert provider.requests == []


async def test_a_complete_stream_stays_complete(stream: CDRStream) -> None:
    """Closing a stream after its end changes nothing about its having been complete."""
    await stream.to_list()
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert stream.stats.covered == 1.0


async def test_a_block_around_a_loop(provider: Provider, stream: CDRStream) -> None:
    """Leaving the block cancels what is in flight before the next statement runs."""
    provider.gate = Gate(lambda received: received.number > 4)
    async with stream as calls:
        async for _ in calls:
            break
    assert provider.in_flight == 0
    provider.gate = None
    async with stream.again() as calls:
        assert len([cdr async for cdr in calls]) == 24


async def test_a_failed_stream_stays_cut_short(provider: Provider, stream: CDRStream) -> None:
    """A failed stream never looks complete, and does not spoil a new one."""
    provider.faults = failing_at(3, fault=BROKEN)
    with pytest.raises(WindowError):
        await stream.to_list()
    for _ in range(2):
        with pytest.raises(StreamClosedError, match="cut short"):
            await stream.to_list()
    provider.faults = lambda _: None
    again = stream.again()
    assert ids(await again.to_list()) == ids_of(provider.select())
    assert again.stats == Stats(records=24, requests=24, windows=24, covered=1.0)


def test_plan(client: BoxisClient) -> None:
    """The plan lists the windows, counted from the start of the range, as a sequence."""
    plan = client.cdrs(DAY + timedelta(minutes=10), NEXT_DAY, window=9 * HOUR).plan()
    first = DAY + timedelta(minutes=10)
    assert list(plan) == [
        Window(first, first + 9 * HOUR),
        Window(first + 9 * HOUR - SECOND, first + 18 * HOUR),
        Window(first + 18 * HOUR - SECOND, NEXT_DAY),
    ]
    assert plan[-1] == plan[2]
    assert not plan.guess
    assert client.cdrs(DAY, NEXT_DAY).plan().guess
    assert list(client.cdrs().plan()) == [Window(None, None)]


async def test_repr(stream: CDRStream) -> None:
    """The repr tells the range in the user's words, the tenant, the state and the count."""
    told = "2024-03-05 00:00:00 to 2024-03-06 00:00:00, tenant='VOICE-29001-1'"
    assert repr(stream) == f"<CDRStream({told}, not begun, records=0)>"
    await anext(stream)
    assert repr(stream) == f"<CDRStream({told}, live, records=1)>"
    await stream.to_list()
    assert repr(stream) == f"<CDRStream({told}, complete, records=24)>"
    again = stream.again()
    await anext(again)
    await again.aclose()
    assert repr(again) == f"<CDRStream({told}, cut short, records=1)>"


# Order


async def test_order_within_a_window(make_client: MakeClient) -> None:
    """By time, calls come by wall-clock start, and those of one second by sequence as a number."""
    second = f"{DAY + HOUR}"
    provider = Provider(
        [
            call(f"{DAY + 2 * HOUR}", "last"),
            call(second, "ten", sequence="10"),
            call(second, "nine", sequence="9"),
            call(second, "hundred", sequence="100"),
            call(f"{DAY}", "first", sequence="99"),
        ]
    )
    found = await make_client(provider).cdrs(DAY, NEXT_DAY).to_list()
    assert ids(found) == ["first", "nine", "ten", "hundred", "last"]


async def test_order_is_the_wall_clocks_as_sent(make_client: MakeClient) -> None:
    """In the autumn's repeated hour the order is that of the wall, not that of the moments."""
    provider = Provider(
        [
            # 01:10 UTC, the second time that the wall shows 02:10
            call("2024-10-27 02:10:00", "a-1729991400.2"),
            # 00:40 UTC, the first time that it shows 02:40
            call("2024-10-27 02:40:00", "a-1729989600.1"),
        ]
    )
    night = datetime(2024, 10, 27)  # noqa: DTZ001 - the provider's wall clock
    found = await make_client(provider).cdrs(night, night + 6 * HOUR).to_list()
    assert ids(found) == ["a-1729991400.2", "a-1729989600.1"]


async def test_completion_yields_the_fast_window_first(
    provider: Provider, client: BoxisClient
) -> None:
    """By completion, a window that is held does not hold up those behind it."""
    gate = provider.gate = Gate(lambda received: received.datefrom == f"{DAY}")
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR, order="completion")
    first = await take(stream, 23)
    assert f"{DAY + HOUR / 2}" not in {f"{cdr.start:%Y-%m-%d %H:%M:%S}" for cdr in first}
    gate.open()
    assert [cdr.start.hour async for cdr in stream] == [0]


async def test_completion_keeps_the_order_of_arrival(make_client: MakeClient) -> None:
    """By completion, windows that wait to be read come in the order in which they arrived."""
    provider = Provider(hourly())
    client = make_client(provider, concurrency=1)
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR, order="completion")
    await anext(stream)
    await settled(lambda: len(provider.requests) == 4)
    assert [cdr.start.hour async for cdr in stream] == list(range(1, 24))


async def test_time_waits_for_the_slow_window(provider: Provider, client: BoxisClient) -> None:
    """By time, nothing is handed over before a window that is held."""
    gate = provider.gate = Gate(lambda received: received.datefrom == f"{DAY}")
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    first = asyncio.ensure_future(anext(stream))
    await settled(lambda: len(provider.requests) == 24)
    assert not first.done()
    gate.open()
    assert (await first).start.hour == 0
    assert [cdr.start.hour async for cdr in stream] == list(range(1, 24))


# Reading ahead


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("concurrency", [1, 2])
async def test_back_pressure(make_client: MakeClient, concurrency: int, order: Order) -> None:
    """A consumer that stops holds four windows for each request in flight, and not one more."""
    provider = Provider(hourly())
    client = make_client(provider, concurrency=concurrency)
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR, order=order)
    ahead = 4 * concurrency
    await anext(stream)
    await settled(lambda: len(provider.requests) == ahead)
    await anext(stream)
    await settled(lambda: len(provider.requests) == ahead + 1)
    for taken_so_far in range(3, 11):
        await anext(stream)
        await settled(lambda ahead=ahead + taken_so_far - 1: len(provider.requests) == ahead)
    assert provider.peak_in_flight == concurrency
    await stream.aclose()


async def test_back_pressure_of_a_slow_window(make_client: MakeClient) -> None:
    """Windows that wait behind a slow one count against the look-ahead."""
    provider = Provider(hourly(), gate=Gate(lambda received: received.number == 1))
    stream = make_client(provider, concurrency=2).cdrs(DAY, NEXT_DAY, window=HOUR)
    first = asyncio.ensure_future(anext(stream))
    await settled(lambda: len(provider.requests) == 8 and provider.in_flight == 1)
    assert not first.done()
    provider.gate.open()
    await first
    assert len([cdr async for cdr in stream]) == 23


@pytest.mark.slow
@pytest.mark.parametrize("over_http", [False, True], ids=["in-process", "http"])
@pytest.mark.parametrize("concurrency", [1, 8, 32])
async def test_concurrency_over_all_streams(
    make_client: MakeClient, concurrency: int, *, over_http: bool
) -> None:
    """The requests of all streams of a client together are never more than its concurrency."""
    gate = Gate()
    provider = Provider(hourly(), gate=gate)
    client = make_client(provider, over_http=over_http, concurrency=concurrency)
    streams = [client.cdrs(DAY, NEXT_DAY, window=HOUR, order=order) for order in ORDERS * 2]
    lists = asyncio.gather(*(stream.to_list() for stream in streams))
    await settled(lambda: provider.in_flight == concurrency)
    gate.open()
    assert [len(found) for found in await lists] == [24] * 4
    assert provider.peak_in_flight == concurrency
    assert len(provider.requests) == 96


async def test_no_more_workers_than_windows(make_client: MakeClient) -> None:
    """A stream takes hardly more tasks than it has windows, however many may be in flight."""
    gate = Gate()
    provider = Provider(hourly(), gate=gate)
    stream = make_client(provider, concurrency=10_000).cdrs(DAY, DAY + 960 * HOUR)
    rows = asyncio.ensure_future(stream.to_list())
    await settled(lambda: provider.in_flight == 1)
    assert len(asyncio.all_tasks()) < 50
    gate.open()
    assert len(await rows) == 24


async def test_an_unread_stream_does_not_starve_another(make_client: MakeClient) -> None:
    """A stream whose consumer stopped holds no place in flight: another one runs to its end."""
    client = make_client(Provider(hourly()), concurrency=1)
    stopped, other = (client.cdrs(DAY, NEXT_DAY, window=HOUR) for _ in range(2))
    await anext(stopped)
    assert len(await other.to_list()) == 24
    assert len(await stopped.to_list()) == 23


async def test_consumers_that_share_a_stream(make_client: MakeClient) -> None:
    """Several tasks that iterate over one stream get each record once, between them."""
    provider = Provider(hourly(calls=3))
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=HOUR)
    found: list[str] = []

    async def consume() -> None:
        async for cdr in stream:
            found.append(cdr.uniqueid)
            await asyncio.sleep(0)

    async def consume_batches() -> None:
        async for batch in stream.batches():
            found.extend(ids(batch.cdrs))
            await asyncio.sleep(0)

    await anext(stream)
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(consume())
            group.create_task(consume_batches())
    # A task that comes late must not begin a second run: that is the user's to ask for.
    assert sorted(found) == sorted(ids_of(provider.select())[1:])


# Failure


@pytest.mark.parametrize("over_http", [False, True], ids=["in-process", "http"])
async def test_a_window_that_fails_for_good(make_client: MakeClient, *, over_http: bool) -> None:
    """All that lies before the window is handed over, then one error that says which it was."""
    provider = Provider(hourly(), faults=failing_at(7, fault=BROKEN))
    stream = make_client(provider, over_http=over_http).cdrs(DAY, NEXT_DAY, window=HOUR)
    found: list[CDR] = []

    async def read() -> None:
        async for cdr in stream:
            found.append(cdr)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(WindowError) as caught:
        await read()
    assert ids(found) == ids_of(provider.select())[:7]
    error = caught.value
    assert (error.window, error.tenant, error.attempts) == (hour(7), provider.tenant, 3)
    assert isinstance(error.cause, StatusError)
    assert error.__cause__ is error.cause
    assert error.cause.status_code == 500
    assert "2024-03-05 06:59:59 to 2024-03-05 08:00:00" in str(error)
    # Two retries of the window, and two of its smallest part, which failed alike.
    assert (stream.stats.records, stream.stats.windows, stream.stats.retries) == (7, 7, 4)
    with pytest.raises(StreamClosedError):
        await anext(stream)
    await settled(lambda: provider.in_flight == 0)


async def test_a_failure_by_completion(make_client: MakeClient) -> None:
    """By completion, what arrived before the failure is handed over, then the one error."""
    gate = Gate(lambda received: received.datefrom != f"{DAY}")
    provider = Provider(hourly(), gate=gate, faults=failing_at(0, fault=BROKEN))
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=HOUR, order="completion")
    with pytest.raises(WindowError) as caught:
        await anext(stream)
    assert caught.value.window == hour(0)
    assert provider.in_flight == 0


async def test_several_failures_are_one_error(make_client: MakeClient) -> None:
    """When every window fails, the error is the first one's in order, never a group."""
    provider = Provider(faults=lambda _: Fault.status(503))
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=HOUR)
    with pytest.raises(WindowError) as caught:
        await stream.to_list()
    assert caught.value.window == hour(0)
    assert not isinstance(caught.value, BaseExceptionGroup)


async def test_a_later_failure_keeps_what_lies_before(make_client: MakeClient) -> None:
    """Each record before the failed window is handed over, however early the failure was known."""
    gate = Gate(lambda received: received.datefrom == f"{DAY}")
    provider = Provider(hourly(), gate=gate, faults=failing_at(5, fault=BROKEN))
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=HOUR)
    first = asyncio.ensure_future(anext(stream))
    await settled(lambda: provider.in_flight == 1)
    gate.open()
    assert (await first).start.hour == 0
    assert [(await anext(stream)).start.hour for _ in range(4)] == [1, 2, 3, 4]
    with pytest.raises(WindowError):
        await anext(stream)


async def test_a_key_function_that_raises(provider: Provider, client: BoxisClient) -> None:
    """The user's own error comes out as it is, and the run cut short by it never looks complete."""

    def key(cdr: CDR) -> str:
        if cdr.start.hour == 3:
            raise LookupError("no such key")
        return cdr.uniqueid

    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR, unique_by=key)
    assert len(await take(stream, 3)) == 3
    with pytest.raises(LookupError, match="no such key"):
        await anext(stream)
    with pytest.raises(StreamClosedError):
        await anext(stream)
    assert (stream.stats.records, stream.stats.windows) == (3, 3)
    await settled(lambda: provider.in_flight == 0)


async def test_a_key_that_cannot_be_one(client: BoxisClient) -> None:
    """A key function that gives something unhashable is told so, with what to give instead."""
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR, unique_by=lambda cdr: [cdr.uniqueid])  # type: ignore[arg-type,return-value]
    with pytest.raises(UsageError, match=r"list, which is not hashable: give a str or a tuple"):
        await stream.to_list()
    with pytest.raises(BoxisError):
        await anext(stream)


@pytest.mark.slow
@pytest.mark.both_loops
@pytest.mark.parametrize("steps", range(60))
async def test_closed_while_the_end_is_waited_for(provider: Provider, steps: int) -> None:
    """Two who share a stream get all of it, or an error, when it is closed: never a part."""
    async with connected(provider) as client:
        stream = client.cdrs(DAY, NEXT_DAY, window=HOUR * 12)

        found: list[CDR] = []

        async def read() -> bool:
            try:
                async for cdr in stream:
                    found.append(cdr)  # noqa: PERF401 - what came before an error counts
            except StreamClosedError:
                return False
            return True

        first = asyncio.create_task(read())
        for _ in range(steps):
            await asyncio.sleep(0)
        closing, second = asyncio.create_task(stream.aclose()), asyncio.create_task(read())
        is_complete = await first, await second
        await closing
        await stream.aclose()
    if any(is_complete):
        assert ids(found) == ids_of(provider.select())


async def test_again(client: BoxisClient) -> None:
    """A stream names its query, and makes a new stream of it: anew, to an end, or resumed."""
    calls = client.cdrs(DAY, unique_by="leg", clip="start")
    assert (calls.tenant, calls.datefrom, calls.dateto) == ("VOICE-29001-1", DAY, None)
    assert (calls.unique_by, calls.clip) == ("leg", "start")
    first = await calls.again(dateto=DAY + 6 * HOUR).to_list()
    assert len(first) == 6
    whole = calls.again(dateto=NEXT_DAY)
    assert whole.dateto == NEXT_DAY
    assert len(await whole.to_list()) == 24
    assert await whole.again(resume=whole.coverage).to_list() == []
    with pytest.raises(UsageError, match="another query"):
        client.cdrs(DAY, NEXT_DAY).again(resume=whole.coverage)


async def test_a_wait_that_ends_while_a_long_window_is_sifted(make_client: MakeClient) -> None:
    """A long window is sifted in steps, and a time-out between two of them loses nothing."""
    rows = [call(f"{DAY + HOUR}", sequence=f"{number}") for number in range(1, 3001)]
    client = make_client(Provider(rows), contract=Contract(no_cap_up_to=5000))
    stream = client.cdrs(DAY, NEXT_DAY, window=24 * HOUR)
    found: list[CDR] = []
    timeouts = 0
    while True:
        try:
            async with asyncio.timeout(0):
                found.append(await anext(stream))
        except TimeoutError:
            timeouts += 1
        except StopAsyncIteration:
            break
    assert sorted(ids(found)) == sorted(ids_of(rows))
    assert timeouts > 10


async def test_a_stream_that_is_closed_while_a_long_window_is_sifted(
    make_client: MakeClient,
) -> None:
    """Whoever waits for the window gets the error of a closed stream, and nothing is sealed."""
    rows = [call(f"{DAY + HOUR}", sequence=f"{number}") for number in range(1, 3001)]
    client = make_client(Provider(rows), contract=Contract(rule="start", no_cap_up_to=5000))
    is_sifted = asyncio.Event()

    def key(cdr: CDR) -> tuple[str, ...]:
        is_sifted.set()
        return cdr.leg

    stream = client.cdrs(DAY, NEXT_DAY, window=24 * HOUR, unique_by=key)
    waiting = asyncio.create_task(anext(stream))
    await is_sifted.wait()
    await stream.aclose()
    with pytest.raises(StreamClosedError):
        await waiting
    assert stream.coverage.sealed == ()
    assert stream.stats.records == 0
