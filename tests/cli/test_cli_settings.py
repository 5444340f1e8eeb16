"""Settings: option before environment before profile, and a key that shows itself nowhere."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING, Unpack

import click
import pytest
from commands import invoke

from boxis_async.cli.errors import CredentialsError
from boxis_async.cli.main import boxis as group
from boxis_async.cli.options import connection_options
from boxis_async.cli.profiles import profile_names, profile_path
from boxis_async.cli.secret import Secret
from boxis_async.cli.settings import ConnectionValues, Settings, read_settings

if TYPE_CHECKING:
    from pathlib import Path

    from boxis_async.testing import Provider

KEY = "wvX7-a-secret-key"
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


def settings_of(*arguments: str) -> Settings:
    """Read the settings as a command with these arguments has them."""
    found: list[Settings] = []

    @click.command
    @connection_options
    @click.pass_context
    def command(ctx: click.Context, **connection: Unpack[ConnectionValues]) -> None:
        found.append(read_settings(ctx, connection))

    command.main(list(arguments), standalone_mode=False)
    return found[0]


@pytest.fixture
def profiles(home: Path) -> Path:
    """Write two profiles to a file that nobody else may read."""
    path = profile_path()
    assert home in path.parents
    path.parent.mkdir(parents=True)
    path.write_text(FILE)
    path.chmod(0o600)
    return path


def test_option_before_environment_before_profile(
    profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each setting comes from the first place that has it."""
    assert profiles.exists()
    found = settings_of()
    assert (found.username, found.tenant, found.timezone) == (
        "default@example.com", "VOICE-1-1", "UTC",
    )  # fmt: skip
    assert found.concurrency == 3
    assert found.api_key is not None
    assert found.api_key.reveal() == KEY
    monkeypatch.setenv("BOXIS_USERNAME", "environment@example.com")
    monkeypatch.setenv("BOXIS_TENANT", "")
    found = settings_of()
    assert (found.username, found.tenant) == ("environment@example.com", "VOICE-1-1")
    assert found.sources["username"] == "BOXIS_USERNAME"
    found = settings_of("--username", "option@example.com", "--timezone", "Europe/Paris")
    assert (found.username, found.timezone) == ("option@example.com", "Europe/Paris")
    assert found.sources == {
        "profile": "default", "username": "option", "api_key": "profile", "tenant": "profile",
        "base_url": "default", "timezone": "option", "concurrency": "profile",
    }  # fmt: skip
    assert settings_of("--tenant", "").tenant == "VOICE-1-1"


