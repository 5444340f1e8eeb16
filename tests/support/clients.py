"""Clients of a stand-in provider, where no fixture makes them: within one example of hypothesis."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs

from boxis_async import BoxisClient, Contract, RetryPolicy
from boxis_async.testing import DateRule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from boxis_async.testing import Provider

PROMPTLY = RetryPolicy(attempts=3, wait_initial=0, wait_max=0, wait_jitter=0)
"""Retries that wait for nothing."""

ONCE_MORE = attrs.evolve(PROMPTLY, attempts=2)
"""One retry, which waits for nothing."""


def known_rule(provider: Provider) -> Contract | None:
    """Give the contract by which a client knows the rule of a provider.

    A client that does not know it sends some requests more, to exclude that windows lose calls.
    """
    mode = provider.filter_mode
    if provider.ignore_dates:
        return None
    by = mode.by if isinstance(mode, DateRule) else mode.removesuffix("_half_open")
    return None if by == "within" else Contract(rule=by)


@asynccontextmanager
async def connected(
    provider: Provider,
    **settings: Any,  # noqa: ANN401 - whatever a client takes
) -> AsyncIterator[BoxisClient]:
    """Be a client of a provider, in process, whose retries wait for nothing."""
    settings = {
        "tenant": provider.tenant,
        "retry": PROMPTLY,
        "contract": known_rule(provider),
    } | settings
    async with (
        provider.client() as http_client,
        BoxisClient(
            provider.username, provider.api_key, http_client=http_client, **settings
        ) as client,
    ):
        yield client


def plainly(
    provider: Provider,
    **settings: Any,  # noqa: ANN401 - whatever a client takes
) -> AbstractAsyncContextManager[BoxisClient]:
    """Be a client in process as users make it: it retries as usual, and knows no contract."""
    return connected(provider, **({"retry": None, "contract": None} | settings))
