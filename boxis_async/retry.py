"""What deserves another try, and after how long."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import attrs
import stamina

from ._wire.answers import PASSING_STATUSES
from .errors import (
    AttemptTimeoutError,
    ConnectionFailedError,
    MalformedAnswerError,
    StatusError,
    TooLargeError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["RetryPolicy", "is_cured_by_less", "is_too_much", "is_transient", "retry_after"]

_SERVER_IS_AT_FAULT = 500
_TOO_MANY_REQUESTS = 429
_DOUBLINGS = 62


def _at_least(least: float) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= least:
            raise UsageError(
                f"RetryPolicy: {attribute.name} must be {least} or more, not {value!r}"
            )

    return check


def _whole(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, int):
        raise UsageError(f"RetryPolicy: {attribute.name} must be a whole number, not {value!r}")


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often, and after how long, a request that failed is sent again.

    Sent again is what may pass by itself: a failed or broken connection, a time-out, HTTP
    5xx, 408, 425 and 429, and a body that is no complete answer. The wait before the n-th
    retry is `min(wait_max, wait_initial * 2**(n-1) + random(0, wait_jitter))` seconds, or
    what the provider asks for in `Retry-After`, at most `wait_max`.
    """

    attempts: int = attrs.field(default=6, validator=[_at_least(1), _whole])
    """How often one window is asked for at most, the first time included."""
    wait_initial: float = attrs.field(default=0.5, validator=_at_least(0))
    """Seconds before the first retry."""
    wait_max: float = attrs.field(default=30.0, validator=_at_least(0))
    """Seconds before any retry, at most."""
    wait_jitter: float = attrs.field(default=0.5, validator=_at_least(0))
    """Up to so many seconds are added at random, so that retries do not come in step."""
    timeout: float = attrs.field(default=600.0, validator=_at_least(0))
    """Seconds for one window, from its first request, over all its attempts and halves."""

    def attempts_on(
        self, deserves: Callable[[Exception], bool | float]
    ) -> AsyncIterator[stamina.Attempt]:
        """Iterate over the attempts, waiting between them; see `stamina.retry_context`."""
        return stamina.retry_context(
            deserves,
            attempts=self.attempts,
            timeout=None,
            wait_initial=self.wait_initial,
            wait_max=self.wait_max,
            wait_jitter=self.wait_jitter,
            wait_exp_base=2,
        )

    def deserves(self, error: Exception) -> bool | float:
        """Tell whether an error may pass by itself, or after how many seconds."""
        if not is_transient(error):
            return False
        wait = retry_after(error)
        return True if wait is None else min(wait, self.wait_max)

    def pause(self, error: Exception, attempt: int) -> float:
        """Tell for how many seconds the whole client is to send nothing, after an error.

        What the provider asks for in `Retry-After`, or after a 429 without it the wait
        before the next attempt, without jitter.
        """
        if not isinstance(error, StatusError):
            return 0.0
        asked = retry_after(error)
        if asked is None and error.status == _TOO_MANY_REQUESTS:
            asked = self.wait_initial * 2.0 ** min(attempt - 1, _DOUBLINGS)
        return min(asked or 0.0, self.wait_max)


def is_transient(error: Exception) -> bool:
    """Tell whether sending the same again may help."""
    if isinstance(error, StatusError):
        return error.status >= _SERVER_IS_AT_FAULT or error.status in PASSING_STATUSES
    return isinstance(error, (ConnectionFailedError, AttemptTimeoutError, MalformedAnswerError))


def is_too_much(error: Exception | None) -> bool:
    """Tell whether asking for less is the only cure, so that trying again is in vain."""
    return isinstance(error, TooLargeError)


def is_cured_by_less(error: Exception | None) -> bool:
    """Tell whether a smaller window may be answered where this one was not.

    PHP that runs out of memory or time says so in HTML, with status 200 or 5xx, or not at all;
    a connection that was refused, and a server that asks to wait, have nothing to do with size.
    """
    if isinstance(error, StatusError):
        return error.status >= _SERVER_IS_AT_FAULT
    if isinstance(error, (ConnectionFailedError, AttemptTimeoutError)):
        return error.was_sent
    return isinstance(error, (MalformedAnswerError, TooLargeError))


def retry_after(error: Exception) -> float | None:
    """Read the seconds that the provider asks to wait, given as seconds or as a date."""
    told = error.retry_after if isinstance(error, StatusError) else None
    if told is None:
        return None
    try:
        seconds = float(told)
    except ValueError:
        try:
            when = parsedate_to_datetime(told)
        except (ValueError, OverflowError):
            return None
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)  # HTTP's dates are in GMT, also when they do not say so
        # Subtracted as they are: converted, a date near the year 9999 would overflow.
        seconds = (when - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