def test_profiles_by_name(profiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile is named by the option, else by the environment; it takes nothing from another."""
    assert settings_of("--profile", "office").username == "office@example.com"
    monkeypatch.setenv("BOXIS_PROFILE", "office")
    found = settings_of()
    assert (found.base_url, found.tenant, found.timezone) == (
        "https://office.example/", None, "Europe/Zurich",
    )  # fmt: skip
    shown = " ".join(invoke("check").stdout.split())
    assert f"✓ profile office, in {profiles} (mode 0600)" in shown
    assert settings_of("--profile", "default").username == "default@example.com"
    assert profile_names() == ["default", "office"]
    result = invoke("check", "--profile", "shop")
    assert result.exit_code == 2
    assert f"no profile 'shop' in {profiles}; there are: 'default', 'office'" in result.stdout


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_profile_that_others_may_read(profiles: Path, mode: int) -> None:
    """A file with a key in it that others may read is refused, with what to do."""
    profiles.chmod(mode)
    for command in (["plan", *NIGHT], ["stats", *NIGHT], ["check"]):
        result = invoke(*command)
        assert result.exit_code == 3
        assert f"chmod 600 {profiles}" in result.output
        assert f"{mode:04o}" in result.output
        assert KEY not in result.output


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_profile_without_a_key_may_be_read(profiles: Path) -> None:
    """Without a key in it the file is no secret."""
    profiles.write_text('[default]\ntenant = "VOICE-1-1"\n')
    profiles.chmod(0o644)
    assert settings_of().tenant == "VOICE-1-1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[default]\napi_kye = 'x'\ncolour = 1", "unknown keys: api_kye, colour; known are"),
        ("username = 'me'", "write [default] above username"),
        ("[default]\nusername = 5", "username must be a text in quotes"),
        ("[default]\nconcurrency = true", "concurrency must be a whole number"),
        ("[default]\nconcurrency = 0", "concurrency must be 1 or more"),
        ("[default]\napi_key = KEY", "is not TOML"),
        ("\x00", "is not TOML"),
        ("x = " + "[" * 5000, "cannot be read as TOML: RecursionError"),
        ("x = " + "{a=" * 5000, "cannot be read as TOML: RecursionError"),
        ("concurrency = " + "9" * 5000, "cannot be read as TOML: ValueError"),
    ],
)  # fmt: skip
def test_a_profile_that_cannot_be_understood(profiles: Path, text: str, message: str) -> None:
    """What is wrong with a profile is named by its keys, never by its values."""
    profiles.write_text(text.replace("KEY", f'"{KEY}'))
    result = invoke("plan", *NIGHT)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert KEY not in result.output


def test_what_is_missing() -> None:
    """Missing credentials are an error that names the ways to give them."""
    result = invoke("stats", *NIGHT, "--tenant", "VOICE-1-1")
    assert result.exit_code == 3
    assert "no username and no API key" in result.stderr
    assert str(profile_path()) in result.stderr
    result = invoke("stats", *NIGHT, "--username", "me@example.com", "--key", KEY)
    assert result.exit_code == 2
    assert "no tenant: give --tenant" in result.stderr


def test_a_key_on_the_command_line_is_warned_of(served: Provider) -> None:
    """It works, and warns where the key can now be read."""
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
    for holder in (secret, settings_of("--username", "me", "--key", KEY)):
        assert KEY not in f"{holder} {holder!r}"
    assert secret.reveal() == KEY
    assert not Secret("")
    with pytest.raises(TypeError, match="stays in its process"):
        pickle.dumps(secret)


def test_missing_credentials_are_an_error_of_their_own() -> None:
    """A client cannot be made without them."""
    with pytest.raises(CredentialsError, match="no API key"):
        settings_of("--username", "me@example.com").client()


@pytest.mark.parametrize("place", ["environment", "profile"])
@pytest.mark.parametrize("command", ["export", "stats", "plan", "check"])
def test_the_help_shows_no_value_of_the_key(
    profiles: Path, monkeypatch: pytest.MonkeyPatch, place: str, command: str
) -> None:
    """The help names the variable, and neither its value nor the profile's."""
    if place == "environment":
        profiles.unlink()
        monkeypatch.setenv("BOXIS_API_KEY", KEY)
    result = invoke(command, "--profile", "default", "--help") if place == "profile" else invoke(
        command, "--help"
    )  # fmt: skip
    assert result.exit_code == 0
    assert "BOXIS_API_KEY" in result.output
    assert KEY not in result.output
    refused = invoke(command, "--concurrency", "none")
    assert refused.exit_code == 2
    assert KEY not in refused.output


def test_a_context_and_its_parameters_keep_the_key(
    profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the parsed values nor what click says about the parameter hold the key as text."""
    for value in ("", KEY):  # from the profile, then from the variable
        monkeypatch.setenv("BOXIS_API_KEY", value)
        ctx = group.commands["plan"].make_context("plan", [*NIGHT])
        assert ctx.params["api_key"].reveal() == KEY
        (parameter,) = (one for one in ctx.command.params if one.name == "api_key")
        assert KEY not in f"{ctx.params} {ctx.default_map} {vars(parameter)}"
        assert KEY not in f"{parameter.to_info_dict()} {parameter.get_error_hint(ctx)}"
    assert profiles.exists()


def test_a_bad_profile_does_not_hide_the_help(monkeypatch: pytest.MonkeyPatch) -> None:
    """The help is shown although the environment names a profile that does not exist."""
    monkeypatch.setenv("BOXIS_PROFILE", "nowhere")
    assert invoke("export", "--help").exit_code == 0
    assert invoke("plan", *NIGHT).exit_code == 2
