"""Read dates as people write them. One rule: a word or a date is the moment at which it begins.

Nothing here looks at a clock: the present is an argument, aware, in the provider's zone.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "FORMS",
    "LENGTH_FORMS",
    "MONTH_FORMS",
    "DateRange",
    "parse_length",
    "parse_moment",
    "parse_month",
    "parse_range",
    "range_in_words",
    "starts_before",
    "write_length",
    "write_moment",
]

FORMS: Final = (
    "2026-10-01, 2026-10-01 08:00[:00][+02:00], 01.10.2026 [08:00], 2026-10, 2026, now, "
    "today, yesterday, tomorrow, this|last week|month|year, or how long ago: 30m, 12h, 7d, 2w"
)
MONTH_FORMS: Final = '2026-10, 10.2026, "this month" or "last month"'
LENGTH_FORMS: Final = "90s, 30m, 6h, 1d or 1w"

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(\d{1,6})([mhdw])", re.ASCII)
_LENGTH = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)
_YEAR = re.compile(r"(\d{4})", re.ASCII)
_MONTH = re.compile(r"(\d{4})-(\d{1,2})", re.ASCII)
_SWISS_MONTH = re.compile(r"(\d{1,2})\.(\d{4})", re.ASCII)
_CLOCK = r"(?:[ T](?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d))?"
_MOMENT = re.compile(
    r"(?:(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
    r"|(?P<swiss_day>\d{1,2})\.(?P<swiss_month>\d{1,2})\.(?P<swiss_year>\d{4}))"
    rf"{_CLOCK} ?(?P<offset>Z|[+-]\d\d:?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
_DAY = timedelta(days=1)
_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}
_PERIOD_STARTS: Final[dict[str, Callable[[datetime], datetime]]] = {
    "week": lambda day: day - day.weekday() * _DAY,
    "month": lambda day: day.replace(day=1),
    "year": lambda day: day.replace(month=1, day=1),
}


@attrs.frozen
class DateRange:
    """The range that a command line gives.

    Its moments are readings of the provider's clock, without a zone; or aware, where an offset was
    given, or where the end is now.
    """

    datefrom: datetime
    dateto: datetime
    is_month: bool = False
    """Whether it was given as a month, so that only the calls that start in it are meant."""
    is_open: bool = attrs.field(default=False, eq=False)
    """Whether it ends now because no end was given."""

    @property
    def until(self) -> datetime | None:
        """The end to ask for: None where it is now, by whichever clock is later."""
        return None if self.is_open else self.dateto

    def options(self) -> list[str]:
        """Write it as options, for a command that means the same on another day."""
        if self.is_month:
            return ["--month", self.datefrom.isoformat()[: len("2026-10")]]
        return ["--from", _in_full(self.datefrom), "--to", _in_full(self.dateto)]


def parse_range(
    datefrom: str | None, dateto: str | None, month: str | None, *, now: datetime
) -> DateRange | None:
    """Read the range options; None when there are none.

    Raises:
        ValueError: One cannot be read, they contradict each other, or the end comes first.
    """
    if month is not None:
        if datefrom is not None or dateto is not None:
            raise ValueError("--month is a whole range: leave out --from and --to")
        return DateRange(*parse_month(month, now=now), is_month=True)
    if datefrom is None:
        if dateto is None:
            return None
        raise ValueError("--to needs --from: give the start too")
    # Aware, as "now" in the autumn's repeated hour could be two moments otherwise.
    end = now.replace(microsecond=0) if dateto is None else parse_moment(dateto, now=now)
    found = DateRange(parse_moment(datefrom, now=now), end, is_open=dateto is None)
    first, last = (write_moment(moment, now.tzinfo) for moment in (found.datefrom, found.dateto))
    if _is_after(found.datefrom, found.dateto, now.tzinfo):
        end_text = "now, as --to is left out" if dateto is None else f"--to ({last})"
        raise ValueError(f"--from ({first}) is after {end_text}: give the earlier one first")
    return found


def parse_moment(text: str, *, now: datetime) -> datetime:
    """Read one date: a reading of the provider's clock, or aware where it has an offset or is now.

    Args:
        text: In one of `FORMS`; upper and lower case are the same.
        now: The present, aware, in the provider's zone.

    Raises:
        ValueError: It has another form, or there is no such date.
    """
    words = " ".join(text.lower().split())
    try:
        moment = _parse_relative(words, now)
        moment = _parse_absolute(words) if moment is None else moment
    except (ValueError, OverflowError) as error:
        raise ValueError(f"there is no such date as {text!r}: {error}") from error
    if moment is None:
        raise ValueError(f"{text!r} is not a date; write {FORMS}")
    return moment


def parse_month(text: str, *, now: datetime) -> tuple[datetime, datetime]:
    """Read a month; return its first moment, and that of the next month.

    Raises:
        ValueError: It is none of `MONTH_FORMS`.
    """
    words = " ".join(text.lower().split())
    try:
        first = _parse_month(words, now)
        after = None if first is None else _next_month(first)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"there is no such month as {text!r}: {error}") from error
    if first is None or after is None:
        raise ValueError(f"{text!r} is not a month; write {MONTH_FORMS}")
    return first, after


def parse_length(text: str) -> timedelta:
    """Read a length of time, such as `6h`.

    Raises:
        ValueError: It is none of `LENGTH_FORMS`, or zero.
    """
    found = _LENGTH.fullmatch(text.strip().lower())
    try:
        length = found and timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError:
        length = None
    if not length:
        raise ValueError(f"{text!r} is not a length of time; write {LENGTH_FORMS}")
    return length


def write_length(length: timedelta) -> str:
    """Write a length of whole seconds as `parse_length` reads it, in the largest unit that fits."""
    for unit, name in reversed(_UNITS.items()):
        count, rest = divmod(length, timedelta(**{name: 1}))
        if count and not rest:
            return f"{count}{unit}"
    raise AssertionError("a length is whole seconds, one or more")


def write_moment(moment: date, zone: tzinfo | None) -> str:
    """Write a moment as the clock of a zone shows it, `yyyy-mm-dd hh:mm:ss`."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return _wall_clock(moment, zone).isoformat(" ", "seconds")


