"""The client: its configuration, its lifetime, and what it refuses before a request."""

from __future__ import annotations

import asyncio
import copy
import pickle
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import httpx
import pytest
import time_machine
from calls import DAY, HOUR, NEXT_DAY, call, ids, ids_of
from provider_page import KEY
from transports import Recording, answering

from boxis_async import (
    BoxisClient,
    ClientClosedError,
    ConfigurationError,
    RetryPolicy,
    UsageError,
    Window,
    WrongLoopError,
)
from boxis_async.testing import Provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import MakeClient


def configured(**settings: Any) -> BoxisClient:  # noqa: ANN401
    return BoxisClient(**({"username": "ops@example.com", "api_key": KEY} | settings))


def problems(**settings: Any) -> tuple[str, ...]:  # noqa: ANN401
    with pytest.raises(ConfigurationError) as caught:
        configured(**settings)
    return caught.value.problems


# Configuration


def test_what_is_missing_is_named() -> None:
    """A client without credentials names each of them, and its variable, in one error."""
    with pytest.raises(ConfigurationError) as caught:
        BoxisClient()
    assert str(caught.value) == (
        "no username: give username=, or set BOXIS_USERNAME; "
        "no api_key: give api_key=, or set BOXIS_API_KEY"
    )
    assert isinstance(caught.value, ValueError)


def test_all_problems_at_once() -> None:
    """Everything that is wrong with a configuration comes in one error, a sentence each."""
    told = problems(
        username=7,
        api_key=b"bytes",
        tenant=29001,
        base_url="ftp://api.boxis.net/",
        timezone="Europe/Zürich",
        concurrency=0,
        timeout=-1,
        returntype="yaml",
        retry=3,
        http_client="a client",
    )
    names = (
        "username",
        "api_key",
        "tenant",
        "base_url",
        "timezone",
        "concurrency",
        "timeout",
        "returntype",
        "retry",
        "http_client",
    )
    assert len(told) == len(names)
    for name in names:
        assert any(name in problem for problem in told), name
    assert "bytes" not in "".join(told).replace("not bytes", "")


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, "8", None, True])
def test_concurrency_is_a_positive_whole_number(concurrency: object) -> None:
    """A concurrency that is no whole number of one or more is refused."""
    (problem,) = problems(concurrency=concurrency)
    assert problem == f"concurrency must be a whole number, one or more, not {concurrency!r}"


@pytest.mark.parametrize(
    "timeout", [0, -0.5, float("inf"), float("nan"), "30", None, True, httpx.Timeout(5)]
)
def test_timeout_is_seconds(timeout: object) -> None:
    """A time-out that is no finite number above zero is refused."""
    (problem,) = problems(timeout=timeout)
    assert problem.startswith("timeout must be seconds, more than zero, at most 1e+09, not ")


@pytest.mark.parametrize("timezone", ["Europe/Atlantis", "", "../etc/passwd", 3, None])
def test_timezone_is_known(timezone: object) -> None:
    """A zone that the system does not know is refused, with what a zone looks like."""
    (problem,) = problems(timezone=timezone)
    assert "give an IANA name such as 'Europe/Zurich'" in problem


