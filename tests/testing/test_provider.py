"""The stand-in provider, with valid requests and with others."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import anyio
import httpx
import pytest
from signed_by_hand import form

from boxis_async.testing import FAULT_KINDS, Fault, Provider

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from boxis_async.testing import EmptyForm, FilterMode, Received, Row


DAY = "2024-03-05"
RANGE = {"datefrom": f"{DAY} 10:00:00", "dateto": f"{DAY} 11:00:00"}
# One call for each way of lying to the range: named for how it starts and ends.
CALLS = [
    ("before", "09:00:00", "09:30:00"),
    ("into", "09:59:00", "10:05:00"),
    ("from-low", "10:00:00", "10:01:00"),
    ("inside", "10:30:00", "10:31:00"),
    ("to-high", "10:50:00", "11:00:00"),
    ("at-high", "11:00:00", "11:00:30"),
    ("out-of", "10:59:00", "11:20:00"),
    ("around", "09:10:00", "11:30:00"),
    ("after", "11:01:00", "11:02:00"),
]
SELECTED: dict[FilterMode, set[str]] = {
    "start": {"from-low", "inside", "to-high", "at-high", "out-of"},
    "start_half_open": {"from-low", "inside", "to-high", "out-of"},
    "end": {"into", "from-low", "inside", "to-high"},
    "overlap": {"into", "from-low", "inside", "to-high", "at-high", "out-of", "around"},
}


def calls() -> list[Row]:
    return [
        {"uniqueid": name, "start": f"{DAY} {start}", "end": f"{DAY} {end}"}
        for name, start, end in CALLS
    ]


async def ask(provider: Provider, parameters: dict[str, str]) -> Any:  # noqa: ANN401
    async with provider.client() as client:
        return (await client.post("/", data=parameters)).json()


def names(rows: list[Row]) -> list[str]:
    return [str(row["uniqueid"]) for row in rows]


async def test_everything() -> None:
    """Without dates the answer holds every row, numbered from 1, in the order of insertion."""
    rows = calls()
    answer = await ask(Provider(rows), form())
    assert answer["result"] == "1"
    assert answer["resulttxt"] == "success"
    assert isinstance(answer["timestamp"], int)
    assert answer["params"]["cdr"] == {f"call_{n}": row for n, row in enumerate(rows, 1)}


@pytest.mark.parametrize("mode", SELECTED)
async def test_filter_modes(mode: FilterMode) -> None:
    """Each mode compares the two dates with its column, and `select` returns the same rows."""
    provider = Provider(calls(), filter_mode=mode)
    answer = await ask(provider, form(**RANGE))
    got = [row["uniqueid"] for row in answer["params"]["cdr"].values()]
    assert got == [name for name, *_ in CALLS if name in SELECTED[mode]]
    assert names(provider.select(**RANGE)) == got


@pytest.mark.parametrize("mode", SELECTED)
def test_index_agrees_with_a_plain_scan(mode: FilterMode) -> None:
    """The index selects the same rows as a comparison of each row, for any rows."""
    draw = random.Random(7)
    rows: list[Row] = []
    for number in range(300):
        second = draw.randrange(3000)
        start, end = (
            f"{DAY} {at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}"
            for at in (second, second + draw.choice((0, 1, 30, 900)))
        )
        odd = draw.random()
        rows.append(
            {
                "uniqueid": str(number),
                "start": None if odd < 0.05 else start.encode() if odd < 0.1 else start,
                "end": None if odd > 0.95 else "0000-00-00 00:00:00" if odd > 0.9 else end,
            }
        )
    provider = Provider(rows[:150], filter_mode=mode)
    provider.select(**RANGE)
    provider.add(*rows[150:])
    matches: dict[FilterMode, Callable[[str, str, str, str], bool]] = {
        "start": lambda low, high, start, end: low <= start <= high and bool(start or end),
        "start_half_open": lambda low, high, start, end: low <= start < high and bool(start or end),
        "end": lambda low, high, start, end: low <= end <= high and bool(start or end),
        "overlap": lambda low, high, start, end: (
            bool(start and end) and start <= high and end >= low
        ),
    }

    def text(value: str | bytes | None) -> str:
        return value.decode() if isinstance(value, bytes) else value or ""

    for _ in range(200):
        low, high = sorted(
            f"{DAY} 00:{draw.randrange(60):02}:{draw.randrange(60):02}" for _ in "ab"
        )
        assert provider.select(low, high) == [
            row for row in rows if matches[mode](low, high, text(row["start"]), text(row["end"]))
        ]


@pytest.mark.parametrize("value", [90, 0.5, True])
def test_numbers_are_refused(value: object) -> None:
    """A row with a number raises at once: the provider sends only text."""
    row: Any = {"uniqueid": "1", "start": "2026-10-01 10:00:00", "billsec": value}
    with pytest.raises(TypeError, match="billsec must be a text or None"):
        Provider().add(row)
    with pytest.raises(TypeError, match="billsec must be a text or None"):
        Provider([row])


async def test_rows_added_later_are_found() -> None:
    """Rows added after a request are in the next answer, also a new tenant's."""
    first, *others = calls()
    provider = Provider([first])
    provider.select(**RANGE)
    provider.add(*others)
    provider.add(first, tenant="VOICE-2")
    assert names(provider.select()) == [name for name, *_ in CALLS]
    assert len(provider.select(**RANGE)) == len(SELECTED["start"])
    assert names(provider.select(tenant="VOICE-2")) == ["before"]
    with pytest.raises(KeyError):
        provider.select(tenant="VOICE-3")
    with pytest.raises(ValueError, match="together"):
        provider.select(DAY)


