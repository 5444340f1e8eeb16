"""The probe: the right verdict on what the two dates mean, or "unknown"; never a wrong one."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from datetime import UTC, date, datetime, timedelta
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Literal, cast
from zoneinfo import ZoneInfo

import httpx
import pytest
import time_machine
from calls import call
from cases import spread
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import Gate, settled

from boxis_async import (
    BoxisClient,
    ClientClosedError,
    Contract,
    Hooks,
    RefusedError,
    UsageError,
    WindowError,
)
from boxis_async.testing import (
    DATE_RULES,
    DateRule,
    Fault,
    InProcessTransport,
    Provider,
    generate_calls,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from conftest import MakeClient

    from boxis_async.testing import Row

LAST = date(2026, 6, 13)
THERE = datetime(2026, 6, 10, 15)  # noqa: DTZ001 - the provider's wall clock, on a Wednesday
# By calls a day: over how many days, so that there are a few thousand records.
TENANTS = {"busy": (900, 8), "middling": (120, 40), "quiet": (3, 420)}
Keeps = Literal["first", "last"]


def words(rule: DateRule) -> str:
    return f"{rule.by} {rule.include_from} {rule.include_to}"


@pytest.fixture(scope="module")
def calls_of() -> Callable[[str], Sequence[Row]]:
    """Make up the calls of a tenant, once."""
    return cache(made_up)


@pytest.fixture(scope="module")
def shared(calls_of: Callable[[str], Sequence[Row]]) -> Callable[[str], Provider]:
    """Hold the calls of a tenant in a provider, once, as its copy of them takes a while."""
    return cache(lambda tenant: Provider(calls_of(tenant)))


def made_up(tenant: str) -> Sequence[Row]:
    per_day, days = TENANTS[tenant]
    return generate_calls(LAST - timedelta(days=days), LAST, calls_per_day=per_day, seed=5)


def serving(provider: Provider, rule: DateRule) -> Provider:
    """Let a shared provider follow a rule, as if it were new."""
    provider.reset()
    provider.filter_mode, provider.row_limit = rule, None
    return provider


def check(contract: Contract, provider: Provider) -> None:
    """Hold a contract to what is so: each value is right or unknown, and each request counted."""
    rule = cast("DateRule", provider.filter_mode)
    assert contract.rule in (None, rule.by)
    assert contract.include_from in (None, rule.include_from)
    assert contract.include_to in (None, rule.include_to)
    assert contract.row_cap in (None, provider.row_limit)
    assert provider.row_limit is None or contract.no_cap_up_to <= provider.row_limit
    assert contract.dates_ignored in (None, provider.ignore_dates)
    assert contract.requests == len(provider.requests)
    for finding in contract.findings:
        assert (finding.value is None) == (finding.certainty == "unknown")
    assert Contract.from_toml(contract.to_toml()).to_dict() == contract.to_dict()


def is_decided(contract: Contract) -> bool:
    names = ("rule", "include_from", "include_to")
    return all(contract.finding(name).certainty == "certain" for name in names)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tenant", "rule"),
    [
        (tenant, rule)
        for tenant in ("busy", "middling")
        for rule in (DATE_RULES if tenant == "busy" else spread(DATE_RULES, 5))
    ],
    ids=str,
)
async def test_three_requests_decide(
    rule: DateRule,
    tenant: str,
    shared: Callable[[str], Provider],
    make_client: MakeClient,
) -> None:
    """Where calls are many, a baseline and two windows tell each of the twenty rules apart."""
    provider = serving(shared(tenant), rule)
    contract = await make_client(provider).probe(around=THERE, max_requests=3)
    check(contract, provider)
    assert is_decided(contract)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tenant", "rule"),
    [
        (tenant, rule)
        for tenant in TENANTS
        # By three requests all twenty are told apart above.
        for rule in (DATE_RULES if tenant == "quiet" else spread(DATE_RULES, 4))
    ],
    ids=str,
)
async def test_verdicts(
    rule: DateRule,
    tenant: str,
    shared: Callable[[str], Provider],
    make_client: MakeClient,
) -> None:
    """All is found out within twelve requests: within seven where there are many calls."""
    provider = serving(shared(tenant), rule)
    contract = await make_client(provider).probe(around=THERE)
    check(contract, provider)
    assert is_decided(contract)
    assert contract.finding("row_cap").certainty == "certain"
    assert contract.no_cap_up_to > 1000
    assert contract.dates_ignored is False
    assert contract.finding("zone").value == "Europe/Zurich"
    assert len(provider.requests) <= (12 if tenant == "quiet" else 7)


@pytest.mark.slow
@pytest.mark.parametrize("keeps", ["first", "last"])
@pytest.mark.parametrize("cap", [100, 500, 1000])
@pytest.mark.parametrize("rule", DATE_RULES[::5], ids=words)
async def test_a_cap(
    rule: DateRule,
    cap: int,
    keeps: Keeps,
    shared: Callable[[str], Provider],
    make_client: MakeClient,
) -> None:
    """Where answers are cut, the number is found, from either end, and the rule is still right."""
    provider = serving(shared("busy"), rule)
    provider.row_limit, provider.row_limit_keeps = cap, keeps
    contract = await make_client(provider).probe(around=THERE)
    check(contract, provider)
    assert (contract.row_cap, contract.no_cap_up_to) == (cap, 0)
    assert contract.finding("row_cap").certainty == "certain"
    assert is_decided(contract)
    assert len(provider.requests) <= 8


@pytest.mark.slow
@settings(max_examples=settings.default.max_examples // 2)
@given(data=st.data())
async def test_never_wrong(data: st.DataObject) -> None:
    """Whatever the rule, cap, traffic and moment, a verdict is right or unknown."""
    per_day = data.draw(st.sampled_from([0.2, 1, 5, 30, 120, 400]))
    days = min(400, max(2, int(800 / per_day)))
    seed = data.draw(st.integers(0, 50))
    rows = generate_calls(LAST - timedelta(days=days), LAST, calls_per_day=per_day, seed=seed)
    if data.draw(st.booleans()):
        # A server of whole minutes: ties everywhere, calls without length, ends before starts.
        rows = [
            row | {name: f"{row[name]}"[:-2] + "00" for name in ("start", "end")} for row in rows
        ]
    order = data.draw(st.sampled_from(["as it is", "shuffled"]))
    if order == "shuffled":
        Random(seed).shuffle(rows)
    rule = data.draw(st.sampled_from(DATE_RULES))
    cap = data.draw(st.sampled_from([None, None, 10, 20, 50, 100, 333]))
    provider = Provider(
        rows,
        filter_mode=rule,
        row_limit=cap,
        row_limit_keeps=data.draw(st.sampled_from(["first", "last"])),
    )
    around = THERE - timedelta(seconds=data.draw(st.integers(0, 30 * 86400)))
    most = data.draw(st.integers(1, 14))
    async with (
        provider.client() as http_client,
        BoxisClient(
            provider.username, provider.api_key, tenant=provider.tenant, http_client=http_client
        ) as client,
    ):
        contract = await client.probe(around=around, max_requests=most)
    check(contract, provider)
    assert len(provider.requests) <= most


async def test_hooks_of_a_probe(make_client: MakeClient) -> None:
    """A probe's requests, answers and retries call the hooks, as those of a stream do."""
    seen: list[str] = []
    hooks = Hooks(
        on_request=lambda event: seen.append(f"request {event.attempt}"),
        on_response=lambda event: seen.append(f"response {event.status_code}"),
        on_retry=lambda event: seen.append(f"retry {event.attempt} {event.window is not None}"),
    )
    provider = Provider([call("2026-06-10 14:50:00")], faults=[Fault.status(503)])
    await make_client(provider, hooks=hooks).probe(around=THERE, max_requests=2)
    assert seen == ["request 1", "response 503", "retry 1 True", "request 2", "response 200"]


