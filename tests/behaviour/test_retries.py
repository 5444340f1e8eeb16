"""Retries as a stream makes them: what is sent again, how signed, after how long, how often."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import httpx
import pytest
import stamina
import time_machine
from calls import DAY, HOUR, NEXT_DAY, SECOND, hourly, ids, ids_of
from provider_page import form_of
from stamina.instrumentation import RetryDetails, get_on_retry_hooks, set_on_retry_hooks
from transports import Recording
from waiting import settled

from boxis_async import (
    AttemptTimeoutError,
    AuthenticationError,
    BoxisError,
    RefusedError,
    RetryPolicy,
    StatusError,
    Window,
    WindowError,
)
from boxis_async.testing import FAULT_KINDS, Fault, InProcessTransport, Provider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import MakeClient

    from boxis_async import BoxisClient, CDRStream
    from boxis_async.testing import Received

PASSING = [
    *(Fault.status(status) for status in (408, 425, 429, 500, 502, 503, 504, 599)),
    Fault.status(429, retry_after=0),
    Fault.status(503, retry_after="Tue, 05 Mar 2024 12:00:00 GMT"),
    *(Fault(kind) for kind in FAULT_KINDS if kind not in ("refuse", "status", "hang")),
    Fault.cut(after=0),
    Fault.garbage(b'{"result":"1","params":{"cdr":{"call_1":{"sta'),
]
"""What may pass by itself."""

NEVER = 3600.0
"""A wait that no test lives to see the end of."""


def name(fault: Fault) -> str:
    return f"{fault.kind}-{fault.code}" if fault.kind == "status" else fault.kind


@pytest.fixture
def waits() -> Iterator[list[RetryDetails]]:
    """List what stamina tells of each retry that it schedules."""
    found: list[RetryDetails] = []
    before = get_on_retry_hooks()
    set_on_retry_hooks([found.append])
    yield found
    set_on_retry_hooks(before)


@pytest.fixture(autouse=True)
def _stamina_as_it_was() -> Iterator[None]:
    yield
    stamina.set_testing(False)
    stamina.set_active(True)


def day(client: BoxisClient) -> CDRStream:
    """Ask for the day in one window."""
    return client.cdrs(DAY, NEXT_DAY, window=24 * HOUR)


# What is sent again


@pytest.mark.parametrize("fault", PASSING, ids=name)
async def test_what_may_pass_is_sent_again_freshly_signed(
    make_client: MakeClient, fault: Fault
) -> None:
    """After a fault the same is asked again, signed with the time that it is by then."""
    provider = Provider(hourly())
    recording = Recording(provider)
    async with httpx.AsyncClient(transport=recording) as http_client:
        client = make_client(provider, http_client=http_client)
        with time_machine.travel(datetime(2024, 3, 7, tzinfo=UTC), tick=False) as traveller:

            def faults(received: Received) -> Fault | None:
                traveller.shift(7)
                return fault if received.number < 3 else None

            provider.faults = faults
            stream = day(client)
            assert ids(await stream.to_list()) == ids_of(provider.select())
    forms = [form_of(request) for request in recording.requests]
    assert stream.stats.requests == len(forms) == 3
    assert stream.stats.retries == 2
    assert provider.refusals == []
    stamps = [int(form["timestamp"]) for form in forms]
    assert stamps == [stamps[0], stamps[0] + 7, stamps[0] + 14]
    for form in forms:
        signed = hashlib.md5(f"{form['timestamp']}stand-in-key".encode()).hexdigest()
        assert form["authcode"] == signed
    assert len({form["authcode"] for form in forms}) == 3
    same = [
        {key: value for key, value in form.items() if key not in ("timestamp", "authcode")}
        for form in forms
    ]
    assert same[0] == same[1] == same[2]


async def test_a_hanging_answer_is_asked_for_again(make_client: MakeClient) -> None:
    """An answer that does not come within the time-out is asked for once more."""
    provider = Provider(hourly(), faults=[Fault.hang()])
    stream = day(make_client(provider, timeout=0.5))
    assert len(await stream.to_list()) == 24
    assert stream.stats.retries == 1


@pytest.mark.parametrize("fault", PASSING, ids=name)
async def test_every_fault_over_http(make_client: MakeClient, fault: Fault) -> None:
    """Over real connections as well, each fault is passed by."""
    provider = Provider(hourly(), faults=[fault, fault])
    stream = make_client(provider, over_http=True).cdrs(DAY, NEXT_DAY, window=6 * HOUR)
    assert ids(await stream.to_list()) == ids_of(provider.select())
    assert stream.stats.retries == 2


async def test_a_refused_connection_is_tried_again(make_client: MakeClient) -> None:
    """A connection that cannot be made is tried as often as anything else."""
    provider = Provider(hourly())
    tried = 0

    class Refusing(InProcessTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal tried
            tried += 1
            if tried < 3:
                raise httpx.ConnectError("nobody listens")
            return await super().handle_async_request(request)

    async with httpx.AsyncClient(transport=Refusing(provider)) as http_client:
        stream = day(make_client(provider, http_client=http_client))
        assert len(await stream.to_list()) == 24
    assert tried == 3


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (Fault.refuse("unknown tenant"), RefusedError),
        (Fault.refuse("wrong authcode"), AuthenticationError),
        (Fault.refuse(""), RefusedError),
        *((Fault.status(status), StatusError) for status in (301, 400, 401, 403, 404, 410)),
        (
            Fault("status", code=403, body=b'{"result":"0","resulttxt":"Error: no credentials"}'),
            AuthenticationError,
        ),
    ],
    ids=lambda value: f"{value.kind}-{value.code}" if isinstance(value, Fault) else "",
)
async def test_what_is_no_use_fails_at_once(
    make_client: MakeClient, waits: list[RetryDetails], fault: Fault, cause: type[BoxisError]
) -> None:
    """A refusal, a client error, a redirect: one attempt, no wait."""
    provider = Provider(hourly(), faults=lambda _: fault)
    client = make_client(provider, retry=RetryPolicy())
    stream = day(client)
    with pytest.raises(WindowError) as caught:
        await stream.to_list()
    assert type(caught.value.cause) is cause
    assert caught.value.attempts == len(provider.requests) == 1
    assert waits == []


async def test_wrong_credentials_fail_at_once(make_client: MakeClient) -> None:
    """A wrong key, and an unknown tenant, are told by the first answer."""
    provider = Provider(hourly())
    client = make_client(provider, retry=RetryPolicy())
    with pytest.raises(WindowError, match="unknown tenant"):
        await client.cdrs(DAY, NEXT_DAY, tenant="VOICE-0-0").to_list()
    provider.api_key = "another"
    with pytest.raises(WindowError, match="authcode") as caught:
        await day(client).to_list()
    assert isinstance(caught.value.cause, AuthenticationError)
    assert len(provider.requests) == 2


# How often


async def test_six_attempts_by_default(make_client: MakeClient) -> None:
    """By default a window is asked for six times."""
    # Capped at what the policy says, and without the waits.
    stamina.set_testing(True, attempts=100, cap=True)
    provider = Provider(hourly(), faults=lambda _: Fault.status(429))
    stream = day(make_client(provider, retry=None))
    with pytest.raises(WindowError, match="6 attempts") as caught:
        await stream.to_list()
    assert caught.value.attempts == len(provider.requests) == 6
    assert stream.stats.retries == 5


@pytest.mark.parametrize("attempts", [1, 2, 9])
async def test_attempts_are_a_setting(make_client: MakeClient, attempts: int) -> None:
    """The policy says how often, for each window on its own."""
    provider = Provider(hourly(), faults=lambda _: Fault.status(429))
    policy = RetryPolicy(attempts=attempts, wait_initial=0, wait_max=0, wait_jitter=0)
    stream = make_client(provider, retry=policy).cdrs(
        DAY, NEXT_DAY, window=6 * HOUR, on_error="collect"
    )
    assert await stream.to_list() == []
    assert [error.attempts for error in stream.failures] == [attempts] * 4
    asked = Counter(received.datefrom for received in provider.requests)
    assert set(asked.values()) == {attempts}


async def test_calls_follow_the_policy_when_asked_to(make_client: MakeClient) -> None:
    """Another function is sent again only with `retry=True`, as often as the policy says."""
    provider = Provider(actions={("voip", "getLineList"): lambda _: {"line1": "x"}})
    provider.faults = lambda _: Fault.status(503)
    client = make_client(provider)
    for retry, requests in ((False, 1), (True, 3)):
        provider.reset()
        with pytest.raises(StatusError):
            await client.call("voip", "getLineList", retry=retry)
        assert len(provider.requests) == requests


# After how long


async def test_backoff(make_client: MakeClient, waits: list[RetryDetails]) -> None:
    """Waits double up to the longest, each with up to the jitter on top, within the longest."""
    provider = Provider(hourly(), faults=lambda _: Fault.cut())
    policy = RetryPolicy(attempts=8, wait_initial=0.001, wait_max=0.02, wait_jitter=0.002)
    stream = make_client(provider, retry=policy).cdrs(
        DAY, NEXT_DAY, window=HOUR, on_error="collect"
    )
    assert await stream.to_list() == []
    assert len(stream.failures) == 24
    # Each window, and its smallest part.
    assert len(waits) == 24 * 2 * 7
    for wait in waits:
        least = min(0.02, 0.001 * 2 ** (wait.retry_num - 1))
        # It is what is left of a sum: a little off, as such are.
        assert least - 1e-9 <= wait.wait_for <= min(0.02, least + 0.002) + 1e-9
    of_first = [wait.wait_for for wait in waits if wait.retry_num == 1]
    assert len(set(of_first)) > 1, "no jitter"


def test_the_default_waits() -> None:
    """By default five retries wait a quarter of a minute or so in all, and never half a minute."""
    policy = RetryPolicy()
    waits = [policy.wait_initial * 2**number for number in range(policy.attempts - 1)]
    assert waits == [0.5, 1, 2, 4, 8]
    assert sum(waits) + 5 * policy.wait_jitter < 30
    assert policy.wait_max == 30
    assert policy.timeout == 600


@pytest.mark.parametrize(
    ("told", "wait"),
    [("0.01", 0.01), (0, 0.0), ("3600", 0.02), ("soon", 0.005), ("-1", 0.0)],
)
async def test_retry_after(
    make_client: MakeClient, waits: list[RetryDetails], told: float | str, wait: float
) -> None:
    """What `Retry-After` asks for is waited, at most `wait_max`; nonsense is as if unsaid."""
    provider = Provider(hourly(), faults=[Fault.status(503, retry_after=told)])
    policy = RetryPolicy(wait_initial=0.005, wait_max=0.02, wait_jitter=0)
    assert len(await day(make_client(provider, retry=policy)).to_list()) == 24
    assert [details.wait_for for details in waits] == [wait]


async def test_retry_after_a_date(make_client: MakeClient, waits: list[RetryDetails]) -> None:
    """A date is waited for, and no longer than `wait_max`."""
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    earlier = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    provider = Provider(
        hourly(), faults=[Fault.status(429, retry_after=told) for told in (later, earlier)]
    )
    policy = RetryPolicy(wait_initial=5, wait_max=0.02, wait_jitter=0)
    assert len(await day(make_client(provider, retry=policy)).to_list()) == 24
    assert [details.wait_for for details in waits] == [0.02, 0.0]


# The whole client


@pytest.mark.both_loops
@pytest.mark.parametrize(
    "fault",
    [
        Fault.status(429, retry_after=NEVER),
        Fault.status(503, retry_after=NEVER),
        Fault.status(429),
    ],
    ids=["429", "503", "429 without a time"],
)
async def test_a_server_that_asks_to_wait_holds_all(make_client: MakeClient, fault: Fault) -> None:
    """After a 429, or a `Retry-After`, no stream of the client sends anything."""
    provider = Provider(hourly(), faults=[fault])
    policy = RetryPolicy(wait_initial=NEVER, wait_max=NEVER, wait_jitter=0)
    client = make_client(provider, retry=policy)
    first = asyncio.create_task(day(client).to_list())
    await settled(lambda: len(provider.requests) == 1 and provider.in_flight == 0)
    others = [
        asyncio.create_task(client.cdrs(DAY, NEXT_DAY, window=HOUR).to_list()) for _ in range(3)
    ]
    calls = asyncio.create_task(client.call("voip", "getLineList"))
    await settled(lambda: len(provider.requests) == 1)
    for task in (first, *others, calls):
        assert not task.done()
        task.cancel()
    await asyncio.gather(first, *others, calls, return_exceptions=True)
    assert len(provider.requests) == 1


@pytest.mark.both_loops
@pytest.mark.parametrize(
    "fault", [Fault.status(503), Fault.cut(), Fault.html(), Fault.empty()], ids=name
)
async def test_other_faults_hold_only_their_window(make_client: MakeClient, fault: Fault) -> None:
    """While one window waits for its next attempt, the others go on."""
    provider = Provider(
        hourly(), faults=lambda got: fault if got.datefrom == f"{DAY + 5 * HOUR - SECOND}" else None
    )
    policy = RetryPolicy(wait_initial=NEVER, wait_max=NEVER, wait_jitter=0)
    client = make_client(provider, retry=policy, concurrency=1)
    async with client.cdrs(DAY, NEXT_DAY, window=HOUR, order="completion") as stream:
        # The worker of the window that waits is one of one: another stream's goes on.
        for _ in range(5):
            await anext(stream)
        await settled(lambda: len(provider.requests) == 6 and provider.in_flight == 0)
        assert len(await client.cdrs(DAY + 12 * HOUR, NEXT_DAY, window=HOUR).to_list()) == 12


async def test_the_pause_ends(make_client: MakeClient) -> None:
    """When the pause is over, all go on, and none before."""
    provider = Provider(hourly(), faults=[Fault.status(429, retry_after="0.15")])
    client = make_client(provider, retry=RetryPolicy(wait_initial=0, wait_jitter=0))
    first = asyncio.create_task(day(client).to_list())
    await settled(lambda: len(provider.requests) == 1 and provider.in_flight == 0)
    second = client.cdrs(DAY, NEXT_DAY, window=6 * HOUR)
    assert len(await second.to_list()) == len(await first) == 24
    asked, *later = provider.requests
    assert len(later) == 5
    assert all(received.arrived - asked.arrived >= 0.15 for received in later)


async def test_the_pause_is_capped(make_client: MakeClient) -> None:
    """However long the provider asks to wait, the client waits no longer than `wait_max`."""
    provider = Provider(hourly(), faults=[Fault.status(429, retry_after="999999")] * 3)
    policy = RetryPolicy(wait_initial=0, wait_max=0.02, wait_jitter=0)
    client = make_client(provider, retry=policy)
    assert len(await client.cdrs(DAY, NEXT_DAY, window=HOUR).to_list()) == 24


# The limit on a window


async def test_the_time_of_a_window_is_limited(make_client: MakeClient) -> None:
    """However many attempts there are, a window has only so much time."""
    provider = Provider(hourly(), faults=lambda _: Fault.status(429, retry_after=0))
    policy = RetryPolicy(attempts=10**9, timeout=0.2, wait_initial=0, wait_max=0, wait_jitter=0)
    stream = day(make_client(provider, retry=policy))
    with pytest.raises(WindowError) as caught:
        await stream.to_list()
    assert isinstance(caught.value.cause, (StatusError, AttemptTimeoutError))
    assert caught.value.window == Window(DAY, NEXT_DAY)
    # The time may be up while the last attempt is on its way: then the provider never sees it.
    assert 1 < caught.value.attempts <= len(provider.requests) + 1


async def test_the_time_limit_cuts_an_attempt_short(make_client: MakeClient) -> None:
    """An attempt ends with its window's time, whatever its own time-out says."""
    provider = Provider(hourly(), faults=lambda _: Fault.hang())
    policy = RetryPolicy(timeout=0.3, wait_initial=0, wait_jitter=0)
    stream = day(make_client(provider, retry=policy, timeout=NEVER))
    with pytest.raises(WindowError) as caught:
        await stream.to_list()
    assert isinstance(caught.value.cause, AttemptTimeoutError)
    assert len(provider.requests) == 1


