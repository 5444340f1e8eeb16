"""How long a window must be to bring about a thousand records, from what came back so far.

Telephones follow the week: nights are quiet, Monday at nine is not. So what is learned is a
rate for each hour of the week, by the wall clock. Where an hour was not seen yet, the same
hour of other days stands in for it, and before that the shape of a week in an office.
"""

from __future__ import annotations

from collections import Counter, deque
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from boxis_async._run.windows import boundary
from boxis_async.models import CDR, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from boxis_async._wire.wallclock import Span

__all__ = ["SizedWindows", "Traffic"]

# An answer of so many records is read in some tens of milliseconds, and costs the server little;
# with fewer, what each request costs by itself begins to count.
_RECORDS = 1000
# The last window of a span may be so much larger, rather than leave a crumb.
_LAST = 1.5
_SHORTEST, _LONGEST = timedelta(minutes=1), timedelta(days=31)
# While nothing is known: a range that is asked for at once, and else the first window. And how
# much longer than all that was seen the next may be: what is far beyond it is a guess.
_AT_ONCE, _FIRST = timedelta(days=1), timedelta(hours=6)
_GROWTH = 4.0
# After so many sightings of an hour the older ones count half.
_HALF_LIFE = 3.0
# What stands in for an hour counts as much as so many hours seen.
_STAND_IN = 1.0
# The latest windows say whether it is busier than expected, or calmer: the weight of the one
# before, so many records that must be amiss to matter, and how much of either is believed. Where
# an hour was seen, itself or on like days, calm in others says little of it.
_FADING, _NOISE, _BUSIER, _CALMER, _OWN = 0.7, 50.0, 4.0, 0.05, 2.0
# Of so many windows the longest is the measure for how long the next may be.
_RECENT = 16

_HOUR = timedelta(hours=1)
_WEEK = 7 * 24
_WORKING_DAYS = 5
_OFFICE = (
    *(0.05,) * 7,
    0.5,
    *(1.0,) * 4,
    0.6,
    *(1.0,) * 4,
    0.6,
    *(0.2,) * 4,
    *(0.05,) * 2,
)
_SHAPE = tuple(
    share * (1.0 if day < _WORKING_DAYS else 0.25) for day in range(7) for share in _OFFICE
)
# The same hour of like days: Monday to Friday, or the weekend.
_WEEKEND = _WORKING_DAYS * 24
_LIKE = tuple(
    range(at % 24, _WEEKEND, 24) if at < _WEEKEND else range(_WEEKEND + at % 24, _WEEK, 24)
    for at in range(_WEEK)
)
# Before anything is known: an office with so many records in a busy hour, on slight evidence.
_GUESS, _EVIDENCE = 100.0, 0.05


