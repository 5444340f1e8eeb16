"""What happens to a window that fails for good: it is raised, or collected, and never forgotten."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import TYPE_CHECKING

import pytest
from calls import DAY, HOUR, NEXT_DAY, SECOND, call, hour, hourly, ids, ids_of
from choices import ORDERS
from consumers import take_into
from faults import REFUSED, failing_at
from waiting import Gate, settled

from boxis_async import (
    BoxisError,
    RecordError,
    RefusedError,
    StatusError,
    StreamClosedError,
    TooLargeError,
    UsageError,
    Window,
    WindowError,
)
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from conftest import MakeClient

    from boxis_async import CDR, Batch, BoxisClient, CDRStream
    from boxis_async.testing import Received
    from boxis_async.types import Order

pytestmark = pytest.mark.both_loops


@pytest.fixture
def stream(client: BoxisClient) -> CDRStream:
    """Ask for the day, an hour at a time: a call each."""
    return client.cdrs(DAY, NEXT_DAY, window=HOUR)


@pytest.fixture
def collecting(client: BoxisClient) -> CDRStream:
    """Ask for the same, and go on after a failure."""
    return client.cdrs(DAY, NEXT_DAY, window=HOUR, on_error="collect")


# Raised


@pytest.mark.parametrize("number", [0, 5, 23])
async def test_what_came_before_is_handed_over(
    provider: Provider, stream: CDRStream, number: int
) -> None:
    """By time, all windows before the one that failed come first, then its error, then no more."""
    provider.faults = failing_at(number)
    found: list[CDR] = []
    with pytest.raises(WindowError) as caught:
        await take_into(found, stream)
    assert ids(found) == ids_of(provider.select())[:number]
    error = caught.value
    assert (error.window, error.tenant, error.attempts) == (hour(number), provider.tenant, 1)
    assert isinstance(error.cause, RefusedError)
    assert error.__cause__ is error.cause
    assert str(hour(number)) in str(error)
    assert stream.failures == (error,)
    assert stream.stats.failures == 1
    assert stream.stats.records == stream.stats.windows == number
    assert stream.coverage.failed == (hour(number),)
    assert stream.coverage.sealed == ((hour(0, number),) if number else ())
    with pytest.raises(StreamClosedError):
        await anext(stream)


async def test_by_completion_what_had_arrived_is_handed_over(make_client: MakeClient) -> None:
    """By completion, what arrived before the failure comes first, then its error."""
    gate = Gate(lambda received: received.datefrom == f"{hour(5).start}")
    provider = Provider(hourly(), gate=gate, faults=failing_at(5))
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=HOUR, order="completion")
    batches = stream.batches()
    found = [await anext(batches) for _ in range(23)]
    gate.open()
    with pytest.raises(WindowError) as caught:
        await anext(batches)
    assert caught.value.window == hour(5)
    assert len({cdr.uniqueid for batch in found for cdr in batch.cdrs}) == 23
    assert stream.coverage.sealed == (hour(0, 5), hour(6, 18))


@pytest.mark.parametrize("order", ORDERS)
async def test_earlier_halves_are_handed_over(make_client: MakeClient, order: Order) -> None:
    """Of a window that was halved, the parts before the one that failed come first."""

    def faults(received: Received) -> Fault | None:
        if received.datefrom == f"{DAY}" and received.dateto == f"{NEXT_DAY}":
            return Fault.empty()
        return REFUSED if received.datefrom == f"{DAY + 18 * HOUR - SECOND}" else None

    provider = Provider(hourly(calls=2), faults=faults)
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=24 * HOUR, order=order, row_limit=20)
    found: list[CDR] = []
    with pytest.raises(WindowError) as caught:
        await take_into(found, stream)
    assert caught.value.window == hour(18, 6)
    assert ids(found) == ids_of(provider.select())[: 2 * 18]
    assert stream.coverage.sealed == (hour(0, 18),)
    assert stream.coverage.failed == (hour(18, 6),)
    assert stream.stats.windows == 3


@pytest.mark.parametrize("order", ORDERS)
async def test_never_a_group(make_client: MakeClient, order: Order) -> None:
    """However many windows fail at once, what is raised is one error of one window."""
    gate = Gate()
    provider = Provider(hourly(), gate=gate, faults=lambda _: REFUSED)
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=HOUR, order=order)
    reading = asyncio.create_task(stream.to_list())
    await settled(lambda: gate.held == 8)
    gate.open()
    with pytest.raises(WindowError) as caught:
        await reading
    error: BaseException | None = caught.value
    while error is not None:
        assert isinstance(error, BoxisError)
        error = error.__cause__ or error.__context__
    assert len(stream.failures) == 1


async def test_both_halves_fail(make_client: MakeClient) -> None:
    """When both halves of a window fail, the first in order is the error."""
    provider = Provider(hourly(), row_limit=20, faults=lambda _: None)
    provider.faults = lambda received: (
        None if received.datefrom == f"{DAY}" and received.dateto == f"{NEXT_DAY}" else REFUSED
    )
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=24 * HOUR, row_limit=20)
    with pytest.raises(WindowError) as caught:
        await stream.to_list()
    assert caught.value.window == hour(0, 12)


# Collected


@pytest.mark.parametrize("order", ORDERS)
async def test_a_collecting_stream_goes_on(make_client: MakeClient, order: Order) -> None:
    """All that can be had comes, and what cannot is listed."""
    provider = Provider(hourly(), faults=failing_at(0, 5, 6, 23))
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=HOUR, on_error="collect", order=order)
    found = [cdr async for cdr in stream]
    missing = {0, 5, 6, 23}
    expected = [row for at, row in enumerate(provider.select()) if at not in missing]
    assert sorted(ids(found)) == sorted(ids_of(expected))
    if order == "time":
        assert ids(found) == ids_of(expected)
    failures = sorted(stream.failures, key=lambda error: f"{error.window}")
    assert [error.window for error in failures] == [hour(at) for at in sorted(missing)]
    assert all(isinstance(error.cause, RefusedError) for error in failures)
    assert stream.stats.failures == 4
    assert stream.stats.windows == 20
    # Of two hours that failed, the hours after them have a second each.
    assert stream.stats.covered == (20 * HOUR + 2 * SECOND) / (24 * HOUR)
    assert stream.coverage.failed == (hour(0), hour(5, 2), hour(23))
    assert stream.coverage.sealed == (hour(1, 4), hour(7, 16))


async def test_failures_are_listed_as_they_are_passed(
    provider: Provider, collecting: CDRStream
) -> None:
    """A failure is listed once the consumer has come past it."""
    provider.faults = failing_at(2, 4)
    listed = [len(collecting.failures) async for _ in collecting]
    assert listed == [0, 0, 1, *[2] * 19]
    assert len(collecting.failures) == 2


async def test_everything_fails(provider: Provider, collecting: CDRStream) -> None:
    """A stream of which nothing could be had ends, empty, with each window listed."""
    provider.faults = lambda _: REFUSED
    assert await collecting.to_list() == []
    assert [error.window for error in collecting.failures] == [hour(at) for at in range(24)]
    assert collecting.coverage.failed == (hour(0, 24),)
    assert collecting.coverage.sealed == ()
    assert collecting.stats.covered == 0.0


async def test_collecting_parts_of_a_window(make_client: MakeClient) -> None:
    """Of a window that was halved, the parts that could be had come, and the others are listed."""
    provider = Provider(hourly(), faults=failing_at(6, 12), row_limit=20)
    stream = make_client(provider).cdrs(
        DAY, NEXT_DAY, window=24 * HOUR, on_error="collect", row_limit=7
    )
    batches: list[Batch] = [batch async for batch in stream.batches()]
    assert [batch.window for batch in batches] == [hour(0, 6)]
    assert [error.window for error in stream.failures] == [hour(6, 6), hour(12, 12)]


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (REFUSED, RefusedError),
        (Fault.status(404), StatusError),
        (Fault.status(503), StatusError),
        (Fault.garbage(b'{"result":1,"params":{"cdr":{"call_1":"x"}}}'), RecordError),
    ],
    ids=["refused", "404", "503", "record"],
)
async def test_every_kind_is_collected(
    provider: Provider, collecting: CDRStream, fault: Fault, cause: type[Exception]
) -> None:
    """Whatever made a window fail, the others still come."""
    provider.faults = failing_at(3, fault=fault)
    assert len(await collecting.to_list()) == 23
    (error,) = collecting.failures
    assert isinstance(error.cause, cause)
    assert error.window == hour(3)


async def test_a_users_own_error_is_not_collected(client: BoxisClient) -> None:
    """An error of the user's key function is no failure of a window: it is raised."""

    def key(cdr: CDR) -> str:
        raise ZeroDivisionError(cdr.uniqueid)

    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR, on_error="collect", unique_by=key)
    with pytest.raises(ZeroDivisionError):
        await anext(stream)
    with pytest.raises(StreamClosedError):
        await anext(stream)
    assert stream.failures == ()


