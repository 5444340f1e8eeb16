"""Keys and names: what came along when they were copied is refused before anything is sent."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from calls import DAY, NEXT_DAY
from hypothesis import given
from hypothesis import strategies as st

from boxis_async import BoxisClient, ConfigurationError, UsageError
from boxis_async.testing import Provider

if TYPE_CHECKING:
    from conftest import MakeClient

RIGHT = {
    "username": "ops@example.com",
    "api_key": "stand-in-key",
    "tenant": "VOICE-29001-1",
    "base_url": "https://api.example/",
}
BAD = {
    "\n": "a line end", "\r\n": "a line end", "\r": "a line end", "\u2028": "a line end",
    "\x85": "a line end", "\x0b": "a line end", " ": "a blank", "\u00a0": "a blank",
    "\u3000": "a blank", "\t": "a tab", "\x00": "a control character",
    "\x1b": "a control character",
    "\x7f": "a control character", "\x9b": "a control character",
    "\ufeff": "an invisible character",
    "\u200b": "an invisible character", "\u202e": "an invisible character",
    "\ud800": "is not valid Unicode",
}  # fmt: skip
bad = pytest.mark.parametrize("odd", BAD, ids=ascii)


@bad
@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("place", ["at its start", "at its end", "within"])
def test_the_constructor(monkeypatch: pytest.MonkeyPatch, name: str, place: str, odd: str) -> None:
    """A name with a line end, a blank or the like is refused, whether passed or set outside."""
    text = RIGHT[name]
    middle = len(text) // 2
    text = {
        "at its start": odd + text,
        "at its end": text + odd,
        "within": text[:middle] + odd + text[middle:],
    }[place]
    with pytest.raises(ConfigurationError) as caught:
        BoxisClient(**(RIGHT | {name: text}))
    (problem,) = caught.value.problems
    assert problem.startswith(name)
    assert BAD[odd] in problem
    assert RIGHT["api_key"][:4] not in problem
    if len(odd) == 1 and "Unicode" not in BAD[odd]:
        assert f"{BAD[odd]} {place}" in problem
    problem.encode("ascii")
    if odd in ("\x00", "\ud800") or sys.platform == "win32":
        return
    for variable, value in (RIGHT | {name: text}).items():
        monkeypatch.setenv(f"BOXIS_{variable.upper()}", value)
    with pytest.raises(ConfigurationError) as again:
        BoxisClient()
    assert again.value.problems == (problem,)


@bad
async def test_names_elsewhere(make_client: MakeClient, odd: str) -> None:
    """So it is with a tenant and a function that are named later."""
    client = make_client(Provider())
    for make in (
        lambda: client.with_options(tenant=f"VOICE{odd}"),
        lambda: client.cdrs(DAY, NEXT_DAY, tenant=f"VOICE{odd}"),
    ):
        with pytest.raises(UsageError, match="tenant"):
            make()
    with pytest.raises(UsageError, match="tenant"):
        await client.probe(tenant=f"{odd}VOICE")
    with pytest.raises(UsageError, match="section"):
        await client.call(f"voip{odd}", "getLineList")
    with pytest.raises(UsageError, match="action"):
        await client.call("voip", f"get{odd}LineList")


@pytest.mark.parametrize("name", ["username", "api_key", "tenant"])
@pytest.mark.parametrize("value", [b"text", 5, ..., ["a"]], ids=repr)
def test_what_is_no_text(name: str, value: Any) -> None:  # noqa: ANN401
    """What is no text is refused by its type; a key is not shown."""
    with pytest.raises(
        ConfigurationError, match=f"{name} must be a str, not {type(value).__name__}"
    ):
        BoxisClient(**(RIGHT | {name: value}))


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_any_name(username: str, api_key: str, tenant: str) -> None:
    """Any text either makes a client, or an error of the library."""
    try:
        client = BoxisClient(username, api_key, tenant=tenant)
    except ConfigurationError as error:
        str(error).encode()
    else:
        assert not any(set(text) & set(BAD) for text in (username, api_key, tenant))
        repr(client)


def test_what_names_may_hold() -> None:
    """Whatever is visible may stand in a name."""
    BoxisClient("jürg.müller+voip@example.ch", "k-Ω_%&=+/~", tenant="VOICE-29001-1/ü")


# Parameters of other functions


@pytest.mark.parametrize(
    "value",
    ["\ud800", "a\udfffb", 1 << 20_000, -(1 << 20_000), True, 1.5, None, b"a", {"a"}],
    ids=lambda value: type(value).__name__,
)
async def test_parameters_that_cannot_be_sent(make_client: MakeClient, value: object) -> None:
    """A value that has no text, or whose text cannot be encoded, is an error that names it."""
    provider = Provider()
    client = make_client(provider)
    with pytest.raises(UsageError, match="parameter 'line'"):
        await client.call("voip", "getLineList", line=value)
    assert provider.requests == []


async def test_parameters_hold_any_text(make_client: MakeClient) -> None:
    """The text of an SMS may hold line ends and whatever else there is."""
    text = "Grüezi\r\n\t\u2028\u200b\x00 \U0001f4de"
    provider = Provider(actions={("sms", "sendSMS"): lambda form: {"text": form["text"]}})
    assert await make_client(provider).call("sms", "sendSMS", text=text) == {"text": text}


async def test_parameters_with_odd_names(make_client: MakeClient) -> None:
    """A parameter whose name cannot be encoded is an error too."""
    with pytest.raises(UsageError, match="not valid Unicode"):
        await make_client(Provider()).call("voip", "getLineList", **{"a\ud800": "x"})
