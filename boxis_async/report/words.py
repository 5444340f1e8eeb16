"""The words of the page, in each language, and how it writes numbers, times and dates.

The page does not ask the reader's browser or the machine for a locale: the same figures give the
same bytes everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import attrs

from boxis_async import UsageError

if TYPE_CHECKING:
    from datetime import date, datetime
    from decimal import Decimal

    from boxis_async.report.spans import Range

__all__ = ["LANGUAGES", "Words", "words_of"]

_PACKAGE: Final = "boxis_async.report"
_HOUR: Final = 3600
_MINUTE: Final = 60
_FEW_DAYS: Final = 2
_MANY_HOURS: Final = 100

LANGUAGES: Final = ("en", "de")
"""The languages that a page can be in; `templates` has a file of words for each."""

_WEEKDAYS: Final = {
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    "de": ("Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"),
}
_LONG_WEEKDAYS: Final = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "de": ("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"),
}
_MONTHS: Final = {
    "en": (
        *("January", "February", "March", "April", "May", "June", "July", "August"),
        *("September", "October", "November", "December"),
    ),
    "de": (
        *("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August"),
        *("September", "Oktober", "November", "Dezember"),
    ),
}
_SHORT: Final = 3


@attrs.frozen
class Words:
    """The words of one language, and how it writes numbers, times and dates."""

    language: str
    texts: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        """Give a text by its name."""
        return self.texts[name]

    def get(self, name: str, other: str) -> str:
        """Give a text by its name, or another one where it has none."""
        return self.texts.get(name, other)

    def fill(self, name: str, **values: str) -> str:
        """Give a text with values in it."""
        return self.texts[name].format(**values)

    @property
    def separator(self) -> str:
        """What stands between thousands."""
        return "’" if self.language == "de" else ","  # noqa: RUF001 - as Switzerland has it

    def number(self, number: float | Decimal, digits: int = 0) -> str:
        """Write a number."""
        return f"{number:,.{digits}f}".replace(",", self.separator)

    def money(self, cost: Decimal) -> str:
        """Write a cost, to the hundredth."""
        return self.number(cost, 2)

    def share(self, part: float, digits: int = 0) -> str:
        """Write a share, from 0 to 1, in per cent."""
        return f"{part * 100:.{digits}f}\u202f%" if self.language == "de" else f"{part:.{digits}%}"

    def change(self, part: float) -> str:
        """Write by how much something grew or shrank."""
        sign = "+" if part > 0 else "−" if part < 0 else "±"  # noqa: RUF001 - a minus
        return sign + self.share(abs(part), 1)

    def length(self, seconds: float) -> str:
        """Write a length of time as a clock would: 0:14, 3:05, 1:02:03."""
        whole = int(seconds)
        hours, rest = divmod(whole, _HOUR)
        minutes, rest = divmod(rest, _MINUTE)
        return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

    def long_length(self, seconds: float) -> str:
        """Write a length of time in its largest units: 14 s, 3 min 5 s, 62 h 3 min, 456 h."""
        whole = int(seconds)
        if whole < _MINUTE:
            return f"{whole} s"
        if whole < _HOUR:
            minutes, rest = divmod(whole, _MINUTE)
            return f"{minutes} min {rest} s" if rest else f"{minutes} min"
        hours, rest = divmod(whole, _HOUR)
        if hours >= _MANY_HOURS:
            return f"{self.number((whole + _HOUR // 2) // _HOUR)} h"
        minutes = rest // _MINUTE
        text = f"{hours} h"
        return f"{text} {minutes} min" if minutes else text

    def many_days(self, seconds: float) -> str:
        """Write a length of time that may be days: 20 h 18 min, 11 days 15 h."""
        days, rest = divmod(int(seconds), 24 * _HOUR)
        if days < _FEW_DAYS:
            return self.long_length(seconds)
        hours = rest // _HOUR
        text = self.fill("days", days=self.number(days))
        return f"{text} {hours} h" if hours else text

    def weekday(self, number: int, *, long: bool = False) -> str:
        """Name a day of the week, from 0 for Monday."""
        return (_LONG_WEEKDAYS if long else _WEEKDAYS)[self.language][number]

    def month(self, number: int, *, long: bool = True) -> str:
        """Name a month, from 1."""
        name = _MONTHS[self.language][number - 1]
        if long or len(name) <= _SHORT + 1:
            return name
        return name[:_SHORT] + ("." if self.language == "de" else "")

    def day(self, day: date, *, weekday: bool = True, year: bool = False) -> str:
        """Write a day: Thu 1 Oct, or Do 1. Okt."""
        dot = "." if self.language == "de" else ""
        text = f"{day.day}{dot} {self.month(day.month, long=False)}"
        if weekday:
            text = f"{self.weekday(day.weekday())} {text}"
        return f"{text} {day.year}" if year else text

    def moment(self, moment: datetime, *, weekday: bool = True, year: bool = False) -> str:
        """Write a moment: Thu 1 Oct, 08:15."""
        return f"{self.day(moment, weekday=weekday, year=year)}, {moment:%H:%M}"

    def span(self, range_: Range) -> str:
        """Name a range: October 2026, or from its first day to its last."""
        first, last = range_.first_day(), range_.last_day()
        months = range_.whole_months()
        if months == 1:
            return f"{self.month(first.month)} {first.year}"
        if months == 12 and first.month == 1:  # noqa: PLR2004 - the months of a year
            return f"{first.year}"
        if not range_.is_whole_days():
            ends = (range_.moment(end) for end in (range_.datefrom, range_.dateto))
            return " – ".join(self.moment(end, year=True) for end in ends)  # noqa: RUF001 - a dash
        if first == last:
            return self.day(first, year=True)
        has_year = first.year != last.year
        return f"{self.day(first, year=has_year)} – {self.day(last, year=True)}"  # noqa: RUF001 - a dash


def words_of(language: str) -> Words:
    """Give the words of a language.

    Raises:
        UsageError: There are none.
    """
    if language not in LANGUAGES:
        raise UsageError(f"language must be one of {', '.join(LANGUAGES)}, not {language!r}")
    return _read(language)


@cache
def _read(language: str) -> Words:
    file = files(_PACKAGE) / "templates" / f"{language}.json"
    return Words(language, json.loads(file.read_text("utf-8")))
