"""Calls fetched by the client: each once, where its first leg starts, whole."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from calls import DAY, HOUR, MINUTE, NEXT_DAY, SECOND, call
from clients import connected
from hypothesis import given
from hypothesis import strategies as st

from boxis_async import (
    CDR,
    Call,
    CallStream,
    ClientClosedError,
    LateLegError,
    StreamClosedError,
    UsageError,
    WindowError,
    group_calls,
)
from boxis_async.testing import DATE_RULES, Fault, Provider, generate_calls

if TYPE_CHECKING:
    from conftest import MakeClient

    from boxis_async.testing import Row

CASES: dict[str, Any] = {
    case["name"]: case
    for case in json.loads((Path(__file__).parents[1] / "data" / "calls.json").read_text("utf-8"))
}
DAY_LONG = timedelta(days=1)
# With a rule that leaves out what runs over a boundary no window is complete.
RULES = [rule for rule in DATE_RULES if rule.by != "within"]


def leg(start: datetime, name: str, sequence: int, *, lasts: timedelta = MINUTE) -> Row:
    """Make a leg of a call that has a name."""
    return call(
        f"{start}", name, linkedid=name, sequence=f"{sequence}", end=f"{start + lasts}",
        userfield="[inbound]", dstchannel="SIP/301-1",
    )  # fmt: skip


async def test_a_call_over_the_end_of_a_month_is_in_one_month_whole(
    make_client: MakeClient,
) -> None:
    """It is in the month in which it began, with the legs of the next month too."""
    provider = Provider(CASES["one call over the end of a month"]["legs"])
    client = make_client(provider)
    october = await client.calls(date(2026, 10, 1), date(2026, 11, 1))
    assert [len(call.legs) for call in october] == [2]
    assert october[0].answered_by == "302"
    assert await client.calls(date(2026, 11, 1), date(2026, 12, 1)) == []


@given(data=st.data())
async def test_ranges_add_up(data: st.DataObject) -> None:
    """Ranges side by side have together the calls of all, each once and whole."""
    begins = data.draw(st.lists(st.integers(-300, 300), min_size=1, max_size=6))
    rows = []
    for number, first in enumerate(begins):
        begin = first
        for sequence in range(data.draw(st.integers(1, 4))):
            lasts = data.draw(st.integers(0, 60))
            rows.append(leg(DAY + begin * MINUTE, f"{number}", sequence + 1, lasts=lasts * MINUTE))
            begin += data.draw(st.integers(0, lasts + 50))
    cuts = sorted(data.draw(st.lists(st.integers(-310, 310), min_size=1, max_size=3)))
    ends = [DAY - DAY_LONG, *(DAY + cut * MINUTE for cut in cuts), DAY + DAY_LONG]
    provider = Provider(rows, filter_mode=data.draw(st.sampled_from(RULES)))
    async with connected(provider) as client:
        whole = await client.calls(ends[0], ends[-1])
        parts = [call for first, last in pairwise(ends) for call in await client.calls(first, last)]
    assert parts == whole
    assert sum(len(call.legs) for call in whole) == len(rows)


async def test_a_call_is_followed_beyond_the_margin(make_client: MakeClient) -> None:
    """Legs are fetched further where one lies in the last quarter of the margin, and no further."""
    rows = [
        leg(NEXT_DAY + hours * HOUR, "long", number)
        for number, hours in enumerate((-1, 1, 3, 6.5, 9), start=1)
    ]
    provider = Provider([*rows, leg(NEXT_DAY + HOUR, "other", 1)])
    client = make_client(provider)
    (found,) = await client.calls(DAY, NEXT_DAY, margin=3 * HOUR + 30 * MINUTE)
    assert len(found.legs) == 5
    assert found.start.hour == 23
    furthest = max(request.dateto for request in provider.requests)
    assert furthest == f"{NEXT_DAY + 4 * (3 * HOUR + 30 * MINUTE)}"
    provider.requests.clear()
    assert len(await client.calls(NEXT_DAY, NEXT_DAY + 2 * HOUR)) == 1
    assert max(request.dateto for request in provider.requests) == f"{NEXT_DAY + 6 * HOUR}"


async def test_a_leg_with_a_wrong_end_is_not_followed_for_ever(make_client: MakeClient) -> None:
    """An end in years to come costs a handful of requests, and the call is there."""
    wrong = leg(DAY + HOUR, "wrong", 1) | {"end": "2199-01-01 00:00:00"}
    provider = Provider([wrong])
    (found,) = await make_client(provider).calls(DAY, NEXT_DAY)
    assert len(found.legs) == 1
    assert len(provider.requests) < 60


async def test_every_leg_is_fetched(make_client: MakeClient) -> None:
    """Legs that share a uniqueid are all there, and `cdrs` is not changed by it."""
    rows = CASES["three legs whose sequence is never filled"]["legs"]
    client = make_client(Provider(rows))
    (found,) = await client.calls(date(2026, 12, 1), date(2026, 12, 2))
    assert (len(found.legs), found.answered_by) == (3, "303")


async def test_everything_at_once(make_client: MakeClient) -> None:
    """Without dates one request gets all calls that the provider holds."""
    provider = Provider([leg(DAY, "a", 1), leg(DAY, "a", 2), leg(NEXT_DAY, "b", 1)])
    assert len(await make_client(provider).calls()) == 2
    assert len(provider.requests) == 1


@pytest.mark.both_loops
async def test_a_stream_of_calls_is_the_calls_of_its_legs(make_client: MakeClient) -> None:
    """`calls()` of a stream gives what `group_calls` gives of the same legs, as it goes."""
    rows = generate_calls(date(2025, 10, 1), date(2025, 10, 8), calls_per_day=60)
    client = make_client(Provider(rows), over_http=True)
    legs = await client.cdrs(date(2025, 10, 1), date(2025, 10, 8), unique_by="leg").to_list()
    stream = client.cdrs(date(2025, 10, 1), date(2025, 10, 8), unique_by="leg").calls()
    assert isinstance(stream, CallStream)
    assert len(stream.plan()) == 7
    seen = [call async for call in stream]
    assert sorted(seen, key=repr) == sorted(group_calls(legs), key=repr)
    assert stream.stats.records == len(legs)
    assert stream.stats.covered == 1
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_leg_that_comes_too_late(make_client: MakeClient) -> None:
    """It is an error that names the margin, and the stream does not go on as if it were whole."""
    provider = Provider([leg(DAY, "a", 1), leg(DAY + 9 * HOUR, "b", 1), leg(NEXT_DAY, "a", 2)])
    client = make_client(provider)
    stream = client.cdrs(DAY, NEXT_DAY + HOUR, unique_by="leg", window=HOUR).calls()
    assert (await anext(stream)).id == "a"
    with pytest.raises(LateLegError, match="margin=4:00:00"):
        await stream.to_list()
    with pytest.raises(StreamClosedError, match="cut short"):
        await anext(stream)
    with pytest.raises(LateLegError, match="give a longer margin"):
        await client.iter_calls(DAY, NEXT_DAY + HOUR).to_list()
    longer = client.iter_calls(DAY, NEXT_DAY + HOUR, margin=DAY_LONG)
    # All at once there is no late leg.
    assert await client.calls(DAY, NEXT_DAY + HOUR) == await longer.to_list()


@pytest.mark.parametrize("place", [1, 2, 12, 24])
@pytest.mark.parametrize("way", ["stream", "range", "whole range"])
@pytest.mark.parametrize("wrong", ["raises", "gives"])
async def test_a_judgement_that_fails(
    make_client: MakeClient, way: str, place: int, wrong: str
) -> None:
    """An error of the user's `reached` cuts the stream short, wherever it comes: no call is lost.

    The calls come as they are quiet, or all at the end; those before the error are handed over.
    """
    client = make_client(Provider([leg(DAY + n * HOUR, f"{n}", 1) for n in range(24)]))
    judged = 0

    def reached(_: CDR) -> Any:  # noqa: ANN401 - what is no word for it, too
        nonlocal judged
        judged += 1
        if judged == place and wrong == "raises":
            raise LookupError("no such extension")
        return "the moon" if judged == place else None

    if way == "stream":
        legs = client.cdrs(DAY, NEXT_DAY, unique_by="leg", window=HOUR)
        stream = legs.calls(reached=reached, margin=MINUTE)
    else:
        margin = MINUTE if way == "range" else DAY_LONG
        stream = client.iter_calls(DAY, NEXT_DAY, reached=reached, margin=margin, window=HOUR)
    found: list[Call] = []
    with pytest.raises(LookupError if wrong == "raises" else UsageError):
        found += [call async for call in stream]
    for _ in range(2):
        with pytest.raises(StreamClosedError, match="cut short"):
            found.append(await anext(stream))
    assert len(found) < place


@pytest.mark.parametrize("tasks", [1, 2, 3])
async def test_tasks_that_share_a_stream_of_calls(make_client: MakeClient, tasks: int) -> None:
    """They get each call once between them, and whole: also one that is followed further."""
    hours = (-1, 1, 3, 6.5, 9, 12)
    rows = [leg(NEXT_DAY + gap * HOUR, "long", number) for number, gap in enumerate(hours, 1)]
    rows += [leg(DAY + number * HOUR, f"{number}", 1) for number in range(20)]
    stream = make_client(Provider(rows)).iter_calls(DAY, NEXT_DAY, window=HOUR)

    async def read() -> list[Call]:
        return [call async for call in stream]

    found = await asyncio.gather(*(read() for _ in range(tasks)))
    legs = {call.id: len(call.legs) for calls in found for call in calls}
    assert legs == {"long": 4} | {f"{number}": 1 for number in range(20)}
    assert sum(map(len, found)) == 21


async def test_what_a_further_stream_collects_is_not_logged_if_it_is_read(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Failures of all streams of a call that is followed further are listed, and none is logged."""
    rows = [leg(NEXT_DAY + gap * HOUR, "long", n) for n, gap in enumerate((-1, 1, 3.5, 7.2, 10), 1)]
    rows.append(leg(NEXT_DAY + 6 * HOUR, "bad", 1) | {"duration": "a while"})
    stream = make_client(Provider(rows)).iter_calls(DAY, NEXT_DAY, bad_records="collect")
    assert [len(call.legs) async for call in stream] == [5]
    gc.collect()
    assert [reject.field for reject in stream.rejects] == ["duration"]
    assert "nobody read" not in caplog.text


