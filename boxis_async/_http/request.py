"""One request as a value: what it says, how long it may take, and what counts it.

Three times bound it. `Options.timeout` is for one attempt, `WindowTimeout` for all attempts at a
window and its halves (`RetryPolicy.timeout`), and `Deadline` for a whole stream or answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from boxis_async._http.loop_clock import loop_time
from boxis_async._http.rate_limiter import RateLimiter
from boxis_async._wire.wallclock import write_wall
from boxis_async.errors import AttemptTimeoutError, DeadlineError
from boxis_async.models import Window
from boxis_async.retry import RetryPolicy

__all__ = ["Deadline", "Options", "Request", "RequestCounts", "WindowTimeout"]


@attrs.frozen(eq=False, repr=False)
class Options:
    """What may differ between the requests of one client, see `BoxisClient.with_options`."""

    timeout: float
    """Seconds for one attempt, from connecting to the last byte."""
    retry: RetryPolicy
    rate_limiter: RateLimiter
    """Limits the requests with these options, besides what limits all of the client's."""
    deadline: float = math.inf
    """Seconds for a whole stream, or for all attempts at a single request."""


@attrs.define(eq=False, repr=False)
class RequestCounts:
    """How many requests a run took, so far."""

    requests: int = 0
    retries: int = 0
    splits: int = 0
    last_failure: Exception | None = None
    """Why the latest attempt failed for which another one was possible."""


class Deadline:
    """The end of the time that a whole stream or answer has, from its first request on."""

    __slots__ = ("_end", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end: float | None = None

    def left(self) -> float:
        """Let the time begin, unless it has, and give the seconds that are left."""
        if self._end is None:
            self._end = loop_time() + self._seconds
        return max(0.0, self._end - loop_time())

    def error(self, what: str, counts: RequestCounts) -> DeadlineError:
        """Make the error for when none are left.

        Args:
            what: What is not complete.
            counts: What was sent for it.
        """
        message = f"{what}: not complete within {self._seconds:g} s (deadline), after "
        message += "1 request" if counts.requests == 1 else f"{counts.requests} requests"
        if counts.last_failure is not None:
            message += f"; the last failure: {counts.last_failure}"
        error = DeadlineError(message, deadline=self._seconds)
        error.__cause__ = counts.last_failure
        return error


class WindowTimeout:
    """The end of the time that one window has, with its halves, from its first request on."""

    __slots__ = ("_end", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end: float | None = None

    def begin(self) -> float:
        """Let the time begin, unless it has, and give the seconds left.

        Raises:
            AttemptTimeoutError: None are.
        """
        if self._end is None:
            self._end = loop_time() + self._seconds
        self.check()
        return self._left()

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be sent."""
        return self._left() <= 0

    def check(self) -> None:
        """Refuse to send anything once it is over.

        Raises:
            AttemptTimeoutError: It is.
        """
        if self._left() <= 0:
            raise AttemptTimeoutError(
                f"the {self._seconds:g} s for the window (RetryPolicy.timeout) are used up"
            )

    def _left(self) -> float:
        return self._seconds if self._end is None else self._end - loop_time()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Request:
    """One attempt at one function of the API, and what bounds and counts it."""

    section: str
    action: str
    parameters: Mapping[str, object]
    window: Window | None = None
    attempt: int = 1
    window_timeout: WindowTimeout
    counts: RequestCounts
    options: Options

    @classmethod
    def of_window(
        cls,
        window: Window,
        tenant: str,
        *,
        window_timeout: WindowTimeout,
        counts: RequestCounts,
        options: Options,
    ) -> Request:
        """Make the request for the records of one window, not attempted yet."""
        return cls(
            section="voice",
            action="getCDR",
            parameters={
                "tenant": tenant,
                "datefrom": "" if window.start is None else write_wall(window.start),
                "dateto": "" if window.end is None else write_wall(window.end),
            },
            window=window,
            attempt=0,
            window_timeout=window_timeout,
            counts=counts,
            options=options,
        )

    @property
    def tenant(self) -> str | None:
        """The tenant that its parameters name, if they name one."""
        tenant = self.parameters.get("tenant")
        return None if tenant is None else str(tenant)

    def __str__(self) -> str:
        what = f"{self.section}/{self.action}" if self.window is None else f"window {self.window}"
        return f"{what}, attempt {self.attempt}"
