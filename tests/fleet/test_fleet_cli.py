"""`boxis fleet`: run, plan, status and verify, on a scheduler in this process and on processes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import psutil
import pytest
from commands import Running, environment, invoke, wait_for
from fleets import TENANTS, most_in_a_second
from homes import home  # noqa: F401 - a fixture, for each test here
from stalls import Stalls

from boxis_async.cli.profiles import profile_path
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    from boxis_async.testing import Received, Row

RANGE = ("--from", "2025-01", "--to", "2025-04")


@pytest.fixture
def fleet_run(tmp_path: Path, scheduler: str) -> Callable[..., Result]:
    """Run `boxis fleet run` on the scheduler of this process, into `calls`."""
    (tmp_path / "tenants.txt").write_text("# ours\n" + "\n".join(TENANTS) + "\n\n", "utf-8")

    def run(*more: str) -> Result:
        options = ("--tenants", "tenants.txt", *RANGE, "--dataset", "calls")
        return invoke(
            "fleet", "run", *options, "--scheduler", scheduler, "--max-rate", "500", *more
        )

    return run


def test_run_status_verify(
    served: Provider, fleet_run: Callable[..., Result], of_tenants: dict[str, list[Row]]
) -> None:
    """The first run fetches, the second one says that nothing is missing; both show it."""
    first = fleet_run()
    assert first.exit_code == 0, first.stderr
    assert "9 of 9 partitions complete in calls" in first.stderr
    sent = len(served.requests)
    second = json.loads(fleet_run("--json", "-q").stdout)
    assert (second["were_complete"], second["requests"]) == (9, 0)
    assert len(served.requests) == sent
    table = invoke("fleet", "status", "--dataset", "calls").stdout
    rows = sum(map(len, of_tenants.values()))
    assert "complete" in table
    assert table.splitlines()[-1].split()[:2] == ["all", "9"]
    assert f"{rows:,}" in table
    found = json.loads(invoke("fleet", "status", "--dataset", "calls", "--json").stdout)
    assert found["counts"] == {"complete": 9, "young": 0, "missing": 0, "failed": 0}
    assert len(found["partitions"]) == 9
    verified = invoke("fleet", "verify", "--dataset", "calls")
    assert verified.exit_code == 0
    assert f"9 partitions, {rows:,} legs: 0 flaws" in verified.stdout


def test_what_failed_is_listed(
    served: Provider, fleet_run: Callable[..., Result], tmp_path: Path
) -> None:
    """The exit code says that a part is missing, status has the error, the next run cures it."""

    def faulty(received: Received) -> Fault | None:
        is_poisoned = received.parameters["tenant"] == "VOICE-2"
        return Fault.refuse("no \x1b[31msuch tenant") if is_poisoned else None

    served.faults = faulty
    result = fleet_run()
    assert result.exit_code == 6
    assert "VOICE-2 2025-01" in result.stderr
    assert "run the same command again" in result.stderr
    assert "\x1b" not in result.stderr
    shown = invoke("fleet", "status", "--dataset", "calls").stdout
    assert "such tenant" in shown
    assert "\x1b" not in shown
    served.faults = []
    assert fleet_run().exit_code == 0
    path = tmp_path / "calls" / "tenant=VOICE-1" / "period=2025-01" / "legs.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    verified = invoke("fleet", "verify", "--dataset", "calls", "--json")
    assert verified.exit_code == 6
    assert json.loads(verified.stdout)["flaws"][0]["tenant"] == "VOICE-1"


def test_workers_take_the_key_from_their_profile(
    served: Provider, fleet_run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key on the command line is refused, as it would not reach them."""
    path = profile_path()
    path.parent.mkdir(parents=True)
    path.write_text(
        f'[office]\nusername = "{served.username}"\napi_key = "{served.api_key}"\n', "utf-8"
    )
    path.chmod(0o600)
    monkeypatch.delenv("BOXIS_USERNAME")
    monkeypatch.delenv("BOXIS_API_KEY")
    for options in (("--key", "-"), ("--username", "me@example.com")):
        refused = fleet_run(*options)
        assert refused.exit_code == 2
        assert "would not reach the workers" in refused.stderr.replace("\n", " ")
    lacking = fleet_run()
    assert lacking.exit_code == 1
    assert "no client on worker" in lacking.stderr
    assert fleet_run("--profile", "office").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("run", "--dataset", "calls", *RANGE), "which tenants?"),
        (("run", "--dataset", "calls", "--tenant", "T"), "which range?"),
        (("run", "--dataset", "calls", "--tenant", "T", "--from", "2025-01-02"), "2025-01-01"),
        (("run", *RANGE, "--tenant", "T"), "--dataset"),
        (("plan", *RANGE), "which tenants?"),
        (("status", "--dataset", "nowhere"), "is no data set"),
        (("run", "--dataset", "calls", "--tenant", "T", *RANGE, "--patience", "inf"), "--patience"),
        (("plan", *RANGE, "--count", "1", "--max-rate", "inf", "--latency", "0"), "a latency"),
        (("plan", *RANGE, "--count", "1", "--max-rate", "nan"), "max_rate"),
        (("run", "--dataset", "c", "--tenant", "T", *RANGE, "--scheduler", "tcp://10.0.0.5:1"),
         "--allow-insecure"),
    ],
)  # fmt: skip
def test_wrong_options(
    arguments: tuple[str, ...], problem: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each says what to do, and nothing is written."""
    monkeypatch.setenv("BOXIS_USERNAME", "a@b.ch")
    monkeypatch.setenv("BOXIS_API_KEY", "key")
    result = invoke("fleet", *arguments)
    assert result.exit_code in (1, 2)
    assert problem in result.stderr.replace("\n", " ")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_plan() -> None:
    """Requests, hours, bytes and workers, for people and for programs; it needs no key."""
    range_ = ("--from", "2021", "--to", "2026")
    shown = invoke("fleet", "plan", "--count", "10000", *range_).stdout
    for name in ("partitions 600,000", "requests", "hours", "data set", "workers"):
        assert name in shown
    found = json.loads(
        invoke("fleet", "plan", "--count", "10000", *range_, "--max-rate", "10", "--json").stdout
    )
    assert found["partitions"] == 600_000
    assert found["hours"] == pytest.approx(found["requests"] / 10 / 3600)
    few = json.loads(
        invoke("fleet", "plan", "--count", "1", *range_, "--legs-per-day", "1", "--json").stdout
    )
    assert 60 <= few["requests"] <= 66
    both = invoke("fleet", "plan", "--count", "1", "--tenants", "-", *range_, input="T\n")
    assert both.exit_code == 2


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"# none yet\n\n", "tenants.txt names no tenant: write one on each line"),
        ("VOICE-Z\u00fcrich\n".encode("latin-1"), "tenants.txt is no text in UTF-8"),
        (b"PK\x03\x04\xff\xfe", "is no text in UTF-8"),
        (b"VOICE-1\x07\n", "must be printable"),
    ],
)
def test_wrong_files_of_tenants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, problem: str
) -> None:
    """Each says what the file should be, before anything is written."""
    monkeypatch.setenv("BOXIS_USERNAME", "a@b.ch")
    monkeypatch.setenv("BOXIS_API_KEY", "key")
    (tmp_path / "tenants.txt").write_bytes(content)
    result = invoke("fleet", "run", "--tenants", "tenants.txt", *RANGE, "--dataset", "calls")
    assert result.exit_code == 2
    assert problem in result.stderr.replace("\n", " ")
    assert not (tmp_path / "calls").exists()


def test_no_limit(
    served: Provider,
    fleet_run: Callable[..., Result],
) -> None:
    """`--max-rate inf` leaves only the number of requests in flight as a limit."""
    result = fleet_run("--max-rate", "inf")
    assert result.exit_code == 0, result.stderr
    assert served.requests
    shown = invoke("fleet", "plan", "--count", "9", *RANGE, "--max-rate", "inf").stdout
    assert "without a limit" in shown


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.timeout(300)
def test_processes_of_which_one_is_killed(
    served: Provider, of_tenants: dict[str, list[Row]], tmp_path: Path
) -> None:
    """A cluster starts by itself, survives a worker, and keeps to the limit all the time."""
    (tmp_path / "tenants.txt").write_text("\n".join(TENANTS), "utf-8")
    options = ("--tenants", "tenants.txt", *RANGE, "--dataset", "calls", "--workers", "2")
    with (
        Stalls() as stalls,
        Running("fleet", "run", *options, "--max-rate", "5", env=environment()) as running,
    ):
        wait_for(lambda: len(served.requests) > 2)
        workers = [
            one
            for one in psutil.Process(running.process.pid).children(recursive=True)
            if "spawn_main" in " ".join(one.cmdline())
        ]
        assert len(workers) == 2
        workers[0].kill()
        _, errors = running.process.communicate(timeout=280)
    assert running.process.returncode == 0, errors
    assert "Traceback" not in errors
    verified = invoke("fleet", "verify", "--dataset", "calls").stdout
    rows = sum(map(len, of_tenants.values()))
    assert f"9 partitions, {rows:,} legs: 0 flaws" in verified
    assert most_in_a_second(served) <= stalls.most(5)
