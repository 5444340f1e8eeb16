"""Uses the library as a user would, for the type checkers alone: nothing here is run."""

from collections.abc import Callable, Hashable
from contextlib import nullcontext
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, assert_type

import httpx
import httpx2

from boxis_async import (
    CDR,
    Batch,
    BatchStream,
    BoxisClient,
    Call,
    CallChange,
    CallStream,
    CallWatch,
    CDRStream,
    Change,
    Contract,
    Coverage,
    Direction,
    Disposition,
    FilePosition,
    Hooks,
    Outcome,
    Plan,
    RateLimitError,
    Reject,
    RequestEvent,
    ResponseEvent,
    RetryEvent,
    RetryPolicy,
    Stats,
    StatusError,
    Watch,
    Window,
    WindowError,
    WindowEvent,
    e164,
    group_calls,
)
from boxis_async.fleet import Harvested, Status, harvest, status
from boxis_async.mirror import Mirror, Synced
from boxis_async.otel import telemetry
from boxis_async.pydantic import CallModel, CDRModel
from boxis_async.types import (
    BadRecords,
    Clip,
    HTTPClient,
    Limiter,
    OnError,
    Order,
    Reached,
    ReturnType,
    UniqueBy,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


async def fetch(datefrom: datetime, dateto: date) -> None:
    async with BoxisClient(
        "ops@example.com", "key", tenant="VOICE-29001-1", retry=RetryPolicy(attempts=3)
    ) as client:
        assert_type(client, BoxisClient)
        contract = await client.probe(around=date(2026, 10, 1), max_requests=5)
        assert_type(contract, Contract)
        assert_type(contract.row_cap, int | None)
        assert_type(contract.longest_call, timedelta | None)
        assert_type(contract.finding("rule").evidence, str)
        async for cdr in client.cdrs(datefrom, dateto):
            assert_type(cdr, CDR)
            assert_type(cdr.start, datetime)
            assert_type(cdr.answer, datetime | None)
            assert_type(cdr.billsec, int | None)
            assert_type(cdr.cc_cost, Decimal | None)
            assert_type(cdr.cc_date, date | None)
            assert_type(cdr.disposition, Disposition | None)
            assert_type(cdr.direction, Direction | None)
            assert_type(cdr.ring_time, timedelta | None)
            assert_type(cdr.extra["anything"], str)
        stream = client.cdrs(
            datefrom,
            window=timedelta(hours=6),
            order="completion",
            unique_by=lambda cdr: (cdr.linkedid, cdr.sequence),
            clip="start",
        )
        assert_type(stream, CDRStream)
        async with stream as calls:
            assert_type(calls, CDRStream)
            assert_type(calls.stats, Stats)
            assert_type(await anext(calls), CDR)
        assert_type(stream.plan(), Plan)
        assert_type(stream.plan()[0], Window)
        windows: Sequence[Window] = stream.plan()
        assert_type(len(windows), int)
        assert_type(stream.batches(), BatchStream)
        async for batch in stream.batches():
            assert_type(batch, Batch)
            assert_type(batch.cdrs, tuple[CDR, ...])
        assert_type(await stream.to_list(), list[CDR])
        assert_type(await client.call("voip", "getLineList"), dict[str, Any])
        await client.call("sms", "sendSMS", retry=True, to="0041", text="hello")


def explain(error: WindowError) -> str:
    assert_type(error.window, Window | None)
    assert_type(error.attempts, int)
    return error.tenant


async def fetch_with_aliases(  # noqa: PLR0913 - one for each alias
    client: BoxisClient,
    day: date,
    *,
    order: Order,
    unique_by: UniqueBy,
    clip: Clip,
    on_error: OnError,
    bad_records: BadRecords,
) -> None:
    assert_type(order, Literal["time", "completion"])
    assert_type(unique_by, Literal["uniqueid", "leg"] | Callable[[CDR], Hashable])
    assert_type(clip, Literal["start"] | None)
    assert_type(on_error, Literal["raise", "collect"])
    assert_type(bad_records, Literal["raise", "collect"])
    stream = client.cdrs(
        day,
        order=order,
        unique_by=unique_by,
        clip=clip,
        on_error=on_error,
        bad_records=bad_records,
    )
    assert_type(stream.tenant, str)
    assert_type(stream.datefrom, date | None)
    assert_type(stream.dateto, date | None)
    assert_type(stream.unique_by, UniqueBy)
    assert_type(stream.clip, Clip)
    assert_type(stream.timezone, tzinfo)
    assert_type(stream.coverage, Coverage)
    assert_type(stream.failures, tuple[WindowError, ...])
    assert_type(stream.rejects, tuple[Reject, ...])
    assert_type(stream.again(dateto=day, resume=stream.coverage), CDRStream)


def by_caller(cdr: CDR) -> tuple[str, date]:
    return cdr.src, cdr.start.date()


RULES: list[UniqueBy] = ["uniqueid", "leg", by_caller, lambda cdr: cdr.linkedid]
ORDERS: tuple[Order, ...] = ("time", "completion")
CLIPS: tuple[Clip, ...] = ("start", None)
ON_ERROR: tuple[OnError, ...] = ("raise", "collect")


class OfTheUsersOwn(httpx.AsyncClient):
    """A child of httpx's client."""


def lend(http_client: httpx.AsyncClient, own: OfTheUsersOwn, returntype: ReturnType) -> None:
    assert_type(returntype, Literal["json", "xml"])
    lent: list[HTTPClient] = [http_client, own]
    for one in lent:
        assert_type(one.is_closed, bool)
        assert_type(BoxisClient(http_client=one, returntype=returntype), BoxisClient)
    BoxisClient(http_client=http_client)
    BoxisClient(http_client=httpx.AsyncClient(), returntype="xml")
    BoxisClient(http_client=httpx2.AsyncClient())
    BoxisClient(http_client=None)


class OfTheUsers:
    """A limiter of the user's own."""

    async def acquire(self) -> None:
        """Wait."""

    def release(self) -> None:
        """Give the turn back."""

    def slow_down(self, seconds: float) -> None:
        """Wait for longer."""


def limit() -> BoxisClient:
    limiter: Limiter = OfTheUsers()
    return BoxisClient(limiter=limiter)


def change(client: BoxisClient) -> None:
    assert_type(client.with_options(), BoxisClient)
    client.with_options(timeout=5, retry=RetryPolicy(attempts=1), tenant="VOICE-1", max_rate=0.5)
    client.with_options(tenant=None, max_rate=None, retry=None, deadline=None)
    client.with_options(deadline=2.5)


def watch() -> BoxisClient:
    def on_request(event: RequestEvent) -> None:
        assert_type(event.section, str)
        assert_type(event.action, str)
        assert_type(event.window, Window | None)
        assert_type(event.attempt, int)

    def on_response(event: ResponseEvent) -> int:
        assert_type(event.window, Window | None)
        assert_type(event.seconds, float)
        assert_type(event.status_code, int | None)
        assert_type(event.size, int | None)
        assert_type(event.records, int | None)
        assert_type(event.error, Exception | None)
        return 1

    def on_retry(event: RetryEvent) -> None:
        assert_type(event.attempt, int)
        assert_type(event.error, Exception)

    def on_window(event: WindowEvent) -> None:
        assert_type(event.tenant, str)
        assert_type(event.window, Window)
        assert_type(event.records, int | None)
        assert_type(event.error, Exception | None)

    seen: list[WindowEvent] = []
    Hooks(on_request=print, on_window=seen.append, on_split=seen.append)
    assert_type(telemetry(Hooks(around_window=nullcontext)), Hooks)
    return BoxisClient(
        hooks=Hooks(
            on_request=on_request,
            on_response=on_response,
            on_retry=on_retry,
            on_window=on_window,
        )
    )


def explain_status(error: StatusError) -> str | None:
    assert_type(error.status_code, int)
    if isinstance(error, RateLimitError):
        assert_type(error, RateLimitError)
    return error.retry_after


def reached(leg: CDR) -> Reached | None:
    return "voicemail" if leg.lastapp == "Combox" else None


async def calls(client: BoxisClient, datefrom: date, dateto: datetime, legs: list[CDR]) -> None:
    assert_type(group_calls(legs, reached=reached, country="DE"), list[Call])
    assert_type(await client.calls(datefrom, dateto, margin=timedelta(hours=1)), list[Call])
    stream = client.cdrs(datefrom, dateto, unique_by="leg").calls(reached=reached)
    assert_type(stream, CallStream)
    async for call in client.iter_calls(datefrom, dateto):
        assert_type(call, Call)
        assert_type(call.legs, tuple[CDR, ...])
        assert_type(call.end, datetime | None)
        assert_type(call.outcome, Outcome)
        assert_type(call.direction, Direction | None)
        assert_type(call.talk, timedelta)
        assert_type(call.cost, Decimal)
        assert_type(call.missed, bool)
        assert_type(call.to_dict(), dict[str, Any])
        assert_type(call.to_json(), str)
        assert_type(CDRModel.model_validate(call.legs[0]).cc_cost, Decimal | None)
        assert_type(CallModel.model_validate(call).wait_seconds, int | float)
        assert_type(e164(call.outside, country="DE"), str)


async def collect(tenants: list[str], day: date) -> Status:
    done = await harvest(
        tenants, day, day, "calls", max_rate=None, period="day", make_client=BoxisClient
    )
    assert_type(done, Harvested)
    assert_type(done.failed[0].error, str)
    assert_type(done.is_whole, bool)
    assert_type(status("calls"), Status)
    return status("calls")


async def follow(client: BoxisClient, day: date) -> None:
    watch = client.watch(timedelta(hours=1), position=FilePosition("watch.json"))
    assert_type(watch, Watch)
    async for change in watch:
        assert_type(change, Change)
        assert_type(change.cdr, CDR)
        assert_type(change.previous, CDR | None)
        watch.handled(change)
    async with Mirror("calls.db") as mirror:
        assert_type(await mirror.sync(client, day), Synced)
        assert_type(await mirror.calls(day, day), list[Call])
        async for cdr in mirror.cdrs(day, day):
            assert_type(cdr, CDR)
        async with client.watch(position=mirror.position(client)).calls() as calls:
            assert_type(calls, CallWatch)
            async for found in calls:
                assert_type(found, CallChange)
                assert_type(found.previous, Call | None)
