"""The only room that knows httpx: a form out, a status and bytes in, its errors translated."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

import anyio
import attrs
import httpx

from .errors import (
    AttemptTimeoutError,
    ClientClosedError,
    ConnectionFailedError,
    MalformedAnswerError,
    UsageError,
)

if TYPE_CHECKING:
    from .wire import Form

__all__ = ["HTTPClient", "Reply", "Transport", "problem_with_http_client", "problem_with_url"]

HTTPClient: TypeAlias = httpx.AsyncClient
"""What an `http_client` is: the one name of httpx that the rest of the library uses."""

_LOOPBACK = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}|::1")


@attrs.frozen
class Reply:
    """What came back over HTTP, whole and decompressed, not yet looked at."""

    status: int
    body: bytes = attrs.field(repr=False)
    retry_after: str | None = None
    location: str | None = None


def problem_with_url(url: str, *, allow_insecure: bool) -> str | None:
    """Say what is wrong with a base URL, or None."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError, ValueError) as error:
        return f"base_url {url!r} is no URL: {error}"
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        return f"base_url {url!r} must begin with https:// and name a host"
    if parsed.userinfo or parsed.query or parsed.fragment:
        # Not shown: a password could stand in it.
        return "base_url must hold no user, query or fragment: give a scheme, a host and a path"
    loopback = _LOOPBACK.fullmatch(parsed.host) is not None
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

    __slots__ = ("_client", "_connections", "_is_lent", "_timeout", "_url")

    def __init__(
        self, url: str, *, timeout: float, connections: int, http_client: HTTPClient | None = None
    ) -> None:
        self._url = httpx.URL(url)
        self._timeout = timeout
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

    async def post(self, form: Form) -> Reply:
        """Send a form and read the whole answer, within the time-out.

        A lent client lends its connections, proxies and certificates only: its headers,
        cookies, credentials, time-outs and redirects do not apply.

        Raises:
            AttemptTimeoutError: The attempt took longer than the time-out, all in all.
            ConnectionFailedError: No connection, or it broke before the answer was complete.
            MalformedAnswerError: The answer's compression is broken.
            ClientClosedError: The lent client is closed.
        """
        client = self.open()
        request = httpx.Request(
            "POST",
            self._url,
            content=form.body,
            headers={
                "accept": "*/*",
                "accept-encoding": "gzip, deflate",
                "content-type": "application/x-www-form-urlencoded",
                "user-agent": "boxis-async",
            },
            # One limit on the whole attempt, below; a limit on each read would let an answer
            # drip for ever.
            extensions={"timeout": httpx.Timeout(None).as_dict()},
        )
        with anyio.move_on_after(self._timeout):
            return await _exchange(client, request)
        raise AttemptTimeoutError(f"no complete answer within {self._timeout:g} s")

    async def aclose(self) -> None:
        """Close the connections, unless they are lent."""
        if self._client is not None and not self._is_lent:
            await self._client.aclose()


async def _exchange(client: HTTPClient, request: httpx.Request) -> Reply:
    try:
        response = await client.send(request, stream=True, auth=None, follow_redirects=False)
        try:
            body = b"".join([chunk async for chunk in response.aiter_bytes()])
        finally:
            await response.aclose()
    except httpx.TimeoutException as error:
        # Only a lent client's own transport can say this; ours has no limits.
        raise AttemptTimeoutError(_told("timed out", error)) from error
    except httpx.DecodingError as error:
        raise MalformedAnswerError(_told("the answer's compression is broken", error)) from error
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError) as error:
        raise UsageError(_told("the request cannot be sent", error)) from error
    except (httpx.HTTPError, httpx.StreamError, httpx.CookieConflict, OSError) as error:
        raise ConnectionFailedError(_told("the connection failed", error)) from error
    except RuntimeError as error:
        if client.is_closed:
            raise ClientClosedError("the HTTP client was closed during the request") from error
        raise
    return Reply(
        response.status_code,
        body,
        response.headers.get("retry-after"),
        response.headers.get("location"),
    )


def _told(what: str, error: Exception) -> str:
    return f"{what}: {error} ({type(error).__name__})"
