"""Every error of the library, in one tree.

::

    BoxisError
    ├── UsageError (ValueError)             wrong arguments: nothing was sent
    │   ├── ConfigurationError              the client cannot be built like this
    │   └── MissingExtraError (ImportError) an optional dependency is not installed
    ├── ClosedError (RuntimeError)          used after its end, or on a foreign event loop
    │   ├── ClientClosedError
    │   ├── StreamClosedError
    │   └── WrongLoopError
    ├── NoAnswerError                       the provider did not answer
    │   ├── ConnectionFailedError           no connection, or it broke
    │   ├── AttemptTimeoutError (TimeoutError)
    │   └── DeadlineError (TimeoutError)    a whole stream or answer took too long
    ├── BadAnswerError                      what came is not an answer of the API
    │   ├── StatusError                     an HTTP status that carries no answer
    │   │   └── RateLimitError              ... which is 429: too many requests
    │   ├── MalformedAnswerError            a body that is not JSON or XML, or not complete
    │   ├── TooLargeError                   more than one answer may hold: bytes, or records
    │   ├── ContractError                   the server's answers would make the stream short
    │   └── RecordError                     a record that cannot be read
    ├── RefusedError                        the API's own refusal: its `result` is 0
    │   ├── AuthenticationError             ... and the text says that it is about who asks
    │   └── ClockError                      ... and the answer says that the clock is wrong
    ├── WindowError                         a window that failed for good
    └── LateLegError                        a leg of a call that a stream had closed

All of them pickle, and none holds the key or an authcode. Their texts are printable, whatever the
provider or a caller sent: a traceback or a log shows them. The attributes hold what was sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from boxis_async._printable import printable
from boxis_async.models import describe_place, shown_value

if TYPE_CHECKING:
    from datetime import timedelta

    from boxis_async.models import Window

__all__ = [
    "AttemptTimeoutError",
    "AuthenticationError",
    "BadAnswerError",
    "BoxisError",
    "ClientClosedError",
    "ClockError",
    "ClosedError",
    "ConfigurationError",
    "ConnectionFailedError",
    "ContractError",
    "DeadlineError",
    "LateLegError",
    "MalformedAnswerError",
    "MissingExtraError",
    "NoAnswerError",
    "RateLimitError",
    "RecordError",
    "RefusedError",
    "StatusError",
    "StreamClosedError",
    "TooLargeError",
    "UsageError",
    "WindowError",
    "WrongLoopError",
]


class BoxisError(Exception):
    """The root of every error that this library raises on purpose."""

    def __str__(self) -> str:
        return printable(self._text())

    def _text(self) -> str:
        """Give the text, as it is before it is made printable."""
        return super().__str__()


class UsageError(BoxisError, ValueError):
    """Arguments that cannot work; no request was sent.

    Attributes:
        problems: Everything that is wrong, a sentence each.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that is wrong, a sentence each."""
        return self.args

    def _text(self) -> str:
        return "; ".join(self.problems)


class ConfigurationError(UsageError):
    """A client that cannot be built: all that is missing or wrong, in one error."""


class MissingExtraError(UsageError, ImportError):
    """An optional dependency is not installed; the text names the extra to install."""


class ClosedError(BoxisError, RuntimeError):
    """Something was used after its end, or where it does not belong."""


class ClientClosedError(ClosedError):
    """The client is closed; a new one is needed."""


class StreamClosedError(ClosedError):
    """The stream's run was cut short, so it cannot go on as if it were complete."""


class WrongLoopError(ClosedError):
    """A client belongs to the event loop that first used it."""


class NoAnswerError(BoxisError):
    """The provider did not answer: the connection failed, broke, or took too long."""


class ConnectionFailedError(NoAnswerError):
    """No connection could be made, or it broke before the answer was complete.

    Attributes:
        was_sent: Whether the request was under way, so that the failure may be due to it.
        is_permanent: Whether it cannot pass by itself: the host does not exist, or its certificate
            is not trusted. The request is not sent again then.
    """

    def __init__(self, message: str, *, was_sent: bool = False, is_permanent: bool = False) -> None:
        super().__init__(message)
        self.was_sent = was_sent
        self.is_permanent = is_permanent


class AttemptTimeoutError(NoAnswerError, TimeoutError):
    """One attempt took longer than the client's `timeout`, or than what `RetryPolicy` leaves.

    Attributes:
        was_sent: Whether the request was under way, so that the failure may be due to it.
    """

    def __init__(self, message: str, *, was_sent: bool = False) -> None:
        super().__init__(message)
        self.was_sent = was_sent


class DeadlineError(NoAnswerError, TimeoutError):
    """A whole stream, or a whole answer, took longer than the client's `deadline`.

    What was handed over before is right, and is not all.

    Attributes:
        deadline: The seconds that it had, or None.
    """

    def __init__(self, message: str, *, deadline: float | None = None) -> None:
        super().__init__(message)
        self.deadline = deadline


class BadAnswerError(BoxisError):
    """Something answered, but not with a complete answer of the API."""