async def test_the_time_limit_counts_over_halves(make_client: MakeClient) -> None:
    """All the halves of a window share its time, so that halving ends too."""

    def faults(received: Received) -> Fault | None:
        start, end = received.datefrom or "", received.dateto or ""
        length = datetime.fromisoformat(end) - datetime.fromisoformat(start)
        return Fault.out_of_memory() if length > timedelta(seconds=2) else None

    provider = Provider(hourly(), faults=faults)
    policy = RetryPolicy(attempts=2, timeout=0.5, wait_initial=0, wait_max=0, wait_jitter=0)
    client = make_client(provider, retry=policy)
    # Eighty thousand halves would take minutes.
    stream = day(client)
    with pytest.raises(WindowError):
        await stream.to_list()
    assert stream.stats.splits > 0
    (error,) = stream.failures
    assert error.window is not None
    assert error.window.length < 24 * HOUR


async def test_other_windows_have_their_own_time(make_client: MakeClient) -> None:
    """A window that used up its time takes none from the others."""
    provider = Provider(
        hourly(), faults=lambda got: Fault.hang() if got.datefrom == f"{DAY}" else None
    )
    policy = RetryPolicy(attempts=2, timeout=0.5, wait_initial=0, wait_jitter=0)
    client = make_client(provider, retry=policy, timeout=NEVER, concurrency=1)
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR, on_error="collect")
    assert len(await stream.to_list()) == 23
    (error,) = stream.failures
    assert error.window == Window(DAY, DAY + HOUR)


