"""One request, sent as often as its policy allows, until it is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import attrs

from boxis_async.hooks import RetryEvent, notify
from boxis_async.retry import attempts_on, should_retry

if TYPE_CHECKING:
    from collections.abc import Sized

    from boxis_async._http.request import Request
    from boxis_async._http.requester import Requester
    from boxis_async._wire.readers import Reader

    T = TypeVar("T", bound=Sized)

__all__ = ["Attempts"]


class Attempts:
    """The attempts at one request.

    Args:
        requester: Sends it.
        request: What is sent, not attempted yet; its options have the policy.

    Attributes:
        request: The latest attempt.
        failure: Why the latest attempt failed for which another one was possible, or None.
    """

    def __init__(self, requester: Requester, request: Request) -> None:
        self._requester = requester
        self.request = attrs.evolve(request, attempt=0)
        self.failure: Exception | None = None

    async def answer(self, reader: Reader[T]) -> T:
        """Send the request until it is answered, and give what a reader makes of the answer.

        Raises:
            BoxisError: What the last attempt came to.
        """
        request = self.request
        what = f"{request.section}/{request.action}"
        if request.window is not None:
            what = f"window {request.window}"
        attempts = attempts_on(
            request.options.retry, self._should_retry, what=what, before_retry=self._notify
        )
        async for attempt in attempts:
            with attempt:
                if self.failure is not None and request.window_timeout.is_over:
                    # The wait used up what was left: the failure says more than that.
                    raise self.failure
                request.window_timeout.check()
                self.request = attrs.evolve(request, attempt=attempt.num)
                request.counts.retries += attempt.num > 1
                return await self._requester.request(self.request, reader)
        raise AssertionError("stamina ends with a result or an error")

    def _should_retry(self, error: Exception) -> bool | float:
        """Report whether the request may be sent again, or after how many seconds."""
        request = self.request
        wait = should_retry(request.options.retry, error)
        if wait is False:
            return False
        self.failure = request.counts.last_failure = error
        return False if request.window_timeout.is_over else wait

    def _notify(self, error: Exception) -> None:
        """Call the hook, as the request will be sent again."""
        request = self.request
        event = RetryEvent(
            section=request.section,
            action=request.action,
            window=request.window,
            attempt=request.attempt,
            tenant=request.tenant,
            error=error,
        )
        notify(self._requester.hooks.on_retry, event)