def test_http_client_is_asynchronous() -> None:
    """A synchronous HTTP client is refused."""
    with httpx.Client() as http_client:
        assert problems(http_client=http_client) == (
            "http_client must be an httpx.AsyncClient or an httpx2.AsyncClient, not Client",
        )


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("attempts", 0),
        ("attempts", True),
        ("wait_initial", -1),
        ("wait_max", "30"),
        ("wait_jitter", float("nan")),
    ],
)
def test_retry_policy_is_checked(setting: str, value: object) -> None:
    """A retry policy refuses what it cannot keep to, by the setting's name."""
    with pytest.raises(UsageError, match=setting):
        RetryPolicy(**{setting: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["username", "api_key", "tenant"])
def test_text_that_cannot_be_sent(name: str) -> None:
    """What cannot be written as UTF-8, as a damaged environment gives it, is refused unseen."""
    (problem,) = problems(**{name: "damaged\udcff"})
    assert name in problem
    assert "damaged" not in problem


# The environment


def test_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left out comes from the environment."""
    monkeypatch.setenv("BOXIS_USERNAME", "env@example.com")
    monkeypatch.setenv("BOXIS_API_KEY", KEY)
    monkeypatch.setenv("BOXIS_TENANT", "VOICE-1-1")
    monkeypatch.setenv("BOXIS_BASE_URL", "https://staging.example.com/api/")
    assert repr(BoxisClient()) == (
        "<BoxisClient('env@example.com', tenant='VOICE-1-1', "
        "base_url='https://staging.example.com/api/', open)>"
    )


def test_arguments_come_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is passed in goes before what the environment says."""
    for name in ("USERNAME", "API_KEY", "TENANT"):
        monkeypatch.setenv(f"BOXIS_{name}", "from-env")
    monkeypatch.setenv("BOXIS_BASE_URL", "https://from-env.example.com/")
    client = BoxisClient("me@example.com", KEY, tenant="mine", base_url="https://mine.example.com/")
    assert "from-env" not in repr(client)


async def test_the_key_of_the_environment_signs(
    monkeypatch: pytest.MonkeyPatch, provider: Provider
) -> None:
    """Requests are signed with the environment's key, for the environment's tenant."""
    monkeypatch.setenv("BOXIS_USERNAME", provider.username)
    monkeypatch.setenv("BOXIS_API_KEY", provider.api_key)
    monkeypatch.setenv("BOXIS_TENANT", provider.tenant)
    async with provider.client() as http_client, BoxisClient(http_client=http_client) as client:
        assert len(await client.cdrs(DAY, NEXT_DAY).to_list()) == 24
    assert provider.refusals == []


@pytest.mark.parametrize("value", [None, ""])
def test_an_empty_variable_is_a_missing_one(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    """A variable that is set to nothing, and an argument that is nothing, are missing."""
    monkeypatch.setenv("BOXIS_USERNAME", "")
    monkeypatch.setenv("BOXIS_TENANT", "")
    monkeypatch.setenv("BOXIS_BASE_URL", "")
    assert problems(username=value) == ("no username: give username=, or set BOXIS_USERNAME",)
    client = configured()
    assert "base_url='https://api.boxis.net/'" in repr(client)
    with pytest.raises(UsageError, match="no tenant: give tenant=, or set BOXIS_TENANT"):
        client.cdrs()


# The address


@pytest.mark.parametrize(
    "url",
    [
        "http://api.boxis.net/",
        "HTTP://API.BOXIS.NET/",
        "http://192.168.1.10:8080/",
        "http://127.0.0.1.evil.example/",
        "http://localhost.evil.example/",
        "http://127.evil.example/",
        "http://[2001:db8::1]/",
        "http://0.0.0.0/",
    ],
)
def test_plain_http_is_refused(url: str) -> None:
    """Plain http to another machine is refused, with the reason and the ways out."""
    (problem,) = problems(base_url=url)
    assert "whoever listens could replay the authcode" in problem
    assert "allow_insecure=True" in problem
    assert "open" in repr(configured(base_url=url, allow_insecure=True))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/",
        "http://127.8.8.8/",
        "http://localhost/p1/",
        "http://[::1]:8000/",
        "https://api.boxis.net/",
        "https://192.168.1.10/api",
    ],
)
def test_loopback_and_https_are_safe(url: str) -> None:
    """Plain http on the machine itself, and https anywhere, are accepted."""
    assert url in repr(configured(base_url=url))


