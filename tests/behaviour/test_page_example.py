"""The provider's page, word for word: its example answers, canned, and the request they answer."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
import time_machine
from provider_page import EXAMPLE, KEY, form_of

from boxis_async import BoxisClient, ClockError, Contract, RefusedError, WindowError

if TYPE_CHECKING:
    import respx

URL = "https://api.boxis.net/"
FROM, TO = datetime(2018, 2, 6, 20), datetime(2018, 2, 6, 21)  # noqa: DTZ001 - a wall clock
EMPTY = b'{"result": "1", "resulttxt": "success", "params": [], "timestamp": 1518091850}'
REFUSAL = b'{"result":"0",\n "resulttxt":"Error: {error description}",\n "timestamp":1335777400}'


def client(contract: Contract | None = None) -> BoxisClient:
    """Make a client as the page's example names it."""
    return BoxisClient("your@mail.com", KEY, tenant="VOICE-12001-1", contract=contract)


async def test_the_example_is_read(respx_mock: respx.MockRouter) -> None:
    """The page's two calls come out as they stand there, in order of time."""
    respx_mock.post(URL).respond(200, content=EXAMPLE, content_type="text/html")
    async with client() as boxis:
        first, second = await boxis.cdrs(FROM, TO).to_list()
    assert (first.src, first.dst, first.billsec) == ("0041616925879", "0225101800", 236)
    assert first.channel == "SIP/NS_Inbound_Route_CH_Direct_105-00002c27"
    assert (first.answered, second.answered, second.answer) == (True, False, None)
    assert (second.sequence, second.wherelanded) == (31558, "N/A")


@time_machine.travel(1336553826, tick=False)
async def test_the_request_is_the_pages(respx_mock: respx.MockRouter) -> None:
    """The form holds what the page lists, signed as its example is."""
    route = respx_mock.post(URL).respond(200, content=EMPTY)
    async with client() as boxis:
        assert await boxis.cdrs(FROM, TO).to_list() == []
    (call,) = route.calls
    assert call.request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert form_of(call.request) == {
        "version": "1.0",
        "returntype": "json",
        "timestamp": "1336553826",
        "username": "your@mail.com",
        "authcode": hashlib.md5(b"1336553826BX3KwWU2SuqvoEWnjYmOibf").hexdigest(),
        "section": "voice",
        "action": "getCDR",
        "tenant": "VOICE-12001-1",
        "datefrom": "2018-02-06 20:00:00",
        "dateto": "2018-02-06 21:00:00",
    }


async def test_the_error_is_told_whole(respx_mock: respx.MockRouter) -> None:
    """The page's error is the API's own refusal, and its text is whole."""
    respx_mock.post(URL).respond(200, content=REFUSAL)
    async with client() as boxis:
        with pytest.raises(WindowError, match=r"Error: \{error description\}$") as caught:
            await boxis.cdrs(FROM, TO).to_list()
        with pytest.raises(RefusedError):
            await boxis.call("voip", "getLineList")
    assert type(caught.value.cause) is RefusedError
    assert caught.value.attempts == 1


@time_machine.travel(1336553826, tick=False)
async def test_the_clock_is_set_as_in_the_sample(respx_mock: respx.MockRouter) -> None:
    """After a `timestamperror` the request is signed with the server's timestamp."""
    refused = b'{"result":"0","resulttxt":"Error: time","timestamperror":1,"timestamp":1336560000}'
    route = respx_mock.post(URL)
    route.side_effect = [httpx.Response(200, content=body) for body in (refused, EMPTY, EMPTY)]
    async with client(contract=Contract(rule="start")) as boxis:
        await boxis.cdrs(FROM, TO, window=timedelta(minutes=30)).to_list()
    signed = [form_of(call.request)["timestamp"] for call in route.calls]
    assert signed[0] == "1336553826"
    assert "1336560000" in signed[1:]


@time_machine.travel(1336553826, tick=False)
async def test_a_clock_that_is_refused_twice(respx_mock: respx.MockRouter) -> None:
    """A second refusal in a row is an error, not a loop."""
    refused = b'{"result":"0","resulttxt":"","timestamperror":"1","timestamp":"1336560000"}'
    route = respx_mock.post(URL).respond(200, content=refused)
    async with client() as boxis:
        with pytest.raises(ClockError, match="1336560000"):
            await boxis.call("voip", "getLineList")
    assert route.call_count == 2
