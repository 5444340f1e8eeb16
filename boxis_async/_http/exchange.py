"""One form on its way over one client: how far it came, and what came back or went wrong.

Errors are kept, and tracebacks refer to the frames that they came through. So a failure is a value
here, which the transport raises once the form is forgotten: no error leads to a request. Every
foreign error becomes one of the library's, which says what happened and what to do about it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import traceback
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from boxis_async._http.foreign_errors import fit_to_keep, message_of, no_such_host, untrusted
from boxis_async._http.http_library import OURS, OneConnection
from boxis_async._http.proxies import in_words
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

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from boxis_async._http.http_library import Library
    from boxis_async._http.waiting import Limits, Queue
    from boxis_async._wire.messages import Form
    from boxis_async.types import HTTPClient

__all__ = ["Exchange", "Outcome"]

logger = logging.getLogger("boxis_async")

_CLOSED_MEANWHILE: Final = "the HTTP client was closed during the request"
_HEADERS: Final = {
    "accept": "*/*",
    "accept-encoding": "gzip",
    "content-type": "application/x-www-form-urlencoded",
    "user-agent": f"boxis-async/{__version__}",
}
_NO_LIMITS: Final = {"connect": None, "read": None, "write": None, "pool": None}
"""A limit on each read would let an answer drip for ever; `post` limits the whole attempt."""
# The body of an error says why in a sentence; whole pages are not needed for that.
_MOST_OF_AN_ERROR: Final = 256 * 1024
_OK: Final = range(200, 300)
_OUT_OF_DATE: Final = frozenset({9, 10})
"""OpenSSL's codes for a certificate that is not valid yet, or no longer."""


class _ClosedBeforeError(Exception):
    """The connection was closed before the first byte of the form was handed over to it."""


class Exchange:
    """One form on its way over one client, and how far it came."""

    __slots__ = (
        "_bare_reply",
        "_client",
        "_form",
        "_is_new",
        "_library",
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

    def __init__(  # noqa: PLR0913 - each is one part of it
        self,
        client: HTTPClient,
        url: Any,  # noqa: ANN401 - a URL of the library's
        form: Form,
        limits: Limits,
        *,
        library: Library = OURS,
        queue: Queue | None = None,
    ) -> None:
        """Send nothing yet.

        Args:
            client: What to send over.
            url: Where to.
            form: What to send.
            limits: Until when it may take.
            library: The library of the client.
            queue: The attempts over a lent client; None over one of ours.
        """
        self._client = client
        self._library = library
        self._own = client if isinstance(client, OneConnection) and queue is None else None
        self._url = url
        self._form = form
        self._queue = queue
        self._request = library.request(url, form.body, _HEADERS, self._hand_over)
        self._request.extensions = {"timeout": dict(_NO_LIMITS), "trace": self._note}
        # Whether the connection was made for this attempt.
        self._is_new = self._own is None or not self._own.was_used
        # Makes a reply of an answer whose status is an error, without its body.
        self._bare_reply: Callable[[], Reply] | None = None
        self.limits = limits
        self.has_begun = False
        self.was_read = False
        self.was_never_read = False
        self.proxy = "" if self._own is None else self._own.proxy

    async def outcome(self, most_bytes: int) -> Outcome:
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

    def late(self) -> Outcome:
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

    def _reply(
        self,
        response: Any,  # noqa: ANN401 - the library's
        body: bytes = b"",
        coding: str = "",
    ) -> Reply:
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
        response: Any = getattr(error, "response", None)
        if (
            response is None
            or not isinstance(response, self._library.Response)
            or response.status_code in _OK
        ):
            return None
        with contextlib.suppress(self._library.ResponseNotRead):
            if len(response.content) <= _MOST_OF_AN_ERROR:
                return self._reply(response, response.content)
        return self._reply(response)

    def _failure(self, error: Exception) -> BoxisError:
        """Make an error of ours of a foreign one, which stays its cause."""
        failure = self._named(error)
        if not isinstance(error, (self._library.HTTPError, OSError, _ClosedBeforeError)):
            # A mistake in a lent transport: where it is, since the traceback is cut off.
            trace = "".join(traceback.format_tb(error.__traceback__))
            failure.add_note(self._form.conceal(f"{type(error).__name__} came from:\n{trace}"))
        if isinstance(error, self._library.RequestError):
            cast("Any", error).request = None
        failure.__cause__ = fit_to_keep(error, self._holds_secret)
        return failure

    def _named(self, error: Exception) -> BoxisError:
        def message(what: str) -> str:
            return self._form.conceal(message_of(what, error)) + (
                f", {self.proxy}" if self.proxy else ""
            )

        library = self._library
        if self._client.is_closed:
            return ClientClosedError(_CLOSED_MEANWHILE)
        if isinstance(error, library.TimeoutException):
            # Only a lent client's transport can raise this, as we set no limits.
            if isinstance(error, library.PoolTimeout) and self._queue is not None:
                self._queue.log()
            was_sent = not isinstance(error, (library.ConnectTimeout, library.PoolTimeout))
            return AttemptTimeoutError(message("timed out"), was_sent=self.was_read and was_sent)
        if isinstance(error, library.DecodingError):
            return MalformedAnswerError(message("the answer's compression is broken"))
        if isinstance(error, library.unsendable):
            return UsageError(message("the request cannot be sent"))
        if (problem := self._lasting_problem(error)) is not None:
            return ConnectionFailedError(message(problem), is_permanent=True)
        self.was_never_read = not self._is_new and not self.was_read
        was_sent = self.was_read and not isinstance(
            error, (library.ConnectError, library.ProxyError)
        )
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


def _without_frames(error: BoxisError, holds_secret: Callable[[str], bool]) -> BoxisError:
    """Cut off the frames that an error of ours came through, and those of errors behind it."""
    error.__traceback__ = error.__context__ = None
    if error.__cause__ is not None:
        error.__cause__ = fit_to_keep(error.__cause__, holds_secret)
    return error


async def _read(
    response: Any,  # noqa: ANN401 - the library's
    most_bytes: int,
) -> tuple[bytes, str]:
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


Outcome: TypeAlias = Reply | BoxisError
