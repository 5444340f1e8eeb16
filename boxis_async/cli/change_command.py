"""A command that is run for each change: `boxis watch --exec`.

It gets the change as a line of JSON on standard input. One runs at a time, in order. If it fails,
it is run again with the same change, after a pause that doubles up to a minute: nothing is dropped,
and the watch's position stays before the change until the command has succeeded.
"""

from __future__ import annotations

import asyncio
import shlex
import shutil
from contextlib import suppress
from typing import Final

import click

from .messages import warn

__all__ = ["ChangeCommand"]

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_GRACE: Final = 0.4
"""Seconds that a command has after SIGTERM. All is to end within a second."""


class ChangeCommand:
    """Runs a command for each change.

    Args:
        text: The command and its arguments, quoted as in a shell; no shell is started.

    Raises:
        click.UsageError: It is empty, not quoted well, or there is no such program.
    """

    def __init__(self, text: str) -> None:
        try:
            self._words = shlex.split(text)
        except ValueError as error:
            raise click.UsageError(f"--exec: {error}: {text}") from None
        if not self._words:
            raise click.UsageError("--exec: name a command")
        if shutil.which(self._words[0]) is None:
            raise click.UsageError(f"--exec: there is no program {self._words[0]!r}")

    async def run(self, line: str) -> None:
        """Run it until it succeeds, with a line on its standard input."""
        pause = _FIRST_PAUSE
        while problem := await self._attempt(f"{line}\n".encode()):
            warn(f"{self._words[0]} {problem}; it is run again in {pause:g} s")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _attempt(self, data: bytes) -> str | None:
        """Run it once, and say how it failed."""
        try:
            # Its output goes where ours goes.
            process = await asyncio.create_subprocess_exec(
                *self._words, stdin=asyncio.subprocess.PIPE
            )
        except OSError as error:
            return f"could not be started ({error.strerror})"
        try:
            # A command that does not read has a broken pipe; its exit code says whether it failed.
            await process.communicate(data)
        finally:
            if process.returncode is None:
                await _end(process)
        return f"ended with exit code {process.returncode}" if process.returncode else None


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a command whose watch is ending: ask it to, then make it."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_GRACE):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
