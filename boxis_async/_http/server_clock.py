"""The provider's clock, as its answers show it: ours, and an offset.

The provider refuses a timestamp that is far from its own clock, and says what its clock is (the
page's PHP sample); `answers.py` raises that as a `ClockError`. Only such a refusal sets the clock
that requests are signed by: one that the server accepts is right enough.

Every answer shows the server's clock too, in whole seconds, and some time after it was read. So
the two clocks may be apart, or the answer was slow. They count as apart only if they surely are.
Then a range without an end ends by the later of the two, and what is at rest is counted from the
earlier: nothing is left out, and nothing is sealed that has not come.

What a server names is an input like any other. A time that is not within ten years of ours is no
clock, and changes nothing.
"""

from __future__ import annotations

import logging
import time
from typing import Final

__all__ = ["ServerClock"]

logger = logging.getLogger("boxis_async")

_TEN_YEARS: Final = 10 * 365.25 * 86400
_NEAR: Final = 1.0
"""Clocks that are so many seconds apart count as one. Neighbouring windows overlap by as much, and
so do a sealed span and what is fetched after it: nothing of this second is lost."""


class ServerClock:
    """The clock that a client signs its requests by, and what is known of the server's."""

    __slots__ = ("_apart", "_offset", "corrections", "observed_offset")

    def __init__(self) -> None:
        self._offset = 0.0
        self._apart = 0.0
        self.corrections = 0
        """How often it was set."""
        self.observed_offset: float | None = None
        """Seconds by which the server's clock was ahead of ours in the latest answer, if known."""

    def now(self) -> float:
        """Give the time in Unix seconds that requests are signed by."""
        return time.time() + self._offset

    def ours(self) -> float:
        """Give the time in Unix seconds by the clock of this machine."""
        return time.time()

    def latest(self, ours: float | None = None) -> float:
        """Give the time in Unix seconds by the later of the two clocks.

        Args:
            ours: The moment that is meant, by the clock of this machine; None is now.
        """
        return (time.time() if ours is None else ours) + max(self._apart, 0.0)

    def earliest(self) -> float:
        """Give the time in Unix seconds by the earlier of the two clocks."""
        return time.time() + min(self._apart, 0.0)

    def is_clock(self, server_time: int | None) -> bool:
        """Report whether a time that the server names may be its clock."""
        return server_time is not None and abs(server_time - time.time()) <= _TEN_YEARS

    def observe(self, server_time: int | None, *, arrived: float, seconds: float) -> None:
        """Note what an answer says of the server's clock.

        Args:
            server_time: In Unix seconds; None if the answer does not say.
            arrived: When the answer arrived, by the clock of this machine.
            seconds: How long it took, from sending the request on.
        """
        if server_time is None or not self.is_clock(server_time):
            return
        self.observed_offset = least = server_time - arrived
        # It sends whole seconds, and read its clock at some moment since we sent the request.
        most = least + 1 + max(seconds, 0.0)
        self._apart = most if least > _NEAR else least if most < -_NEAR else 0.0

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
