"""The messages between an HTTP server and an ASGI application that the stand-in needs."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from attrs import evolve, frozen

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

# PHP's default content type, whatever the script prints.
HTML_HEADERS = (("content-type", "text/html; charset=UTF-8"),)
_GZIP_LEVEL = 6  # what web servers use unless they are set otherwise


@frozen
class Response:
    """An HTTP response, whole or broken off.

    Attributes:
        body: The whole body, which `content-length` announces.
        status: The HTTP status.
        headers: The headers, without `content-length`.
        sent_bytes: After how many bytes of the body the connection closes; None: the body is sent
            whole.
    """

    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = HTML_HEADERS
    sent_bytes: int | None = None


def accepts_gzip(accept_encoding: str) -> bool:
    """Report whether an `Accept-Encoding` header allows gzip (RFC 9110, section 12.5.3)."""
    weights: dict[str, str] = {}
    for entry in accept_encoding.lower().split(","):
        coding, _, weight = entry.partition(";")
        weights[coding.strip()] = weight.replace(" ", "").removeprefix("q=")
    weight = weights.get("gzip", weights.get("*", "0"))
    # Zero, in whichever of its spellings, means: not this one.
    return bool(weight.strip("0.")) or not weight


def compressed(response: Response) -> Response:
    """Return a response with its body compressed by gzip, the same bytes for the same body."""
    body = gzip.compress(response.body, compresslevel=_GZIP_LEVEL, mtime=0)
    headers = (("content-encoding", "gzip"), ("vary", "accept-encoding"))
    return evolve(response, body=body, headers=(*response.headers, *headers))


async def answer_lifespan(receive: Receive, send: Send) -> None:
    """Confirm the server's start-up and shutdown messages."""
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def read_body(receive: Receive) -> bytes | None:
    """Return a request's whole body; None when the client disconnected before its end."""
    chunks: list[bytes] = []
    while (message := await receive())["type"] == "http.request":
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)
    return None


async def wait_for_disconnect(receive: Receive) -> None:
    """Return once the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        continue


async def send_response(response: Response, send: Send) -> None:
    """Send a response, or the part of it that `sent_bytes` allows."""
    headers = [(name.encode(), value.encode("latin-1")) for name, value in response.headers]
    headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if response.sent_bytes is None:
        await send({"type": "http.response.body", "body": response.body})
    elif response.sent_bytes:
        # ASGI has no message for a broken answer. An application that returns before the body is
        # complete makes the server close the connection.
        part = response.body[: response.sent_bytes]
        await send({"type": "http.response.body", "body": part, "more_body": True})
