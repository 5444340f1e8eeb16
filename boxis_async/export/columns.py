"""The columns of every format: the fields of a `CDR`, in their order, `extra` last."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import attrs

from boxis_async import CDR, Disposition, Extra

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["COLUMNS", "Kind", "values_of"]

Kind: TypeAlias = Literal[
    "text", "datetime", "date", "integer", "decimal", "disposition", "mapping"
]

_KINDS: dict[object, Kind] = {
    str: "text",
    datetime: "datetime",
    date: "date",
    int: "integer",
    Decimal: "decimal",
    Disposition: "disposition",
    Extra: "mapping",
}


def _kind_of(annotation: object) -> Kind:
    (kept,) = (part for part in get_args(annotation) or (annotation,) if part is not NoneType)
    return _KINDS[kept]


COLUMNS: dict[str, Kind] = {
    field.name: _kind_of(field.type) for field in attrs.fields(attrs.resolve_types(CDR))
}
"""The name of each column, and what kind of value it contains."""

values_of: Callable[[CDR], tuple[object, ...]] = attrgetter(*COLUMNS)
"""Give the values of a record, one for each column."""
