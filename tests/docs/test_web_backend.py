"""The web backend of the examples: FastAPI, over real sockets on both sides."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import socket
from typing import TYPE_CHECKING

import httpx
import pytest
import stamina
import uvicorn
from calls import call
from examples import load
from waiting import Gate, settled

import boxis_async
from boxis_async import BoxisClient
from boxis_async.testing import Fault, LoopbackServer, Provider, ServedProvider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from fastapi import FastAPI

    from boxis_async.testing import Received

# `calls.DAY` and the day after. Windows are a day long, from four hours before the first day on: so
# the first one ends at 20:00, and the second one of a single day four hours behind that day.
DAY = "/calls?from=2024-03-05&to=2024-03-06"
TWO_DAYS = "/calls?from=2024-03-05&to=2024-03-07"


class Server(uvicorn.Server):
    """A server that leaves the signals to the tests."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@contextlib.asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """Serve an application on this event loop, on a port that the system gives out."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, lifespan="on", timeout_graceful_shutdown=5)
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@pytest.fixture
def served(
    provider: Provider, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Provider]:
    """Serve the provider where the environment says that the API is."""
    for name, value in ServedProvider(server.mount(provider), provider).environment.items():
        monkeypatch.setenv(name, value)
    stamina.set_testing(True, attempts=2)
    yield provider
    stamina.set_testing(False)
    server.unmount(provider)


@pytest.fixture
async def reader(served: Provider) -> AsyncIterator[httpx.AsyncClient]:
    """Be a reader of the backend, which asks `served`."""
    assert served.requests == []
    async with (
        serving(load("web_backend").app) as url,
        httpx.AsyncClient(base_url=url) as reader,
    ):
        yield reader


def lines(response: httpx.Response) -> list[dict[str, object]]:
    return [json.loads(line) for line in response.text.splitlines()]


def names(response: httpx.Response) -> list[object]:
    """Name the calls of an answer."""
    return [line["id"] for line in lines(response)]


async def test_lines(served: Provider, reader: httpx.AsyncClient) -> None:
    """Each call that starts in the range is a line, with what a page needs of it."""
    served.add(
        call(
            "2024-03-05 23:59:00",
            "rings",
            linkedid="one",
            userfield="[inbound]",
            disposition="NO ANSWER",
            billsec="0",
            cc_cost="0.10",
        ),
        call(
            "2024-03-05 23:59:40",
            "picks-up",
            sequence="2",
            linkedid="one",
            userfield="[inbound]",
            dstchannel="SIP/305-1",
            answer="2024-03-05 23:59:45",
            end="2024-03-06 00:01:00",
            cc_cost="0.25",
        ),
    )
    response = await reader.get(DAY)
    assert response.headers["content-type"].startswith("application/x-ndjson")
    *hours, one = lines(response)
    assert [line["id"] for line in hours] == [row["uniqueid"] for row in served.select()[:24]]
    assert one == {
        "id": "one",
        "start": "2024-03-05T23:59:00+01:00",
        "end": "2024-03-06T00:01:00+01:00",
        "direction": "inbound",
        "caller_number": "0041445550123",
        "caller_name": "Anna Meier",
        "dialled": "201",
        "outside": "0041445550123",
        "outcome": "ANSWERED",
        "answered_by": "305",
        "answered": True,
        "missed": False,
        "wait_seconds": 45,
        "talk_seconds": 75,
        "cost": "0.35",
        "legs": 2,
    }


async def test_days_share_no_call(served: Provider, reader: httpx.AsyncClient) -> None:
    """A call with legs on two days is whole, on the day on which its first leg starts."""
    hours = [row["uniqueid"] for row in served.select()]
    served.add(
        *(call("2024-03-04 23:59:59", "a"), call("2024-03-05 00:00:00", "b", linkedid="a")),
        *(call("2024-03-05 23:59:59", "c"), call("2024-03-06 00:00:00", "d", linkedid="c")),
        call("2024-03-06 00:00:00", "e"),
    )
    before = await reader.get("/calls?from=2024-03-04&to=2024-03-05")
    day, after = await reader.get(DAY), await reader.get("/calls?from=2024-03-06&to=2024-03-07")
    assert (names(before), names(day), names(after)) == (["a"], [*hours, "c"], ["e"])
    assert [lines(response)[-1]["legs"] for response in (before, day, after)] == [2, 2, 1]
    assert names(await reader.get("/calls?from=2024-03-04&to=2024-03-07")) == [
        *("a", *hours, "c", "e")
    ]


