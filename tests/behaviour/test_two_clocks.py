"""Two clocks, ours and the provider's: what "now" is, what is at rest, and what is no clock."""

# Naive datetimes here are the provider's wall clock.
# ruff: noqa: DTZ001

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import httpx
import pytest
import time_machine
from calls import DAY, HOUR, MINUTE, NEXT_DAY, SECOND, call, hourly, ids, ids_of
from clients import PROMPTLY, connected
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transports import answering

from boxis_async import (
    BoxisClient,
    BoxisError,
    ClockError,
    ContractError,
    Coverage,
    RefusedError,
    UsageError,
    Window,
    WindowError,
)
from boxis_async.testing import DATE_RULES, DateRule, Provider

if TYPE_CHECKING:
    from conftest import MakeClient

ZURICH = ZoneInfo("Europe/Zurich")
NOW = datetime(2024, 3, 6, 13, 30, 20, tzinfo=UTC)
"""14:30:20 on the wall of the day after `DAY`, by the clock of this machine."""
THREE_DAYS = timedelta(days=3)
FOR_EVER = 1e12
"""A tolerance with which a provider never refuses a clock."""
TEN_YEARS = int(timedelta(days=3652.5).total_seconds())
UTC_NOW = int(NOW.timestamp())


def each_half_hour(
    begin: datetime = DAY - 4 * timedelta(days=1), days: int = 10
) -> list[dict[str, str | None]]:
    """Make a call of a minute at each half hour of some days."""
    return [
        call(f"{begin + half * HOUR / 2 + 7 * SECOND}", f"a-{half}.1") for half in range(48 * days)
    ]


def live(skew: timedelta, **settings: Any) -> Provider:  # noqa: ANN401 - whatever it takes
    """Be a provider whose calls happen by its own clock."""
    return Provider(
        each_half_hour(), live=True, cost_delay=0, clock_skew=skew.total_seconds(), **settings
    )


# Now


@pytest.mark.slow
@pytest.mark.parametrize("skew", [THREE_DAYS, 7 * MINUTE, -THREE_DAYS, -7 * MINUTE, 0 * MINUTE])
@pytest.mark.parametrize("tolerance", [300, FOR_EVER], ids=["refuses", "accepts"])
@pytest.mark.parametrize("window", [None, HOUR, timedelta(days=30)])
@pytest.mark.parametrize("order", ["time", "completion"])
async def test_an_open_range_has_all_that_the_provider_has(
    make_client: MakeClient,
    skew: timedelta,
    tolerance: float,
    window: timedelta | None,
    order: str,
) -> None:
    """Without an end, the very first stream of a client has all calls until the later now."""
    provider = live(skew, clock_tolerance=tolerance)
    with time_machine.travel(NOW, tick=False):
        client = make_client(provider)
        stream = client.cdrs(DAY, window=window, order=order)  # type: ignore[arg-type]
        found = await stream.to_list()
        assert sorted(ids(found)) == sorted(ids_of(provider.undivided(f"{DAY}", "2024-04-01")))
        assert len(found) > 20 + 40 * skew.days
        assert stream.stats.covered == 1.0
        # The second one knows the clock from the start.
        provider.reset()
        again = client.cdrs(DAY, window=timedelta(days=30), row_limit=10_000)
        assert sorted(ids(await again.to_list())) == sorted(ids(found))
        assert len(provider.requests) <= 2


@pytest.mark.parametrize("by", ["start", "end", "overlap", "either", "within"])
@pytest.mark.parametrize("window", [None, HOUR])
@pytest.mark.parametrize("long", [MINUTE, 40 * MINUTE])
async def test_a_later_now_under_every_rule(
    make_client: MakeClient,
    by: Any,  # noqa: ANN401 - the name of a rule
    window: timedelta | None,
    long: timedelta,
) -> None:
    """Where the rule of the dates is not known, the later part is looked at like any other."""
    rows = [
        row | {"end": f"{datetime.fromisoformat(str(row['start'])) + long}"}
        for row in each_half_hour()
    ]
    rule = DateRule(by=by)
    provider = Provider(
        rows, live=True, clock_skew=7200, clock_tolerance=FOR_EVER, filter_mode=rule
    )
    with time_machine.travel(NOW, tick=False):
        stream = make_client(provider, contract=None).cdrs(NOW - 5 * HOUR, window=window)
        server_now = datetime.fromtimestamp(provider.now(), ZURICH).replace(tzinfo=None)
        first = (NOW - 5 * HOUR).astimezone(ZURICH).replace(tzinfo=None)
        expected = ids_of(provider.undivided(f"{first}", f"{server_now}"))
        assert len(expected) > 8
        if by == "within":
            with pytest.raises(ContractError):
                await stream.to_list()
        else:
            # A second more, as an answer names whole seconds.
            assert sorted(ids(await stream.to_list())) == sorted(expected)


