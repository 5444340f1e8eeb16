"""`boxis export --resume`: unfinished exports, and the command that completes them."""

from __future__ import annotations

import shlex
import signal
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import pytest
from commands import Running, boxis, environment, invoke, wait_for
from exports import edit_journal
from waiting import Gate

from boxis_async.testing import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from boxis_async.testing import Provider, Received

WEEK = ("--from", "2025-10-01", "--to", "2025-10-08", "--unique-by", "leg", "--window", "1d")
FILE = ("-o", "calls.csv")


def broken_on_the_fifth(asked: Received) -> Fault | None:
    return Fault.status(404) if "-06 " in str(asked.dateto) else None


def healthy(_: Received) -> None:
    return None


def on_the_fifth(asked: Received) -> bool:
    return "-06 " in str(asked.dateto)


@pytest.fixture
def whole(served: Provider, tmp_path: Path) -> bytes:
    """Return what an export without a break writes."""
    assert invoke("export", *WEEK, "-o", "whole.csv").exit_code == 0
    served.reset()
    return (tmp_path / "whole.csv").read_bytes()


def printed_command(errors: str) -> list[str]:
    """Take the command that resumes out of what was printed."""
    lines = errors.splitlines()
    (at,) = (number for number, line in enumerate(lines) if line.endswith("Resume it with:"))
    return shlex.split(lines[at + 1])