@pytest.mark.parametrize("cap", [None, 200])
async def test_ignored_dates(
    cap: int | None, calls_of: Callable[[str], Sequence[Row]], make_client: MakeClient
) -> None:
    """Where every answer holds everything, two requests show it, and no rule is named."""
    provider = Provider(calls_of("middling")[:3000], ignore_dates=True, row_limit=cap)
    provider.filter_mode = DATE_RULES[0]
    contract = await make_client(provider).probe(around=THERE)
    check(contract, provider)
    assert contract.dates_ignored is True
    assert contract.rule is contract.row_cap is None
    assert len(provider.requests) == 2
    assert "ignored" in contract.describe()


async def test_a_rule_that_nobody_knows(make_client: MakeClient) -> None:
    """A server that compares whole days follows none of the rules: unknown, and not ignored."""

    class ByDay(Provider):
        def select(
            self, datefrom: str | None = None, dateto: str | None = None, tenant: str | None = None
        ) -> list[Row]:
            begin, end = f"{datefrom}"[:10], f"{dateto}"[:10]
            return super().select(f"{begin} 00:00:00", f"{end} 23:59:59", tenant)

    provider = ByDay(generate_calls(LAST - timedelta(days=30), LAST, calls_per_day=50))
    contract = await make_client(provider).probe(around=THERE)
    assert contract.rule is contract.include_from is contract.row_cap is None
    assert contract.dates_ignored is False
    assert "none of the 20 known rules" in contract.finding("rule").evidence


