"""The twenty rules that the two dates may follow: which of them fit the answers.

A record is in an answer or not by how its start and its end lie to the two dates: before, at or
after each. So a record and a window have one of 81 patterns, and each pattern is admitted by some
of the rules. A set of rules is an int with a bit for each, and a pattern's set is worked out once.

A record that was in any answer exists. So each answer splits the rules: those that admit exactly
the known records that it holds stay. What an answer does not hold is counted only where the answer
is known not to be cut off. No record is expected that was not seen, so a call at a window's edge,
of which nobody knows, can mislead nobody.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, TypeAlias, get_args

import attrs

from boxis_async.contract_model import ComparedWith

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = [
    "ALL_RULES",
    "RULES",
    "WITHIN",
    "DateRule",
    "Ends",
    "admitting",
    "is_covered",
    "remaining",
    "rules_in",
]

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
WITHIN = sum(1 << bit for bit, rule in enumerate(RULES) if rule.by == "within")
"""The set of those by which a record must lie within the dates as a whole."""

_SECOND = timedelta(seconds=1)


@cache
def _admitting(pattern: tuple[int, int, int, int]) -> int:
    return sum(1 << bit for bit, rule in enumerate(RULES) if rule.admits(pattern))


def rules_in(rules: int) -> list[DateRule]:
    """List the rules of a set."""
    return [rule for bit, rule in enumerate(RULES) if rules >> bit & 1]


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


def is_covered(window: Ends, parts: Iterable[Ends], rules: int) -> bool:
    """Report whether by each of some rules any record of a window is in one of its parts.

    Args:
        window: Its two dates, a few seconds apart.
        parts: The dates of windows within it.
        rules: A set of rules.
    """
    first, last = window[0] - _SECOND, window[1] + _SECOND
    # The provider's times are whole seconds. What lies further outside is as a second outside.
    moments = [first + number * _SECOND for number in range((last - first) // _SECOND + 1)]
    parts = list(parts)
    for call in combinations_with_replacement(moments, 2):
        left = rules & admitting(call, window)
        for part in parts:
            left &= ~admitting(call, part)
        if left:
            return False
    return True
