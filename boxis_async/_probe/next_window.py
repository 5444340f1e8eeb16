"""Which window a probe asks for next, to tell the rules that are left apart.

It is the one whose answer splits the rules that are left into the most and smallest parts, see
`_run/date_rules.py`. Its ends lie at starts and ends of calls around a long one: such a window has
calls that run over its ends, and one that runs around all of it.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import combinations
from typing import TYPE_CHECKING

from boxis_async._run.date_rules import admitting

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import datetime

    from boxis_async._run.date_rules import Ends
    from boxis_async._wire.cooperative import Steps

__all__ = ["next_window"]

_SECOND = timedelta(seconds=1)
# Calls from which a window is made, around one long call: enough for all that a window needs, and
# few enough that the search takes some milliseconds.
_NEIGHBOURS = 9
_CENTRES = 6


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
