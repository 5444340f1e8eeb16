"""Writes what came into the tables: only what is new or really changed, in one transaction.

What a batch brings is compared with what is there by the database, by the digests of the contents:
it gives back the few that are to be written. Of those that change, the earlier version goes into
`revisions` first. A leg that was not in a span any more that was read whole is marked as gone. Then
the calls of all of these are made anew, and the coverage changes by the spans that differ.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs
from sqlalchemy import text

from boxis_async import CDR, Coverage, CoverageRow
from boxis_async.mirror.call_rows import CallRows
from boxis_async.mirror.leg_rows import leg_key
from boxis_async.mirror.schema import LEG_COLUMNS
from boxis_async.mirror.wall_times import read_wall

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from boxis_async.mirror.database import Database
    from boxis_async.mirror.forgotten import Forgotten
    from boxis_async.mirror.leg_rows import LegReader, LegWriter
    from boxis_async.mirror.whole_spans import ReadWhole, WholeSpans

__all__ = ["Counts", "KeptCoverage", "LegTable", "Prepared"]

_COLUMNS: Final = (*LEG_COLUMNS, "last_seen", "gone_at", "call_id")
_NAMES: Final = ", ".join(f'"{name}"' for name in LEG_COLUMNS)


@attrs.frozen
class Counts:
    """What was written, in legs."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    gone: int = 0
    forgotten: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Add up two."""
        pairs = zip(attrs.astuple(self), attrs.astuple(other), strict=True)
        return Counts(*(one + more for one, more in pairs))


@attrs.frozen(eq=False)
class Prepared:
    """The legs of a batch with their keys, rows and digests."""

    cdrs: dict[str, CDR]
    rows: dict[str, tuple[object, ...]]
    digests: dict[str, str]
    forgotten: int = 0


class LegTable:
    """The legs of one tenant.

    Args:
        database: The database.
        tenant: The tenant.
        writer: Makes values for columns.
        reader: Reads legs.
        forgotten: Which legs are never to be written.
        pruned: The wall time before which legs are deleted; None if none are.
    """

    def __init__(  # noqa: PLR0913 - each is one thing to know
        self,
        database: Database,
        tenant: str,
        *,
        writer: LegWriter,
        reader: LegReader,
        forgotten: Forgotten,
        pruned: datetime | None,
    ) -> None:
        self._database = database
        self._tenant = tenant
        self._writer = writer
        self._forgotten = forgotten
        self._pruned = pruned
        self._calls = CallRows(database, tenant, writer, reader)
        self._began = datetime.now(UTC)

    async def prepare(self, cdrs: Sequence[CDR]) -> Prepared:
        """Make rows of legs, in a thread, as a thousand take some 40 ms."""
        return await asyncio.to_thread(self._prepared, cdrs)

    def _prepared(self, cdrs: Sequence[CDR]) -> Prepared:
        prepared = Prepared({}, {}, {})
        forgotten = 0
        for cdr in cdrs:
            if self._pruned is not None and cdr.start.replace(tzinfo=None) < self._pruned:
                continue
            if cdr in self._forgotten:
                forgotten += 1
                continue
            key = leg_key(cdr)
            row, digest = self._writer.row(self._tenant, key, cdr)
            prepared.cdrs[key], prepared.rows[key], prepared.digests[key] = cdr, row, digest
        return attrs.evolve(prepared, forgotten=forgotten)

    async def write(
        self,
        connection: AsyncConnection,
        prepared: Prepared,
        whole: Iterable[ReadWhole],
        spans: WholeSpans,
    ) -> Counts:
        """Write what is new or changed of a batch, and mark what is gone.

        Args:
            connection: Of the transaction.
            prepared: The legs of the batch.
            whole: The spans that were read whole by now.
            spans: Says which legs came.
        """
        now = self._writer.moment(datetime.now(UTC))
        stale = await self._compare(connection, prepared)
        gone = await self._gone(connection, whole, spans)
        if not stale and not gone:
            return Counts(unchanged=len(prepared.cdrs), forgotten=prepared.forgotten)
        written = {key: prepared.cdrs[key] for key in stale}
        former = {name for _, _, name in stale.values() if name is not None} | {*gone.values()}
        regrouped = await self._calls.regroup(connection, written, gone.keys(), former)
        changed = [key for key, (digest, _, _) in stale.items() if digest is not None]
        await self._keep_revisions(
            connection,
            [key for key in changed if stale[key][0] != prepared.digests[key]],
            now,
        )
        rows = {
            key: (*prepared.rows[key], now, now, now, None, regrouped.ids[key]) for key in stale
        }
        insert = self._database.insert
        known = {*changed}
        await insert(
            connection, "legs", _COLUMNS, [row for key, row in rows.items() if key not in known]
        )
        await insert(
            connection,
            "legs",
            _COLUMNS,
            [rows[key] for key in changed],
            key=("tenant", "leg"),
            kept=("first_seen",),
        )
        await self._mark(connection, gone, now)
        await self._calls.write(connection, regrouped)
        began = self._writer.moment(self._began)
        back: int = sum(at is not None and at >= began for _, at, _ in stale.values())
        return Counts(
            new=len(stale) - len(changed),
            changed=len(changed),
            unchanged=len(prepared.cdrs) - len(stale),
            # One that this very run took for gone, as it was moved, is not.
            gone=len(gone) - back,
            forgotten=prepared.forgotten,
        )

    async def _compare(
        self, connection: AsyncConnection, prepared: Prepared
    ) -> dict[str, tuple[str | None, Any, str | None]]:
        """Find the legs to write: the digest, the mark and the call of each as they are there."""
        if not prepared.cdrs:
            return {}
        source, values = self._database.staged(prepared.digests)
        found = await connection.execute(
            text(
                "SELECT s.leg, l.digest, l.gone_at, l.call_id "  # noqa: S608 - of names of our own
                f"FROM ({source}) AS s "
                "LEFT JOIN legs AS l ON l.tenant = :tenant AND l.leg = s.leg "
                "WHERE l.leg IS NULL OR l.digest <> s.digest OR l.gone_at IS NOT NULL"
            ),
            {"tenant": self._tenant, **values},
        )
        return {key: (digest, gone_at, name) for key, digest, gone_at, name in found}

    async def _gone(
        self, connection: AsyncConnection, whole: Iterable[ReadWhole], spans: WholeSpans
    ) -> dict[str, str]:
        """Find the legs that must have come and did not, and the calls that they are in."""
        wall = self._writer.wall
        gone: dict[str, str] = {}
        for span in whole:
            found = await connection.execute(
                text(
                    "SELECT leg, call_id FROM legs WHERE tenant = :tenant AND gone_at IS NULL "
                    "AND end_wall > :after AND end_wall >= :looked AND end_wall < :before "
                    "AND start_wall > :after AND start_wall < :before"
                ),
                {
                    "tenant": self._tenant,
                    "after": wall(span.after),
                    "before": wall(span.before),
                    "looked": wall(span.looked),
                },
            )
            gone |= {key: name for key, name in found if not spans.is_seen(key)}
        return gone

    async def _keep_revisions(
        self, connection: AsyncConnection, keys: Sequence[str], now: object
    ) -> None:
        if not keys:
            return
        database = self._database
        await connection.execute(
            text(
                f"INSERT INTO revisions ({_NAMES}, replaced_at) SELECT {_NAMES}, "  # noqa: S608 - of names of our own
                f"{'CAST(:now AS timestamptz)' if database.dialect == 'postgresql' else ':now'} "
                f"FROM legs WHERE tenant = :tenant AND {database.among('leg', 'keys')}"
            ),
            {"now": now, "tenant": self._tenant, "keys": database.listed(keys)},
        )

    async def _mark(self, connection: AsyncConnection, gone: Iterable[str], now: object) -> None:
        keys = [*gone]
        if not keys:
            return
        database = self._database
        await connection.execute(
            text(
                "UPDATE legs SET gone_at = :now, changed_at = :now "  # noqa: S608 - of names of our own
                f"WHERE tenant = :tenant AND {database.among('leg', 'keys')}"
            ),
            {"now": now, "tenant": self._tenant, "keys": database.listed(keys)},
        )

    async def regroup_without(
        self, connection: AsyncConnection, removed: Collection[str], former: Iterable[str]
    ) -> None:
        """Make calls anew of which legs are removed.

        Args:
            connection: Of the transaction.
            removed: The keys of the legs that are there as yet.
            former: The calls that they, or legs that are removed already, are in.
        """
        regrouped = await self._calls.regroup(connection, {}, removed, former)
        await self._calls.write(connection, regrouped)


class KeptCoverage:
    """A coverage in rows: only those that differ are written.

    Args:
        database: The database.
        tenant: The tenant.
        scope: `range`, or `recheck`.
        writer: Makes values for columns.
    """

    def __init__(self, database: Database, tenant: str, scope: str, writer: LegWriter) -> None:
        self._database = database
        self._values = {"tenant": tenant, "scope": scope}
        self._writer = writer
        self._kept: set[str] = set()

    async def load(self, connection: AsyncConnection) -> Coverage | None:
        """Read it; None if there is none."""
        found = await connection.execute(
            text(
                'SELECT kind, start, "end", marks, checksum FROM coverage '
                "WHERE tenant = :tenant AND scope = :scope"
            ),
            self._values,
        )
        rows = [
            CoverageRow(kind, read_wall(start), read_wall(end), marks, checksum)
            for kind, start, end, marks, checksum in found
        ]
        self._kept = {row.checksum for row in rows}
        return Coverage.from_rows(rows) if rows else None

    async def save(self, connection: AsyncConnection, coverage: Coverage | None) -> set[str]:
        """Write what differs; the caller notes what it gives with `saved` once it is committed."""
        # Where nothing was found is no part of what is done.
        rows = {
            row.checksum: row
            for row in (() if coverage is None else coverage.rows())
            if row.kind != "empty"
        }
        old, new = self._kept - rows.keys(), rows.keys() - self._kept
        if old:
            await connection.execute(
                text(
                    "DELETE FROM coverage WHERE tenant = :tenant AND scope = :scope AND "  # noqa: S608 - of names of our own
                    f"{self._database.among('checksum', 'checksums')}"
                ),
                {**self._values, "checksums": self._database.listed(old)},
            )
        wall = self._writer.wall
        await self._database.insert(
            connection,
            "coverage",
            ("tenant", "scope", "checksum", "kind", "start", "end", "marks"),
            [
                (*self._values.values(), name, row.kind, wall(row.start), wall(row.end), row.marks)
                for name, row in rows.items()
                if name in new
            ],
        )
        return set(rows)

    def saved(self, kept: set[str]) -> None:
        """Note that what `save` wrote is committed."""
        self._kept = kept
