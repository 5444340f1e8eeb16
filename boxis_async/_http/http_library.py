"""What we use of httpx, and of httpx2 where a client of that is lent; nothing else knows either.

httpx2 is httpx under another name: the same calls, other classes. A client takes requests of its
own library alone, and raises that one's errors, so a `Library` has the classes that belong
together. httpx2 is never imported here: who lends a client of it has loaded it.
"""

from __future__ import annotations

import ssl
import sys
from typing import TYPE_CHECKING, Any, Final

import httpx

from boxis_async._http.foreign_errors import message_of
from boxis_async._http.proxies import unusable_variable
from boxis_async.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

__all__ = ["LONGEST_IDLE", "OURS", "Library", "OneConnection", "library_of", "opener"]

# Most servers close what was idle for five seconds. A request that crosses with that is lost.
LONGEST_IDLE: Final = 4.0
_ONE: Final = httpx.Limits(
    max_connections=1, max_keepalive_connections=1, keepalive_expiry=LONGEST_IDLE
)
_ADVICE_ON_THE_ENVIRONMENT: Final = (
    "set SSL_CERT_FILE, SSL_CERT_DIR, HTTPS_PROXY and the like right, or none of them"
)


class Library:
    """The classes of httpx or of httpx2 that a request needs, and the errors that may come back."""

    def __init__(self, module: Any) -> None:  # noqa: ANN401 - its names are looked up below
        self.URL: Any = module.URL
        self.Response: Any = module.Response
        self.HTTPError: type[Exception] = module.HTTPError
        self.RequestError: type[Exception] = module.RequestError
        self.TimeoutException: type[Exception] = module.TimeoutException
        self.PoolTimeout: type[Exception] = module.PoolTimeout
        self.ConnectTimeout: type[Exception] = module.ConnectTimeout
        self.ConnectError: type[Exception] = module.ConnectError
        self.ProxyError: type[Exception] = module.ProxyError
        self.DecodingError: type[Exception] = module.DecodingError
        self.ResponseNotRead: type[Exception] = module.ResponseNotRead
        self.InvalidURL: type[Exception] = module.InvalidURL
        self.unsendable: tuple[type[Exception], ...] = (
            module.UnsupportedProtocol,
            module.InvalidURL,
            module.LocalProtocolError,
        )
        """What says that a request cannot be sent, whoever it is sent to."""
        self._request: Any = type("_Request", (_NotedRequest, module.Request), {})
        self._stream: Any = type("_Stream", (_NotedStream, module.AsyncByteStream), {})

    def request(
        self,
        url: Any,  # noqa: ANN401 - a URL of the library's
        body: bytes,
        headers: dict[str, str],
        on_read: Callable[[], None],
    ) -> Any:  # noqa: ANN401 - a request of the library's
        """Make a request that says when its form is read, to be sent.

        Args:
            url: Where to.
            body: The form.
            headers: All headers that we set.
            on_read: Called when a transport, of whatever kind, reads the form.
        """
        request = self._request("POST", url, content=body, headers=headers)
        request.stream = self._stream(body, on_read)
        request.on_read = on_read
        return request


class _NotedStream:
    """The form on its way out."""

    def __init__(self, body: bytes, on_read: Callable[[], None]) -> None:
        self._body = body
        self._on_read = on_read

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        self._on_read()
        yield self._body


class _NotedRequest:
    """What a request has besides its library's own."""

    on_read: Callable[[], None]

    async def aread(self) -> bytes:
        """Give the form, and note that it is read."""
        self.on_read()
        beside: Any = super()
        body: bytes = await beside.aread()
        return body


OURS: Final = Library(httpx)
"""That of our own connections."""


def library_of(http_client: object) -> Library:
    """Find the library of a lent client: httpx2 if its class is from there, else httpx."""
    for kind in type(http_client).__mro__:
        name = kind.__module__.partition(".")[0]
        if name == "httpx2":
            return Library(sys.modules[name])
    return OURS


class _NoCookies(httpx.Cookies):
    """Keeps none: to look for them takes a twentieth of the time of a small request."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Leave them."""


_NO_COOKIES: Final = _NoCookies()


class OneConnection(httpx.AsyncClient):
    """A client of our own, for one connection; and what is known of that."""

    was_used = False
    """Whether a whole answer came over it."""
    network: Any = None
    """What it reads from and writes to, a stream of httpcore's, once there is one."""
    proxy = ""
    """The proxy that it goes through, in words; empty if there is none."""

    @property
    def cookies(self) -> httpx.Cookies:
        """None, and none to come."""
        return _NO_COOKIES

    @cookies.setter
    def cookies(self, cookies: object) -> None:
        """Take none."""


def opener(url: httpx.URL, *, may_use_proxies: bool) -> Callable[[], OneConnection]:
    """Return a function that makes clients for one connection each.

    Args:
        url: Where they send to.
        may_use_proxies: Whether they go through the proxies that the environment names.
    """
    ssl_context: ssl.SSLContext | None = None

    def is_usable(proxy: str) -> bool:
        try:
            httpx.AsyncClient(verify=ssl_context or False, trust_env=False, proxy=proxy)
        except (ValueError, ImportError, httpx.InvalidURL):
            return False
        return True

    def open_client() -> OneConnection:
        nonlocal ssl_context
        try:
            if ssl_context is None:
                # All share one, as loading the authorities' certificates takes 20 ms. Without TLS
                # we need none, and this context, which holds none, trusts nobody.
                ssl_context = (
                    httpx.create_ssl_context()
                    if url.scheme == "https"
                    else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                )
        except OSError as error:
            unreadable = "the certificates that the environment names cannot be read"
            raise UsageError(
                f"{message_of(unreadable, error)}: {_ADVICE_ON_THE_ENVIRONMENT}"
            ) from error
        problem = None
        try:
            return OneConnection(verify=ssl_context, limits=_ONE, trust_env=may_use_proxies)
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            # Its text is not shown, and it is not kept: the address of a proxy can hold a password.
            problem = type(error).__name__
            if isinstance(error, ImportError):
                problem = "a SOCKS proxy needs `pip install httpx[socks]`"
        raise UsageError(
            f"no connection can be made as {unusable_variable(is_usable)} in the environment asks "
            f"for ({problem}): {_ADVICE_ON_THE_ENVIRONMENT}"
        )

    return open_client