def test_plain_http_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address in the environment is held to the same rule."""
    monkeypatch.setenv("BOXIS_BASE_URL", "http://api.boxis.net/")
    (problem,) = problems()
    assert "not encrypted" in problem


@pytest.mark.parametrize(
    "url",
    [
        "https://ops:hunter2@api.boxis.net/",
        "https://api.boxis.net/?key=hunter2",
        "https://api.boxis.net/#hunter2",
    ],
)
def test_an_address_holds_nothing_else(url: str) -> None:
    """An address with a user, a query or a fragment is refused without showing them."""
    (problem,) = problems(base_url=url)
    assert "no user, query or fragment" in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize("url", ["api.boxis.net", "/api", "https://", "https://a:b/", "\x00", 5])
def test_an_address_is_one(url: object) -> None:
    """What is no address of a web server is refused."""
    (problem,) = problems(base_url=url)
    assert "base_url" in problem


# What a client shows of itself


def test_repr_tells_who_and_where() -> None:
    """The repr names the user, the tenant, the address and the state, and no key."""
    client = configured(tenant="VOICE-29001-1")
    assert repr(client) == (
        "<BoxisClient('ops@example.com', tenant='VOICE-29001-1', "
        "base_url='https://api.boxis.net/', open)>"
    )
    assert KEY not in repr(client)
    assert KEY not in repr(vars(client))


async def test_repr_tells_the_end() -> None:
    """The repr of a closed client says so."""
    client = configured()
    await client.aclose()
    assert repr(client).endswith("closed)>")


def test_a_client_is_not_copied() -> None:
    """A client can be neither pickled nor copied, since both would carry its key away."""
    client = configured()
    for carry_away in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="make one where it is needed"):
            carry_away(client)


# Lifetime


@pytest.mark.both_loops
async def test_without_a_block(provider: Provider, make_client: MakeClient) -> None:
    """A client works without `async with`, over connections of its own."""
    client = make_client(provider, over_http=True)
    assert ids(await client.cdrs(DAY, NEXT_DAY).to_list()) == ids_of(provider.select())
    await client.aclose()


@pytest.mark.both_loops
async def test_closing_twice(provider: Provider, make_client: MakeClient) -> None:
    """A client may be closed as often as one likes, also while it is being closed."""
    client = make_client(provider, over_http=True)
    async with client:
        await client.cdrs(DAY, NEXT_DAY).to_list()
        await asyncio.gather(client.aclose(), client.aclose())
        await client.aclose()
    await client.aclose()


async def test_closing_unused() -> None:
    """A client that sent nothing can be closed."""
    await configured().aclose()
    async with configured():
        pass


@pytest.mark.both_loops
async def test_closing_from_another_task(provider: Provider, make_client: MakeClient) -> None:
    """A client may be closed from another task than the one that opened it."""
    client = make_client(provider, over_http=True)
    async with client:
        await client.cdrs(DAY, NEXT_DAY).to_list()
        await asyncio.create_task(client.aclose())
        with pytest.raises(ClientClosedError):
            client.cdrs(DAY)


async def test_use_after_close(client: BoxisClient) -> None:
    """A closed client refuses to open, to ask, to call, and to begin a stream made before."""
    stream = client.cdrs(DAY, NEXT_DAY)
    await client.aclose()
    with pytest.raises(ClientClosedError, match="make a new one"):
        client.cdrs(DAY, NEXT_DAY)
    with pytest.raises(ClientClosedError):
        await client.call("voip", "getLineList")
    with pytest.raises(ClientClosedError):
        await client.__aenter__()
    with pytest.raises(ClientClosedError):
        await anext(stream)
    with pytest.raises(ClientClosedError):
        await stream.to_list()


def test_a_client_belongs_to_one_loop(provider: Provider) -> None:
    """Used on a second event loop, a client says that each loop needs its own."""
    http_client = provider.client()
    client = BoxisClient(
        provider.username, provider.api_key, tenant=provider.tenant, http_client=http_client
    )

    async def use() -> int:
        return len(await client.cdrs(DAY, NEXT_DAY).to_list())

    async def close() -> None:
        await client.aclose()
        await http_client.aclose()

    with asyncio.Runner() as first, asyncio.Runner() as second:
        assert first.run(use()) == 24
        for misuse in (use, client.aclose, client.__aenter__):
            with pytest.raises(WrongLoopError, match="make a client for each loop"):
                second.run(misuse())
        with pytest.raises(WrongLoopError, match="make a client for each loop"):
            second.run(client.call("voip", "getLineList"))
        assert first.run(use()) == 24
        first.run(close())


# A lent HTTP client


@pytest.fixture
async def lent(provider: Provider) -> AsyncIterator[tuple[httpx.AsyncClient, list[httpx.Request]]]:
    """Lend a client that is full of settings of its own, and list what it sends."""
    recording = Recording(provider)
    async with httpx.AsyncClient(
        transport=recording,
        base_url="https://else.example.com/",
        headers={"authorization": "Bearer theirs", "x-theirs": "yes", "user-agent": "theirs"},
        cookies={"session": "theirs"},
        params={"theirs": "yes"},
        auth=("user", "password"),
        timeout=1e-9,
        follow_redirects=True,
    ) as http_client:
        yield http_client, recording.requests


async def test_a_lent_client_stays_open(
    provider: Provider,
    make_client: MakeClient,
    lent: tuple[httpx.AsyncClient, list[httpx.Request]],
) -> None:
    """A client that was passed in is used, and stays open after the end."""
    http_client, sent = lent
    async with make_client(provider, http_client=http_client) as client:
        assert len(await client.cdrs(DAY, NEXT_DAY).to_list()) == 24
    assert not http_client.is_closed
    assert len(sent) == len(provider.requests) == 1


async def test_a_lent_client_lends_connections_only(
    provider: Provider,
    make_client: MakeClient,
    lent: tuple[httpx.AsyncClient, list[httpx.Request]],
) -> None:
    """Its headers, cookies, credentials, query, address and time-outs do not apply."""
    http_client, sent = lent
    client = make_client(provider, http_client=http_client)
    await client.cdrs(DAY, NEXT_DAY).to_list()
    (request,) = sent
    assert str(request.url) == "https://api.boxis.net/"
    assert request.method == "POST"
    assert "theirs" not in str(request.headers)
    assert request.headers.keys().isdisjoint({"authorization", "cookie", "x-theirs"})
    assert set(request.extensions["timeout"].values()) == {None}
    assert provider.refusals == []


async def test_a_lent_client_keeps_no_cookie_of_ours(make_client: MakeClient) -> None:
    """A cookie that an answer sets is not sent back."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(
            200, headers={"set-cookie": "session=1"}, json={"result": "1", "params": []}
        )

    async with answering(answer) as http_client:
        client = make_client(Provider(), http_client=http_client)
        await client.cdrs(DAY, NEXT_DAY, window=HOUR).to_list()
    assert len(sent) == 24
    assert not any("cookie" in request.headers for request in sent)