class StatusError(BadAnswerError):
    """An HTTP status without an answer of the API.

    Attributes:
        status_code: The HTTP status.
        retry_after: The `Retry-After` header as sent, or None.
        date: The `Date` header as sent, or None: when the server answered, by its clock.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int = 0,
        retry_after: str | None = None,
        date: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.retry_after = retry_after
        self.date = date


class RateLimitError(StatusError):
    """HTTP status 429: the provider received more requests than it allows.

    The whole client then pauses for as long as the provider asks in `Retry-After`, before it sends
    the request again.
    """


class MalformedAnswerError(BadAnswerError):
    """A body that is not well-formed JSON or XML, is cut short, or has another shape.

    Attributes:
        is_partial: Whether the answer is well formed, and says itself that it is not whole.
    """

    def __init__(self, message: str, *, is_partial: bool = False) -> None:
        super().__init__(message)
        self.is_partial = is_partial


class TooLargeError(BadAnswerError):
    """An answer of more bytes than `max_response_bytes`, or of `row_limit` records or more.

    Or one with over 10,000 records that do not stand together under `cdr`, as the page shows them.

    Attributes:
        limit: The limit that was reached.
    """

    def __init__(self, message: str, *, limit: int = 0) -> None:
        super().__init__(message)
        self.limit = limit


class ContractError(BadAnswerError):
    """The server's answers contradict what the stream rests on: it would be short.

    It comes before the first record that could follow a gap. `BoxisClient.probe` finds out what
    the server does; give its `Contract` to the client.

    Attributes:
        evidence: What the answers show.
        window: The window whose answer shows it.
        tenant: The tenant.
    """

    def __init__(self, evidence: str, *, window: Window | None = None, tenant: str = "") -> None:
        super().__init__(evidence)
        self.evidence = evidence
        self.window = window
        self.tenant = tenant

    def _text(self) -> str:
        return (
            f"tenant {self.tenant}: {self.evidence} (await client.probe(), or boxis probe, finds "
            "out what the server does)"
        )


class RecordError(BadAnswerError):
    """A record that cannot be read; it is never skipped without a word.

    Attributes:
        window: The window whose answer has the record, or None outside a stream.
        position: The record's key in the answer, such as `call_17`.
        field: The API's name of the field, or None when the record is no record at all.
        value: The value as sent.
    """

    def __init__(
        self,
        reason: str,
        *,
        position: str = "",
        field: str | None = None,
        value: object = None,
        window: Window | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position
        self.field = field
        self.value = value
        self.window = window

    def _text(self) -> str:
        where = describe_place(self.window, self.position, self.field)
        return f"{where}: {self.reason}, got {shown_value(self.value)}"


class RefusedError(BoxisError):
    """The API's own refusal: `result` is 0. Sending the same again does not help.

    Attributes:
        text: The API's `resulttxt`, whole. The provider documents no texts beyond
            `Error: {error description}` (page "Get Calls History").
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def _text(self) -> str:
        return self.text or "refused without a text"


class AuthenticationError(RefusedError):
    """A refusal whose text says that it is about the username, the key or the authcode.

    The provider documents no error texts: a refusal for the same reason in other
    words is a plain `RefusedError`.
    """


class ClockError(RefusedError):
    """The answer says `timestamperror`, and signing by the server's clock did not or cannot help.

    Either the server refused a request that was signed by its own clock, or it names no time that
    can be its clock: none at all, or one that is more than ten years from ours. Then the clock that
    the client signs by stays as it was.

    Attributes:
        server_time: The server's clock in Unix seconds, or None if the answer has no such number.
        our_time: The clock of this machine in Unix seconds, or None outside a client.
        sent: The text of the answer's `timestamp`, or None if it has none.
    """

    def __init__(
        self,
        text: str,
        *,
        server_time: int | None = None,
        our_time: int | None = None,
        sent: str | None = None,
    ) -> None:
        super().__init__(text)
        self.server_time = server_time
        self.our_time = our_time
        self.sent = sent

    def _text(self) -> str:
        if self.server_time is not None:
            clocks = f"it says {self.server_time}"
        elif not self.sent:
            clocks = "it says no usable timestamp"
        else:
            clocks = f"it says no usable timestamp: {shown_value(self.sent)}"
        if self.our_time is not None:
            clocks += f", this machine's says {self.our_time}"
        return f"the server refuses our clock ({clocks}): {self.text or 'no text'}"


class WindowError(BoxisError):
    """A window that failed for good, so the stream cannot be complete.

    Attributes:
        window: The window that failed, or None outside a stream.
        tenant: The tenant.
        attempts: How often the window was requested.
        cause: The error of the last attempt.
    """

    def __init__(
        self,
        message: str,
        *,
        window: Window | None = None,
        tenant: str = "",
        attempts: int = 0,
        cause: Exception | None = None,
    ) -> None:
        super().__init__(message)
        self.window = window
        self.tenant = tenant
        self.attempts = attempts
        self.cause = cause

    @classmethod
    def of(cls, cause: Exception, *, window: Window, tenant: str, attempts: int) -> WindowError:
        """Build the error that a stream raises for a window, with the cause in its text."""
        times = "attempt" if attempts == 1 else "attempts"
        message = f"window {window} of tenant {tenant} failed after {attempts} {times}: {cause}"
        return cls(message, window=window, tenant=tenant, attempts=attempts, cause=cause)


class LateLegError(BoxisError):
    """A leg came after its call was closed, so the call would be two: give a longer `margin`.

    Attributes:
        margin: How long after its last leg a call was kept open, or None.
    """

    def __init__(self, message: str, *, margin: timedelta | None = None) -> None:
        super().__init__(message)
        self.margin = margin
