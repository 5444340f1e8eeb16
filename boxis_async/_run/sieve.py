"""What a run hands over of each window: in the range, in order, each key once.

A window is sealed, so that it is never asked for again, only if its records are at rest and a
resumed run can recognise all that it may get once more on the window's edges. A window with a
record that cannot be read is not sealed, as the record may be corrected. All of its other records
are marked, so that a resumed run hands over that one alone.
"""

from __future__ import annotations

from itertools import compress
from operator import le
from typing import TYPE_CHECKING

import attrs

from boxis_async._run.coverage_builder import Marks
from boxis_async._wire.records import Records
from boxis_async.models import CDR, Reject, Window

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from boxis_async._run.dedupe import Deduplicator, Verdict
    from boxis_async._run.query import Query
    from boxis_async._wire.cooperative import Steps
    from boxis_async._wire.wallclock import Range

__all__ = ["Sieve", "Sifted"]

# To compare so many with those that came before takes about a millisecond.
_RECORDS_PER_STEP = 512


@attrs.frozen(eq=False, repr=False)
class Sifted:
    """A window's records that are handed over, and what the coverage is to know of the window."""

    window: Window
    cdrs: list[CDR]
    is_empty: bool
    """Whether the provider had no records for it."""
    is_marked: bool
    """Whether it is at rest, and a resumed run recognises its records by the marks."""
    marks: Marks
    rejects: tuple[Reject, ...]
    """Records that could not be read. If there are some, the window is asked for again."""


