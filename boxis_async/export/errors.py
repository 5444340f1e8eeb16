"""What can go wrong with an export; each is one of the library's own errors."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from boxis_async import BoxisError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boxis_async import CDRStream, Reject, WindowError

__all__ = [
    "DamagedError",
    "ExportBusyError",
    "ExportExistsError",
    "IncompleteExportError",
    "UnfitValueError",
    "raise_for_failures",
]


class ExportExistsError(UsageError):
    """The file exists, or an unfinished export of it, and no argument says what to do."""


class ExportBusyError(UsageError):
    """Another export to the same file is running, in this process or in another one."""


class DamagedError(Exception):
    """A file of an unfinished export is not what was written; users get a `UsageError` of it."""


class UnfitValueError(BoxisError):
    """The format cannot hold a value, such as a number of 30 digits in a Parquet file."""


class IncompleteExportError(BoxisError):
    """Windows failed, and the others were fetched (`on_error="collect"`).

    The file is absent. The records that were fetched are kept beside it, and `resume=True` fetches
    the windows that failed.

    Attributes:
        failures: The windows that failed, with their errors.
        rejects: The records of the other windows that could not be read. A run that resumes the
            export meets them again.
    """

    def __init__(
        self, message: str, *, failures: Sequence[WindowError], rejects: Sequence[Reject] = ()
    ) -> None:
        super().__init__(message)
        self.failures = tuple(failures)
        self.rejects = tuple(rejects)

    def __reduce__(self) -> tuple[object, ...]:
        # By default an exception is made again from its positional arguments alone.
        make = partial(type(self), failures=self.failures, rejects=self.rejects)
        return make, (str(self),)


def raise_for_failures(stream: CDRStream) -> None:
    """Refuse to end an export as complete if windows of its stream failed.

    Raises:
        IncompleteExportError: Windows failed.
    """
    if failures := stream.failures:
        rejects = stream.rejects
        message = f"{len(failures)} of the range's windows failed, the first: {failures[0]}"
        if rejects:
            message += (
                f"; and {len(rejects)} of the records could not be read, the first: {rejects[0]}"
            )
        raise IncompleteExportError(message, failures=failures, rejects=rejects)
