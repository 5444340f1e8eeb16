"""The range of a report: its ends, the span before, its days, weeks or months, and its gaps.

Ends without a zone are readings of the provider's clock, as everywhere in the library. Lengths are
real time: a day on which the clock changes has 23 or 25 hours, and so has its part of the heat map.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import attrs

from boxis_async import UsageError
from boxis_async.moments import read_date

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Covered", "Period", "Range", "Unit", "make_range", "periods_of"]

Unit: TypeAlias = Literal["day", "week", "month"]

HOURS: Final = 7 * 24
"""The hours of a week: the cells of the heat map."""

_DAY: Final = timedelta(days=1)
# So many bars can be told apart on a page, and so many lines of their table are read.
_MOST_DAYS: Final = 62
_MOST_WEEKS: Final = 62
_LONGEST: Final = timedelta(days=50 * 366)
# The offset of no zone changes between two quarters of an hour.
_STEP: Final = 900
_CALLED_BACK_WITHIN: Final = timedelta(days=7)


@attrs.frozen
class Range:
    """From when to when, in a zone."""

    datefrom: datetime
    dateto: datetime
    zone: tzinfo

    def contains(self, start: datetime) -> bool:
        """Say whether a call that starts then belongs to the range."""
        return not _is_before(start, self.datefrom) and _is_before(start, self.dateto)

    @property
    def first(self) -> float:
        """Give the start in Unix seconds."""
        return self.moment(self.datefrom).timestamp()

    @property
    def last(self) -> float:
        """Give the end in Unix seconds."""
        return self.moment(self.dateto).timestamp()

    def moment(self, end: datetime) -> datetime:
        """Give an end as a moment in the zone."""
        return end.replace(tzinfo=self.zone) if end.tzinfo is None else end.astimezone(self.zone)

    def before(self) -> Range:
        """Give the span before: as many months if these are whole, else as long a time."""
        first, last = self._wall(self.datefrom), self._wall(self.dateto)
        months = 12 * (last.year - first.year) + last.month - first.month
        if _begins_month(first) and _begins_month(last) and months:
            earlier = _months_earlier(first, months)
        else:
            earlier = first - (last - first)
        return Range(earlier, self.datefrom, self.zone)

    def after(self, now: datetime) -> datetime:
        """Give until when to look for calls that call somebody back: a week on, but not beyond now.

        Where the range itself ends later than now, that is its end.
        """
        end = min(self.moment(self.dateto) + _CALLED_BACK_WITHIN, now.astimezone(self.zone))
        return max(end, self.moment(self.dateto), key=datetime.timestamp)

    def whole_months(self) -> int:
        """Give of how many months it consists; 0 where it does not."""
        first, last = self._wall(self.datefrom), self._wall(self.dateto)
        if not (_begins_month(first) and _begins_month(last)):
            return 0
        return 12 * (last.year - first.year) + last.month - first.month

    def first_day(self) -> date:
        """Give the day of the first moment."""
        return self._wall(self.datefrom).date()

    def last_day(self) -> date:
        """Give the day of the last moment that belongs to the range."""
        return (self._wall(self.dateto) - timedelta(microseconds=1)).date()

    def is_whole_days(self) -> bool:
        """Say whether it begins and ends at a midnight."""
        return all(self._wall(end).time() == time() for end in (self.datefrom, self.dateto))

    def _wall(self, end: datetime) -> datetime:
        return self.moment(end).replace(tzinfo=None)


@attrs.frozen
class Period:
    """A day, a week or a month of the range, in days of the provider's clock."""

    first: date
    end: date
    """The day after the last."""