class SizedWindows:
    """The windows of a range, each as long as it takes, chosen when it is to be asked for.

    Args:
        spans: The parts of the range that are to be asked for.
        repeated: The repeated hours, inside which no boundary lies.
        traffic: What is known of the tenant's calls; it learns from what comes back.
        row_limit: From how many records on an answer may be cut off.
    """

    def __init__(
        self,
        spans: Iterable[Span],
        repeated: Sequence[Span],
        traffic: Traffic,
        row_limit: int | None,
    ) -> None:
        self._spans = deque(spans)
        self._repeated = repeated
        self._traffic = traffic
        self._recent: deque[timedelta] = deque(maxlen=_RECENT)
        self._failed = timedelta(0)
        self._records = _RECORDS if row_limit is None else min(_RECORDS, max(1, row_limit // 2))

    @property
    def left(self) -> bool:
        """Whether there is something left to ask for."""
        return bool(self._spans)

    def next(self, *, is_busy: bool) -> Window | None:
        """Choose the next window; None to wait for what comes back of those that are under way."""
        start, end = self._spans[0]
        until = self._until(start, end)
        # To wait for what is never known would send one request at a time through an outage.
        limit = self._traffic.limit + _GROWTH * self._failed
        if until - start > limit and not (until == end and end - start <= _AT_ONCE):
            if is_busy:
                return None
            until = start + limit
        elif until - start > (step := _GROWTH * max(self._recent, default=limit)):
            until = start + step
        self._recent.append(until - start)
        until = boundary(until, end, self._repeated)
        if until == end:
            self._spans.popleft()
        else:
            self._spans[0] = (until, end)
        return Window(start, until)

    def learn(self, window: Window, cdrs: Sequence[CDR]) -> None:
        """Learn from a window that came back, with its records."""
        self._traffic.learn(window, _starts_within(window, cdrs))

    def fail(self, window: Window) -> None:
        """Take note of a window that could not be had: of so much time nothing will be known."""
        self._failed += window.length

    def _until(self, start: datetime, end: datetime) -> datetime:
        latest = end if end - start <= _LONGEST else start + _LONGEST
        until = self._traffic.reach(start, latest, self._records)
        if until < latest == end == self._traffic.reach(start, end, _LAST * self._records):
            return end
        if until - start < _SHORTEST:
            return latest if latest - start <= _SHORTEST else start + _SHORTEST
        return until.replace(microsecond=0)


class Traffic:
    """How many records a tenant has in each hour of the week, as far as it was seen."""

    def __init__(self) -> None:
        self._records = [0.0] * _WEEK
        self._hours = [0.0] * _WEEK
        # What follows from what was learned, computed when it is asked for.
        self._rates: list[float] | None = None
        self._outlook: list[float] | None = None
        self._expected = self._got = 0.0
        self.seen = timedelta(0)
        """How much time it was seen for, in all."""

    @property
    def limit(self) -> timedelta:
        """How long a window may be: not far beyond all that was seen."""
        return max(_FIRST, _GROWTH * self.seen)

    def learn(self, window: Window, starts: Iterable[datetime]) -> None:
        """Learn from a window, and from when its records started."""
        if window.start is None or window.end is None:
            return
        counts = Counter(start.weekday() * 24 + start.hour for start in starts)
        passed = list(_hours(window.start, window.end))
        rates = self._rates_now()
        self._expected *= _FADING
        self._got *= _FADING
        self._expected += sum(rates[at] * share for at, _, share in passed)
        self._got += counts.total()
        seen_in: dict[int, float] = {}
        for at, _, share in passed:
            seen_in[at] = seen_in.get(at, 0.0) + share
        for at, seen in seen_in.items():
            older = 0.5 ** (seen / _HALF_LIFE)
            self._records[at] = self._records[at] * older + counts[at]
            self._hours[at] = self._hours[at] * older + seen
        self.seen += window.length
        self._rates = self._outlook = None

    def reach(self, start: datetime, end: datetime, records: float) -> datetime:
        """Tell when so many records will have started since a moment, or the end if fewer will."""
        outlook = self._outlook_now()
        for at, begin, share in _hours(start, end):
            expected = outlook[at] * share
            if expected >= records:
                return begin + share * _HOUR * (records / expected)
            records -= expected
        return end

    def _outlook_now(self) -> list[float]:
        """Give the rates that are to be expected next, for each hour of the week."""
        if self._outlook is None:
            self._outlook = self._outlook_anew()
        return self._outlook

    def _outlook_anew(self) -> list[float]:
        level = (self._got + _NOISE) / (self._expected + _NOISE)
        if level >= 1:
            return [rate * min(level, _BUSIER) for rate in self._rates_now()]
        level = max(level, _CALMER)
        hours = self._hours
        return [
            rate * level ** (1 / (1 + _OWN * sum(hours[other] for other in like)))
            for rate, like in zip(self._rates_now(), _LIKE, strict=True)
        ]

    def _rates_now(self) -> list[float]:
        if self._rates is None:
            hours, records = self._hours, self._records
            offices = _EVIDENCE + sum(map(float.__mul__, hours, _SHAPE))
            busy = (sum(records) + _EVIDENCE * _GUESS) / offices
            self._rates = []
            for at, like in enumerate(_LIKE):
                rate = busy * _SHAPE[at]
                seen = sum(hours[other] for other in like)
                found = sum(records[other] for other in like)
                rate = (found + _STAND_IN * rate) / (seen + _STAND_IN)
                self._rates.append((records[at] + _STAND_IN * rate) / (hours[at] + _STAND_IN))
        return self._rates


def _starts_within(window: Window, cdrs: Sequence[CDR]) -> list[datetime]:
    """List when records started, of those that did so within their window.

    A server may give others too, as it goes by a call's end or minds no dates at all: a shorter
    window would bring no fewer of them.
    """
    if not cdrs or window.start is None or window.end is None:
        return []
    # In the records' own zone, where Python compares the wall clocks.
    zone = cdrs[0].start.tzinfo
    first, last = window.start.replace(tzinfo=zone), window.end.replace(tzinfo=zone)
    return [start for cdr in cdrs if first <= (start := cdr.start) <= last]


def _hours(start: datetime, end: datetime) -> Iterator[tuple[int, datetime, float]]:
    """Part a span by the hours of the week: which, from when, and how much of it."""
    at = start.weekday() * 24 + start.hour
    begin = start
    edge = start.replace(minute=0, second=0)
    while begin < end:
        # Compared as what is left: the hour may end beyond the year 9999.
        edge = end if end - edge <= _HOUR else edge + _HOUR
        yield at, begin, (edge - begin) / _HOUR
        begin, at = edge, (at + 1) % _WEEK
