"""What answers show by themselves: their order, their keys, cut answers, the zone.

All of it is counted in evidence as numbers and dates. What could name a person stays here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from operator import ge, le
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

from boxis_async._run.date_rules import Ends
from boxis_async._wire.wallclock import epoch_of, is_steady
from boxis_async.contract_model import Finding
from boxis_async.models import CDR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import tzinfo

    from boxis_async._wire.cooperative import Steps
    from boxis_async.contract_model import RowOrder

__all__ = [
    "SMALLEST_CAP",
    "Answer",
    "Cap",
    "Purpose",
    "UsableCalls",
    "cap_shown",
    "cut_answers",
    "keys_finding",
    "known_calls",
    "largest_whole",
    "longest_call",
    "order_of",
    "whole_answers",
    "zone_finding",
]

Purpose: TypeAlias = Literal["rule", "dates", "cap", "zone"]
"""What a window was asked for."""

SMALLEST_CAP = 10
"""Smaller caps are not looked for: an answer of fewer records counts as whole.

Larger answers count as whole only if there is a reason. A quiet tenant has such: its baseline holds
more than a window around one call.
"""
_YEARS = range(1971, 9000)
"""A record of another year is none: to look a year before or after it must be possible."""

_A_STEP = 256  # records, in a millisecond or so
_QUARTER = 15 * 60
_LONGEST = (
    366 * 86400
)  # what claims to be longer is no call, and may be more than a timedelta holds
_MANY = 20  # so many neighbours in one order are no chance


@attrs.frozen(eq=False, repr=False)
class Answer:
    """The records of one window, in the order in which they came."""

    window: Ends
    purpose: Purpose
    cdrs: Sequence[CDR]
    calls: frozenset[Ends]
    """The usable ones, by start and end on the wall clock."""

    def __len__(self) -> int:
        return len(self.cdrs)

    def contains(self, other: Answer) -> bool:
        """Report whether the window of another answer lies in that of this one."""
        return self.window[0] <= other.window[0] and other.window[1] <= self.window[1]


class UsableCalls:
    """Picks the records that distinguish rules.

    Such a record has a start and an end. It touches no day on which the clock changes, as a server
    that compares moments would see another order there than the wall clock shows.
    """

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    def of(self, cdrs: Iterable[CDR]) -> Steps[frozenset[Ends]]:
        """Give the start and the end of each usable record, in steps."""
        found: set[Ends] = set()
        for number, cdr in enumerate(cdrs):
            if not number % _A_STEP:
                yield
            if cdr.end is None:
                continue
            start, end = (
                cdr.start.replace(tzinfo=None, fold=0),
                cdr.end.replace(tzinfo=None, fold=0),
            )
            is_real = start <= end and start.year in _YEARS and end.year in _YEARS
            days = {start.toordinal(), end.toordinal()}
            if is_real and all(is_steady(day, self._zone) for day in days):
                found.add((start, end))
        return frozenset(found)


def known_calls(answers: Iterable[Answer]) -> frozenset[Ends]:
    """Give the usable calls that are known to exist."""
    return frozenset[Ends]().union(*(answer.calls for answer in answers))


def cut_answers(answers: Sequence[Answer]) -> list[Answer]:
    """List the answers that were cut off: each lacks a call that a window inside its own has.

    By each of the rules a wider window holds whatever a narrower one holds.
    """
    return [
        answer
        for answer in answers
        if any(answer.contains(other) and not other.calls <= answer.calls for other in answers)
    ]


@attrs.frozen
class Cap:
    """At how many records answers are cut off."""

    records: int
    is_sure: bool
    """Whether a second answer has as many."""


def cap_shown(answers: Sequence[Answer]) -> Cap | None:
    """Give the cap that the answers show, if they show one."""
    cut = cut_answers(answers)
    if not cut:
        return None
    records = min(map(len, cut))
    return Cap(records, is_sure=sum(len(answer) == records for answer in answers) > 1)


def whole_answers(answers: Sequence[Answer]) -> list[Answer]:
    """List the answers that are known not to be cut off.

    A server that cuts at some number of records cuts the largest answer first: what is smaller
    than another answer is whole. Of the largest, one is whole if its parts prove it.
    """
    largest = max(map(len, answers), default=0)
    cut = cut_answers(answers)
    return [
        answer
        for answer in answers
        if answer not in cut
        and (len(answer) < max(largest, SMALLEST_CAP) or _is_covered(answer, answers))
    ]


def largest_whole(answers: Sequence[Answer], *, overlap: timedelta) -> int:
    """Give the size of the largest answer that is proved to be whole by its parts.

    Two parts that cover its window hold no call that it lacks, and both are smaller, so that they
    were not cut off themselves.

    Args:
        answers: The answers, parts among them.
        overlap: By how much two parts must overlap to have each record of the whole between them.
    """
    cut = cut_answers(answers)
    return max(
        (
            len(answer)
            for answer in answers
            if answer not in cut and _is_covered(answer, answers, overlap)
        ),
        default=0,
    )


def _is_covered(
    answer: Answer, answers: Sequence[Answer], overlap: timedelta = timedelta(seconds=1)
) -> bool:
    parts = [other for other in answers if answer.contains(other) and len(other) < len(answer)]
    return any(
        first.window[0] == answer.window[0]
        and second.window[1] == answer.window[1]
        and first.window[1] - second.window[0] >= overlap
        for first in parts
        for second in parts
    )


def longest_call(answers: Iterable[Answer]) -> timedelta | None:
    """Give the length of the longest record: from start to end, or as its `duration` says."""
    lengths: list[timedelta] = []
    for answer in answers:
        lengths += [end - start for start, end in answer.calls]
        lengths += [
            timedelta(seconds=cdr.duration)
            for cdr in answer.cdrs
            if cdr.duration is not None and 0 <= cdr.duration <= _LONGEST
        ]
    return max(lengths, default=None)


def order_of(answers: Iterable[Answer]) -> Steps[tuple[RowOrder | None, bool, str]]:
    """Find the order of the records in answers, in steps.

    Returns:
        The order, None if it is not known; whether many records show it; and the evidence.
    """
    compare: list[tuple[RowOrder, Callable[[CDR, CDR], bool]]] = [
        ("start", partial(_in_order, "start", le)),
        ("end", partial(_in_order, "end", le)),
        ("start descending", partial(_in_order, "start", ge)),
        ("end descending", partial(_in_order, "end", ge)),
    ]
    pairs = 0
    for answer in answers:
        for number, (before, after) in enumerate(pairwise(answer.cdrs)):
            if not number % _A_STEP:
                yield
            if before.end is None or after.end is None:
                continue
            pairs += 1
            compare = [(name, is_right) for name, is_right in compare if is_right(before, after)]
    seen = f"{pairs:,} neighbouring records in the answers"
    if not compare:
        return "none", pairs >= _MANY, f"{seen} are neither by start nor by end"
    if len(compare) > 1 or not pairs:
        orders = " and ".join(f"by {name}" for name, _ in compare)
        return None, False, f"{seen} are {orders} alike" if pairs else "no two records in an answer"
    return compare[0][0], pairs >= _MANY, f"{seen} are by {compare[0][0]}"


def _in_order(
    name: Literal["start", "end"],
    compare: Callable[[datetime, datetime], bool],
    before: CDR,
    after: CDR,
) -> bool:
    first, second = getattr(before, name), getattr(after, name)
    # Where the clock is turned back, the order of the moments is another one than the wall clock's.
    return compare(first.replace(tzinfo=None), second.replace(tzinfo=None)) or compare(
        first.astimezone(UTC), second.astimezone(UTC)
    )


def keys_finding(answers: Iterable[Answer]) -> Finding:
    """Find out whether `uniqueid` and `sequence` name one record in each answer."""
    keyed = without = shared = 0
    for answer in answers:
        keys = Counter(
            (cdr.uniqueid, cdr.sequence)
            for cdr in answer.cdrs
            if cdr.uniqueid and cdr.sequence is not None
        )
        keyed += keys.total()
        without += len(answer) - keys.total()
        shared += keys.total() - len(keys)
    missing = f"; {without:,} records have no uniqueid or no sequence" if without else ""
    if shared:
        evidence = f"{shared:,} of {keyed:,} records share uniqueid and sequence with another"
        return Finding("unique_keys", value=False, certainty="certain", evidence=evidence + missing)
    if not keyed:
        return Finding("unique_keys", None, "unknown", f"no record has a key{missing}")
    evidence = f"none of {keyed:,} records shares uniqueid and sequence with another of its answer"
    return Finding("unique_keys", value=True, certainty="likely", evidence=evidence + missing)


def zone_finding(answers: Iterable[Answer], zone: tzinfo, requests: int) -> Steps[Finding]:
    """Compare the starts with the epochs in `uniqueid`, on each side of a clock change, in steps.

    A `uniqueid` has the moment at which the caller's channel began. A later leg begins after that,
    so the most common difference counts, rounded to a quarter of an hour as offsets are.
    """
    # By the offset that the zone has at the moment: how often each was seen.
    sides: dict[int, Counter[int]] = {}
    counted: set[tuple[str, datetime]] = set()
    for number, cdr in enumerate(cdr for answer in answers for cdr in answer.cdrs):
        if not number % _A_STEP:
            yield
        epoch = epoch_of(cdr.uniqueid)
        wall = cdr.start.replace(tzinfo=UTC, fold=0)
        if epoch is None or (cdr.uniqueid, wall) in counted:
            continue
        counted.add((cdr.uniqueid, wall))
        moment = datetime.fromtimestamp(epoch, UTC)
        expected = _quarters(moment.astimezone(zone).utcoffset() or timedelta(0))
        sides.setdefault(expected, Counter())[_quarters(wall - moment)] += 1
    if not sides:
        evidence = "no record has an epoch in its uniqueid"
        return Finding("zone", None, "unknown", evidence, requests)
    shown = {expected: seen.most_common(1)[0][0] for expected, seen in sides.items()}
    records = sum(seen.total() for seen in sides.values())
    offsets = " and ".join(f"UTC{_written(found)}" for found in sorted(set(shown.values())))
    evidence = f"the epochs of {records:,} records show {offsets}"
    if any(found != expected for expected, found in shown.items()):
        wanted = " and ".join(f"UTC{_written(expected)}" for expected in sorted(shown))
        evidence += f" where {zone} has {wanted}"
        return Finding("zone", offsets, "certain", evidence, requests)
    if len(shown) > 1:
        evidence += f", on both sides of a clock change, as {zone} has"
        return Finding("zone", str(zone), "certain", evidence, requests)
    evidence += f", as {zone} has; only one side of a clock change was seen"
    return Finding("zone", str(zone), "likely", evidence, requests)


def _quarters(offset: timedelta) -> int:
    return round(offset.total_seconds() / _QUARTER)


def _written(quarters: int) -> str:
    sign = "-" if quarters < 0 else "+"
    minutes = abs(quarters) * _QUARTER // 60
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}"
