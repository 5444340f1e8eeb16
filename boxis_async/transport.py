"""The only room that knows httpx: a form out, a status and bytes in, its errors translated."""

from __future__ import annotations

import contextlib
import math
import re
import zlib
from typing import TYPE_CHECKING, Self, TypeAlias, cast

import anyio
import attrs
import httpx

from .errors import (
    AttemptTimeoutError,
    BoxisError,
    ClientClosedError,
    ConnectionFailedError,
    MalformedAnswerError,
    TooLargeError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from .wire import Form

__all__ = ["HTTPClient", "Reply", "Transport", "problem_with_http_client", "problem_with_url"]

HTTPClient: TypeAlias = httpx.AsyncClient
"""What an `http_client` is: the one name of httpx that the rest of the library uses."""

_GZIP = 16 + zlib.MAX_WBITS
_SHOWABLE = re.compile(r"[^@?#]*")
_LOOPBACK = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}|::1")


@attrs.frozen
class Reply:
    """What came back over HTTP, whole and decompressed, not yet looked at."""

    status: int
    body: bytes = attrs.field(repr=False)
    retry_after: str | None = None
    location: str | None = None


def problem_with_url(url: object, *, allow_insecure: bool) -> str | None:
    """Say what is wrong with a base URL, or None."""
    if isinstance(url, str) and not _SHOWABLE.fullmatch(url):
        # Not shown: a password could stand in it.
        return "base_url must hold no user, query or fragment: give a scheme, a host and a path"
    try:
        parsed = httpx.URL(cast("str", url))
        host = parsed.host
    except (httpx.InvalidURL, TypeError, ValueError) as error:
        return f"base_url {url!r} is no URL: {error}"
    if parsed.scheme not in {"http", "https"} or not host:
        return f"base_url {url!r} must begin with https:// and name a host"
    loopback = _LOOPBACK.fullmatch(host) is not None
    if parsed.scheme == "http" and not loopback and not allow_insecure:
        return (
            f"base_url {url!r} is not encrypted: whoever listens could replay the authcode; "
            "use https://, or allow_insecure=True if you know the whole way to be safe"
        )
    return None


def problem_with_http_client(http_client: object) -> str | None:
    """Say what is wrong with a client that the user passed in, or None."""
    if http_client is None or isinstance(http_client, httpx.AsyncClient):
        return None
    return f"http_client must be an httpx.AsyncClient, not {type(http_client).__name__}"


class Transport:
    """Sends forms to one URL, over connections of its own or those of a lent client."""

    __slots__ = ("_client", "_connections", "_is_lent", "_most_bytes", "_timeout", "_url")

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        connections: int,
        most_bytes: int,
        http_client: HTTPClient | None = None,
    ) -> None:
        self._url = httpx.URL(url)
        self._timeout = timeout
        self._most_bytes = most_bytes
        self._connections = connections
        self._client = http_client
        self._is_lent = http_client is not None

    def open(self) -> HTTPClient:
        """Give the HTTP client, building it when it is first needed."""
        if self._client is None:
            self._client = httpx.AsyncClient(
                # Bounded by the caller; here only so that none is closed and opened needlessly.
                limits=httpx.Limits(
                    max_connections=self._connections, max_keepalive_connections=self._connections
                )
            )
        elif self._client.is_closed:
            raise ClientClosedError(
                "the http_client that was passed in is closed: keep it open longer than this client"
                if self._is_lent
                else "the client is closed: make a new one"
            )
        return self._client

    async def post(self, form: Form, *, at_most: float = math.inf) -> Reply:
        """Send a form and read the whole answer, within the time-out, and within so many seconds.

        A lent client lends its connections, proxies and certificates only: its headers,
        cookies, credentials, time-outs and redirects do not apply.

        Raises:
            AttemptTimeoutError: The attempt took longer than the time-out, all in all.
            ConnectionFailedError: No connection, or it broke before the answer was complete.
            MalformedAnswerError: The answer's compression is broken.
            TooLargeError: The answer is larger than the client takes; the rest is not read.
            ClientClosedError: The lent client is closed.
        """
        client = self.open()
        request = httpx.Request(
            "POST",
            self._url,
            content=form.body,
            headers={
                "accept": "*/*",
                "accept-encoding": "gzip",
                "content-type": "application/x-www-form-urlencoded",
                "user-agent": "boxis-async",
            },
            # One limit on the whole attempt, below; a limit on each read would let an answer
            # drip for ever.
            extensions={"timeout": httpx.Timeout(None).as_dict()},
        )
        progress = _Progress()
        request.extensions["trace"] = progress.note
        timeout = min(self._timeout, at_most)
        with anyio.move_on_after(timeout):
            return await _exchange(client, request, progress, self._most_bytes)
        what = "no complete answer" if progress.was_sent else "no connection"
        raise AttemptTimeoutError(f"{what} within {timeout:.3g} s", was_sent=progress.was_sent)

    async def aclose(self) -> None:
        """Close the connections, unless they are lent."""
        if self._client is not None and not self._is_lent:
            await self._client.aclose()


