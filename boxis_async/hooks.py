"""What a program can watch: each request, reply, retry and window of a client.

Hooks are for logs, metrics and progress. They are plain functions, called on the event loop, and
cannot change what happens: an error in one is logged, and the request goes on.
"""

# No `from __future__ import annotations` here: the public classes say that they are from
# `boxis_async`, see its `__init__.py`, and annotations that are texts would be looked up there.

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

import attrs

from boxis_async.models import Window

__all__ = ["Hooks", "RequestEvent", "ResponseEvent", "RetryEvent", "WindowEvent", "notify"]

logger = logging.getLogger("boxis_async")

E = TypeVar("E")


@attrs.frozen(kw_only=True)
class RequestEvent:
    """A request is about to be sent."""

    section: str
    """The API's module, such as `voice`."""
    action: str
    """The module's function, such as `getCDR`."""
    window: Window | None
    """The window that it asks for; None for what `BoxisClient.call` sends."""
    attempt: int
    """1 for the first attempt."""


@attrs.frozen(kw_only=True)
class ResponseEvent(RequestEvent):
    """A request ended: with an answer of the API, or with an error.

    A request that is cancelled, as when its stream is closed, ends without one.
    """

    seconds: float
    """From sending to the last byte, or to the error."""
    status_code: int | None
    """The HTTP status; None if no reply came."""
    size: int | None
    """Bytes of the body, decompressed; None if no reply came."""
    records: int | None
    """Records of a window, or members of the content of another function; None if it failed."""
    error: Exception | None
    """Why it failed; None if it did not."""


@attrs.frozen(kw_only=True)
class RetryEvent(RequestEvent):
    """A request failed and will be sent again."""

    error: Exception
    """Why it failed."""


@attrs.frozen(kw_only=True)
class WindowEvent:
    """A window ended: with its records, or for good with an error."""

    tenant: str
    window: Window
    records: int | None
    """The records that the provider returned; None if it failed."""
    error: Exception | None
    """Why it failed; None if it did not."""


@attrs.frozen(kw_only=True)
class Hooks:
    """Functions that a `BoxisClient` calls; each may be None.

    They run on the event loop, so they must be short and must not block.
    """

    on_request: Callable[[RequestEvent], object] | None = None
    on_response: Callable[[ResponseEvent], object] | None = None
    on_retry: Callable[[RetryEvent], object] | None = None
    on_window: Callable[[WindowEvent], object] | None = None


def notify(hook: Callable[[E], object] | None, event: E) -> None:
    """Call a hook, if there is one; an error in it is logged and goes no further."""
    if hook is None:
        return
    try:
        hook(event)
    except (Exception, asyncio.CancelledError):
        # A function cannot be cancelled: it is an error of the hook's, and must not look like ours.
        logger.exception("a hook failed on %s", type(event).__name__)