async def test_calls_without_length(make_client: MakeClient) -> None:
    """Calls that end as they start leave open what is compared; the bounds are found."""
    moments = [THERE + timedelta(minutes=minute) for minute in range(0, 40, 2)]
    rows = [call(f"{moment}", end=f"{moment}", duration="0") for moment in moments]
    for rule in DATE_RULES:
        provider = Provider(rows, filter_mode=rule)
        contract = await make_client(provider).probe(around=THERE)
        check(contract, provider)
        assert contract.rule is None
        assert contract.include_from is rule.include_from
        assert contract.include_to is rule.include_to


async def test_calls_in_one_second(make_client: MakeClient) -> None:
    """Calls that all start and end in the same seconds tell as much as one of them."""
    rows = [call(f"{THERE}", sequence=f"{number}") for number in range(30)]
    for rule in DATE_RULES:
        provider = Provider(rows, filter_mode=rule)
        contract = await make_client(provider).probe(around=THERE)
        check(contract, provider)
        assert is_decided(contract)
        assert len(provider.requests) <= 12


async def test_one_call(make_client: MakeClient) -> None:
    """A single call in a year is enough."""
    for rule in DATE_RULES:
        provider = Provider([call(f"{THERE - timedelta(days=100)}")], filter_mode=rule)
        contract = await make_client(provider).probe(around=THERE)
        check(contract, provider)
        assert is_decided(contract)


async def test_an_empty_tenant(make_client: MakeClient) -> None:
    """Without calls all is unknown that calls would show."""
    provider = Provider(filter_mode=DATE_RULES[0])
    contract = await make_client(provider).probe(around=THERE)
    check(contract, provider)
    assert contract.to_dict() == {}
    assert "there are no calls" in contract.finding("rule").evidence
    assert {finding.name for finding in contract.findings if finding.value is not None} == {
        "compression", "clock_offset", "records",
    }  # fmt: skip
    assert f"{contract!r}" == "<Contract(unknown rule)>"


