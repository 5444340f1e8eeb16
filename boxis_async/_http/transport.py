"""Sends a form by httpx and returns the reply; the only module of the core that knows httpx.

Requests go out in the same way over a lent client and over those of our own. One time limit covers
a whole attempt, from connecting to the last byte. Every foreign error leaves here as one of the
library's.

Errors are kept, and tracebacks refer to the frames that they came through. So within this module a
failure is a value, which `post` raises once the form is forgotten: no error leads to a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import ipaddress
import logging
import math
import re
import ssl
import traceback
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import httpx

from boxis_async._http.connections import Connections
from boxis_async._http.foreign_errors import fit_to_keep, no_such_host, untrusted
from boxis_async._http.loop_clock import loop_time
from boxis_async._http.proxies import in_words, unusable_variable
from boxis_async._http.response_body import Body
from boxis_async._http.waiting import Limits, Queue, places
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
    from collections.abc import AsyncGenerator, Callable, Mapping

    from boxis_async._wire.messages import Form

__all__ = ["Transport", "problem_with_http_client", "problem_with_url"]

logger = logging.getLogger("boxis_async")

_CLOSED_MEANWHILE: Final = "the HTTP client was closed during the request"
# Most servers close what was idle for five seconds. A request that crosses with that is lost.
_LONGEST_IDLE: Final = 4.0
_ONE: Final = httpx.Limits(
    max_connections=1, max_keepalive_connections=1, keepalive_expiry=_LONGEST_IDLE
)
_HEADERS: Final = {
    "accept": "*/*",
    "accept-encoding": "gzip",
    "content-type": "application/x-www-form-urlencoded",
    "user-agent": f"boxis-async/{__version__}",
}
_ADVICE_ON_THE_ENVIRONMENT: Final = (
    "set SSL_CERT_FILE, SSL_CERT_DIR, HTTPS_PROXY and the like right, or none of them"
)
_NO_LIMITS: Final = httpx.Timeout(None)
"""A limit on each read would let an answer drip for ever; `post` limits the whole attempt."""
_SHOWABLE = re.compile(r"[^@?#]*")
# The body of an error says why in a sentence; whole pages are not needed for that.
_MOST_OF_AN_ERROR: Final = 256 * 1024
_OK: Final = range(200, 300)
_OUT_OF_DATE: Final = frozenset({9, 10})
"""OpenSSL's codes for a certificate that is not valid yet, or no longer."""


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
    if parsed.scheme == "http" and not _is_loopback(host) and not allow_insecure:
        return (
            f"base_url {url!r} is not encrypted: whoever listens could replay the authcode; "
            "use https://, or allow_insecure=True if you know the whole way to be safe"
        )
    return None


