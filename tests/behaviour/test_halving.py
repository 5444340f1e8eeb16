"""Halving: what a smaller window may cure is asked for in halves, and nothing else is."""

from __future__ import annotations

import asyncio
import gzip
import socket
import tracemalloc
import zlib
from collections import Counter
from datetime import date, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

import httpx
import pytest
from calls import DAY, HOUR, NEXT_DAY, SECOND, call, hour, hourly, ids, ids_of
from choices import MODES, ORDERS
from clients import connected
from faults import window_of
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import NIGHTS, Content, content_of_cdr, content_of_row, ledgers
from waiting import Gate, settled

from boxis_async import (
    AttemptTimeoutError,
    ConnectionFailedError,
    RecordError,
    RefusedError,
    RetryPolicy,
    StatusError,
    TooLargeError,
    Window,
    WindowError,
)
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from conftest import MakeClient

    from boxis_async import CDR, Batch
    from boxis_async.testing import Received
    from boxis_async.types import Order

ATTEMPTS = 3
"""What `make_client` allows."""


def longer_than(length: timedelta, fault: Fault) -> Callable[[Received], Fault | None]:
    """Spoil the answer to each request for more than a length."""
    return lambda received: fault if window_of(received).length > length else None


def tiles(windows: Sequence[Window], start: datetime, end: datetime) -> bool:
    """Tell whether windows follow one another, each a second before the one before it ends."""
    begins = [start, *(window.end - SECOND for window in windows[:-1] if window.end is not None)]
    return [window.start for window in windows] == begins and windows[-1].end == end


# What a smaller window may cure


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    "fault",
    [
        *(Fault.status(status) for status in (500, 502, 503, 504)),
        Fault.html(),
        Fault.out_of_memory(),
        Fault.empty(),
        Fault.garbage(),
        Fault.cut(),
        Fault.disconnect(),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.code}",
)
async def test_halves_cure(make_client: MakeClient, fault: Fault, order: Order) -> None:
    """What the server cannot answer for a long window it answers for its halves."""
    provider = Provider(hourly(), faults=longer_than(6 * HOUR + SECOND, fault))
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, order=order)
    batches = [batch async for batch in stream.batches()]
    assert tiles([batch.window for batch in batches], DAY, NEXT_DAY)
    lengths = [batch.window.length for batch in batches]
    assert lengths == [6 * HOUR] + [6 * HOUR + SECOND] * 3
    assert [cdr.uniqueid for batch in batches for cdr in batch.cdrs] == ids_of(provider.select())
    # The day and its two halves are tried as often as allowed, and probed once each.
    assert stream.stats.requests == len(provider.requests) == 3 * (ATTEMPTS + 1) + 4
    assert stream.stats.splits == 3
    assert stream.stats.windows == 4
    assert stream.stats.covered == 1.0


@pytest.mark.parametrize("over_http", [False, True], ids=["in process", "over HTTP"])
async def test_halves_cure_a_time_out(make_client: MakeClient, *, over_http: bool) -> None:
    """A window whose answer takes too long is asked for in halves."""
    provider = Provider(hourly(), faults=longer_than(12 * HOUR + SECOND, Fault.hang()))
    client = make_client(
        provider,
        over_http=over_http,
        timeout=1,
        retry=RetryPolicy(attempts=1, wait_initial=0, wait_jitter=0),
    )
    stream = client.cdrs(DAY, NEXT_DAY)
    assert ids(await stream.to_list()) == ids_of(provider.select())
    assert stream.stats.splits == 1


@pytest.mark.parametrize("order", ORDERS)
async def test_row_limit(make_client: MakeClient, order: Order) -> None:
    """As many records as the limit may be cut off: the window is halved at once."""
    provider = Provider(hourly(), row_limit=7)
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=24 * HOUR, order=order, row_limit=7)
    batches = [batch async for batch in stream.batches()]
    assert tiles([batch.window for batch in batches], DAY, NEXT_DAY)
    assert [len(batch.cdrs) for batch in batches] == [6] * 4
    # Not a second time for what cannot pass by itself.
    assert stream.stats.requests == len(provider.requests) == 3 + 4
    assert stream.stats.retries == 0
    assert stream.stats.splits == 3


@pytest.mark.parametrize("over_http", [False, True], ids=["in process", "over HTTP"])
async def test_max_response_bytes(make_client: MakeClient, *, over_http: bool) -> None:
    """An answer larger than the client takes is asked for in halves, at once."""
    provider = Provider(hourly())
    client = make_client(provider, over_http=over_http, max_response_bytes=4000)
    stream = client.cdrs(DAY, NEXT_DAY)
    assert ids(await stream.to_list()) == ids_of(provider.select())
    assert stream.stats.splits > 0
    assert stream.stats.retries == 0
    assert stream.stats.requests == 2 * stream.stats.splits + 1


