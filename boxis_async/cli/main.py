"""The commands, their options, and what they exit with."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from . import demo

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code: 0, 1 when an extra is missing, 130 for Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m boxis_async",
        description="Call detail records of the Boxis telephony API.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demonstrate = commands.add_parser(
        "demo",
        help="fetch a quarter of made-up calls from a stand-in provider on this machine",
        description="Start a stand-in provider on loopback with a quarter of made-up calls, "
        "fetch them through the real client over real HTTP, and show what came.",
    )
    demonstrate.add_argument(
        "--calls-per-day",
        type=_positive,
        default=demo.CALLS_PER_DAY,
        metavar="N",
        help="calls to make up for each day (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    try:
        demo.run(calls_per_day=options.calls_per_day)
    except ImportError as error:
        print(f"boxis_async demo: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing more is to be flushed to them.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("give one call a day, or more")
    return number
