"""The stand-in behind `httpx`, without a socket. No other module of the wing imports `httpx`.

The transport carries any ASGI application. So it knows nothing of `Provider`, and `Provider` can
offer a client of itself without an import cycle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping

    from .asgi import Application

HTTPClient: TypeAlias = httpx.AsyncClient

_CHUNK_BYTES = 16 * 1024


class _Body(httpx.AsyncByteStream):
    """Yield a body in chunks, and fail where the application stopped before the announced end."""

    def __init__(self, body: bytes, announced: int) -> None:
        self._body = body
        self._announced = announced

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), _CHUNK_BYTES):
            # As over a socket, other tasks run and cancellation arrives between two reads.
            await anyio.lowlevel.checkpoint()
            yield self._body[start : start + _CHUNK_BYTES]
        if len(self._body) < self._announced:
            # The words of httpcore's own error, so that a search for them finds its explanation.
            raise httpx.RemoteProtocolError(
                "peer closed connection without sending complete message body "
                f"(received {len(self._body)} bytes, expected {self._announced})"
            )


class InProcessTransport(httpx.AsyncBaseTransport):
    """Carry requests to a `Provider` in the same event loop.

    Faults appear as `httpx` reports them over a socket: where the connection closes early, reading
    the body raises `httpx.RemoteProtocolError`. There are no time-outs: a request to a provider
    that hangs lasts until the caller cancels it.

    Args:
        provider: The provider that answers, at every address. Any ASGI application will do.
    """

    def __init__(self, provider: Application) -> None:
        self._application = provider

    def __repr__(self) -> str:
        return f"<InProcessTransport({self._application!r})>"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        pending = [await request.aread()]
        head: MutableMapping[str, Any] = {}
        body = bytearray()

        async def receive() -> MutableMapping[str, Any]:
            if pending:
                return {"type": "http.request", "body": pending.pop(), "more_body": False}
            # There is no disconnect message: a client that leaves cancels this whole call.
            await anyio.sleep_forever()
            raise AssertionError  # pragma: no cover

        async def send(message: MutableMapping[str, Any]) -> None:
            await anyio.lowlevel.checkpoint()
            if message["type"] == "http.response.start":
                head.update(message)
            else:
                body.extend(message.get("body", b""))

        await self._application(_scope(request), receive, send)
        headers: list[tuple[bytes, bytes]] = head["headers"]
        announced = int(dict(headers)[b"content-length"])
        return httpx.Response(head["status"], headers=headers, stream=_Body(bytes(body), announced))


def _scope(request: httpx.Request) -> dict[str, Any]:
    return {
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


def client_for(provider: Application) -> httpx.AsyncClient:
    """Return an `httpx.AsyncClient` whose requests a provider answers without a socket.

    Args:
        provider: The provider that answers. The client's base address is the real provider's, but
            no request leaves the process.
    """
    return httpx.AsyncClient(
        transport=InProcessTransport(provider), base_url="https://api.boxis.net/"
    )
