"""A window with its records, and how these lie to its two ends on the wall clock.

Servers compare wall times, or the moments that they take them for. Within an hour of a clock change
the two differ, so nothing is concluded from records there.
"""

from __future__ import annotations

import json
from datetime import timedelta
from hashlib import blake2b
from itertools import compress
from typing import TYPE_CHECKING

import attrs

from boxis_async._wire.records import FINGERPRINT_SIZE, Records
from boxis_async.models import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from boxis_async._wire.wallclock import Span
    from boxis_async.models import CDR, Reject

__all__ = ["Fetched", "digest_of", "fitting_calls", "wall_span"]

_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)


@attrs.frozen(eq=False, repr=False)
class Fetched:
    """A window, or a part of one, with all its records."""

    window: Window
    records: Records

    def __len__(self) -> int:
        return len(self.records)

    def legs(self) -> frozenset[bytes]:
        """Give what tells the records apart: fingerprints of their legs.

        Of one that could not be read, it is a digest of all of it.
        """
        legs = frozenset(both[:FINGERPRINT_SIZE] for both in self.records.fingerprints)
        return legs.union(digest_of(reject) for reject in self.records.rejects)

    def legs_and_spans(self) -> Iterator[tuple[bytes, Span]]:
        """Yield each record's leg, and its span on the wall clock."""
        for cdr, both in zip(self.records.cdrs, self.records.fingerprints, strict=True):
            yield both[:FINGERPRINT_SIZE], wall_span(cdr)

    def spans_within(self, first: datetime, last: datetime) -> dict[bytes, Span]:
        """Give the span of each record that has an end, as far as it lies between two wall times.

        What lies outside of them is given as if it were at them.
        """
        spans: dict[bytes, Span] = {}
        for cdr, both in zip(self.records.cdrs, self.records.fingerprints, strict=True):
            start, end = wall_span(cdr)
            if cdr.end is not None and start <= end:
                span = min(max(first, start), last), min(max(first, end), last)
                spans[both[:FINGERPRINT_SIZE]] = span
        return spans

    def only(self, which: Iterable[bool]) -> Fetched:
        """Give the window with only some of its records."""
        which = list(which)
        cdrs = [*compress(self.records.cdrs, which)]
        fingerprints = [*compress(self.records.fingerprints, which)]
        return Fetched(self.window, Records(cdrs, fingerprints))

    def comparable_ends(self) -> tuple[datetime, datetime] | None:
        """Give the window's ends in the records' own zone, where Python compares wall clocks."""
        window, cdrs = self.window, self.records.cdrs
        if not cdrs or window.start is None or window.end is None:
            return None
        zone = cdrs[0].start.tzinfo
        first, last = window.start.replace(tzinfo=zone), window.end.replace(tzinfo=zone)
        if _is_near_clock_change(first) or _is_near_clock_change(last):
            return None
        return first, last

    def reaches_beyond(self) -> CDR | None:
        """Find a record that starts before the window, or ends behind it."""
        if (ends := self.comparable_ends()) is None:
            return None
        first, last = ends
        for cdr in self.records.cdrs:
            if cdr.start < first or (cdr.end is not None and cdr.end > last):
                return cdr
        return None

    def stranger(self) -> CDR | None:
        """Find a record that lies outside of the window as a whole: no known rule gives it."""
        if (ends := self.comparable_ends()) is None:
            return None
        first, last = ends
        for cdr in self.records.cdrs:
            start, end = cdr.start, cdr.end
            if (start > last and (end is None or end > last)) or (
                start < first and end is not None and end < first
            ):
                return cdr
        return None


def digest_of(reject: Reject) -> bytes:
    """Give what a record that could not be read is recognised by: a digest of all of it."""
    text = json.dumps(reject.row, sort_keys=True, default=repr)
    return blake2b(text.encode("utf-8", "replace"), digest_size=2 * FINGERPRINT_SIZE).digest()


def wall_span(cdr: CDR) -> Span:
    """Give a record's start and end as naive wall times; without an end, it ends as it starts."""
    start = cdr.start.replace(tzinfo=None)
    return start, start if cdr.end is None else cdr.end.replace(tzinfo=None)


def fitting_calls(
    fetched: Fetched, at_least: timedelta, *, at_most: timedelta = timedelta.max
) -> Iterator[tuple[CDR, bytes]]:
    """Yield the calls by which a rule can be decided, each with its leg, the best one first.

    The best takes about a minute: what lies around it is one small answer.
    """
    fitting = [
        (abs(length - _MINUTE), number)
        for number, cdr in enumerate(fetched.records.cdrs)
        if cdr.end is not None and at_least <= (length := cdr.end - cdr.start) <= at_most
    ]
    for _, number in sorted(fitting):
        cdr = fetched.records.cdrs[number]
        if cdr.end is not None and not (
            _is_near_clock_change(cdr.start) or _is_near_clock_change(cdr.end)
        ):
            yield cdr, fetched.records.fingerprints[number][:FINGERPRINT_SIZE]


def _is_near_clock_change(moment: datetime) -> bool:
    zone = moment.tzinfo
    try:
        before, after = moment - _HOUR, moment + _HOUR
    except OverflowError:
        return False
    # Not as `before.utcoffset()`, which the fold of a moment could lead astray.
    return zone is not None and zone.utcoffset(before) != zone.utcoffset(after)
