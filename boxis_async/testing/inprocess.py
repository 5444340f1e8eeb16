"""The stand-in provider behind `httpx`, without a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping

    from boxis_async.testing.provider import Provider

_CHUNK = 16 * 1024


class _Body(httpx.AsyncByteStream):
    """Hand a body over in chunks, and break off where the provider did."""

    def __init__(self, body: bytes, announced: int) -> None:
        self._body = body
        self._announced = announced

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), _CHUNK):
            # A socket lets other tasks run, and cancellation in, between two reads.
            await anyio.lowlevel.checkpoint()
            yield self._body[start : start + _CHUNK]
        if len(self._body) < self._announced:
            # The words of httpcore's own error, for a reader who searches for them.
            raise httpx.RemoteProtocolError(
                "peer closed connection without sending complete message body "
                f"(received {len(self._body)} bytes, expected {self._announced})"
            )


class InProcessTransport(httpx.AsyncBaseTransport):
    """Carry requests to a `Provider` in the same loop.

    Faults come out as `httpx` reports them over a socket: a cut or closed answer raises
    `httpx.RemoteProtocolError` while its body is read. Time-outs are not watched: a provider that
    hangs is waited for until the caller cancels.

    Args:
        provider: Who answers, under any address.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def __repr__(self) -> str:
        return f"<InProcessTransport({self._provider!r})>"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        content = await request.aread()
        pending = [content]
        head: MutableMapping[str, Any] = {}
        body = bytearray()

        async def receive() -> MutableMapping[str, Any]:
            if pending:
                return {"type": "http.request", "body": pending.pop(), "more_body": False}
            # A client that goes away here cancels the whole call: there is no message to give.
            await anyio.sleep_forever()
            raise AssertionError  # pragma: no cover

        async def send(message: MutableMapping[str, Any]) -> None:
            await anyio.lowlevel.checkpoint()
            if message["type"] == "http.response.start":
                head.update(message)
            else:
                body.extend(message.get("body", b""))

        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.partition(b"?")[0],
            "query_string": request.url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": ("127.0.0.1", 0),
            "server": (request.url.host, request.url.port),
        }
        await self._provider(scope, receive, send)
        headers: list[tuple[bytes, bytes]] = head["headers"]
        announced = int(dict(headers)[b"content-length"])
        return httpx.Response(head["status"], headers=headers, stream=_Body(bytes(body), announced))


def client_for(provider: Provider) -> httpx.AsyncClient:
    """Return an `httpx.AsyncClient` whose every request a provider answers, without a socket.

    Args:
        provider: Who answers. The client's base address is the real one, and nothing reaches it.
    """
    return httpx.AsyncClient(
        transport=InProcessTransport(provider), base_url="https://api.boxis.net/"
    )
