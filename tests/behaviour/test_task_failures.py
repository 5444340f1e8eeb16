"""What ends a stream's task is reported as what it is, and never as a cancellation or an end."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from calls import DAY, HOUR, NEXT_DAY, hourly, ids, ids_of
from clients import PROMPTLY
from transports import Recording

from boxis_async import (
    BoxisClient,
    BoxisError,
    Hooks,
    RefusedError,
    StreamClosedError,
    WindowError,
)
from boxis_async._run.adaptive_windows import AdaptiveWindows
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from conftest import MakeClient

pytestmark = pytest.mark.both_loops


class Failing(Recording):
    """Raises an error of some kind in the place of chosen answers."""

    def __init__(self, provider: Provider, error: type[BaseException], begin: str) -> None:
        super().__init__(provider)
        self._error = error
        self._begin = begin

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._begin.encode() in request.content:
            await asyncio.sleep(0)
            raise self._error("from the transport")
        return await super().handle_async_request(request)


KINDS = [
    asyncio.CancelledError,
    ValueError,
    KeyError,
    TimeoutError,
    RecursionError,
    StopAsyncIteration,
]


@pytest.mark.parametrize("error", KINDS)
@pytest.mark.parametrize("order", ["time", "completion"])
async def test_a_transport_that_raises(error: type[BaseException], order: Any) -> None:  # noqa: ANN401
    """A lent transport's own error, a cancellation too, fails the window and names itself."""
    provider = Provider(hourly())
    transport = Failing(provider, error, "05+04%3A59%3A59")
    async with (
        httpx.AsyncClient(transport=transport) as http_client,
        BoxisClient(
            provider.username, provider.api_key, tenant=provider.tenant, http_client=http_client,
            retry=PROMPTLY,
        ) as client,
    ):  # fmt: skip
        stream = client.cdrs(DAY, NEXT_DAY, window=HOUR, order=order)
        with pytest.raises(WindowError, match=error.__name__):
            await stream.to_list()
        stream = client.cdrs(DAY, NEXT_DAY, window=HOUR, order=order, on_error="collect")
        assert len(await stream.to_list()) == 23
        (failure,) = stream.failures
        assert error.__name__ in str(failure)
        assert stream.stats.covered < 1


@pytest.mark.parametrize("half", ["00%3A00%3A00", "11%3A59%3A59"], ids=["first", "second"])
async def test_a_half_that_is_cancelled(half: str) -> None:
    """Of a window in halves, one whose transport is cancelled is not taken for an empty one."""
    provider = Provider(hourly())
    provider.faults = lambda received: (
        Fault.status(500)
        if (received.datefrom, received.dateto) == (f"{DAY}", f"{NEXT_DAY}")
        else None
    )
    end = "2024-03-05+12%3A00%3A00" if half.startswith("00") else "2024-03-06"
    transport = Failing(
        provider, asyncio.CancelledError, f"datefrom=2024-03-05+{half}&dateto={end}"
    )
    async with (
        httpx.AsyncClient(transport=transport) as http_client,
        BoxisClient(
            provider.username, provider.api_key, tenant=provider.tenant, http_client=http_client,
            retry=PROMPTLY,
        ) as client,
    ):  # fmt: skip
        stream = client.cdrs(DAY, NEXT_DAY, window=timedelta(days=1))
        with pytest.raises(WindowError, match="CancelledError"):
            await stream.to_list()
        assert stream.stats.splits == 1


@pytest.mark.parametrize("hook", ["on_request", "on_response", "on_retry", "on_window"])
@pytest.mark.parametrize("error", [asyncio.CancelledError, ValueError])
async def test_a_hook_that_raises(
    make_client: MakeClient,
    caplog: pytest.LogCaptureFixture,
    hook: str,
    error: type[BaseException],
) -> None:
    """A hook's error is logged, also where it looks like a cancellation; nothing is lost."""

    def fail(_: object) -> None:
        raise error("from the hook")

    provider = Provider(hourly(), faults=[Fault.status(500)])
    client = make_client(provider, hooks=Hooks(**{hook: fail}))
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    assert ids(await stream.to_list()) == ids_of(provider.select())
    assert "a hook failed" in caplog.text


async def test_windows_that_cannot_be_chosen(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error outside of every window names itself, and has its cause, without a group."""

    def fail(*_: object, **__: object) -> None:
        raise AttributeError("no attribute '_to_microseconds'")

    monkeypatch.setattr(AdaptiveWindows, "next", fail)
    provider = Provider(hourly())
    with pytest.raises(BoxisError, match="unexpected AttributeError: no attribute") as caught:
        await make_client(provider).cdrs(DAY, NEXT_DAY).to_list()
    assert isinstance(caught.value.__cause__, AttributeError)
    assert provider.requests == []


async def test_a_task_that_was_cancelled_is_reported_so(make_client: MakeClient) -> None:
    """A cancellation of the stream's own task is still called one."""
    stream = make_client(Provider(hourly())).cdrs(DAY, NEXT_DAY, window=HOUR)
    await anext(stream)
    for task in asyncio.all_tasks():
        if task.get_name() == "boxis_async prefetch":
            task.cancel()
    with pytest.raises((StreamClosedError, RefusedError), match="task was cancelled"):
        await stream.to_list()
