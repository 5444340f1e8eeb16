"""What is logged and shown: enough to follow each request, and nothing that opens a door."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import pickle
import re
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from calls import DAY, HOUR, NEXT_DAY, call, hourly
from provider_page import KEY
from rich.traceback import Traceback
from transports import answering

from boxis_async import (
    AuthenticationError,
    BoxisClient,
    BoxisError,
    ClockError,
    ConfigurationError,
    RecordError,
    RefusedError,
    RetryPolicy,
    StreamClosedError,
    WindowError,
)
from boxis_async.testing import FAULT_KINDS, Fault, Provider

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    from conftest import MakeClient

    from boxis_async.testing import FaultKind

CALLER = "0041445550123"

_HEX = re.compile(r"[0-9a-f]{32}")


@pytest.fixture
def secretive() -> Provider:
    """Be a provider whose key is easy to find again."""
    return Provider(hourly(), api_key=KEY)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Give all that every library logs, arguments and tracebacks included, as one text."""
    caplog.set_level(logging.DEBUG)
    for name in ("boxis_async", "httpx", "httpcore", "stamina"):
        caplog.set_level(logging.DEBUG, name)

    def text() -> str:
        formatter = logging.Formatter("%(name)s %(levelname)s %(message)s")
        return "\n".join(f"{formatter.format(r)} {vars(r)!r}" for r in caplog.records)

    return text


def authcodes(provider: Provider) -> set[str]:
    """Work out every authcode that the provider was sent."""
    stamps = {request.parameters["timestamp"] for request in provider.requests}
    return {hashlib.md5(f"{stamp}{KEY}".encode()).hexdigest() for stamp in stamps}


def test_the_look_at_locals_would_find_a_key() -> None:
    """The check itself is able to fail: what stands in a frame of another file is seen."""
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads(f"not JSON: {KEY}")
    assert KEY in with_locals(caught.value)


def holds_no_secret(text: str, provider: Provider) -> bool:
    return KEY not in text and not any(code in text for code in authcodes(provider))


def shown(error: BaseException) -> str:
    """Show an error in each way that an error can be shown, but with its frames' locals."""
    console = io.StringIO()
    traceback.print_exception(error, file=console)
    chain: list[str] = []
    at: BaseException | None = error
    while at is not None:
        chain += [str(at), repr(at), repr(at.args), repr(vars(at))]
        at = at.__cause__ or at.__context__
    return "\n".join([console.getvalue(), *chain])


def with_locals(error: BaseException) -> str:
    """Show an error with what rich reads of each frame: all locals, but those of this file's own.

    Not printed, which lays out and colours the code around each line, for a third of a second.
    """
    trace = Traceback.extract(
        type(error),
        error,
        error.__traceback__,
        show_locals=True,
        locals_max_length=None,  # type: ignore[arg-type]
        locals_max_string=None,  # type: ignore[arg-type]
    )
    return "\n".join(
        f"{name} = {value}"
        for stack in trace.stacks
        for frame in stack.frames
        if frame.filename != __file__
        for name, value in (frame.locals or {}).items()
    )


def patience(kind: FaultKind) -> float:
    """Give a time-out: short for what never comes, long for what is only slow to come."""
    return 0.05 if kind == "hang" else 10


# Logging


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "boxis_async"]


