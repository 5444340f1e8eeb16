"""The provider's wall clock: local time ↔ moments.

The API takes and gives local times without an offset (page "Get Calls History"). Once a
year an hour of them comes twice, and once a year an hour never comes.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache, lru_cache
from typing import TYPE_CHECKING, TypeAlias

import attrs

from boxis_async._plain import is_attachable, plain_text, plain_zone
from boxis_async.errors import UsageError

if TYPE_CHECKING:
    from boxis_async.models import CDR

__all__ = [
    "YEARS",
    "Range",
    "Span",
    "WallClock",
    "epoch_of",
    "is_steady",
    "read_wall",
    "write_wall",
]

Span: TypeAlias = tuple[datetime, datetime]
"""Two wall times, from the first to the last."""

YEARS = range(1900, 3000)
"""The years in which a record's times lie: others are faults, and near the ends of what a datetime
holds, zones and sums raise what nobody expects."""

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
_WALL_LENGTH = len("2018-02-06 20:12:56")
_DAYS_REMEMBERED = 4096
# A duration that is so many seconds from a record's span, or nearer, is that span's.
_NEAR = 60
_HOURS_REMEMBERED = 4096
_HOUR_LENGTH = len("2018-02-06 20:")

# Clocks are turned back weeks apart; no offset is larger than a day.
_STEP = timedelta(days=7)
_MARGIN = timedelta(days=1)
_FIRST = datetime.min + 2 * _MARGIN  # noqa: DTZ901 - a wall time
_LAST = datetime.max - 2 * _MARGIN  # noqa: DTZ901 - a wall time

# `sip022.voice.boxis.net-1517944376.108168`: Asterisk writes [system name-]epoch.count.
_EPOCH = re.compile(r"(?:\A|-)([0-9]{9,11})\.[0-9]+\Z")


def read_wall(text: str) -> datetime:
    """Read a wall time as the provider writes it, `yyyy-mm-dd hh:mm:ss`.

    Raises:
        ValueError: The text has another form, or there is no such time.
    """
    # `fromisoformat` is fast, but takes far more forms than this one.
    if (
        len(text) != _WALL_LENGTH
        or text[4] != "-"
        or text[7] != "-"
        or text[10] != " "
        or text[13] != ":"
        or text[16] != ":"
    ):
        raise ValueError("not a time of the form yyyy-mm-dd hh:mm:ss")
    return datetime.fromisoformat(text)


def write_wall(wall: datetime) -> str:
    """Write a wall time the way the API takes it."""
    return wall.isoformat(" ", "seconds")


def is_steady(day: int, zone: tzinfo) -> bool:
    """Report whether no clock is changed on a day, given as an ordinal; and remember it."""
    try:
        return _known_steady(day, zone)
    except TypeError:
        # A zone without a hash, as those of dateutil, can be no key of what is remembered.
        return _steady(day, zone)


def _steady(day: int, zone: tzinfo) -> bool:
    midnight = datetime.combine(date.fromordinal(day), time(), zone)
    try:
        next_midnight = (midnight + _DAY).replace(fold=1)
        return midnight.utcoffset() == next_midnight.utcoffset()
    except OverflowError:
        return False


_known_steady = lru_cache(maxsize=_DAYS_REMEMBERED)(_steady)


@attrs.frozen(eq=False, repr=False)
class Range:
    """What the user asks for, on the provider's wall clock.

    `start` and `end` are what requests name: naive, in whole seconds. `clip_from`
    and `clip_to` are the user's own ends: in UTC when they were aware, else wall times.
    `not_before` and `not_after` are in UTC, and set only where that end lay in a repeated
    hour, all of which is then fetched. `repeated` lists the wall times that come twice in
    the range, from the first (in) to the last (out) of each hour, and `skipped` those that
    do not exist, where the clock is put forward.
    """

    start: datetime
    end: datetime
    clip_from: datetime
    clip_to: datetime
    not_before: datetime | None = None
    not_after: datetime | None = None
    repeated: tuple[Span, ...] = ()
    skipped: tuple[Span, ...] = ()

    @property
    def uncut(self) -> tuple[Span, ...]:
        """The spans inside which no two windows may part, in order.

        Windows overlap by a second, so that one which began just behind a skipped hour would begin
        in it. Where it begins then, every server decides for itself.
        """
        around = ((first - _SECOND, last + _SECOND) for first, last in self.skipped)
        return tuple(sorted([*self.repeated, *around]))

    def before_skipped(self, wall: datetime) -> datetime:
        """Give the latest wall time up to one that exists, or at which the range starts."""
        for first, last in self.skipped:
            if first <= wall < last:
                return max(self.start, first - _SECOND)
        return wall

    def earliest_from(self, wall: datetime) -> datetime:
        """Give the earliest wall time of what a request brings that begins at one."""
        for first, last in self.repeated:
            if first <= wall < last:
                return first
        return self.before_skipped(wall)

    def latest_up_to(self, wall: datetime) -> datetime:
        """Give the latest wall time of what a request brings that ends at one."""
        for first, last in self.repeated:
            if first <= wall < last:
                return last
        return wall

    @property
    def reaches_too_far(self) -> bool:
        """Whether more is fetched than was meant, so that records have to be left out."""
        return self.not_before is not None or self.not_after is not None

    def contains(self, cdr: CDR) -> bool:
        """Report whether a record's own span, distinguished in the repeated hour, meets the range.

        A span that cannot be distinguished, for want of an epoch or of a duration that fits,
        reaches over all the moments it may mean: no record is left out on a guess.
        """
        moments = [cdr.start] if cdr.end is None else [cdr.start, cdr.end]
        if _is_ambiguous(cdr.start) and epoch_of(cdr.uniqueid) is None:
            moments += [moment.replace(fold=fold) for moment in moments for fold in (0, 1)]
        elif cdr.end is not None and _may_end_later(cdr, cdr.end):
            moments.append(cdr.end.replace(fold=1))
        span = [moment.timestamp() for moment in moments]
        if self.not_before is not None and max(span) < self.not_before.timestamp():
            return False
        return self.not_after is None or min(span) <= self.not_after.timestamp()

    def is_trimmed(self, start: datetime, end: datetime) -> bool:
        """Report whether records of a part of the range may be left out for lying after its end."""
        return self.not_after is not None and any(
            hour[1] == self.end and hour[0] < end and start < hour[1] for hour in self.repeated
        )

    def starts_within(self, start: datetime) -> bool:
        """Report whether a record that starts then lies in `[clip_from, clip_to)`."""
        # Two aware datetimes of different zones compare as the moments they are.
        wall = start.replace(tzinfo=None)
        return (wall if self.clip_from.tzinfo is None else start) >= self.clip_from and (
            wall if self.clip_to.tzinfo is None else start
        ) < self.clip_to


class WallClock:
    """The local time of one zone, in both directions."""

    __slots__ = ("_hours", "_turned_back", "_within_hour", "zone")

    def __init__(self, timezone: str | tzinfo) -> None:
        """Look up a zone by its IANA name.

        Raises:
            UsageError: There is no such zone, or the system has no time zone database.
        """
        self.zone = _zone(timezone)
        self._turned_back: dict[int, bool] = {}
        # When hours begin, by how they are written: none of a day that has an hour twice.
        self._hours: dict[str, datetime] = {}
        self._within_hour = _within_hour()

    def now(self, clock: float) -> datetime:
        """Give the aware local time for a clock in Unix seconds."""
        return datetime.fromtimestamp(clock, self.zone)

    def settled(self, clock: float) -> datetime:
        """Give the wall time that is surely past at a clock in Unix seconds, naive.

        In a repeated hour that is its beginning: what comes after it may come again.
        """
        wall = _floored(self.now(clock).replace(tzinfo=None, fold=0))
        hour = self._repeated_hour(wall)
        return wall if hour is None else hour[0]

    def range(self, datefrom: date, dateto: date) -> Range:
        """Turn the user's two ends into the range to ask for.

        Aware datetimes are converted, naive ones are taken as the provider's wall clock,
        dates as midnight. The start is floored and the end raised to the whole second.

        Raises:
            UsageError: The start lies after the end, or an end is past what a datetime holds.
        """
        given_from, given_to = _given(datefrom), _given(dateto)
        try:
            first, last = self._wall(given_from), self._wall(given_to)
            start, end = _floored(first), _raised(last)
        except OverflowError as error:
            raise UsageError(
                f"datefrom ({datefrom}) or dateto ({dateto}) lies too near to the end of "
                "time: give one within the years 2 to 9998"
            ) from error
        if _is_later((given_from, first), (given_to, last)):
            raise UsageError(
                f"datefrom ({datefrom}) lies after dateto ({dateto}): give the earlier one first"
            )
        not_before = not_after = None
        if given_from.tzinfo is not None and (hour := self._repeated_hour(start)):
            start, not_before = hour[0], _floored(given_from)
        if given_to.tzinfo is not None and (
            hour := self._repeated_hour(end) or self._repeated_hour(last)
        ):
            end, not_after = hour[1], _raised(given_to)
        repeated, skipped = self._changes_between(start, end)
        return Range(start, end, given_from, given_to, not_before, not_after, repeated, skipped)

    def range_until_now(self, datefrom: date, clock: float) -> Range:
        """Turn the user's start into the range that ends now, by a clock in Unix seconds.

        Raises:
            UsageError: The start lies after now, or is past what a datetime holds.
        """
        now = self.now(clock)
        given = _given(datefrom)
        with suppress(OverflowError):  # which `range` reports
            if _is_later((given, self._wall(given)), (_given(now), self._wall(now))):
                raise UsageError(
                    f"datefrom ({datefrom}) lies after dateto, which is now "
                    f"({now:%Y-%m-%d %H:%M:%S%z}): give an earlier one, or dateto too; or is the "
                    "clock of this machine wrong?"
                )
        return self.range(datefrom, now)

    def moment(self, text: str) -> datetime:
        """Read a wall time of a day without a repeated hour, as nearly all are, and that fast.

        Raises:
            KeyError: It is another one, or none at all: leave it to `read_wall` and `moments`.
        """
        hour = text[:_HOUR_LENGTH]
        began = self._hours.get(hour) or self._begin(hour)
        return began + self._within_hour[text[_HOUR_LENGTH:]]

    def moments(
        self, start: datetime, answer: datetime | None, end: datetime | None, uniqueid: str
    ) -> tuple[datetime, datetime | None, datetime | None]:
        """Determine which moments the wall times of one record mean, as aware datetimes.

        In the repeated hour a start is the earliest occurrence not before the epoch inside
        the `uniqueid` (without one, the first), and answer and end are the earliest not
        before the start. A time that does not exist in spring is carried as sent.
        """
        began = start.replace(tzinfo=self.zone)
        answered = None if answer is None else answer.replace(tzinfo=self.zone)
        ended = None if end is None else end.replace(tzinfo=self.zone)
        if self._is_turned_back_on(began) and (epoch := epoch_of(uniqueid)) is not None:
            began = _earliest(began, epoch)
        if answered is not None and self._is_turned_back_on(answered):
            answered = _earliest(answered, began.timestamp())
        if ended is not None and self._is_turned_back_on(ended):
            ended = _earliest(ended, began.timestamp())
        return began, answered, ended

    def _wall(self, given: datetime) -> datetime:
        if given.tzinfo is None:
            return given
        return given.astimezone(self.zone).replace(tzinfo=None, fold=0)

    def _begin(self, hour: str) -> datetime:
        """Read when an hour begins, and remember it."""
        try:
            began = read_wall(f"{hour}00:00")
        except ValueError:
            raise KeyError(hour) from None
        moment = began.replace(tzinfo=self.zone)
        # The hour 24 of a day, which some Pythons read, is not one that a time may lie in.
        if (
            write_wall(began)[:_HOUR_LENGTH] != hour
            or began.year not in YEARS
            or self._is_turned_back_on(moment)
        ):
            raise KeyError(hour)
        if len(self._hours) >= _HOURS_REMEMBERED:
            self._hours.clear()
        self._hours[hour] = moment
        return moment

    def _is_turned_back_on(self, moment: datetime) -> bool:
        """Report whether the clock is turned back on the day of a moment, and remember it."""
        day = moment.toordinal()
        known = self._turned_back.get(day)
        if known is None:
            midnight = datetime.combine(moment.date(), time(), self.zone)
            try:
                # An hour repeated around midnight belongs to the day that it began on.
                known = _offset(midnight) > _offset((midnight + _DAY).replace(fold=1))
            except OverflowError:
                known = False
            if len(self._turned_back) >= _DAYS_REMEMBERED:
                self._turned_back.clear()
            self._turned_back[day] = known
        return known

    def _repeated_hour(self, wall: datetime) -> Span | None:
        """Find the repeated wall times around one, from the first (in) to the last (out)."""
        wall = _floored(wall)
        first = wall.replace(tzinfo=self.zone, fold=0)
        if not _is_ambiguous(first):
            return None
        before, after = _offset(first), _offset(first.replace(fold=1))
        # The clock is turned back somewhere between the two moments that the wall time means.
        return self._hour_between(_utc(wall - before), _utc(wall - after))

    def _changes_between(
        self, start: datetime, end: datetime
    ) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
        """List the wall times between two that come twice, and those that do not exist."""
        repeated: list[Span] = []
        skipped: list[Span] = []
        low, last = (_utc(min(max(wall, _FIRST), _LAST)) for wall in (start, end))
        low, last = low - _MARGIN, last + _MARGIN
        while low < last:
            high = last if last - low <= _STEP else low + _STEP
            before, after = _offset(low.astimezone(self.zone)), _offset(high.astimezone(self.zone))
            if before != after:
                first, second = self._hour_between(low, high)
                if before > after:
                    repeated.append((first, second))
                else:
                    skipped.append((second, first))
            low = high
        return (
            tuple(hour for hour in repeated if hour[1] > start and hour[0] < end),
            # The first of the times that do not exist may be the end.
            tuple(hour for hour in skipped if hour[1] > start and hour[0] <= end),
        )

    def _hour_between(self, low: datetime, high: datetime) -> Span:
        """Find the wall times that come twice, where the clock is turned back in between.

        Where it is put forward, they are those that do not exist, the last before the first.
        """
        before = _offset(low.astimezone(self.zone))
        after = _offset(high.astimezone(self.zone))
        while high - low > _SECOND:
            middle = (low + (high - low) / 2).replace(microsecond=0)
            if _offset(middle.astimezone(self.zone)) == before:
                low = middle
            else:
                high = middle
        change = high.replace(tzinfo=None)
        return change + after, change + before


@cache
def _within_hour() -> dict[str, timedelta]:
    """Give how far into an hour a time lies, by its minutes and seconds; made when first needed."""
    return {
        f"{minutes:02}:{seconds:02}": timedelta(minutes=minutes, seconds=seconds)
        for minutes in range(60)
        for seconds in range(60)
    }


def _zone(timezone: str | tzinfo) -> tzinfo:
    if isinstance(timezone, tzinfo):
        name = type(timezone).__name__
        try:
            zone = plain_zone(timezone)
            has_offset = is_attachable(zone)
        except NotImplementedError as error:
            raise UsageError(f"timezone {name} has no offset from UTC") from error
        except Exception as error:  # whatever the code of others raises
            raise UsageError(f"timezone {name} has no offset from UTC: {error}") from error
        if not has_offset:
            raise UsageError(
                f"timezone {name} has no offset from UTC that goes by the wall clock: give an IANA "
                "name such as 'Europe/Zurich', or a zoneinfo.ZoneInfo"
            )
        return zone
    # Here, as it reads how Python was built to know where the zones are: that would be a tenth of
    # the time that importing this package takes on top of what it stands on.
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415

    try:
        return ZoneInfo(plain_text(timezone))
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError, AttributeError) as error:
        raise UsageError(
            f"timezone {timezone!r} is not known: give an IANA name such as 'Europe/Zurich', "
            "and install the package tzdata where the system has no time zone database"
        ) from error


def _given(end: date) -> datetime:
    """Give the user's end exactly as meant: in UTC when aware, else as a wall time."""
    if not isinstance(end, datetime):
        return datetime.combine(end, time())
    try:
        if end.utcoffset() is None:
            return end.replace(tzinfo=None, fold=0)
        return end.astimezone(UTC)
    except OverflowError as error:
        raise UsageError(f"{end} lies too near to the end of time") from error
    except NotImplementedError as error:
        raise UsageError("a datetime's tzinfo has no offset from UTC") from error


