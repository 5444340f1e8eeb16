"""The calls that start in a range, each whole: its legs may lie beyond the range's ends.

We fetch legs a margin beyond both ends. What lies before the range shows which calls began there,
and so belong to the range before. Behind the range are the last legs of its own calls. Where one of
these reaches into the last quarter of the margin, more may follow, and we fetch further, each time
twice as far.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from boxis_async._http.request import Deadline
from boxis_async.call_stream import WholeCalls
from boxis_async.errors import UsageError
from boxis_async.stream import CDRStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from boxis_async._http.request import Options
    from boxis_async._run.fetch import Fetcher
    from boxis_async._run.prefetch import Prefetches
    from boxis_async._run.query import Query
    from boxis_async.call_stream import CallStream
    from boxis_async.models import CDR
    from boxis_async.types import Reached

    Context: TypeAlias = tuple[Fetcher, Prefetches, Options, Deadline]

__all__ = ["calls_of_range"]

# Six times are three weeks, if the margin is four hours. A leg that ends later is no leg of a call,
# but a record with a wrong end, and would otherwise be followed to the end of time.
_TIMES_FURTHER = 6
_END_OF_TIME = datetime.max  # noqa: DTZ901 - a wall time after all others


def calls_of_range(  # noqa: PLR0913 - each is one thing to set, by name
    query: Query,
    context: tuple[Fetcher, Prefetches, Options],
    *,
    margin: timedelta,
    reached: Callable[[CDR], Reached | None] | None,
    country: str,
    closes_early: bool,
) -> CallStream:
    """Begin to stream the calls of a range, for `BoxisClient.calls` and `iter_calls`.

    Args:
        query: The legs that start in the range.
        context: What a stream is made with.
        margin: How long after the end of its last leg a call may get another one.
        reached: The user's own judgement of a leg.
        country: The country that a number with a single leading 0 is of.
        closes_early: Whether a call is handed over once it is quiet, rather than at the end.
    """
    start = query.datefrom
    # One deadline for all of its streams.
    limited = (*context, Deadline(context[2].deadline))
    if start is None:
        # All is there with the one answer.
        return _Legs(query, *limited).whole_calls(None, reached, country, None)
    range_ = query.range()
    assert range_ is not None  # noqa: S101 - it has a start
    start = _moved(start, -margin)
    if query.dateto is None:
        # The stream finds out what "now" is; nothing is written yet from there on.
        around = attrs.evolve(query, datefrom=start, clip=None)
        range_ = attrs.evolve(range_, clip_to=_END_OF_TIME)
        whole = WholeCalls(starts_within=range_.starts_within, further=_nothing_further)
    else:
        end = _moved(query.dateto, margin)
        around = attrs.evolve(query, datefrom=start, dateto=end, clip=None)
        further = _Further(around, limited, end, margin)
        whole = WholeCalls(starts_within=range_.starts_within, further=further.after)
    around.check()
    kept_open = margin if closes_early else None
    return _Legs(around, *limited).whole_calls(kept_open, reached, country, whole)


def _nothing_further(_: datetime) -> None:
    return None


class _Legs(CDRStream):
    """The legs around a range."""

    def whole_calls(
        self,
        margin: timedelta | None,
        reached: Callable[[CDR], Reached | None] | None,
        country: str,
        whole: WholeCalls | None,
    ) -> CallStream:
        """Iterate by calls, those of the range alone."""
        return self._calls(margin, reached, country, whole)

    def with_run(self) -> tuple[object, Any]:
        """Give the stream, which must not be dropped, and the run that fetches."""
        return self, self._run


class _Further:
    """Begins streams of the legs behind those that were fetched, as far as calls reach."""

    def __init__(self, query: Query, context: Context, end: date, margin: timedelta) -> None:
        self._query = query
        self._context = context
        self._end = end
        self._margin = margin
        self._times = 0

    def after(self, reach: datetime) -> tuple[object, Any] | None:
        """Begin a stream, if a call reaches into the last quarter of the margin.

        Args:
            reach: When the last leg ended of the calls of the range.
        """
        end = self._aware(self._end)
        if self._times == _TIMES_FURTHER or end - reach > self._margin / 4:
            return None
        step = self._margin * 2**self._times
        self._times += 1
        start, self._end = self._end, _moved(self._end, step)
        query = attrs.evolve(self._query, datefrom=start, dateto=self._end)
        return _Legs(query, *self._context).with_run()

    def _aware(self, end: date) -> datetime:
        given = _as_datetime(end)
        zone = self._query.wall_clock.zone
        return given if given.tzinfo is not None else given.replace(tzinfo=zone)


def _moved(end: date, by: timedelta) -> datetime:
    """Move an end of a range; an aware one by real time, any other by the wall clock.

    Raises:
        UsageError: There is no such time.
    """
    given = _as_datetime(end)
    try:
        return (given if given.tzinfo is None else given.astimezone(UTC)) + by
    except OverflowError as error:
        raise UsageError(f"{end} lies too near to the end of time for the margin") from error


def _as_datetime(end: date) -> datetime:
    return end if isinstance(end, datetime) else datetime.combine(end, time())
