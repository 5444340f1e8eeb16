"""The names of what an argument may be, for those who annotate code of their own."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from boxis_async.models import CDR

__all__ = [
    "BadRecords",
    "Clip",
    "HTTPClient",
    "OnError",
    "Order",
    "Reached",
    "ReturnType",
    "UniqueBy",
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


@runtime_checkable
class HTTPClient(Protocol):
    """What may be lent as `http_client`: an `httpx.AsyncClient`, or what sends like one.

    It lends its connections, proxies and certificates. Requests come with their own headers, and
    without a time-out, as the library limits the time of a whole attempt.
    """

    @property
    def is_closed(self) -> bool:
        """Whether it is closed, and sends no more."""
        ...

    async def send(
        self,
        request: Any,  # noqa: ANN401 - an httpx.Request; only the transport knows httpx
        *,
        stream: bool,
        auth: None,
        follow_redirects: bool,
    ) -> Any:  # noqa: ANN401 - an httpx.Response
        """Send an `httpx.Request` and return the `httpx.Response`.

        Args:
            request: The request, whole: nothing is to be added to it.
            stream: Always true: the body is not to be read yet, since it may be too large.
            auth: Always None: the form carries its own signature.
            follow_redirects: Always false: a redirect must not carry the form elsewhere.
        """
        ...
