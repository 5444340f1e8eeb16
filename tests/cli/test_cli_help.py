"""The help: an example in every command, every option under a heading, quick to load."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.shell_completion import ShellComplete
from commands import ROOT, environment, invoke

from boxis_async import __version__
from boxis_async.cli.exit_codes import ExitCode
from boxis_async.cli.main import boxis as group

COMMANDS = [
    "calls",
    "stats",
    "report",
    "export",
    "mirror",
    "watch",
    "fleet",
    "plan",
    "init",
    "check",
    "probe",
    "serve",
    "demo",
    "completion",
]
OF_A_MIRROR = ["sync", "status", "verify", "prune", "forget"]


def test_commands() -> None:
    """The group lists its commands, in the order in which a user meets them."""
    assert list(group.commands) == COMMANDS
    listed = [line.split()[0] for line in invoke("--help").stdout.splitlines() if line[:2] == "  "]
    assert [word for word in listed if word in COMMANDS] == COMMANDS


def test_commands_of_a_mirror() -> None:
    """They are listed in the order in which a user meets them."""
    mirror = group.commands["mirror"]
    assert isinstance(mirror, click.Group)
    assert list(mirror.commands) == OF_A_MIRROR
    shown = [line.split()[0] for line in invoke("mirror").output.splitlines() if line[:3] == "  s"]
    assert shown == ["sync", "status"]


def test_a_wrong_command_names_the_right_one() -> None:
    """A word that is no command brings the one that was meant, else all of them; in groups too."""
    for words, message in (
        (["exprot"], "Did you mean 'export'?"),
        (["mirror", "statsu"], "Did you mean 'status'?"),
        (["fleet", "rum"], "Did you mean 'run'?"),
        (["mirror", "xyz"], "There are sync, status, verify, prune, forget."),
    ):
        result = invoke(*words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert message in result.stderr


@pytest.mark.parametrize("arguments", [[], ["mirror"]])
def test_a_group_alone(arguments: list[str]) -> None:
    """Without a command one sees its help, as lines, and the exit code of a wrong usage."""
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.output == invoke(*arguments, "--help").output
    assert "Error" not in result.output


@pytest.mark.parametrize(
    "arguments",
    [[], *([command] for command in COMMANDS), *(["mirror", command] for command in OF_A_MIRROR)],
)
def test_help_fits_the_width_of_a_screen(arguments: list[str]) -> None:
    """Each help has lines of at most 80 columns, and an example."""
    result = invoke(*arguments, "--help", terminal_width=80)
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert max(map(len, lines)) <= 80
    assert any("boxis " in line for line in lines[1:])
    assert "\b" not in result.stdout
    assert "\\b" not in result.stdout


@pytest.mark.parametrize("arguments", [[], ["serve"], ["demo"], ["completion"]])
def test_short_help_fits_a_screen(arguments: list[str]) -> None:
    """Without the shared options a help fits 24 lines, the next prompt's included.

    The group's may have more: it has a line for each command, and terminals have grown.
    """
    most = 23 if arguments else 34
    assert len(invoke(*arguments, "--help", terminal_width=80).stdout.splitlines()) <= most


@pytest.mark.parametrize("command", COMMANDS)
def test_no_option_is_hidden(command: str) -> None:
    """Each option of a command is in its help, `--help` itself included."""
    check_options(group.commands[command], command)


@pytest.mark.parametrize("command", OF_A_MIRROR)
def test_no_option_of_a_mirrors_commands_is_hidden(command: str) -> None:
    """So it is with the commands of a mirror; an argument is in the usage line alone."""
    mirror = group.commands["mirror"]
    assert isinstance(mirror, click.Group)
    shown = check_options(mirror.commands[command], "mirror", command)
    assert "\n  DATABASE  " not in shown


def check_options(found: click.Command, *words: str) -> str:
    shown = invoke(*words, "--help").stdout
    ctx = click.Context(found, info_name=words[-1])
    for option in found.get_params(ctx):
        assert not getattr(option, "hidden", False)
        assert not isinstance(option, click.Option) or option.opts[-1] in shown
    return shown


@pytest.mark.parametrize("command", ["calls", "export", "stats", "watch", "plan", "check", "probe"])
def test_shared_options_are_in_every_help(command: str) -> None:
    """A command that needs an account lists the connection options under a heading of their own."""
    shown = invoke(command, "--help", terminal_width=80).stdout
    _, _, section = shown.partition("\nConnection:\n")
    section, _, rest = section.partition("\n\n")
    options = [line.split()[0] for line in section.splitlines() if line.startswith("  --")]
    assert options == [
        "--profile", "--username", "--key", "--tenant", "--base-url", "--timezone", "--concurrency",
    ]  # fmt: skip
    for variable in ("PROFILE", "USERNAME", "API_KEY", "TENANT", "BASE_URL"):
        assert f"BOXIS_{variable}]" in section
    assert "-v, --verbose" in rest
    assert invoke(command, "--concurrency", "0").exit_code == 2


@pytest.mark.parametrize("command", ["calls", "export", "stats", "watch", "plan", "check", "probe"])
def test_shared_options_are_completed(command: str) -> None:
    """A shell completes the connection options of each command."""
    complete = ShellComplete(group, {}, "boxis", "_BOXIS_COMPLETE")
    found = {item.value for item in complete.get_completions([command], "--")}
    assert {"--profile", "--key", "--tenant", "--concurrency", "--verbose"} <= found


def test_exit_codes_are_in_the_help() -> None:
    """The help of the group says what each exit code means."""
    shown = " ".join(invoke("--help").stdout.split())  # a number may end a line
    assert [int(code) for code in ExitCode] == [*range(10), 130, 143]
    for code in ExitCode:
        assert f" {code:d} " in shown


def test_version() -> None:
    """The version is that of the library."""
    assert invoke("--version").stdout == f"boxis_async {__version__}\n"


@pytest.mark.subprocess
def test_help_loads_nothing_heavy() -> None:
    """The help starts without the server, the stand-in, Arrow or a database."""
    code = (
        "import sys; from boxis_async.cli.main import boxis\n"
        "try: boxis.main(['--help'], prog_name='boxis')\n"
        "except SystemExit: pass\n"
        "heavy = ('uvicorn', 'pyarrow', 'sqlalchemy', 'boxis_async.testing')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=True, env=environment(), cwd=ROOT,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.subprocess
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
