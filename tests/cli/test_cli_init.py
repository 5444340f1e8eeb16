"""`boxis init`: a profile that nobody else may read, and what is checked after it is written."""

from __future__ import annotations

import os
import stat
import tomllib
from typing import TYPE_CHECKING

import pytest
from click.shell_completion import ShellComplete
from commands import connection_of, invoke

from boxis_async.cli.main import boxis as group
from boxis_async.cli.profiles import profile_path
from boxis_async.cli.wording import in_options

if TYPE_CHECKING:
    from pathlib import Path

    from boxis_async.testing import Provider

KEY = "9f3c-secret"
TYPED = f"ops@example.com\n{KEY}\nVOICE-1\n"


def mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):04o}"


def written() -> dict[str, object]:
    return tomllib.loads(profile_path().read_text("utf-8"))


def test_it_writes_what_is_typed() -> None:
    """What is not given is prompted for, and the file is its owner's alone."""
    result = invoke("init", "--no-check", input=TYPED)
    assert result.exit_code == 0, result.output
    assert written() == {
        "default": {"username": "ops@example.com", "api_key": KEY, "tenant": "VOICE-1"}
    }
    assert mode(profile_path()) == "0600"
    assert mode(profile_path().parent) == "0700"
    assert [file.name for file in profile_path().parent.iterdir()] == ["profiles.toml"]
    assert KEY not in result.output


def test_it_checks_what_it_wrote(served: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Afterwards it does what `boxis check` does with the new profile, and has its exit code."""
    url = os.environ["BOXIS_BASE_URL"]
    for name in connection_of(served, url):
        monkeypatch.delenv(name)
    options = ["--username", served.username, "--tenant", served.tenant, "--base-url", url]
    result = invoke("init", *options, "--key", "-", input=f"{served.api_key}\n")
    assert result.exit_code == 0, result.output
    assert "accepted" in result.stdout
    assert "API key     set (profile)" in result.stdout
    assert served.api_key not in result.output
    wrong = invoke("init", "--profile", "wrong", *options, "--key", "-", input="other\n")
    assert wrong.exit_code == 3
    assert list(written()) == ["default", "wrong"]


def test_what_is_there_stays(served: Provider) -> None:
    """A further profile is added below, comments stay, and a profile of the name is not touched."""
    path = profile_path()
    path.parent.mkdir(parents=True)
    path.write_text('# mine\n[default]\ntenant = "VOICE-9"  # the old one\n', "utf-8")
    path.chmod(0o644)
    assert invoke("init", "--no-check").exit_code == 2
    assert "# mine" in path.read_text("utf-8")
    result = invoke("init", "--profile", "office", "--no-check")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert path.read_text("utf-8").startswith('# mine\n[default]\ntenant = "VOICE-9"  # the old')
    assert written()["office"] == {
        "username": served.username,
        "api_key": served.api_key,
        "tenant": served.tenant,
        "base_url": os.environ["BOXIS_BASE_URL"],
    }
    assert mode(path) == "0600"
    other = invoke("init", "--profile", "other", "--no-check", "--tenant", "VOICE-8")
    assert "BOXIS_TENANT is set, and counts before the profile" in other.stderr.replace("\n", " ")


def test_a_link_stays_one(tmp_path: Path) -> None:
    """A profile file that is a link, as in a folder of dotfiles, is written where it leads."""
    kept = tmp_path / "kept.toml"
    kept.write_text("", "utf-8")
    profile_path().parent.mkdir(parents=True)
    profile_path().symlink_to(kept)
    assert invoke("init", "--no-check", input=TYPED).exit_code == 0
    assert profile_path().is_symlink()
    assert "VOICE-1" in kept.read_text("utf-8")


def test_odd_values() -> None:
    """Quotes and backslashes arrive, and what no line of TOML can hold is refused, unshown."""
    odd = 'a"b\\c'
    assert invoke("init", "--no-check", input=f"a@b\n{odd}\nT\n").exit_code == 0
    assert written()["default"] == {"username": "a@b", "api_key": odd, "tenant": "T"}
    result = invoke("init", "--profile", "x", "--no-check", input="a@b\nk\x07y\nT\n")
    assert result.exit_code == 2
    assert "cannot be seen" in result.stderr
    assert "k\x07y" not in result.output
    assert invoke("init", "--profile", "a b", "--no-check", input=TYPED).exit_code == 2
    assert list(written()) == ["default"]


def test_profiles_are_completed() -> None:
    """A shell completes the names of the profiles, for each command that takes one."""
    for name in ("office", "other"):
        assert invoke("init", "--profile", name, "--no-check", input=TYPED).exit_code == 0
    complete = ShellComplete(group, {}, "boxis", "_BOXIS_COMPLETE")
    for command in ("export", "stats", "check"):
        found = complete.get_completions([command, "--profile"], "o")
        assert [item.value for item in found] == ["office", "other"]


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("exprot", "Did you mean 'export'?"),
        ("stat", "Did you mean 'stats'?"),
        ("chekc", "Did you mean 'check'?"),
        ("zzz", "There are calls, stats"),
    ],
)
def test_a_wrong_word(typed: str, hint: str) -> None:
    """Of a wrong command it says which was meant, or which there are."""
    result = invoke(typed)
    assert result.exit_code == 2
    assert hint in result.stderr.replace("\n", " ")


def test_a_wrong_option() -> None:
    """Of a wrong option it says which was meant."""
    assert "'--month'" in invoke("export", "--moth", "2026-10").stderr


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--base-url", "http://x y/"], "--base-url has a blank within"),
        (["--base-url", "http://calls.example/"], "--base-url 'http://calls.example/' is not encr"),
    ],
)
@pytest.mark.usefixtures("served")
def test_options_are_named(options: list[str], problem: str) -> None:
    """Messages name options, not the arguments of Python."""
    shown = invoke("stats", "--month", "2025-10", *options).stderr.replace("\n", " ")
    assert problem in shown
    for word in ("base_url", "allow_insecure", "RetryPolicy", "datefrom", "api_key"):
        assert word not in shown


def test_no_python_is_left() -> None:
    """Each argument that a text of the library may name has its option."""
    text = (
        'give datefrom and dateto, unique_by="leg", row_limit is 5, base_url, api_key; '
        "the 5 s (RetryPolicy.timeout) are used up (await client.probe(), or boxis probe, finds it)"
    )
    assert in_options(text) == (
        "give --from and --to, --unique-by leg, --row-limit is 5, --base-url, --key; "
        "the 5 s are used up (boxis probe finds it)"
    )
