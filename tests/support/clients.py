"""Clients of a stand-in provider, where no fixture makes them: within one example of hypothesis."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs

from boxis_async import BoxisClient, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from boxis_async.testing import Provider

PROMPTLY = RetryPolicy(attempts=3, wait_initial=0, wait_max=0, wait_jitter=0)
"""Retries that wait for nothing."""

ONCE_MORE = attrs.evolve(PROMPTLY, attempts=2)
"""One retry, which waits for nothing."""


@asynccontextmanager
async def connected(
    provider: Provider,
    **settings: Any,  # noqa: ANN401 - whatever a client takes
) -> AsyncIterator[BoxisClient]:
    """Be a client of a provider, in process, whose retries wait for nothing."""
    settings = {"tenant": provider.tenant, "retry": PROMPTLY} | settings
    async with (
        provider.client() as http_client,
        BoxisClient(
            provider.username, provider.api_key, http_client=http_client, **settings
        ) as client,
    ):
        yield client
