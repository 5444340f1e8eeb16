"""The tables of a mirror, under names that stay: anybody may read them, by any tool.

A leg has every documented field under the API's own name. Each time stands there three times: the
moment in UTC (`start`), the wall clock as it was sent (`start_wall`), and which pass of an hour
that comes twice it is in (`start_pass`, 1 or 2). Only the three together say all.

SQLite has no type for a time, so they are texts there, in a form that sorts. It has no decimal
numbers either: `cc_cost` is a float, which adds up right to five decimals, and `cc_cost_e5` is the
whole number of hundred-thousandths, which adds up exactly. What no column can hold, such as a
number of 30 digits or a text with a NUL, is in `exact`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    Index,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects import postgresql

from boxis_async import CDR

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

__all__ = [
    "API_NAMES",
    "DAYS_VIEW",
    "FIELDS",
    "LEG_COLUMNS",
    "TIMES",
    "WHOLES",
    "calls",
    "coverage",
    "legs",
    "metadata",
    "mirror",
    "positions",
    "revisions",
    "runs",
    "syncing",
    "tenants",
    "tombstones",
]

metadata = MetaData()

TIMES: Final = ("start", "answer", "end")
WHOLES: Final = ("duration", "billsec", "sequence", "prevsequence", "cc_type_id")
FIELDS: Final = tuple(field.name for field in attrs.fields(CDR))
API_NAMES: Final = {"src_call_id": "srcCallID"}


def _moment() -> TypeEngine[object]:
    return Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")  # type: ignore[return-value] # pyright: ignore[reportReturnType] - of any kind


def _wall() -> TypeEngine[object]:
    return Text().with_variant(postgresql.TIMESTAMP(), "postgresql")  # type: ignore[return-value] # pyright: ignore[reportReturnType] - of any kind


def _amount() -> TypeEngine[object]:
    return Float().with_variant(Numeric(), "postgresql")  # type: ignore[return-value] # pyright: ignore[reportReturnType] - of any kind


def _json() -> TypeEngine[object]:
    return Text().with_variant(postgresql.JSONB(), "postgresql")  # type: ignore[return-value] # pyright: ignore[reportReturnType] - of any kind


def _time(name: str, *, is_set: bool = False) -> list[Column[object]]:
    return [
        Column(name, _moment(), nullable=not is_set),
        Column(f"{name}_wall", _wall(), nullable=not is_set),
        Column(f"{name}_pass", SmallInteger(), nullable=not is_set),
    ]


def _field(name: str) -> list[Column[object]]:
    if name in TIMES:
        return _time(name, is_set=name == "start")
    kinds: dict[str, list[TypeEngine[object]]] = {
        **{whole: [BigInteger()] for whole in WHOLES},  # type: ignore[list-item] # pyright: ignore[reportAssignmentType] - of any kind
        "cc_date": [Date().with_variant(Text(), "sqlite")],  # type: ignore[list-item] # pyright: ignore[reportAssignmentType] - likewise
        "extra": [_json()],
        "disposition": [Text()],  # type: ignore[list-item] # pyright: ignore[reportAssignmentType] - likewise
    }
    if name == "cc_cost":
        return [Column(name, _amount()), Column(f"{name}_e5", BigInteger())]
    if name in kinds:
        return [Column(name, kinds[name][0])]
    return [Column(API_NAMES.get(name, name), Text(), nullable=False)]


def _leg_columns() -> list[Column[object]]:
    return [
        Column("tenant", Text(), nullable=False),
        Column("leg", Text(), nullable=False),
        *(column for name in FIELDS for column in _field(name)),
        Column("exact", Text()),
        Column("digest", Text(), nullable=False),
        Column("first_seen", _moment(), nullable=False),
        Column("changed_at", _moment(), nullable=False),
    ]


LEG_COLUMNS: Final = tuple(column.name for column in _leg_columns())
"""The columns that `legs` and `revisions` have in common."""

mirror = Table(
    "mirror",
    metadata,
    Column("name", Text(), primary_key=True),
    Column("value", Text(), nullable=False),
)
"""What the whole mirror is: its version, the provider, the zone, the contract."""

tenants = Table(
    "tenants",
    metadata,
    Column("tenant", Text(), primary_key=True),
    Column("range_from", _wall()),
    Column("pruned_before", _wall()),
    Column("rechecked", _moment()),
    Column("recheck_from", _wall()),
    Column("recheck_to", _wall()),
    Column("recheck_began", _moment()),
)
"""Each tenant: since when it is mirrored, and when sealed spans were last read again."""

legs = Table(
    "legs",
    metadata,
    *_leg_columns(),
    Column("last_seen", _moment(), nullable=False),
    Column("gone_at", _moment()),
    Column("call_id", Text(), nullable=False),
    PrimaryKeyConstraint("tenant", "leg"),
    Index("legs_by_start", "tenant", "start"),
    Index("legs_by_end", "tenant", "end_wall"),
    Index("legs_by_uniqueid", "tenant", "uniqueid"),
    Index("legs_by_linkedid", "tenant", "linkedid"),
    # Few legs have one.
    Index(
        "legs_by_prevuniqueid",
        "tenant",
        "prevuniqueid",
        sqlite_where=text("prevuniqueid <> ''"),
        postgresql_where=text("prevuniqueid <> ''"),
    ),
    Index("legs_by_call", "tenant", "call_id"),
)

revisions = Table(
    "revisions",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    *_leg_columns(),
    Column("replaced_at", _moment(), nullable=False),
    Index("revisions_by_leg", "tenant", "leg"),
    Index("revisions_by_start", "tenant", "start"),
)
"""Earlier versions of legs that changed."""

calls = Table(
    "calls",
    metadata,
    Column("tenant", Text(), primary_key=True),
    Column("id", Text(), primary_key=True),
    *_time("start", is_set=True),
    *_time("end"),
    Column("direction", Text()),
    Column("caller_number", Text(), nullable=False),
    Column("caller_name", Text(), nullable=False),
    Column("dialled", Text(), nullable=False),
    Column("outside", Text(), nullable=False),
    Column("outcome", Text(), nullable=False),
    Column("answered_by", Text(), nullable=False),
    Column("answered", Boolean(), nullable=False),
    Column("missed", Boolean(), nullable=False),
    Column("wait_seconds", Float(), nullable=False),
    Column("talk_seconds", Float(), nullable=False),
    Column("cost", _amount(), nullable=False),
    Column("cost_e5", BigInteger()),
    Column("legs", Integer(), nullable=False),
    Index("calls_by_start", "tenant", "start"),
)
"""The calls that `group_calls` makes of the legs."""

coverage = Table(
    "coverage",
    metadata,
    Column("tenant", Text(), primary_key=True),
    Column("scope", Text(), primary_key=True),
    Column("checksum", Text(), primary_key=True),
    Column("kind", Text(), nullable=False),
    Column("start", _wall()),
    Column("end", _wall()),
    Column("marks", Text(), nullable=False),
)
"""`Coverage.rows()`: of what is mirrored (scope `range`), and of a recheck that has not ended."""

runs = Table(
    "runs",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("tenant", Text(), nullable=False),
    Column("began", _moment(), nullable=False),
    Column("ended", _moment()),
    Column("holder", Text(), nullable=False),
    Column("new", Integer()),
    Column("changed", Integer()),
    Column("unchanged", Integer()),
    Column("gone", Integer()),
    Column("requests", Integer()),
    Column("error", Text()),
    Index("runs_by_tenant", "tenant", "ended"),
)
"""A log: one without `ended` is at work, or was killed."""

tombstones = Table(
    "tombstones",
    metadata,
    Column("digest", Text(), primary_key=True),
    Column("forgotten_at", _moment(), nullable=False),
)
"""Numbers that were forgotten, each as a keyed digest."""

positions = Table(
    "positions",
    metadata,
    Column("name", Text(), primary_key=True),
    Column("position", Text(), nullable=False),
    Column("saved_at", _moment(), nullable=False),
)
"""Where each watch is that keeps its position here. Since version 2."""

syncing = Table(
    "syncing",
    metadata,
    Column("name", Text(), primary_key=True),
    Column("holder", Text(), nullable=False),
    Column("token", Text(), nullable=False),
    Column("since", _moment(), nullable=False),
    Column("renewed", _moment(), nullable=False),
)
"""The lease of the sync that is at work, on a server. SQLite has a lock of the system's instead."""

DAYS_VIEW: Final = {
    "sqlite": """
        CREATE VIEW calls_by_day AS
        SELECT tenant, substr(start_wall, 1, 10) AS day,
               count(*) AS calls, sum(answered) AS answered, sum(missed) AS missed,
               sum(direction = 'inbound') AS inbound, sum(direction = 'outbound') AS outbound,
               sum(talk_seconds) AS talk_seconds, sum(legs) AS legs,
               round(sum(cost), 5) AS cost
        FROM calls GROUP BY tenant, substr(start_wall, 1, 10)
    """,
    "postgresql": """
        CREATE VIEW calls_by_day AS
        SELECT tenant, start_wall::date AS day,
               count(*) AS calls, count(*) FILTER (WHERE answered) AS answered,
               count(*) FILTER (WHERE missed) AS missed,
               count(*) FILTER (WHERE direction = 'inbound') AS inbound,
               count(*) FILTER (WHERE direction = 'outbound') AS outbound,
               sum(talk_seconds) AS talk_seconds, sum(legs) AS legs, sum(cost) AS cost
        FROM calls GROUP BY tenant, start_wall::date
    """,
}
"""The view of calls by the day on which they start, by the wall clock."""