class _Progress:
    """How far an attempt came: whether a failure may be due to what was asked."""

    __slots__ = ("_is_connecting",)

    def __init__(self) -> None:
        self._is_connecting = False

    @property
    def was_sent(self) -> bool:
        """Whether the request was under way; a transport that does not tell has no wires."""
        return not self._is_connecting

    async def note(self, event: str, _: object) -> None:
        """Take note of what httpx's transport does: see its extension `trace`."""
        if event.endswith("send_request_headers.started"):
            self._is_connecting = False
        elif event.startswith("connection.") and event.endswith(".started"):
            self._is_connecting = True


async def _exchange(
    client: HTTPClient, request: httpx.Request, progress: _Progress, most_bytes: int
) -> Reply:
    try:
        response = await client.send(request, stream=True, auth=None, follow_redirects=False)
        try:
            body = await _read(response, most_bytes)
        finally:
            await response.aclose()
    except BoxisError:
        raise
    except httpx.TimeoutException as error:
        # Only a lent client's own transport can say this; ours has no limits.
        was_sent = not isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout))
        raise AttemptTimeoutError(_told("timed out", error), was_sent=was_sent) from error
    except httpx.DecodingError as error:
        raise MalformedAnswerError(_told("the answer's compression is broken", error)) from error
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError) as error:
        raise UsageError(_told("the request cannot be sent", error)) from error
    except Exception as error:
        # Whatever a lent client's transport may raise ends here: the border to foreign errors.
        if client.is_closed:
            raise ClientClosedError("the HTTP client was closed during the request") from error
        was_sent = progress.was_sent and not isinstance(
            error, (httpx.ConnectError, httpx.ProxyError)
        )
        raise ConnectionFailedError(
            _told("the connection failed", error), was_sent=was_sent
        ) from error
    return Reply(
        response.status_code,
        body,
        response.headers.get("retry-after"),
        response.headers.get("location"),
    )


async def _read(response: httpx.Response, most_bytes: int) -> bytes:
    """Read a body and decompress it, no further than the limit."""
    body = _Body(response.headers.get("content-encoding", ""), most_bytes)
    if response.is_stream_consumed:
        # A canned response, as tests lend them, is in memory already, and decompressed.
        return _Body("", most_bytes).add(response.content).whole()
    chunks = cast("AsyncGenerator[bytes, None]", response.aiter_raw())
    try:
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                body.add(chunk)
        return body.whole()
    finally:
        # An error is kept while the halves are fetched, and its traceback would keep the body.
        body.clear()


class _Body:
    """A body that is being read: never more of it in memory than the limit, and one byte."""

    __slots__ = ("_bytes", "_inflate", "_most")

    def __init__(self, compression: str, most_bytes: int) -> None:
        compression = compression.strip().lower()
        if compression not in {"", "identity", "gzip", "x-gzip"}:
            raise MalformedAnswerError(
                f"the answer is compressed as {compression[:40]!r}, unasked for"
            )
        self._bytes = bytearray()
        self._most = most_bytes
        self._inflate = zlib.decompressobj(_GZIP) if compression.endswith("gzip") else None

    def add(self, chunk: bytes) -> Self:
        """Take in what was received, or as much of it as the limit allows to know it is passed."""
        if self._inflate is None:
            self._bytes += chunk
        else:
            try:
                self._bytes += self._inflate.decompress(chunk, self._most + 1 - len(self._bytes))
            except zlib.error as error:
                raise MalformedAnswerError(
                    f"the answer's compression is broken: {error}"
                ) from error
            if self._inflate.unused_data:
                raise MalformedAnswerError("the answer goes on after the end of its compression")
        if len(self._bytes) > self._most:
            raise TooLargeError(
                f"the answer is larger than max_response_bytes ({self._most:,})", limit=self._most
            )
        return self

    def clear(self) -> None:
        """Let go of what was read."""
        self._bytes.clear()

    def whole(self) -> bytes:
        """Give all of it, now that all was received."""
        if self._inflate is not None and not self._inflate.eof:
            raise MalformedAnswerError("the answer's compression ends too early")
        return bytes(self._bytes)


def _told(what: str, error: Exception) -> str:
    return f"{what}: {type(error).__name__}" + (f", {error}" if str(error) else "")
