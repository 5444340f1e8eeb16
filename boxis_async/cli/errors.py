"""How a command ends when something is wrong: a message, what to do, and the exit code."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, Final, Self

import click

from boxis_async import (
    AttemptTimeoutError,
    AuthenticationError,
    BadAnswerError,
    BoxisError,
    ClockError,
    ConnectionFailedError,
    ContractError,
    LateLegError,
    RecordError,
    RefusedError,
    StatusError,
    TooLargeError,
)

from .exit_codes import ExitCode, exit_code_of, root_cause
from .messages import plural, them
from .output import show
from .wording import in_options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from boxis_async import Reject

__all__ = [
    "CommandError",
    "CredentialsError",
    "ProfileError",
    "advice_for",
    "is_of_a_record",
    "lacks_rejects",
]

# The first that fits counts, so a subclass comes before its base.
_ADVICE: Final[tuple[tuple[type[BoxisError], str], ...]] = (
    (AuthenticationError, "check the username and the API key: boxis check"),
    (ClockError, "set this computer's clock"),
    (
        RefusedError,
        "if the text is about your account, check username, key and tenant: boxis check",
    ),
    (ConnectionFailedError, "check the network and --base-url: boxis check"),
    (AttemptTimeoutError, "try again later, or with shorter windows: --window 1h"),
    (StatusError, "try again later; boxis check shows whether the address is right"),
    (ContractError, "probe the provider, and put what it prints in the profile: boxis probe"),
    (TooLargeError, "try shorter windows: --window 1h"),
    (
        RecordError,
        "ask the provider about this record; export and stats leave it out with --keep-going",
    ),
    (LateLegError, "keep calls open for longer: --margin 12h"),
    (BadAnswerError, "try again later, or with shorter windows: --window 1h"),
)


class CommandError(click.ClickException):
    """Ends a command with a message, advice and an exit code.

    Attributes:
        code: The exit code.
        advice: What the user can do about it.
        on_show: Called after both are shown, to write what was kept.
    """

    def __init__(
        self, message: str, *, exit_code: int = ExitCode.OTHER, advice: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = exit_code
        self.advice = advice
        self.on_show: Callable[[], None] | None = None

    @classmethod
    def from_library(cls, error: BoxisError, *, exit_code: int | None = None) -> CommandError:
        """Make one of an error of the library; its exit code may be overruled."""
        code = exit_code_of(error) if exit_code is None else exit_code
        return cls(in_options(str(error)), exit_code=code, advice=advice_for(error))

    def suggest(self, lead: str, command: str) -> Self:
        """Let a command follow, on a line of its own, to be pasted."""

        def show_command() -> None:
            show(f"{lead}:", wraps=False)
            show(f"  {command}", wraps=False)

        self.on_show = show_command
        return self

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the message and the advice to standard error."""
        show(f"Error: {self.message}", file=file)
        if self.advice:
            show(f"What to do: {self.advice}", file=file)
        if self.on_show:
            self.on_show()


class CredentialsError(CommandError):
    """The credentials are missing, or are not safe where they are."""

    def __init__(self, message: str, *, advice: str) -> None:
        super().__init__(message, exit_code=ExitCode.CREDENTIALS, advice=advice)


class ProfileError(click.UsageError):
    """The profile is missing, or cannot be understood."""


def is_of_a_record(error: Exception) -> bool:
    """Report whether the cause is a record that cannot be read, so that --keep-going helps."""
    return isinstance(error, BoxisError) and isinstance(root_cause(error), RecordError)


def lacks_rejects(
    rejects: Sequence[Reject], what: str, file: str | None, *, before: str = ""
) -> CommandError:
    """Return how a command ends that left out records which cannot be read: as partial.

    Args:
        rejects: The records.
        what: What is without them, such as "The output lacks".
        file: Where they were written to; None if they were not.
        before: What else is wrong, and comes first.
    """
    it = them(len(rejects))
    where, advice = f"{what} {it}", f"ask the provider about {it}"
    if file is None:
        advice += f"; to have {it} in a file, as sent: --rejects FILE"
    else:
        where += f"; {file} has {it}, as sent, and why"
    return CommandError(
        f"{before}{plural(len(rejects), 'record')} could not be read. {where}. "
        f"The first: {rejects[0]}",
        exit_code=ExitCode.PARTIAL,
        advice=advice,
    )


def advice_for(error: BoxisError) -> str | None:
    """Return what the user can do about an error of the library, where there is something."""
    cause = root_cause(error)
    return next((advice for kind, advice in _ADVICE if isinstance(cause, kind)), None)
