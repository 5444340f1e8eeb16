"""Dates and zones that users give to a wing, in the types of other libraries → Python's own.

The client makes its arguments plain by itself. A wing that takes dates without a client takes them
through here, so that each refuses the same, in the same words.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from boxis_async._plain import plain_date
from boxis_async._wire.wallclock import WallClock
from boxis_async.errors import UsageError

if TYPE_CHECKING:
    from datetime import tzinfo

__all__ = ["read_date", "read_zone"]


def read_date(name: str, value: object) -> date:
    """Give a date or a datetime that users gave.

    Args:
        name: What they know it as.
        value: The date, of whatever library it is.

    Raises:
        UsageError: It is none, or it has the zone of pytz as its `tzinfo=`, minutes off.
    """
    if not isinstance(value, date):
        raise UsageError(f"{name} must be a date or a datetime, not {value!r}")
    try:
        return plain_date(value)
    except ValueError as error:
        raise UsageError(f"{name} {error}") from None


def read_zone(timezone: str | tzinfo) -> tzinfo:
    """Give a zone that users gave: an IANA name, or a tzinfo of whatever library it is.

    Raises:
        UsageError: There is none of this name, or it does not go by the wall clock.
    """
    return WallClock(timezone).zone
