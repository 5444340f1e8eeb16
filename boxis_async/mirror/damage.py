"""Values of a database that no mirror wrote: it was damaged, or another program changed it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from boxis_async import BoxisError
from boxis_async.mirror.errors import MirrorDatabaseError

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["FOREIGN", "as_written", "not_written"]

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
