"""Read dates as people write them. One rule: a word or a date is the moment at which it begins.

What counts back in days, weeks or months does so from the midnight that today began with; hours and
minutes are counted from now, as they pass, also where the clock is changed in between.

Nothing here looks at a clock: the present is an argument, aware, in the provider's zone.
"""

from __future__ import annotations

import calendar
import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "DAY_FORMS",
    "FORMS",
    "LENGTH_FORMS",
    "MONTH_FORMS",
    "NO_RANGE",
    "DateRange",
    "parse_day",
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
    "today, yesterday, tomorrow, this|last week|month|year, or how long ago: 30m, 12h, 7d, 2w, 3mo"
)
DAY_FORMS: Final = "2026-10-05, 05.10.2026, today or yesterday"
MONTH_FORMS: Final = '2026-10, 10.2026, "this month" or "last month"'
LENGTH_FORMS: Final = "90s, 30m, 6h, 1d or 1w"
NO_RANGE: Final = "which range? give --from, --month or --day"

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(\d{1,6})(mo|[mhdw])", re.ASCII)
_CAPITAL_M = re.compile(r"\s*(\d+)M\s*", re.ASCII)
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
    is_whole: bool = False
    """Whether it was given as a day or a month: only the calls that start in it are meant."""
    is_open: bool = attrs.field(default=False, eq=False)
    """Whether it ends now because no end was given."""

    @property
    def until(self) -> datetime | None:
        """The end to ask for: None where it is now, by whichever clock is later."""
        return None if self.is_open else self.dateto

    def options(self) -> list[str]:
        """Write it as options, for a command that means the same on another day."""
        if self.is_whole and self.dateto - self.datefrom == _DAY:
            return ["--day", self.datefrom.isoformat()[: len("2026-10-05")]]
        if self.is_whole:
            return ["--month", self.datefrom.isoformat()[: len("2026-10")]]
        return ["--from", _in_full(self.datefrom), "--to", _in_full(self.dateto)]


def parse_range(
    datefrom: str | None, dateto: str | None, month: str | None, day: str | None, *, now: datetime
) -> DateRange | None:
    """Read the range options; None when there are none.

    Raises:
        ValueError: One cannot be read, they contradict each other, or the range is empty or lies
            in the future.
    """
    whole = {"--month": month, "--day": day}
    if given := [name for name, text in whole.items() if text is not None]:
        if len(given) > 1:
            raise ValueError("--month and --day are a whole range each: leave one of them out")
        if datefrom is not None or dateto is not None:
            raise ValueError(f"{given[0]} is a whole range: leave out --from and --to")
        ends = parse_day(day, now=now) if day is not None else parse_month(month or "", now=now)
        found = DateRange(*ends, is_whole=True)
    elif datefrom is not None:
        # Aware, as "now" in the autumn's repeated hour could be two moments otherwise.
        end = now.replace(microsecond=0) if dateto is None else parse_moment(dateto, now=now)
        found = DateRange(parse_moment(datefrom, now=now), end, is_open=dateto is None)
        _refuse_empty(found, datefrom, dateto, now)
    elif dateto is not None:
        raise ValueError("--to needs --from: give the start too")
    else:
        return None
    if _compare(found.datefrom, now, now.tzinfo) > 0:
        first, last, present = (
            write_moment(moment, now.tzinfo) for moment in (found.datefrom, found.dateto, now)
        )
        raise ValueError(f"the range lies in the future: {first} to {last}, and now is {present}")
    return found


def _refuse_empty(found: DateRange, datefrom: str, dateto: str | None, now: datetime) -> None:
    first, last = (write_moment(moment, now.tzinfo) for moment in (found.datefrom, found.dateto))
    order = _compare(found.datefrom, found.dateto, now.tzinfo)
    if order > 0:
        end_text = "now, as --to is left out" if dateto is None else f"--to ({last})"
        raise ValueError(f"--from ({first}) is after {end_text}: give the earlier one first")
    if order < 0:
        return
    if dateto is None:
        raise ValueError(f"the range is empty: --from ({first}) is now: give an earlier one")
    begins = f"the range is empty: --from and --to are both {first}"
    if found.datefrom.time() != time():
        raise ValueError(f"{begins}: give a later --to")
    text = _words(datefrom)
    month = datefrom if _parse_month(text, now) is not None else None
    cure = f'--month "{month}"' if month else f"--day {found.datefrom:%Y-%m-%d}"
    what = "month" if month else "day"
    raise ValueError(
        f"{begins}, as a date is the moment at which it begins: for the {what}, {cure}"
    )