async def test_lines_come_as_they_arrive(served: Provider, reader: httpx.AsyncClient) -> None:
    """Calls that are complete by the first window are there while the second is still awaited."""
    gate = Gate(lambda received: str(received.dateto) > "2024-03-05 20:00:00")
    served.gate = gate
    served.add(call("2024-03-06 12:00:00", "later"))
    async with reader.stream("GET", TWO_DAYS) as response:
        found: list[str] = []
        async for line in response.aiter_lines():
            found.append(json.loads(line)["id"])
            if len(found) == 10:
                assert not gate.is_open
                gate.open()
    assert len(found) == 25
    assert found[-1] == "later"


@pytest.mark.both_loops
async def test_a_reader_that_leaves(served: Provider, reader: httpx.AsyncClient) -> None:
    """A reader that leaves half-way leaves nothing behind, and the next one gets everything."""
    served.gate = Gate(lambda received: str(received.dateto) > "2024-03-05 20:00:00")
    async with reader.stream("GET", TWO_DAYS) as response:
        # Held by a name: dropped, it would leave at once.
        rest = response.aiter_lines()
        first = await anext(rest)
        await settled(lambda: served.in_flight > 0)
    await settled(lambda: served.in_flight == 0)
    served.gate = None
    whole = (await reader.get(TWO_DAYS)).text.splitlines()
    assert [json.loads(line)["id"] for line in whole] == [
        row["uniqueid"] for row in served.select()
    ]
    assert first == whole[0]


async def test_a_failure_on_the_way(served: Provider, reader: httpx.AsyncClient) -> None:
    """What fails after the head went out is told in the last line; the next reader is served."""

    def second_day(received: Received) -> Fault | None:
        return Fault.refuse("no such day") if str(received.dateto) > "2024-03-06 04:00:00" else None

    served.faults = second_day
    response = await reader.get(TWO_DAYS)
    assert response.status_code == 200
    *calls, last = lines(response)
    assert len(calls) == 10
    assert all(call["legs"] == 1 for call in calls)
    assert set(last) == {"error"}
    assert "no such day" in str(last["error"])
    assert "stand-in-key" not in response.text
    assert len(lines(await reader.get(DAY))) == 24


async def test_a_failure_at_the_beginning(served: Provider, reader: httpx.AsyncClient) -> None:
    """Before the first line, the status says what is wrong: 502 for the provider's own failures."""
    for fault, status in (
        (Fault.refuse("no"), 502),
        (Fault.status(503), 502),
        (Fault.html(), 502),
        (Fault.status(429), 503),
    ):
        served.faults = itertools.repeat(fault)
        response = await reader.get(DAY)
        assert response.status_code == status
        assert response.json()["detail"]
        assert "stand-in-key" not in response.text


