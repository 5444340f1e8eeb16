"""How long a window must be to bring about a thousand records, from what came back so far.

The next window is as long as a thousand records took in the last few days: one steady rate,
whatever the hour. That takes as many requests as the best windows of one length. A rate that
follows each answer is late, as dozens of windows are chosen before the first answer is there: a
quiet night would make the morning's windows far too long. `tests/bench/windows.py` counts both.

A window that is too long all the same is cut in halves by `fetch`.
"""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING

import attrs

from boxis_async._run.windows import boundary
from boxis_async.models import OVERLAP, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from boxis_async._wire.wallclock import Span
    from boxis_async.models import CDR

__all__ = ["AdaptiveWindows", "Traffic"]

# An answer of so many records is read in some tens of milliseconds. With fewer, the cost of the
# request itself begins to count.
_RECORDS = 1000
_SHORTEST, _LONGEST = timedelta(minutes=1), timedelta(days=31)
# What was seen three days ago counts half. With a day, Sunday makes Monday's windows too
# long, the largest by half. With a week, a tenant that falls silent costs 1.3 times as many
# requests as the best windows of one length; with three days 1.1.
_HALF_LIFE = timedelta(days=3)
# Before anything is known, assume 1.5 hours of traffic at one full answer (1,000 records) a day.
# As we aim at a quarter of an answer then, see `_length`, the first window is six hours.
_DAY, _GUESS = timedelta(days=1), timedelta(hours=1.5)
# Never have more than four times the time in flight that is completed. A quiet tenant still reaches
# windows of 31 days in five requests, and a busy one is noticed before its windows are too long.
_GROWTH = 4
# The last window of a span may be half as long again, rather than leave a small rest.
_LAST = 1.5


@attrs.define(eq=False, repr=False)
class Traffic:
    """How many records a tenant had lately, and in how much time."""

    records: float = 0.0
    seen: timedelta = timedelta(0)

    def learn(self, window: Window, records: int) -> None:
        """Add a window that came back, and let what was known before fade by its length."""
        kept = 0.5 ** (window.length / _HALF_LIFE)
        self.records = self.records * kept + records
        self.seen = self.seen * kept + window.length


class AdaptiveWindows:
    """The windows of a range, each as long as it takes, chosen when it is about to be requested.

    Args:
        spans: The parts of the range to ask for.
        uncut: The spans inside which no window may end.
        traffic: What is known of the tenant's calls.
        row_limit: Gives the number of records at which an answer may be cut off. It may become
            known while the windows are fetched.
        overlap: By how much neighbours overlap.
    """

    def __init__(
        self,
        spans: Iterable[Span],
        uncut: Sequence[Span],
        traffic: Traffic,
        row_limit: Callable[[], int | None],
        overlap: timedelta = OVERLAP,
    ) -> None:
        self._spans = deque(spans)
        self._uncut = uncut
        self._traffic = traffic
        self._row_limit = row_limit
        self._overlap = overlap
        # A window that is hardly longer than the overlap would ask for the same calls again.
        self._shortest = max(_SHORTEST, 2 * overlap)
        # How much time is in flight, and how much is over, whether it was seen or failed: to wait
        # for what fails would send one request at a time through an outage.
        self._ahead, self._over = timedelta(0), traffic.seen + _GUESS

    @property
    def left(self) -> bool:
        """Whether there is something left to request."""
        return bool(self._spans)

    def next(self, *, is_busy: bool) -> Window | None:
        """Choose the next window; None to wait for what comes back of those in flight."""
        start, end = self._spans[0]
        length = self._length()
        # Up to a day is one request while nothing is known, also if it is what a run before left
        # missing: then it reaches into what lies on either side, by the overlap.
        longest = _LAST * length if self._traffic.seen else _DAY + 2 * self._overlap
        until = end
        if end - start > min(longest, _LONGEST):
            is_guess = self._over < _DAY or self._ahead + length > _GROWTH * self._over
            if is_guess and is_busy:
                return None
            until = boundary((start + length).replace(microsecond=0), end, self._uncut)
        self._spans.popleft()
        if until < end:
            self._spans.appendleft((until - self._overlap, end))
        self._ahead += until - start
        return Window(start, until)

    def learn(self, window: Window, cdrs: Sequence[CDR]) -> None:
        """Learn from a window that came back: how many records started within it.

        A server that goes by a call's end, or ignores the dates, gives others too. A shorter window
        would bring no fewer of them.
        """
        records = 0
        if cdrs and window.start is not None and window.end is not None:
            # In the records' own zone, where Python compares the wall clocks.
            zone = cdrs[0].start.tzinfo
            first, last = window.start.replace(tzinfo=zone), window.end.replace(tzinfo=zone)
            records = sum(first <= cdr.start <= last for cdr in cdrs)
        self._traffic.learn(window, records)
        self._end_flight(window)

    def fail(self, window: Window) -> None:
        """Take note of a window that could not be had."""
        self._end_flight(window)

    def _end_flight(self, window: Window) -> None:
        self._ahead -= window.length
        self._over += window.length

    def _length(self) -> timedelta:
        limit = self._row_limit()
        target = _RECORDS if limit is None else min(_RECORDS, max(1, limit // 2))
        seen = self._traffic.seen + _GUESS
        records = self._traffic.records + target * (_GUESS / _DAY)
        # Until a day is over its busy hours may be still to come: aim lower.
        share = min(1.0, max(1 / _GROWTH, self._over / _DAY))
        length = seen * (share * target / records)
        return max(self._shortest, min(length, max(_DAY, _GROWTH * seen), _LONGEST))
