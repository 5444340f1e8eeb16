"""The exit codes of `boxis`, and which of them an error of the library has."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from boxis_async import (
    AuthenticationError,
    BadAnswerError,
    BoxisError,
    MissingExtraError,
    NoAnswerError,
    RefusedError,
    StatusError,
    UsageError,
    WindowError,
)
from boxis_async.export import IncompleteExportError

__all__ = ["SUMMARY", "ExitCode", "exit_code_of", "root_cause"]


class ExitCode(IntEnum):
    """How a command ended; scripts rely on these numbers."""

    DONE = 0
    OTHER = 1
    """Anything that has no code of its own: a full disk, an extra that is not installed."""
    USAGE = 2
    """A wrong option or range; click has the same code for it."""
    CREDENTIALS = 3
    NETWORK = 4
    """No answer, or an HTTP status in place of one."""
    UNUSABLE_ANSWER = 5
    PARTIAL = 6
    """Some of the records are there, and others are not."""
    CONTRADICTION = 7
    """The provider does otherwise than the profile's contract says, or has other legs than the
    mirror that is verified."""
    BUSY = 8
    """Another sync of the same mirror is at work."""
    STALE = 9
    """The last good sync is older than `--max-age` allows."""
    INTERRUPTED = 130
    """Ctrl-C; as shells have it, 128 and the number of the signal."""
    TERMINATED = 143
    """SIGTERM."""


SUMMARY: Final = (
    f"Exit codes: {ExitCode.DONE:d} done; {ExitCode.USAGE:d} usage; {ExitCode.CREDENTIALS:d} "
    f"credentials; {ExitCode.NETWORK:d} network: no answer, or HTTP status; "
    f"{ExitCode.UNUSABLE_ANSWER:d} unusable answer; {ExitCode.PARTIAL:d} partial; "
    f"{ExitCode.CONTRADICTION:d} contradiction; {ExitCode.BUSY:d} busy; {ExitCode.STALE:d} stale; "
    f"{ExitCode.INTERRUPTED:d} Ctrl-C; {ExitCode.TERMINATED:d} SIGTERM; {ExitCode.OTHER:d} other."
)

# The first that fits counts, so a subclass comes before its base.
_EXIT_CODES: Final[tuple[tuple[type[BoxisError], ExitCode], ...]] = (
    (MissingExtraError, ExitCode.OTHER),
    (UsageError, ExitCode.USAGE),
    (AuthenticationError, ExitCode.CREDENTIALS),
    (StatusError, ExitCode.NETWORK),
    (NoAnswerError, ExitCode.NETWORK),
    (BadAnswerError, ExitCode.UNUSABLE_ANSWER),
    (RefusedError, ExitCode.UNUSABLE_ANSWER),
)


def exit_code_of(error: BoxisError) -> ExitCode:
    """Return the exit code for an error of the library, judged by its root cause."""
    cause = root_cause(error)
    return next((code for kind, code in _EXIT_CODES if isinstance(cause, kind)), ExitCode.OTHER)


def root_cause(error: BoxisError) -> BoxisError:
    """Return why a window failed, or of several that failed, why the first of them did."""
    if isinstance(error, IncompleteExportError) and error.failures:
        error = error.failures[0]
    cause = error.cause if isinstance(error, WindowError) else None
    return cause if isinstance(cause, BoxisError) else error
