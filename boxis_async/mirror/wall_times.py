"""The ends of a range, as wall times of the provider's zone and as what a database compares."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

from boxis_async.mirror.damage import as_written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

    from boxis_async.mirror.leg_rows import LegWriter

__all__ = ["now_in", "read_wall", "starts_within", "wall_of", "whole_hour"]

_SECOND: Final = timedelta(seconds=1)
_HOUR: Final = timedelta(hours=1)
# No zone is further from UTC.
_DAY: Final = timedelta(days=1)


def wall_of(end: date, zone: tzinfo, *, is_end: bool) -> datetime:
    """Give the wall time of an end of a range, in whole seconds, so that the range is not cut."""
    if not isinstance(end, datetime):
        return datetime.combine(end, time())
    wall = (end if end.tzinfo is None else end.astimezone(zone)).replace(tzinfo=None, fold=0)
    whole = wall.replace(microsecond=0)
    return whole + _SECOND if is_end and whole != wall else whole


def whole_hour(wall: datetime, zone: tzinfo, *, is_end: bool) -> datetime:
    """Move an end that lies in an hour that comes twice out of it.

    Of such an hour only a part would be fetched, and nobody could say which.
    """
    step = _HOUR if is_end else -_HOUR
    while _comes_twice(wall, zone):
        wall += step
    return wall


def now_in(zone: tzinfo) -> datetime:
    """Give the wall time of now, in whole seconds."""
    return datetime.now(zone).replace(tzinfo=None, microsecond=0, fold=0)


def read_wall(value: Any) -> datetime | None:  # noqa: ANN401 - by database
    """Make a naive wall time of what a database gives."""
    if value is None:
        return None
    with as_written("a time"):
        wall: object = datetime.fromisoformat(value) if isinstance(value, str) else value
        if not isinstance(wall, datetime) or wall.tzinfo is not None:
            raise ValueError("it is no wall time")
        return wall


def starts_within(
    column: str, datefrom: date, dateto: date, writer: LegWriter
) -> Iterator[tuple[str, str, object]]:
    """Give the conditions that a time lies in `[datefrom, dateto)`, each with its one value.

    An aware end is a moment, any other is a wall time, as everywhere.

    Args:
        column: The column of the moment.
        datefrom: The first end.
        dateto: The last.
        writer: Makes values for columns.
    """
    for end, sign, name, around in (
        (datefrom, ">=", "datefrom", -_DAY),
        (dateto, "<", "dateto", _DAY),
    ):
        if isinstance(end, datetime) and end.tzinfo is not None:
            yield f"{column} {sign} :{name}", name, writer.moment(end)
            continue
        wall = end if isinstance(end, datetime) else datetime.combine(end, time())
        yield f"{column}_wall {sign} :{name}", name, writer.wall(wall)
        # There is an index of the moments.
        near = wall.replace(tzinfo=UTC) + around
        yield f"{column} {sign} :{name}_near", f"{name}_near", writer.moment(near)


def _comes_twice(wall: datetime, zone: tzinfo) -> bool:
    first, second = (wall.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    return first is not None and second is not None and first > second
