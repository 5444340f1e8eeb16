"""Which rows a request's two dates select.

The provider's page does not say what `datefrom` and `dateto` are compared with, so a test chooses a
`DateRule`. We compare text with text, as SQL compares its dates, and search sorted copies of the
columns: a test that fetches a year in many windows would otherwise scan the whole year for each.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from operator import ge, gt, le, lt
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from attrs import field, frozen, validators

from .rows import local_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .rows import Row

FilterBy: TypeAlias = Literal["start", "end", "overlap", "either", "within"]
"""What a `DateRule` compares with the two dates."""

FilterMode: TypeAlias = Literal["start", "start_half_open", "end", "overlap"]
"""Four of the rules, by name; a `DateRule` describes each of them."""


@frozen
class DateRule:
    """Describe which records a server selects by the two dates of a request.

    Attributes:
        by: What is compared. `"start"` or `"end"`: this time lies between the dates. `"overlap"`:
            a part of the call does. `"either"`: its start or its end does. `"within"`: both do.
        include_from: Whether a time that equals `datefrom` counts.
        include_to: Whether a time that equals `dateto` counts.
    """

    by: FilterBy = field(validator=validators.in_(get_args(FilterBy)))
    include_from: bool = True
    include_to: bool = True


DATE_RULES: tuple[DateRule, ...] = tuple(
    DateRule(by, include_from, include_to)
    for by in get_args(FilterBy)
    for include_from in (True, False)
    for include_to in (True, False)
)
"""Every rule: `for rule in DATE_RULES` tests code against each server that there may be."""

_RULES_BY_NAME: dict[FilterMode, DateRule] = {
    "start": DateRule("start"),
    "start_half_open": DateRule("start", include_to=False),
    "end": DateRule("end"),
    "overlap": DateRule("overlap"),
}

# Later than every date: the end of a row that has none.
_NEVER = "\U0010ffff"


def date_rule(mode: FilterMode | DateRule) -> DateRule:
    """Return the rule that a mode names.

    Raises:
        ValueError: There is no such mode.
    """
    if isinstance(mode, DateRule):
        return mode
    if mode not in _RULES_BY_NAME:
        raise ValueError(
            f"filter_mode must be a DateRule or one of {', '.join(_RULES_BY_NAME)}, not {mode!r}"
        )
    return _RULES_BY_NAME[mode]


@frozen
class DateIndex:
    """The rows sorted by `start` and by `end`, each with its place in the order of insertion."""

    starts: list[str]
    by_start: list[int]
    ends: list[str]
    by_end: list[int]
    # For the rules that compare both times, in the order of `by_start`: the end of each row, the
    # latest end up to and including it, and the earliest end from it on.
    start_ends: list[str]
    latest_ends: list[str]
    earliest_ends: list[str]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> DateIndex:
        """Index rows that stay as they are."""
        # A row without the column is NULL to an SQL server, and no comparison selects it.
        starts = [(text, at) for at, row in enumerate(rows) if (text := local_time(row, "start"))]
        ends = [(text, at) for at, row in enumerate(rows) if (text := local_time(row, "end"))]
        starts.sort()
        ends.sort()
        start_ends = [local_time(rows[at], "end") or "" for _, at in starts]
        earliest_ends = [*accumulate((end or _NEVER for end in reversed(start_ends)), min)]
        return cls(
            starts=[text for text, _ in starts],
            by_start=[at for _, at in starts],
            ends=[text for text, _ in ends],
            by_end=[at for _, at in ends],
            start_ends=start_ends,
            latest_ends=list(accumulate(start_ends, max)),
            earliest_ends=earliest_ends[::-1],
        )

    def select(self, rule: DateRule, datefrom: str, dateto: str) -> list[int]:
        """Return the places of the selected rows, in the order of insertion."""
        # `bisect_left` finds the first place of an equal text, `bisect_right` the one behind it.
        first = bisect_left if rule.include_from else bisect_right
        last = bisect_right if rule.include_to else bisect_left
        by_start = self.by_start[first(self.starts, datefrom) : last(self.starts, dateto)]
        if rule.by == "start":
            return sorted(by_start)
        by_end = self.by_end[first(self.ends, datefrom) : last(self.ends, dateto)]
        if rule.by == "end":
            return sorted(by_end)
        if rule.by == "either":
            return sorted({*by_start, *by_end})
        # The remaining rules compare start and end with different dates. A running maximum or
        # minimum of the ends bounds the places to look at to those around the range: about as many
        # as in the longest call's length, and not the whole history.
        if rule.by == "overlap":
            low, high = first(self.latest_ends, datefrom), last(self.starts, dateto)
            is_late_enough = ge if rule.include_from else gt
            return sorted(
                self.by_start[at]
                for at in range(low, high)
                if is_late_enough(self.start_ends[at], datefrom)
            )
        low, high = first(self.starts, datefrom), last(self.earliest_ends, dateto)
        is_early_enough = le if rule.include_to else lt
        return sorted(
            self.by_start[at]
            for at in range(low, high)
            if self.start_ends[at] and is_early_enough(self.start_ends[at], dateto)
        )
