"""One partition on a worker: ask for its legs, write them, and say what came of it.

The range that we ask for is wider than the period, and we keep the legs that start in the period,
so that each leg is in one partition, whatever the provider's two dates mean. It begins a second
earlier, as `datefrom` may be exclusive. It ends later by a margin: where the dates are compared
with the end of a leg, one that runs over the end of the period comes only then.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from boxis_async import Batch, BoxisError, UsageError, WindowError, printable
from boxis_async.fleet.data_set import Place
from boxis_async.fleet.legs_table import LegsTable, digest_of
from boxis_async.fleet.manifest import Failure, Manifest
from boxis_async.fleet.periods import Period

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from boxis_async import CDR, BoxisClient, CDRStream
    from boxis_async.fleet.data_set import DataSet

__all__ = ["Outcome", "SeenLegs", "TenantOrder", "harvest_partition"]

_SECOND: Final = timedelta(seconds=1)
# As `BoxisClient.calls` has it. Of 5,300 real records the longest lasted 2 h 14 min.
_MARGIN: Final = timedelta(hours=4)
# The rules by which a leg that starts in the range is in the answer, whenever it ends.
_BY_START: Final = ("start", "overlap", "either")
# An answer of so many records is read in some tens of milliseconds, see the windows of the core.
_RECORDS: Final = 1000
_DAY: Final = timedelta(days=1)
_LONGEST_ERROR: Final = 500


@attrs.frozen(kw_only=True)
class TenantOrder:
    """What one task is to do: some periods of one tenant. It travels to a worker: no secrets."""

    harvest: str
    tenant: str
    periods: tuple[Period, ...]
    dataset: str
    settle: timedelta
    timeout: float
    """Seconds for one partition."""
    give_up_after: int
    """After so many failures in a row the tenant's other periods are left for the next run."""


@attrs.frozen(kw_only=True)
class Outcome:
    """What came of one partition."""

    tenant: str
    period: str
    state: Literal["complete", "young", "failed", "untried"]
    rows: int = 0
    size: int = 0
    requests: int = 0
    retries: int = 0
    error: str | None = None
    was_there: bool = False
    """Whether it was complete before this task."""


class SeenLegs:
    """How many legs a day each tenant had lately, on this worker."""

    def __init__(self) -> None:
        self._a_day: dict[str, float] = {}

    def learn(self, tenant: str, legs: int, length: timedelta) -> None:
        """Note a partition that came back."""
        self._a_day[tenant] = legs / (length / _DAY)

    def window(self, tenant: str, length: timedelta) -> timedelta | None:
        """Give the window by which a range is one request, where an answer may hold it all.

        The client's own windows end after 31 days, and what we ask for of a month is a little
        longer: seven months of a quiet tenant's year would take two requests each. So a year takes
        12 requests instead of 19.
        """
        seen = self._a_day.get(tenant)
        return length if seen is not None and seen * (length / _DAY) <= _RECORDS else None


async def harvest_partition(
    client: BoxisClient, dataset: DataSet, order: TenantOrder, period: Period, seen: SeenLegs
) -> Outcome:
    """Put one partition into the data set, unless it is complete there; a failure is an outcome.

    Raises:
        DataSetError: The data set cannot be read or written.
    """
    place = Place(order.tenant, period.name)
    found = await asyncio.to_thread(dataset.look_at, place)
    if found.state == "complete" and found.manifest is not None:
        manifest = found.manifest
        return _outcome(place, manifest, was_there=True)
    # Made here, so that its counts are known after a failure too.
    run = _Run(client, order, period, seen)
    try:
        async with asyncio.timeout(order.timeout):
            content, manifest = await run.fetch()
    except (BoxisError, TimeoutError) as error:
        if isinstance(error, TimeoutError):
            kind, text = "TimeoutError", f"it took longer than {order.timeout:g} s"
        else:
            kind, text = _kind_of(error), str(error)
        text = printable(text)[:_LONGEST_ERROR]
        failure = Failure(tenant=place.tenant, period=place.period, kind=kind, error=text)
        await asyncio.to_thread(dataset.put_failure, place, failure)
        return attrs.evolve(
            run.counted(Outcome(tenant=place.tenant, period=place.period, state="failed")),
            error=text,
        )
    await asyncio.to_thread(dataset.put, place, content, manifest)
    return run.counted(_outcome(place, manifest))


