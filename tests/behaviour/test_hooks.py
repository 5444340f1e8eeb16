"""Hooks: each request, response, retry and window is reported, as it was, and nothing changes."""

from __future__ import annotations

import asyncio
import gc
import logging
import pickle
import socket
import time
import weakref
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import stamina
from calls import DAY, HOUR, NEXT_DAY, SECOND, call, hourly, ids, ids_of
from waiting import Gate, settled

from boxis_async import (
    AttemptTimeoutError,
    BoxisClient,
    BoxisError,
    ClockError,
    ConfigurationError,
    ConnectionFailedError,
    Hooks,
    MalformedAnswerError,
    RateLimitError,
    RecordError,
    RefusedError,
    RequestEvent,
    ResponseEvent,
    RetryEvent,
    RetryPolicy,
    StatusError,
    TooLargeError,
    Window,
    WindowError,
    WindowEvent,
)
from boxis_async._http import exchange
from boxis_async._wire.messages import Reply
from boxis_async._wire.signing import Key
from boxis_async.testing import FAULT_KINDS, Fault, Provider

if TYPE_CHECKING:
    from conftest import MakeClient

    from boxis_async import CDRStream

WHOLE_DAY = Window(DAY, NEXT_DAY)
HOOKS = ("on_request", "on_response", "on_retry", "on_window")


class Seen:
    """What hooks were called with, in order."""

    def __init__(self) -> None:
        self.events: list[RequestEvent | WindowEvent] = []
        self.hooks = Hooks(**dict.fromkeys(HOOKS, self.events.append))

    @property
    def requests(self) -> list[RequestEvent]:
        return [event for event in self.events if type(event) is RequestEvent]

    @property
    def responses(self) -> list[ResponseEvent]:
        return [event for event in self.events if isinstance(event, ResponseEvent)]

    @property
    def retries(self) -> list[RetryEvent]:
        return [event for event in self.events if isinstance(event, RetryEvent)]

    @property
    def windows(self) -> list[WindowEvent]:
        return [event for event in self.events if isinstance(event, WindowEvent)]

    @property
    def kinds(self) -> list[str]:
        return [type(event).__name__.removesuffix("Event") for event in self.events]


@pytest.fixture
def seen() -> Seen:
    """Be hooks that keep what they are called with."""
    return Seen()


def day(client: BoxisClient, **settings: Any) -> CDRStream:  # noqa: ANN401
    return client.cdrs(DAY, NEXT_DAY, **({"window": 24 * HOUR} | settings))


def of_the_day(attempt: int) -> RequestEvent:
    return RequestEvent(
        section="voice",
        action="getCDR",
        window=WHOLE_DAY,
        attempt=attempt,
        tenant=Provider().tenant,
    )


def request_of(event: RequestEvent) -> RequestEvent:
    """Give the request that an event speaks of."""
    return RequestEvent(
        section=event.section,
        action=event.action,
        window=event.window,
        attempt=event.attempt,
        tenant=event.tenant,
    )


# What they are called with


async def test_success(make_client: MakeClient, seen: Seen) -> None:
    """Of a window that is answered: the request, the response, the window, in that order."""
    provider = Provider(hourly())
    began = time.perf_counter()
    await day(make_client(provider, hooks=seen.hooks)).to_list()
    took = time.perf_counter() - began
    request, response, window = seen.events
    assert request == of_the_day(1)
    assert isinstance(response, ResponseEvent)
    assert request_of(response) == request
    assert (response.status_code, response.records, response.error) == (200, 24, None)
    assert 0 < response.seconds < took
    assert response.size is not None
    assert response.size > 24 * 100
    assert window == WindowEvent(tenant=provider.tenant, window=WHOLE_DAY, records=24, error=None)


async def test_the_size_is_that_of_the_body(make_client: MakeClient, seen: Seen) -> None:
    """The size is counted in bytes of the body, as it is read."""
    body = b'{"result":"1","params":{"cdr":[]}}'
    provider = Provider(faults=[Fault.garbage(body)])
    await day(make_client(provider, hooks=seen.hooks)).to_list()
    assert [(event.size, event.records) for event in seen.responses] == [(len(body), 0)]