async def test_a_lent_client_that_is_closed(provider: Provider, make_client: MakeClient) -> None:
    """A lent client that was closed too early is told as what it is."""
    http_client = provider.client()
    client = make_client(provider, http_client=http_client)
    await client.cdrs(DAY, NEXT_DAY).to_list()
    await http_client.aclose()
    with pytest.raises(ClientClosedError, match="http_client that was passed in is closed"):
        await client.cdrs(DAY, NEXT_DAY).to_list()
    with pytest.raises(ClientClosedError, match="http_client that was passed in is closed"):
        await client.call("voip", "getLineList")
    with pytest.raises(ClientClosedError, match="http_client that was passed in is closed"):
        await client.__aenter__()


# What cdrs() refuses


def test_all_wrong_arguments_at_once(provider: Provider, client: BoxisClient) -> None:
    """Everything that is wrong with a question comes in one error, and nothing is sent."""
    with pytest.raises(UsageError) as caught:
        client.cdrs(
            dateto="2024-03-05",  # type: ignore[arg-type]
            tenant=7,  # type: ignore[arg-type]
            window=timedelta(milliseconds=1500),
            order="size",  # type: ignore[arg-type]
            unique_by="number",  # type: ignore[arg-type]
            clip="end",  # type: ignore[arg-type]
        )
    told = str(caught.value)
    for expected in (
        "dateto must be a datetime or a date, not '2024-03-05'",
        "dateto without datefrom: give datefrom too",
        "clip without datefrom",
        "tenant must be a str, not int",
        "window must be whole seconds",
        "order must be 'time' or 'completion', not 'size'",
        'unique_by must be "uniqueid", "leg" or a function of a CDR, not \'number\'',
        "clip must be 'start' or None, not 'end'",
    ):
        assert expected in told
    assert len(caught.value.problems) == 8
    assert provider.requests == []