def _in_full(moment: datetime) -> str:
    return moment.isoformat(" ", "seconds")


def range_in_words(dates: DateRange, zone: tzinfo | None) -> str:
    """Write a range for a heading: the days, both included, where it is whole days."""
    first, last = (
        datetime.fromisoformat(write_moment(moment, zone))
        for moment in (dates.datefrom, dates.dateto)
    )
    if first.time() == last.time() == time() and first < last:
        last -= _DAY
        if first == last:
            return f"on {first:%a %Y-%m-%d}"
        return f"from {first:%a %Y-%m-%d} to {last:%a %Y-%m-%d}"
    form = "%Y-%m-%d %H:%M" if not (first.second or last.second) else "%Y-%m-%d %H:%M:%S"
    return f"from {first:{form}} to {last:{form}}"


def starts_before(start: datetime, end: datetime) -> bool:
    """Report whether an aware moment lies before the end of a range, by the provider's clock."""
    return (start.replace(tzinfo=None) if end.tzinfo is None else start) < end


def _parse_relative(words: str, now: datetime) -> datetime | None:
    """Read a word or a length that counts from now; None for anything else."""
    if words == "now":
        return now.replace(microsecond=0)
    wall = now.replace(tzinfo=None, microsecond=0, fold=0)
    if found := _AGO.fullmatch(words):
        return wall - timedelta(**{_UNITS[found[2]]: int(found[1])})
    today = datetime.combine(wall.date(), time())
    if words in _DAYS:
        return today + _DAYS[words] * _DAY
    which, _, period = words.partition(" ")
    start_of = _PERIOD_STARTS.get(period)
    if start_of is None or which not in ("this", "last"):
        return None
    first = start_of(today)
    # The day before this week (month, year) is in the last one.
    return first if which == "this" else start_of(first - _DAY)


def _parse_absolute(words: str) -> datetime | None:
    """Read a date in figures; None for anything else."""
    if found := _YEAR.fullmatch(words):
        return _first_day(int(found[1]), 1)
    if found := _MONTH.fullmatch(words):
        return _first_day(int(found[1]), int(found[2]))
    found = _MOMENT.fullmatch(words)
    if found is None:
        return None
    year, month, day = (found[name] or found[f"swiss_{name}"] for name in ("year", "month", "day"))
    clock = (found[name] or "0" for name in ("hour", "minute", "second"))
    numbers = (f"{int(number):02}" for number in (month, day, *clock))
    # `fromisoformat` also reads the offset, and says what is wrong with a date.
    text = "{}-{}-{}T{}:{}:{}".format(year, *numbers) + (found["offset"] or "").upper()
    return datetime.fromisoformat(text)


def _parse_month(words: str, now: datetime) -> datetime | None:
    if words in ("this month", "last month"):
        return _parse_relative(words, now)
    if found := _MONTH.fullmatch(words):
        return _first_day(int(found[1]), int(found[2]))
    if found := _SWISS_MONTH.fullmatch(words):
        return _first_day(int(found[2]), int(found[1]))
    return None


def _first_day(year: int, month: int) -> datetime:
    return datetime(year, month, 1)  # noqa: DTZ001 - the provider's wall clock


def _next_month(first: datetime) -> datetime:
    over, month = divmod(first.month, 12)
    return first.replace(year=first.year + over, month=month + 1)


def _is_after(datefrom: datetime, dateto: datetime, zone: tzinfo | None) -> bool:
    if datefrom.tzinfo is not None and dateto.tzinfo is not None:
        # In the autumn's repeated hour only the moments show which is earlier.
        return datefrom.astimezone(UTC) > dateto.astimezone(UTC)
    return _wall_clock(datefrom, zone) > _wall_clock(dateto, zone)


def _wall_clock(moment: datetime, zone: tzinfo | None) -> datetime:
    if moment.tzinfo is None:
        return moment
    try:
        return moment.astimezone(zone).replace(tzinfo=None)
    except OverflowError as error:
        raise ValueError(f"{moment} is too near to the end of time") from error