# Stamina's own switches


async def test_testing_mode_waits_for_nothing(make_client: MakeClient) -> None:
    """In stamina's test mode there are as many attempts as it says, and no wait or pause."""
    stamina.set_testing(True, attempts=3)
    faults = [Fault.status(429, retry_after=NEVER), Fault.cut()]
    provider = Provider(hourly(), faults=faults)
    client = make_client(provider, retry=RetryPolicy(wait_initial=NEVER, wait_max=NEVER))
    stream = day(client)
    assert len(await stream.to_list()) == 24
    assert stream.stats.retries == 2


async def test_testing_mode_tries_once(make_client: MakeClient) -> None:
    """Test mode's own default is one attempt."""
    stamina.set_testing(True)
    provider = Provider(hourly(), faults=[Fault.status(429)])
    with pytest.raises(WindowError, match="1 attempt:"):
        await day(make_client(provider, retry=RetryPolicy())).to_list()
    assert len(provider.requests) == 1


async def test_inactive_stamina_tries_once(make_client: MakeClient) -> None:
    """With stamina switched off, nothing is sent again; all else works."""
    stamina.set_active(False)
    provider = Provider(hourly(), faults=[None, Fault.status(429, retry_after=0)])
    client = make_client(provider, retry=RetryPolicy(), concurrency=1)
    stream = client.cdrs(DAY, NEXT_DAY, window=12 * HOUR)
    with pytest.raises(WindowError, match="1 attempt:"):
        await stream.to_list()
    assert len(provider.requests) == 2
    assert ids(await stream.again().to_list()) == ids_of(provider.select())
