"""The twenty rules that the two dates may follow: which are left, and what to ask next.

A record is in an answer or not by how its start and its end lie to the two dates: before, at or
after each. So a record and a window have one of 81 patterns, and each pattern is admitted by some
of the rules. A set of rules is an int with a bit for each, and a pattern's set is worked out once.

A record that was in any answer exists. So each answer splits the rules: those that admit exactly
the known records that it holds stay. What an answer does not hold is counted only where the answer
is known not to be cut off. No record is expected that was not seen, so a call at a window's edge,
of which nobody knows, can mislead nobody.

The next window is the one whose answer splits the rules that are left into the most and smallest
parts. Its ends lie at starts and ends of calls around a long one: such a window has calls that run
over its ends, and one that runs around all of it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING, TypeAlias, get_args

import attrs

from boxis_async.contract_model import ComparedWith

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from boxis_async._wire.cooperative import Steps

__all__ = ["ALL_RULES", "RULES", "DateRule", "Ends", "admitting", "next_window", "remaining"]

Ends: TypeAlias = tuple[datetime, datetime]
"""Two wall times: the start and the end of a record, or the two dates of a window."""


@attrs.frozen
class DateRule:
    """What a server compares with the two dates, and whether it includes each."""

    by: ComparedWith
    include_from: bool
    include_to: bool

    def admits(self, pattern: tuple[int, int, int, int]) -> bool:
        """Report whether a record is in an answer.

        Args:
            pattern: -1, 0 or 1 as the start lies before, at or after `datefrom`, and `dateto`; and
                likewise the end.
        """
        start_from, start_to, end_from, end_to = pattern
        starts_after = start_from > 0 or (start_from == 0 and self.include_from)
        starts_before = start_to < 0 or (start_to == 0 and self.include_to)
        ends_after = end_from > 0 or (end_from == 0 and self.include_from)
        ends_before = end_to < 0 or (end_to == 0 and self.include_to)
        match self.by:
            case "start":
                return starts_after and starts_before
            case "end":
                return ends_after and ends_before
            case "overlap":
                return ends_after and starts_before
            case "either":
                return (starts_after and starts_before) or (ends_after and ends_before)
            case "within":
                return starts_after and ends_before


RULES: tuple[DateRule, ...] = tuple(
    DateRule(by, include_from, include_to)
    for by in get_args(ComparedWith)
    for include_from in (True, False)
    for include_to in (True, False)
)
ALL_RULES = (1 << len(RULES)) - 1
"""The set of all rules, a bit for each."""

_SECOND = timedelta(seconds=1)
# Calls from which a window is made, around one long call: enough for all that a window needs, and
# few enough that the search takes some milliseconds.
_NEIGHBOURS = 9
_CENTRES = 6


@cache
def _admitting(pattern: tuple[int, int, int, int]) -> int:
    return sum(1 << bit for bit, rule in enumerate(RULES) if rule.admits(pattern))


def admitting(call: Ends, window: Ends) -> int:
    """Give the set of the rules by which a record is in the answer for a window."""
    start, end = call
    datefrom, dateto = window
    return _admitting(
        (
            (start > datefrom) - (start < datefrom),
            (start > dateto) - (start < dateto),
            (end > datefrom) - (end < datefrom),
            (end > dateto) - (end < dateto),
        )
    )


def remaining(
    window: Ends, present: Collection[Ends], known: Iterable[Ends], *, is_whole: bool
) -> int:
    """Give the set of the rules that fit an answer.

    Args:
        window: The two dates.
        present: The records of the answer.
        known: All records that are known to exist.
        is_whole: Whether the answer is known not to be cut off.
    """
    left = ALL_RULES
    for call in known:
        if call in present:
            left &= admitting(call, window)
        elif is_whole:
            left &= ~admitting(call, window)
    return left


def next_window(calls: Collection[Ends], left: int, asked: Collection[Ends]) -> Steps[Ends | None]:
    """Choose the window whose answer tells most of the rules that are left apart, in steps.

    Returns:
        The window; None if no window around these calls tells any two of them apart.
    """
    best: Ends | None = None
    best_score = left.bit_count() ** 2
    by_length = sorted(calls, key=lambda call: (call[0] - call[1], call))
    for centre in by_length[:_CENTRES]:
        middle = centre[0] + (centre[1] - centre[0]) / 2
        near = sorted(calls, key=lambda call: (_distance(call, middle), call))[:_NEIGHBOURS]
        focus = list({centre, *near})
        yield
        for window in _windows(focus, centre):
            score = sum(part.bit_count() ** 2 for part in _parts(left, focus, window))
            is_better = score < best_score or (
                # A shorter window of the same use has the smaller answer.
                score == best_score
                and best is not None
                and window[1] - window[0] < best[1] - best[0]
            )
            if is_better and window not in asked:
                best, best_score = window, score
        yield
        if best_score == left.bit_count():  # each rule has an answer of its own
            break
    return best


def _distance(call: Ends, moment: datetime) -> timedelta:
    return min(abs(call[0] - moment), abs(call[1] - moment))


def _windows(focus: Iterable[Ends], centre: Ends) -> Iterator[Ends]:
    """List the windows whose ends lie at starts or ends of calls, or beside those of one."""
    seconds = {moment for call in focus for moment in call}
    for moment in centre:
        seconds |= {moment - _SECOND, moment, moment + _SECOND}
    return combinations(sorted(seconds), 2)


def _parts(left: int, focus: Iterable[Ends], window: Ends) -> list[int]:
    """Split a set of rules into those that give the same answer for a window."""
    parts = [left]
    for admitted in {admitting(call, window) for call in focus}:
        parts = [half for part in parts for half in (part & admitted, part & ~admitted) if half]
    return parts