def _is_loopback(host: str) -> bool:
    """Report whether a host is this machine, whatever the network says."""
    if host.lower() in {"localhost", "localhost."}:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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

    __slots__ = ("_is_closed", "_lent", "_most_bytes", "_own", "_queue", "_url")

    def __init__(
        self,
        url: str,
        *,
        most_bytes: int,
        concurrency: int = 1,
        http_client: HTTPClient | None = None,
        clock: Callable[[], float] = loop_time,
    ) -> None:
        """Open nothing yet.

        Args:
            url: Where to send to.
            most_bytes: The largest answer that is taken, decompressed.
            concurrency: How many requests are in flight at most.
            http_client: What to send over, if not over connections of its own.
            clock: Returns the time, in seconds.
        """
        self._url = httpx.URL(url)
        self._most_bytes = most_bytes
        self._lent = http_client
        self._queue = Queue()
        if http_client is not None and places(http_client) < concurrency:
            self._queue.log()
        self._own: Connections[_OneConnection] = Connections(
            _opener(self._url), longest_idle=_LONGEST_IDLE, clock=clock
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

    async def post(
        self,
        form: Form,
        *,
        timeout: float,  # noqa: ASYNC109 - a scope inside it
        within: float = math.inf,
    ) -> Reply:
        """Send a form and read the whole answer, within so many seconds.

        A lent client lends its connections, proxies and certificates only: its headers,
        cookies, credentials, time-outs and redirects do not apply.

        A form that the server never read is sent once more. That is certain, and only then, where a
        connection that was used before turns out to be closed before the first byte of the form is
        handed over to it. A server that closes without an answer later than that may have read it.

        Args:
            form: The form.
            timeout: Seconds from connecting to the last byte. To wait for a place in the pool of a
                lent client is not to connect; so long as other requests come to their end there, it
                is waited for.
            within: Seconds for everything, such waits included.

        Raises:
            AttemptTimeoutError: The attempt took longer than the time-out, all in all.
            ConnectionFailedError: No connection, or it broke before the answer was complete.
            MalformedAnswerError: The answer's compression is broken.
            TooLargeError: The answer is larger than the client takes; the rest is not read.
            ClientClosedError: This is closed, or the lent client is.
        """
        self.check_open()
        try:
            outcome = await self._outcome_of(form, timeout, within)
        except BaseException as error:
            # A cancellation, mostly: whoever keeps it must not keep the frames with the form.
            error.__traceback__ = None
            if not isinstance(error, BoxisError):
                error.__cause__ = error.__context__ = None
            raise
        finally:
            del form
        if not isinstance(outcome, BoxisError):
            return outcome
        try:
            raise outcome
        finally:
            # Otherwise this frame, in the traceback of the error, would refer to the error.
            del outcome

    async def aclose(self) -> None:
        """Close the connections, unless they are lent."""
        self._is_closed = True
        await self._own.aclose()

    async def _outcome_of(self, form: Form, timeout: float, within: float) -> _Outcome:  # noqa: ASYNC109
        limits = Limits(timeout, within)
        attempt = None
        with limits.scope:
            if self._lent is not None:
                attempt = _Attempt(self._lent, self._url, form, limits, self._queue)
                return await attempt.outcome(self._most_bytes)
            async with self._own.one() as connection:
                attempt = _Attempt(connection, self._url, form, limits)
                outcome = await attempt.outcome(self._most_bytes)
            if not attempt.was_never_read:
                return outcome
            self.check_open()
            logger.debug("a connection was closed before the form was sent: again, on a new one")
            async with self._own.one(is_new=True) as connection:
                attempt = _Attempt(connection, self._url, form, limits)
                return await attempt.outcome(self._most_bytes)
        return _late(attempt, limits)


class _OneConnection(httpx.AsyncClient):
    """A client of our own, for one connection; and what is known of that."""

    was_used = False
    """Whether a whole answer came over it."""
    network: Any = None
    """What it reads from and writes to, a stream of httpcore's, once there is one."""
    proxy = ""
    """The proxy that it goes through, in words; empty if there is none."""


def _opener(url: httpx.URL) -> Callable[[], _OneConnection]:
    """Return a function that makes clients for one connection each."""
    ssl_context: ssl.SSLContext | None = None
    # What goes to this machine goes to it directly: a proxy would get to read it, and would look
    # for the address on its own machine.
    may_use_proxies = not _is_loopback(url.host)

    def is_usable(proxy: str) -> bool:
        try:
            httpx.AsyncClient(verify=ssl_context or False, trust_env=False, proxy=proxy)
        except (ValueError, ImportError, httpx.InvalidURL):
            return False
        return True

    def open_client() -> _OneConnection:
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
            raise UsageError(
                f"{_message('the certificates that the environment names cannot be read', error)}: "
                f"{_ADVICE_ON_THE_ENVIRONMENT}"
            ) from error
        problem = None
        try:
            return _OneConnection(verify=ssl_context, limits=_ONE, trust_env=may_use_proxies)
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


class _ClosedBeforeError(Exception):
    """The connection was closed before the first byte of the form was handed over to it."""


class _Stream(httpx.AsyncByteStream):
    """The form on its way out."""

    def __init__(self, body: bytes, on_read: Callable[[], None]) -> None:
        self._body = body
        self._on_read = on_read

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        self._on_read()
        yield self._body


class _Request(httpx.Request):
    """A request that says when its form is read: by a transport of whatever kind, to send it."""

    def __init__(self, url: httpx.URL, body: bytes, on_read: Callable[[], None]) -> None:
        super().__init__("POST", url, content=body, headers=_HEADERS)
        self.stream = _Stream(body, on_read)
        self._on_read = on_read

    async def aread(self) -> bytes:
        self._on_read()
        return await super().aread()


class _Attempt:
    """One form on its way over one client, and how far it came."""

    __slots__ = (
        "_bare_reply",
        "_client",
        "_form",
        "_is_new",
        "_own",
        "_queue",
        "_request",
        "_url",
        "has_begun",
        "limits",
        "proxy",
        "was_never_read",
        "was_read",
    )

    def __init__(
        self,
        client: HTTPClient,
        url: httpx.URL,
        form: Form,
        limits: Limits,
        queue: Queue | None = None,
    ) -> None:
        self._client = client
        self._own = client if isinstance(client, _OneConnection) and queue is None else None
        self._url = url
        self._form = form
        self._queue = queue
        self._request = _Request(url, form.body, self._hand_over)
        self._request.extensions = {"timeout": _NO_LIMITS.as_dict(), "trace": self._note}
        # Whether the connection was made for this attempt.
        self._is_new = self._own is None or not self._own.was_used
        # Makes a reply of an answer whose status is an error, without its body.
        self._bare_reply: Callable[[], Reply] | None = None
        self.limits = limits
        self.has_begun = False
        self.was_read = False
        self.was_never_read = False
        self.proxy = "" if self._own is None else self._own.proxy

    async def outcome(self, most_bytes: int) -> _Outcome:
        """Send the form and read the answer; a failure is a value, see the module."""
        if self._queue is not None:
            self._queue.enter(self)
        failure: BoxisError
        try:
            return await self._exchange(most_bytes)
        except BoxisError as error:
            failure = _without_frames(error, self._holds_secret)
        except Exception as error:  # noqa: BLE001 - a lent client's transport may raise anything
            if (reply := self._reply_of_hook(error)) is not None:
                return reply
            failure = self._failure(error)
        finally:
            if self._queue is not None:
                self._queue.leave(self)
            # It refers to this attempt, and this to it.
            del self._request
        if self._own is not None:
            # The rest of an answer may still come over it, so nobody may use it again.
            await self._own.aclose()
        return failure

    def late(self) -> _Outcome:
        """Give what there is after the time-out."""
        if self._bare_reply is not None:
            return self._bare_reply()
        what = "no complete answer" if self.was_read else "no connection"
        message = f"{what} within {self.limits.timeout:.3g} s"
        if not self.was_read and self.proxy:
            message += f", {self.proxy}"
        return AttemptTimeoutError(message, was_sent=self.was_read)

    async def _note(self, event: str, info: Mapping[str, Any]) -> None:
        """Note what httpx's transport does, by its extension `trace`."""
        self._begin()
        own = self._own
        if own is not None and event.endswith("connect_tcp.started"):
            self._is_new = True
            self.proxy = own.proxy = in_words(str(self._url), info["host"], info["port"])
        elif own is not None and event.endswith(("connect_tcp.complete", "start_tls.complete")):
            own.network = info["return_value"]
        elif event.endswith("send_request_headers.started") and self._client.is_closed:
            # A connection that was being made when its client closed would be used, and stay
            # open. Failing here closes it.
            raise ClientClosedError(_CLOSED_MEANWHILE)

    def _begin(self) -> None:
        if not self.has_begun:
            self.has_begun = True
            if self._queue is not None:
                self.limits.begin_anew()

    def _hand_over(self) -> None:
        """Note that the form is read, to be sent.

        Raises:
            _ClosedBeforeError: What it would be sent over is closed already.
        """
        self._begin()
        own = self._own
        # Nothing can come before an answer but the end.
        if (
            not self._is_new
            and own is not None
            and own.network is not None
            and own.network.get_extra_info("is_readable")
        ):
            raise _ClosedBeforeError
        self.was_read = True

    async def _exchange(self, most_bytes: int) -> Reply:
        response = await self._client.send(
            self._request, stream=True, auth=None, follow_redirects=False
        )
        most = most_bytes
        if response.status_code not in _OK:
            # The status decides first: a body that cannot be read must not hide it.
            self._bare_reply = functools.partial(self._reply, response)
            most = min(most_bytes, _MOST_OF_AN_ERROR)
        try:
            try:
                body, coding = await _read(response, most)
            finally:
                await response.aclose()
        except Exception as error:
            if self._bare_reply is None:
                raise
            logger.debug("the body of status %d: %s", response.status_code, type(error).__name__)
            if self._own is not None:
                await self._own.aclose()
            return self._bare_reply()
        if self._own is not None:
            self._own.was_used = True
        return self._reply(response, body, coding)

    def _reply(self, response: httpx.Response, body: bytes = b"", coding: str = "") -> Reply:
        return Reply(
            response.status_code,
            body,
            response.headers.get("retry-after"),
            response.headers.get("location"),
            coding,
            response.headers.get("date"),
            # Over TLS a proxy passes on what it cannot read.
            self.proxy if self._url.scheme == "http" else "",
        )

    def _reply_of_hook(self, error: Exception) -> Reply | None:
        """Give the answer about whose status a hook of a lent client raised, if it did."""
        response = getattr(error, "response", None)
        if not isinstance(response, httpx.Response) or response.status_code in _OK:
            return None
        with contextlib.suppress(httpx.ResponseNotRead):
            if len(response.content) <= _MOST_OF_AN_ERROR:
                return self._reply(response, response.content)
        return self._reply(response)

    def _failure(self, error: Exception) -> BoxisError:
        """Make an error of ours of a foreign one, which stays its cause."""
        failure = self._named(error)
        if not isinstance(error, (httpx.HTTPError, OSError, _ClosedBeforeError)):
            # A mistake in a lent transport: where it is, since the traceback is cut off.
            trace = "".join(traceback.format_tb(error.__traceback__))
            failure.add_note(self._form.conceal(f"{type(error).__name__} came from:\n{trace}"))
        if isinstance(error, httpx.RequestError):
            cast("Any", error).request = None
        failure.__cause__ = fit_to_keep(error, self._holds_secret)
        return failure

    def _named(self, error: Exception) -> BoxisError:
        def message(what: str) -> str:
            return self._form.conceal(_message(what, error)) + (
                f", {self.proxy}" if self.proxy else ""
            )

        if self._client.is_closed:
            return ClientClosedError(_CLOSED_MEANWHILE)
        if isinstance(error, httpx.TimeoutException):
            # Only a lent client's transport can raise this, as we set no limits.
            if isinstance(error, httpx.PoolTimeout) and self._queue is not None:
                self._queue.log()
            was_sent = not isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout))
            return AttemptTimeoutError(message("timed out"), was_sent=self.was_read and was_sent)
        if isinstance(error, httpx.DecodingError):
            return MalformedAnswerError(message("the answer's compression is broken"))
        if isinstance(
            error, (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError)
        ):
            return UsageError(message("the request cannot be sent"))
        if (problem := self._lasting_problem(error)) is not None:
            return ConnectionFailedError(message(problem), is_permanent=True)
        self.was_never_read = not self._is_new and not self.was_read
        was_sent = self.was_read and not isinstance(error, (httpx.ConnectError, httpx.ProxyError))
        return ConnectionFailedError(message("the connection failed"), was_sent=was_sent)

    def _lasting_problem(self, error: Exception) -> str | None:
        """Say what is wrong that cannot pass by itself, and what to do about it."""
        host = self._url.host
        where = "the proxy" if self.proxy else repr(host)
        if no_such_host(error):
            what = (
                "there is no such host as the proxy" if self.proxy else f"no host {host!r} exists"
            )
            return f"{what}: check {'it' if self.proxy else 'base_url'} and this machine's network"
        refusal = untrusted(error)
        if refusal is None:
            return None
        if refusal.verify_code in _OUT_OF_DATE:
            return f"the certificate of {where} is out of date: check this machine's clock"
        trust = (
            "let http_client trust it"
            if self._own is None
            else "set SSL_CERT_FILE to the certificates to trust"
        )
        return (
            f"the certificate of {where} is not trusted: check base_url, or, if an authority of "
            f"your own signed it, {trust}"
        )

    def _holds_secret(self, text: str) -> bool:
        return self._form.conceal(text) != text


