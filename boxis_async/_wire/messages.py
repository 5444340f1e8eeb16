"""What goes out and what comes back: plain values, so that each step can be tested by itself."""

from __future__ import annotations

import re
from typing import Any, Final

import attrs

__all__ = ["Answer", "Form", "Reply"]

_AUTHCODE: Final = re.compile(rb"(?:^|&)authcode=([^&]+)")


@attrs.frozen(eq=False)
class Form:
    """A signed request body, form-encoded. Its repr is empty, as the body holds an authcode."""

    body: bytes = attrs.field(repr=False)

    def conceal(self, text: str) -> str:
        """Replace the authcode in a text of others, which may show the request that it is about."""
        found = _AUTHCODE.search(self.body)
        return text if found is None else text.replace(found[1].decode("ascii"), "…")


@attrs.frozen(eq=False)
class Reply:
    """What came back over HTTP, whole and decompressed, not yet parsed."""

    status_code: int
    body: bytes = attrs.field(repr=False)
    retry_after: str | None = None
    """The `Retry-After` header as sent."""
    location: str | None = None
    """The `Location` header as sent."""
    compression: str = ""
    """How the body was compressed, as `Content-Encoding` names it; empty if it was not."""
    date: str | None = None
    """The `Date` header as sent: when the server answered, by its clock."""
    proxy: str = ""
    """The proxy that may have answered in the server's place, in words; empty if there is none."""


@attrs.frozen(eq=False)
class Answer:
    """What the API answered: its `params`, and the members beside them that it did not document.

    Some functions put their content beside `result` (page "SMS Get History").
    """

    params: Any
    beside: dict[str, Any]
    server_time: int | None = None
    """The server's clock when it answered, in Unix seconds; None if it does not say."""
