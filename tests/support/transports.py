"""Transports of httpx that stand between a client and a provider, or in a provider's place."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx

from boxis_async.testing import InProcessTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from boxis_async.testing import Provider


class Recording(InProcessTransport):
    """Keeps the requests that pass by, on their way to a provider."""

    def __init__(self, provider: Provider) -> None:
        super().__init__(provider)
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return await super().handle_async_request(request)


@asynccontextmanager
async def answering(
    answer: Callable[[httpx.Request], httpx.Response],
) -> AsyncIterator[httpx.AsyncClient]:
    """Lend a client of httpx whose every request a function answers."""
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http_client:
        yield http_client
