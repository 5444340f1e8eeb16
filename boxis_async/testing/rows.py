"""A row of the stand-in: one record under the page's names, all of it text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, cast

Row: TypeAlias = Mapping[str, str | bytes | None]
"""One record under the page's names. `bytes` are sent as they are, valid UTF-8 or not."""


def checked_copy(row: Mapping[str, object]) -> Row:
    """Copy a row, so that later changes of the caller's own have no effect.

    Raises:
        TypeError: A value is a number: the provider sends every value of a record as text.
    """
    for name, value in row.items():
        if isinstance(value, (int, float)):
            raise TypeError(f"{name} must be a text or None, as on the wire, not {value!r}")
    return dict(cast("Row", row))


def local_time(row: Row, name: str) -> str | None:
    """Return a date column as text, for comparison; None where there is none."""
    value = row.get(name)
    return value.decode("latin-1") if isinstance(value, bytes) else value
