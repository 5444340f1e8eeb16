"""What deserves another try, and after how long."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypedDict

import attrs
import stamina

from .errors import (
    AttemptTimeoutError,
    ConnectionFailedError,
    MalformedAnswerError,
    StatusError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["RetryPolicy", "is_transient", "retry_after"]

_SERVER_IS_AT_FAULT = 500
_PASSING_STATUSES = frozenset({408, 425, 429})


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


class _Settings(TypedDict):
    attempts: int
    timeout: float | None
    wait_initial: float
    wait_max: float
    wait_jitter: float
    wait_exp_base: float


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

    def attempts_on(
        self, deserves: Callable[[Exception], bool | float]
    ) -> AsyncIterator[stamina.Attempt]:
        """Iterate over the attempts, waiting between them; see `stamina.retry_context`."""
        settings = _Settings(
            attempts=self.attempts,
            timeout=None,
            wait_initial=self.wait_initial,
            wait_max=self.wait_max,
            wait_jitter=self.wait_jitter,
            wait_exp_base=2,
        )
        return stamina.retry_context(deserves, **settings)

    def deserves(self, error: Exception) -> bool | float:
        """Tell whether an error may pass by itself, or after how many seconds."""
        if not is_transient(error):
            return False
        wait = retry_after(error)
        return True if wait is None else min(wait, self.wait_max)


def is_transient(error: Exception) -> bool:
    """Tell whether sending the same again may help."""
    if isinstance(error, StatusError):
        return error.status >= _SERVER_IS_AT_FAULT or error.status in _PASSING_STATUSES
    return isinstance(error, (ConnectionFailedError, AttemptTimeoutError, MalformedAnswerError))


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