async def test_tenants_are_apart() -> None:
    """Each tenant has its own rows."""
    provider = Provider(calls(), tenants={"VOICE-2": calls()[:1]})
    assert len((await ask(provider, form(tenant="VOICE-2")))["params"]["cdr"]) == 1
    assert len((await ask(provider, form()))["params"]["cdr"]) == len(CALLS)


async def test_row_limit_cuts_silently() -> None:
    """An answer that is cut looks like a whole one."""
    answer = await ask(Provider(calls(), row_limit=2), form())
    assert answer["result"] == "1"
    assert list(answer["params"]["cdr"]) == ["call_1", "call_2"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"version": None}, "missing: version"),
        ({"username": ""}, "missing: username"),
        ({"tenant": None}, "missing: tenant"),
        ({"tenant": "VOICE-404"}, "unknown tenant"),
        ({"username": "eve@example.com"}, "wrong username or authcode"),
        ({"authcode": "0" * 32}, "wrong username or authcode"),
        ({"timestamp": "yesterday"}, "timestamp is not in Unix seconds"),
        ({"section": "voip"}, "unknown section or action"),
        ({"action": "getcdr"}, "unknown section or action"),
        ({"returntype": "yaml"}, "unknown returntype"),
        ({"line": "4122"}, "unknown parameter: line"),
        ({"datefrom": f"{DAY} 10:00:00"}, "together"),
        ({"dateto": f"{DAY} 10:00:00", "datefrom": None}, "together"),
        ({**RANGE, "datefrom": f"{DAY}T10:00:00"}, "datefrom is not a date"),
        ({**RANGE, "dateto": "2024-02-30 10:00:00"}, "dateto is not a date"),
        ({**RANGE, "dateto": f"{DAY} 10:00:00+01:00"}, "dateto is not a date"),
        ({**RANGE, "datefrom": f"{DAY} 11:00:01"}, "datefrom is after dateto"),
    ],
)
async def test_refusals(changes: dict[str, str | None], text: str) -> None:
    """What the page does not allow is refused in the page's form, and recorded."""
    provider = Provider(calls())
    answer = await ask(provider, form(**changes))
    assert answer["result"] == "0"
    assert answer["resulttxt"].startswith("Error: ")
    assert text in answer["resulttxt"]
    assert answer.keys() == {"result", "resulttxt", "timestamp"}
    assert [f"Error: {refusal}" for refusal in provider.refusals] == [answer["resulttxt"]]
    assert not provider.requests[0].accepted


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ({"content": "tenant=1&tenant=2"}, "given more than once: tenant"),
        ({"content": "tenant"}, "cannot be read as a form"),
        ({"content": "tenant=%ff"}, "cannot be read as a form"),
        ({"content": b"tenant=\xff"}, "cannot be read as a form"),
        ({"content": "{}", "headers": {"content-type": "application/json"}}, "not application/"),
        ({"content": "a=b", "params": {"tenant": "1"}}, "not into the address"),
    ],
)
async def test_malformed_bodies(request_: dict[str, Any], text: str) -> None:
    """A body that is no form, a repeated name, and parameters in the address are refused."""
    provider = Provider()
    request_ = {"headers": {"content-type": "application/x-www-form-urlencoded"}} | request_
    async with provider.client() as client:
        response = await client.post("/", **request_)
    assert text in response.json()["resulttxt"]


