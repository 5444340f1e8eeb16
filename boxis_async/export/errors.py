"""What can go wrong with an export; each is one of the library's own errors."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from boxis_async import BoxisError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boxis_async import CDRStream, WindowError

__all__ = [
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


class UnfitValueError(BoxisError):
    """The format cannot hold a value, such as a number of 30 digits in a Parquet file."""


class IncompleteExportError(BoxisError):
    """Windows failed, and the others were fetched (`on_error="collect"`).

    The file is absent. The records that were fetched are kept beside it, and `resume=True` fetches
    the windows that failed.

    Attributes:
        failures: The windows that failed, with their errors.
    """

    def __init__(self, message: str, *, failures: Sequence[WindowError]) -> None:
        super().__init__(message)
        self.failures = tuple(failures)

    def __reduce__(self) -> tuple[object, ...]:
        # By default an exception is made again from its positional arguments alone.
        return partial(type(self), failures=self.failures), (str(self),)


def raise_for_failures(stream: CDRStream) -> None:
    """Refuse to end an export as complete if windows of its stream failed.

    Raises:
        IncompleteExportError: Windows failed.
    """
    if failures := stream.failures:
        raise IncompleteExportError(
            f"{len(failures)} of the range's windows failed, the first: {failures[0]}",
            failures=failures,
        )
