"""What is sent again after a failure, and after how long.

stamina counts the attempts and waits in between, so that its test mode and its switches apply. What
it would log by itself we log instead: with structlog installed and not set up, its default hook
prints to standard output, where the data of a program may go.
"""

from __future__ import annotations

import logging
import math
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, Self

import attrs
import stamina
from stamina.instrumentation import RetryDetails, get_on_retry_hooks

from boxis_async._wire.answers import PASSING_STATUSES
from boxis_async.errors import (
    AttemptTimeoutError,
    ConnectionFailedError,
    MalformedAnswerError,
    RateLimitError,
    StatusError,
    TooLargeError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from stamina.typing import RetryHook

__all__ = [
    "RETRY_CAUSE",
    "RetryPolicy",
    "attempts_on",
    "is_cured_by_less",
    "is_too_much",
    "is_transient",
    "pause_after",
    "retry_after",
    "should_retry",
]

logger = logging.getLogger("boxis_async")

_SERVER_ERROR = 500
# stamina's own hooks write to a log or to standard output, but for the one that counts.
_STAMINAS_HOOKS = "stamina."
_STAMINAS_COUNTER = "stamina.instrumentation._prometheus"
RETRY_CAUSE: Final = "boxis_async.retry_cause"
"""The attribute of a log record whose own attribute `error` is why a request is sent again."""
# Above that the wait is at its maximum whatever it is, and a float overflows at 1,024.
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

    A failure is retried if it may pass by itself: a failed or broken connection (but not a host
    that does not exist, or a certificate that is not trusted), a time-out, HTTP 5xx, 408, 425 and
    429, and a body that is no complete answer (unless it says so itself). The
    wait before the n-th retry is `min(wait_max, wait_initial * 2**(n-1) + random(0, wait_jitter))`
    seconds, or what the provider asks for in `Retry-After`, at most `wait_max`.
    """

    attempts: int = attrs.field(default=6, validator=[_at_least(1), _whole])
    """How often one window is requested at most, the first time included."""
    wait_initial: float = attrs.field(default=0.5, validator=_at_least(0))
    """Seconds before the first retry."""
    wait_max: float = attrs.field(default=30.0, validator=_at_least(0))
    """Seconds before any retry, at most."""
    wait_jitter: float = attrs.field(default=0.5, validator=_at_least(0))
    """Up to so many seconds are added at random, so that retries do not come in step."""
    timeout: float = attrs.field(default=600.0, validator=_at_least(0))
    """Seconds for one window, from its first request, over all its attempts and halves."""


def attempts_on(
    policy: RetryPolicy,
    on: Callable[[Exception], bool | float],
    *,
    what: str = "a request",
    before_retry: Callable[[Exception], None] | None = None,
) -> AsyncIterator[stamina.Attempt]:
    """Iterate over the attempts, with the waits in between; see `stamina.retry_context`.

    Args:
        policy: How often, and after how long.
        on: Whether an error is retried, or after how many seconds.
        what: What is attempted, for the log.
        before_retry: Called with the error before the wait for another attempt. Only stamina knows
            whether one comes: its test mode allows fewer attempts than the policy.
    """
    return _Attempts(
        stamina.retry_context(
            on,
            attempts=policy.attempts,
            timeout=None,
            wait_initial=policy.wait_initial,
            wait_max=policy.wait_max,
            wait_jitter=policy.wait_jitter,
            wait_exp_base=2,
        ),
        what,
        before_retry,
    )


class _Cause:
    """Why a request is sent again. A log shows its kind alone, whatever it shows of a record.

    A text of the provider's can hold a telephone number, and these are for the level DEBUG.
    """

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __repr__(self) -> str:
        if isinstance(self.error, StatusError):
            return f"HTTP status {self.error.status_code}"
        return type(self.error).__name__


class _Attempts:
    """The attempts as stamina counts them, whose retries are logged by us."""

    def __init__(
        self,
        context: Any,  # noqa: ANN401 - stamina exports no type
        what: str,
        before_retry: Callable[[Exception], None] | None,
    ) -> None:
        self._context = context
        self._what = what
        self._before_retry = before_retry
        self._during_the_wait = ExitStack()

    def __aiter__(self) -> Self:
        self._context.__aiter__()
        # stamina has no public way to leave out its hooks for one iteration, and those of the
        # host's program are not ours to change. A test sees that this way is still there.
        self._context._t_a_retrying.before_sleep = self._before_wait  # noqa: SLF001
        return self

    async def __anext__(self) -> stamina.Attempt:
        # Here the wait is waited.
        with self._during_the_wait:
            attempt: stamina.Attempt = await self._context.__anext__()
        return attempt

    def _before_wait(self, state: Any) -> None:  # noqa: ANN401 - tenacity's, which types it so
        """Log a retry, and call the hooks that the program gave stamina."""
        error: Exception = state.outcome.exception()
        wait: float = state.upcoming_sleep
        if self._before_retry is not None:
            self._before_retry(error)
        cause = _Cause(error)
        logger.warning(
            "%s, attempt %d failed, again in %.3g s: %s",
            self._what,
            state.attempt_number,
            wait,
            cause,
            extra={RETRY_CAUSE: cause},
        )
        details = RetryDetails(
            name="<context block>",  # as stamina names it
            args=(),
            kwargs={},
            retry_num=state.attempt_number,
            wait_for=wait,
            waited_so_far=state.idle_for - wait,
            caused_by=error,
        )
        for hook in get_on_retry_hooks():
            if _writes(hook):
                continue
            entered = hook(details)
            if isinstance(entered, AbstractContextManager):
                self._during_the_wait.enter_context(entered)


def _writes(hook: RetryHook) -> bool:
    module = str(getattr(hook, "__module__", ""))
    return module.startswith(_STAMINAS_HOOKS) and module != _STAMINAS_COUNTER


def should_retry(policy: RetryPolicy, error: Exception) -> bool | float:
    """Report whether an error may pass by itself, or after how many seconds."""
    if not is_transient(error):
        return False
    wait = retry_after(error)
    return True if wait is None else min(wait, policy.wait_max)


def pause_after(policy: RetryPolicy, error: Exception, attempt: int) -> float:
    """Give the seconds for which the whole client must send nothing, after an error.

    That is what the provider asks for in `Retry-After`; after a 429 without it, the wait before the
    next attempt, without jitter.
    """
    wait = retry_after(error)
    if wait is None and isinstance(error, RateLimitError):
        wait = policy.wait_initial * 2.0 ** min(attempt - 1, _DOUBLINGS)
    return min(wait or 0.0, policy.wait_max)


def is_transient(error: Exception) -> bool:
    """Report whether the same request may succeed later."""
    if isinstance(error, StatusError):
        return error.status_code >= _SERVER_ERROR or error.status_code in PASSING_STATUSES
    if isinstance(error, MalformedAnswerError) and error.is_partial:
        # A limit of the server's: the same request ends at the same record. Halves may be whole.
        return False
    if isinstance(error, ConnectionFailedError):
        return not error.is_permanent
    return isinstance(error, (AttemptTimeoutError, MalformedAnswerError))


def is_too_much(error: Exception | None) -> bool:
    """Report whether a smaller window is the only cure, so that a retry is in vain."""
    return isinstance(error, TooLargeError)


def is_cured_by_less(error: Exception | None) -> bool:
    """Report whether a smaller window may be answered where this one was not.

    PHP that runs out of memory or time says so in HTML, with status 200 or 5xx, or not at all;
    a connection that was refused, and a server that asks to wait, have nothing to do with size.
    """
    if isinstance(error, StatusError):
        return error.status_code >= _SERVER_ERROR
    if isinstance(error, (ConnectionFailedError, AttemptTimeoutError)):
        return error.was_sent
    return isinstance(error, (MalformedAnswerError, TooLargeError))


def retry_after(error: Exception) -> float | None:
    """Read the seconds that the provider asks to wait, sent as seconds or as a date.

    A date is a moment by the server's clock, and so is the answer's own `Date`. With our clock in
    its place, one that is wrong, or that a test has set, would wait for days, or not at all.
    """
    if not isinstance(error, StatusError) or error.retry_after is None:
        return None
    try:
        seconds = float(error.retry_after)
    except ValueError:
        when = _http_date(error.retry_after)
        if when is None:
            return None
        answered = None if error.date is None else _http_date(error.date)
        # Subtracted as they are: converted, a date near the year 9999 would overflow.
        seconds = (when - (answered or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # HTTP's dates are in GMT, also when they do not say so.
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date