class Sieve:
    """Sifts the windows of one run, in the order in which they are handed over.

    Args:
        query: The arguments of the stream.
        range_: The range; None is everything.
        horizon: The wall time up to which records are at rest.
        deduplicator: Knows the records of the run.
    """

    def __init__(
        self, query: Query, range_: Range | None, horizon: datetime, deduplicator: Deduplicator
    ) -> None:
        self._query = query
        self._range = range_
        self._horizon = horizon
        self._deduplicator = deduplicator
        # The keys of what was handed over with a window that is not sealed, and so will come again.
        self._unsealed: set[bytes] = set()

    def extend(self, range_: Range) -> None:
        """Sift by a range that ends later from now on."""
        self._range = range_

    def sift(self, window: Window, fetched: Records) -> Steps[Sifted]:
        """Choose what is handed over of a window, in steps.

        Raises:
            UsageError: The user's key function gave something that cannot be a key.
        """
        deduplicator = self._deduplicator
        records = self._in_order(self._in_range(fetched))
        is_long = len(records) > _RECORDS_PER_STEP
        if is_long:
            yield
        is_marked = self._is_at_rest(window) and not (
            # Do not mark a window that shares a record with an unsealed one. The unsealed one is
            # fetched again on resuming, and whoever resumes discards what came with it. But the
            # resumed run would recognise the record by this window's marks, and drop it: lost.
            self._unsealed and not self._unsealed.isdisjoint(deduplicator.key_fingerprints(records))
        )
        # Before duplicates are dropped, as marks speak of all that the server gave for the window.
        marks = Marks()
        if is_marked:
            carries_all = self._query.carry_keys or bool(fetched.rejects)
            marks = self._marks(window, records, carries_all=carries_all)
            if is_long:
                yield
        verdicts: dict[int, Verdict] = {}
        for first in range(0, len(records.cdrs), _RECORDS_PER_STEP):
            part = Records(
                records.cdrs[first : first + _RECORDS_PER_STEP],
                records.fingerprints[first : first + _RECORDS_PER_STEP],
            )
            further = deduplicator.compare(part)
            verdicts |= {first + number: verdict for number, verdict in further.items()}
            if is_long:
                yield
        if verdicts:
            which = (number not in verdicts for number in range(len(records.cdrs)))
            records = _only(which, records)
        if not is_marked:
            self._unsealed.update(deduplicator.key_fingerprints(records))
        return Sifted(
            window,
            records.cdrs,
            is_empty=not len(fetched),
            is_marked=is_marked,
            marks=marks,
            rejects=fetched.rejects,
        )

    def _in_range(self, records: Records) -> Records:
        range_ = self._range
        if range_ is not None and range_.reaches_too_far:
            records = _only(map(range_.contains, records.cdrs), records)
        if range_ is not None and self._query.clip == "start":
            records = _only((range_.starts_within(cdr.start) for cdr in records.cdrs), records)
        return records

    def _in_order(self, records: Records) -> Records:
        """Sort records by the wall-clock start as sent, then by sequence.

        Two datetimes of one zone compare by their wall clock, as Python defines it.
        """
        if self._query.order != "time":
            return records
        keys = [(cdr.start, -1 if cdr.sequence is None else cdr.sequence) for cdr in records.cdrs]
        if all(map(le, keys, keys[1:])):
            return records  # as most servers send them
        places = sorted(range(len(keys)), key=keys.__getitem__)
        return Records(
            [records.cdrs[place] for place in places],
            [records.fingerprints[place] for place in places],
        )

    def _is_at_rest(self, window: Window) -> bool:
        """Report whether a window never needs to be asked for again."""
        if self._range is None or window.start is None or window.end is None:
            return False
        own_ends = {window.start, window.end} & {self._range.start, self._range.end}
        if any(hour[0] < end < hour[1] for hour in self._range.repeated for end in own_ends):
            # The range's own end parts an hour that comes twice: a call that runs through the
            # change may belong to neither side, see windows.py.
            return False
        if any(hour[0] <= end < hour[1] for hour in self._range.skipped for end in own_ends):
            # It does not exist, and nobody knows what the server takes it for.
            return False
        # The clock may have been set back by the server's since the run began.
        horizon = self._horizon = min(self._horizon, self._query.horizon())
        return window.end <= horizon and not self._range.is_trimmed(window.start, window.end)

    def _marks(self, window: Window, records: Records, *, carries_all: bool) -> Marks:
        """Mark the records that touch a window's two ends, and all if they are to be carried."""
        range_ = self._range
        if range_ is None or window.start is None or window.end is None:
            return Marks()
        # A neighbour that is fetched later may give whatever touches the time that both have.
        # Most records lie between. An end that is missing, or before the start, counts as touching.
        # A window without a length, which may lie at either end of time, has no such time.
        overlap = min(self._query.overlap, window.length)
        zone = self._query.wall_clock.zone  # in which Python compares the records' wall clocks
        # A request that begins or ends in an hour that comes twice may bring all of it.
        last_end = window.start + overlap
        first = range_.latest_up_to(last_end).replace(tzinfo=zone)
        next_begin = window.end - overlap
        last = range_.earliest_from(next_begin).replace(tzinfo=zone)
        touching = _only(
            (not first < (start := cdr.start) <= (cdr.end or start) < last for cdr in records.cdrs),
            records,
        )
        marks = zip(touching.cdrs, self._deduplicator.marks(touching), strict=True)
        reaches = [(_first(cdr), _last(cdr), mark) for cdr, mark in marks]
        return Marks(
            # The coverage keeps what reaches its edge, and knows of no change of the clock.
            {
                mark: min(begin.replace(tzinfo=None), last_end)
                for begin, _, mark in reaches
                if begin <= first
            },
            {
                mark: max(end.replace(tzinfo=None), next_begin)
                for _, end, mark in reaches
                if end >= last
            },
            frozenset(self._deduplicator.marks(records)) if carries_all else frozenset(),
        )


def _first(cdr: CDR) -> datetime:
    """Give the earlier of a record's start and end by the wall clock."""
    return cdr.start if cdr.end is None else min(cdr.start, cdr.end)


def _last(cdr: CDR) -> datetime:
    """Give the later of a record's start and end by the wall clock."""
    return cdr.start if cdr.end is None else max(cdr.start, cdr.end)


def _only(which: Iterable[bool], records: Records) -> Records:
    which = list(which)
    return Records([*compress(records.cdrs, which)], [*compress(records.fingerprints, which)])
