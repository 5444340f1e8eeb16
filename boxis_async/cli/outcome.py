"""How a command ends: which exit code an error has, what it says, and what to do about it."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, Final

import click

from boxis_async import (
    AttemptTimeoutError,
    AuthenticationError,
    BadAnswerError,
    BoxisError,
    ClockError,
    ConnectionFailedError,
    MissingExtraError,
    NoAnswerError,
    RecordError,
    RefusedError,
    StatusError,
    TooLargeError,
    UsageError,
    WindowError,
)
from boxis_async.export import IncompleteExportError

from .tell import flowing

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "CODES",
    "CREDENTIALS",
    "DONE",
    "ELSE",
    "INTERRUPTED",
    "NETWORK",
    "PARTIAL",
    "UNUSABLE",
    "USAGE",
    "CredentialsError",
    "Failure",
    "code_of",
    "cure_of",
    "failure_of",
]

DONE: Final = 0
ELSE: Final = 1
USAGE: Final = 2
CREDENTIALS: Final = 3
NETWORK: Final = 4
UNUSABLE: Final = 5
PARTIAL: Final = 6
INTERRUPTED: Final = 130

CODES: Final = (
    "Exit codes: 0 done; 2 usage; 3 credentials; 4 network: no answer, or HTTP status; 5 answer "
    "unusable; 6 partial; 130 Ctrl-C; 143 SIGTERM; 1 else."
)

# The first that fits, so a subclass stands before its base.
_CODES: Final[tuple[tuple[type[BoxisError], int], ...]] = (
    (MissingExtraError, ELSE),
    (UsageError, USAGE),
    (AuthenticationError, CREDENTIALS),
    (StatusError, NETWORK),
    (NoAnswerError, NETWORK),
    (BadAnswerError, UNUSABLE),
    (RefusedError, UNUSABLE),
)
_CURES: Final[tuple[tuple[type[BoxisError], str], ...]] = (
    (AuthenticationError, "check the username and the API key: boxis check"),
    (ClockError, "set this computer's clock"),
    (RefusedError, "if this speaks of who asks, check username, key and tenant: boxis check"),
    (ConnectionFailedError, "check the network and --base-url: boxis check"),
    (AttemptTimeoutError, "try again later, or with shorter windows: --window 1h"),
    (StatusError, "try again later; boxis check tells whether the address is right"),
    (TooLargeError, "try shorter windows: --window 1h"),
    (RecordError, "the record is the provider's: ask them, or go on without it, --keep-going"),
    (BadAnswerError, "try again later, or with shorter windows: --window 1h"),
)


class Failure(click.ClickException):
    """The end of a command: what happened, what to do, and the exit code."""

    def __init__(self, message: str, *, code: int = ELSE, cure: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.cure = cure
        self.last_words: Callable[[], None] | None = None

    def show(self, file: IO[Any] | None = None) -> None:
        """Say it on standard error."""
        click.echo(flowing(f"Error: {self.message}"), file=file, err=True)
        if self.cure:
            click.echo(flowing(f"What to do: {self.cure}"), file=file, err=True)
        if self.last_words:
            self.last_words()


class CredentialsError(Failure):
    """The credentials are missing, or are not safe where they are."""

    def __init__(self, message: str, *, cure: str) -> None:
        super().__init__(message, code=CREDENTIALS, cure=cure)


def code_of(error: BoxisError) -> int:
    """Give the exit code for an error of the library.

    A window is judged by its cause, and several that failed by the first of them.
    """
    judged = _judged(error)
    return next((code for kind, code in _CODES if isinstance(judged, kind)), ELSE)


def cure_of(error: BoxisError) -> str | None:
    """Say what to do about an error of the library, where there is something to do."""
    judged = _judged(error)
    return next((cure for kind, cure in _CURES if isinstance(judged, kind)), None)


def failure_of(error: BoxisError, *, code: int | None = None) -> Failure:
    """Give the end of a command for an error of the library; a code of one's own stands."""
    return Failure(str(error), code=code_of(error) if code is None else code, cure=cure_of(error))


def _judged(error: BoxisError) -> BoxisError:
    if isinstance(error, IncompleteExportError) and error.failures:
        error = error.failures[0]
    cause = error.cause if isinstance(error, WindowError) else None
    return cause if isinstance(cause, BoxisError) else error
