"""Uses the library as a user would, for the type checkers alone: nothing here is run."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, assert_type

from boxis_async import (
    CDR,
    Batch,
    BatchStream,
    BoxisClient,
    CDRStream,
    Direction,
    Disposition,
    Plan,
    RetryPolicy,
    Stats,
    Window,
    WindowError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


async def fetch(datefrom: datetime, dateto: date) -> None:
    async with BoxisClient(
        "ops@example.com", "key", tenant="VOICE-29001-1", retry=RetryPolicy(attempts=3)
    ) as client:
        assert_type(client, BoxisClient)
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
