"""`call()`: any function of the API, signed and checked."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from clients import connected
from hypothesis import given
from hypothesis import strategies as st
from transports import answering

from boxis_async import (
    AuthenticationError,
    BoxisClient,
    ConnectionFailedError,
    MalformedAnswerError,
    RefusedError,
    StatusError,
    UsageError,
)
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conftest import MakeClient

LINES = {"line1": {"number": "41225550101"}, "line2": {"number": "41225550102"}}


@pytest.fixture
def lines() -> Provider:
    """Offer two more functions."""
    return Provider(
        actions={
            ("voip", "getLineList"): lambda _: LINES,
            ("sms", "sendSMS"): lambda form: {"sent": form["number"]},
        }
    )


async def answered(make_client: MakeClient, body: Any, **settings: Any) -> dict[str, Any]:  # noqa: ANN401
    """Call a function whose whole answer is given, and give what the client makes of it."""
    content = {"content": body} if isinstance(body, (bytes, str)) else {"json": body}

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, **content)

    async with answering(answer) as http_client:
        client = make_client(Provider(), http_client=http_client, **settings)
        return await client.call("voip", "getLineList")


@pytest.mark.both_loops
@pytest.mark.parametrize("returntype", ["json", "xml"])
@pytest.mark.parametrize("over_http", [False, True], ids=["in-process", "http"])
async def test_params_are_a_dict(
    lines: Provider, make_client: MakeClient, returntype: str, *, over_http: bool
) -> None:
    """The answer's params come as a plain dict, from JSON and from XML."""
    client = make_client(lines, over_http=over_http, returntype=returntype)
    found = await client.call("voip", "getLineList")
    assert found == LINES
    assert type(found) is dict


async def test_what_is_sent(lines: Provider, make_client: MakeClient) -> None:
    """The function's own parameters are sent as the API writes them, and no tenant is added."""
    client = make_client(lines)
    await client.call(
        "sms",
        "sendSMS",
        number="+41 79 555 01 23",
        text="Grüezi & ciao = 100 %",
        count=2,
        day=date(2024, 3, 5),
        moment=datetime(2024, 3, 5, 9, 30),  # noqa: DTZ001 - the provider's wall clock
    )
    (request,) = lines.requests
    sent = dict(request.parameters)
    assert sent.pop("timestamp").isdigit()
    assert sent == {
        "version": "1.0",
        "returntype": "json",
        "username": lines.username,
        "section": "sms",
        "action": "sendSMS",
        "number": "+41 79 555 01 23",
        "text": "Grüezi & ciao = 100 %",
        "count": "2",
        "day": "2024-03-05 00:00:00",
        "moment": "2024-03-05 09:30:00",
    }
    assert request.accepted


async def test_calls_history_by_hand(provider: Provider, client: BoxisClient) -> None:
    """`getCDR` itself can be called, and gives what the API sends."""
    found = await client.call(
        "voice",
        "getCDR",
        tenant=provider.tenant,
        datefrom="2024-03-05 00:00:00",
        dateto="2024-03-05 02:00:00",
    )
    assert list(found["cdr"]) == ["call_1", "call_2"]
    assert found["cdr"]["call_1"] == provider.select()[0]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"params": {"credit": 12.5, "open": True}}, {"credit": 12.5, "open": True}),
        # PHP writes an array with the keys 0, 1, ... as a list.
        ({"params": ["41225550101", "41225550102"]}, {"0": "41225550101", "1": "41225550102"}),
        ({"params": []}, {}),
        ({"params": {}}, {}),
        ({"params": ""}, {}),
        ({"params": None}, {}),
        ({}, {}),
        # One function puts its records beside `result`.
        ({"sms1": {"text": "hi"}, "sms2": {}}, {"sms1": {"text": "hi"}, "sms2": {}}),
        ({"params": [], "credit": "3"}, {"credit": "3"}),
        ({"params": "sent"}, {"params": "sent"}),
    ],
)
@pytest.mark.parametrize("result", ["1", 1])
async def test_what_is_given_back(
    make_client: MakeClient, answer: dict[str, Any], found: dict[str, Any], result: str | int
) -> None:
    """Whatever the function gives back comes as a dict, also a list and what stands beside."""
    body = {"result": result, "resulttxt": "success", **answer, "timestamp": 1335777400}
    assert await answered(make_client, body) == found


