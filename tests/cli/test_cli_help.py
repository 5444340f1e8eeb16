"""The help fits a screen, is quick, and every command has an example."""

from __future__ import annotations

import subprocess
import sys

import pytest
from commands import ROOT, environment, invoke

from boxis_async import __version__
from boxis_async.cli.main import boxis as group

COMMANDS = ["export", "stats", "plan", "check", "serve", "demo", "completion"]


def test_commands() -> None:
    """The group lists its commands, in the order in which one meets them."""
    assert list(group.commands) == COMMANDS
    listed = [line.split()[0] for line in invoke("--help").stdout.splitlines() if line[:2] == "  "]
    assert [word for word in listed if word in COMMANDS] == COMMANDS


@pytest.mark.parametrize("arguments", [[], *([command] for command in COMMANDS)])
def test_help_fits_a_screen(arguments: list[str]) -> None:
    """Each help has at most 24 lines of 80 columns, the next prompt's included, and an example."""
    result = invoke(*arguments, "--help", terminal_width=80)
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert len(lines) <= 23  # the prompt has one
    assert max(map(len, lines)) <= 80
    assert any("boxis " in line for line in lines[1:])
    assert "\b" not in result.stdout
    assert "\\b" not in result.stdout


@pytest.mark.parametrize("command", ["export", "stats", "plan"])
def test_connection_options_are_pointed_to(command: str) -> None:
    """Where they are not listed, the help says where they are; they work there all the same."""
    shown = invoke(command, "--help").stdout
    assert "boxis check --help" in shown
    assert "--concurrency" not in shown
    assert "--concurrency" in invoke("check", "--help").stdout
    assert invoke(command, "--concurrency", "0").exit_code == 2


def test_exit_codes_are_told() -> None:
    """The help of the group tells what each exit code means."""
    shown = invoke("--help").stdout
    for code in (0, 1, 2, 3, 4, 5, 6, 130, 143):
        assert f" {code} " in shown


def test_version() -> None:
    """The version is that of the library."""
    assert invoke("--version").stdout == f"boxis_async {__version__}\n"


def test_help_loads_nothing_heavy() -> None:
    """The help starts without the server, the stand-in or Arrow."""
    code = (
        "import sys; from boxis_async.cli.main import boxis\n"
        "try: boxis.main(['--help'], prog_name='boxis')\n"
        "except SystemExit: pass\n"
        "heavy = ('uvicorn', 'pyarrow', 'boxis_async.testing')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=True, env=environment(), cwd=ROOT,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("blocked", ["click", "rich"])
def test_without_the_extra(blocked: str) -> None:
    """Without click or rich one line names the extra to install, and the exit code is 1."""
    code = (
        "import sys\n"
        "from importlib.abc import MetaPathFinder\n"
        "class Absent(MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {blocked!r}: raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import runpy; sys.argv = ['boxis', '--help']\n"
        "runpy.run_module('boxis_async', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=False, env=environment(), cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 1
    assert not done.stdout
    assert done.stderr.splitlines() == [
        'boxis: the command line is not installed: pip install "boxis-async[cli]"'
    ]