@pytest.mark.parametrize("window", [timedelta(0), timedelta(seconds=-1), 3600, "1h"])
def test_a_window_is_whole_seconds(client: BoxisClient, window: object) -> None:
    """A window is a timedelta of whole seconds, one or more."""
    with pytest.raises(UsageError, match="window must be"):
        client.cdrs(DAY, NEXT_DAY, window=window)  # type: ignore[arg-type]


@pytest.mark.parametrize("unique_by", [["uniqueid"], {}, None])
def test_an_unhashable_choice(client: BoxisClient, unique_by: object) -> None:
    """A choice of a type that nobody expects is refused like any other."""
    with pytest.raises(UsageError, match="unique_by must be"):
        client.cdrs(DAY, NEXT_DAY, unique_by=unique_by)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="order must be"):
        client.cdrs(DAY, NEXT_DAY, order=unique_by)  # type: ignore[arg-type]


def test_a_range_the_wrong_way_round(client: BoxisClient) -> None:
    """A range that ends before it begins is refused at once, also where only the zones tell."""
    with pytest.raises(UsageError, match="lies after dateto"):
        client.cdrs(NEXT_DAY, DAY)
    noon = datetime(2024, 3, 5, 12, tzinfo=UTC)
    with pytest.raises(UsageError, match="lies after dateto"):
        client.cdrs(noon, datetime(2024, 3, 5, 12, 30, tzinfo=ZoneInfo("Europe/Zurich")))


def test_the_ends_of_time(client: BoxisClient) -> None:
    """A range may reach as far as Python's calendar does, and is refused beyond that."""
    last = datetime(9999, 12, 31, 23, 59, 59)  # noqa: DTZ001 - the provider's wall clock
    first = datetime(1, 1, 1)  # noqa: DTZ001 - likewise
    assert client.cdrs(last - HOUR, last).plan().end == last
    assert client.cdrs(first, first + HOUR).plan().start == first
    for beyond in (last.replace(microsecond=1), last.replace(tzinfo=UTC)):
        with pytest.raises(UsageError):
            client.cdrs(last - HOUR, beyond)


def test_tenant_of_the_stream(client: BoxisClient) -> None:
    """A stream's own tenant goes before the client's."""
    assert "tenant='VOICE-2-2'" in repr(client.cdrs(DAY, NEXT_DAY, tenant="VOICE-2-2"))


async def test_each_tenant_has_its_own_calls(make_client: MakeClient) -> None:
    """One client asks for several tenants."""
    provider = Provider([call(f"{DAY}", "ours")], tenants={"VOICE-2-2": [call(f"{DAY}", "theirs")]})
    client = make_client(provider, tenant=None)
    assert ids(await client.cdrs(DAY, NEXT_DAY, tenant="VOICE-2-2").to_list()) == ["theirs"]
    assert ids(await client.cdrs(DAY, NEXT_DAY, tenant=provider.tenant).to_list()) == ["ours"]
    with pytest.raises(UsageError, match="no tenant"):
        client.cdrs(DAY, NEXT_DAY)


# Ranges


async def test_dates_are_midnights(provider: Provider, client: BoxisClient) -> None:
    """Dates are taken as the midnight that they begin with."""
    await client.cdrs(date(2024, 3, 5), date(2024, 3, 6)).to_list()
    (request,) = provider.requests
    assert (request.datefrom, request.dateto) == ("2024-03-05 00:00:00", "2024-03-06 00:00:00")


async def test_fractions_of_a_second(provider: Provider, client: BoxisClient) -> None:
    """The start is floored and the end raised to the whole second."""
    tick = timedelta(microseconds=1)
    await client.cdrs(DAY + tick, DAY + HOUR + tick).to_list()
    (request,) = provider.requests
    assert (request.datefrom, request.dateto) == ("2024-03-05 00:00:00", "2024-03-05 01:00:01")


