"""A mirror of the provider's calls in a database: kept in step, read back, compared, cut.

It holds what a stream with `unique_by="leg"` would hand over, in its latest version, and says for
which spans that is so.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn, Self

from sqlalchemy import text

from boxis_async import BoxisClient, BoxisError, UsageError, WindowError
from boxis_async.mirror.address import address_of
from boxis_async.mirror.covered import complete_until, covered_of
from boxis_async.mirror.database import Database
from boxis_async.mirror.facts import TenantFacts, load_facts, load_tenants, read_moment
from boxis_async.mirror.lease import leased
from boxis_async.mirror.leg_rows import LegWriter
from boxis_async.mirror.reads import CDRReader, ReadQuery, Snapshot, Snapshots, read_calls
from boxis_async.mirror.removing import forget, prune
from boxis_async.mirror.sync import RECHECK, Recheck, TenantSync
from boxis_async.mirror.values import Covered, Progress, Synced, TenantStatus, Verified
from boxis_async.mirror.verifying import verify
from boxis_async.mirror.wall_times import now_in, starts_within, wall_of
from boxis_async.mirror.watch_position import MirrorPosition
from boxis_async.mirror.writing import KeptCoverage
from boxis_async.moments import read_date

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from datetime import tzinfo
    from types import TracebackType

    from sqlalchemy.ext.asyncio import AsyncConnection

    from boxis_async import Call
    from boxis_async.mirror.errors import MirrorBusyError
    from boxis_async.mirror.values import ProgressFunction, SyncedTenant

__all__ = ["Mirror"]

SETTLE = timedelta(hours=24)
_LATELY = timedelta(hours=24)


class Mirror:
    """A mirror of the provider's calls in a database.

    Open it with `async with`: that connects, makes the tables, or brings older ones up to date.

    Args:
        database: A path, `sqlite:///PATH`, or `postgresql://USER@HOST/NAME` (extra `postgres`).

    Raises:
        UsageError: It names no database.
    """

    def __init__(self, database: str | os.PathLike[str]) -> None:
        self._database = Database(address_of(database))
        self._writer = LegWriter(self._database.dialect)
        self._snapshots = Snapshots()
        self._is_open = False
        self._zone: tzinfo | None = None

    @property
    def timezone(self) -> tzinfo | None:
        """The zone of its wall times; None as long as nothing was ever synced."""
        return self._zone

    async def sync(  # noqa: PLR0913 - each is one thing to set, by name
        self,
        client: BoxisClient,
        datefrom: date | None = None,
        dateto: date | None = None,
        *,
        tenants: Sequence[str] | None = None,
        settle: timedelta = SETTLE,
        recheck: Recheck = RECHECK,
        wait: bool = True,
        on_progress: ProgressFunction | None = None,
    ) -> Synced:
        """Fetch what the mirror lacks of a range, and read again what is due.

        What is younger than `settle` is fetched each time. Each batch is committed with the
        coverage of those before it, so a sync that is killed at any moment loses nothing, and the
        next one continues.

        Args:
            client: Asks the provider.
            datefrom: The start of the range, as for `BoxisClient.cdrs`; None is where the mirror of
                each tenant begins.
            dateto: Its end; without it, now.
            tenants: The tenants; None is the client's own.
            settle: How long after the end of a window its legs may still change.
            recheck: A length: so far back from now, what is complete is read again, once a day, as
                costs and repaired transfers come late. A date or datetime: all since then is read
                again now. None: nothing is.
            wait: Whether to wait while another sync of this database is at work.
            on_progress: Called with a `Progress` after each batch, and while it waits.

        Raises:
            UsageError: An argument is wrong.
            MirrorBusyError: Another sync is at work, and `wait` is false.
            MirrorMismatchError: The database is of another provider or zone, or was filled under
                another contract.
            MirrorDatabaseError: The database failed.
            WindowError: A window failed for good. What came before it is kept. Further tenants are
                synced before it is raised.
        """
        self._check_open()
        names, zone = _checked_tenants(client, datefrom, dateto, tenants, settle, recheck)
        datefrom = None if datefrom is None else read_date("datefrom", datefrom)
        dateto = None if dateto is None else read_date("dateto", dateto)
        recheck = read_date("recheck", recheck) if isinstance(recheck, date) else recheck

        def on_wait(busy: MirrorBusyError) -> None:
            if on_progress is not None:
                on_progress(Progress(stage="waiting", holder=busy.holder, since=busy.since))

        synced: list[SyncedTenant] = []
        failures: list[BoxisError] = []
        starts = await self._starts(names, datefrom)
        async with leased(self._database, wait=wait, on_wait=on_wait) as lease:
            for tenant in names:
                one = TenantSync(
                    self._database,
                    lease,
                    client,
                    tenant=tenant,
                    datefrom=starts[tenant],
                    dateto=dateto,
                    settle=settle,
                    recheck=recheck,
                    on_progress=on_progress,
                )
                try:
                    synced.append(await one.run())
                except BoxisError as error:
                    # What ails one tenant must not keep the others out of date.
                    if not isinstance(error, WindowError) or len(names) == 1:
                        raise
                    failures.append(error)
                self._zone = zone
        if failures:
            for other in failures[1:]:
                failures[0].add_note(f"and of another tenant: {other}")
            raise failures[0]
        return Synced(tenants=tuple(synced))

    def cdrs(self, datefrom: date, dateto: date, *, tenant: str | None = None) -> CDRReader:
        """Read the legs that start in `[datefrom, dateto)`, in order of time.

        They equal what `BoxisClient.cdrs(..., unique_by="leg")` hands over. Legs that are gone are
        left out.

        Args:
            datefrom: The start of the range; aware datetimes are moments, others wall times.
            dateto: Its end.
            tenant: The tenant; None is the only one that the mirror has.

        Returns:
            An async iterator. It sees the mirror as it is when its first item is requested.

        Raises:
            UsageError: An argument is wrong, also while iterating: the mirror has no such tenant.
        """
        datefrom, dateto = self._checked(datefrom, dateto)

        async def find(connection: AsyncConnection) -> ReadQuery | None:
            return await self._query(connection, datefrom, dateto, tenant)

        return CDRReader(Snapshot(self._database, find), self._snapshots)

    async def calls(self, datefrom: date, dateto: date, *, tenant: str | None = None) -> list[Call]:
        """Read the calls that start in `[datefrom, dateto)`, each with all of its legs.

        Args:
            datefrom: The start of the range, as for `cdrs`.
            dateto: Its end.
            tenant: The tenant; None is the only one.

        Raises:
            UsageError: An argument is wrong, or the mirror has no such tenant.
        """
        datefrom, dateto = self._checked(datefrom, dateto)
        async with self._database.reading() as connection:
            query = await self._query(connection, datefrom, dateto, tenant)
            return [] if query is None else await read_calls(connection, query)

    async def covered(self, datefrom: date, dateto: date, *, tenant: str | None = None) -> Covered:
        """Say which spans of a range are complete, which are young, and which are missing.

        Args:
            datefrom: The start of the range, as for `cdrs`.
            dateto: Its end.
            tenant: The tenant; None is the only one.

        Raises:
            UsageError: An argument is wrong, or the mirror has no such tenant.
        """
        datefrom, dateto = self._checked(datefrom, dateto)
        async with self._database.reading() as connection:
            whole = await load_facts(connection)
            start = wall_of(datefrom, whole.zone, is_end=False)
            end = wall_of(dateto, whole.zone, is_end=True)
            facts = await self._tenant(connection, tenant)
            if facts is None:
                return covered_of(None, start, end)
            return await self._covered(connection, facts, start, end)

    async def status(
        self, datefrom: date | None = None, dateto: date | None = None
    ) -> list[TenantStatus]:
        """Say how each tenant stands: complete until when, and when the last sync ended well.

        Args:
            datefrom: The start of the range in which spans may be missing; None is from when the
                tenant was ever synced.
            dateto: Its end; None is now.

        Raises:
            UsageError: An argument is wrong.
        """
        self._check_open()
        datefrom = None if datefrom is None else read_date("datefrom", datefrom)
        dateto = None if dateto is None else read_date("dateto", dateto)
        found: list[TenantStatus] = []
        async with self._database.reading() as connection:
            whole = await load_facts(connection)
            now = now_in(whole.zone)
            for facts in (await load_tenants(connection)).values():
                start = facts.range_from or now
                if facts.pruned_before is not None:
                    start = max(start, facts.pruned_before)
                if datefrom is not None:
                    start = wall_of(datefrom, whole.zone, is_end=False)
                end = now if dateto is None else wall_of(dateto, whole.zone, is_end=True)
                found.append(await self._status(connection, facts, start, end))
        return found

    async def verify(
        self,
        client: BoxisClient,
        datefrom: date,
        dateto: date,
        *,
        tenant: str | None = None,
    ) -> Verified:
        """Ask the provider again for the legs that start in a range, and compare; change nothing.

        Args:
            client: Asks the provider.
            datefrom: The start of the range, as for `cdrs`.
            dateto: Its end.
            tenant: The tenant; None is the client's own.

        Raises:
            UsageError: An argument is wrong.
            MirrorMismatchError: The mirror is of another provider or zone.
            WindowError: A window failed for good.
        """
        self._check_open()
        stream = client.cdrs(datefrom, dateto, tenant=tenant, unique_by="leg", clip="start")
        async with self._database.reading() as connection:
            whole = await load_facts(connection)
            whole.check(client.base_url, stream.timezone, client.contract)
            facts = (await load_tenants(connection)).get(stream.tenant)
        legs = self.cdrs(datefrom, dateto, tenant=stream.tenant) if facts is not None else None
        return await verify(stream, legs, whole, None if facts is None else facts.pruned_before)

    def position(self, client: BoxisClient, name: str = "watch") -> MirrorPosition:
        """Give what keeps the position of a watch here, for `client.watch(position=...)`.

        The legs that the watch handed over are written with it, in one transaction. So each change
        says what the leg was before, and the mirror is as fresh as the watch; what is complete is
        still up to `sync`.

        Args:
            client: The client of the watch.
            name: Of the position: several watches need a name each.

        Raises:
            UsageError: An argument is wrong.
        """
        self._check_open()
        if not isinstance(client, BoxisClient):  # pyright: ignore[reportUnnecessaryIsInstance] - at run time it may be another
            raise UsageError(f"position() takes a BoxisClient, not {type(client).__name__}")
        if not name:
            raise UsageError("name must not be empty")
        return MirrorPosition(self._database, self._writer, client, name)

    async def prune(self, before: date) -> int:
        """Delete what starts before a time, with its revisions, calls and coverage.

        A sync does not fetch it again.

        Args:
            before: A wall time, or a moment.

        Returns:
            How many legs were deleted.

        Raises:
            UsageError: It is no time.
        """
        self._check_open()
        before = read_date("before", before)
        async with leased(self._database, wait=True, on_wait=lambda _: None) as lease:
            return await prune(self._database, lease, self._writer, before)

    async def forget(self, number: str) -> int:
        """Delete the legs of a telephone number, and never mirror it again.

        Args:
            number: The number in any spelling, or an extension.

        Returns:
            How many legs were deleted.

        Raises:
            UsageError: It is no number.
        """
        self._check_open()
        async with leased(self._database, wait=True, on_wait=lambda _: None) as lease:
            return await forget(self._database, lease, self._writer, number)

    async def aclose(self) -> None:
        """Close the mirror; reads that are not complete are cut short."""
        self._is_open = False
        try:
            await self._snapshots.aclose()
        finally:
            await self._database.aclose()

    async def __aenter__(self) -> Self:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise UsageError(
                "no event loop of asyncio is running here, and a mirror needs it, as in "
                "asyncio.run(main()); it does not run on trio"
            ) from None
        if self._is_open:
            raise UsageError("the mirror is open already")
        await self._database.open()
        try:
            async with self._database.reading() as connection:
                whole = await load_facts(connection)
        except BaseException:
            await self._database.aclose()
            raise
        self._zone = whole.zone if whole.has_zone else None
        self._is_open = True
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Mirror({str(self._database.address)!r}, {'open' if self._is_open else 'closed'})>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Mirror holds connections: make one where it is needed")

    def _checked(self, datefrom: date, dateto: date) -> tuple[date, date]:
        """Check that the mirror is open, and the two ends of what is read.

        Raises:
            UsageError: It is closed, or an end is wrong.
        """
        self._check_open()
        return read_date("datefrom", datefrom), read_date("dateto", dateto)

    async def _starts(self, names: Sequence[str], datefrom: date | None) -> dict[str, date]:
        """Give where the range of each tenant starts.

        Raises:
            UsageError: One of them is not in the mirror yet, and no start is given.
        """
        if datefrom is not None:
            return dict.fromkeys(names, datefrom)
        async with self._database.reading() as connection:
            tenants = await load_tenants(connection)
        starts: dict[str, date] = {}
        for name in names:
            start = tenants[name].range_from if name in tenants else None
            if start is None:
                raise UsageError(f"{name} is not in the mirror yet: say from when, by datefrom")
            starts[name] = start
        return starts

    def _check_open(self) -> None:
        if not self._is_open:
            raise UsageError("the mirror is not open: async with Mirror(...) as mirror")

    async def _tenant(self, connection: AsyncConnection, tenant: str | None) -> TenantFacts | None:
        """Give the tenant that is meant; None if the mirror is empty.

        Raises:
            UsageError: There is no such tenant, or there are several.
        """
        tenants = await load_tenants(connection)
        if tenant is not None:
            if tenant not in tenants and tenants:
                raise UsageError(f"the mirror has no tenant {tenant!r}, only {', '.join(tenants)}")
            return tenants.get(tenant)
        if len(tenants) > 1:
            raise UsageError(f"give tenant=, as the mirror has several: {', '.join(tenants)}")
        return next(iter(tenants.values()), None)

    async def _query(
        self, connection: AsyncConnection, datefrom: date, dateto: date, tenant: str | None
    ) -> ReadQuery | None:
        facts = await self._tenant(connection, tenant)
        if facts is None:
            return None
        whole = await load_facts(connection)
        found = [*starts_within("start", datefrom, dateto, self._writer)]
        conditions = " AND ".join(("tenant = :tenant", *(condition for condition, _, _ in found)))
        values = {name: value for _, name, value in found}
        return ReadQuery(conditions, {"tenant": facts.tenant, **values}, whole.zone)

    async def _covered(
        self, connection: AsyncConnection, facts: TenantFacts, start: datetime, end: datetime
    ) -> Covered:
        kept = KeptCoverage(self._database, facts.tenant, "range", self._writer)
        return covered_of(await kept.load(connection), start, end, facts.pruned_before)

    async def _status(
        self, connection: AsyncConnection, facts: TenantFacts, start: datetime, end: datetime
    ) -> TenantStatus:
        covered = await self._covered(connection, facts, start, max(start, end))
        counts = await connection.execute(
            text(
                "SELECT count(*) - count(gone_at) AS legs, count(gone_at) AS gone, "
                "sum(CASE WHEN changed_at > :lately AND changed_at <> first_seen THEN 1 ELSE 0 END)"
                " AS changed FROM legs WHERE tenant = :tenant"
            ),
            {
                "tenant": facts.tenant,
                "lately": self._writer.moment(datetime.now(UTC) - _LATELY),
            },
        )
        legs, gone, changed = counts.one()
        run = await connection.execute(
            text(
                "SELECT max(ended) FROM runs WHERE tenant = :tenant AND error IS NULL "
                "AND ended IS NOT NULL"
            ),
            {"tenant": facts.tenant},
        )
        return TenantStatus(
            tenant=facts.tenant,
            complete_until=complete_until(covered, start),
            missing=covered.missing,
            young=covered.young,
            complete=covered.complete,
            last_good_run=read_moment(run.scalar()),
            legs=legs,
            gone=gone,
            changed_lately=int(changed or 0),
            pruned_before=covered.pruned_before,
        )


def _checked_tenants(  # noqa: PLR0913, PLR0917 - each is one thing to check
    client: object,
    datefrom: object,
    dateto: date | None,
    tenants: Sequence[str] | None,
    settle: timedelta,
    recheck: object,
) -> tuple[list[str], tzinfo]:
    """Check the arguments of a sync, and give the names of its tenants, and the zone.

    Raises:
        UsageError: One is wrong.
    """
    if not isinstance(client, BoxisClient):
        raise UsageError(f"sync() takes a BoxisClient, not {type(client).__name__}")
    # Whatever the start, it says what is wrong with the rest.
    start = read_date("datefrom", datefrom) if datefrom is not None else dateto
    if start is None:
        start = datetime.now(UTC)
    if isinstance(tenants, str):
        raise UsageError(f"tenants must be a list of names: tenants=[{tenants!r}]")
    if tenants is not None and not tenants:
        raise UsageError("tenants is empty: give names, or None for the client's own tenant")
    if recheck is not None and not isinstance(recheck, timedelta | date):
        raise UsageError(
            "recheck must be a timedelta (so far back, once a day), a date or datetime (all since "
            f"then, now) or None, not {recheck!r}"
        )
    names: list[str] = []
    zone: tzinfo = UTC
    for tenant in (None,) if tenants is None else tenants:
        # It says what is wrong with any of these, and sends nothing.
        stream = client.cdrs(start, dateto, tenant=tenant, unique_by="leg", settle=settle)
        zone = stream.timezone
        if stream.tenant not in names:
            names.append(stream.tenant)
    return names, zone