async def test_xml_with_its_records_beside(make_client: MakeClient) -> None:
    """Records directly under `<return>` are given back as those under `<params>` are."""
    body = (
        b"<?xml version='1.0'?><return><result>1</result><resulttxt>success</resulttxt>"
        b"<sms1><text>hi</text></sms1><timestamp>1335777400</timestamp></return>"
    )
    assert await answered(make_client, body, returntype="xml") == {"sms1": {"text": "hi"}}


@pytest.mark.parametrize("returntype", ["json", "xml"])
async def test_a_refusal(make_client: MakeClient, returntype: str) -> None:
    """The API's own refusal is an error whose text is whole, and is not sent again."""
    provider = Provider()
    client = make_client(provider, returntype=returntype)
    with pytest.raises(RefusedError) as caught:
        await client.call("voip", "noSuchFunction", retry=True)
    assert str(caught.value).lower() == "error: unknown section or action"
    assert caught.value.text == str(caught.value)
    assert type(caught.value) is RefusedError
    assert len(provider.requests) == 1


async def test_a_refusal_about_who_asks(provider: Provider) -> None:
    """A wrong key is an authentication error, where the text says so."""
    async with (
        provider.client() as http_client,
        BoxisClient(provider.username, "another-key", http_client=http_client) as client,
    ):
        with pytest.raises(AuthenticationError, match="wrong username or authcode"):
            await client.call("voip", "getLineList")
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.status(500), StatusError),
        (Fault.status(429, retry_after=0), StatusError),
        (Fault.cut(), ConnectionFailedError),
        (Fault.html(), MalformedAnswerError),
        (Fault.empty(), MalformedAnswerError),
        (Fault.disconnect(), ConnectionFailedError),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
async def test_no_retry_by_default(
    lines: Provider, make_client: MakeClient, fault: Fault, error: type[Exception]
) -> None:
    """A call is sent once unless asked otherwise: it may have done something already."""
    client = make_client(lines)
    lines.faults = lambda received: fault if received.number == 1 else None
    with pytest.raises(error):
        await client.call("sms", "sendSMS", number="+41 79 555 01 23")
    assert len(lines.requests) == 1
    lines.reset()
    assert await client.call("sms", "sendSMS", retry=True, number="1") == {"sent": "1"}
    assert len(lines.requests) == 2


async def test_retries_end(lines: Provider, make_client: MakeClient) -> None:
    """With `retry=True` a fault that stays is raised as it is after the policy's attempts."""
    lines.faults = lambda _: Fault.status(503)
    with pytest.raises(StatusError) as caught:
        await make_client(lines).call("voip", "getLineList", retry=True)
    assert caught.value.status_code == 503
    assert len(lines.requests) == 3


async def test_each_attempt_is_signed_afresh(lines: Provider, make_client: MakeClient) -> None:
    """A clock refusal is answered by one more request, also without `retry`."""
    lines.clock_skew = 7200
    assert await make_client(lines).call("voip", "getLineList") == LINES
    first, second = (int(request.parameters["timestamp"]) for request in lines.requests)
    assert 7190 < second - first < 7210


@pytest.mark.parametrize(
    "name", ["version", "returntype", "timestamp", "username", "authcode", "section", "action"]
)
@pytest.mark.parametrize("part", ["", "[1]", "[a][b]"])
async def test_reserved_names(
    client: BoxisClient, provider: Provider, name: str, part: str
) -> None:
    """A parameter that the signature sets itself is refused by its name, and nothing is sent.

    So is a part of one, which PHP would put in its place.
    """
    name += part
    problem = re.escape(f"parameter '{name}' is set by the client itself")
    with pytest.raises(UsageError, match=problem):
        await client.call("voip", "getLineList", **{name: "1"})
    assert provider.requests == []


