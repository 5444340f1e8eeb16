"""A range → its days, months or years, on the provider's wall clock."""

# No `from __future__ import annotations` here: the public classes say that they are from
# `boxis_async.fleet`, see its `__init__.py`, and annotations that are texts would be looked up
# there.

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Final, Literal, TypeAlias, get_args

import attrs

from boxis_async import UsageError
from boxis_async.moments import read_date

__all__ = ["PERIODS", "Period", "PeriodKind", "period_named", "periods_between"]

PeriodKind: TypeAlias = Literal["day", "month", "year"]
"""How long the time of one partition is."""

PERIODS: Final[tuple[PeriodKind, ...]] = get_args(PeriodKind)

_FORMS: Final[dict[PeriodKind, str]] = {"day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}


@attrs.frozen(order=True)
class Period:
    """The time of one partition: the legs that start from `start` on, before `end`."""

    name: str
    """Such as `2026-10`: the value of `period=` in the folder's name."""
    start: datetime = attrs.field(order=False)
    """A naive wall time, as are all of a partition's."""
    end: datetime = attrs.field(order=False)


def periods_between(datefrom: date, dateto: date, kind: PeriodKind) -> list[Period]:
    """List the periods of a range, in order.

    Raises:
        UsageError: The kind is unknown, the range is empty, or an end of it lies within a period.
    """
    if kind not in PERIODS:
        raise UsageError(f"period must be one of {', '.join(PERIODS)}, not {kind!r}")
    start, end = _moment(datefrom, "datefrom"), _moment(dateto, "dateto")
    for name, moment in (("datefrom", start), ("dateto", end)):
        first = _START[kind](moment)
        if first != moment:
            raise UsageError(
                f"{name} ({moment}) lies within a {kind}, and a partition is a whole one: give "
                f"{first:%Y-%m-%d} or {_next(first, kind):%Y-%m-%d}"
            )
    if start >= end:
        raise UsageError(f"the range is empty: datefrom ({start}) must be before dateto ({end})")
    found: list[Period] = []
    while start < end:
        after = _next(start, kind)
        found.append(Period(start.strftime(_FORMS[kind]), start, after))
        start = after
    return found


def period_named(name: str, kind: PeriodKind) -> Period | None:
    """Give the period that a folder's name means, or None if it means none."""
    try:
        start = datetime.strptime(name, _FORMS[kind])  # noqa: DTZ007 - a wall time
    except ValueError:
        return None
    return Period(name, start, _next(start, kind)) if start.strftime(_FORMS[kind]) == name else None


def _moment(value: object, name: str) -> datetime:
    moment = read_date(name, value)
    if not isinstance(moment, datetime):
        return datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001 - a wall time
    if moment.tzinfo is not None:
        raise UsageError(
            f"{name} must be a date, or a datetime without a zone: periods begin by the "
            "provider's wall clock"
        )
    return moment


_START: Final[dict[PeriodKind, Callable[[datetime], datetime]]] = {
    "day": lambda moment: datetime(moment.year, moment.month, moment.day),  # noqa: DTZ001
    "month": lambda moment: datetime(moment.year, moment.month, 1),  # noqa: DTZ001
    "year": lambda moment: datetime(moment.year, 1, 1),  # noqa: DTZ001
}


def _next(start: datetime, kind: PeriodKind) -> datetime:
    if kind == "day":
        return start + timedelta(days=1)
    if kind == "year":
        return start.replace(year=start.year + 1)
    over, month = divmod(start.month, 12)
    return start.replace(year=start.year + over, month=month + 1)
