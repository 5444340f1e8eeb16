"""Where the process starts: without click or rich it says which extra to install."""

from __future__ import annotations

import sys
from importlib import import_module

__all__ = ["main"]

_NEEDED = ("click", "rich")
_NOT_INSTALLED = 'boxis: the command line is not installed: pip install "boxis-async[cli]"'


def main() -> int:
    """Run the command that the process was started with, and return its exit code."""
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
