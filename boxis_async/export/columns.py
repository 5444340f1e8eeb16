"""The columns of every format: the fields of a `CDR` in the order of the page, `extra` last."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

from boxis_async import CDR

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["COLUMNS", "Kind", "values_of"]

Kind: TypeAlias = Literal["text", "moment", "day", "whole", "amount", "word", "extra"]

_KINDS: dict[str, Kind] = {
    "str": "text",
    "datetime": "moment",
    "date": "day",
    "int": "whole",
    "Decimal": "amount",
    "Disposition": "word",
    "Extra": "extra",
}

COLUMNS: dict[str, Kind] = {
    field.name: _KINDS[str(field.type).removesuffix(" | None")] for field in attrs.fields(CDR)
}
"""The name of each column, and what kind of value it holds."""

values_of: Callable[[CDR], tuple[object, ...]] = attrgetter(*COLUMNS)
"""Gives the values of a record, one for each column."""