@pytest.mark.slow
async def test_where_it_looks(make_client: MakeClient) -> None:
    """By default it looks back from the hour that came to rest last; never at a younger one."""
    provider = Provider(
        generate_calls(date(2026, 6, 1), LAST, calls_per_day=500), filter_mode=DATE_RULES[0]
    )
    now = datetime(2026, 6, 11, 14, 30, tzinfo=UTC)
    with time_machine.travel(now, tick=False):
        for around in (None, datetime(2026, 6, 11, 12, 0, tzinfo=UTC)):
            provider.reset()
            contract = await make_client(provider).probe(around=around)
            check(contract, provider)
            assert is_decided(contract)
            at_rest = "2026-06-10 16:30:00"
            assert provider.requests[0].dateto == at_rest
            assert all(f"{request.dateto}" <= at_rest for request in provider.requests)
        provider.reset()
        await make_client(provider).probe(around=date(2026, 6, 3), max_requests=1)
        assert provider.requests[0].datefrom == "2026-06-03 11:30:00"
        with pytest.raises(UsageError, match="in the future"):
            await make_client(provider).probe(around=date(2026, 6, 14))
        with pytest.raises(UsageError, match="too far back"):
            await make_client(provider).probe(around=date(2, 1, 1))


@pytest.mark.slow
@pytest.mark.parametrize("most", range(1, 10))
async def test_max_requests(
    most: int, calls_of: Callable[[str], Sequence[Row]], make_client: MakeClient
) -> None:
    """No request more is sent, by the server's count: retries and refused clocks are included."""
    faults = [None, Fault.status(500), Fault.cut(), None, Fault.status(503), None, Fault.html()]
    # A refused clock takes a request more; without an answer to the first window it would raise.
    for skew, more in ((0, []), (4000, [None])):
        if most <= len(more):
            continue
        provider = Provider(calls_of("middling"), filter_mode=DATE_RULES[0], clock_skew=skew)
        provider.faults = [*more, *faults]
        contract = await make_client(provider).probe(around=THERE, max_requests=most)
        check(contract, provider)
        assert len(provider.requests) <= most
        rule = contract.finding("rule")
        if rule.certainty == "unknown":
            assert len(provider.requests) == most
            assert f"all of the {most} requests were sent" in rule.evidence


async def test_one_request_that_is_refused_for_its_clock(make_client: MakeClient) -> None:
    """Where even the first answer takes more requests than may be sent, nothing is known."""
    provider = Provider(clock_skew=4000)
    contract = await make_client(provider).probe(around=THERE, max_requests=1)
    assert len(provider.requests) == contract.requests == 1
    assert contract.to_dict() == {}
    assert "no answer came" in contract.finding("records").evidence


async def test_a_server_that_fails(make_client: MakeClient) -> None:
    """Where no answer comes at all, the probe raises what a stream would."""
    provider = Provider(faults=lambda _: Fault.status(500))
    with pytest.raises(WindowError, match="HTTP status 500"):
        await make_client(provider).probe(around=THERE)
    provider.reset()
    with pytest.raises(WindowError, match="HTTP status 500"):
        await make_client(provider).probe(around=THERE, max_requests=2)
    assert len(provider.requests) == 2


async def test_a_refusal(calls_of: Callable[[str], Sequence[Row]], make_client: MakeClient) -> None:
    """A refusal ends the probe, at its first request and at any later one."""
    for answered in (0, 1, 4):
        faults = [*[None] * answered, Fault.refuse("not today")]
        provider = Provider(calls_of("middling"), filter_mode=DATE_RULES[0], faults=faults)
        with pytest.raises(WindowError, match="not today") as raised:
            await make_client(provider).probe(around=THERE)
        assert isinstance(raised.value.cause, RefusedError)
        assert len(provider.requests) == answered + 1


async def test_a_window_that_is_too_large(
    calls_of: Callable[[str], Sequence[Row]], make_client: MakeClient
) -> None:
    """Where the large window cannot be had, the rule is found all the same."""
    provider = Provider(calls_of("busy"), filter_mode=DATE_RULES[0])
    client = make_client(provider, max_response_bytes=500_000)
    contract = await client.probe(around=THERE)
    check(contract, provider)
    assert is_decided(contract)
    cap = contract.finding("row_cap")
    assert cap.certainty == "unknown"
    assert "TooLargeError" in cap.evidence


