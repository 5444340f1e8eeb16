"""Who asks, where and how: options, environment and profiles, and where the key never shows."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING

import pytest
from commands import invoke

from boxis_async.cli.connection import Given, connect
from boxis_async.cli.outcome import CredentialsError
from boxis_async.cli.profile import profile_names, profile_path
from boxis_async.cli.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from boxis_async.testing import Provider

KEY = "wvX7-secret-of-the-house"
NIGHT = ("--from", "2025-10-01", "--to", "2025-10-02")
FILE = f"""
[default]
username = "default@example.com"
api_key = "{KEY}"
tenant = "VOICE-1-1"
timezone = "UTC"
concurrency = 3

[office]
username = "office@example.com"
base_url = "https://office.example/"
"""


@pytest.fixture
def profiles(home: Path) -> Path:
    """Hold two profiles in a file that nobody else may read."""
    path = profile_path()
    assert home in path.parents
    path.parent.mkdir(parents=True)
    path.write_text(FILE)
    path.chmod(0o600)
    return path


def test_option_before_environment_before_profile(
    profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part comes from the first place that has it."""
    assert profiles.exists()
    found = connect(Given())
    assert (found.username, found.tenant, found.timezone) == (
        "default@example.com", "VOICE-1-1", "UTC",
    )  # fmt: skip
    assert found.concurrency == 3
    assert found.api_key is not None
    assert found.api_key.reveal() == KEY
    monkeypatch.setenv("BOXIS_USERNAME", "environment@example.com")
    monkeypatch.setenv("BOXIS_TENANT", "")
    found = connect(Given())
    assert (found.username, found.tenant) == ("environment@example.com", "VOICE-1-1")
    found = connect(Given(username="option@example.com", timezone="Europe/Paris"))
    assert (found.username, found.timezone) == ("option@example.com", "Europe/Paris")
    assert found.origins["username"] == "option"
    assert found.origins["tenant"] == "profile"


def test_profiles_by_name(profiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile is named by the option, else by the environment; it takes nothing from another."""
    assert connect(Given(profile="office")).username == "office@example.com"
    monkeypatch.setenv("BOXIS_PROFILE", "office")
    found = connect(Given())
    assert (found.base_url, found.tenant, found.timezone) == (
        "https://office.example/", None, "Europe/Zurich",
    )  # fmt: skip
    told = " ".join(invoke("check").stdout.split())
    assert f"✓ profile office, in {profiles} (mode 0600)" in told
    assert connect(Given(profile="default")).username == "default@example.com"
    assert profile_names() == ["default", "office"]
    result = invoke("check", "--profile", "shop")
    assert result.exit_code == 2
    assert f"no profile 'shop' in {profiles}; there are: 'default', 'office'" in result.stdout


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_profile_that_others_may_read(profiles: Path, mode: int) -> None:
    """A file with a key in it that others may read is refused, with the cure."""
    profiles.chmod(mode)
    for command in (["plan", *NIGHT], ["stats", *NIGHT], ["check"]):
        result = invoke(*command)
        assert result.exit_code == 3
        assert f"chmod 600 {profiles}" in result.output
        assert f"{mode:04o}" in result.output
        assert KEY not in result.output


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_profile_without_a_key_may_be_read(profiles: Path) -> None:
    """Without a key in it the file is nobody's secret."""
    profiles.write_text('[default]\ntenant = "VOICE-1-1"\n')
    profiles.chmod(0o644)
    assert connect(Given()).tenant == "VOICE-1-1"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[default]\napi_kye = 'x'\ncolour = 1", "unknown keys: api_kye, colour; known are"),
        ("username = 'me'", "write [default] above username"),
        ("[default]\nusername = 5", "username must be a text in quotes"),
        ("[default]\nconcurrency = true", "concurrency must be a whole number"),
        ("[default]\napi_key = KEY", "is no TOML"),
        ("\x00", "is no TOML"),
    ],
)  # fmt: skip
def test_a_profile_that_cannot_be_understood(profiles: Path, text: str, told: str) -> None:
    """What is wrong with a profile is told by its keys, never by its values."""
    profiles.write_text(text.replace("KEY", f'"{KEY}'))
    result = invoke("plan", *NIGHT)
    assert result.exit_code == 2
    assert told in " ".join(result.output.split())
    assert KEY not in result.output


def test_what_is_missing() -> None:
    """Missing credentials are told with the ways to give them."""
    result = invoke("stats", *NIGHT, "--tenant", "VOICE-1-1")
    assert result.exit_code == 3
    assert "no username and no API key" in result.stderr
    assert str(profile_path()) in result.stderr
    result = invoke("stats", *NIGHT, "--username", "me@example.com", "--key", KEY)
    assert result.exit_code == 2
    assert "no tenant: give --tenant" in result.stderr


def test_a_key_on_the_command_line_is_warned_of(served: Provider) -> None:
    """It works, and says where the key now stands."""
    result = invoke("stats", *NIGHT, "--key", served.api_key, env={"BOXIS_API_KEY": None})
    assert result.exit_code == 0
    assert "shell's history" in result.stderr
    assert served.api_key not in result.output


def test_a_key_from_a_pipe(served: Provider) -> None:
    """`--key -` reads one line of standard input where that is no terminal."""
    without = {"BOXIS_API_KEY": None}
    given = ("stats", *NIGHT, "--key", "-")
    result = invoke(*given, env=without, input=f"{served.api_key}\nmore\n")
    assert result.exit_code == 0
    assert "history" not in result.stderr
    assert invoke(*given, env=without, input="").exit_code == 3
    assert invoke("plan", *NIGHT, "--key", "-", env=without, input="").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["stats", *NIGHT, "--key", KEY, "--verbose"],
        ["export", *NIGHT, "--key", KEY, "-o", "calls.csv"],
        ["export", *NIGHT, "--key", KEY, "--verbose"],
        ["check", "--key", KEY, "-v"],
        ["plan", *NIGHT, "--key", KEY, "--all"],
        ["stats", *NIGHT, f"--key={KEY}", "--top", "none"],
        ["stats", *NIGHT, f"--key={KEY}", "--nonsense"],
        ["stats", *NIGHT, "--key", KEY, "--base-url", "ftp://example.com"],
        ["stats", *NIGHT, "--key", KEY, "--base-url", "http://127.0.0.1:9", "--timezone", "Moon"],
    ],
)
def test_the_key_shows_nowhere(served: Provider, arguments: list[str]) -> None:
    """Neither output holds the key or a request's authcode, whatever happens."""
    result = invoke(*arguments)
    assert result.exit_code in (0, 2, 3)
    assert KEY not in result.output
    assert "authcode=" not in result.output
    assert all(request.refusal for request in served.requests)


def test_a_secret_keeps_itself() -> None:
    """A secret is in no repr and no pickle, nor in those of what holds it."""
    secret = Secret(KEY)
    for holder in (secret, Given(key=secret), connect(Given(username="me", key=secret))):
        assert KEY not in f"{holder} {holder!r}"
    assert secret.reveal() == KEY
    assert not Secret("")
    with pytest.raises(TypeError, match="stays in its process"):
        pickle.dumps(secret)


def test_missing_credentials_are_an_error_of_their_own() -> None:
    """A client cannot be made without them."""
    with pytest.raises(CredentialsError, match="no API key"):
        connect(Given(username="me@example.com")).client()
