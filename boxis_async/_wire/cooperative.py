"""Answers are read in steps, so that whoever reads one can do other things in between."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeAlias, TypeVar, cast

__all__ = ["Build", "Built", "ReadRecords", "Steps", "at_once"]

T = TypeVar("T")

Steps: TypeAlias = Generator[None, None, T]
"""Work that pauses after each step, a millisecond or so, and in the end gives its result."""

Build: TypeAlias = Callable[[Iterable[Any]], object]
"""Builds something of some records as they were sent."""

ReadRecords: TypeAlias = Callable[[str], Any]
"""Reads the JSON of some records, an object or an array; or gives None, to leave it to others."""


class Built(list[Any]):
    """What was built of an answer's records, of some after the other."""


def at_once(steps: Steps[T]) -> T:
    """Take all steps, one right after the other, and give the result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast("T", end.value)
