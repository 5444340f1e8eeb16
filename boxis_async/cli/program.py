"""How this program was started, so that a command that it prints can be pasted back."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

__all__ = ["command_line", "program_name"]

_SCRIPT = "boxis"
_MODULE = "boxis_async"


def program_name() -> str:
    """Return the name for usage lines: `boxis`, or `python -m boxis_async`."""
    return f"python -m {_MODULE}" if _is_module() else _SCRIPT


def command_line(*arguments: str) -> str:
    """Write a command that starts this program as it was started now, with other arguments."""
    if _is_module():
        # As typed, the interpreter's own options included.
        words = sys.orig_argv[: sys.orig_argv.index("-m") + 2]
    else:
        started, found = Path(sys.argv[0]), shutil.which(_SCRIPT)
        on_path = found is None or Path(found).resolve() == started.resolve()
        words = [_SCRIPT if on_path or started.stem != _SCRIPT else str(started)]
    return shlex.join([*words, *arguments])


def _is_module() -> bool:
    after = sys.orig_argv[sys.orig_argv.index("-m") + 1 :] if "-m" in sys.orig_argv else []
    return after[:1] == [_MODULE]
