"""`boxis serve`, `boxis demo` and `boxis completion`: what needs no account."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from commands import ROOT, Running, boxis, environment, invoke

from boxis_async.testing import generate_calls

if TYPE_CHECKING:
    from pathlib import Path

    from boxis_async.testing import Row

DAYS = ("--from", "2025-10-01", "--to", "2025-10-03", "--calls-per-day", "20")


def lines_of(running: Running) -> dict[str, str]:
    """Read what is to be pasted into another shell."""
    assert running.process.stdout is not None
    words = [shlex.split(running.process.stdout.readline()) for _ in range(4)]
    assert all(word[0] == "export" for word in words)
    return dict(word[1].split("=", 1) for word in words)


@pytest.mark.subprocess
def test_serve(tmp_path: Path) -> None:
    """Another shell with the printed lines talks to it; Ctrl-C is the way to end it."""
    with Running("serve", *DAYS) as running:
        env = environment(**lines_of(running))
        done = boxis("export", *DAYS[:4], "--unique-by", "leg", "-o", "calls.csv", env=env)
        assert done.returncode == 0, done.stderr
        code, _, errors = running.ended_by(signal.SIGINT)
    assert code == 0
    rows = generate_calls(date(2025, 10, 1), date(2025, 10, 3), calls_per_day=20)
    assert (tmp_path / "calls.csv").read_bytes().count(b"sip0") >= len(rows)
    assert f"{len(rows)} records of 2025-10-01 to 2025-10-03" in errors
    assert re.search(r"[2-9] requests were answered", errors)


@pytest.mark.subprocess
def test_serve_ends_by_sigterm() -> None:
    """SIGTERM ends it too, with the code of that."""
    with Running("serve", *DAYS) as running:
        lines_of(running)
        assert running.ended_by(signal.SIGTERM)[0] == 143


@pytest.mark.subprocess
def test_serve_faults() -> None:
    """A share of the requests fails, here all of them; and a port of one's own is kept."""
    with Running("serve", *DAYS, "--fault-rate", "1", "--latency", "0.01") as running:
        found = lines_of(running)
        done = boxis("check", env=environment(**found))
        assert done.returncode == 4
        assert "503" in done.stdout
        port = found["BOXIS_BASE_URL"].rstrip("/").rpartition(":")[2]
        taken = boxis("serve", *DAYS, "--port", port)
        assert taken.returncode == 1
        assert port in taken.stderr
        assert "Traceback" not in taken.stderr


def ended_at(row: Row) -> datetime:
    return datetime.fromisoformat(str(row["end"])).replace(tzinfo=ZoneInfo("Europe/Zurich"))


@pytest.mark.subprocess
def test_serve_live(tmp_path: Path) -> None:
    """Calls lie around now. Those that have ended are there, and their costs once known."""
    before = datetime.now(UTC)
    with Running("serve", "--live", "--calls-per-day", "200", "--cost-delay", "6h") as running:
        env = environment(**lines_of(running))
        arguments = ("--from", "7d", "--to", "tomorrow", "--unique-by", "leg", "-o", "calls.jsonl")
        done = boxis("export", *arguments, env=env)
        assert done.returncode == 0, done.stderr
        after = datetime.now(UTC)
        code, _, errors = running.ended_by(signal.SIGINT)
    assert code == 0
    found = re.search(r"records of (\S+) to (\S+) appear as their calls end", errors)
    assert found is not None
    first, last = map(date.fromisoformat, found.groups())
    assert last - first == timedelta(days=3)
    today = {moment.astimezone(ZoneInfo("Europe/Zurich")).date() for moment in (before, after)}
    assert first + timedelta(days=1) in today
    rows = {str(row["sequence"]): row for row in generate_calls(first, last, calls_per_day=200)}
    exported = map(json.loads, (tmp_path / "calls.jsonl").read_text("utf-8").splitlines())
    shown = {str(record["sequence"]): record for record in exported}
    assert {name for name, row in rows.items() if ended_at(row) <= before} <= shown.keys()
    assert shown.keys() <= {name for name, row in rows.items() if ended_at(row) <= after}
    assert 0 < len(shown) < len(rows)
    for name, record in shown.items():
        age = before - ended_at(rows[name])
        if not timedelta(hours=5, minutes=50) < age < timedelta(hours=6, minutes=10):
            assert (record["cc_cost"] is not None) == (age > timedelta(hours=6))


@pytest.mark.subprocess
def test_serve_live_days() -> None:
    """Days that are given count with `--live` too, so that it can serve a longer time."""
    days = ("--from", "2025-10-01", "--to", "2025-10-03", "--calls-per-day", "20")
    with Running("serve", "--live", *days) as running:
        lines_of(running)
        errors = running.ended_by(signal.SIGINT)[2]
    assert "of 2025-10-01 to 2025-10-03 appear" in errors


@pytest.mark.parametrize(
    "arguments",
    [
        ["--from", "soon"],
        ["--from", "today", "--to", "yesterday"],
        ["--live", "--to", "2025-10-01"],
        ["--live", "--cost-delay", "soon"],
        ["--cost-delay", "4h"],
        ["--port", "70000"],
    ],
)
def test_serve_usage(arguments: list[str]) -> None:
    """Wrong days or ports are usage errors."""
    assert invoke("serve", *arguments).exit_code == 2


@pytest.mark.subprocess
def test_demo() -> None:
    """The demo shows calls, totals and stats, at 80 columns and without colours in a pipe."""
    done = boxis("demo", "--calls-per-day", "5")
    assert done.returncode == 0
    assert not done.stderr
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    for text in (
        "843 made-up records",
        "The first 8 of 460 calls",
        "460 in 843 legs",
        "windows, 100% of the range",
        "records a second",
    ):
        assert text in done.stdout


def test_the_demo_behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment does not keep the demo from its own server."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    done = invoke("demo", "--calls-per-day", "5")
    assert done.exit_code == 0
    assert "records" in done.output


@pytest.mark.subprocess
@pytest.mark.parametrize("command", ["demo", "serve"])
def test_without_the_server(command: str) -> None:
    """Without uvicorn a line names the extra to install."""
    code = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from boxis_async.cli.main import boxis\n"
        f"boxis.main([{command!r}], prog_name='boxis')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 1
    assert 'pip install "boxis-async[cli]"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.subprocess
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    """Each shell's script completes `boxis`."""
    result = invoke("completion", shell)
    assert result.exit_code == 0
    assert "_BOXIS_COMPLETE" in result.stdout


@pytest.mark.subprocess
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes(tmp_path: Path, home: Path) -> None:
    """Bash, with the script as its start-up file would have it, completes what was typed."""
    command = tmp_path / "bin" / "boxis"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m boxis_async "$@"\n')
    command.chmod(0o755)
    profiles = home / ".config" / "boxis" / "profiles.toml"
    profiles.parent.mkdir(parents=True)
    profiles.write_text("[default]\n[office]\n[shop]\n")
    completed = {
        ("boxis", "e"): "export",
        ("boxis", "export", "--un"): "--unique-by",
        ("boxis", "stats", "--by", "di"): "direction disposition dialled",
        ("boxis", "check", "--profile", "of"): "office",
    }
    script = 'eval "$(boxis completion bash)"\ncompopt() { :; }\n'
    for words in completed:
        script += (
            f"COMPREPLY=(); COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}\n"
            '_boxis_completion boxis; echo "${COMPREPLY[*]}"\n'
        )
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        capture_output=True, text=True, check=True, env=environment(PATH=path),
    )  # fmt: skip
    assert done.stdout.splitlines() == list(completed.values())
