"""What a server and an application say to each other, as far as the provider needs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from attrs import frozen

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# PHP says so unless told otherwise, whatever it prints.
HTML = (("content-type", "text/html; charset=UTF-8"),)


@frozen
class Reply:
    """An HTTP answer; after `sent` bytes of its body, unless None, the connection closes."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = HTML
    sent: int | None = None


async def live(receive: Receive, send: Send) -> None:
    """Agree to starting up and to shutting down."""
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def read(receive: Receive) -> bytes | None:
    """Return a request's whole body; None when the client went away before its end."""
    chunks: list[bytes] = []
    while (message := await receive())["type"] == "http.request":
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)
    return None


async def gone(receive: Receive) -> None:
    """Wait until the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        continue


async def write(reply: Reply, send: Send) -> None:
    """Send an answer, or as much of it as it says."""
    headers = [(name.encode(), value.encode("latin-1")) for name, value in reply.headers]
    headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if reply.sent is None:
        await send({"type": "http.response.body", "body": reply.body})
    elif reply.sent:
        # To leave without the rest is all that ASGI has for a broken answer: servers then close.
        part = reply.body[: reply.sent]
        await send({"type": "http.response.body", "body": part, "more_body": True})
