"""The errors of httpx, of the system and of lent transports, made fit to be kept behind ours.

httpx hangs the request on its errors, and the frames of their tracebacks refer to it too: the
signed form would stand behind every error that somebody keeps. So we cut off the tracebacks, and
keep an error as a cause only if it holds nothing but texts and numbers. We never clear frames: one
error may be raised to several tasks, as HTTP/2 does for a broken connection, and to clear the frame
of a task that is still cleaning up would end it there (python/cpython issue 79932).
"""

from __future__ import annotations

import socket
import ssl
from types import NoneType
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["chain", "fit_to_keep", "message_of", "no_such_host", "untrusted"]

_PLAIN: Final = (str, int, float, NoneType)
_NO_SUCH_HOST: Final = frozenset(
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA") if hasattr(socket, name)
)


def chain(error: BaseException) -> Iterator[BaseException]:
    """Iterate over an error and all that stand behind it or in it, each once."""
    left, seen = [error], {id(error)}
    while left:
        yield (found := left.pop())
        for other in (found.__cause__, found.__context__, *_held(found)):
            if isinstance(other, BaseException) and id(other) not in seen:
                seen.add(id(other))
                left.append(other)


def untrusted(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """Find the refusal of a certificate behind an error."""
    return next((e for e in chain(error) if isinstance(e, ssl.SSLCertVerificationError)), None)


def no_such_host(error: BaseException) -> bool:
    """Report whether an error says for certain that a host has no address.

    A resolver that does not answer says so in another way (`EAI_AGAIN`), and that passes.
    """
    return any(isinstance(e, socket.gaierror) and e.errno in _NO_SUCH_HOST for e in chain(error))


def message_of(what: str, error: BaseException) -> str:
    """Say what happened, and by which foreign error."""
    return f"{what}: {type(error).__name__}" + (f", {error}" if str(error) else "")


def fit_to_keep(error: BaseException, holds_secret: Callable[[str], bool]) -> BaseException | None:
    """Cut off what an error and those behind it refer to; None if it holds more than plain values.

    Args:
        error: The error, which nobody raises again.
        holds_secret: Whether a text has something of the form in it.
    """

    def is_plain(value: object) -> bool:
        if isinstance(value, str):
            return not holds_secret(value)
        return isinstance(value, _PLAIN) or id(value) in fit

    found = list(chain(error))
    # httpcore's errors hold the errors that they stand for: none is fit that holds an unfit one.
    fit = {id(e) for e in found}
    while unfit := {id(e) for e in found if id(e) in fit and not all(map(is_plain, _held(e)))}:
        fit -= unfit
    for e in found:
        if id(e) in fit:
            e.__traceback__ = None
            is_suppressed = e.__suppress_context__
            e.__cause__ = e.__cause__ if id(e.__cause__) in fit else None
            e.__context__ = e.__context__ if id(e.__context__) in fit else None
            e.__suppress_context__ = is_suppressed
    return error if id(error) in fit else None


def _held(error: BaseException) -> list[object]:
    """List what an error holds, beside its traceback and the errors behind it."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        values: list[object] = [group.message, *group.exceptions, *vars(error).values()]
    else:
        values = [*error.args, *vars(error).values()]
    held: list[object] = []
    for value in values:
        # Notes come as a list.
        held += cast("list[object]", value) if isinstance(value, list) else [value]
    return held