async def test_a_provider_that_hangs(served: Provider) -> None:
    """A deadline ends what hangs: 504, by a client that a test puts in the place of the app's."""
    example = load("web_backend")
    served.faults = lambda _: Fault.hang()
    async with BoxisClient(deadline=0.05) as client:
        example.app.dependency_overrides[example.client_of] = lambda: client
        transport = httpx.ASGITransport(example.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://backend") as reader:
            response = await reader.get(DAY)
    assert response.status_code == 504
    assert "within 0.05 s" in response.json()["detail"]


async def test_other_tenants(
    served: Provider, reader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader can ask for the tenants that are listed, and for no other."""
    monkeypatch.setenv("BOXIS_TENANTS", f"VOICE-0 {served.tenant}")
    assert len(lines(await reader.get(f"{DAY}&tenant={served.tenant}"))) == 24
    served.requests.clear()
    for other in ("VOICE-1", ""):
        assert (await reader.get(f"{DAY}&tenant={other}")).status_code == 404
    assert served.requests == []
    assert (await reader.get(f"{DAY}&tenant=VOICE-0")).status_code == 502


def test_each_error_has_a_status() -> None:
    """Each error of the library has a status that says whose doing it is."""
    status_of = load("web_backend").status_of
    assert status_of(boxis_async.UsageError("a")) == 422
    assert status_of(boxis_async.DeadlineError("a")) == 504
    assert status_of(boxis_async.ClientClosedError("a")) == 503
    slow = boxis_async.AttemptTimeoutError("a")
    assert status_of(boxis_async.WindowError("a", cause=slow)) == 504
    assert status_of(boxis_async.WindowError("a")) == 502
    assert status_of(boxis_async.LateLegError("a")) == 502


async def test_a_leg_that_comes_too_late(served: Provider, reader: httpx.AsyncClient) -> None:
    """A call that goes on after it was shown is no second call: the last line says so."""
    served.add(
        call("2024-03-05 01:00:00", "begins"),
        call("2024-03-05 22:00:00", "goes-on", linkedid="begins"),
    )
    *calls, last = lines(await reader.get(DAY))
    assert [line["id"] for line in calls].count("begins") == 1
    assert "margin" in str(last["error"])


async def test_a_range_that_makes_no_sense(served: Provider, reader: httpx.AsyncClient) -> None:
    """A range that is missing, no range, or too long is refused before anything is asked."""
    for query in (
        *("", "from=2024-03-05", "to=2024-03-05"),
        "from=yesterday&to=2024-03-06",
        "from=2024-02-30&to=2024-03-06",
        "from=2024-03-05&to=2024-03-05",
        "from=2024-03-06&to=2024-03-05",
        "from=2023-03-05&to=2024-03-05",
        "from=0001-01-01&to=9999-12-31",
    ):
        response = await reader.get(f"/calls?{query}")
        assert response.status_code == 422, query
        assert response.json()["detail"]
    assert served.requests == []


async def test_the_first_and_the_last_day(served: Provider, reader: httpx.AsyncClient) -> None:
    """The edges of the calendar are days like any other, but where legs around them have no day."""
    for query in ("from=0001-01-02&to=0001-01-03", "from=9999-12-30&to=9999-12-31"):
        served.requests.clear()
        response = await reader.get(f"/calls?{query}")
        assert (response.status_code, response.text) == (200, "")
        assert served.requests
    served.requests.clear()
    response = await reader.get("/calls?from=0001-01-01&to=0001-01-02")
    assert response.status_code == 422
    assert "too near to the end of time" in response.json()["detail"]
    assert served.requests == []


async def test_a_report(served: Provider, reader: httpx.AsyncClient) -> None:
    """A report is a page of its own, of the calls that start in the range."""
    served.add(call("2024-03-05 12:10:00", clid='"<b>Anna</b>" <0041445550123>'))
    response = await reader.get("/report?from=2024-03-05&to=2024-03-06")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert '<strong data-total="calls">25</strong>' in response.text
    assert "<b>Anna" not in response.text
    assert (await reader.get("/report?from=2024-03-06&to=2024-03-05")).status_code == 422
    served.faults = lambda _: Fault.refuse("no such day")
    response = await reader.get("/report?from=2024-03-05&to=2024-03-06")
    assert response.status_code == 502
    assert "no such day" in response.json()["detail"]


async def test_the_page_is_served(reader: httpx.AsyncClient) -> None:
    """The page stands at the root, whole, and needs nothing from elsewhere."""
    response = await reader.get("/")
    assert response.headers["content-type"].startswith("text/html")
    assert "<h1>Calls</h1>" in response.text
    assert not re.search(r"https?:|url\(|@import|(src|href)=(?!.data:)", response.text)