async def test_a_new_run_lists_its_own(provider: Provider, collecting: CDRStream) -> None:
    """A further run begins with no failures."""
    provider.faults = failing_at(3)
    assert len(await collecting.to_list()) == 23
    assert len(collecting.failures) == 1
    provider.faults = lambda _: None
    again = collecting.again()
    assert len(await again.to_list()) == 24
    assert again.failures == ()
    assert again.stats.failures == 0
    assert again.coverage.failed == ()


async def test_too_large_is_collected(make_client: MakeClient) -> None:
    """A second with too many calls is listed, and the rest of the day comes."""
    moment = DAY + 12 * HOUR + 7 * SECOND
    provider = Provider([*hourly(), *(call(f"{moment}") for _ in range(5))])
    stream = make_client(provider).cdrs(
        DAY, NEXT_DAY, window=24 * HOUR, row_limit=4, on_error="collect"
    )
    assert sorted(ids(await stream.to_list())) == sorted(ids_of(provider.select()[:24]))
    # All that have it, within them or at an end.
    assert [error.window for error in stream.failures] == [
        Window(moment + (at - 1) * SECOND, moment + (at + 1) * SECOND) for at in (-1, 0, 1)
    ]
    assert all(isinstance(error.cause, TooLargeError) for error in stream.failures)
    assert stream.coverage.failed == (Window(moment - 2 * SECOND, moment + 2 * SECOND),)