# What it costs


BOMB = 256 * 1024 * 1024
MOST = 1024 * 1024


def bomb() -> bytes:
    """Compress so many blanks within an answer, without having them in memory at once."""
    packed = bytearray()
    blanks = gzip.compress(b" " * MOST)
    for _ in range(BOMB // MOST):
        packed += blanks
    return bytes(packed)


def one_bomb() -> bytes:
    """Compress them as one stream."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    blanks = b" " * MOST
    parts = [deflate.compress(blanks) for _ in range(BOMB // MOST)]
    return b"".join((deflate.compress(b'{"result": "1"'), *parts, deflate.flush()))


class Serving(httpx.AsyncBaseTransport):
    """Answers each request with the same bytes, again and again."""

    def __init__(self, headers: dict[str, str], chunks: Callable[[], AsyncIterator[bytes]]) -> None:
        self._headers = headers
        self._chunks = chunks
        self.requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        del request
        self.requests += 1
        return httpx.Response(200, headers=self._headers, content=self._chunks())


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 65536
        await asyncio.sleep(0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one stream", "many streams", "plain"])
async def test_a_bomb_costs_no_memory(make_client: MakeClient, kind: str) -> None:
    """An answer beyond the limit is read no further than the limit, decompressed or not."""
    packed = {"one stream": one_bomb, "many streams": bomb, "plain": bytes}[kind]()

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(packed), 65536):
            yield packed[at : at + 65536]

    serving = (
        Serving({}, endless) if kind == "plain" else Serving({"content-encoding": "gzip"}, chunks)
    )
    async with httpx.AsyncClient(transport=serving) as http_client:
        client = make_client(
            Provider(),
            http_client=http_client,
            max_response_bytes=2 * MOST,
            retry=RetryPolicy(attempts=1),
        )
        stream = client.cdrs(DAY, DAY + 4 * SECOND)
        tracemalloc.start()
        try:
            with pytest.raises(WindowError) as caught:
                await stream.to_list()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    # Two halves are read at a time.
    assert peak < 10 * MOST
    assert isinstance(caught.value.cause, TooLargeError)
    assert caught.value.window == Window(DAY, DAY + 2 * SECOND)
    assert caught.value.cause.limit == 2 * MOST
    assert serving.requests <= 7


# What no smaller window cures


@pytest.mark.parametrize(
    ("fault", "requests", "cause"),
    [
        (Fault.status(429, retry_after=0), ATTEMPTS, StatusError),
        (Fault.status(408), ATTEMPTS, StatusError),
        (Fault.refuse("unknown tenant"), 1, RefusedError),
        (Fault.status(404), 1, StatusError),
        (Fault.status(302, location="https://example.com/"), 1, StatusError),
        (Fault.garbage(b'{"result":"1","params":{"cdr":{"call_1":{"a":"b"}}}}'), 1, RecordError),
    ],
    ids=["429", "408", "refusal", "404", "redirect", "record"],
)
async def test_not_halved(
    make_client: MakeClient, fault: Fault, requests: int, cause: type[Exception]
) -> None:
    """A server that asks to wait, refuses, or sends what cannot be read is not asked for less."""
    provider = Provider(hourly(), faults=lambda _: fault)
    stream = make_client(provider).cdrs(DAY, NEXT_DAY)
    with pytest.raises(WindowError) as caught:
        await stream.to_list()
    assert isinstance(caught.value.cause, cause)
    assert caught.value.window == Window(DAY, NEXT_DAY)
    assert stream.stats.splits == 0
    assert stream.stats.requests == len(provider.requests) == requests


async def test_a_refused_connection_is_not_halved(make_client: MakeClient) -> None:
    """Where nobody listens, a smaller window is not asked for either."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    client = make_client(Provider(), http_client=None, base_url=f"http://127.0.0.1:{port}/")
    stream = client.cdrs(DAY, NEXT_DAY)
    with pytest.raises(WindowError) as caught:
        await stream.to_list()
    assert isinstance(caught.value.cause, ConnectionFailedError)
    assert stream.stats.splits == 0
    assert stream.stats.requests == ATTEMPTS


@pytest.mark.parametrize(
    "fault", [Fault.status(500), Fault.html(), Fault.out_of_memory(), Fault.disconnect()]
)
async def test_an_outage_is_not_halved_to_death(make_client: MakeClient, fault: Fault) -> None:
    """When the smallest part fails as the whole did, one error names both, soon."""
    provider = Provider(hourly(), faults=lambda _: fault)
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=HOUR, on_error="collect")
    assert await stream.to_list() == []
    assert len(stream.failures) == 24
    for number, error in enumerate(stream.failures):
        start = hour(number).start
        assert start is not None
        assert error.window == hour(number)
        assert f"{hour(number)}" in str(error)
        assert f"{Window(start, start + 2 * SECOND)}" in str(error)
        assert error.attempts == ATTEMPTS
        assert error.cause is not None
        assert error.__cause__ is error.cause
    assert stream.stats.requests == len(provider.requests) == 24 * 2 * ATTEMPTS
    assert stream.stats.splits == 0