async def test_nothing_names_a_person(
    calls_of: Callable[[str], Sequence[Row]], make_client: MakeClient
) -> None:
    """No telephone number, name, channel or uniqueid of a record is in a finding."""
    rows = calls_of("middling")
    provider = Provider(rows, filter_mode=DATE_RULES[0])
    contract = await make_client(provider).probe(around=THERE)
    shown = contract.to_json() + repr(contract) + contract.to_toml()
    names = ("clid", "src", "dst", "realsrc", "firstdst", "lastdst", "channel", "uniqueid")
    values = {f"{row[name]}" for row in rows for name in names if len(f"{row[name] or ''}") > 4}
    assert len(values) > 1000
    assert [value for value in values if value in shown] == []
    assert not re.search(r"\d{7}", shown)


@pytest.mark.parametrize(
    ("by", "order"),
    [
        (lambda row: row["end"], "end"),
        (lambda row: row["start"], "start"),
        (lambda row: row["dst"], "none"),
    ],
)
@pytest.mark.parametrize("is_descending", [False, True])
async def test_the_order(
    by: Callable[[Row], str],
    order: str,
    is_descending: bool,  # noqa: FBT001 - a parameter
    calls_of: Callable[[str], Sequence[Row]],
    make_client: MakeClient,
) -> None:
    """The order of the rows is found: by start, by end, either backwards, or none."""
    rows = sorted(calls_of("middling"), key=by, reverse=is_descending)
    provider = Provider(rows, filter_mode=DATE_RULES[0])
    contract = await make_client(provider).probe(around=THERE, max_requests=3)
    check(contract, provider)
    expected = f"{order} descending" if is_descending and order != "none" else order
    assert contract.order == expected
    assert contract.finding("order").certainty == "certain"


async def test_keys_that_are_not_unique(
    calls_of: Callable[[str], Sequence[Row]], make_client: MakeClient
) -> None:
    """Two records with one uniqueid and one sequence show that keys are not unique."""
    rows = list(calls_of("middling"))
    provider = Provider(rows, filter_mode=DATE_RULES[0])
    contract = await make_client(provider).probe(around=THERE)
    assert contract.unique_keys is True
    assert contract.finding("unique_keys").certainty == "likely"
    provider = Provider([row | {"sequence": "1"} for row in rows], filter_mode=DATE_RULES[0])
    contract = await make_client(provider).probe(around=THERE)
    check(contract, provider)
    assert contract.unique_keys is False
    assert contract.finding("unique_keys").certainty == "certain"


@pytest.mark.slow
async def test_the_zone(make_client: MakeClient) -> None:
    """One request more shows the zone on the other side of a clock change; another zone shows."""
    rows = generate_calls(date(2026, 2, 20), LAST, calls_per_day=50, seed=2)
    provider = Provider(rows, filter_mode=DATE_RULES[0])
    zone = (await make_client(provider).probe(around=THERE)).finding("zone")
    assert (zone.value, zone.certainty, zone.requests) == ("Europe/Zurich", "certain", 1)
    assert f"{provider.requests[-1].datefrom}" < "2026-03-29"
    assert "UTC+01:00 and UTC+02:00" in zone.evidence
    # A server in Algiers has our winter's time, and not our summer's.
    elsewhere = Provider(
        generate_calls(date(2026, 2, 20), LAST, calls_per_day=50, timezone="Africa/Algiers"),
        filter_mode=DATE_RULES[0],
    )
    client = make_client(elsewhere)
    winter = datetime(2026, 3, 4, 15, tzinfo=ZoneInfo("Africa/Algiers"))
    zone = (await client.probe(around=winter)).finding("zone")
    assert (zone.value, zone.certainty) == ("Europe/Zurich", "likely")
    zone = (await client.probe(around=THERE)).finding("zone")
    assert (zone.value, zone.certainty) == ("UTC+01:00", "certain")
    assert "where Europe/Zurich has" in zone.evidence


