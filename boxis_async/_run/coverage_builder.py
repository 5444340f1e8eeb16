"""What a run is done with, window by window → a `Coverage`, at any time.

Windows come in any order. Each becomes a span, and spans are merged where they overlap by as much
as windows do: then no record lies between them. Of the marks at the edge between two, only those
are kept whose records reach the new edges. A window that is not proved yet waits, and is sealed
with the proof.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING

import attrs

from boxis_async.coverage import (
    Coverage,
    Memory,
    Reaches,
    RejectedSpan,
    SealedSpan,
    memory_of,
)
from boxis_async.models import OVERLAP, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from boxis_async._wire.wallclock import Span

__all__ = ["CoverageBuilder", "Marks"]


@attrs.frozen(eq=False, repr=False)
class Marks:
    """Marks of the records of one window: of those that touch its ends, and of all if need be.

    That is with `carry_keys=True`, or where one of its records could not be read.
    """

    first: Reaches = attrs.field(factory=dict[bytes, datetime])
    last: Reaches = attrs.field(factory=dict[bytes, datetime])
    every: frozenset[bytes] = frozenset()


class CoverageBuilder:
    """What a run is done with, window by window; gives a `Coverage` at any time.

    Args:
        fingerprint: Of the query.
        key: Of the run's fingerprints.
        before: The coverage of the run that is resumed.
        carry_keys: Whether to keep the marks of all records.
        overlap: By how much neighbouring windows overlap.
    """

    def __init__(
        self,
        fingerprint: str,
        key: bytes,
        before: Coverage | None,
        *,
        carry_keys: bool,
        overlap: timedelta = OVERLAP,
    ) -> None:
        self._fingerprint = fingerprint
        self._key = key
        self._carries_keys = carry_keys
        self._overlap = overlap
        self._sealed = _MergedSpans(overlap)
        self._unsealed = _MergedSpans()
        self._empty = _MergedSpans()
        self._failed = _MergedSpans()
        # Each window with its marks, and whether a record of it could not be read.
        self._unproved: list[tuple[SealedSpan, Marks, bool]] = []
        # What was handed over whole, but is not sealed.
        self._whole = _MergedSpans()
        self._rejected: dict[Span, RejectedSpan] = {}
        self._rejected_before: tuple[RejectedSpan, ...] = ()
        self._marks: set[bytes] = set()
        if before is not None:
            memory = memory_of(before)
            for sealed in memory.sealed:
                self._sealed.add(sealed)
            for window in before.empty:
                span = _bare(window)
                if span is not None and self._sealed.contain(span):
                    self._empty.add(span)
            self._marks |= memory.marks
            self._rejected_before = memory.rejected

    def hand_over(  # noqa: PLR0913 - each is one thing to know of a window
        self,
        window: Window,
        marks: Marks,
        *,
        is_sealed: bool,
        is_empty: bool,
        is_proved: bool = True,
        has_rejects: bool = False,
    ) -> None:
        """Note a window whose records have all been handed over.

        Args:
            window: The window.
            marks: Of its records, also of those that were dropped.
            is_sealed: Whether it is at rest, so that it is never asked for again.
            is_empty: Whether the provider had no records for it.
            is_proved: Whether it is certain that no record is missing between this window and its
                neighbours. Until it is, the window is not sealed; see `be_proved`.
            has_rejects: Whether a record could not be read: then it is asked for again.
        """
        span = _bare(window)
        if span is None:
            return
        if is_sealed:
            self._unproved.append((span, marks, has_rejects))
        else:
            self._unsealed.add(span)
            if not has_rejects:
                self._whole.add(span)
        if is_empty:
            self._empty.add(span)
        if is_proved:
            self.be_proved()

    def be_proved(self) -> None:
        """Seal the windows that waited for the proof that no record is missing between them."""
        unproved, self._unproved = self._unproved, []
        for span, marks, has_rejects in unproved:
            if has_rejects:
                ends = span.start, span.end
                self._rejected[ends] = RejectedSpan(*ends, marks.every)
                continue
            self._sealed.add(attrs.evolve(span, first=marks.first, last=marks.last))
            if self._carries_keys:
                self._marks |= marks.every

    def fail(self, window: Window | None) -> None:
        """Note a window that failed for good."""
        span = None if window is None else _bare(window)
        if span is not None:
            self._failed.add(span)

    def coverage(self) -> Coverage:
        """Give what is done so far."""
        return Coverage(
            fingerprint=self._fingerprint,
            unsealed=self._handed_over_unsealed().windows(),
            empty=self._empty.windows(),
            failed=self._failed.windows(),
            memory=Memory(
                tuple(self._sealed), self._key, frozenset(self._marks), self._every_rejected()
            ),
        )

    def _every_rejected(self) -> tuple[RejectedSpan, ...]:
        """List the windows with a record that could not be read, unless it has been since."""
        if not self._rejected and not self._rejected_before:
            return ()
        # Those of earlier runs count until all of their time was fetched again. Then the sealed
        # spans, and the marks of what was rejected once more, recognise what they did.
        again = _MergedSpans(self._overlap)
        for span in (*self._sealed, *self._rejected.values()):
            again.add(SealedSpan(span.start, span.end))
        spans = list(again)
        before = [
            span
            for span in self._rejected_before
            if not any(one.start <= span.start and span.end <= one.end for one in spans)
        ]
        return tuple(sorted([*before, *self._rejected.values()], key=attrgetter("start", "end")))

    def share(self, start: datetime, end: datetime) -> float:
        """Give the share of a range, from 0 to 1, that was handed over, sealed or not."""
        merged = _MergedSpans()
        for span in (*self._sealed, *self._whole, *self._unproved_spans(whole_only=True)):
            if span.start < end and span.end > start:
                merged.add(SealedSpan(max(span.start, start), min(span.end, end)))
        spans = list(merged)
        done = sum((span.end - span.start for span in spans), timedelta(0))
        # The second in which two spans only touch may be in neither: something is missing there.
        done -= sum(one.end == other.start for one, other in pairwise(spans)) * OVERLAP
        return max(done, timedelta(0)) / (end - start)

    def _handed_over_unsealed(self) -> _MergedSpans:
        if not self._unproved:
            return self._unsealed
        merged = _MergedSpans()
        for span in (*self._unsealed, *self._unproved_spans()):
            merged.add(SealedSpan(span.start, span.end))
        return merged

    def _unproved_spans(self, *, whole_only: bool = False) -> Iterator[SealedSpan]:
        for span, _, has_rejects in self._unproved:
            if not (whole_only and has_rejects):
                yield span


class _MergedSpans:
    """Spans in order, merged where they overlap by as much as windows do."""

    def __init__(self, overlap: timedelta = OVERLAP) -> None:
        self._overlap = overlap
        self._spans: list[SealedSpan] = []

    def add(self, span: SealedSpan) -> None:
        """Add a span; of its marks and those of its neighbours keep what reaches the new ends."""
        spans = self._spans
        begin = bisect_left(spans, span.start, key=attrgetter("end"))
        end = bisect_right(spans, span.end, key=attrgetter("start"))
        near = spans[begin:end]
        others = [one for one in near if _overlap(one, span, self._overlap)]
        # One within two spans joins neither to the other: they overlap by less than it takes.
        others = [one for one in others if _contains(one, span)][:1] or others
        apart = [one for one in near if one not in others]
        merged = [span, *others]
        start = min(one.start for one in merged)
        until = max(one.end for one in merged)
        first = _joined((one.first for one in merged), min)
        last = _joined((one.last for one in merged), max)
        union = SealedSpan(
            start,
            until,
            # As differences: no datetime lies before the year 1 or after the year 9999.
            {mark: reach for mark, reach in first.items() if reach - start <= self._overlap},
            {mark: reach for mark, reach in last.items() if until - reach <= self._overlap},
        )
        spans[begin:end] = sorted([*apart, union], key=attrgetter("start"))

    def __iter__(self) -> Iterator[SealedSpan]:
        return iter(self._spans)

    def contain(self, span: SealedSpan) -> bool:
        """Report whether one of them contains a span."""
        # None is within another one, so of those that begin before it the last ends last.
        place = bisect_right(self._spans, span.start, key=attrgetter("start"))
        return place > 0 and _contains(self._spans[place - 1], span)

    def windows(self) -> tuple[Window, ...]:
        return tuple(Window(span.start, span.end) for span in self._spans)


def _overlap(one: SealedSpan, other: SealedSpan, enough: timedelta) -> bool:
    """Report whether two spans have enough time in common, or one contains the other."""
    start, end = max(one.start, other.start), min(one.end, other.end)
    return end - start >= enough or (start, end) in (
        (one.start, one.end),
        (other.start, other.end),
    )


def _joined(
    edges: Iterable[Reaches], farther: Callable[[datetime, datetime], datetime]
) -> dict[bytes, datetime]:
    """Join marks; of a record that two spans have, keep how far it reaches at most."""
    joined: dict[bytes, datetime] = {}
    for edge in edges:
        for mark, reach in edge.items():
            joined[mark] = farther(reach, joined.get(mark, reach))
    return joined


def _bare(window: Window) -> SealedSpan | None:
    if window.start is None or window.end is None:
        return None
    return SealedSpan(window.start, window.end)


def _contains(outer: SealedSpan, inner: SealedSpan) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end
