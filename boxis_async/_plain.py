"""Arguments in the types of other libraries → Python's own.

pendulum, pandas, freezegun and many programs have classes that are a `datetime`, a `timedelta`, a
`str` or an `int` and behave otherwise: a pendulum Duration cannot be subtracted from a timedelta,
and an enum's text is not the text that is sent. So arguments are made plain where they enter, and
the rest of the package knows Python's own types alone.

A zone of pytz is right only where pytz put it: as `tzinfo=` of a datetime it stands for the local
mean time of the 19th century. That is refused, since nobody means it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import cast

__all__ = [
    "is_attachable",
    "plain_date",
    "plain_length",
    "plain_number",
    "plain_text",
    "plain_whole",
    "plain_zone",
]


def plain_text(text: str) -> str:
    """Give the characters of a text, whatever its class shows instead."""
    return str.__str__(text)


def plain_whole(number: int) -> int:
    """Give the value of a whole number."""
    return int.__int__(number)


def plain_number(number: float) -> float:
    """Give the value of a number; a whole one stays whole."""
    return plain_whole(number) if isinstance(number, int) else float.__float__(number)


def plain_length(length: timedelta) -> timedelta:
    """Give a length of time; what is shorter than a microsecond is left out."""
    return timedelta.__pos__(length)


def plain_date(moment: date) -> date:
    """Give a date, or a datetime with the tzinfo that it has.

    Raises:
        ValueError: It is none, such as pandas' NaT, or its tzinfo cannot be what was meant.
    """
    if not isinstance(moment, datetime):
        return date(moment.year, moment.month, moment.day)
    try:
        plain = datetime(
            moment.year,
            moment.month,
            moment.day,
            moment.hour,
            moment.minute,
            moment.second,
            moment.microsecond,
            moment.tzinfo,
            fold=moment.fold,
        )
        if getattr(moment, "nanosecond", 0):  # pandas'
            # Raised: then whichever second lies before, at or after it still does.
            plain += timedelta(microseconds=1)
    except (TypeError, ValueError, AttributeError, OverflowError):
        raise ValueError(f"must be a datetime or a date, not {moment!r}") from None
    _check_zone(plain)
    return plain


def plain_zone(zone: tzinfo) -> tzinfo:
    """Give a zone that can be attached to a wall time, the standard library's where it has it.

    Raises:
        ValueError: There is none of its name.
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - as in wallclock.py

    # pytz gives its zones their name so, and others as `zoneinfo` does.
    is_pytz = hasattr(zone, "localize")
    name = getattr(zone, "zone" if is_pytz else "key", None)
    if type(zone) is ZoneInfo or not isinstance(name, str):
        return zone
    try:
        return ZoneInfo(plain_text(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        if is_pytz:
            raise ValueError(f"there is no zone {name!r} in zoneinfo") from None
        return zone


def is_attachable(zone: tzinfo) -> bool:
    """Report whether a zone has the same offset for a moment and for the wall time of it."""
    for month in (1, 7):
        local = datetime(2024, month, 15, tzinfo=UTC).astimezone(zone)
        attached = local.replace(tzinfo=None).replace(tzinfo=zone)
        if local.utcoffset() is None or local.utcoffset() != attached.utcoffset():
            return False
    return True


def _check_zone(moment: datetime) -> None:
    """Refuse a datetime whose tzinfo gives no offset, or pytz's own guess at it."""
    zone = moment.tzinfo
    if zone is None:
        return
    name = type(zone).__name__
    try:
        offset = moment.utcoffset()
        localize = getattr(zone, "localize", None)
        proper = offset
        if callable(localize) and moment.tzname() == "LMT":
            proper = cast("datetime", localize(moment.replace(tzinfo=None))).utcoffset()
    except OverflowError:
        return  # near the end of time, which is checked with the range
    except Exception as error:
        raise ValueError(
            f"has a tzinfo ({name}) that has no offset from UTC for it: {error!r}"
        ) from error
    if proper != offset:
        raise ValueError(
            f"has the pytz zone {zone} as its tzinfo=, which means local mean time there, "
            f"{offset} from UTC: write zone.localize(datetime(...)), or take "
            "zoneinfo.ZoneInfo, not pytz"
        )