@pytest.mark.parametrize("rule", DATE_RULES, ids=str)
async def test_the_only_call_ends_with_our_now(make_client: MakeClient, rule: DateRule) -> None:
    """The part up to the later "now" begins within it, and knows what came with the part before."""
    now = datetime(2024, 3, 6, 14, 30, 20)
    row = call(f"{now - SECOND}", end=f"{now}")
    provider = Provider([row], filter_mode=rule, clock_skew=7 * 60, clock_tolerance=FOR_EVER)
    with time_machine.travel(NOW, tick=False):
        stream = make_client(provider, contract=None).cdrs(DAY, window=6 * HOUR)
        try:
            found = await stream.to_list()
        except ContractError:
            assert rule.by == "within"
            return
    assert ids(found) == ids_of(provider.undivided(f"{DAY}", f"{now + HOUR}"))


async def test_the_later_now_costs_a_request_where_it_is_later(make_client: MakeClient) -> None:
    """A clock of ours that is right, or up to a second off, costs no further request."""
    with time_machine.travel(NOW, tick=False):
        for skew, requests in ((-THREE_DAYS, 1), (0 * SECOND, 1), (SECOND, 1), (2 * SECOND, 2)):
            provider = live(skew, clock_tolerance=FOR_EVER)
            client = make_client(provider)
            await client.cdrs(NOW - HOUR).to_list()
            assert len(provider.requests) == requests, skew


async def test_a_slow_answer_is_no_slow_clock(make_client: MakeClient) -> None:
    """An answer that was a minute on its way shows no clock that is a minute behind."""
    provider = Provider(hourly())
    with time_machine.travel(NOW + HOUR * 24, tick=False) as traveller:

        async def slow(_: object) -> None:
            provider.clock_skew -= 60
            traveller.shift(60)

        client = make_client(provider)
        stream = client.cdrs(DAY, NEXT_DAY, settle=HOUR)
        await stream.to_list()
        assert stream.coverage.sealed == (Window(DAY, NEXT_DAY),)
        provider.gate = slow
        await client.cdrs(DAY, NEXT_DAY).to_list()


async def test_only_the_servers_clock_can_be_ahead_for_ever(make_client: MakeClient) -> None:
    """A server whose clock runs ahead with each answer is followed once in a run."""
    provider = live(MINUTE, clock_tolerance=FOR_EVER)

    async def run_ahead(_: object) -> None:
        provider.clock_skew += 3600

    provider.gate = run_ahead
    with time_machine.travel(NOW, tick=False):
        await make_client(provider).cdrs(NOW - HOUR).to_list()
    assert len(provider.requests) == 2


@pytest.mark.parametrize("fold", [0, 1])
async def test_a_later_now_in_the_repeated_hour(make_client: MakeClient, fold: int) -> None:
    """Where now lies in the hour that comes twice, all of it until the later now is there."""
    rows = [
        call(
            f"2024-10-27 02:{minute:02}:00",
            f"a-{int(moment.timestamp()) + 60 * minute}.1",
            end=f"2024-10-27 02:{minute:02}:00",
            duration="0",
        )
        for moment in (datetime(2024, 10, 27, hour, tzinfo=UTC) for hour in (0, 1))
        for minute in range(0, 60, 2)
    ]
    now = datetime(2024, 10, 27, 2, 30, tzinfo=ZURICH, fold=fold)
    provider = Provider(rows, clock_skew=600, clock_tolerance=FOR_EVER, live=True)
    with time_machine.travel(now, tick=False):
        stream = make_client(provider).cdrs(datetime(2024, 10, 27), unique_by="leg")
        found = await stream.to_list()
        assert sorted(ids(found)) == sorted(ids_of(provider.undivided()))
    assert len(found) == 21 + 30 * fold