async def test_an_http_error(make_client: MakeClient, seen: Seen) -> None:
    """Of one that no retry would help: the response with its status, and the window's error."""
    provider = Provider(faults=lambda _: Fault("status", code=404, body=b"gone"))
    with pytest.raises(WindowError) as caught:
        await day(make_client(provider, hooks=seen.hooks)).to_list()
    assert seen.kinds == ["Request", "Response", "Window"]
    (response,), (window,) = seen.responses, seen.windows
    assert (response.status_code, response.size, response.records) == (404, 4, None)
    assert isinstance(response.error, StatusError)
    assert response.error is caught.value.cause
    assert window == WindowEvent(
        tenant=provider.tenant, window=WHOLE_DAY, records=None, error=caught.value
    )


@pytest.mark.parametrize(
    ("fault", "kind", "status_code"),
    [
        (Fault.status(503), StatusError, 503),
        (Fault.status(429), RateLimitError, 429),
        (Fault.status(429, retry_after=0), RateLimitError, 429),
        (Fault.html(), MalformedAnswerError, 200),
        (Fault.cut(), ConnectionFailedError, None),
        (Fault.disconnect(), ConnectionFailedError, None),
        (Fault.hang(), AttemptTimeoutError, None),
    ],
    ids=lambda value: f"{value.kind}-{value.code}" if isinstance(value, Fault) else "",
)
async def test_retries(
    make_client: MakeClient,
    seen: Seen,
    fault: Fault,
    kind: type[BoxisError],
    status_code: int | None,
) -> None:
    """Of one that is sent again: each attempt with its number, and what is wrong with it."""
    provider = Provider(hourly(), faults=[fault, fault])
    # The third attempt is answered well within it, on a busy machine too.
    patience = 0.5 if fault.kind == "hang" else 30
    stream = day(make_client(provider, hooks=seen.hooks, timeout=patience))
    await stream.to_list()
    assert seen.kinds == [*["Request", "Response", "Retry"] * 2, "Request", "Response", "Window"]
    assert seen.requests == [of_the_day(attempt) for attempt in (1, 2, 3)]
    assert [request_of(event) for event in seen.responses] == seen.requests
    assert [request_of(event) for event in seen.retries] == seen.requests[:2]
    assert [event.status_code for event in seen.responses] == [status_code, status_code, 200]
    for response, retry in zip(seen.responses, seen.retries, strict=False):
        assert type(response.error) is kind
        assert response.error is retry.error
        assert response.records is None
        assert (response.size is None) is (status_code is None)
    assert [event.records for event in seen.windows] == [24]
    assert stream.stats.retries == 2


async def test_the_last_attempt_is_not_sent_again(make_client: MakeClient, seen: Seen) -> None:
    """Of one that fails each time: a retry for each attempt but the last."""
    provider = Provider(faults=lambda _: Fault.status(429))
    stream = day(make_client(provider, hooks=seen.hooks))
    with pytest.raises(WindowError) as caught:
        await stream.to_list()
    assert seen.kinds == [*["Request", "Response", "Retry"] * 2, *["Request", "Response"], "Window"]
    assert [event.attempt for event in seen.retries] == [1, 2]
    assert seen.windows[0].error is caught.value
    assert stream.stats.retries == len(seen.retries)


@pytest.mark.parametrize("allowed", [1, 2, 5])
async def test_as_often_as_stamina_allows(
    make_client: MakeClient, seen: Seen, allowed: int
) -> None:
    """In stamina's test mode, a retry is reported if there is one, whatever the policy allows."""
    provider = Provider(faults=lambda _: Fault.status(429))
    stream = day(make_client(provider, hooks=seen.hooks, retry=RetryPolicy(attempts=3)))
    with stamina.set_testing(True, attempts=allowed), pytest.raises(WindowError):
        await stream.to_list()
    assert len(seen.requests) == allowed == len(provider.requests)
    assert [event.attempt for event in seen.retries] == [*range(1, allowed)]