class Covered:
    """The spans of real time for which the calls are known.

    Args:
        range_: The range.
        until: When what is known ends, in Unix seconds.
        gaps: What is not known within: aware, or readings of the provider's clock.
    """

    def __init__(
        self, range_: Range, until: float, gaps: Iterable[tuple[datetime, datetime]] = ()
    ) -> None:
        self._zone = range_.zone
        spans = [(range_.first, min(until, range_.last))]
        for gap in gaps:
            first, last = (range_.moment(end).timestamp() for end in gap)
            spans = [
                part
                for begin, end in spans
                for part in ((begin, min(end, first)), (max(begin, last), end))
                if part[0] < part[1]
            ]
        self.spans: Sequence[tuple[float, float]] = sorted(
            span for span in spans if span[0] < span[1]
        )

    def seconds(self, first: float, last: float) -> float:
        """Give how much is known between two moments."""
        return sum(max(0.0, min(last, end) - max(first, begin)) for begin, end in self.spans)

    def of(self, period: Period, range_: Range) -> tuple[float, float]:
        """Give how many seconds a period has within the range, and how many of them are known."""
        first, last = (
            datetime.combine(day, time(), self._zone).timestamp()
            for day in (period.first, period.end)
        )
        first, last = max(first, range_.first), min(last, range_.last)
        return max(0.0, last - first), self.seconds(first, last)

    def hours(self) -> list[float]:
        """Give for each hour of a week, from Monday's first, how often it is known to have been.

        An hour that comes twice counts as two, and one that the clock leaves out as none.
        """
        found = [0.0] * HOURS
        for begin, end in self.spans:
            at = begin
            while at < end:
                then = min(end, at - at % _STEP + _STEP)
                local = datetime.fromtimestamp(at, self._zone)
                found[24 * local.weekday() + local.hour] += (then - at) / 3600
                at = then
        return found


def make_range(datefrom: date, dateto: date, zone: tzinfo) -> Range:
    """Make a range of two ends.

    Raises:
        UsageError: An end is wrong, or it is empty, or longer than fifty years.
    """
    ends = _as_datetime("datefrom", datefrom), _as_datetime("dateto", dateto)
    range_ = Range(*ends, zone)
    try:
        length = range_.last - range_.first
    except (OverflowError, ValueError) as error:
        raise UsageError(f"{datefrom} to {dateto} lies too near to the end of time") from error
    if length <= 0:
        raise UsageError(f"the range is empty: dateto ({dateto}) must be after {datefrom}")
    if length > _LONGEST.total_seconds():
        raise UsageError(f"{datefrom} to {dateto} is too long for a report: at most 50 years")
    return range_


def periods_of(range_: Range) -> tuple[Unit, list[Period]]:
    """Divide a range into days; a longer one into weeks from Monday, or into months."""
    first, end = range_.first_day(), range_.last_day() + _DAY
    if (end - first).days <= _MOST_DAYS:
        return "day", _between(_days(first, end))
    if (end - first).days <= 7 * _MOST_WEEKS:
        return "week", _between(_weeks(first, end))
    return "month", _between(_months(first, end))


def _between(ends: Iterable[date]) -> list[Period]:
    return [Period(*pair) for pair in pairwise(ends)]


def _days(first: date, end: date) -> Iterator[date]:
    return (first + number * _DAY for number in range((end - first).days + 1))


def _weeks(first: date, end: date) -> Iterator[date]:
    day = first
    while day < end:
        yield day
        day += (7 - day.weekday()) * _DAY
    yield end


def _months(first: date, end: date) -> Iterator[date]:
    day = first
    while day < end:
        yield day
        day = (day.replace(day=1) + 31 * _DAY).replace(day=1)
    yield end


def _begins_month(moment: datetime) -> bool:
    return moment.day == 1 and moment.time() == time()


def _months_earlier(first: datetime, months: int) -> datetime:
    year, month = divmod(12 * first.year + first.month - 1 - months, 12)
    return first.replace(year=max(1, year), month=month + 1)


def _as_datetime(name: str, value: date) -> datetime:
    end = read_date(name, value)
    return end if isinstance(end, datetime) else datetime.combine(end, time())


def _is_before(start: datetime, end: datetime) -> bool:
    # As the stream has it: ends without a zone go by the wall clock.
    if end.tzinfo is None:
        return start.replace(tzinfo=None) < end
    return start.astimezone(UTC) < end.astimezone(UTC)
