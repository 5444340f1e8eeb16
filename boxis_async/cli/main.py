"""The command `boxis`: the group of its commands, and how each of them ends."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

import click

from boxis_async import BoxisError, __version__

from .check import check
from .completion import completion
from .demo import demo
from .export import export
from .logs import hushed
from .outcome import CODES, DONE, ELSE, INTERRUPTED, Failure, code_of, failure_of
from .plan import plan
from .run import StoppedError
from .serve import serve
from .stats import stats
from .tell import flowing

__all__ = ["boxis"]


class _Boxis(click.Group):
    """Ends every command by an exit code, and by a few lines where something went wrong."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as click has it
        try:
            return super().main(*args, **kwargs)
        except BrokenPipeError:  # by the text of `--help`, say
            _leave_the_pipe()
            sys.exit(DONE)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click has it
        try:
            return super().invoke(ctx)
        except BoxisError as error:
            failure_of(error).show()
            ctx.exit(code_of(error))
        except Failure as failure:
            failure.show()
            ctx.exit(failure.code)
        except click.UsageError as error:
            text = flowing(f"Error: {error.format_message()}").removeprefix("Error: ")
            raise click.UsageError(text, ctx=error.ctx) from None
        except StoppedError as stopped:
            ctx.exit(stopped.exit_code)
        except (KeyboardInterrupt, click.Abort):
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            _leave_the_pipe()
            ctx.exit(DONE)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            Failure(f"{where}{error.strerror or error}").show()
            ctx.exit(ELSE)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the commands in the order in which one meets them."""
        del ctx
        return list(self.commands)


def _leave_the_pipe() -> None:
    """Whoever read the output has seen enough; nothing more is to be flushed to them."""
    # Where standard output is no file, as under a test runner, there is nothing to leave.
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(
    cls=_Boxis,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog=CODES,
)
@click.version_option(__version__, message="boxis_async %(version)s")
@click.pass_context
def boxis(ctx: click.Context) -> None:
    """Call detail records of the Boxis telephony API.

    \b
    See it work, without an account:  boxis demo
    With one, see that all is well:   boxis check
    Then:  boxis export --month 2026-10 --unique-by leg -o october.csv
    """  # noqa: D301 - the sign keeps click from wrapping
    ctx.with_resource(hushed())


for _command in (export, stats, plan, check, serve, demo, completion):
    boxis.add_command(_command)
