"""A range, cut into windows on the provider's wall clock.

Neighbours share their boundary second. Nobody knows whether the server includes its ends,
nor whether it looks at a call's start, its end, or both (page "Get Calls History" is
silent): with a shared second the union of the windows is the undivided request's answer
under every one of these rules, and the repeats are recognised by their key.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from .models import Plan

if TYPE_CHECKING:
    from .wallclock import Range

__all__ = ["cut", "problem_with_length"]

_SECOND = timedelta(seconds=1)
_FIRST_GUESS = timedelta(days=1)


def problem_with_length(window: object) -> str | None:
    """Say what is wrong with a window's length, or None."""
    if window is None:
        return None
    if not isinstance(window, timedelta):
        return f"window must be a timedelta or None, not {window!r}"
    if window < _SECOND or window % _SECOND:
        return f"window must be whole seconds, one or more, as the API asks by them, not {window}"
    return None


def cut(asked: Range | None, window: timedelta | None) -> Plan:
    """Cut a range into windows of a length counted from its start; the last may be shorter.

    Args:
        asked: The range, or None for the one request for everything.
        window: The length of a window, or None for a first guess of a day.
    """
    if asked is None:
        return Plan(None, None, _FIRST_GUESS)
    return Plan(asked.start, asked.end, window or _FIRST_GUESS, guess=window is None)
