"""The provider's clock, as its answers show it: ours, and an offset.

The provider refuses a timestamp that is far from its own clock, and says what its clock is (the
page's PHP sample); `answers.py` raises that as a `ClockError`. Only such a refusal sets the offset:
a clock that the server accepts is right enough. What every other answer says is noted, for whoever
asks how far the clocks are apart.
"""

from __future__ import annotations

import logging
import time

__all__ = ["ServerClock"]

logger = logging.getLogger("boxis_async")


class ServerClock:
    """The clock that a client signs its requests by."""

    __slots__ = ("_offset", "corrections", "observed_offset")

    def __init__(self) -> None:
        self._offset = 0.0
        self.corrections = 0
        """How often it was set."""
        self.observed_offset: float | None = None
        """Seconds by which the server's clock was ahead of ours in the latest answer, if known."""

    def now(self) -> float:
        """Give the time in Unix seconds by the provider's clock."""
        return time.time() + self._offset

    def observe(self, server_time: int | None) -> None:
        """Note what an answer says of the server's clock, in Unix seconds."""
        if server_time is not None:
            self.observed_offset = server_time - time.time()

    def correct(self, server_time: int, *, seen: int) -> None:
        """Set the clock, unless another request did so since this one was signed.

        Args:
            server_time: The server's clock in Unix seconds.
            seen: `corrections` when the refused request was signed.
        """
        if seen == self.corrections:
            self._offset = server_time - time.time()
            self.corrections += 1
            logger.info("the clock is set by the server's, %+.0f s from ours", self._offset)
