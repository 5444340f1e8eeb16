"""Tenants whose whole history is one answer: can any request show that it is not cut off?

The answer is worked out here from what the rules mean, and shares no code with the package. A call
that a server keeps back is never seen if each window that has it has all of the known calls too.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection

Rule: TypeAlias = tuple[str, bool, bool]
"""What is compared with the two dates, and whether each of them counts."""
Time = TypeVar("Time", str, int, float)
Call: TypeAlias = tuple[int, int]
"""The seconds at which a call starts and ends."""

RULES: tuple[Rule, ...] = tuple(
    product(("start", "end", "overlap", "either", "within"), (True, False), (True, False))
)

# What is longer behaves as a call of two seconds does: a window fits into it.
_LONG = 2


def admits(rule: Rule, start: Time, end: Time, first: Time, last: Time) -> bool:
    """Say whether a record is in an answer; all are texts, or all are moments."""
    by, include_from, include_to = rule

    def is_late(time: Time) -> bool:
        return time > first or (include_from and time == first)

    def is_early(time: Time) -> bool:
        return time < last or (include_to and time == last)

    starts, ends = is_late(start) and is_early(start), is_late(end) and is_early(end)
    return {
        "start": starts,
        "end": ends,
        "overlap": is_early(start) and is_late(end),
        "either": starts or ends,
        "within": is_late(start) and is_early(end),
    }[by]


def can_be_proved(rule: Rule, calls: Collection[Call]) -> bool:
    """Say whether some window would show what is kept back, if a tenant has these calls alone."""
    lengths = {min(end - start, _LONG) for start, end in calls}
    answers = _answers(rule, lengths)
    alike = [other for other in RULES if _answers(other, lengths) == answers]
    return not any(_can_hide(by, calls) for by, *_ in alike)


def _answers(rule: Rule, lengths: Collection[int]) -> list[bool]:
    """List which windows around a call of each length have it."""
    return [
        admits(rule, 0, length, first, last)
        for length in lengths
        for first in range(-2, length + 3)
        for last in range(first, length + 3)
    ]


def _can_hide(by: str, calls: Collection[Call]) -> bool:
    """Say whether some call is in no window that has not all of these calls too."""
    starts, ends = {start for start, _ in calls}, {end for _, end in calls}
    return {
        "start": len(starts) == 1,
        "end": len(ends) == 1,
        "overlap": max(starts) <= min(ends),
        "either": any(all(second in call for call in calls) for second in starts | ends),
        "within": True,  # a call around them all
    }[by]