async def test_aware_datetimes_are_converted(provider: Provider, client: BoxisClient) -> None:
    """Aware datetimes are asked for as the provider's wall clock shows them."""
    noon = datetime(2024, 3, 5, 12, tzinfo=UTC)
    await client.cdrs(noon, noon + HOUR).to_list()
    (request,) = provider.requests
    assert (request.datefrom, request.dateto) == ("2024-03-05 13:00:00", "2024-03-05 14:00:00")


async def test_another_zone(make_client: MakeClient) -> None:
    """The zone of the provider's wall clock is a setting: a name or a tzinfo."""
    zone = ZoneInfo("America/New_York")
    for timezone in (zone, "America/New_York"):
        provider = Provider([call("2024-03-05 07:00:00")], timezone="America/New_York")
        client = make_client(provider, timezone=timezone)
        noon = datetime(2024, 3, 5, 12, tzinfo=UTC)
        (cdr,) = await client.cdrs(noon, noon + HOUR).to_list()
        assert cdr.start == noon
        assert cdr.start.utcoffset() == timedelta(hours=-5)


async def test_a_lone_datefrom_runs_to_now(provider: Provider, client: BoxisClient) -> None:
    """Without an end, each run asks up to the moment that it begins at."""
    stream = client.cdrs(DAY)
    with time_machine.travel(datetime(2024, 3, 5, 9, 30, tzinfo=UTC), tick=False):
        assert stream.plan().end == DAY + timedelta(hours=10, minutes=30)
        assert len(await stream.to_list()) == 11
    with time_machine.travel(datetime(2024, 3, 5, 9, 59, 59, 5, tzinfo=UTC), tick=False):
        await stream.again().to_list()
    assert [request.dateto for request in provider.requests] == [
        "2024-03-05 10:30:00",
        "2024-03-05 11:00:00",
    ]
    assert "2024-03-05 00:00:00 to now" in repr(stream)


def test_a_lone_datefrom_in_the_future(client: BoxisClient) -> None:
    """A range that would end before it begins is refused when there is no end to it either."""
    with (
        time_machine.travel(datetime(2024, 3, 5, tzinfo=UTC), tick=False),
        pytest.raises(UsageError, match="lies after dateto"),
    ):
        client.cdrs(NEXT_DAY)


async def test_no_dates_are_one_request(provider: Provider, client: BoxisClient) -> None:
    """Without dates, one request with both left empty asks for everything."""
    provider.add(call("1999-12-31 23:59:59"))
    stream = client.cdrs()
    (batch,) = [batch async for batch in stream.batches()]
    assert batch.window == Window(None, None)
    assert len(batch.cdrs) == 25
    (request,) = provider.requests
    assert (request.parameters["datefrom"], request.parameters["dateto"]) == ("", "")
    assert (stream.stats.windows, stream.stats.covered) == (1, 1.0)
    assert repr(stream) == ("<CDRStream(everything, tenant='VOICE-29001-1', complete, records=25)>")


@pytest.mark.parametrize(
    "url", ["ftp://user:secret@host/", "user:secret@host", "https://u:secret@h"]
)
def test_no_password_of_a_url_is_shown(url: str) -> None:
    """A URL with a user in it is refused, and not shown."""
    with pytest.raises(ConfigurationError, match="no user") as caught:
        BoxisClient("u", "k", base_url=url)
    assert "secret" not in str(caught.value)


async def test_no_end_of_settling(client: BoxisClient) -> None:
    """A time to settle that reaches back before all time seals nothing, and is no error."""
    stream = client.cdrs(DAY, NEXT_DAY, settle=timedelta.max)
    assert len(await stream.to_list()) == 24
    assert stream.coverage.sealed == ()


async def test_texts_are_checked(client: BoxisClient) -> None:
    """A section that is no text, and a tenant that is none, are refused by their names."""
    with pytest.raises(UsageError, match="section must be a str"):
        await client.call(5, "getLineList")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="tenant"):
        client.cdrs(DAY, tenant="")
