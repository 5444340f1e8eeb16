"""Deletes legs: what is old, and what is of a number that is to be forgotten.

What is deleted must not come back. What is old lies before a time that each sync respects. Of a
number a keyed digest is kept, and a sync leaves out each leg that has it.
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs
from sqlalchemy import text

from boxis_async.mirror.facts import load_facts, load_tenants, save_tenant
from boxis_async.mirror.forgotten import Forgotten, number_digest
from boxis_async.mirror.leg_rows import CDR_COLUMNS, LegReader
from boxis_async.mirror.wall_times import wall_of, whole_hour
from boxis_async.mirror.writing import KeptCoverage, LegTable

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from boxis_async.mirror.database import Database
    from boxis_async.mirror.facts import Facts, TenantFacts
    from boxis_async.mirror.lease import Lease
    from boxis_async.mirror.leg_rows import LegWriter

__all__ = ["forget", "prune"]

_NAMES: Final = ", ".join(f'"{name}"' for name in CDR_COLUMNS)
_AT_ONCE: Final = 100
"""Legs that are looked through at once: some 5 ms of work."""


async def prune(database: Database, lease: Lease, writer: LegWriter, before: date) -> int:
    """Delete what starts before a time, of every tenant.

    Returns:
        How many legs were deleted.
    """
    deleted = 0
    async with database.writing() as connection:
        await lease.check(connection)
        whole = await load_facts(connection)
        wall = wall_of(before, whole.zone, is_end=False)
        wall = whole_hour(wall, whole.zone, is_end=False)
        for facts in (await load_tenants(connection)).values():
            if facts.pruned_before is not None and facts.pruned_before >= wall:
                continue
            deleted += await _prune_tenant(database, connection, whole, facts, writer, wall)
            for scope in ("range", "recheck"):
                kept = KeptCoverage(database, facts.tenant, scope, writer)
                coverage = await kept.load(connection)
                if coverage is not None:
                    await kept.save(connection, coverage.since(wall))
            # One that began before that time would look for what is deleted.
            await save_tenant(
                connection,
                attrs.evolve(
                    facts,
                    pruned_before=wall,
                    recheck_from=None
                    if facts.recheck_from is None
                    else max(facts.recheck_from, wall),
                    recheck_to=None if facts.recheck_to is None else max(facts.recheck_to, wall),
                ),
                writer,
            )
    return deleted


async def _prune_tenant(  # noqa: PLR0913, PLR0917 - each is one thing to know
    database: Database,
    connection: AsyncConnection,
    whole: Facts,
    facts: TenantFacts,
    writer: LegWriter,
    before: datetime,
) -> int:
    """Delete the legs, revisions and calls of a tenant that start before a time."""
    values = {"tenant": facts.tenant, "before": writer.wall(before)}
    old = "tenant = :tenant AND start_wall < :before"
    # Nearly all calls go whole. Only those of which legs stay are read, so that it takes no more
    # memory for ten years than for one.
    cut = await connection.execute(
        text(
            f"SELECT DISTINCT call_id FROM legs WHERE {old} AND call_id IN "  # noqa: S608 - of names of our own
            "(SELECT call_id FROM legs WHERE tenant = :tenant AND start_wall >= :before "
            "AND gone_at IS NULL)"
        ),
        values,
    )
    former = {*cut.scalars()}
    deleted = await connection.execute(
        text(f"DELETE FROM legs WHERE {old}"),  # noqa: S608 - of names of our own
        values,
    )
    await connection.execute(
        text(f"DELETE FROM revisions WHERE {old}"),  # noqa: S608 - of names of our own
        values,
    )
    legs = _legs(database, whole, facts.tenant, writer)
    await legs.regroup_without(connection, (), former)
    await connection.execute(
        text(
            f"DELETE FROM calls WHERE {old} AND NOT EXISTS (SELECT 1 FROM legs "  # noqa: S608 - of names of our own
            "WHERE legs.tenant = calls.tenant AND legs.call_id = calls.id AND gone_at IS NULL)"
        ),
        values,
    )
    return deleted.rowcount


async def forget(database: Database, lease: Lease, writer: LegWriter, number: str) -> int:
    """Delete the legs of a number, of every tenant, and keep its digest.

    Returns:
        How many legs were deleted.
    """
    number_digest(number, b"")  # which refuses what is no number, before anything is done
    deleted = 0
    async with database.writing() as connection:
        await lease.check(connection)
        whole = await load_facts(connection)
        key = whole.key or await _new_key(connection)
        digest = number_digest(number, key)
        await connection.execute(
            text(
                "INSERT INTO tombstones (digest, forgotten_at) VALUES (:digest, :now) "
                "ON CONFLICT (digest) DO NOTHING"
            ),
            {"digest": digest, "now": writer.moment(datetime.now(UTC))},
        )
        forgotten = Forgotten(key, [digest])
        for tenant in await load_tenants(connection):
            legs = _legs(database, whole, tenant, writer)
            removed = await _of_number(connection, "legs", tenant, whole, forgotten)
            await legs.regroup_without(connection, removed, removed.values())
            await _delete(database, connection, "legs", tenant, removed)
            # A leg that changed may have had the number before.
            earlier = await _of_number(connection, "revisions", tenant, whole, forgotten)
            await _delete(database, connection, "revisions", tenant, {**earlier, **removed})
            deleted += len(removed)
    return deleted


async def _new_key(connection: AsyncConnection) -> bytes:
    key = os.urandom(32)
    await connection.execute(
        text("INSERT INTO mirror (name, value) VALUES ('forget_key', :key)"), {"key": key.hex()}
    )
    return key


def _legs(database: Database, whole: Facts, tenant: str, writer: LegWriter) -> LegTable:
    return LegTable(
        database,
        tenant,
        writer=writer,
        reader=LegReader(whole.zone),
        forgotten=Forgotten(b"", ()),
        pruned=None,
    )


async def _of_number(
    connection: AsyncConnection, table: str, tenant: str, whole: Facts, forgotten: Forgotten
) -> dict[str, str]:
    """Find the legs of a number, also those that are gone, and the calls that they are in.

    All are read, as no index knows of a number within a text: a year of 164,000 takes seconds.
    """
    reader = LegReader(whole.zone)
    call = "call_id" if table == "legs" else "''"
    found: dict[str, str] = {}
    rows: Any = await connection.stream(
        text(f"SELECT leg, {call}, {_NAMES} FROM {table} WHERE tenant = :tenant"),  # noqa: S608 - of names of our own
        {"tenant": tenant},
    )
    async for part in rows.partitions(_AT_ONCE):
        found |= {key: name for key, name, *values in part if reader.cdr(values) in forgotten}
    return found


async def _delete(
    database: Database,
    connection: AsyncConnection,
    table: str,
    tenant: str,
    keys: dict[str, str],
) -> None:
    if keys:
        await connection.execute(
            text(
                f"DELETE FROM {table} WHERE tenant = :tenant AND {database.among('leg', 'keys')}"  # noqa: S608 - of names of our own
            ),
            {"tenant": tenant, "keys": database.listed(keys)},
        )
