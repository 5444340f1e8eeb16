"""What a program can watch: each request, reply, retry and window of a client.

Hooks are for logs, metrics and progress. They are plain functions, called on the event loop, and
cannot change what happens: an error in one is logged, and the request goes on.

Those that begin with `around_` give a context manager, for traces: what is current within it, such
as a span, is current for what happens inside. It is entered and left in one task, which is never
the consumer's turn between two items.
"""

# No `from __future__ import annotations` here: the public classes say that they are from
# `boxis_async`, see its `__init__.py`, and annotations that are texts would be looked up there.

import asyncio
import logging
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

import attrs

from boxis_async.models import Window

__all__ = [
    "Hooks",
    "RequestEvent",
    "ResponseEvent",
    "RetryEvent",
    "StreamEvent",
    "WindowEvent",
    "around",
    "notify",
]

logger = logging.getLogger("boxis_async")

E = TypeVar("E")

_FAILED = "a hook failed on %s"


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
    tenant: str | None = None
    """The tenant that it names; None if it names none."""


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
class StreamEvent:
    """A stream begins to fetch."""

    tenant: str
    window: Window
    """The range that it fetches; of a range without an end, to now."""


@attrs.frozen(kw_only=True)
class WindowEvent:
    """A window ended: with its records, or for good with an error.

    For `around_window` it begins, and for `on_split` it is cut: then `records` is None.
    """

    tenant: str
    window: Window
    records: int | None
    """The records that the provider returned; None if it failed."""
    error: Exception | None
    """Why it failed, or is cut; None if it did not."""


@attrs.frozen(kw_only=True)
class Hooks:
    """Functions that a `BoxisClient` calls; each may be None.

    They run on the event loop, so they must be short and must not block.
    """

    on_request: Callable[[RequestEvent], object] | None = None
    on_response: Callable[[ResponseEvent], object] | None = None
    on_retry: Callable[[RetryEvent], object] | None = None
    on_window: Callable[[WindowEvent], object] | None = None
    on_split: Callable[[WindowEvent], object] | None = None
    """A window is cut in halves, each of which is then a window."""
    around_stream: Callable[[StreamEvent], AbstractContextManager[object]] | None = None
    """Left when all is fetched, or the stream was cut short; the consumer may still be reading."""
    around_window: Callable[[WindowEvent], AbstractContextManager[object]] | None = None
    """Around a window with all its attempts; around its halves, where it is cut, too."""
    around_request: Callable[[RequestEvent], AbstractContextManager[object]] | None = None
    """From the sending to the end of the reading of the answer."""


def notify(hook: Callable[[E], object] | None, event: E) -> None:
    """Call a hook, if there is one; an error in it is logged and goes no further."""
    if hook is None:
        return
    try:
        hook(event)
    except (Exception, asyncio.CancelledError):
        # A function cannot be cancelled: it is an error of the hook's, and must not look like ours.
        logger.exception(_FAILED, type(event).__name__)


@contextmanager
def around(hook: Callable[[E], AbstractContextManager[object]] | None, event: E) -> Generator[None]:
    """Be within the context manager of a hook, if there is one; it cannot change what happens."""
    entered = None if hook is None else _enter(hook, event)
    if entered is None:
        yield
        return
    try:
        yield
    except BaseException as error:
        _leave(entered, event, error)
        raise
    _leave(entered, event, None)


def _enter(
    hook: Callable[[E], AbstractContextManager[object]], event: E
) -> AbstractContextManager[object] | None:
    """Enter the context manager of a hook; None if it failed."""
    try:
        manager = hook(event)
        manager.__enter__()
    except (Exception, asyncio.CancelledError):
        logger.exception(_FAILED, type(event).__name__)
        return None
    return manager


def _leave(
    manager: AbstractContextManager[object], event: object, error: BaseException | None
) -> None:
    """Leave it with the error that was raised within it, if any.

    Not with `sys.exc_info()`: of a caller in an `except` block, that is the error there.
    """
    trace = None if error is None else error.__traceback__
    try:
        manager.__exit__(None if error is None else type(error), error, trace)
    except (Exception, asyncio.CancelledError):
        logger.exception(_FAILED, type(event).__name__)
