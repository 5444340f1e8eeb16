"""Streams that nobody refers to: kept for as long as an item is awaited, and no longer."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING, TypeAlias

import pytest
from calls import DAY, HOUR, NEXT_DAY, hourly
from waiting import Gate, settled

from boxis_async import CDR, Batch, BatchStream, CDRStream, WindowError
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from conftest import MakeClient

    from boxis_async import BoxisClient

pytestmark = pytest.mark.both_loops

Items: TypeAlias = CDRStream | BatchStream
WAYS: dict[str, Callable[[CDRStream], Items]] = {
    "records": lambda stream: stream,
    "batches": CDRStream.batches,
}
by_both = pytest.mark.parametrize("items", WAYS.values(), ids=WAYS)


@pytest.fixture
def _no_collector() -> Iterator[None]:
    """Leave it to the references alone when something is freed."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def stream_of(client: BoxisClient) -> CDRStream:
    return client.cdrs(DAY, NEXT_DAY, window=HOUR)


def hour_of(item: CDR | Batch) -> int:
    cdr = item.cdrs[0] if isinstance(item, Batch) else item
    return cdr.start.hour


async def error_of(awaitable: Awaitable[object]) -> BaseException | None:
    """Await something that raises, and keep the error with its traceback."""
    try:
        await awaitable
    except BaseException as error:  # noqa: BLE001 - a cancellation too
        return error
    return None


def is_idle() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}


@by_both
@pytest.mark.usefixtures("_no_collector")
async def test_the_first_item_alone(
    make_client: MakeClient, items: Callable[[CDRStream], Items]
) -> None:
    """Whoever takes one item of a stream and keeps nothing has it, and nothing is left at work."""
    # One at a time: four windows are fetched ahead, and the stream is far from its end.
    client = make_client(Provider(hourly()), concurrency=1)
    assert hour_of(await anext(items(stream_of(client)))) == 0
    await settled(is_idle)


@by_both
@pytest.mark.usefixtures("_no_collector")
async def test_dropped_while_an_item_is_awaited(
    make_client: MakeClient, items: Callable[[CDRStream], Items]
) -> None:
    """An item that is awaited comes, though all else of its stream was dropped in the meantime."""
    gate = Gate(lambda received: (received.datefrom or "") > f"{DAY}")
    provider = Provider(hourly(), gate=gate)
    stream = items(stream_of(make_client(provider, concurrency=1)))
    assert hour_of(await anext(stream)) == 0
    awaited = asyncio.ensure_future(anext(stream))
    await settled(lambda: gate.held == 1)
    del stream
    gate.open()
    assert hour_of(await awaited) == 1
    del awaited
    await settled(is_idle)


@by_both
@pytest.mark.parametrize("how", ["failed", "cancelled"])
@pytest.mark.usefixtures("_no_collector")
async def test_an_error_that_is_kept_keeps_no_stream(
    make_client: MakeClient, items: Callable[[CDRStream], Items], how: str
) -> None:
    """A stream is freed once its item is given up, however long the error is kept."""
    gate = Gate()
    provider = Provider(faults=lambda _: Fault.status(404), gate=gate)
    stream = stream_of(make_client(provider))
    freed = weakref.ref(stream)
    failing = asyncio.ensure_future(error_of(anext(items(stream))))
    await settled(lambda: gate.held == 8)
    del stream
    assert freed() is not None
    if how == "failed":
        gate.open()
    else:
        failing.cancel()
    error = await failing
    assert isinstance(error, WindowError if how == "failed" else asyncio.CancelledError)
    assert error.__traceback__ is not None
    assert freed() is None
    await settled(is_idle)