async def test_each_request_is_told(
    make_client: MakeClient, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    """A debug line for each answer tells window, attempt, status, bytes, records, milliseconds."""
    caplog.set_level(logging.DEBUG, "boxis_async")
    await make_client(provider).cdrs(DAY, NEXT_DAY, window=12 * HOUR).to_list()
    told = messages(caplog)
    assert len(told) == 2
    for message, window in zip(
        told,
        (
            "2024-03-05 00:00:00 to 2024-03-05 12:00:00",
            "2024-03-05 11:59:59 to 2024-03-06 00:00:00",
        ),
        strict=True,
    ):
        assert re.fullmatch(
            rf"window {window}, attempt 1: status 200, [1-9]\d+ bytes, 12 records, \d+ ms", message
        )
    assert {record.levelname for record in caplog.records if record.name == "boxis_async"} == {
        "DEBUG"
    }


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (
            Fault.status(503),
            (r"status 503, \d+ bytes, \d+ ms: HTTP status 503", "HTTP status 503"),
        ),
        (
            Fault.html(),
            (r"status 200, \d+ bytes, \d+ ms: the answer is not JSON", "MalformedAnswerError"),
        ),
        (
            Fault.empty(),
            (r"status 200, 0 bytes, \d+ ms: the answer is empty", "MalformedAnswerError"),
        ),
        (Fault.cut(), (r"the connection failed: .*, \d+ ms", "ConnectionFailedError")),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
async def test_each_attempt_is_told(
    make_client: MakeClient,
    provider: Provider,
    caplog: pytest.LogCaptureFixture,
    fault: Fault,
    expected: tuple[str, str],
) -> None:
    """An attempt that failed is logged with its reason, that it is retried, and the next one."""
    caplog.set_level(logging.DEBUG, "boxis_async")
    provider.faults = lambda received: fault if received.number == 1 else None
    await make_client(provider).cdrs(DAY, NEXT_DAY).to_list()
    first, retry, second = [m for m in messages(caplog) if m.startswith("window")]
    window = "window 2024-03-05 00:00:00 to 2024-03-06 00:00:00"
    assert re.match(f"{window}, attempt 1: {expected[0]}", first)
    assert retry == f"{window}, attempt 1 failed, again in 0 s: {expected[1]}"
    assert second.startswith(f"{window}, attempt 2: status 200, ")


async def test_a_call_is_told_by_its_name(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A single call is told by section and action, without its parameters."""
    caplog.set_level(logging.DEBUG, "boxis_async")
    provider = Provider(actions={("sms", "sendSMS"): lambda _: {"sent": "1"}})
    await make_client(provider).call("sms", "sendSMS", number=CALLER, text="private")
    (told,) = messages(caplog)
    assert re.fullmatch(r"sms/sendSMS, attempt 1: status 200, \d+ bytes, 1 records, \d+ ms", told)


async def test_nothing_is_printed(
    make_client: MakeClient, provider: Provider, capfd: pytest.CaptureFixture[str]
) -> None:
    """The library prints nothing."""
    await make_client(provider).cdrs(DAY, NEXT_DAY).to_list()
    assert capfd.readouterr() == ("", "")


async def test_no_telephone_number_above_debug(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong with calls and answers, no telephone number is logged above debug."""
    caplog.set_level(logging.DEBUG)
    leg = call(f"{DAY}", "a-1.1", src=CALLER, dst=CALLER)
    rows = [leg, {**leg, "sequence": "2"}, {**leg, "cc_cost": "1"}]
    provider = Provider(rows, clock_skew=7200, bom=True, notice=f"Notice: {CALLER}\n")
    client = make_client(provider)
    stream = client.cdrs(DAY, NEXT_DAY)
    assert len(await stream.to_list()) == 1
    assert (stream.stats.conflicts, stream.stats.revisions) == (1, 1)
    provider.faults = lambda _: Fault.garbage(f'{{"result": "1", "src": "{CALLER}"'.encode())
    with pytest.raises(WindowError):
        await stream.again().to_list()
    provider.faults = lambda _: Fault.refuse(f"no such number: {CALLER}")
    with pytest.raises(WindowError):
        await stream.again().to_list()
    provider.faults = lambda _: Fault(
        "status", code=503, body=f'{{"result":"0","resulttxt":"no such: {CALLER}"}}'.encode()
    )
    with pytest.raises(WindowError, match=CALLER):
        await stream.again().to_list()
    # By whichever library; each retry is among it, with the kind of its cause.
    above = "\n".join(f"{vars(r)}" for r in caplog.records if r.levelno > logging.DEBUG)
    assert "attempt 1 failed, again in" in above
    assert "the clock is set" in above
    assert "share a uniqueid" in above
    assert CALLER not in above
    assert "5550123" not in above


@pytest.mark.parametrize(
    "row",
    [
        call(f"{DAY}", sequence=f"{CALLER} is no number"),
        call(f"{DAY}", end=CALLER),
        call(f"{DAY}", cc_cost=f"{CALLER}x"),
    ],
    ids=["sequence", "end", "cost"],
)
async def test_a_record_that_cannot_be_read_is_not_logged(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture, row: dict[str, str | None]
) -> None:
    """A value that cannot be read is in the error, for who asked, and in no log above debug."""
    caplog.set_level(logging.DEBUG)
    client = make_client(Provider([row]))
    with pytest.raises(WindowError) as caught:
        await client.cdrs(DAY, NEXT_DAY).to_list()
    assert isinstance(caught.value.cause, RecordError)
    assert CALLER in str(caught.value.cause)
    assert not [r for r in caplog.records if r.levelno > logging.DEBUG and CALLER in str(vars(r))]


# Secrets


@pytest.mark.both_loops
async def test_no_secret_in_any_log(
    make_client: MakeClient, secretive: Provider, log: Callable[[], str]
) -> None:
    """Neither the key nor an authcode is logged, by us or by httpx, through all kinds of fault."""
    secretive.clock_skew = 7200
    kinds = [kind for kind in FAULT_KINDS if kind not in {"hang", "refuse"}]
    secretive.faults = [Fault(kind) for kind in kinds]
    patient = RetryPolicy(attempts=20, wait_initial=0, wait_max=0, wait_jitter=0)
    client = make_client(secretive, over_http=True, retry=patient)
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    assert len(await stream.to_list()) == 24
    for fault in (Fault.refuse("no"), Fault.hang()):
        secretive.faults = lambda _, fault=fault: fault
        client = make_client(secretive, over_http=True, timeout=patience(fault.kind))
        with pytest.raises(WindowError):
            await client.cdrs(DAY, NEXT_DAY).to_list()
    secretive.faults = []
    # Lent a client of httpx, which logs too.
    await make_client(secretive).cdrs(DAY, NEXT_DAY).to_list()
    text = log()
    assert "httpcore" in text
    assert "httpx" in text
    assert "boxis_async" in text
    assert len(authcodes(secretive)) >= 1
    assert holds_no_secret(text, secretive)
    assert "authcode" not in text
    # Digests of another kind are none of the log's business either.
    assert not _HEX.search(re.sub(r"0x[0-9a-f]+", "", text))


@pytest.mark.parametrize("kind", FAULT_KINDS)
@pytest.mark.parametrize("returntype", ["json", "xml"])
async def test_no_secret_in_the_error_of_a_window(
    make_client: MakeClient,
    secretive: Provider,
    kind: FaultKind,
    returntype: str,
) -> None:
    """However a window fails, its error shows no secret: text, repr, pickle, traceback, locals."""
    secretive.faults = lambda _: Fault(kind)
    client = make_client(secretive, over_http=True, timeout=patience(kind), returntype=returntype)
    with pytest.raises(WindowError) as caught:
        await client.cdrs(DAY, NEXT_DAY).to_list()
    error = caught.value
    assert holds_no_secret(shown(error), secretive)
    assert KEY not in with_locals(error)
    pickled = pickle.dumps(error)
    assert KEY.encode() not in pickled
    assert not any(code.encode() in pickled for code in authcodes(secretive))
    again = pickle.loads(pickled)
    assert str(again) == str(error)
    assert (again.window, again.tenant, again.attempts) == (
        error.window,
        error.tenant,
        error.attempts,
    )
    assert type(again.cause) is type(error.cause)
    assert str(again.cause) == str(error.cause)


@pytest.mark.parametrize("kind", FAULT_KINDS)
async def test_no_secret_in_the_error_of_a_call(
    make_client: MakeClient, secretive: Provider, kind: FaultKind
) -> None:
    """Nor does the error of a single call."""
    secretive.faults = lambda _: Fault(kind)
    client = make_client(secretive, over_http=True, timeout=patience(kind))
    with pytest.raises(BoxisError) as caught:
        await client.call("voice", "getCDR", tenant=secretive.tenant)
    assert holds_no_secret(shown(caught.value), secretive)
    assert KEY not in with_locals(caught.value)
    assert KEY.encode() not in pickle.dumps(caught.value)


async def test_no_secret_in_errors_about_secrets(
    make_client: MakeClient, secretive: Provider
) -> None:
    """Errors about the signature, the clock and the parameters show none of it."""
    errors: list[BoxisError] = []
    http_client = secretive.client()
    async with BoxisClient("else@example.com", KEY, tenant="t", http_client=http_client) as wrong:
        with pytest.raises(AuthenticationError) as refused:
            await wrong.call("voip", "getLineList")
        errors.append(refused.value)
    client = make_client(secretive)
    for parameters in ({"authcode": "x"}, {"line": object()}, {"line": "\ud800"}):
        with pytest.raises(BoxisError) as caught:
            await client.call("voip", "getLineList", **parameters)
        errors.append(caught.value)
    secretive.clock_tolerance = -1
    with pytest.raises(ClockError) as clock:
        await client.call("voip", "getLineList")
    errors.append(clock.value)
    await http_client.aclose()
    for error in errors:
        assert holds_no_secret(shown(error) + with_locals(error), secretive)
        assert KEY.encode() not in pickle.dumps(error)


async def test_no_secret_in_a_broken_transport(
    make_client: MakeClient, secretive: Provider
) -> None:
    """An error of a lent client that nobody foresaw shows no key either."""

    def answer(request: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError(str(request.url))

    async with answering(answer) as http_client:
        client = make_client(secretive, http_client=http_client)
        with pytest.raises(WindowError) as caught:
            await client.cdrs(DAY, NEXT_DAY).to_list()
    assert KEY not in shown(caught.value) + with_locals(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"concurrency": 0},
        {"base_url": "http://api.boxis.net/"},
        {"username": None},
        {"timezone": "Nowhere"},
        {"returntype": "yaml"},
        {"api_key": f"{KEY}\udcff"},
        {"api_key": KEY.encode()},
        {"api_key": [KEY]},
    ],
    ids="-".join,
)
def test_no_key_in_a_configuration_error(settings: dict[str, Any]) -> None:
    """A client that cannot be built says why without its key, in the locals of its frames too."""
    with pytest.raises(ConfigurationError) as caught:
        BoxisClient(**({"username": "u", "api_key": KEY} | settings))
    text = shown(caught.value) + with_locals(caught.value)
    assert KEY not in text
    assert KEY.encode() not in pickle.dumps(caught.value)


async def test_no_key_in_any_repr(make_client: MakeClient, secretive: Provider) -> None:
    """No object that a user can reach shows the key in its repr, nor in that of what it holds."""
    client = make_client(secretive)
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    batches = stream.batches()
    batch = await anext(batches)
    things: list[object] = [client, stream, batches, batch, stream.plan(), stream.stats]
    for thing in things:
        assert holds_no_secret(repr(thing), secretive)
        assert KEY not in repr(getattr(thing, "__dict__", {}))
    await stream.aclose()
    with pytest.raises(StreamClosedError) as caught:
        await anext(stream)
    assert holds_no_secret(shown(caught.value) + with_locals(caught.value), secretive)


@pytest.mark.parametrize("carry_away", [pickle.dumps, repr, str, "{!r}".format])
def test_the_key_itself_cannot_be_carried_away(carry_away: Callable[[object], object]) -> None:
    """Whatever is done to a client's parts, the key does not come out as text."""
    client = BoxisClient("u", KEY)
    for part in (client, *vars(client).values()):
        try:
            carried = carry_away(part)
        except Exception:  # noqa: BLE001 - what cannot be carried away holds no secret
            continue
        text = carried if isinstance(carried, str) else repr(carried)
        assert KEY not in text


async def test_the_refusals_text_is_whole(make_client: MakeClient) -> None:
    """The API's own words stand whole in the window's error, however long they are."""
    words = "Ihr Konto ist gesperrt: " + "siehe Schreiben " * 50
    provider = Provider(faults=lambda _: Fault.refuse(words))
    with pytest.raises(WindowError) as caught:
        await make_client(provider).cdrs(DAY, NEXT_DAY).to_list()
    assert isinstance(caught.value.cause, RefusedError)
    assert f"Error: {words}" in str(caught.value)
    assert caught.value.cause.text == f"Error: {words}"