class _Run:
    """The one pass over a partition."""

    def __init__(
        self, client: BoxisClient, order: TenantOrder, period: Period, seen: SeenLegs
    ) -> None:
        self._client = client
        self._order = order
        self._period = period
        self._seen = seen
        self._stream: CDRStream | None = None

    def counted(self, outcome: Outcome) -> Outcome:
        """Add to an outcome how many requests it took."""
        if self._stream is None:
            return outcome
        stats = self._stream.stats
        return attrs.evolve(outcome, requests=stats.requests, retries=stats.retries)

    async def fetch(self) -> tuple[bytes, Manifest]:
        """Fetch the legs, and give the file and its manifest.

        Raises:
            BoxisError: They could not be had.
        """
        order, period = self._order, self._period
        margin = self._margin()
        start, end = period.start - _SECOND, period.end + margin
        stream = self._stream = self._make_stream(start, end)
        zone = stream.timezone
        now = datetime.now(zone).replace(tzinfo=None)
        if start < now < end:
            # What is to come needs no request. The client knows the provider's clock.
            stream = self._stream = self._make_stream(start, None)
        table = LegsTable(order.tenant, zone)
        elsewhere = records = 0
        async with stream:
            # A period that begins in a moment has no leg yet.
            batches = stream.batches() if start < now else _nothing()
            async for batch in batches:
                records += len(batch.cdrs)
                legs = [cdr for cdr in batch.cdrs if self._is_of_the_period(cdr)]
                self._check_margin(batch.cdrs, margin)
                elsewhere += len(batch.cdrs) - len(legs)
                if legs:
                    await asyncio.to_thread(table.add, legs)
            stats, coverage = stream.stats, stream.coverage
        self._seen.learn(order.tenant, records, end - start)
        content, rows = await asyncio.to_thread(table.finish)
        at_rest = stream.dateto is not None and not coverage.missing(start, end)
        return content, Manifest(
            tenant=order.tenant,
            period=period.name,
            state="complete" if at_rest else "young",
            timezone=str(zone),
            rows=rows,
            size=len(content),
            sha256=await asyncio.to_thread(digest_of, content),
            sealed=tuple(
                (window.start, window.end)
                for window in coverage.sealed
                if window.start is not None and window.end is not None
            ),
            contract=self._client.contract.to_dict(),
            counts={
                "duplicates": stats.duplicates,
                "conflicts": stats.conflicts,
                "revisions": stats.revisions,
                "elsewhere": elsewhere,
            },
        )

    def _make_stream(self, start: datetime, end: datetime | None) -> CDRStream:
        window = None if end is None else self._seen.window(self._order.tenant, end - start)
        return self._client.cdrs(
            start,
            end,
            tenant=self._order.tenant,
            unique_by="leg",
            settle=self._order.settle,
            window=window,
        )

    def _margin(self) -> timedelta:
        contract = self._client.contract
        if contract.rule in _BY_START:
            return timedelta(0)
        return max(_MARGIN, contract.longest_call or _MARGIN)

    def _is_of_the_period(self, cdr: CDR) -> bool:
        return self._period.start <= cdr.start.replace(tzinfo=None) < self._period.end

    def _check_margin(self, cdrs: Sequence[CDR], margin: timedelta) -> None:
        """See that no leg ran into this period from so far before that the one before lacks it.

        Raises:
            UsageError: One did.
        """
        if not margin:
            return
        for cdr in cdrs:
            wall, end = cdr.start.replace(tzinfo=None), cdr.end
            if (
                wall < self._period.start - _SECOND
                and end is not None
                and end.replace(tzinfo=None) > self._period.start + margin
            ):
                raise UsageError(
                    f"a leg from {wall} to {end.replace(tzinfo=None)} runs into this period by "
                    "more than the longest call is assumed to last, so the period before may lack "
                    "it: probe the provider, give its contract, and harvest both anew"
                )


async def _nothing() -> AsyncGenerator[Batch]:
    """Give no batch."""
    for batch in tuple[Batch, ...]():
        yield batch


def _outcome(place: Place, manifest: Manifest, **more: Any) -> Outcome:  # noqa: ANN401
    return Outcome(
        tenant=place.tenant,
        period=place.period,
        state=manifest.state,
        rows=manifest.rows,
        size=manifest.size,
        **more,
    )


def _kind_of(error: BoxisError) -> str:
    """Name the class of an error; of a window that failed, that of its cause."""
    cause = error.cause if isinstance(error, WindowError) else None
    return type(cause or error).__name__
