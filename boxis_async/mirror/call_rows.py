"""The table `calls`, kept in step with the legs: only calls of which a leg changed are made anew.

`group_calls` makes them, of all legs that may have to do with those that changed. These are the
legs that a changed one shares a name with (`linkedid`, `uniqueid`, `prevuniqueid`), those that were
in one call with it, and those that last at the same time, as a leg on another exchange carries on
one that dials it while it lasts. What is found brings further names, so we look until nothing new
comes. For a window of a year's first fetch that is most often itself, and a few legs beside it.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs
from sqlalchemy import text

from boxis_async import group_calls
from boxis_async.mirror.leg_rows import CDR_COLUMNS
from boxis_async.mirror.schema import calls as calls_table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from boxis_async import CDR, Call
    from boxis_async.mirror.database import Database
    from boxis_async.mirror.leg_rows import LegReader, LegWriter

__all__ = ["CallRows", "call_id"]

_COLUMNS: Final = tuple(column.name for column in calls_table.columns)
_QUOTED: Final = ", ".join(f'"{name}"' for name in CDR_COLUMNS)
_LONGEST_ID: Final = 255
# A leg that is written may carry on one that ends so much later. To look among all later legs would
# take longer with each day that is mirrored already.
_LONGEST_RELAY: Final = timedelta(hours=12)


def call_id(call: Call, key: str) -> str:
    """Give the id that a call has in the database.

    Args:
        call: The call.
        key: The key of its first leg, which stands for a call without a name.
    """
    name = call.id
    is_plain = name and name.isascii() and "\0" not in name and len(name) <= _LONGEST_ID
    return name if is_plain else f"leg {key}"


@attrs.define(eq=False)
class Regrouped:
    """What is to be written of calls."""

    ids: dict[str, str] = attrs.field(factory=dict[str, str])
    """The call of each leg that is to be written, by the leg's key."""
    moved: dict[str, str] = attrs.field(factory=dict[str, str])
    """The new call of each leg that is there already and whose call is another one now."""
    rows: list[tuple[object, ...]] = attrs.field(factory=list[tuple[object, ...]])
    ended: set[str] = attrs.field(factory=set[str])
    """The ids of calls that are no more."""


class CallRows:
    """Keeps the calls of one tenant in step with its legs.

    Args:
        database: The database.
        tenant: The tenant.
        writer: Makes values for columns.
        reader: Reads legs.
    """

    def __init__(
        self, database: Database, tenant: str, writer: LegWriter, reader: LegReader
    ) -> None:
        self.database = database
        self.tenant = tenant
        self.writer = writer
        self.reader = reader

    async def regroup(
        self,
        connection: AsyncConnection,
        written: Mapping[str, CDR],
        removed: Collection[str],
        former: Iterable[str],
    ) -> Regrouped:
        """Find out which calls there are, once legs are written and others are removed.

        Args:
            connection: Of the transaction; nothing is written yet.
            written: The legs that are to be written, by their keys.
            removed: The keys of legs that are no more.
            former: The ids of the calls that all of these were in.
        """
        search = _Search(self, connection, written, removed)
        focus = set(written) | await search.in_calls(former)
        calls: list[Call] = []
        key_of: dict[int, str] = {}
        while True:
            await search.around(focus)
            if len(key_of) != len(search.known):
                key_of = {id(cdr): key for key, cdr in search.known.items()}
                calls = await asyncio.to_thread(group_calls, [*search.known.values()])
            wider = {
                key
                for call in calls
                if any(key_of[id(leg)] in focus for leg in call.legs)
                for key in (key_of[id(leg)] for leg in call.legs)
            }
            wider |= await search.in_calls(
                search.before[key] for key in wider if key in search.before
            )
            if wider == focus and len(key_of) == len(search.known):
                break
            focus = wider
        result = Regrouped()
        new_ids: set[str] = set()
        for call in calls:
            keys = [key_of[id(leg)] for leg in call.legs]
            if focus.isdisjoint(keys):
                continue
            name = call_id(call, keys[0])
            new_ids.add(name)
            result.rows.append(self._row(name, call))
            for key in keys:
                if key in written:
                    result.ids[key] = name
                elif search.before.get(key) != name:
                    result.moved[key] = name
        result.ended = search.calls - new_ids
        return result

    async def write(self, connection: AsyncConnection, regrouped: Regrouped) -> None:
        """Write calls, and the calls of legs that are there already."""
        database, tenant = self.database, self.tenant
        if regrouped.ended:
            await connection.execute(
                text(f"DELETE FROM calls WHERE tenant = :tenant AND {database.among('id', 'ids')}"),  # noqa: S608 - of names of our own
                {"tenant": tenant, "ids": database.listed(regrouped.ended)},
            )
        if regrouped.moved:
            await connection.execute(
                text("UPDATE legs SET call_id = :id WHERE tenant = :tenant AND leg = :leg"),
                [
                    {"id": name, "tenant": tenant, "leg": key}
                    for key, name in regrouped.moved.items()
                ],
            )
        await database.insert(connection, "calls", _COLUMNS, regrouped.rows, key=("tenant", "id"))

    def _row(self, name: str, call: Call) -> tuple[object, ...]:
        writer = self.writer
        return (
            self.tenant,
            name,
            *writer.time(call.start),
            *writer.time(call.end),
            None if call.direction is None else call.direction.value,
            *map(
                writer.text,
                (
                    call.caller_number,
                    call.caller_name,
                    call.dialled,
                    call.outside,
                    call.outcome.value,
                    call.answered_by,
                ),
            ),
            call.answered,
            call.missed,
            call.wait.total_seconds(),
            call.talk.total_seconds(),
            *writer.amount(call.cost),
            len(call.legs),
        )