def parse_moment(text: str, *, now: datetime) -> datetime:
    """Read one date: a reading of the provider's clock, or aware where it has an offset or is now.

    Args:
        text: In one of `FORMS`; upper and lower case are the same.
        now: The present, aware, in the provider's zone.

    Raises:
        ValueError: It has another form, or there is no such date.
    """
    if found := _CAPITAL_M.fullmatch(text):
        count = found[1]
        raise ValueError(
            f"{text!r} is not a date: {count}mo? That is {count} months ago, and {count}m is "
            f"{count} minutes ago"
        )
    words = _words(text)
    try:
        moment = _parse_relative(words, now)
        moment = _parse_absolute(words) if moment is None else moment
    except (ValueError, OverflowError) as error:
        raise ValueError(f"there is no such date as {text!r}: {error}") from error
    if moment is None:
        raise ValueError(f"{text!r} is not a date; write {FORMS}")
    return moment


def parse_day(text: str, *, now: datetime) -> tuple[datetime, datetime]:
    """Read a day; return its first moment, and that of the next day.

    Raises:
        ValueError: It is none of `DAY_FORMS`.
    """
    words = _words(text)
    try:
        first = _parse_day(words, now)
        after = None if first is None else first + _DAY
    except (ValueError, OverflowError) as error:
        raise ValueError(f"there is no such day as {text!r}: {error}") from error
    if first is None or after is None:
        raise ValueError(f"{text!r} is not a day; write {DAY_FORMS}")
    return first, after


def parse_month(text: str, *, now: datetime) -> tuple[datetime, datetime]:
    """Read a month; return its first moment, and that of the next month.

    Raises:
        ValueError: It is none of `MONTH_FORMS`.
    """
    words = _words(text)
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
    if found := _CAPITAL_M.fullmatch(text):
        raise ValueError(f"{text!r} is not a length of time: {found[1]}m? That is minutes")
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


def _words(text: str) -> str:
    return " ".join(text.lower().split())


def _parse_relative(words: str, now: datetime) -> datetime | None:
    """Read a word or a length that counts from now; None for anything else."""
    if words == "now":
        return now.replace(microsecond=0)
    today = datetime.combine(now.date(), time())
    if found := _AGO.fullmatch(words):
        return _ago(int(found[1]), found[2], now, today)
    if words in _DAYS:
        return today + _DAYS[words] * _DAY
    which, _, period = words.partition(" ")
    start_of = _PERIOD_STARTS.get(period)
    if start_of is None or which not in ("this", "last"):
        return None
    first = start_of(today)
    # The day before this week (month, year) is in the last one.
    return first if which == "this" else start_of(first - _DAY)


def _ago(count: int, unit: str, now: datetime, today: datetime) -> datetime:
    if unit == "mo":
        return _months_before(today, count)
    length = timedelta(**{_UNITS[unit]: count})
    if unit in "dw":
        return today - length
    # Aware, as the wall clock could name two moments, or skip an hour.
    return (now.replace(microsecond=0).astimezone(UTC) - length).astimezone(now.tzinfo)


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


def _parse_day(words: str, now: datetime) -> datetime | None:
    if words in _DAYS:
        return _parse_relative(words, now)
    found = _MOMENT.fullmatch(words)
    return _parse_absolute(words) if found and found["hour"] is None else None


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


def _months_before(day: datetime, count: int) -> datetime:
    """Go back so many months, to the last day of a month that is shorter."""
    year, month = divmod(12 * day.year + day.month - 1 - count, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return day.replace(year=year, month=month + 1, day=min(day.day, last))


def _compare(one: datetime, other: datetime, zone: tzinfo | None) -> int:
    """Return -1, 0 or 1, as one moment is before, at or after another."""
    if one.tzinfo is not None and other.tzinfo is not None:
        # In the autumn's repeated hour only the moments show which is earlier.
        first, second = one.astimezone(UTC), other.astimezone(UTC)
    else:
        first, second = _wall_clock(one, zone), _wall_clock(other, zone)
    return (first > second) - (first < second)


def _wall_clock(moment: datetime, zone: tzinfo | None) -> datetime:
    if moment.tzinfo is None:
        return moment
    try:
        return moment.astimezone(zone).replace(tzinfo=None)
    except OverflowError as error:
        raise ValueError(f"{moment} is too near to the end of time") from error