async def test_post_only() -> None:
    """Any other method than POST is answered with 405."""
    provider = Provider()
    async with provider.client() as client:
        response = await client.get("/", params=form())
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert provider.refusals == ["GET is not POST"]


async def test_clock_out_of_step() -> None:
    """The refusal of a stale timestamp names the provider's clock, which is then accepted."""
    provider = Provider(calls(), clock_skew=5000.0)
    answer = await ask(provider, form())
    assert answer["result"] == "0"
    assert answer["timestamperror"] == 1
    assert answer["timestamp"] - time.time() == pytest.approx(5000, abs=60)
    assert (await ask(provider, form(timestamp=str(answer["timestamp"]))))["result"] == "1"
    provider.clock_tolerance = 6000.0
    assert (await ask(provider, form()))["result"] == "1"


@pytest.mark.parametrize(
    ("empty", "json_text", "xml_text"),
    [
        ("list", '"params":[],', "<params/>"),
        ("cdr_list", '"params":{"cdr":[]},', "<params><cdr/></params>"),
        ("object", '"params":{},', "<params/>"),
        ("cdr_object", '"params":{"cdr":{}},', "<params><cdr/></params>"),
        ("string", '"params":"",', "<params/>"),
        ("null", '"params":null,', "<params/>"),
        ("missing", "", ""),
    ],
)
async def test_empty_forms(empty: EmptyForm, json_text: str, xml_text: str) -> None:
    """An answer without calls has the form that the setting names."""
    async with Provider(empty=empty).client() as client:
        in_json = await client.post("/", data=form())
        in_xml = await client.post("/", data=form(returntype="xml"))
    assert f'"resulttxt":"success",{json_text}"timestamp":' in in_json.text
    assert f"<resulttxt>success</resulttxt>{xml_text}<timestamp>" in in_xml.text


async def test_json_is_written_as_php_does() -> None:
    """Slashes and what is not ASCII are escaped; bytes stay as they are."""
    row: Row = {"clid": 'Zoë "🦄"/', "channel": b'SIP/\xff"\n', "cc_type_id": None}
    async with Provider([row]).client() as client:
        response = await client.post("/", data=form())
    assert response.headers["content-type"].startswith("text/html")
    expected = (
        rb'{"result":"1","resulttxt":"success","params":{"cdr":{"call_1":{'
        rb'"clid":"Zo\u00eb \"\ud83e\udd84\"\/",'
        b'"channel":"SIP\\/\xff\\"\\n","cc_type_id":null}}},"timestamp":'
    )
    assert response.content.startswith(expected)
    assert json.loads(response.content.decode("latin-1"))["result"] == "1"


async def test_xml() -> None:
    """XML has the same text, without what XML forbids; null and "" look alike."""
    row: Row = {"clid": 'a<b> & "c"\r\x00ü', "pincode": "", "cc_type_id": None, "src": b"x\xff"}
    async with Provider([row]).client() as client:
        response = await client.post("/", data=form(returntype="xml"))
    assert response.content.startswith(b'<?xml version="1.0" encoding="utf-8"?>')
    assert b"<src>x\xff</src>" in response.content
    root = ET.fromstring(response.content.replace(b"\xff", b""))
    assert root.tag == "return"
    assert [child.tag for child in root] == ["result", "resulttxt", "params", "timestamp"]
    found = {child.tag: child.text for child in root.findall("params/cdr/call_1/*")}
    assert found == {"clid": 'a<b> & "c"\rü', "pincode": None, "cc_type_id": None, "src": "x"}