# The smallest


@pytest.mark.parametrize("order", ORDERS)
async def test_two_seconds_are_the_smallest(make_client: MakeClient, order: Order) -> None:
    """Two seconds with too many calls are named, and none smaller is asked for."""
    crowd = [call(f"{DAY + 12 * HOUR + 7 * SECOND}") for _ in range(5)]
    provider = Provider([*hourly(), *crowd])
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=24 * HOUR, row_limit=4, order=order)
    with pytest.raises(WindowError, match="no smaller window") as caught:
        await stream.to_list()
    start = DAY + 12 * HOUR + 5 * SECOND
    assert caught.value.window == Window(start, start + 2 * SECOND)
    assert f"{caught.value.window}" in str(caught.value)
    assert isinstance(caught.value.cause, TooLargeError)
    assert caught.value.cause.limit == 4
    lengths = [window_of(received).length for received in provider.requests]
    assert min(lengths) == 2 * SECOND
    assert max(Counter(map(window_of, provider.requests)).values()) == 1


async def test_a_poisoned_second_is_found(make_client: MakeClient) -> None:
    """One second that the server cannot answer is the only one that is missing."""
    poisoned = DAY + 12 * HOUR + 7 * SECOND

    def faults(received: Received) -> Fault | None:
        window = window_of(received)
        assert window.start is not None
        assert window.end is not None
        return Fault.out_of_memory() if window.start < poisoned < window.end else None

    provider = Provider(hourly(), faults=faults)
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, on_error="collect")
    assert ids(await stream.to_list()) == ids_of(provider.select())
    (error,) = stream.failures
    assert error.window is not None
    assert error.window.start is not None
    assert error.window.end is not None
    assert error.window.start < poisoned < error.window.end
    assert error.window.length <= 4 * SECOND
    assert stream.coverage.failed == (error.window,)
    # Its neighbours touch, and what lies between them is missing all the same.
    assert 0.9999 < stream.stats.covered < 1.0
    assert len(provider.requests) < 200


async def test_halves_are_strictly_smaller(make_client: MakeClient) -> None:
    """Windows of any length come down to two seconds, each part smaller than its whole."""
    for seconds in (1, 2, 3, 5, 7, 61):
        provider = Provider([call(f"{DAY}")], faults=longer_than(2 * SECOND, Fault.out_of_memory()))
        stream = make_client(provider).cdrs(DAY, DAY + seconds * SECOND)
        batches = [batch async for batch in stream.batches()]
        assert tiles([batch.window for batch in batches], DAY, DAY + seconds * SECOND)
        count = max(1, seconds - 1)
        assert [batch.window.length for batch in batches] == [min(seconds, 2) * SECOND] * count
        assert stream.stats.splits == count - 1
        assert stream.stats.covered == 1.0


async def test_everything_at_once_is_too_much(make_client: MakeClient) -> None:
    """A request without dates cannot be halved: the error says to give dates."""
    provider = Provider(hourly())
    client = make_client(provider)
    with pytest.raises(WindowError, match="give datefrom and dateto") as caught:
        await client.cdrs(row_limit=24).to_list()
    assert isinstance(caught.value.cause, TooLargeError)
    assert caught.value.window == Window(None, None)
    assert len(provider.requests) == 1
    small = make_client(provider, max_response_bytes=1000)
    with pytest.raises(WindowError, match="give datefrom and dateto"):
        await small.cdrs().to_list()
    provider.faults = lambda _: Fault.out_of_memory()
    with pytest.raises(WindowError, match="give datefrom and dateto"):
        await client.cdrs().to_list()


# The place in the order, and the other windows


def third(received: Received) -> bool:
    """Tell whether a request asks for the first third of the day, or part of it."""
    end = window_of(received).end
    return end is not None and end <= DAY + 8 * HOUR