def _is_later(one: Span, other: Span) -> bool:
    """Report whether one end lies after another, each as it was given and as a wall time."""
    comparable = one[0].tzinfo is not None and other[0].tzinfo is not None
    return one[0] > other[0] if comparable else one[1] > other[1]


def _utc(wall: datetime) -> datetime:
    return wall.replace(tzinfo=UTC)


def _floored(exact: datetime) -> datetime:
    return exact.replace(microsecond=0)


def _raised(exact: datetime) -> datetime:
    return exact.replace(microsecond=0) + _SECOND if exact.microsecond else exact


def _offset(moment: datetime) -> timedelta:
    return moment.utcoffset() or timedelta(0)


def _is_ambiguous(moment: datetime) -> bool:
    # In spring's gap the offsets differ too, but the other way round.
    return _offset(moment.replace(fold=0)) > _offset(moment.replace(fold=1))


def _may_end_later(cdr: CDR, end: datetime) -> bool:
    """Report whether an end, read as the first moment after the start, may be the one after that.

    The duration tells. It need not equal the span to the second, but a repeated hour is longer than
    what it differs by.
    """
    if end.fold or not _is_ambiguous(end):
        return False
    lasted = end.timestamp() - cdr.start.timestamp()
    return cdr.duration is None or abs(cdr.duration - lasted) > _NEAR


def epoch_of(uniqueid: str) -> int | None:
    """Read the moment at which the caller's channel began, in Unix seconds, if it is there."""
    found = _EPOCH.search(uniqueid)
    return None if found is None else int(found[1])


def _earliest(moment: datetime, not_before: float) -> datetime:
    """Choose the earliest occurrence of a wall time not before a moment, else the last one."""
    if not _is_ambiguous(moment):
        return moment
    first = moment.replace(fold=0)
    return first if first.timestamp() >= not_before else moment.replace(fold=1)
