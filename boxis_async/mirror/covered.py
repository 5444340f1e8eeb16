"""How much of a range is there, by its coverage."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

import attrs

from boxis_async import Window
from boxis_async.mirror.values import Covered

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from boxis_async import Coverage

__all__ = ["complete_until", "covered_of", "with_young"]

_Span: TypeAlias = "tuple[datetime, datetime]"


def covered_of(
    coverage: Coverage | None, start: datetime, end: datetime, pruned: datetime | None = None
) -> Covered:
    """Give what is complete, young and missing of a range, in wall times.

    Args:
        coverage: What is done; None is nothing.
        start: The start of the range.
        end: Its end.
        pruned: Before which all is deleted.
    """
    if coverage is None:
        missing = [(start, end)] if start < end else []
        return Covered(complete=(), young=(), missing=_windows(missing), share=0.0)
    first = start if pruned is None else min(max(start, pruned), end)
    lacking = coverage.missing(first, end) if first < end else []
    complete = _without((first, end), lacking)
    there = [
        (window.start, window.end)
        for window in coverage.unsealed
        if window.start is not None and window.end is not None
    ]
    young = [part for span in lacking for part in _within(span, there)]
    missing = [part for span in lacking for part in _without(span, young)]
    if start < first:
        missing = [(start, first), *missing]
    done = sum((last - begin for begin, last in complete), timedelta(0))
    share = done / (end - start) if start < end else float(not missing)
    return Covered(
        complete=_windows(complete),
        young=_windows(young),
        missing=_windows(missing),
        share=share,
        pruned_before=pruned if start < first else None,
    )


def complete_until(covered: Covered, start: datetime) -> datetime | None:
    """Give up to when a range is complete, without a gap from its start."""
    for span in covered.complete:
        if span.start == start:
            return span.end
    return None


def with_young(coverage: Coverage, before: Coverage | None) -> Coverage:
    """Give a coverage with the young spans of the one before it, which it does not know.

    A run fetches young spans again, and says so only of those that it has reached.
    """
    if before is None or not before.unsealed:
        return coverage
    spans = sorted(
        (window.start, window.end)
        for window in (*coverage.unsealed, *before.unsealed)
        if window.start is not None and window.end is not None
    )
    joined: list[_Span] = []
    for first, last in spans:
        if joined and first <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], last)
        else:
            joined.append((first, last))
    young = [part for span in joined for part in coverage.missing(*span)]
    return attrs.evolve(coverage, unsealed=_windows(young))


def _within(span: _Span, others: Iterable[_Span]) -> list[_Span]:
    """Give the parts of a span that lie in others, which are in order."""
    parts: list[_Span] = []
    at, until = span
    for first, last in others:
        begin, end = max(at, first), min(until, last)
        if begin < end:
            parts.append((begin, end))
            at = end
    return parts


def _without(span: _Span, others: Iterable[_Span]) -> list[_Span]:
    """Give the parts of a span that lie in none of others, which are in order."""
    parts: list[_Span] = []
    at, until = span
    for first, last in others:
        if last < at or first > until:
            continue
        if at < first:
            parts.append((at, first))
        at = max(at, last)
    if at < until:
        parts.append((at, until))
    return parts


def _windows(spans: Iterable[_Span]) -> tuple[Window, ...]:
    return tuple(Window(start, end) for start, end in spans)