async def test_a_refused_connection(make_client: MakeClient, seen: Seen) -> None:
    """Of one that never reached anybody: a response without a status."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        client = make_client(Provider(), http_client=None, base_url=url, hooks=seen.hooks)
        with pytest.raises(WindowError):
            await day(client).to_list()
    assert len(seen.responses) == 3
    for event in seen.responses:
        assert (event.status_code, event.size, event.records) == (None, None, None)
        assert isinstance(event.error, ConnectionFailedError)


async def test_halving(make_client: MakeClient, seen: Seen) -> None:
    """Of a window that is too large: its request, those of its halves, and these as windows."""
    provider = Provider(hourly())
    stream = day(make_client(provider, hooks=seen.hooks), row_limit=10)
    await stream.to_list()
    # Each but the first begins a second before the one before it ends.
    starts = [DAY, *(DAY + at * HOUR - SECOND for at in (6, 12, 18))]
    quarters = [Window(starts[at], DAY + (at + 1) * 6 * HOUR) for at in range(4)]
    halves = [Window(DAY, DAY + 12 * HOUR), Window(starts[2], NEXT_DAY)]
    asked = [event.window for event in seen.requests]
    assert asked[0] == WHOLE_DAY
    assert sorted(map(str, asked)) == sorted(map(str, [WHOLE_DAY, *halves, *quarters]))
    failed = [event.window for event in seen.responses if event.error is not None]
    assert sorted(map(str, failed)) == sorted(map(str, [WHOLE_DAY, *halves]))
    assert all(isinstance(event.error, TooLargeError) for event in seen.responses if event.error)
    # Only those ended: the others were cut.
    assert sorted(str(event.window) for event in seen.windows) == [*map(str, quarters)]
    assert [(event.records, event.error) for event in seen.windows] == [(6, None)] * 4
    assert seen.retries == []
    assert stream.stats.splits == 3


async def test_a_window_that_can_be_no_smaller(make_client: MakeClient, seen: Seen) -> None:
    """Of windows that fail for good: the error that the stream gives, for each, and no other."""
    provider = Provider([call(f"{DAY}"), call(f"{DAY}"), call(f"{DAY + HOUR}")])
    client = make_client(provider, hooks=seen.hooks)
    stream = client.cdrs(DAY, DAY + 2 * HOUR, window=HOUR, row_limit=2, on_error="collect")
    assert len(await stream.to_list()) == 1
    failed = [event for event in seen.windows if event.error is not None]
    assert [event.error for event in failed] == [*stream.failures]
    assert [event.window for event in failed] == [stream.failures[0].window]
    assert failed[0].records is None
    # The others are what is left of the range.
    assert sum(event.records or 0 for event in seen.windows) == 2
    lengths = [event.window.length.total_seconds() for event in seen.windows]
    assert sum(lengths) - (len(lengths) - 1) == 7200


async def test_an_outage(make_client: MakeClient, seen: Seen) -> None:
    """Of a window whose smallest part fails alike: requests for both, and one window's error."""
    provider = Provider(faults=lambda _: Fault.status(500))
    with pytest.raises(WindowError) as caught:
        await day(make_client(provider, hooks=seen.hooks)).to_list()
    second = Window(DAY, DAY + 2 * SECOND)
    assert [event.window for event in seen.requests] == [WHOLE_DAY] * 3 + [second] * 3
    assert len(seen.retries) == 4
    assert [(event.window, event.error) for event in seen.windows] == [(WHOLE_DAY, caught.value)]


async def test_a_refusal(make_client: MakeClient, seen: Seen) -> None:
    """Of one that the API refuses: a response with a status, a size and that error."""
    provider = Provider(faults=lambda _: Fault.refuse("no such tenant"))
    with pytest.raises(WindowError):
        await day(make_client(provider, hooks=seen.hooks)).to_list()
    assert seen.kinds == ["Request", "Response", "Window"]
    (response,) = seen.responses
    assert isinstance(response.error, RefusedError)
    assert response.error.text == "Error: no such tenant"
    assert (response.status_code, response.records) == (200, None)
    assert response.size is not None
    assert response.size > 0


