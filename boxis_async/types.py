"""The names of what an argument may be, for those who annotate code of their own."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from boxis_async.models import CDR

__all__ = [
    "BadRecords",
    "Clip",
    "HTTPClient",
    "Limiter",
    "OnError",
    "Order",
    "Reached",
    "ReturnType",
    "UniqueBy",
    "WatchCertainty",
]

Order: TypeAlias = Literal["time", "completion"]
"""In which order a stream hands over its windows."""

UniqueBy: TypeAlias = Literal["uniqueid", "leg"] | Callable[[CDR], Hashable]
"""What makes records the same."""

Clip: TypeAlias = Literal["start"] | None
"""Which records are left out at the ends of a range."""

OnError: TypeAlias = Literal["raise", "collect"]
"""What a stream does about a window that failed for good."""

BadRecords: TypeAlias = Literal["raise", "collect"]
"""What a stream does about a record that cannot be read."""

ReturnType: TypeAlias = Literal["json", "xml"]
"""The form of the provider's answers."""


Reached: TypeAlias = Literal["nobody", "voicemail", "machine", "hop", "person"]
"""Whom a leg reached; a hop goes on to another leg, which says."""

WatchCertainty: TypeAlias = Literal["probably", "surely"]
"""How sure it is that a call is over."""


@runtime_checkable
class HTTPClient(Protocol):
    """What may be lent as `http_client`: a client of httpx or httpx2, or what sends like httpx's.

    It lends its connections, proxies and certificates. Requests come with their own headers, and
    without a time-out, as the library limits the time of a whole attempt.
    """

    @property
    def is_closed(self) -> bool:
        """Whether it is closed, and sends no more."""
        ...

    async def send(
        self,
        request: Any,  # noqa: ANN401 - a request of its library; one module knows httpx
        *,
        stream: bool,
        auth: None,
        follow_redirects: bool,
    ) -> Any:  # noqa: ANN401 - a response of its library
        """Send an `httpx.Request` and return the `httpx.Response`; of httpx2 likewise.

        Args:
            request: The request, whole: nothing is to be added to it.
            stream: Always true: the body is not to be read yet, since it may be too large.
            auth: Always None: the form carries its own signature.
            follow_redirects: Always false: a redirect must not carry the form elsewhere.
        """
        ...


@runtime_checkable
class Limiter(Protocol):
    """What may be given as `limiter`: it says when each request of a client may be sent.

    So one limit can hold for several clients, in several processes. The client's own `max_rate` and
    `concurrency` apply as well. All methods are called on the client's event loop.
    """

    async def acquire(self) -> None:
        """Wait until one request may be sent.

        The client sends it as soon as this returns, and then calls `release` once, however the
        request ends. A wait that is cancelled, or that raises, has acquired nothing. What it raises
        ends the stream, as the cause of its error.
        """
        ...

    def release(self) -> None:
        """Note that a request has ended: its answer is there, or none will come."""
        ...

    def slow_down(self, seconds: float) -> None:
        """Note that the provider wants no request for so long: after a 429, or `Retry-After`."""
        ...