async def test_the_longest_call_and_the_clock(
    calls_of: Callable[[str], Sequence[Row]], make_client: MakeClient
) -> None:
    """The longest record that was seen is proposed; the clocks' difference is noted."""
    provider = Provider(calls_of("middling"), filter_mode=DATE_RULES[0], clock_skew=-100)
    provider.add(call(f"{THERE}", end=f"{THERE + timedelta(hours=2)}", duration="7300"))
    contract = await make_client(provider).probe(around=THERE)
    assert contract.longest_call == timedelta(seconds=7300)
    offset = contract.finding("clock_offset").value
    assert isinstance(offset, float)
    assert -102 <= offset <= -99


class Compressing(httpx.AsyncBaseTransport):
    """Answers with the body compressed."""

    def __init__(self, provider: Provider) -> None:
        self._inner = InProcessTransport(provider)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        body = gzip.compress(await response.aread())
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Bytes(body))


class Bytes(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self):  # noqa: ANN204 - httpx's own
        yield self._body


async def test_compression(
    calls_of: Callable[[str], Sequence[Row]], make_client: MakeClient
) -> None:
    """Whether answers come compressed is seen."""
    provider = Provider(calls_of("quiet"), filter_mode=DATE_RULES[0])
    contract = await make_client(provider).probe(around=THERE, max_requests=1)
    assert contract.finding("compression").value == "none"
    async with httpx.AsyncClient(transport=Compressing(provider)) as http_client:
        client = make_client(provider, http_client=http_client)
        contract = await client.probe(around=THERE, max_requests=1)
        assert contract.finding("compression").value == "gzip"


async def test_over_http(calls_of: Callable[[str], Sequence[Row]], make_client: MakeClient) -> None:
    """The same over real HTTP, in XML too, and for a tenant that the call names."""
    for returntype in ("json", "xml"):
        provider = Provider(
            tenants={"VOICE-2": calls_of("middling")}, filter_mode=DateRule("overlap")
        )
        client = make_client(provider, over_http=True, returntype=returntype)
        contract = await client.probe("VOICE-2", THERE, max_requests=3)
        check(contract, provider)
        assert contract.describe() == "datefrom <= end and start <= dateto"


async def test_wrong_arguments(make_client: MakeClient) -> None:
    """All that is wrong is named at once, and nothing is sent."""
    provider = Provider()
    client = make_client(provider, tenant=None)
    with pytest.raises(UsageError) as raised:
        await client.probe(around="today", max_requests=0)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    assert len(raised.value.problems) == 3
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await client.probe("VOICE-1-1")
    assert provider.requests == []


@pytest.mark.both_loops
async def test_closed_or_cancelled_meanwhile(
    calls_of: Callable[[str], Sequence[Row]], make_client: MakeClient
) -> None:
    """A client that is closed ends the probe with its error; a cancelled probe leaves nothing."""
    gate = Gate(lambda received: received.number == 2)
    provider = Provider(calls_of("middling"), filter_mode=DATE_RULES[0], gate=gate)
    client = make_client(provider, over_http=True)
    running = asyncio.create_task(client.probe(around=THERE))
    await settled(lambda: len(provider.requests) == 2)
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await running
    provider.reset()
    client = make_client(provider, over_http=True)
    running = asyncio.create_task(client.probe(around=THERE))
    await settled(lambda: len(provider.requests) == 2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    gate.open()
    provider.reset()
    check(await client.probe(around=THERE, max_requests=3), provider)


async def test_as_json(calls_of: Callable[[str], Sequence[Row]], make_client: MakeClient) -> None:
    """All findings are in the JSON, and the contract reads back from it."""
    provider = Provider(calls_of("quiet"), filter_mode=DateRule("within", include_to=False))
    contract = await make_client(provider).probe(around=THERE)
    shown = json.loads(contract.to_json())
    assert Contract.from_dict(shown["contract"]).to_dict() == contract.to_dict()
    assert shown["describe"] == "datefrom <= start and end < dateto"
    assert [finding["name"] for finding in shown["findings"]] == [
        "rule", "include_from", "include_to", "dates_ignored", "row_cap", "order", "unique_keys",
        "longest_call", "zone", "compression", "clock_offset", "records",
    ]  # fmt: skip
    assert shown["requests"] == len(provider.requests)