async def test_a_window_that_failed(make_client: MakeClient) -> None:
    """A window that cannot be had is an error, as for a stream of legs."""
    provider = Provider([leg(DAY, "a", 1)], faults=lambda _: Fault.refuse("no"))
    client = make_client(provider)
    with pytest.raises(WindowError):
        await client.calls(DAY, NEXT_DAY)
    stream = client.cdrs(
        DAY, NEXT_DAY, unique_by="leg", window=DAY_LONG, on_error="collect"
    ).calls()
    assert await stream.to_list() == []
    assert len(stream.failures) == 1


async def test_a_dropped_stream_of_calls_is_freed(make_client: MakeClient) -> None:
    """Whoever keeps an error keeps neither the stream of calls nor its requests."""
    provider = Provider([leg(DAY, "a", 1)], faults=lambda _: Fault.refuse("no"))
    stream = make_client(provider).iter_calls(DAY, NEXT_DAY)
    with pytest.raises(WindowError) as caught:
        await anext(stream)
    freed = weakref.ref(stream)
    del stream
    gc.collect()
    assert freed() is None
    assert caught.value.window is not None


async def test_a_stream_of_calls_can_be_left(make_client: MakeClient) -> None:
    """As a context manager, or by `aclose()`, it cancels its requests; a closed one raises."""
    client = make_client(Provider([leg(DAY, "a", 1)]))
    async with client.iter_calls(DAY, NEXT_DAY) as stream:
        pass
    with pytest.raises(StreamClosedError):
        await anext(stream)
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await client.calls(DAY, NEXT_DAY)
    with pytest.raises(ClientClosedError):
        client.iter_calls(DAY, NEXT_DAY)


