"""Standard streams that are closed or full: a failure says so in a line, and never a traceback."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from commands import WITHIN, environment

if TYPE_CHECKING:
    from pathlib import Path

    from boxis_async.testing import Provider

pytestmark = [
    pytest.mark.slow,
    pytest.mark.subprocess,
    pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX closes the streams"),
    pytest.mark.usefixtures("contract"),
]

DAY = "--day 2025-10-01 --quiet"


def run(command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of a shell in which `$boxis` is ours."""
    return subprocess.run(
        ["/bin/sh", "-c", command],
        env=environment(boxis=f"{sys.executable} -W error -m boxis_async"),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=WITHIN,
        check=False,
        text=True,
    )


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("command", ["--help", f"export {DAY}", f"stats --json {DAY}"])
@pytest.mark.parametrize("target", ["> /dev/full", ">&-"], ids=["full", "closed"])
def test_figures_that_nobody_gets_are_a_failure(command: str, target: str) -> None:
    """Where standard output takes nothing, the command fails, and says why in one line."""
    found = run(f"$boxis {command} {target}")
    assert (found.returncode, found.stdout) == (1, "")
    (line,) = found.stderr.splitlines()
    assert line in {"Error: No space left on device", "Error: Bad file descriptor"}


def test_a_file_needs_no_streams(served: Provider, tmp_path: Path) -> None:
    """What is written to a file is whole without standard streams, as a supervisor may start it."""
    found = run(f"$boxis export {DAY} --unique-by leg -o calls.jsonl <&- >&- 2>&-")
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    legs = [row for row in served.select() if str(row["start"]).startswith("2025-10-01")]
    assert len((tmp_path / "calls.jsonl").read_bytes().splitlines()) == len(legs)


@pytest.mark.usefixtures("served")
def test_a_closed_input_is_an_empty_one() -> None:
    """A key that is to be read from a closed standard input is no key."""
    found = run(f"$boxis stats {DAY} --key - <&-")
    assert found.returncode == 3
    assert "no API key" in found.stderr
    assert "Traceback" not in found.stderr
