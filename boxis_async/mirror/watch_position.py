"""The position of a watch in a mirror, in one transaction with the legs that were handled.

So a watch and its mirror never disagree, and a change can say what the leg was before. The legs are
written as a sync writes them, with their calls and revisions. Coverage stays as it is: a watch sees
what is new, and does not say what is complete. A later sync finds these legs unchanged.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from boxis_async.mirror.facts import TenantFacts, load_facts, load_tenants, save_facts, save_tenant
from boxis_async.mirror.forgotten import Forgotten
from boxis_async.mirror.leg_rows import CDR_COLUMNS, LegReader, leg_key
from boxis_async.mirror.whole_spans import WholeSpans
from boxis_async.mirror.writing import LegTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from boxis_async import CDR, BoxisClient, Change
    from boxis_async.mirror.database import Database
    from boxis_async.mirror.leg_rows import LegWriter

__all__ = ["MirrorPosition"]

_NAMES: Final = ", ".join(f'"{name}"' for name in CDR_COLUMNS)


class MirrorPosition:
    """Keeps the position of a watch in a mirror: `client.watch(position=mirror.position(client))`.

    Made by `Mirror.position`. The mirror must be open for as long as the watch is.
    """

    def __init__(
        self, database: Database, writer: LegWriter, client: BoxisClient, name: str
    ) -> None:
        self._database = database
        self._writer = writer
        self._client = client
        self._name = name

    async def load(self) -> str | None:
        """Return the text that was saved last under this name; None if none was.

        Raises:
            MirrorMismatchError: The mirror is of another provider or zone.
            MirrorDatabaseError: The database failed.
        """
        async with self._database.reading() as connection:
            whole = await load_facts(connection)
            whole.check(self._client.base_url, self._client.timezone, self._client.contract)
            found = await connection.execute(
                text("SELECT position FROM positions WHERE name = :name"), {"name": self._name}
            )
            position: str | None = found.scalar()
            return position

    async def save(self, position: str, changes: Sequence[Change]) -> None:
        """Keep a text, and write the legs that were handled, in one transaction.

        Raises:
            MirrorDatabaseError: The database failed, and nothing was kept.
        """
        of_tenants: dict[str, dict[str, CDR]] = {}
        for change in changes:
            # Of several versions the last one counts.
            of_tenants.setdefault(change.tenant, {})[leg_key(change.cdr)] = change.cdr
        async with self._database.writing() as connection:
            whole = await load_facts(connection)
            zone = self._client.timezone
            if not whole.has_zone:
                await save_facts(connection, self._client.base_url, zone, self._client.contract)
            tenants = await load_tenants(connection)
            for tenant, legs in of_tenants.items():
                facts = tenants.get(tenant)
                if facts is None:
                    facts = TenantFacts(tenant)
                    await save_tenant(connection, facts, self._writer)
                table = LegTable(
                    self._database,
                    tenant,
                    writer=self._writer,
                    reader=LegReader(zone),
                    forgotten=Forgotten(whole.key, whole.digests),
                    pruned=facts.pruned_before,
                )
                prepared = await table.prepare([*legs.values()])
                await table.write(connection, prepared, (), WholeSpans(()))
            await connection.execute(
                text(
                    "INSERT INTO positions (name, position, saved_at) "
                    "VALUES (:name, :position, :now) ON CONFLICT (name) DO UPDATE "
                    "SET position = excluded.position, saved_at = excluded.saved_at"
                ),
                {
                    "name": self._name,
                    "position": position,
                    "now": self._writer.moment(datetime.now(UTC)),
                },
            )

    async def previous(self, tenant: str, cdrs: Sequence[CDR]) -> Mapping[tuple[str, ...], CDR]:
        """Return the latest versions of legs that the mirror has and that differ, by `CDR.leg`.

        A sync may have written what the watch sees only now, so revisions count too.
        """
        keys = {leg_key(cdr): cdr for cdr in cdrs}
        found: dict[tuple[str, ...], CDR] = {}
        reader = LegReader(self._client.timezone)
        async with self._database.reading() as connection:
            # The latest revision last, which the version of now then replaces.
            for table, order in (("revisions", "ORDER BY id"), ("legs", "")):
                rows = await connection.execute(
                    text(
                        f"SELECT leg, {_NAMES} FROM {table} WHERE tenant = :tenant "  # noqa: S608 - of names of our own
                        f"AND {self._database.among('leg', 'keys')} {order}"
                    ),
                    {"tenant": tenant, "keys": self._database.listed(keys)},
                )
                for key, *row in rows:
                    cdr, now = reader.cdr(row), keys[key]
                    if cdr != now:
                        found[now.leg] = cdr
        return found

    def release(self) -> None:
        """Let go of nothing: the mirror is closed by whoever opened it."""