async def test_a_bad_record(make_client: MakeClient, seen: Seen) -> None:
    """Of one whose record cannot be read: likewise."""
    provider = Provider([call(f"{DAY}", duration="long")])
    with pytest.raises(WindowError):
        await day(make_client(provider, hooks=seen.hooks)).to_list()
    assert seen.kinds == ["Request", "Response", "Window"]
    assert isinstance(seen.responses[0].error, RecordError)
    assert seen.responses[0].status_code == 200


async def test_a_refused_clock(make_client: MakeClient, seen: Seen) -> None:
    """Of one that is signed anew: that it is sent again, as the same attempt."""
    provider = Provider(hourly(), clock_skew=7200)
    stream = day(make_client(provider, hooks=seen.hooks))
    await stream.to_list()
    assert seen.kinds == ["Request", "Response", "Retry", "Request", "Response", "Window"]
    assert seen.requests == [of_the_day(1)] * 2
    (retry,) = seen.retries
    assert isinstance(retry.error, ClockError)
    assert retry.error is seen.responses[0].error
    assert stream.stats.retries == 1


async def test_a_call(make_client: MakeClient, seen: Seen) -> None:
    """Of another function: its name, no window, and as many records as its content has members."""
    provider = Provider(actions={("voip", "getLineList"): lambda _: {"line1": "a", "line2": "b"}})
    await make_client(provider, hooks=seen.hooks).call("voip", "getLineList")
    request, response = seen.events
    assert request == RequestEvent(section="voip", action="getLineList", window=None, attempt=1)
    assert isinstance(response, ResponseEvent)
    assert request_of(response) == request
    assert (response.status_code, response.records, response.error) == (200, 2, None)


@pytest.mark.parametrize(("retry", "attempts"), [(False, 1), (True, 3)])
async def test_a_call_that_fails(
    make_client: MakeClient, seen: Seen, attempts: int, *, retry: bool
) -> None:
    """Of one that fails: whether it is sent again, and that each time."""
    provider = Provider(faults=lambda _: Fault.status(503))
    client = make_client(provider, hooks=seen.hooks)
    with pytest.raises(StatusError) as caught:
        await client.call("voip", "getLineList", retry=retry)
    assert seen.kinds == [*["Request", "Response", "Retry"] * (attempts - 1), "Request", "Response"]
    assert [event.attempt for event in seen.requests] == [*range(1, attempts + 1)]
    assert {(event.action, event.window) for event in seen.retries} <= {("getLineList", None)}
    assert seen.responses[-1].error is caught.value


async def test_nothing_is_reported_that_was_not_sent(make_client: MakeClient, seen: Seen) -> None:
    """Of what is refused before it is sent, and of a stream without an item, there is nothing."""
    client = make_client(Provider(hourly()), hooks=seen.hooks)
    day(client).plan()
    with pytest.raises(BoxisError):
        await client.call("voip", "getLineList", authcode="x")
    await client.aclose()
    with pytest.raises(BoxisError):
        await client.call("voip", "getLineList")
    assert seen.events == []


@pytest.mark.both_loops
async def test_what_is_given_up(make_client: MakeClient, seen: Seen) -> None:
    """Of a request that is cancelled there is no end: neither a response nor a window."""
    gate = Gate(lambda received: (received.datefrom or "") > f"{DAY}")
    provider = Provider(hourly(), gate=gate)
    client = make_client(provider, hooks=seen.hooks, concurrency=3)
    async with day(client, window=HOUR) as stream:
        await anext(stream)
        await settled(lambda: gate.held == 3)
    await settled(lambda: provider.in_flight == 0)
    assert seen.kinds.count("Request") == 4
    assert [event.window for event in seen.responses] == [Window(DAY, DAY + HOUR)]
    assert [event.window for event in seen.windows] == [Window(DAY, DAY + HOUR)]