@pytest.mark.both_loops
async def test_halves_take_their_parents_place(make_client: MakeClient) -> None:
    """By time, the halves of the first window come before the others, however late they are."""
    gate = Gate(lambda received: third(received) and window_of(received).length < 8 * HOUR)
    provider = Provider(
        hourly(),
        gate=gate,
        faults=lambda received: (
            Fault.empty() if third(received) and window_of(received).length > 3 * HOUR else None
        ),
    )
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=8 * HOUR)
    reading = asyncio.create_task(read_all(stream.batches()))
    # The other windows are fetched while the first is still in parts.
    await settled(lambda: sum(not third(received) for received in provider.requests) == 2)
    gate.open()
    batches = await reading
    assert tiles([batch.window for batch in batches], DAY, NEXT_DAY)
    lengths = [batch.window.length for batch in batches]
    assert lengths == [2 * HOUR] + [2 * HOUR + SECOND] * 3 + [8 * HOUR + SECOND] * 2
    assert [cdr.uniqueid for batch in batches for cdr in batch.cdrs] == ids_of(provider.select())


@pytest.mark.both_loops
async def test_halves_stay_together_by_completion(make_client: MakeClient) -> None:
    """By completion, a window that was halved comes last if it was last, its parts in order."""
    gate = Gate(lambda received: third(received) and window_of(received).length < 8 * HOUR)
    provider = Provider(
        hourly(),
        gate=gate,
        faults=lambda received: (
            Fault.empty() if third(received) and window_of(received).length > 3 * HOUR else None
        ),
    )
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=8 * HOUR, order="completion")
    batches = stream.batches()
    found = [await anext(batches), await anext(batches)]
    gate.open()
    found += [batch async for batch in batches]
    assert sorted(f"{batch.window}" for batch in found[:2]) == [
        f"{hour(8, 8)}",
        f"{hour(16, 8)}",
    ]
    assert tiles([batch.window for batch in found[2:]], DAY, DAY + 8 * HOUR)
    assert len(found) == 6


async def read_all(batches: AsyncIterator[Batch]) -> list[Batch]:
    return [batch async for batch in batches]


async def test_the_deadline_is_the_parents(make_client: MakeClient) -> None:
    """The halves of a window have no more time than what it has left."""
    provider = Provider(hourly(), faults=longer_than(12 * HOUR, Fault.hang()))
    client = make_client(
        provider,
        timeout=60,
        retry=RetryPolicy(attempts=2, timeout=0.5, wait_initial=0, wait_jitter=0),
    )
    stream = client.cdrs(DAY, NEXT_DAY)
    with pytest.raises(WindowError) as caught:
        await stream.to_list()
    assert isinstance(caught.value.cause, AttemptTimeoutError)
    assert caught.value.window == Window(DAY, NEXT_DAY)
    assert len(provider.requests) == 1


# Any rows, any limit


