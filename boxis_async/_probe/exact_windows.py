"""One exact window: sent with retries, but not in halves, and with every record kept as it came.

A requester begins the time of a window once for each request that it sends. So a time that counts
bounds all requests of a probe, also those that a requester sends again by itself because the clock
was refused.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from boxis_async._http.attempts import Attempts
from boxis_async._http.request import Request, RequestCounts, WindowTimeout
from boxis_async._wire.readers import RecordsReader
from boxis_async._wire.records import Fingerprinter, Records, make_converter
from boxis_async.errors import (
    BadAnswerError,
    BoxisError,
    NoAnswerError,
    RefusedError,
    WindowError,
)
from boxis_async.models import Window

if TYPE_CHECKING:
    from boxis_async._http.request import Options
    from boxis_async._http.requester import Requester
    from boxis_async._run.date_rules import Ends
    from boxis_async._wire.cooperative import Steps
    from boxis_async._wire.messages import Reply
    from boxis_async._wire.readers import Convert
    from boxis_async._wire.wallclock import WallClock
    from boxis_async.types import ReturnType

__all__ = ["Allowance", "ExactWindows", "NoRequestLeftError"]


class NoRequestLeftError(BoxisError):
    """As many requests were sent as may be; it never leaves the probe."""


class Allowance:
    """How many requests may still be sent."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.sent = 0

    @property
    def left(self) -> int:
        """How many more may be sent."""
        return self.most - self.sent


class _CountedTimeout(WindowTimeout):
    """The time of a window, which also ends where no request is left.

    A requester begins it once for each request that it sends, and so also before it sends one again
    because the clock was refused.
    """

    __slots__ = ("_allowance",)

    def __init__(self, seconds: float, allowance: Allowance) -> None:
        super().__init__(seconds)
        self._allowance = allowance

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be sent: no time is left, or no request."""
        return super().is_over or not self._allowance.left

    def check(self) -> None:
        """Refuse to send anything once it is over.

        Raises:
            AttemptTimeoutError: No time is left.
            NoRequestLeftError: No request is.
        """
        super().check()
        if not self._allowance.left:
            raise NoRequestLeftError("max_requests are sent")

    def begin(self) -> float:
        """Count a request, and give the seconds left.

        Raises:
            AttemptTimeoutError: None are.
            NoRequestLeftError: No request is.
        """
        left = super().begin()
        self._allowance.sent += 1
        return left


class _Reader:
    """Reads the records of a window, and notes whether the answer was compressed."""

    def __init__(self, reader: RecordsReader) -> None:
        self._reader = reader
        self.compression: str | None = None

    @property
    def server_time(self) -> int | None:
        """The server's clock in Unix seconds, as the latest reply gave it."""
        return self._reader.server_time

    def read(self, reply: Reply) -> Steps[Records]:
        """Read a reply."""
        self.compression = reply.compression.strip().lower()
        return self._reader.read(reply)


class ExactWindows:
    """Sends one exact window: with retries, but not in halves, and keeping every record."""

    def __init__(  # noqa: PLR0913, PLR0917 - each is one thing that a request needs
        self,
        requester: Requester,
        options: Options,
        wall_clock: WallClock,
        returntype: ReturnType,
        tenant: str,
        max_requests: int,
    ) -> None:
        self._requester = requester
        self._options = options
        self._returntype: ReturnType = returntype
        self._tenant = tenant
        self.counts = RequestCounts()
        fingerprinter = Fingerprinter(secrets.token_bytes(16))
        converter = make_converter(wall_clock, fingerprinter)
        self._convert: Convert = converter.get_structure_hook(Records)
        self.allowance = Allowance(max_requests)
        self.compression: str | None = None

    @property
    def clock_offset(self) -> float | None:
        """Seconds by which the provider's clock is ahead, by the latest answer."""
        return self._requester.clock.observed_offset

    async def fetch(self, ends: Ends) -> Records:
        """Fetch the records between two dates, in the order in which they came.

        Raises:
            WindowError: The window failed for good.
            NoRequestLeftError: It was not answered by as many requests as may be sent.
        """
        window = Window(*ends)
        reader = _Reader(RecordsReader(self._convert, self._returntype, window=window))
        request = Request.of_window(
            window,
            self._tenant,
            window_timeout=_CountedTimeout(self._options.retry.timeout, self.allowance),
            counts=self.counts,
            options=self._options,
        )
        attempts = Attempts(self._requester, request)
        try:
            records = await attempts.answer(reader)
        except (NoAnswerError, BadAnswerError, RefusedError) as error:
            raise self._failed(error, window, attempts.request.attempt) from error
        except NoRequestLeftError:
            if (failure := attempts.failure) is None:
                raise
            # The clock was refused, and what failed before says more.
            raise self._failed(failure, window, attempts.request.attempt - 1) from failure
        self.compression = reader.compression
        return records

    def _failed(self, error: Exception, window: Window, attempts: int) -> WindowError:
        return WindowError.of(error, window=window, tenant=self._tenant, attempts=attempts)
