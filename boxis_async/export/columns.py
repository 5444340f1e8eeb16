"""What can be a column of a file: its name, what kind of value it has, and how to get that.

Rows are legs or calls. The columns of a leg are the fields of a `CDR`, in their order, `extra`
last; those of a call are what `Call.to_dict` has. More can be chosen by name, and `READABLE` stands
for the few that people read. What only a call has, such as an outcome, a leg has too: that of a
call of this leg alone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast, get_args

import attrs

from boxis_async import CDR, Disposition, Extra, UsageError, group_calls

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from boxis_async import Call

__all__ = ["COLUMNS", "READABLE", "Column", "Columns", "Kind", "Rows", "choose_columns"]

Rows: TypeAlias = Literal["legs", "calls"]
"""What a row of a file is."""

Kind: TypeAlias = Literal[
    "text", "datetime", "date", "integer", "seconds", "decimal", "boolean", "word", "mapping"
]
"""What kind of value a column has: `word` is a text or None, `seconds` a whole number of them."""

READABLE: Final = "readable"
"""What stands for the columns that people read."""

_KINDS: dict[object, Kind] = {
    str: "text",
    datetime: "datetime",
    date: "date",
    int: "integer",
    Decimal: "decimal",
    Disposition: "word",
    Extra: "mapping",
}


@attrs.frozen
class Column:
    """One column of a file.

    Attributes:
        name: As the header has it.
        kind: What kind of value it has.
        of: Gives the value of a row.
    """

    name: str
    kind: Kind
    of: Callable[[Any], Any]


@attrs.frozen
class Columns:
    """The columns of a file.

    Attributes:
        all: The columns, in order.
        rows: What a row is.
        of_calls: Whether they take a row as a `Call`, also where it is a leg.
    """

    all: tuple[Column, ...]
    rows: Rows
    of_calls: bool = attrs.field(kw_only=True)

    def values(self, rows: Sequence[CDR | Call]) -> list[tuple[Any, ...]]:
        """Give the values of rows, as a tuple for each column."""
        if self.of_calls and self.rows == "legs":
            rows = [group_calls([leg])[0] for leg in rows if isinstance(leg, CDR)]
        # Row by row: what a record has was made together, and lies together in memory.
        return list(zip(*map(self._values_of, rows), strict=True)) or [()] * len(self.all)

    @cached_property
    def _values_of(self) -> Callable[[Any], tuple[Any, ...]]:
        names = [column.name for column in self.all]
        if len(names) > 1 and not self.of_calls:
            return attrgetter(*names)
        getters = [column.of for column in self.all]
        return lambda row: tuple([of(row) for of in getters])


def _kind_of(annotation: object) -> Kind:
    (kept,) = (part for part in get_args(annotation) or (annotation,) if part is not NoneType)
    return _KINDS[kept]


COLUMNS: Final = tuple(
    Column(field.name, _kind_of(field.type), attrgetter(field.name))
    for field in attrs.fields(attrs.resolve_types(CDR))
)
"""The fields of a record."""


def _whole_seconds(time: timedelta | None) -> int | None:
    return None if time is None else time // timedelta(seconds=1)


def _wait(call: Call) -> int | None:
    return _whole_seconds(call.wait)


def _talk(call: Call) -> int | None:
    return _whole_seconds(call.talk)


def _leg_count(call: Call) -> int:
    return len(call.legs)


_OF_CALLS: Final = (
    Column("id", "text", attrgetter("id")),
    Column("start", "datetime", attrgetter("start")),
    Column("end", "datetime", attrgetter("end")),
    Column("direction", "word", attrgetter("direction")),
    Column("caller_number", "text", attrgetter("caller_number")),
    Column("caller_name", "text", attrgetter("caller_name")),
    Column("dialled", "text", attrgetter("dialled")),
    Column("outside", "text", attrgetter("outside")),
    Column("outcome", "word", attrgetter("outcome")),
    Column("answered_by", "text", attrgetter("answered_by")),
    Column("answered", "boolean", attrgetter("answered")),
    Column("missed", "boolean", attrgetter("missed")),
    Column("wait_seconds", "seconds", _wait),
    Column("talk_seconds", "seconds", _talk),
    Column("cost", "decimal", attrgetter("cost")),
    Column("legs", "integer", _leg_count),
)
"""What `Call.to_dict` has, in its order."""

_READABLE: Final = (
    Column("start", "datetime", attrgetter("start")),
    Column("direction", "word", attrgetter("direction")),
    Column("caller", "text", attrgetter("caller_number")),
    Column("name", "text", attrgetter("caller_name")),
    Column("dialled", "text", attrgetter("dialled")),
    Column("outcome", "word", attrgetter("outcome")),
    Column("answered_by", "text", attrgetter("answered_by")),
    Column("wait", "seconds", _wait),
    Column("talk", "seconds", _talk),
    Column("cost", "decimal", attrgetter("cost")),
)


def _of_first_leg(column: Column) -> Column:
    """Make a column of legs one of calls that have one leg."""
    of = column.of

    def of_first_leg(call: Call) -> object:
        return of(call.legs[0])

    return attrs.evolve(column, of=of_first_leg)


_ALL: Final[dict[Rows, dict[str, Column]]] = {
    "calls": {column.name: column for column in (*_READABLE, *_OF_CALLS)},
    # A field of the record comes before what has the same name in a call.
    "legs": {column.name: column for column in (*_READABLE, *_OF_CALLS)}
    | {column.name: _of_first_leg(column) for column in COLUMNS},
}
_FIELDS: Final = {column.name: column for column in COLUMNS}


def choose_columns(rows: object, names: object = None) -> Columns:
    """Give the columns that a user names; None stands for all of a leg's fields, or of a call's.

    Raises:
        UsageError: Rows are something else, there is no such column, one is named twice, or none
            is named.
    """
    if rows not in ("legs", "calls"):
        raise UsageError(f"rows must be legs or calls, not {rows!r}")
    if names is None:
        return (
            Columns(COLUMNS, rows, of_calls=False)
            if rows == "legs"
            else Columns(_OF_CALLS, rows, of_calls=True)
        )
    if names == READABLE:
        return Columns(_READABLE, rows, of_calls=True)
    known = _ALL[rows]
    chosen = _names(names)
    for name in chosen:
        if name not in known:
            raise UsageError(
                f"there is no column {name!r} of {rows}: name some of {', '.join(known)}, or "
                f'"{READABLE}" alone'
            )
        if chosen.count(name) > 1:
            raise UsageError(f"the column {name} is named twice")
    if rows == "legs" and all(name in _FIELDS for name in chosen):
        return Columns(tuple(_FIELDS[name] for name in chosen), rows, of_calls=False)
    return Columns(tuple(known[name] for name in chosen), rows, of_calls=True)


def _names(names: object) -> tuple[str, ...]:
    wrong = UsageError(f'columns must be names of columns, or "{READABLE}", not {names!r}')
    if isinstance(names, str | bytes) or not hasattr(names, "__iter__"):
        raise wrong
    found = tuple(cast("Iterable[object]", names))
    chosen = tuple(name for name in found if isinstance(name, str))
    if not found or len(chosen) < len(found):
        raise wrong
    return chosen
