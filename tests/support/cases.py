"""How many cases a long test takes: an even choice of them, and all where that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

THOROUGH = 1000
"""The examples of a property under `HYPOTHESIS_PROFILE=thorough`."""


def spread(cases: Sequence[T], most: int) -> Sequence[T]:
    """Choose cases at even distances, the first and the last among them; all where thorough."""
    if settings.default is None or settings.default.max_examples >= THOROUGH or most >= len(cases):
        return cases
    distance = (len(cases) - 1) / (most - 1)
    return [cases[round(number * distance)] for number in range(most)]
