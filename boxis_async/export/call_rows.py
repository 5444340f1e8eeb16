"""Legs → the calls that start in a range, each whole.

A call belongs to where its first leg starts, so that months add up. Its legs may lie beyond the
ends of the range, so legs are fetched a margin beyond both, as `BoxisClient.iter_calls` does. That
one fetches further where a call goes on for longer; here such a call is an error, as it may lack
legs.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from boxis_async import LateLegError, UsageError
from boxis_async.calls import open_calls

if TYPE_CHECKING:
    from collections.abc import Iterable

    from boxis_async import CDR, Call, CDRStream

__all__ = ["CallRows", "check_legs", "legs_around"]

_MARGIN: Final = timedelta(hours=4)
"""As `BoxisClient.calls` has it; the widest span of a call measured is 2 h 14 min."""
_COUNTRY: Final = "CH"
_HOUR: Final = timedelta(hours=1)


class CallRows:
    """Takes legs in order of time, and gives the calls that start in a range.

    Args:
        datefrom: The start of the range, as a stream takes it; None is everything.
        dateto: The end of the range.
    """

    def __init__(self, datefrom: date | None, dateto: date | None) -> None:
        self._datefrom = datefrom
        self._dateto = dateto
        self._calls = open_calls(_MARGIN, None, _COUNTRY)
        self._quiet: list[Call] = []
        """Calls that are over, and wait for those that began before."""

    def add(self, legs: Iterable[CDR]) -> list[Call]:
        """Take legs, and give the calls that are quiet by now, by their start.

        Raises:
            LateLegError: A call was quiet for longer than the margin.
        """
        found = self._calls.add(legs)
        if not found:
            return []
        self._quiet += found
        # An open call began at its first leg. Those of one zone compare by the wall clock; the
        # hour makes up for the one that is repeated.
        began = min((leg.start for leg in self._calls.legs), default=None)
        if began is None:
            return self._take(self._quiet, [])
        before = [call for call in self._quiet if call.start < began - _HOUR]
        return self._take(before, [call for call in self._quiet if call.start >= began - _HOUR])

    def close(self) -> list[Call]:
        """Give the calls that are left, as no leg follows.

        Raises:
            LateLegError: One goes on so far behind the range that it may have further legs.
        """
        calls = self._take([*self._quiet, *self._calls.close()], [])
        for call in calls:
            self._check_end(call)
        return calls

    def _check_end(self, call: Call) -> None:
        """Refuse a call that reaches into the last quarter of the margin."""
        end = self._dateto
        if end is None or call.end is None:
            return
        try:
            reaches = not _is_before(call.end, _moved(end, _MARGIN - _MARGIN / 4))
        except UsageError:
            return  # the end of time has no margin behind it, and no legs either
        if reaches:
            raise LateLegError(
                f"the call that began at {call.start} was still going on at {call.end}, so it may "
                f"have legs that end more than {_MARGIN} behind the end of the range, where none "
                "are fetched: choose a later end, or take client.calls() or `boxis calls`, which "
                "follow it",
                margin=_MARGIN,
            )

    def _take(self, calls: list[Call], kept: list[Call]) -> list[Call]:
        self._quiet = kept
        found = [call for call in calls if self._starts_within(call.start)]
        return sorted(found, key=lambda call: call.start.timestamp())

    def _starts_within(self, start: datetime) -> bool:
        return (self._datefrom is None or not _is_before(start, self._datefrom)) and (
            self._dateto is None or _is_before(start, self._dateto)
        )


def check_legs(stream: CDRStream) -> None:
    """Refuse a stream that calls cannot be made of.

    Raises:
        UsageError: It lacks legs.
    """
    if stream.unique_by == "uniqueid":
        raise UsageError('rows="calls" needs every leg: give cdrs(..., unique_by="leg")')


def legs_around(stream: CDRStream) -> CDRStream:
    """Make a stream of the legs in a stream's range, and a margin beyond both ends.

    Raises:
        UsageError: The range lies too near to the end of time.
    """
    if stream.datefrom is None:
        return stream.again()
    end = stream.plan().end if stream.dateto is None else stream.dateto
    return stream.again(
        datefrom=_moved(stream.datefrom, -_MARGIN),
        dateto=None if end is None else _moved(end, _MARGIN),
    )


def _moved(end: date, by: timedelta) -> datetime:
    """Move an end of a range; an aware one by real time, any other by the wall clock."""
    given = _as_datetime(end)
    try:
        return (given if given.tzinfo is None else given.astimezone(UTC)) + by
    except OverflowError as error:
        raise UsageError(f"{end} lies too near to the end of time for calls") from error


def _is_before(start: datetime, end: date) -> bool:
    given = _as_datetime(end)
    if given.tzinfo is None:
        return start.replace(tzinfo=None) < given
    return start.astimezone(UTC) < given.astimezone(UTC)


def _as_datetime(end: date) -> datetime:
    return end if isinstance(end, datetime) else datetime.combine(end, time())
