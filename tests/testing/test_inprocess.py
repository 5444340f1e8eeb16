"""The provider behind `httpx` without a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import httpx
import pytest
from signed_by_hand import form

from boxis_async.testing import Fault, InProcessTransport, Provider, client_for

if TYPE_CHECKING:
    from boxis_async.testing import Received


async def test_any_address() -> None:
    """The transport answers at any address, with a body in chunks."""
    rows = [{"uniqueid": str(number), "lastdata": "x" * 60} for number in range(1000)]
    provider = Provider(rows)
    async with (
        httpx.AsyncClient(transport=InProcessTransport(provider)) as client,
        client.stream("POST", "https://else.example/api/", data=form()) as response,
    ):
        chunks = [chunk async for chunk in response.aiter_raw()]
    assert len(chunks) > 3
    assert sum(map(len, chunks)) == int(response.headers["content-length"])
    assert provider.requests[0].accepted


@pytest.mark.parametrize(
    ("fault", "share"),
    [(Fault.cut(), 0.5), (Fault.cut(40), None), (Fault.cut(10**9), 1), (Fault.disconnect(), 0)],
)
async def test_broken_answers(fault: Fault, share: float | None) -> None:
    """A broken answer has good headers; reading its body yields what was sent, and then raises."""
    received = bytearray()

    async def read(response: httpx.Response) -> None:
        async for chunk in response.aiter_raw():
            received.extend(chunk)

    async with (
        client_for(Provider(faults=[fault])) as client,
        client.stream("POST", "/", data=form()) as response,
    ):
        assert response.status_code == 200
        announced = int(response.headers["content-length"])
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete") as caught:
            await read(response)
        assert caught.value.request.method == "POST"
    if share is None:
        assert len(received) == 40
    else:
        assert len(received) == min(int(announced * share), announced - 1)


async def test_hang_ends_with_the_caller() -> None:
    """A request that hangs is in flight until its caller cancels it."""
    arrived = anyio.Event()

    def hang(_: Received) -> Fault:
        arrived.set()
        return Fault.hang()

    provider = Provider(faults=hang)
    async with client_for(provider) as client, anyio.create_task_group() as group:
        group.start_soon(lambda: client.post("/", data=form()))
        await arrived.wait()
        assert provider.in_flight == 1
        group.cancel_scope.cancel()
    assert provider.in_flight == 0


async def test_waiting_request_ends_with_the_caller() -> None:
    """A request that waits at a gate ends with its caller, too."""
    arrived = anyio.Event()

    async def gate(_: Received) -> None:
        arrived.set()
        await anyio.sleep_forever()

    provider = Provider(gate=gate)
    async with client_for(provider) as client, anyio.create_task_group() as group:
        group.start_soon(lambda: client.post("/", data=form()))
        await arrived.wait()
        group.cancel_scope.cancel()
    assert provider.in_flight == 0


def test_repr() -> None:
    """The transport shows its provider."""
    shown = repr(InProcessTransport(Provider()))
    assert shown == "<InProcessTransport(<Provider(rows=0, requests=0)>)>"
