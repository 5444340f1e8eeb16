"""The names of what an argument may be, for those who annotate code of their own."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Literal, Protocol, TypeAlias

from boxis_async.models import CDR

__all__ = ["Clip", "HTTPClient", "OnError", "Order", "ReturnType", "UniqueBy"]

Order: TypeAlias = Literal["time", "completion"]
"""In which order a stream hands over its windows."""

UniqueBy: TypeAlias = Literal["uniqueid", "leg"] | Callable[[CDR], Hashable]
"""What makes records the same."""

Clip: TypeAlias = Literal["start"] | None
"""Which records are left out at the ends of a range."""

OnError: TypeAlias = Literal["raise", "collect"]
"""What a stream does about a window that failed for good."""

ReturnType: TypeAlias = Literal["json", "xml"]
"""The form of the provider's answers."""


class HTTPClient(Protocol):
    """What an `http_client` must be: an `httpx.AsyncClient`, or a child of it."""

    @property
    def is_closed(self) -> bool:
        """Whether it can send no longer."""
        ...

    async def send(
        self,
        request: Any,  # noqa: ANN401 - each library has its own
        *,
        stream: bool,
        auth: None,
        follow_redirects: bool,
    ) -> Any:  # noqa: ANN401 - likewise
        """Send a request, and return the response."""
        ...
