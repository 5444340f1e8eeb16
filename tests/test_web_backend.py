"""A web backend that streams a tenant's calls: FastAPI, over real sockets on both sides."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import httpx
import pytest
import uvicorn
from calls import DAY, HOUR, NEXT_DAY, hourly
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from waiting import Gate, settled

from boxis_async import BoxisClient
from boxis_async.testing import LoopbackServer, Provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class Server(uvicorn.Server):
    """A server that leaves the signals to the tests."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@contextlib.asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """Serve an application on this event loop, on a port that the system gives out."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, lifespan="on", timeout_graceful_shutdown=5)
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


def backend(client: BoxisClient) -> FastAPI:
    """Make a backend with one route, which streams the calls of a day as lines."""
    app = FastAPI()

    @app.get("/calls")
    async def calls() -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            async for cdr in client.cdrs(DAY, NEXT_DAY, window=HOUR):
                yield f"{cdr.uniqueid}\n"

        return StreamingResponse(lines(), media_type="text/plain")

    return app


@pytest.mark.both_loops
async def test_a_reader_that_leaves(server: LoopbackServer) -> None:
    """A reader that leaves half-way leaves nothing behind, and the next one gets everything."""
    gate = Gate(lambda received: str(received.datefrom) >= f"{DAY + 3 * HOUR}")
    provider = Provider(hourly(), gate=gate)
    async with (
        BoxisClient(
            provider.username,
            provider.api_key,
            tenant=provider.tenant,
            base_url=server.mount(provider),
        ) as client,
        serving(backend(client)) as url,
        httpx.AsyncClient(base_url=url) as reader,
    ):
        async with reader.stream("GET", "/calls") as response:
            lines = response.aiter_lines()
            first = await anext(lines)
            await settled(lambda: provider.in_flight > 0)
        await settled(lambda: provider.in_flight == 0)
        provider.gate = None
        whole = (await reader.get("/calls")).text.splitlines()
    server.unmount(provider)
    assert whole == [row["uniqueid"] for row in provider.select()]
    assert first == whole[0]
