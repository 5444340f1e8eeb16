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

from functools import partial
from typing import TYPE_CHECKING

from boxis_async import BoxisError

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "MirrorBusyError",
    "MirrorContractError",
    "MirrorDatabaseError",
    "MirrorError",
    "MirrorLeaseLostError",
    "MirrorMismatchError",
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
