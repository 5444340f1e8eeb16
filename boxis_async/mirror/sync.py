"""One sync: what the coverage of each tenant lacks, then what is due to be read again.

Both are a pass over a stream of the client's. The coverage of a stream speaks of a batch only once
the next one was requested. So when a batch is there, its rows and the coverage of the batches
before it are written in one transaction; the last one's coverage follows at the end. A run that is
killed in between fetches again what no coverage speaks of, and finds most of it unchanged.

A connection to a server that is lost is made again for half a minute. What a transaction writes is
the same whether an earlier try was committed or not.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import attrs
from sqlalchemy import text

from boxis_async import BoxisError, Stats, Window
from boxis_async.mirror.covered import covered_of, with_young
from boxis_async.mirror.database import is_lost
from boxis_async.mirror.errors import MirrorContractError, MirrorDatabaseError
from boxis_async.mirror.facts import TenantFacts, load_facts, load_tenants, save_facts, save_tenant
from boxis_async.mirror.forgotten import Forgotten
from boxis_async.mirror.lease import this_process
from boxis_async.mirror.leg_rows import LegReader, LegWriter
from boxis_async.mirror.schema import runs
from boxis_async.mirror.values import Progress, SyncedTenant
from boxis_async.mirror.wall_times import now_in, wall_of, whole_hour
from boxis_async.mirror.whole_spans import ReadWhole, WholeSpans
from boxis_async.mirror.writing import Counts, KeptCoverage, LegTable, Prepared

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import tzinfo

    from sqlalchemy.ext.asyncio import AsyncConnection

    from boxis_async import BoxisClient, CDRStream, Coverage, Reject
    from boxis_async.mirror.database import Database
    from boxis_async.mirror.lease import Lease
    from boxis_async.mirror.values import ProgressFunction, Stage

__all__ = ["RECHECK", "Recheck", "TenantSync"]

logger = logging.getLogger("boxis_async.mirror")

T = TypeVar("T")
Recheck = timedelta | date | None

RECHECK: Final = timedelta(days=35)
"""How far back sealed spans are read again: a bill of a month is not settled much later."""

# A little less than a day, so that a timer that runs once a day rechecks each time.
_RECHECK_EACH: Final = timedelta(hours=23)
_TRY_FOR: Final = 30.0
_FIRST_PAUSE: Final = 0.1
_LONGEST_ERROR: Final = 500
_SECOND: Final = timedelta(seconds=1)
_NEVER: Final = datetime.max  # noqa: DTZ901 - a wall time after all others
_DAY: Final = timedelta(days=1)


class TenantSync:
    """The sync of one tenant.

    Args:
        database: The mirror's.
        lease: The right to write.
        client: Asks the provider.
        tenant: The tenant.
        datefrom: The start of the range.
        dateto: The end of the range; None is now.
        settle: How long after a window its legs may still change.
        recheck: How far back sealed spans are read again, once a day; or since when they are now.
        on_progress: Called after each batch.
    """

    def __init__(  # noqa: PLR0913 - each is one thing to know
        self,
        database: Database,
        lease: Lease,
        client: BoxisClient,
        *,
        tenant: str,
        datefrom: date,
        dateto: date | None,
        settle: timedelta,
        recheck: Recheck,
        on_progress: ProgressFunction | None,
    ) -> None:
        self._database = database
        self._lease = lease
        self._client = client
        self._tenant = tenant
        self._datefrom = datefrom
        self._dateto = dateto
        self._settle = settle
        self._recheck = recheck
        self._on_progress = on_progress
        self._writer = LegWriter(database.dialect)
        self._counts = Counts()
        self._requests = 0
        self._rejects: list[Reject] = []

    async def run(self) -> SyncedTenant:
        """Fetch what is missing, and read again what is due."""
        zone = self._client.cdrs(self._datefrom, self._datefrom, tenant=self._tenant).timezone
        number = await self._written(lambda connection: self._begin(connection, zone))
        try:
            synced = await self._run(zone)
        except BaseException as error:
            if isinstance(error, BoxisError):
                reason = str(error)
                with suppress(BoxisError):
                    await self._written(lambda connection: self._end(connection, number, reason))
            raise
        await self._written(lambda connection: self._end(connection, number, None))
        return synced

    async def _run(self, zone: tzinfo) -> SyncedTenant:
        async with self._database.reading() as connection:
            whole = await load_facts(connection)
            facts = (await load_tenants(connection))[self._tenant]
            ranges = KeptCoverage(self._database, self._tenant, "range", self._writer)
            coverage = await ranges.load(connection)
        self._legs = LegTable(
            self._database,
            self._tenant,
            writer=self._writer,
            reader=LegReader(zone),
            forgotten=Forgotten(whole.key, whole.digests),
            pruned=facts.pruned_before,
        )
        start, end = self._range(zone, facts)
        sealed_until = None if coverage is None else _last_end(coverage)
        if start < (end or _NEVER):
            coverage = await self._fetch(start, end, coverage, ranges, zone)
        rechecked = None
        recheck = self._due(facts, coverage, start, sealed_until, zone)
        if recheck is not None:
            rechecked = await self._reread(facts, recheck)
        counts = self._counts
        return SyncedTenant(
            tenant=self._tenant,
            new=counts.new,
            changed=counts.changed,
            unchanged=counts.unchanged,
            gone=counts.gone,
            forgotten=counts.forgotten,
            requests=self._requests,
            rejects=tuple(self._rejects),
            rechecked=rechecked,
            covered=covered_of(
                coverage, start, max(start, end or now_in(zone)), facts.pruned_before
            ),
        )

    def _range(self, zone: tzinfo, facts: TenantFacts) -> tuple[datetime, datetime | None]:
        """Give the range as wall times that cut no hour that comes twice; no end is now."""
        start = whole_hour(wall_of(self._datefrom, zone, is_end=False), zone, is_end=False)
        if facts.pruned_before is not None:
            start = max(start, facts.pruned_before)
        if self._dateto is None:
            return start, None
        end = whole_hour(wall_of(self._dateto, zone, is_end=True), zone, is_end=True)
        # The future would be asked for each time.
        return start, None if end > now_in(zone) else end

    async def _fetch(
        self,
        start: datetime,
        end: datetime | None,
        coverage: Coverage | None,
        kept: KeptCoverage,
        zone: tzinfo,
    ) -> Coverage:
        """Fetch what a coverage lacks."""
        self._check_coverage(coverage, start, end)
        until = now_in(zone) + _DAY if end is None else end
        holes = [(start, until)] if coverage is None else coverage.missing(start, until)
        broken = () if coverage is None else coverage.rejected
        stream = self._stream(start, end, coverage)
        return await self._pass(stream, kept, WholeSpans(holes, broken), "fetching", coverage)

    def _due(
        self,
        facts: TenantFacts,
        coverage: Coverage | None,
        start: datetime,
        sealed_until: datetime | None,
        zone: tzinfo,
    ) -> Window | None:
        """Give the span that is to be read again, of what was sealed before this sync."""
        recheck = self._recheck
        if recheck is None or coverage is None or sealed_until is None or not coverage.sealed:
            return None
        unfinished = facts.recheck_from, facts.recheck_to
        if isinstance(recheck, timedelta):
            if facts.recheck_from is not None:
                return Window(*unfinished)
            last = facts.rechecked
            if last is not None and datetime.now(UTC) - last < _RECHECK_EACH:
                return None
            since = now_in(zone) - recheck
        else:
            since = wall_of(recheck, zone, is_end=False)
            start = min(start, since)
        first = coverage.sealed[0].start or start
        since = whole_hour(max(since, first, start), zone, is_end=False)
        if facts.pruned_before is not None:
            since = max(since, facts.pruned_before)
        if since == facts.recheck_from:
            return Window(*unfinished)
        return Window(since, sealed_until) if since < sealed_until else None

    async def _reread(self, facts: TenantFacts, span: Window) -> Window:
        """Read a span again that is sealed; one that was begun before is continued."""
        kept = KeptCoverage(self._database, self._tenant, "recheck", self._writer)
        start, end = span.start, span.end
        assert start is not None and end is not None  # noqa: PT018, S101 - it is no "everything"
        is_begun = facts.recheck_from == start
        async with self._database.reading() as connection:
            before = await kept.load(connection)
        began = facts.recheck_began if is_begun else None
        if not is_begun:
            facts = attrs.evolve(
                facts, recheck_from=start, recheck_to=end, recheck_began=datetime.now(UTC)
            )
            began = facts.recheck_began
            before = None
            await self._note_recheck(facts, kept)
        holes = [(start, end)] if before is None else before.missing(start, end)
        broken = () if before is None else before.rejected
        stream = self._stream(start, end, before)
        await self._pass(stream, kept, WholeSpans(holes, broken), "rechecking", before)
        await self._note_recheck(
            attrs.evolve(
                facts, rechecked=began, recheck_from=None, recheck_to=None, recheck_began=None
            ),
            kept,
        )
        return span

    async def _note_recheck(self, facts: TenantFacts, kept: KeptCoverage) -> None:
        """Note that a recheck begins or has ended, and so has no coverage."""

        async def note(connection: AsyncConnection) -> set[str]:
            await save_tenant(connection, facts, self._writer)
            return await kept.save(connection, None)

        kept.saved(await self._written(note))

    def _stream(
        self, start: datetime, end: datetime | None, coverage: Coverage | None
    ) -> CDRStream:
        return self._client.cdrs(
            start,
            end,
            tenant=self._tenant,
            unique_by="leg",
            # One that cannot be read must not keep all later ones out.
            bad_records="collect",
            resume=coverage,
            settle=self._settle,
        )

    def _check_coverage(
        self, coverage: Coverage | None, start: datetime, end: datetime | None
    ) -> None:
        """Refuse a coverage that rests on something else than this client.

        Raises:
            MirrorContractError: The client's windows overlap otherwise.
        """
        if coverage is None:
            return
        fresh = self._stream(start, end, None)
        if fresh.coverage.fingerprint != coverage.fingerprint:
            raise MirrorContractError(
                f"what is sealed of {self._tenant} was fetched under another contract: the rule "
                "within, or another longest_call. It may lack legs: fill another database, or give "
                "the client the contract that the mirror was filled under"
            )

    async def _pass(
        self,
        stream: CDRStream,
        kept: KeptCoverage,
        spans: WholeSpans,
        stage: Stage,
        before: Coverage | None,
    ) -> Coverage:
        """Write what a stream gives, with its coverage."""
        try:
            async with stream:
                async for batch in stream.batches():
                    prepared = await self._legs.prepare(batch.cdrs)
                    coverage = stream.coverage
                    # Those that were read whole before this window.
                    whole = [*spans.read(coverage)]
                    spans.take(batch.window, prepared.cdrs.items())
                    await self._write(prepared, whole, spans, kept, with_young(coverage, before))
                    self._report(stage, stream.stats)
                rejects = stream.rejects
            coverage = with_young(stream.coverage, before)
            whole = [*spans.read_rest(coverage, has_rejects=bool(rejects))]
            await self._write(Prepared({}, {}, {}), whole, spans, kept, coverage)
            self._report(stage, stream.stats)
        finally:
            self._requests += stream.stats.requests
            self._rejects += stream.rejects
        return coverage

    async def _write(
        self,
        prepared: Prepared,
        whole: list[ReadWhole],
        spans: WholeSpans,
        kept: KeptCoverage,
        coverage: Coverage,
    ) -> None:
        async def write(connection: AsyncConnection) -> tuple[Counts, set[str]]:
            counts = await self._legs.write(connection, prepared, whole, spans)
            return counts, await kept.save(connection, coverage)

        counts, saved = await self._written(write)
        kept.saved(saved)
        self._counts += counts

    async def _written(self, write: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Write in a transaction; where the connection is lost, in another one."""
        pause, until = _FIRST_PAUSE, anyio.current_time() + _TRY_FOR
        while True:
            try:
                async with self._database.writing() as connection:
                    await self._lease.check(connection)
                    return await write(connection)
            except MirrorDatabaseError as error:
                if not is_lost(error) or anyio.current_time() + pause > until:
                    raise
                logger.info("%s; another try in %.1f s", error, pause)
            await anyio.sleep(pause)
            pause *= 2

    def _report(self, stage: Stage, stats: Stats) -> None:
        if self._on_progress is not None:
            counts = self._counts
            self._on_progress(
                Progress(
                    stage=stage,
                    tenant=self._tenant,
                    stats=stats,
                    new=counts.new,
                    changed=counts.changed,
                    unchanged=counts.unchanged,
                    gone=counts.gone,
                )
            )

    async def _begin(self, connection: AsyncConnection, zone: tzinfo) -> int:
        """Note that a run has begun, of a mirror that fits the client."""
        client, writer = self._client, self._writer
        whole = await load_facts(connection)
        whole.check(client.base_url, zone, client.contract)
        await save_facts(connection, client.base_url, zone, client.contract)
        facts = (await load_tenants(connection)).get(self._tenant)
        start = whole_hour(wall_of(self._datefrom, zone, is_end=False), zone, is_end=False)
        if facts is None or facts.range_from is None:
            # All of it is read now, so nothing is due to be read again for a day.
            facts = attrs.evolve(
                facts or TenantFacts(self._tenant), range_from=start, rechecked=datetime.now(UTC)
            )
            await save_tenant(connection, facts, writer)
        elif start < facts.range_from:
            await save_tenant(connection, attrs.evolve(facts, range_from=start), writer)
        begun = await connection.execute(
            runs.insert().values(
                tenant=self._tenant,
                began=writer.moment(datetime.now(UTC)),
                holder=this_process(),
            )
        )
        key: Any = begun.inserted_primary_key
        return int(key[0])

    async def _end(self, connection: AsyncConnection, number: int, error: str | None) -> None:
        """Note how the run ended, and what the client learned of the provider."""
        counts = self._counts
        await connection.execute(
            text(
                "UPDATE runs SET ended = :ended, new = :new, changed = :changed, "
                "unchanged = :unchanged, gone = :gone, requests = :requests, error = :error "
                "WHERE id = :id"
            ),
            {
                "ended": self._writer.moment(datetime.now(UTC)),
                "new": counts.new,
                "changed": counts.changed,
                "unchanged": counts.unchanged,
                "gone": counts.gone,
                "requests": self._requests,
                "error": None if error is None else self._writer.text(error[:_LONGEST_ERROR]),
                "id": number,
            },
        )
        if error is None:
            whole = await load_facts(connection)
            await save_facts(connection, self._client.base_url, whole.zone, self._client.contract)


def _last_end(coverage: Coverage) -> datetime | None:
    return coverage.sealed[-1].end if coverage.sealed else None