@pytest.mark.both_loops
@pytest.mark.parametrize("over_http", [False, True], ids=["in process", "over HTTP"])
async def test_as_many_as_are_counted(
    make_client: MakeClient, seen: Seen, *, over_http: bool
) -> None:
    """Through all kinds of fault, events are as many as the stream counts, and all are there."""
    kinds = [kind for kind in FAULT_KINDS if kind not in {"hang", "refuse"}]
    provider = Provider(hourly(), faults=[Fault(kind) for kind in kinds] * 3, clock_skew=7200)
    patient = RetryPolicy(attempts=30, wait_initial=0, wait_max=0, wait_jitter=0)
    client = make_client(provider, over_http=over_http, retry=patient, hooks=seen.hooks)
    stream = day(client, window=HOUR)
    assert ids(await stream.to_list()) == ids_of(provider.select())
    assert len(seen.requests) == len(seen.responses) == stream.stats.requests
    assert len(seen.requests) == len(provider.requests)
    assert len(seen.retries) == stream.stats.retries > len(kinds)
    assert len([event for event in seen.responses if event.error]) == len(seen.retries)
    assert len(seen.windows) == stream.stats.windows == 24
    assert sum(event.records or 0 for event in seen.windows) == 24


# What they may do


@pytest.mark.parametrize("name", HOOKS)
async def test_an_error_in_a_hook(
    make_client: MakeClient, seen: Seen, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An error in a hook is logged, with its traceback, and the request goes on."""
    caplog.set_level(logging.WARNING)

    def fail(event: object) -> None:
        raise LookupError(f"no counter for {type(event).__name__}")

    hooks = attrs.evolve(seen.hooks, **{name: fail})
    provider = Provider(hourly(), faults=[Fault.status(503)])
    client = make_client(provider, hooks=hooks)
    stream = day(client)
    assert ids(await stream.to_list()) == ids_of(provider.select())
    provider.faults = lambda _: Fault.status(404)
    with pytest.raises(WindowError, match="404"):
        await day(client).to_list()
    with pytest.raises(StatusError):
        await client.call("voip", "getLineList")
    # Each retry is logged too, as a warning.
    assert {record.name for record in caplog.records} == {"boxis_async"}
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    count = {"on_request": 4, "on_response": 4, "on_retry": 1, "on_window": 2}[name]
    assert len(logged) == count
    for record in logged:
        assert record.levelno == logging.ERROR
        assert "a hook failed on " in record.getMessage()
        assert record.exc_info is not None
        assert isinstance(record.exc_info[1], LookupError)
    # The others are called all the same.
    assert len(seen.events) == 11 - count


async def test_a_caller_that_handles_an_error(make_client: MakeClient) -> None:
    """What a hook puts around is left without an error where none was raised within it.

    Also where the caller is in an `except` block: that error is not the request's.
    """
    left: list[tuple[str, BaseException | None]] = []

    @attrs.frozen
    class Around:
        event: object

        def __enter__(self) -> None:
            pass

        def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
            assert (kind, trace) == (error and type(error), error and error.__traceback__)
            left.append((type(self.event).__name__, error))

    hooks = Hooks(around_stream=Around, around_window=Around, around_request=Around)
    provider = Provider(hourly(), actions={("voip", "getLineList"): lambda _: {"line1": {}}})
    client = make_client(provider, hooks=hooks)
    try:
        int("the caller's own")
    except ValueError:
        await client.call("voip", "getLineList")
        await client.probe(around=DAY + 12 * HOUR)
        await day(client).to_list()
        assert {event for event, _ in left} == {"StreamEvent", "WindowEvent", "RequestEvent"}
        assert {error for _, error in left} == {None}
        left.clear()
        with pytest.raises(RefusedError) as caught:
            await client.call("voip", "noSuchFunction")
    assert left == [("RequestEvent", caught.value)]


async def test_one_hook_alone(make_client: MakeClient) -> None:
    """Those that are left out are not called: the others are."""
    found: list[object] = []
    for name in HOOKS:
        provider = Provider(hourly(), faults=[Fault.status(503)])
        client = make_client(provider, hooks=Hooks(**{name: found.append}))
        await day(client).to_list()
    assert [type(event) for event in found] == [
        *[RequestEvent] * 2,
        *[ResponseEvent] * 2,
        RetryEvent,
        WindowEvent,
    ]
    assert Hooks() == Hooks(on_request=None)


async def test_a_hook_runs_on_the_loop(make_client: MakeClient) -> None:
    """A hook is called in a task of the loop, and may start one itself."""
    started: list[asyncio.Task[str]] = []

    def start(_: RequestEvent) -> None:
        started.append(asyncio.get_running_loop().create_task(asyncio.sleep(0, "done")))

    await day(make_client(Provider(hourly()), hooks=Hooks(on_request=start))).to_list()
    assert await asyncio.gather(*started) == ["done"]


@pytest.mark.parametrize("kind", ["html", "garbage", "status", "refuse"])
async def test_events_that_are_kept(
    make_client: MakeClient,
    seen: Seen,
    monkeypatch: pytest.MonkeyPatch,
    kind: Any,  # noqa: ANN401
) -> None:
    """Whoever keeps events keeps the errors, but no answer: these can be of many megabytes."""
    replies: list[weakref.ref[Reply]] = []

    def make(*args: Any) -> Reply:  # noqa: ANN401
        reply = Reply(*args)
        replies.append(weakref.ref(reply))
        return reply

    monkeypatch.setattr(exchange, "Reply", make)
    provider = Provider(hourly(), faults=[Fault(kind), Fault(kind)])
    client = make_client(provider, hooks=seen.hooks)
    await day(client, on_error="collect").to_list()
    provider.faults = lambda _: Fault(kind)
    with pytest.raises(BoxisError) as caught:
        await client.call("voip", "getLineList", retry=True)
    assert len([event for event in seen.responses if event.error]) == len(replies) - (
        kind != "refuse"
    )
    # From Python 3.12 on, the frames of an attempt are in a cycle until they are collected.
    gc.collect()
    assert [reply for reply in replies if reply() is not None] == []
    assert caught.value.__traceback__ is not None


# What they are


async def test_events_are_frozen(make_client: MakeClient, seen: Seen) -> None:
    """An event is a value: it cannot be changed, and what it says can be compared and copied."""
    provider = Provider(hourly(), faults=[Fault.status(503)])
    await day(make_client(provider, hooks=seen.hooks)).to_list()
    assert {*seen.kinds} == {"Request", "Response", "Retry", "Window"}
    for event in seen.events:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            event.window = None  # type: ignore[misc,assignment]
        again = pickle.loads(pickle.dumps(event))
        assert str(again) == str(event)
        assert type(event).__module__ == "boxis_async"


@pytest.mark.parametrize("hooks", [3, "print", print, {"on_request": print}, [print]])
def test_what_are_no_hooks(hooks: object) -> None:
    """Anything else is refused when the client is made."""
    with pytest.raises(ConfigurationError, match="hooks must be Hooks") as caught:
        BoxisClient("u", "k", hooks=hooks)  # type: ignore[arg-type]
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("kind", [*FAULT_KINDS, "record", "clock", None])
async def test_no_secret_in_any_event(
    make_client: MakeClient,
    seen: Seen,
    kind: Any,  # noqa: ANN401
) -> None:
    """Whatever becomes of a request, no event shows the key or an authcode, nor does its pickle."""
    provider = Provider(hourly(), api_key="BX3KwWU2SuqvoEWnjYmOibf")
    if kind == "record":
        provider = Provider([call(f"{DAY}", duration="long")], api_key=provider.api_key)
    elif kind == "clock":
        provider.clock_skew, provider.clock_tolerance = 7200, -1
    elif kind is not None:
        provider.faults = lambda _: Fault(kind)
    client = make_client(provider, hooks=seen.hooks, timeout=0.1, over_http=True)
    with pytest.MonkeyPatch.context() as patched:
        codes: list[str] = []
        authcode = Key.authcode
        patched.setattr(
            Key,
            "authcode",
            lambda key, timestamp: codes.append(authcode(key, timestamp)) or codes[-1],
        )
        await asyncio.gather(
            day(client).to_list(),
            client.call("voice", "getCDR", tenant=provider.tenant, retry=True),
            return_exceptions=True,
        )
    assert len(codes) >= len(seen.requests) >= 2
    shown = "".join(f"{event!r}{event}{attrs.asdict(event)}" for event in seen.events)
    pickled = b"".join(map(pickle.dumps, seen.events))
    for secret in (provider.api_key, *codes):
        assert secret not in shown
        assert secret.encode() not in pickled
