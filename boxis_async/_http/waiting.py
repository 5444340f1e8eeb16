"""Until when an attempt may take, and how it waits for a place in the pool of a lent client."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Protocol

import anyio

if TYPE_CHECKING:
    from boxis_async.types import HTTPClient

__all__ = ["Limits", "Queue", "places"]

logger = logging.getLogger("boxis_async")


class Limits:
    """Until when one form may take."""

    __slots__ = ("_end", "scope", "timeout")

    def __init__(self, timeout: float, within: float) -> None:
        now = anyio.current_time()
        self.timeout = min(timeout, within)
        self._end = now + within
        self.scope = anyio.CancelScope(deadline=now + self.timeout)

    def begin_anew(self) -> None:
        """Count the time-out from now on."""
        self.scope.deadline = min(anyio.current_time() + self.timeout, self._end)


class Waiting(Protocol):
    """An attempt over a lent client."""

    @property
    def has_begun(self) -> bool:
        """Whether the client has begun with it, by connecting or sending."""
        ...

    @property
    def limits(self) -> Limits:
        """Until when it may take."""
        ...


class Queue:
    """The attempts over a lent client, some of which may wait for a place in its pool.

    Such a wait is no attempt yet. It would use up the time-out of windows that were never sent.
    """

    __slots__ = ("_attempts", "_is_logged")

    def __init__(self) -> None:
        self._attempts: set[Waiting] = set()
        self._is_logged = False

    def enter(self, attempt: Waiting) -> None:
        """Note that an attempt is handed to the client."""
        self._attempts.add(attempt)

    def leave(self, attempt: Waiting) -> None:
        """Note the end of an attempt, which makes a place for one that waits."""
        self._attempts.discard(attempt)
        if attempt.has_begun:
            for other in self._attempts:
                if not other.has_begun:
                    other.limits.begin_anew()

    def log(self) -> None:
        """Log once that there are more requests than places."""
        if not self._is_logged:
            self._is_logged = True
            logger.warning(
                "the http_client that was passed in has fewer connections than this client has "
                "concurrency, so requests wait for a place: raise the one (httpx.Limits), or lower "
                "the other"
            )


def places(http_client: HTTPClient) -> float:
    """Give how many connections a lent client may open, as far as that can be known.

    httpx does not say, so we look. To see it from waits would take it for too few again and again:
    httpcore hands one idle connection to several requests, and lets all but one wait.
    """
    pool = getattr(getattr(http_client, "_transport", None), "_pool", None)
    most = getattr(pool, "_max_connections", None)
    return most if isinstance(most, int) else math.inf
