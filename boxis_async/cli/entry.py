"""Where the process starts: without click or rich it says which extra to install.

A shell or a supervisor may start it with a standard stream that is closed (`>&-`). Python then has
None in its place, and the next file that is opened gets its number. So we open something there.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TextIO, cast

__all__ = ["main"]

_NEEDED = ("click", "rich")
_NOT_INSTALLED = 'boxis: the command line is not installed: pip install "boxis-async[cli]"'


def main() -> int:
    """Run the command that the process was started with, and return its exit code."""
    _open_closed_streams()
    try:
        for name in _NEEDED:
            import_module(name)
    except ImportError:
        print(_NOT_INSTALLED, file=sys.stderr)  # noqa: T201 - click is not there to say it
        return 1
    try:
        # Here, as they need what may be missing; and Ctrl-C may come while they are loaded.
        from .main import boxis  # noqa: PLC0415
        from .program import program_name  # noqa: PLC0415

        code: int = boxis.main(prog_name=program_name(), complete_var="_BOXIS_COMPLETE")
    except KeyboardInterrupt:
        return 130  # as `ExitCode.INTERRUPTED`, which may not be loaded yet
    return code


def _open_closed_streams() -> None:
    """Let closed streams be there: empty to read from, and a failure to write data to."""
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison] - where it is closed
        sys.stdin = _stream(os.O_RDONLY, "r")
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] - likewise
        # To write to what is open for reading fails, as to write to a closed stream does: figures
        # that nobody gets are no success.
        sys.stdout = _stream(os.O_RDONLY, "w")
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison] - likewise
        sys.stderr = _stream(os.O_WRONLY, "w")


def _stream(flags: int, mode: str) -> TextIO:
    # As Python's own streams it stays open until the process ends.
    return cast("TextIO", open(os.open(os.devnull, flags), mode, encoding="utf-8", closefd=False))
