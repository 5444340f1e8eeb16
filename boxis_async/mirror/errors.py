"""What can go wrong with a mirror; each is one of the library's own errors.

::

    MirrorError (BoxisError)
    ├── MirrorBusyError         another sync is at work
    ├── MirrorLeaseLostError    another sync took over, as this one was silent for too long
    ├── MirrorMismatchError     the database is a mirror of something else
    │   └── MirrorContractError ... under another meaning of the two dates
    └── MirrorDatabaseError     the database refused, is full, or went away
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from boxis_async import BoxisError

if TYPE_CHECKING:
    from collections.abc import Generator
    from datetime import datetime

__all__ = [
    "FOREIGN",
    "MirrorBusyError",
    "MirrorContractError",
    "MirrorDatabaseError",
    "MirrorError",
    "MirrorLeaseLostError",
    "MirrorMismatchError",
    "as_written",
    "not_written",
]


class MirrorError(BoxisError):
    """The root of the errors of a mirror."""


class MirrorBusyError(MirrorError):
    """Another sync of this database is at work.

    Attributes:
        holder: Who is at work: a process and its machine.
        since: Since when, in UTC; None if that is not known.
    """

    def __init__(self, holder: str, since: datetime | None) -> None:
        when = "" if since is None else f" since {since:%Y-%m-%d %H:%M:%S} UTC"
        super().__init__(
            f"another sync is at work{when}: {holder}; wait until it has ended, or let sync() wait "
            "(wait=True)"
        )
        self.holder = holder
        self.since = since

    def __reduce__(self) -> tuple[object, ...]:
        # By default an exception is made again from the one text in its arguments.
        return partial(type(self), self.holder, self.since), ()


class MirrorLeaseLostError(MirrorError):
    """Another sync took over, as this one was silent for too long; what it wrote is kept."""


class MirrorMismatchError(MirrorError):
    """The database is a mirror of another provider, or in another time zone."""


class MirrorContractError(MirrorMismatchError):
    """The database was filled under another meaning of the provider's two dates."""


class MirrorDatabaseError(MirrorError):
    """The database refused, is full, or went away. What was committed before is kept."""


FOREIGN = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError)
"""What comes of values that no mirror wrote."""


@contextmanager
def as_written(what: str) -> Generator[None]:
    """Say of values of a database that no mirror wrote them, where nothing can be made of them.

    The values themselves are not shown: they may be telephone numbers.

    Raises:
        MirrorDatabaseError: That is so.
    """
    try:
        yield
    except BoxisError:
        raise
    except FOREIGN as error:
        raise not_written(what, error) from None


def not_written(what: str, error: Exception) -> MirrorDatabaseError:
    """Make the error for values that no mirror wrote; the values are not shown in it."""
    return MirrorDatabaseError(
        f"the database holds {what} that no mirror wrote ({type(error).__name__}): it was damaged, "
        "or changed by another program; restore a copy of it, or sync the range into a new database"
    )
