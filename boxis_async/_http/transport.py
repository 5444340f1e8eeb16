"""Sends a form by httpx and returns the reply; the only module of the core that knows httpx.

Requests go out in the same way over a lent client and over those of our own. One time limit covers
a whole attempt, from connecting to the last byte. Every foreign error leaves here as one of the
library's.
"""

from __future__ import annotations

import contextlib
import inspect
import re
import ssl
from typing import TYPE_CHECKING, Final, cast

import anyio
import httpx

from boxis_async._http.connections import Connections
from boxis_async._http.loop_clock import loop_time
from boxis_async._http.response_body import Body
from boxis_async._version import __version__
from boxis_async._wire.messages import Reply
from boxis_async.errors import (
    AttemptTimeoutError,
    BoxisError,
    ClientClosedError,
    ConnectionFailedError,
    MalformedAnswerError,
    UsageError,
)
from boxis_async.types import HTTPClient

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from boxis_async._wire.messages import Form

__all__ = ["Transport", "problem_with_http_client", "problem_with_url"]

_CLOSED_MEANWHILE: Final = "the HTTP client was closed during the request"
_LONGEST_IDLE: Final = 5.0
_ONE: Final = httpx.Limits(
    max_connections=1, max_keepalive_connections=1, keepalive_expiry=_LONGEST_IDLE
)
_HEADERS: Final = {
    "accept": "*/*",
    "accept-encoding": "gzip",
    "content-type": "application/x-www-form-urlencoded",
    "user-agent": f"boxis-async/{__version__}",
}
_NO_LIMITS: Final = httpx.Timeout(None)
"""A limit on each read would let an answer drip for ever; `post` limits the whole attempt."""
_SHOWABLE = re.compile(r"[^@?#]*")
_LOOPBACK = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}|::1")


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
    # A class has the names of the protocol too, and so has an httpx.Client, whose `send` blocks.
    if http_client is None or (
        isinstance(http_client, HTTPClient)
        and not isinstance(http_client, type)
        and inspect.iscoroutinefunction(http_client.send)
    ):
        return None
    return f"http_client must be an httpx.AsyncClient, not {type(http_client).__name__}"


class Transport:
    """Sends forms to one URL, over connections of its own or those of a lent client.

    It opens no more of its own than its caller has requests in flight at once.
    """

    __slots__ = ("_is_closed", "_lent", "_most_bytes", "_own", "_url")

    def __init__(
        self,
        url: str,
        *,
        most_bytes: int,
        http_client: HTTPClient | None = None,
        clock: Callable[[], float] = loop_time,
    ) -> None:
        self._url = httpx.URL(url)
        self._most_bytes = most_bytes
        self._lent = http_client
        self._own = Connections(
            _opener(is_secure=self._url.scheme == "https"), longest_idle=_LONGEST_IDLE, clock=clock
        )
        self._is_closed = False

    def check_open(self) -> None:
        """Refuse to send what cannot be sent.

        Raises:
            ClientClosedError: This is closed, or the lent client is.
        """
        if self._is_closed:
            raise ClientClosedError("the client is closed: make a new one")
        if self._lent is not None and self._lent.is_closed:
            raise ClientClosedError(
                "the http_client that was passed in is closed: keep it open longer than this client"
            )

    async def post(self, form: Form, *, timeout: float) -> Reply:  # noqa: ASYNC109 - a scope inside it
        """Send a form and read the whole answer, within so many seconds.

        A lent client lends its connections, proxies and certificates only: its headers,
        cookies, credentials, time-outs and redirects do not apply.

        Raises:
            AttemptTimeoutError: The attempt took longer than the time-out, all in all.
            ConnectionFailedError: No connection, or it broke before the answer was complete.
            MalformedAnswerError: The answer's compression is broken.
            TooLargeError: The answer is larger than the client takes; the rest is not read.
            ClientClosedError: This is closed, or the lent client is.
        """
        self.check_open()
        request = httpx.Request("POST", self._url, content=form.body, headers=_HEADERS)
        one = self._own.one() if self._lent is None else contextlib.nullcontext(self._lent)
        async with one as client:
            progress = _Progress(client)
            request.extensions = {"timeout": _NO_LIMITS.as_dict(), "trace": progress.note}
            with anyio.move_on_after(timeout):
                return await _exchange(client, request, progress, self._most_bytes)
            what = "no complete answer" if progress.was_sent else "no connection"
            raise AttemptTimeoutError(f"{what} within {timeout:.3g} s", was_sent=progress.was_sent)

    async def aclose(self) -> None:
        """Close the connections, unless they are lent."""
        self._is_closed = True
        await self._own.aclose()