# Failures that nobody reads


def unread(caplog: pytest.LogCaptureFixture) -> list[str]:
    """List the warnings about failures left unread."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "boxis_async" and record.levelno == logging.WARNING
    ]


@pytest.fixture
def broken(provider: Provider) -> Provider:
    """Let two windows fail."""
    provider.faults = failing_at(3, 7)
    return provider


@pytest.mark.usefixtures("broken")
async def test_unread_when_closed(collecting: CDRStream, caplog: pytest.LogCaptureFixture) -> None:
    """Closing a stream whose failures nobody read is told, once, with the windows."""
    async with collecting:
        assert len([cdr async for cdr in collecting]) == 22
        assert unread(caplog) == []
    (message,) = unread(caplog)
    assert "2 windows" in message
    assert f"{hour(3)}" in message
    assert f"{hour(7)}" in message
    await collecting.aclose()
    del collecting
    gc.collect()
    assert len(unread(caplog)) == 1


@pytest.mark.usefixtures("broken")
async def test_unread_when_dropped(client: BoxisClient, caplog: pytest.LogCaptureFixture) -> None:
    """Dropping such a stream is told too."""
    found = await client.cdrs(DAY, NEXT_DAY, window=HOUR, on_error="collect").to_list()
    assert len(found) == 22
    gc.collect()
    (message,) = unread(caplog)
    assert "2 windows" in message


@pytest.mark.usefixtures("broken")
async def test_unread_when_left_in_the_middle(
    client: BoxisClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A stream that is left after a failure tells of it as well."""
    async for cdr in client.cdrs(DAY, NEXT_DAY, window=HOUR, on_error="collect"):
        if cdr.start.hour == 5:
            break
    gc.collect()
    (message,) = unread(caplog)
    assert f"{hour(3)}" in message
    assert f"{hour(7)}" not in message


@pytest.mark.usefixtures("broken")
async def test_unread_of_each_stream(
    collecting: CDRStream, caplog: pytest.LogCaptureFixture
) -> None:
    """A new stream of the same query does not forget the failures of the one before."""
    await collecting.to_list()
    assert unread(caplog) == []
    again = collecting.again()
    await again.to_list()
    assert len(again.failures) == 2
    await again.aclose()
    assert unread(caplog) == []
    await collecting.aclose()
    assert len(unread(caplog)) == 1


@pytest.mark.usefixtures("broken")
async def test_failures_that_were_read_are_not_told(
    collecting: CDRStream, caplog: pytest.LogCaptureFixture
) -> None:
    """Who has read the failures is not told of them, by no way of leaving."""
    async with collecting:
        await collecting.to_list()
        assert len(collecting.failures) == 2
    await collecting.aclose()
    del collecting
    gc.collect()
    assert unread(caplog) == []


@pytest.mark.usefixtures("broken")
async def test_failures_after_the_last_look_are_told(
    collecting: CDRStream, caplog: pytest.LogCaptureFixture
) -> None:
    """Reading the failures half way through does not silence those that follow."""
    async for cdr in collecting:
        if cdr.start.hour == 5:
            assert len(collecting.failures) == 1
    await collecting.aclose()
    assert len(unread(caplog)) == 1


async def test_no_failures_no_warning(
    collecting: CDRStream, caplog: pytest.LogCaptureFixture
) -> None:
    """A stream without failures is left in silence."""
    async with collecting:
        assert len(await collecting.to_list()) == 24
    del collecting
    gc.collect()
    assert unread(caplog) == []


@pytest.mark.usefixtures("broken")
async def test_raised_failures_are_not_told_again(
    stream: CDRStream, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that was raised was seen."""
    with pytest.raises(WindowError):
        await stream.to_list()
    await stream.aclose()
    del stream
    gc.collect()
    assert unread(caplog) == []


def test_on_error_is_checked(client: BoxisClient) -> None:
    """There are two ways to go, and a third is refused."""
    with pytest.raises(UsageError, match="on_error"):
        client.cdrs(DAY, NEXT_DAY, on_error="ignore")  # type: ignore[arg-type]
