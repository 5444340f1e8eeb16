"""Costs, added up exactly.

Python's own `+` rounds to the digits of the decimal context, 28 unless the program set another
number, and says nothing of it.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Final

__all__ = ["NO_COST", "add_costs"]

NO_COST: Final = Decimal(0)

# More digits than any cost has.
_EXACT: Final = Context(prec=200)


def add_costs(one: Decimal, other: Decimal | None) -> Decimal:
    """Add a cost to another one, exactly; what has none, None, adds nothing."""
    if other is None:
        return one
    # The cost of a call with one leg is the leg's: no further object is kept for each call.
    return other if one is NO_COST else _EXACT.add(one, other)