async def test_xml_refusal() -> None:
    """A refusal in XML begins in lower case, as on the neighbouring pages."""
    async with Provider().client() as client:
        response = await client.post("/", data=form(returntype="xml", tenant="x"))
    root = ET.fromstring(response.content)
    assert root.findtext("result") == "0"
    assert root.findtext("resulttxt") == "error: unknown tenant"


async def test_what_may_stand_around_an_answer() -> None:
    """A byte order mark, a PHP notice and a number as result, by setting."""
    provider = Provider(bom=True, notice="<b>Notice</b>: é\n", result_as="number")
    async with provider.client() as client:
        response = await client.post("/", data=form())
    assert response.content.startswith(b'\xef\xbb\xbf<b>Notice</b>: \xc3\xa9\n{"result":1,')


async def test_further_actions() -> None:
    """A registered action gets the form without the signature, and returns the `params`."""
    seen: list[dict[str, str]] = []

    def details(parameters: dict[str, str]) -> dict[str, object]:
        seen.append(parameters)
        return {"line1": {"number": parameters["number"]}, "tags": ["a", "b"]}

    provider = Provider(actions={("voip", "getLineDetails"): details})
    request = form(section="voip", action="getLineDetails", number="41445550100", tenant=None)
    answer = await ask(provider, request)
    assert answer["params"] == {"line1": {"number": "41445550100"}, "tags": ["a", "b"]}
    assert seen[0] == {key: value for key, value in request.items() if key != "authcode"}
    async with provider.client() as client:
        response = await client.post("/", data={**request, "returntype": "xml"})
    assert "<params><line1><number>41445550100</number></line1><tags><item>a" in response.text


async def test_observation() -> None:
    """Requests are recorded in their order, without key or signature, until `reset`."""
    provider = Provider(calls())
    secret = form()["authcode"]
    await ask(provider, form(**RANGE))
    await ask(provider, form(tenant="x"))
    first, second = provider.requests
    assert (first.number, first.datefrom, first.dateto) == (1, *RANGE.values())
    assert (first.accepted, first.refusal) == (True, None)
    assert (second.number, second.datefrom, second.dateto) == (2, None, None)
    assert (second.accepted, second.refusal) == (False, "unknown tenant")
    assert first.arrived <= second.arrived
    assert "authcode" not in first.parameters
    assert first.parameters["tenant"] == "VOICE-29001-1"
    assert repr(provider) == "<Provider(rows=9, requests=2)>"
    shown = repr((provider, provider.requests))
    assert provider.api_key not in shown
    assert secret not in shown
    provider.reset()
    assert (provider.requests, provider.refusals, provider.peak_in_flight) == ([], [], 0)


async def test_gate_holds_requests_and_they_are_counted() -> None:
    """A gate gets a request and delays it; meanwhile it is in flight."""
    arrived: list[Received] = []
    all_there, release = anyio.Event(), anyio.Event()

    async def gate(received: Received) -> None:
        arrived.append(received)
        if len(arrived) == 3:
            all_there.set()
        await release.wait()

    provider = Provider(calls(), gate=gate, latency=lambda: 0.0)
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(ask, provider, form())
        await all_there.wait()
        assert provider.in_flight == 3
        assert arrived == provider.requests
        release.set()
    assert (provider.in_flight, provider.peak_in_flight) == (0, 3)


async def test_latency_is_asked_for_each_request() -> None:
    """A callable latency is called once for each request, and can use the seeded randomness."""
    drawn: list[float] = []

    def latency() -> float:
        drawn.append(provider.random.random() / 1000)
        return drawn[-1]

    provider = Provider(latency=latency, seed=3)
    await ask(provider, form())
    await ask(provider, form())
    assert drawn == [random.Random(3).random() / 1000, drawn[1]]
    assert drawn[0] != drawn[1]