class _Search:
    """Looks for the legs that may have to do with some, in the database."""

    def __init__(
        self,
        rows: CallRows,
        connection: AsyncConnection,
        written: Mapping[str, CDR],
        removed: Collection[str],
    ) -> None:
        self.known = dict(written)
        """Legs by their keys, as they will be."""
        self.before: dict[str, str] = {}
        """The calls that legs are in as yet."""
        self.calls: set[str] = set()
        """The ids of all calls that were looked for."""
        self._rows = rows
        self._connection = connection
        self._removed = removed
        self._names: dict[str, set[str]] = {}
        self._first: datetime | None = None
        self._last: datetime | None = None

    async def in_calls(self, ids: Iterable[str]) -> set[str]:
        """Find the legs of calls that were not looked for yet, and give their keys."""
        new = {*ids} - self.calls
        if not new:
            return set()
        self.calls |= new
        database = self._rows.database
        return await self._read(database.among("call_id", "ids"), {"ids": database.listed(new)})

    async def around(self, focus: Iterable[str]) -> None:
        """Find the legs that share a name with some, or that last at the same time."""
        legs = [self.known[key] for key in focus]
        own = {leg.uniqueid for leg in legs}
        groups = {leg.linkedid or leg.uniqueid for leg in legs}
        await self._named("linkedid", groups | own)
        await self._named("uniqueid", own | groups | {leg.prevuniqueid for leg in legs})
        await self._named("prevuniqueid", own)
        times = [leg.start.replace(tzinfo=None) for leg in legs]
        times += [leg.end.replace(tzinfo=None) for leg in legs if leg.end is not None]
        if times:
            await self._at_the_time(min(times), max(times))

    async def _named(self, column: str, names: set[str]) -> None:
        database, writer = self._rows.database, self._rows.writer
        looked = self._names.setdefault(column, {""})
        new = {writer.text(name) for name in names} - looked
        if not new:
            return
        looked |= new
        condition = database.among(column, "names")
        if column == "prevuniqueid":
            condition += " AND prevuniqueid <> ''"  # so that its index is used
        await self._read(condition, {"names": database.listed(new)})

    async def _at_the_time(self, first: datetime, last: datetime) -> None:
        if self._first is not None and self._last is not None:
            if self._first <= first and last <= self._last:
                return
            first, last = min(first, self._first), max(last, self._last)
        self._first, self._last = first, last
        wall = self._rows.writer.wall
        await self._read(
            "end_wall >= :first AND end_wall <= :until AND start_wall <= :last",
            {"first": wall(first), "last": wall(last), "until": wall(last + _LONGEST_RELAY)},
        )

    async def _read(self, condition: str, values: dict[str, Any]) -> set[str]:
        """Read legs that are not removed, and give their keys."""
        rows = await self._connection.execute(
            text(
                f"SELECT leg, call_id, {_QUOTED} FROM legs "  # noqa: S608 - of names of our own
                f"WHERE tenant = :tenant AND gone_at IS NULL AND {condition}"
            ),
            {"tenant": self._rows.tenant, **values},
        )
        found: set[str] = set()
        for key, name, *values_of_leg in rows:
            if key not in self._removed:
                found.add(key)
                self.before.setdefault(key, name)
                if key not in self.known:
                    self.known[key] = self._rows.reader.cdr(values_of_leg)
        return found
