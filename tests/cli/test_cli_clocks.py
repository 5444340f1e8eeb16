"""Ranges up to now where the provider's clock is ahead, and names that cannot be right."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from calls import call
from commands import connection_of, invoke

from boxis_async.testing import LoopbackServer, Provider

if TYPE_CHECKING:
    from pathlib import Path

AHEAD = timedelta(days=3)
HOUR = timedelta(hours=1)


@pytest.fixture
def ahead(server: LoopbackServer, monkeypatch: pytest.MonkeyPatch, home: Path) -> Provider:
    """Serve a provider whose clock is three days ahead, with a call each hour until then."""
    assert home
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    rows = [call(f"{now - 2 * 24 * HOUR + hour * HOUR}") for hour in range(24 * 5 - 1)]
    provider = Provider(rows, clock_skew=AHEAD.total_seconds(), clock_tolerance=1e12)
    for name, value in connection_of(provider, server.mount(provider)).items():
        monkeypatch.setenv(name, value)
    return provider


@pytest.mark.parametrize("window", [(), ("--window", "30d")], ids=["sized", "planned"])
def test_export_to_now(ahead: Provider, tmp_path: Path, window: tuple[str, ...]) -> None:
    """An export without an end has all that the provider has, to a file and to a pipe."""
    path = tmp_path / "calls.csv"
    given = ("export", "--from", "7d", "--unique-by", "leg", *window)
    assert invoke(*given, "-o", str(path)).exit_code == 0
    piped = invoke(*given, "-o", "-", "--format", "csv")
    assert piped.exit_code == 0
    for text in (path.read_text("utf-8-sig"), piped.stdout.removeprefix("\ufeff")):
        assert len(list(csv.DictReader(text.splitlines()))) == len(ahead.select())


def test_stats_to_now(ahead: Provider) -> None:
    """Statistics without an end count all that the provider has."""
    found = invoke("stats", "--from", "7d", "--json", "-q")
    assert json.loads(found.stdout)["total"]["legs"] == len(ahead.select())


def test_calls_to_now(ahead: Provider) -> None:
    """A list of calls without an end has all that the provider has."""
    found = invoke("calls", "--from", "7d", "--json", "-q")
    legs = sum(json.loads(line)["legs"] for line in found.stdout.splitlines())
    assert legs == len(ahead.select())


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("BOXIS_USERNAME", "username"),
        ("BOXIS_API_KEY", "api_key"),
        ("BOXIS_TENANT", "tenant"),
        ("BOXIS_BASE_URL", "base_url"),
    ],
)
@pytest.mark.parametrize("odd", ["\n", " ", "\t", "\x1b", "\u200b", "\udcff"], ids=ascii)
def test_names_from_the_environment(
    ahead: Provider, monkeypatch: pytest.MonkeyPatch, variable: str, name: str, odd: str
) -> None:
    """A value with a line end or the like is refused, and the message says where it comes from."""
    monkeypatch.setenv(variable, f"{RIGHT[name]}{odd}")
    for command in (
        ("stats", "--from", "1d"),
        ("export", "--from", "1d", "-o", "x.csv"),
        ("check",),
    ):
        ended = invoke(*command)
        assert ended.exit_code == 2
        said = " ".join((ended.stdout + ended.stderr).split())
        assert f"{OPTIONS[name]} has" in said or f"{OPTIONS[name]} is not valid Unicode" in said
        assert f"(from: {variable})" in said
        assert "stand-in" not in said
    assert ahead.requests == []


RIGHT = {
    "username": "ops@example.com",
    "api_key": "stand-in-key",
    "tenant": "VOICE-29001-1",
    "base_url": "https://api.example/",
}


# As a message names them: what Python calls otherwise goes by its option.
OPTIONS = {
    "username": "username",
    "api_key": "--key",
    "tenant": "tenant",
    "base_url": "--base-url",
}


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("odd", ["\\n", " ", "\\t", "\\u001b", "\\u200b"])
def test_names_from_a_profile(home: Path, name: str, odd: str) -> None:
    """So is one from a profile."""
    path = home / ".config" / "boxis" / "profiles.toml"
    path.parent.mkdir(parents=True)
    values = RIGHT | {name: RIGHT[name] + odd}
    path.write_text("[default]\n" + "".join(f'{key} = "{values[key]}"\n' for key in values))
    path.chmod(0o600)
    ended = invoke("stats", "--from", "1d")
    assert ended.exit_code == 2
    said = " ".join(ended.stderr.split())
    assert f"{OPTIONS[name]} has" in said
    assert "(from: profile)" in said


def test_a_key_from_a_pipe_loses_its_line_end(ahead: Provider) -> None:
    """A line of a pipe ends with one, which is not the key's."""
    for end in ("\n", "\r\n", ""):
        ended = invoke("stats", "--from", "1d", "--key", "-", input=f"{ahead.api_key}{end}")
        assert ended.exit_code == 0