def _opener(*, is_secure: bool) -> Callable[[], httpx.AsyncClient]:
    """Return a function that makes clients for one connection each."""
    ssl_context: ssl.SSLContext | None = None

    def open_client() -> httpx.AsyncClient:
        nonlocal ssl_context
        try:
            if ssl_context is None:
                # All share one, as loading the authorities' certificates takes 20 ms. Without TLS
                # we need none, and this context, which holds none, trusts nobody.
                ssl_context = (
                    httpx.create_ssl_context()
                    if is_secure
                    else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                )
            return httpx.AsyncClient(verify=ssl_context, limits=_ONE)
        except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
            raise UsageError(
                f"{_message('no connection can be made as the environment asks for', error)}: set "
                "SSL_CERT_FILE, SSL_CERT_DIR, HTTPS_PROXY and the like right, or none of them"
            ) from error

    return open_client


class _Progress:
    """How far an attempt came, and so whether the request itself may be why it failed."""

    __slots__ = ("_client", "_is_connecting")

    def __init__(self, client: HTTPClient) -> None:
        self._client = client
        self._is_connecting = False

    @property
    def was_sent(self) -> bool:
        """Whether the request was sent; true for a lent transport that reports no events."""
        return not self._is_connecting

    async def note(self, event: str, _: object) -> None:
        """Note what httpx's transport does, by its extension `trace`."""
        if event.endswith("send_request_headers.started"):
            self._is_connecting = False
            if self._client.is_closed:
                # A connection that was being made when its client closed would be used, and stay
                # open. Failing here closes it.
                raise ClientClosedError(_CLOSED_MEANWHILE)
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
        # Only a lent client's transport can raise this, as we set no limits.
        was_sent = not isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout))
        raise AttemptTimeoutError(_message("timed out", error), was_sent=was_sent) from error
    except httpx.DecodingError as error:
        raise MalformedAnswerError(_message("the answer's compression is broken", error)) from error
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError) as error:
        raise UsageError(_message("the request cannot be sent", error)) from error
    except Exception as error:
        # A lent client's transport may raise anything.
        if client.is_closed:
            raise ClientClosedError(_CLOSED_MEANWHILE) from error
        was_sent = progress.was_sent and not isinstance(
            error, (httpx.ConnectError, httpx.ProxyError)
        )
        raise ConnectionFailedError(
            _message("the connection failed", error), was_sent=was_sent
        ) from error
    return Reply(
        response.status_code,
        body,
        response.headers.get("retry-after"),
        response.headers.get("location"),
        response.headers.get("content-encoding", ""),
        response.headers.get("date"),
    )


async def _read(response: httpx.Response, most_bytes: int) -> bytes:
    """Read a body and decompress it, up to the limit."""
    body = Body(response.headers.get("content-encoding", ""), most_bytes)
    if response.is_stream_consumed:
        # A canned response, such as tests lend, is in memory already, and decompressed.
        return Body("", most_bytes).add(response.content).whole()
    chunks = cast("AsyncGenerator[bytes, None]", response.aiter_raw())
    try:
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                body.add(chunk)
        return body.whole()
    finally:
        # The error is kept while the halves are fetched, and its traceback would keep the body.
        body.clear()


def _message(what: str, error: Exception) -> str:
    return f"{what}: {type(error).__name__}" + (f", {error}" if str(error) else "")