async def test_a_start_that_lies_after_now(make_client: MakeClient) -> None:
    """A start in the future is an error that speaks of now, and of the clock."""
    with (
        time_machine.travel(NOW, tick=False),
        pytest.raises(UsageError, match=r"which is now.*clock"),
    ):
        make_client(Provider()).cdrs(NOW + HOUR)


# At rest


@pytest.mark.slow
@settings(max_examples=settings.default.max_examples // 4)  # each takes a third of a second
@given(
    days=st.sampled_from([3, -3, 0.1, -0.1, 0]),
    settle=st.sampled_from([2 * MINUTE, 3 * HOUR, timedelta(days=1)]),
    window=st.sampled_from([None, HOUR, timedelta(days=2)]),
    tolerance=st.sampled_from([300, FOR_EVER]),
    hours=st.lists(st.floats(0.01, 40), min_size=1, max_size=3),
    is_new=st.booleans(),
)
@example(
    days=-3, settle=2 * MINUTE, window=None, tolerance=FOR_EVER, hours=[1.0, 40.0], is_new=True
)
@example(days=3, settle=2 * MINUTE, window=None, tolerance=FOR_EVER, hours=[1.0], is_new=True)
async def test_nothing_is_sealed_that_has_not_come(  # noqa: PLR0913 - each is drawn
    *,
    days: float,
    settle: timedelta,
    window: timedelta | None,
    tolerance: float,
    hours: list[float],
    is_new: bool,
) -> None:
    """Whoever keeps what is sealed, and resumes, has each call once, whichever clock is wrong."""
    provider = live(timedelta(days=days), clock_tolerance=tolerance)
    kept: list[str] = []
    coverage: Coverage | None = None
    with time_machine.travel(NOW, tick=False) as traveller:
        async with connected(provider) as first:
            for pause in [*hours, 24 * 20]:
                async with connected(provider) as another:
                    client = another if is_new else first
                    stream = client.cdrs(DAY, window=window, settle=settle, resume=coverage)
                    batches = [batch async for batch in stream.batches()]
                coverage = Coverage.from_json(stream.coverage.to_json())
                server_now = datetime.fromtimestamp(provider.now(), ZURICH).replace(tzinfo=None)
                for span in coverage.sealed:
                    assert span.end is not None
                    assert span.end <= server_now - settle + SECOND
                for batch in batches:
                    is_sealed = any(
                        span.start <= batch.window.start and batch.window.end <= span.end  # type: ignore[operator]
                        for span in coverage.sealed
                    )
                    kept += ids(batch.cdrs) if is_sealed else []
                traveller.shift(3600 * pause)
            async with connected(provider) as client:
                last = client.cdrs(DAY, datetime(2024, 3, 20), resume=coverage, settle=settle)
                kept += ids(await last.to_list())
    assert sorted(kept) == sorted(ids_of(provider.undivided(f"{DAY}", "2024-03-20 00:00:00")))


# What is no clock


def refusal(timestamp: object, **more: object) -> dict[str, object]:
    """Make the answer to a request whose clock is refused."""
    return {"result": "0", "resulttxt": "Error: clock", "timestamperror": 1} | (
        {"timestamp": timestamp} | more
    )


def year(number: int) -> int:
    """Give the Unix time at which a year begins, beyond what a datetime holds too."""
    return int((number - 1970) * 365.2425 * 86400)


NO_CLOCK = [
    0, 1, year(1970), year(2096), year(33658), year(2038), 2**31, 2**32, 2**53, 2**63, 2**64,
    999_999_999_999, -1, -(2**63), UTC_NOW + TEN_YEARS + 60, UTC_NOW - TEN_YEARS - 60,
    f"{year(2096)}", "9" * 400, "1e309", "nan", "NaN", "inf", "-inf", "soon", "", " ", None, True,
    1e300, 1.5, [], {}, [1], {"a": 1}, "0x10", "\u0664\u0665", "1_000",
]  # fmt: skip


@pytest.mark.parametrize("timestamp", NO_CLOCK, ids=repr)
async def test_a_time_that_is_no_clock(make_client: MakeClient, timestamp: object) -> None:
    """A refusal that names no time within ten years of ours is an error with both, at once."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json=refusal(timestamp))

    async with answering(answer) as http_client:
        client = make_client(Provider(), http_client=http_client)
        with time_machine.travel(NOW, tick=False):
            with pytest.raises(WindowError) as caught:
                await client.cdrs(DAY, NEXT_DAY).to_list()
            with pytest.raises(ClockError) as directly:
                await client.call("voip", "getLineList")
    assert len(sent) == 2
    assert client.clock_offset is None
    for error in (caught.value.cause, directly.value):
        assert isinstance(error, ClockError)
        assert isinstance(error, RefusedError)
        assert error.our_time == UTC_NOW
        if isinstance(timestamp, int) and not isinstance(timestamp, bool):
            assert f"{timestamp}" == error.sent
            assert error.server_time in (timestamp, None)
        assert f"{UTC_NOW}" in str(error)
        assert "Error: clock" in str(error)
        again = pickle.loads(pickle.dumps(error))
        assert (again.server_time, again.our_time, again.sent, str(again)) == (
            error.server_time, error.our_time, error.sent, str(error),
        )  # fmt: skip


@pytest.mark.parametrize("apart", [THREE_DAYS, -THREE_DAYS, timedelta(days=3600)])
async def test_a_clock_that_is_far_off_is_followed(
    make_client: MakeClient, apart: timedelta
) -> None:
    """A refusal that names a time within ten years is answered with that, and its offset kept."""
    provider = Provider(hourly(), clock_skew=apart.total_seconds())
    client = make_client(provider)
    assert len(await client.cdrs(DAY, NEXT_DAY).to_list()) == 24
    assert len(provider.refusals) == 1
    assert client.clock_offset == pytest.approx(apart.total_seconds(), abs=5)


async def test_what_is_no_clock_changes_nothing(make_client: MakeClient) -> None:
    """The known offset stays when a later refusal names a time that can be no clock."""
    provider = Provider(hourly(), clock_skew=THREE_DAYS.total_seconds())
    client = make_client(provider)
    with time_machine.travel(NOW, tick=False):
        await client.cdrs(DAY, NEXT_DAY).to_list()
        known = client.clock_offset
        provider.clock_skew = year(2090)
        with pytest.raises(WindowError) as caught:
            await client.cdrs(DAY, NEXT_DAY).to_list()
        assert isinstance(caught.value.cause, ClockError)
        assert client.clock_offset == known
        provider.clock_skew = THREE_DAYS.total_seconds()
        provider.reset()
        await client.cdrs(DAY, NEXT_DAY).to_list()
    assert provider.refusals == []


async def test_our_own_clock_may_be_the_wrong_one(make_client: MakeClient) -> None:
    """A machine that was started without a clock, in 1970, gets the error and not a guess."""
    client = make_client(Provider(clock=NOW.timestamp))
    with time_machine.travel(datetime(1970, 1, 2, tzinfo=UTC), tick=False):
        with pytest.raises(ClockError) as caught:
            await client.call("voip", "getLineList")
        assert (caught.value.server_time, caught.value.our_time) == (UTC_NOW, 86400)


@pytest.mark.parametrize("timestamp", NO_CLOCK, ids=repr)
async def test_an_accepted_answer_with_a_time_that_is_no_clock(
    make_client: MakeClient, timestamp: object
) -> None:
    """It is an answer still; neither now nor what is at rest goes by its time."""
    body = {"result": "1", "resulttxt": "", "params": [], "timestamp": timestamp}
    async with answering(lambda _: httpx.Response(200, json=body)) as http_client:
        with time_machine.travel(NOW, tick=False):
            client = make_client(Provider(), http_client=http_client)
            for _ in range(2):
                stream = client.cdrs(DAY, settle=timedelta(0))
                assert await stream.to_list() == []
                now = datetime(2024, 3, 6, 14, 30, 20)
                assert stream.coverage.sealed == (Window(DAY, now),)
    assert client.clock_offset is None


times = st.one_of(
    st.integers(),
    st.integers(-(10**14), 10**14),
    st.floats(),
    st.text(max_size=30),
    st.integers().map(str),
    st.sampled_from(
        [
            "0000-00-00 00:00:00", "0001-01-01 00:00:00", "9999-12-31 23:59:59",
            "9999-12-31 24:00:00", "1893-12-31 00:00:00", "2024-10-27 02:30:00",
            "2024-03-31 02:30:00", "1970-01-01 00:00:00", "2024-02-30 00:00:00",
            "2024-03-05 12:00:00", "10000-01-01 00:00:00", "Fri, 31 Dec 9999 23:59:59 GMT",
            "Mon, 01 Jan 0001 00:00:00 GMT", "Tue, 05 Mar 2024 12:00:00 +9999",
            "Fri, 31 Dec 9999 23:59:59 -2359", "9" * 5000, "1" + "0" * 400,
        ]
    ),
    st.none(),
    st.booleans(),
    st.lists(st.integers(), max_size=2),
)  # fmt: skip


@pytest.mark.slow
@given(data=st.data(), returntype=st.sampled_from(["json", "xml"]))
async def test_no_foreign_error_from_any_time(data: st.DataObject, returntype: str) -> None:
    """Whatever time a server names, in whichever field, only errors of the library come out."""
    row: dict[str, object] = dict(call("2024-03-05 12:00:00", "a-1709636400.1"))
    for name in ("start", "answer", "end", "duration", "billsec", "cc_date", "uniqueid"):
        if data.draw(st.booleans()):
            row[name] = data.draw(times, label=name)
    epoch = data.draw(st.integers(0, 10**12))
    if data.draw(st.booleans()):
        row["uniqueid"] = f"sip022-{epoch}.1"
    body: dict[str, object] = {
        "result": data.draw(st.sampled_from(["1", "0"])),
        "resulttxt": "",
        "params": {"cdr": {"call_1": row}},
        "timestamp": data.draw(times, label="timestamp"),
        "timestamperror": data.draw(st.sampled_from([None, 0, 1, "1"])),
    }
    status = data.draw(st.sampled_from([200, 429, 503]))
    headers = [
        (name, str(data.draw(times)).encode("latin-1", "replace").strip())
        for name in ("retry-after", "date")
    ]
    headers = [(name, value) for name, value in headers if not set(value) & set(b"\r\n\0")]

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers=headers, content=written(body, returntype))

    zone = data.draw(st.sampled_from(["Europe/Zurich", "UTC", "Pacific/Apia"]))
    with time_machine.travel(NOW, tick=False):
        async with (
            answering(answer) as http_client,
            BoxisClient(
                "ops@example.com",
                "stand-in-key",
                tenant="VOICE-29001-1",
                http_client=http_client,
                returntype=returntype,  # type: ignore[arg-type]
                timezone=zone,
                retry=PROMPTLY,
            ) as client,
        ):
            for datefrom, dateto in ((DAY, NEXT_DAY), (NOW - THREE_DAYS, None), (None, None)):
                stream = client.cdrs(
                    datefrom,
                    dateto,
                    clip=data.draw(st.sampled_from(["start", None])) if datefrom else None,
                    order=data.draw(st.sampled_from(["time", "completion"])),
                    on_error=data.draw(st.sampled_from(["raise", "collect"])),
                    unique_by=data.draw(st.sampled_from(["leg", "uniqueid"])),
                    settle=data.draw(st.sampled_from([timedelta(0), timedelta.max])),
                )
                try:
                    for cdr in await stream.to_list():
                        repr((cdr, cdr.leg, cdr.ring_time, stream.coverage.to_json()))
                except BoxisError as error:
                    repr((str(error), pickle.loads(pickle.dumps(error))))
                assert all(isinstance(failure, WindowError) for failure in stream.failures)
                for failure in stream.failures:
                    assert "unexpected" not in str(failure)
            try:
                await client.call("voip", "getLineList", retry=True)
            except BoxisError as error:
                repr(str(error))
            repr(client.clock_offset)


def written(body: object, returntype: str) -> bytes:
    """Write an answer with values of any kind."""
    if returntype == "json":
        return json.dumps(body).encode("utf-8", "replace")

    def xml(value: object) -> str:
        if isinstance(value, dict):
            return "".join(f"<{name}>{xml(one)}</{name}>" for name, one in value.items())
        text = "".join(c for c in str("" if value is None else value) if c.isprintable())
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    return f"<return>{xml(body)}</return>".encode("utf-8", "replace")