async def test_what_a_stream_of_calls_needs(make_client: MakeClient) -> None:
    """A stream that lacks legs, or has them in another order, gives no calls: it says why."""
    client = make_client(Provider([leg(DAY, "a", 1)]))
    with pytest.raises(UsageError, match=r'calls\(\) needs every leg: give .*unique_by="leg"'):
        client.cdrs(DAY, NEXT_DAY).calls()
    with pytest.raises(UsageError, match='order="time"'):
        client.cdrs(DAY, NEXT_DAY, unique_by="leg", order="completion").calls()
    begun = client.cdrs(DAY, NEXT_DAY, unique_by="leg")
    await anext(begun)
    with pytest.raises(UsageError, match="from its beginning"):
        begun.calls()
    with pytest.raises(UsageError, match="leave out resume"):
        client.cdrs(DAY, NEXT_DAY, unique_by="leg", resume=begun.coverage).calls()
    await begun.aclose()


@pytest.mark.parametrize(
    "margin",
    [0, None, timedelta(0), -SECOND, timedelta(days=36526), timedelta.max - HOUR, timedelta.max],
)
async def test_wrong_arguments(make_client: MakeClient, margin: Any) -> None:  # noqa: ANN401
    """What cannot work is an error before any request, and all of it is named."""
    provider = Provider([])
    client = make_client(provider)
    with pytest.raises(UsageError, match="margin must be a timedelta, more than zero") as caught:
        await client.calls(DAY, "tomorrow", margin=margin)  # type: ignore[arg-type]
    assert len(caught.value.problems) == 2
    with pytest.raises(UsageError, match="margin must be"):
        client.cdrs(DAY, NEXT_DAY, unique_by="leg").calls(margin=margin)
    with pytest.raises(UsageError, match="country must be"):
        await client.calls(DAY, NEXT_DAY, country="Schweiz")
    with pytest.raises(UsageError, match=r"datefrom .* lies after dateto"):
        await client.calls(NEXT_DAY, DAY)
    with pytest.raises(UsageError, match="too near to the end of time"):
        await client.calls(DAY, datetime.max)  # noqa: DTZ901
    assert provider.requests == []