def _late(attempt: _Attempt | None, limits: Limits) -> _Outcome:
    if attempt is None:
        return AttemptTimeoutError(f"no connection within {limits.timeout:.3g} s")
    return attempt.late()


def _without_frames(error: BoxisError, holds_secret: Callable[[str], bool]) -> BoxisError:
    """Cut off the frames that an error of ours came through, and those of errors behind it."""
    error.__traceback__ = error.__context__ = None
    if error.__cause__ is not None:
        error.__cause__ = fit_to_keep(error.__cause__, holds_secret)
    return error


async def _read(response: httpx.Response, most_bytes: int) -> tuple[bytes, str]:
    """Read a body and decompress it, up to the limit; say how it was compressed."""
    if response.is_stream_consumed:
        # A canned response, such as tests lend, is in memory already, and decompressed.
        body = Body("", most_bytes)
        for _ in body.add(response.content):
            pass
        return body.whole(), ""
    body = Body(response.headers.get("content-encoding", ""), most_bytes)
    chunks = cast("AsyncGenerator[bytes, None]", response.aiter_raw())
    async with contextlib.aclosing(chunks):
        async for chunk in chunks:
            for _ in body.add(chunk):
                await asyncio.sleep(0)
    return body.whole(), body.coding


def _message(what: str, error: Exception) -> str:
    return f"{what}: {type(error).__name__}" + (f", {error}" if str(error) else "")


_Outcome: TypeAlias = Reply | BoxisError
