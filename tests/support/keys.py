"""Key functions, as a user would give them to `unique_by`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from boxis_async import CDR


def by_src(cdr: CDR) -> str:
    """Know a record by its caller: legs of one call, and other calls of the caller, are one."""
    return cdr.src


def by_dst(cdr: CDR) -> str:
    """Know a record by the number that was dialled."""
    return cdr.dst


def by_minute(cdr: CDR) -> str:
    """Know a record by the minute of its day: one key for records that differ in all else."""
    return f"{cdr.start:%H:%M}"
