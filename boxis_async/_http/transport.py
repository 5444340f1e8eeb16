"""Sends a form over HTTP and returns the reply, or raises an error of the library's.

Requests go out in the same way over a lent client and over those of our own. One time limit covers
a whole attempt, from connecting to the last byte. `exchange.py` has one, and what becomes of
the errors of others; `http_library.py` alone knows httpx.
"""

from __future__ import annotations

import inspect
import ipaddress
import logging
import math
import re
from typing import TYPE_CHECKING, cast

from boxis_async._http.connections import Connections
from boxis_async._http.exchange import Exchange
from boxis_async._http.http_library import LONGEST_IDLE, OURS, OneConnection, library_of, opener
from boxis_async._http.loop_clock import loop_time
from boxis_async._http.waiting import Limits, Queue, places
from boxis_async.errors import AttemptTimeoutError, BoxisError, ClientClosedError
from boxis_async.types import HTTPClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from boxis_async._http.exchange import Outcome
    from boxis_async._wire.messages import Form, Reply

__all__ = ["Transport", "problem_with_http_client", "problem_with_url"]

logger = logging.getLogger("boxis_async")

_SHOWABLE = re.compile(r"[^@?#]*")


def problem_with_url(url: object, *, allow_insecure: bool) -> str | None:
    """Say what is wrong with a base URL, or None."""
    if isinstance(url, str) and not _SHOWABLE.fullmatch(url):
        # Not shown: a password could stand in it.
        return "base_url must hold no user, query or fragment: give a scheme, a host and a path"
    try:
        parsed = OURS.URL(cast("str", url))
        host = parsed.host
    except (OURS.InvalidURL, TypeError, ValueError) as error:
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
    kind = type(http_client).__name__
    return f"http_client must be an httpx.AsyncClient or an httpx2.AsyncClient, not {kind}"


class Transport:
    """Sends forms to one URL, over connections of its own or those of a lent client.

    It opens no more of its own than its caller has requests in flight at once.
    """

    __slots__ = ("_is_closed", "_lent", "_library", "_most_bytes", "_own", "_queue", "_url")

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
        self._library = library_of(http_client)
        self._url = self._library.URL(url)
        self._most_bytes = most_bytes
        self._lent = http_client
        self._queue = Queue()
        if http_client is not None and places(http_client) < concurrency:
            self._queue.log()
        # What goes to this machine goes to it directly: a proxy would get to read it, and would
        # look for the address on its own machine.
        may_use_proxies = not _is_loopback(self._url.host)
        self._own: Connections[OneConnection] = Connections(
            opener(self._url, may_use_proxies=may_use_proxies),
            longest_idle=LONGEST_IDLE,
            clock=clock,
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

    def prepare(self) -> None:
        """Do what takes time before the first request, so that this goes out when it is its turn.

        Raises:
            UsageError: The environment's proxies or certificates cannot be used.
        """
        if self._lent is None and not self._is_closed:
            self._own.prepare()

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

    async def _outcome_of(self, form: Form, timeout: float, within: float) -> Outcome:  # noqa: ASYNC109
        limits = Limits(timeout, within)
        attempt = None
        with limits.scope:
            if self._lent is not None:
                attempt = Exchange(
                    self._lent,
                    self._url,
                    form,
                    limits,
                    library=self._library,
                    queue=self._queue,
                )
                return await attempt.outcome(self._most_bytes)
            async with self._own.one() as connection:
                attempt = Exchange(connection, self._url, form, limits)
                outcome = await attempt.outcome(self._most_bytes)
            if not attempt.was_never_read:
                return outcome
            self.check_open()
            logger.debug("a connection was closed before the form was sent: again, on a new one")
            async with self._own.one(is_new=True) as connection:
                attempt = Exchange(connection, self._url, form, limits)
                return await attempt.outcome(self._most_bytes)
        return _late(attempt, limits)


def _late(attempt: Exchange | None, limits: Limits) -> Outcome:
    if attempt is None:
        return AttemptTimeoutError(f"no connection within {limits.timeout:.3g} s")
    return attempt.late()
