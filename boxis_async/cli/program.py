"""How this program was called, so that a command that it prints can be pasted back."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

__all__ = ["command_line", "program_name"]

_SCRIPT = "boxis"
_MODULE = "boxis_async"


def program_name() -> str:
    """Give the name for usage lines: `boxis`, or `python -m boxis_async`."""
    return f"python -m {_MODULE}" if _is_module() else _SCRIPT


def command_line(*arguments: str) -> str:
    """Write a command that runs this program, as it was called, with other arguments."""
    if _is_module():
        # As typed, the interpreter's own options included.
        words = sys.orig_argv[: sys.orig_argv.index("-m") + 2]
    else:
        called, found = Path(sys.argv[0]), shutil.which(_SCRIPT)
        on_path = found is None or Path(found).resolve() == called.resolve()
        words = [_SCRIPT if on_path or called.stem != _SCRIPT else str(called)]
    return shlex.join([*words, *arguments])


def _is_module() -> bool:
    after = sys.orig_argv[sys.orig_argv.index("-m") + 1 :] if "-m" in sys.orig_argv else []
    return after[:1] == [_MODULE]
