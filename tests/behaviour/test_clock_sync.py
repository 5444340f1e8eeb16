"""The clock: what happens when the provider refuses ours."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import httpx
import pytest
from calls import DAY, HOUR, NEXT_DAY, hourly, ids, ids_of
from transports import answering
from waiting import Gate, settled

from boxis_async import ClockError, RefusedError, WindowError
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from conftest import MakeClient

pytestmark = pytest.mark.both_loops

OUT_OF_STEP = "timestamp is out of step with the server's clock"


@pytest.mark.parametrize("returntype", ["json", "xml"])
@pytest.mark.parametrize("skew", [7200, -7200])
@pytest.mark.parametrize("over_http", [False, True], ids=["in-process", "http"])
async def test_a_skewed_clock(
    make_client: MakeClient, returntype: str, skew: int, *, over_http: bool
) -> None:
    """A provider whose clock is hours off is asked again by its own clock, and answers."""
    provider = Provider(hourly(), clock_skew=skew)
    client = make_client(provider, over_http=over_http, returntype=returntype)
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    assert ids(await stream.to_list()) == ids_of(provider.select())
    refused = len(provider.refusals)
    assert 1 <= refused <= 8
    assert (stream.stats.requests, stream.stats.retries) == (24 + refused, refused)


@pytest.mark.parametrize("returntype", ["json", "xml"])
@pytest.mark.parametrize("skew", [7200, -40, 0])
async def test_how_far_the_clock_is_off(
    make_client: MakeClient, returntype: str, skew: int
) -> None:
    """The latest answer tells how far the provider's clock is ahead, refused or not."""
    client = make_client(Provider(hourly(), clock_skew=skew), returntype=returntype)
    assert client.clock_offset is None
    await client.cdrs(DAY, NEXT_DAY).to_list()
    assert client.clock_offset == pytest.approx(skew, abs=5)


@pytest.mark.parametrize("told", ["", "soon", None, "-1", "9" * 13])
async def test_an_answer_that_does_not_tell_the_time(
    make_client: MakeClient, told: str | None
) -> None:
    """An answer whose timestamp is none is an answer still, and tells nothing of the clock."""
    body = {"result": "1", "resulttxt": "", "params": [], "timestamp": told}
    async with answering(lambda _: httpx.Response(200, json=body)) as http_client:
        client = make_client(Provider(), http_client=http_client)
        assert await client.cdrs(DAY, NEXT_DAY).to_list() == []
        assert client.clock_offset is None


async def test_one_correction_serves_all_in_flight(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Of many requests refused at the same time, the first sets the clock for all."""
    caplog.set_level(logging.INFO, "boxis_async")
    gate = Gate()
    provider = Provider(hourly(), clock_skew=7200, gate=gate)
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=HOUR)
    found = asyncio.ensure_future(stream.to_list())
    await settled(lambda: gate.held == 8)
    gate.open()
    assert len(await found) == 24
    assert provider.refusals == [OUT_OF_STEP] * 8
    (told,) = [r.getMessage() for r in caplog.records if "the clock is set" in r.getMessage()]
    assert "+7200 s" in told or "+7199 s" in told


async def test_a_late_refusal_does_not_undo_the_correction(make_client: MakeClient) -> None:
    """A refusal of a request that was signed before the correction is sent again, no more."""
    gate = Gate(lambda received: received.number == 1)
    provider = Provider(hourly(), clock_skew=7200, gate=gate)
    stream = make_client(provider, concurrency=2).cdrs(DAY, NEXT_DAY, window=HOUR)
    found = asyncio.ensure_future(stream.to_list())
    await settled(lambda: len(provider.requests) > 4 and provider.in_flight == 1)
    gate.open()
    assert len(await found) == 24
    assert len(provider.refusals) == 2


async def test_the_offset_is_kept(make_client: MakeClient) -> None:
    """Later streams and calls of the client are signed by the provider's clock at once."""
    provider = Provider(
        hourly(), clock_skew=7200, actions={("voip", "getLineList"): lambda _: {"line1": "41225"}}
    )
    client = make_client(provider)
    await client.cdrs(DAY, NEXT_DAY).to_list()
    provider.reset()
    await client.cdrs(DAY, NEXT_DAY).to_list()
    assert await client.call("voip", "getLineList") == {"line1": "41225"}
    assert provider.refusals == []


async def test_a_clock_that_changes_again(make_client: MakeClient) -> None:
    """A provider that sets its clock anew, as after a failover, is followed again."""
    provider = Provider(hourly())
    client = make_client(provider)
    for skew in (0, 7200, -3600, 0):
        provider.clock_skew = skew
        assert len(await client.cdrs(DAY, NEXT_DAY, window=6 * HOUR).to_list()) == 24


@pytest.mark.parametrize("returntype", ["json", "xml"])
async def test_a_provider_that_always_refuses(make_client: MakeClient, returntype: str) -> None:
    """A second refusal in a row is an error, which names the window and holds the server's time."""
    provider = Provider(hourly(), clock_tolerance=-1)
    client = make_client(provider, returntype=returntype, concurrency=1)
    with pytest.raises(WindowError) as caught:
        await client.cdrs(DAY, NEXT_DAY, window=HOUR).to_list()
    cause = caught.value.cause
    assert isinstance(cause, ClockError)
    assert isinstance(cause, RefusedError)
    assert cause.server_time is not None
    assert OUT_OF_STEP in str(caught.value)
    assert (caught.value.window, caught.value.attempts) == (
        client.cdrs(DAY, NEXT_DAY, window=HOUR).plan()[0],
        1,
    )
    assert len(provider.requests) == 2


async def test_a_call_that_is_always_refused(make_client: MakeClient) -> None:
    """A single call is sent once more after a refusal of the clock, and then raises it."""
    provider = Provider(clock_tolerance=-1)
    with pytest.raises(ClockError):
        await make_client(provider).call("voip", "getLineList")
    assert len(provider.requests) == 2


async def test_a_refused_clock_and_a_fault(make_client: MakeClient) -> None:
    """A fault between two refusals of the clock uses up an attempt, and no more."""
    provider = Provider(
        hourly(), clock_skew=7200, faults=[None, Fault.status(500), None, Fault.cut()]
    )
    client = make_client(provider, concurrency=1)
    assert len(await client.cdrs(DAY, NEXT_DAY, window=12 * HOUR).to_list()) == 24
    assert len(provider.refusals) == 1


async def test_a_refusal_without_a_time(make_client: MakeClient) -> None:
    """A refusal of the clock that does not tell the server's time is an error at once."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(
            200, json={"result": "0", "resulttxt": "Error: clock", "timestamperror": 1}
        )

    async with answering(answer) as http_client:
        client = make_client(Provider(), http_client=http_client)
        with pytest.raises(WindowError) as caught:
            await client.cdrs(DAY, NEXT_DAY).to_list()
    assert isinstance(caught.value.cause, ClockError)
    assert caught.value.cause.server_time is None
    assert len(sent) == 1
