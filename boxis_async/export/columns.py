"""The columns of every format: the fields of a `CDR` in the order of the page, `extra` last."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args, get_type_hints

import attrs

from boxis_async import CDR, Disposition, Extra

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["COLUMNS", "Kind", "values_of"]

Kind: TypeAlias = Literal["text", "moment", "day", "whole", "amount", "word", "extra"]

_KINDS: dict[object, Kind] = {
    str: "text",
    datetime: "moment",
    date: "day",
    int: "whole",
    Decimal: "amount",
    Disposition: "word",
    Extra: "extra",
}


def _kind_of(hint: object) -> Kind:
    (held,) = (part for part in get_args(hint) or (hint,) if part is not NoneType)
    return _KINDS[held]


_HINTS = get_type_hints(CDR)

COLUMNS: dict[str, Kind] = {field.name: _kind_of(_HINTS[field.name]) for field in attrs.fields(CDR)}
"""The name of each column, and what kind of value it holds."""

values_of: Callable[[CDR], tuple[object, ...]] = attrgetter(*COLUMNS)
"""Gives the values of a record, one for each column."""
