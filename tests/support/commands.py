"""Run the command line in tests: in this process, or as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from click.testing import CliRunner, Result
from paths import ROOT

from boxis_async.cli.main import boxis as group

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping, Sequence

    from boxis_async.testing import Provider

WITHIN = 120
"""Seconds that a process may take, or another thread; on a busy machine a start takes some."""


def invoke(*arguments: str, **settings: Any) -> Result:  # noqa: ANN401 - whatever click takes
    """Run a command in this process and capture its output; an unexpected error is raised."""
    result = CliRunner().invoke(group, list(arguments), prog_name="boxis", **settings)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def environment(**more: str) -> dict[str, str]:
    """Return the environment for a process of its own: that of this one, and the package."""
    return os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"} | more


def boxis(
    *arguments: str,
    begun_by: Sequence[str] = ("-m", "boxis_async"),
    **settings: Any,  # noqa: ANN401
) -> subprocess.CompletedProcess[Any]:
    """Run a command as a process of its own, to its end."""
    settings = {"env": environment(), "stdin": subprocess.DEVNULL, "text": True} | settings
    return subprocess.run(
        [sys.executable, "-W", "error", *begun_by, *arguments],
        capture_output=True,
        timeout=WITHIN,
        check=False,
        **settings,
    )


class Running:
    """A command in a process of its own; the process ends with the block."""

    def __init__(self, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "boxis_async", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment() if env is None else env,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate(timeout=WITHIN)

    def ended_by(self, number: signal.Signals) -> tuple[int, str, str]:
        """Send a signal, and return the exit code and both outputs."""
        self.process.send_signal(number)
        output, errors = self.process.communicate(timeout=WITHIN)
        return self.process.returncode, output, errors


def wait_for(condition: Callable[[], object]) -> None:
    """Check again and again until a condition is true in another process or thread."""
    deadline = time.monotonic() + WITHIN
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "the condition never became true"
        pause.wait(0.005)


def connection_of(provider: Provider, url: str) -> dict[str, str]:
    """Return the environment variables of a provider's account and address."""
    return {
        "BOXIS_USERNAME": provider.username,
        "BOXIS_API_KEY": provider.api_key,
        "BOXIS_TENANT": provider.tenant,
        "BOXIS_BASE_URL": url,
    }
