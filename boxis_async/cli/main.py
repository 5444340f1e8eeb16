"""The command `boxis`: the group of its commands, and the exit code with which each ends."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

import click

from boxis_async import BoxisError, __version__, printable

from .calls import calls
from .check import check
from .completion import completion
from .demo import demo
from .errors import CommandError
from .exit_codes import SUMMARY, ExitCode
from .export import export
from .fleet import fleet
from .init import init
from .logs import without_logs
from .mirror import mirror
from .option_groups import OrderedGroup
from .output import wrap
from .plan import plan
from .probe import probe
from .report import report
from .serve import serve
from .signals import SignalError
from .stats import stats
from .watch import watch

__all__ = ["boxis"]


# A group without a command ends with its help, as an error of several lines, all of them our own.
# The click of before 8.2 has no such error.
_HELP: type[click.UsageError] | tuple[()] = getattr(click.exceptions, "NoArgsIsHelpError", ())


class BoxisGroup(OrderedGroup):
    """Turns what a command raises into an exit code, and into a few lines where it failed."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as click has it
        """Run a command; a reader that goes away, as of `--help | head`, is not a failure."""
        try:
            return super().main(*args, **kwargs)
        except BrokenPipeError:
            _close_stdout()
            sys.exit(ExitCode.DONE)
        except OSError as error:
            # As of `--help` to a full disk, which click writes while it reads the options.
            _close_stdout()
            CommandError(_in_words(error)).show()
            sys.exit(ExitCode.OTHER)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options before the command."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if isinstance(error, _HELP) or printable(error.message) == error.message:
                raise
            raise _printable(error) from None

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click has it
        """Run a command, and end the process with its exit code."""
        try:
            return super().invoke(ctx)
        except BoxisError as error:
            _fail(ctx, CommandError.from_library(error))
        except CommandError as error:
            _fail(ctx, error)
        except click.UsageError as error:
            if isinstance(error, _HELP):
                raise
            raise _printable(error) from None
        except SignalError as error:
            ctx.exit(error.exit_code)
        except (KeyboardInterrupt, click.Abort):
            ctx.exit(ExitCode.INTERRUPTED)
        except BrokenPipeError:
            _close_stdout()
            ctx.exit(ExitCode.DONE)
        except OSError as error:
            _close_stdout()
            _fail(ctx, CommandError(_in_words(error)))


def _printable(error: click.UsageError) -> click.UsageError:
    """Give an error whose text, which may hold anybody's, does no more than be shown."""
    text = wrap(f"Error: {error.format_message()}").removeprefix("Error: ")
    return click.UsageError(text, ctx=error.ctx)


def _in_words(error: OSError) -> str:
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}"


def _fail(ctx: click.Context, error: CommandError) -> None:
    error.show()
    ctx.exit(error.code)


def _close_stdout() -> None:
    """Point standard output at nothing, so that flushing it at the end does not fail again.

    Python would end with the exit code 120 then, and write of an "exception ignored".
    """
    # Under a test runner standard output is not a file, and nothing has to be done.
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(
    cls=BoxisGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog=SUMMARY,
)
@click.version_option(__version__, message="boxis_async %(version)s")
@click.pass_context
def boxis(ctx: click.Context) -> None:
    """Call detail records of the Boxis telephony API.

    \b
    Try it without an account:  boxis demo
    Set up your account:        boxis init
    Then:  boxis export --month 2026-10 --unique-by leg -o october.csv
    """  # noqa: D301 - \b keeps click from wrapping
    ctx.with_resource(without_logs())


for _command in (
    *(calls, stats, report, export, mirror, watch, fleet, plan),
    *(init, check, probe, serve, demo, completion),
):
    boxis.add_command(_command)