@pytest.mark.parametrize(
    "parameters",
    [
        {"x": {1: "a", "1": "b"}},
        {"x": ["a"], "x[1]": "b"},
        {"x[1]": "b", "x": ["a"]},
        {"x": [{2: "a", "2": "b"}]},
        {"x": {"a": ["b"]}, "x[a]": ["c"]},
    ],
)
async def test_two_values_for_one_name(
    client: BoxisClient, provider: Provider, parameters: dict[str, Any]
) -> None:
    """Two values that would be sent under one name are refused: one would be lost."""
    with pytest.raises(UsageError, match=r"parameter 'x.*': x\[.*\] comes twice, give it once"):
        await client.call("voip", "getLineList", **parameters)
    assert provider.requests == []


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        1.5,
        b"bytes",
        {"a"},
        ["a", None],
        "lone \ud800 surrogate",
        datetime(2024, 3, 5, tzinfo=UTC),
    ],
)
async def test_values_that_cannot_be_sent(
    client: BoxisClient, provider: Provider, value: object
) -> None:
    """A value whose text nobody can know is refused by its parameter's name, unsent."""
    with pytest.raises(UsageError, match="parameter 'line'"):
        await client.call("voip", "getLineList", line=value)
    assert provider.requests == []


async def test_several_wrong_parameters(client: BoxisClient) -> None:
    """All wrong parameters come in one error."""
    with pytest.raises(UsageError) as caught:
        await client.call("voip", "getLineList", line=None, authcode="x", count=1.5)
    assert len(caught.value.problems) == 3


# Lists and dicts


def read_as_php(parameters: Mapping[str, str]) -> dict[str, Any]:
    """Make of a form what PHP makes of it: `a[1]` and `a[key]` are members of an array."""
    found: dict[str, Any] = {}
    for name, value in parameters.items():
        path = [part.rstrip("]") for part in name.split("[")]
        inner = found
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
        assert path[-1] not in inner
        inner[path[-1]] = value
    return found


def counted(value: object) -> object:
    """Give lists as PHP has them: arrays whose keys count from 1."""
    if isinstance(value, list):
        return {str(at): counted(part) for at, part in enumerate(value, start=1)}
    if isinstance(value, dict):
        return {str(key): counted(part) for key, part in value.items()}
    return str(value)


values = st.recursive(
    st.text(max_size=5) | st.integers(),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(
            st.text(st.characters(blacklist_characters="[]", codec="utf-8"), max_size=3)
            | st.integers().map(str),
            inner,
            min_size=1,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@given(values)
async def test_lists_and_dicts_arrive(value: object) -> None:
    """PHP finds in the form what was given, whatever is nested in what."""
    provider = Provider(actions={("sms", "sendSMS"): lambda _: {}})
    async with connected(provider) as client:
        await client.call("sms", "sendSMS", recipients=value)
    (request,) = provider.requests
    assert request.accepted
    assert read_as_php(request.parameters)["recipients"] == counted(value)


async def test_a_list_as_the_page_shows_it(lines: Provider, make_client: MakeClient) -> None:
    """Recipients are numbered from 1, as on the provider's page on sending an SMS."""
    await make_client(lines).call(
        "sms",
        "sendSMS",
        number="1",
        recipients=["+41795550101", "+41795550102"],
        options={"flash": 1, "at": [date(2024, 3, 5)]},
    )
    (request,) = lines.requests
    sent = {name: text for name, text in request.parameters.items() if "[" in name}
    assert sent == {
        "recipients[1]": "+41795550101",
        "recipients[2]": "+41795550102",
        "options[flash]": "1",
        "options[at][1]": "2024-03-05 00:00:00",
    }


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], "it is empty"),
        ({}, "it is empty"),
        ({"a": []}, "it is empty"),
        ([None], "give a str, an int, a date, or a list or dict of these, not NoneType"),
        ({"a": 1.5}, "not float"),
        ({None: "a"}, "not NoneType"),
        ({"a": True}, "not bool"),
        ({"a][b": "c"}, "has a bracket"),
        ({"a"}, "not set"),
        (ENDLESS, "nested more than 8 times"),
    ],
)
async def test_what_cannot_be_sent_in_a_list(
    value: object, problem: str, lines: Provider, make_client: MakeClient
) -> None:
    """What PHP would read otherwise, or not at all, is refused before anything is sent."""
    with pytest.raises(UsageError, match=f"parameter 'recipients': .*{problem}"):
        await make_client(lines).call("sms", "sendSMS", recipients=value)
    assert lines.requests == []
