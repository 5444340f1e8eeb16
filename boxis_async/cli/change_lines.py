"""What a watch hands over, as lines: for people, and as JSON Lines for programs.

A line for people begins with the line that `boxis calls` has for a call. Behind it stands what is
not over yet, or what was shown before.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from boxis_async import CallChange, printable

from .call_lines import leg_line, text_lines

if TYPE_CHECKING:
    from boxis_async import Change

__all__ = ["json_line", "text_line"]


def text_line(change: Change | CallChange) -> str:
    """Write a change as a line for people."""
    if isinstance(change, CallChange):
        (line,) = text_lines([change.call])
        # A call that was talked in is over; of one that was missed, somebody may be talking still.
        if change.call.missed and change.certainty == "probably":
            line += ", so far"
    else:
        line = leg_line(change.cdr)
    return line if change.kind == "new" else f"{line}; {_before(change)}"


def json_line(change: Change | CallChange) -> str:
    """Write a change as a JSON object on one line."""
    content: dict[str, Any] = {"kind": change.kind, "tenant": change.tenant}
    if isinstance(change, CallChange):
        before = change.previous
        content |= {
            "certainty": change.certainty,
            "call": change.call.to_dict(),
            "previous": None if before is None else before.to_dict(),
        }
    else:
        earlier = change.previous
        content |= {
            "leg": change.cdr.to_dict(),
            "previous": None if earlier is None else earlier.to_dict(),
        }
    return printable(json.dumps(content, ensure_ascii=False))


def _before(change: Change | CallChange) -> str:
    """Say what a thing was that changed, where that is known, and is another thing now."""
    if isinstance(change, CallChange):
        before = change.previous
        if before is not None and before.outcome != change.call.outcome:
            return f"was {printable(before.outcome)}"
    elif change.previous is not None and change.previous.disposition != change.cdr.disposition:
        return f"was {printable(str(change.previous.disposition))}"
    return "changed"
