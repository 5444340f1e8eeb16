"""What stands in a file, and in which spelling: a `Layout`, made of the arguments of an export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from boxis_async import UsageError
from boxis_async.export.columns import READABLE, Columns, choose_columns

if TYPE_CHECKING:
    from boxis_async.export.columns import Rows

__all__ = ["DELIMITERS", "Layout", "make_layout"]

DELIMITERS: Final = (",", ";", "\t", "|")
"""What can separate the fields of a CSV file."""


@attrs.frozen(kw_only=True)
class Layout:
    """What stands in a file, and in which spelling; all but the columns is for CSV alone."""

    columns: Columns
    chosen: str | tuple[str, ...] | None = None
    """The columns as the user named them."""
    delimiter: str = ","
    bom: bool = False
    """Whether a byte order mark comes first."""
    local_times: bool = False
    """Whether times are on the wall clock, without an offset."""
    decimal_comma: bool = False
    formula_safe: bool = False

    @property
    def rows(self) -> Rows:
        """What a row is."""
        return self.columns.rows

    def spelling(self) -> dict[str, Any]:
        """Give what is for CSV alone, by its names."""
        return {name: getattr(self, name) for name in _SPELLING}


_SPELLING: Final = ("delimiter", "bom", "local_times", "decimal_comma", "formula_safe")


def make_layout(  # noqa: PLR0913 - each is one argument of an export, by name
    *,
    rows: object = "legs",
    columns: object = None,
    delimiter: object = ",",
    bom: object = False,
    local_times: object = False,
    decimal_comma: object = False,
    formula_safe: object = False,
) -> Layout:
    """Make a layout of arguments as they come.

    Raises:
        UsageError: One is wrong.
    """
    if delimiter not in DELIMITERS:
        raise UsageError(
            f"delimiter must be one of {', '.join(map(repr, DELIMITERS))}, not {delimiter!r}"
        )
    if decimal_comma and delimiter == ",":
        raise UsageError('decimal_comma needs another delimiter than a comma, such as ";"')
    chosen = choose_columns(rows, columns)
    is_named = columns is not None and columns != READABLE
    return Layout(
        columns=chosen,
        chosen=tuple(column.name for column in chosen.all)
        if is_named
        else cast("str | None", columns),
        delimiter=delimiter,
        bom=bool(bom),
        local_times=bool(local_times),
        decimal_comma=bool(decimal_comma),
        formula_safe=bool(formula_safe),
    )