def run_printed(errors: str) -> subprocess.CompletedProcess[str]:
    """Run it as a shell would."""
    return subprocess.run(
        printed_command(errors), capture_output=True, text=True, check=False, env=environment(),
        stdin=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip


@pytest.mark.subprocess
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_requests_hang(
    served: Provider, tmp_path: Path, whole: bytes, number: signal.Signals
) -> None:
    """Ctrl-C and SIGTERM leave no file, and the command that is printed then completes it."""
    # One request after the other, so that the first days are written when the fifth is asked for.
    served.gate = gate = Gate(on_the_fifth)
    served.latency = 0.02
    alone = ("--concurrency", "1")
    path = tmp_path / "calls.csv"
    kept = tmp_path / "calls.csv.unfinished"
    with Running("export", *WEEK, *FILE, *alone, "--key", served.api_key) as running:
        wait_for(lambda: gate.held)
        code, output, errors = running.ended_by(number)
    assert code == 128 + number
    assert not output
    assert not path.exists()
    assert "Traceback" not in errors
    assert served.api_key not in errors
    gate.open()
    served.reset()
    expected = ["export", "--resume", *FILE, "--window", "1d", *alone, "--key", "-"]
    assert printed_command(errors)[-len(expected) :] == expected
    done = subprocess.run(
        printed_command(errors), input=served.api_key, capture_output=True, text=True,
        check=False, env=environment(BOXIS_API_KEY=""), timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == whole
    assert len(served.requests) < 7, "nothing was kept"
    assert "with those of earlier runs" in done.stderr
    assert not kept.exists()


@pytest.mark.subprocess
def test_two_at_one_file(served: Provider) -> None:
    """While one export writes a file, another one leaves it alone."""
    served.gate = gate = Gate(on_the_fifth)
    with Running("export", *WEEK, *FILE) as running:
        wait_for(lambda: gate.held)
        for more in ((), ("--resume",), ("--overwrite",)):
            result = invoke("export", *WEEK, *FILE, *more)
            assert result.exit_code == 2
            assert "calls.csv" in result.stderr
        gate.open()
        assert running.process.wait(30) == 0


@pytest.mark.subprocess
def test_ctrl_c_into_a_pipe_that_nobody_empties(served: Provider) -> None:
    """A write that is stuck does not keep the command alive."""
    with Running("export", *WEEK, "--format", "jsonl") as running:
        wait_for(lambda: len(served.requests) >= 7 and not served.in_flight)
        running.process.send_signal(signal.SIGINT)
        # Not `communicate`, which would empty the pipe.
        assert running.process.wait(30) == 130
        assert running.process.stderr is not None
        assert "is a part of the range" in running.process.stderr.read()


@pytest.mark.subprocess
def test_a_failure_after_some_was_kept(served: Provider, tmp_path: Path, whole: bytes) -> None:
    """What was fetched is kept; the printed command resumes it, with or without the range."""
    served.faults = broken_on_the_fifth
    done = boxis("export", *WEEK, *FILE, "--window", "1d", "--quiet")
    assert done.returncode == 6
    assert "window 2025-10-04 23:59:59 to 2025-10-06 00:00:00" in done.stderr
    assert "What to do:" in done.stderr
    assert " records are kept, 57% of the range" in done.stderr
    assert "--window 1d --quiet" in done.stderr
    assert not (tmp_path / "calls.csv").exists()
    again = run_printed(done.stderr)
    assert again.returncode == 4, "nothing more was kept"
    served.faults = healthy
    assert invoke("export", "--resume", *FILE, *WEEK).exit_code == 0
    assert (tmp_path / "calls.csv").read_bytes() == whole


def test_an_open_end_stays_where_it_was(served: Provider, tmp_path: Path) -> None:
    """An export up to now is resumed up to the same moment, and may repeat its --from."""
    given = ("export", "--from", "2025-10-01", "--unique-by", "leg", "--window", "30d", *FILE)
    served.faults = lambda asked: Fault.status(404) if "-12-" in str(asked.datefrom) else None
    broken = invoke(*given)
    assert broken.exit_code == 6
    served.faults = healthy
    resumed = invoke(*given, "--resume")
    assert resumed.exit_code == 0
    assert resumed.stderr.splitlines()[0] == broken.stderr.splitlines()[0]
    assert len((tmp_path / "calls.csv").read_bytes().splitlines()) == len(served.select()) + 1


def test_options_must_agree(served: Provider, tmp_path: Path, whole: bytes) -> None:
    """An unfinished export keeps its options; without --resume it is not touched."""
    served.faults = broken_on_the_fifth
    assert invoke("export", *WEEK, *FILE, "--clip", "start").exit_code == 6
    served.faults = healthy
    assert invoke("export", *WEEK, *FILE).exit_code == 2
    for given, message in (
        (("--from", "2025-10-02"), "--from is 2025-10-02 00:00:00, but was 2025-10-01 00:00:00"),
        (("--from", "2025-10-01", "--to", "today"), "--to is "),
        (("--unique-by", "uniqueid"), "--unique-by is uniqueid, but was leg"),
        (("--tenant", "VOICE-2-2"), "--tenant is VOICE-2-2, but was VOICE-29001-1"),
        (("--format", "jsonl"), "--format is jsonl, but was csv"),
        (("--formula-safe",), "--formula-safe is given, but was left out"),
        (("--month", "2025-10"), "--to is 2025-11-01 00:00:00, but was 2025-10-08 00:00:00"),
    ):
        result = invoke("export", "--resume", *FILE, *given)
        assert result.exit_code == 2
        assert message in " ".join(result.stderr.split())
    assert invoke("export", "--resume", *FILE, "--from", "2025-10-01").exit_code == 0
    assert (tmp_path / "calls.csv").read_bytes() == whole


def test_a_long_value_in_the_journal(served: Provider, tmp_path: Path) -> None:
    """Whoever can write the folder fills no screen: a recorded value is shortened."""
    served.faults = broken_on_the_fifth
    assert invoke("export", *WEEK, *FILE).exit_code == 6
    for name in ("tenant", "delimiter", "unique_by", "clip"):
        edit_journal(
            tmp_path / "calls.csv",
            lambda values, name=name: values["asked"].update({name: "x" * 100_000}),  # type: ignore[misc]
        )
        option = f"--{name.replace('_', '-')}"
        given = {"delimiter": "tab", "clip": "start", "unique_by": "leg"}.get(name, "VOICE-2-2")
        result = invoke("export", "--resume", *FILE, option, given)
        assert result.exit_code == 2
        assert len(result.stderr) < 2_000


def test_a_nightly_job_may_always_resume(served: Provider, tmp_path: Path, whole: bytes) -> None:
    """With a range, --resume starts where there is nothing to resume."""
    assert served.requests == []
    assert invoke("export", "--resume", *FILE, *WEEK).exit_code == 0
    assert (tmp_path / "calls.csv").read_bytes() == whole
    again = invoke("export", "--resume", *FILE, *WEEK)
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    assert invoke("export", "--resume", "--overwrite", *FILE, *WEEK).exit_code == 0


def test_starting_again(served: Provider, tmp_path: Path, whole: bytes) -> None:
    """--overwrite drops what is unfinished; where nothing was kept, it is not needed."""
    served.faults = broken_on_the_fifth
    assert invoke("export", *WEEK, *FILE).exit_code == 6
    served.faults = lambda _: Fault.refuse("no such day")
    assert invoke("export", *WEEK, *FILE, "--overwrite").exit_code == 5
    served.faults = healthy
    assert invoke("export", *WEEK, *FILE).exit_code == 0
    assert (tmp_path / "calls.csv").read_bytes() == whole


def test_another_tenant(
    served: Provider, tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export of one tenant is not resumed for another, wherever that one is set."""
    served.faults = broken_on_the_fifth
    assert invoke("export", *WEEK, *FILE).exit_code == 6
    served.faults = healthy
    monkeypatch.setenv("BOXIS_TENANT", "VOICE-OTHER")
    refused = invoke("export", "--resume", *FILE)
    assert refused.exit_code == 2
    assert f"of tenant {served.tenant}, and BOXIS_TENANT says VOICE-OTHER" in refused.stderr
    assert invoke("export", "--resume", *FILE, "--tenant", "VOICE-OTHER").exit_code == 2
    assert invoke("export", "--resume", *FILE, "--tenant", served.tenant).exit_code == 0
    assert (tmp_path / "calls.csv").read_bytes() == whole
    complete = invoke("export", "--resume", *FILE, "--tenant", served.tenant)
    assert complete.exit_code == 2
    assert "calls.csv is complete" in complete.stderr


def test_nothing_is_kept(served: Provider, tmp_path: Path) -> None:
    """What fails before anything is kept leaves nothing, and is simply run again."""
    served.faults = lambda _: Fault.refuse("no")
    refused = invoke("export", *WEEK, *FILE)
    assert refused.exit_code == 5
    assert "Resume it" not in refused.stderr
    assert list(tmp_path.glob("calls*")) == []
    served.faults = healthy
    assert invoke("export", *WEEK, *FILE).exit_code == 0


@pytest.mark.usefixtures("contract")
def test_keep_going(served: Provider, tmp_path: Path, whole: bytes) -> None:
    """The other windows are fetched and kept; the file appears once all are there."""
    served.faults = broken_on_the_fifth
    result = invoke("export", *WEEK, *FILE, "--keep-going")
    assert result.exit_code == 6
    assert "85% of the range" in result.stderr
    assert "2025-10-04 23:59:59 to 2025-10-06 00:00:00" in result.stderr
    assert not (tmp_path / "calls.csv").exists()
    served.faults = healthy
    served.reset()
    assert invoke("export", "--resume", *FILE).exit_code == 0
    assert len(served.requests) == 1
    lines = (tmp_path / "calls.csv").read_bytes().splitlines()
    assert sorted(lines) == sorted(whole.splitlines())


CHECKPOINTS_OFTEN = """
import runpy
import boxis_async.export.checkpoints as checkpoints
checkpoints._INTERVAL = checkpoints._PAUSE_FACTOR = 0
runpy.run_module("boxis_async", run_name="__main__", alter_sys=True)
"""


@pytest.mark.subprocess
def test_a_disk_that_fills_up(served: Provider, tmp_path: Path, whole: bytes) -> None:
    """What was written before is kept, and the export can be resumed once there is room."""
    resource = pytest.importorskip("resource")
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (len(whole) // 2, len(whole)))
    done = boxis("export", *WEEK, *FILE, begun_by=["-c", CHECKPOINTS_OFTEN], preexec_fn=limit)
    assert done.returncode == 6
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert served.requests
    assert run_printed(done.stderr).returncode == 0
    assert (tmp_path / "calls.csv").read_bytes() == whole