async def test_faults_are_used_up_one_for_each_request() -> None:
    """None means no fault, and after the last fault there is none."""
    provider = Provider(faults=[Fault.refuse("busy"), None, Fault.status(503)])
    async with provider.client() as client:
        answers = [await client.post("/", data=form()) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 503, 200]
    assert answers[0].json()["resulttxt"] == "Error: busy"
    assert [answer.json()["result"] for answer in (answers[1], answers[3])] == ["1", "1"]
    assert all(received.accepted for received in provider.requests)


async def test_faults_are_replaced() -> None:
    """Faults can be set as they are passed, and replace the earlier ones."""
    provider = Provider(faults=[Fault.status(503)] * 3)
    async with provider.client() as client:
        assert (await client.post("/", data=form())).status_code == 503
        provider.faults = [None, Fault.status(429)]
        assert [(await client.post("/", data=form())).status_code for _ in range(3)] == [
            *(200, 429, 200)
        ]
        provider.faults = lambda received: Fault.status(500) if received.number == 5 else None
        assert [(await client.post("/", data=form())).status_code for _ in range(2)] == [500, 200]


async def test_faults_by_request() -> None:
    """A callable chooses a fault by the request, and can be replaced between requests."""
    provider = Provider(faults=lambda received: None if received.datefrom else Fault.empty())
    async with provider.client() as client:
        assert (await client.post("/", data=form())).content == b""
        assert (await client.post("/", data=form(**RANGE))).json()["result"] == "1"


@pytest.mark.parametrize(
    ("fault", "status", "start"),
    [
        (Fault.status(500), 500, b"<!DOCTYPE html>"),
        (Fault.status(404), 404, b"<!DOCTYPE html>"),
        (Fault.status(204), 204, b""),
        (Fault.html(), 200, b"<!DOCTYPE html>"),
        (Fault.html(b"<p>"), 200, b"<p>"),
        (Fault.empty(), 200, b""),
        (Fault.garbage(), 200, b"\x1f\x8b"),
        (Fault.garbage(b"\xff\xfe"), 200, b"\xff\xfe"),
        (Fault.out_of_memory(), 200, b"<br />\n<b>Fatal error</b>:  Allowed memory size"),
    ],
)
async def test_fault_answers(fault: Fault, status: int, start: bytes) -> None:
    """Each fault that answers has its own answer."""
    async with Provider(faults=[fault]).client() as client:
        response = await client.post("/", data=form())
    assert response.status_code == status
    assert response.content.startswith(start)
    assert bool(response.content) == bool(start)


async def test_fault_headers() -> None:
    """A status can carry a time to retry after, or another address."""
    faults = [Fault.status(429, retry_after=2), Fault.status(301, location="https://x.example/")]
    async with Provider(faults=faults).client() as client:
        limited = await client.post("/", data=form())
        moved = await client.post("/", data=form())
    assert limited.headers["retry-after"] == "2"
    assert moved.headers["location"] == "https://x.example/"


def test_fault_kinds() -> None:
    """Each kind makes a fault; any other kind raises."""
    assert [Fault(kind).kind for kind in FAULT_KINDS] == sorted(FAULT_KINDS)
    with pytest.raises(ValueError, match="melt"):
        Fault("melt")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="code"):
        Fault.status(99)


async def test_lifespan() -> None:
    """As an ASGI application it confirms start-up and shutdown, and serves HTTP only."""
    said: list[str] = []
    messages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> MutableMapping[str, Any]:
        return {"type": next(messages)}

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(message["type"])

    await Provider()({"type": "lifespan"}, receive, send)
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    with pytest.raises(ValueError, match="websocket"):
        await Provider()({"type": "websocket"}, receive, send)


async def test_client_gone_before_its_request_was_whole() -> None:
    """A request whose client disconnects early is ignored."""

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    async def send(_: MutableMapping[str, Any]) -> None:
        pytest.fail("nobody is listening")

    provider = Provider()
    await provider({"type": "http", "method": "POST", "headers": []}, receive, send)
    assert (provider.requests, provider.in_flight) == ([], 0)


def test_client_is_an_httpx_client() -> None:
    """`client()` is an ordinary client."""
    assert isinstance(Provider().client(), httpx.AsyncClient)