class Case:
    """What is asked, and of whom."""

    def __init__(self, data: st.DataObject) -> None:
        night = data.draw(st.sampled_from(NIGHTS))
        begin, end = sorted(data.draw(st.tuples(*[st.integers(0, 15000)] * 2)))
        self.datefrom, self.dateto = (night + timedelta(seconds=at) for at in (begin, end))
        least = max(1, (end - begin) // 6)
        self.window = data.draw(st.none() | st.integers(least, max(least, 20000)))
        self.limit = data.draw(st.integers(1, 12))
        self.order = data.draw(st.sampled_from(ORDERS))
        self.rows = data.draw(ledgers(night))
        self.mode = data.draw(st.sampled_from(MODES))
        if self.mode.by == "overlap":
            self._end_within_the_crowd()

    def _end_within_the_crowd(self) -> None:
        """Let the range end soon after the calls that overlap reached the limit.

        Each such second fails on its own and is asked for on its own. Hours of them are ten
        thousand requests for one error, which on a busy machine take longer than a test may.
        """
        self.dateto = next(islice(self._crowded_seconds(), 60, None), self.dateto)

    def _crowded_seconds(self) -> Iterator[datetime]:
        """Give the seconds of the range in which as many calls go on as the limit, or more."""
        changes = Counter[datetime]()
        for row in self.rows:
            changes[datetime.fromisoformat(str(row["start"]))] += 1
            changes[datetime.fromisoformat(str(row["end"])) + SECOND] -= 1
        going_on = sum(change for moment, change in changes.items() if moment < self.datefrom)
        moment = self.datefrom
        while moment <= self.dateto:
            going_on += changes[moment]
            if going_on >= self.limit:
                yield moment
            moment += SECOND


def leg_of(cdr: CDR) -> Content:
    """Know a record by all but its cost, which is worked out later."""
    return content_of_cdr(cdr)[:-1]


@pytest.mark.slow
# Each example is dozens of requests.
@settings(max_examples=settings().max_examples // 4)
@given(data=st.data())
async def test_any_row_limit_gives_the_undivided_request(data: st.DataObject) -> None:
    """For any rows, limit, filter and order: what one request would give, or an error."""
    case = Case(data)
    provider = Provider(case.rows, filter_mode=case.mode, row_limit=case.limit)
    async with connected(provider) as client:
        stream = client.cdrs(
            case.datefrom,
            case.dateto,
            window=None if case.window is None else timedelta(seconds=case.window),
            order=case.order,
            row_limit=case.limit,
            unique_by=leg_of,
        )
        try:
            batches = [batch async for batch in stream.batches()]
        except WindowError as error:
            assert_is_smallest(error)
            return
        finally:
            for received in provider.requests:
                assert_repeated_hour_is_whole(received, case)
    provider.row_limit = None
    undivided = provider.select(f"{case.datefrom}", f"{case.dateto}")
    found = [leg_of(cdr) for batch in batches for cdr in batch.cdrs]
    expected = {content_of_row(row)[:-1] for row in undivided}
    assert Counter(found) == Counter(expected)
    windows = [batch.window for batch in batches]
    if case.order == "completion":
        windows.sort(key=lambda window: window.start or datetime.min)  # noqa: DTZ901
    assert tiles(windows, case.datefrom, case.dateto)
    assert stream.stats.requests == len(provider.requests)
    if case.window is not None:
        assert len(batches) == len(stream.plan()) + stream.stats.splits


REPEATED_HOUR = datetime(2024, 10, 27, 2), datetime(2024, 10, 27, 3)  # noqa: DTZ001 - the wall clock


def assert_is_smallest(error: WindowError) -> None:
    """Hold an error to naming a window that could be no smaller."""
    assert isinstance(error.cause, TooLargeError)
    window = error.window
    assert window is not None
    assert window.start is not None
    assert window.end is not None
    is_repeated_hour = REPEATED_HOUR[0] - SECOND <= window.start and window.end <= REPEATED_HOUR[1]
    assert window.length <= 2 * SECOND or is_repeated_hour


def assert_repeated_hour_is_whole(received: Received, case: Case) -> None:
    """Hold a request to no end within the repeated hour that is not the range's own."""
    window = window_of(received)
    assert window.start is not None
    assert window.end is not None
    # A window begins a second before the boundary that it shares with the one before it.
    for end in (window.start + SECOND, window.end):
        inside = REPEATED_HOUR[0] < end < REPEATED_HOUR[1]
        assert not inside or {window.start, window.end} & {case.datefrom, case.dateto}
        assert not inside or end in (case.datefrom + SECOND, case.dateto)


@pytest.mark.parametrize("window", [None, 40, 90])
async def test_the_repeated_hour_is_never_cut(make_client: MakeClient, window: int | None) -> None:
    """Halving goes around the hour that comes twice, down to the seconds beside it."""
    night = [call(f"2024-10-27 0{hour}:{minute:02}:00") for hour in range(5) for minute in (10, 40)]
    provider = Provider(night, filter_mode="overlap")
    stream = make_client(provider).cdrs(
        date(2024, 10, 27),
        date(2024, 10, 28),
        window=None if window is None else timedelta(minutes=window),
        row_limit=3,
    )
    assert ids(await stream.to_list()) == ids_of(night)
    begins = {f"{received.datefrom}"[11:] for received in provider.requests}
    ends = {f"{received.dateto}"[11:] for received in provider.requests}
    assert not {begin for begin in begins if "01:59:59" < begin < "02:59:59"}
    assert not {end for end in ends if "02:00:00" < end < "03:00:00"}
    assert {"02:00:00", "03:00:00"} & ends


async def test_too_much_in_the_repeated_hour(make_client: MakeClient) -> None:
    """The repeated hour is the smallest window there is of it, and is named."""
    night = [call(f"2024-10-27 02:{minute:02}:00") for minute in range(0, 60, 10)]
    stream = make_client(Provider(night)).cdrs(date(2024, 10, 27), date(2024, 10, 28), row_limit=6)
    with pytest.raises(WindowError, match="no smaller window") as caught:
        await stream.to_list()
    assert caught.value.window == Window(REPEATED_HOUR[0] - SECOND, REPEATED_HOUR[1])
