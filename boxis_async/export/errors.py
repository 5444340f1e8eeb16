"""What can go wrong with a file; each is one of the library's own errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boxis_async import BoxisError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boxis_async import WindowError

__all__ = ["ExportBusyError", "ExportExistsError", "IncompleteExportError", "UnfitValueError"]


class ExportExistsError(UsageError):
    """The file is there already, or an unfinished export of it, and nothing said what to do."""


class ExportBusyError(UsageError):
    """Another process, or another task, is at work on the same file."""


class UnfitValueError(BoxisError):
    """A value that the format cannot hold, such as a number of 30 digits in a Parquet file."""


class IncompleteExportError(BoxisError):
    """Windows failed, and the rest was gone on with (`on_error="collect"`).

    The file is absent, and what was fetched stands beside it: `resume=True` fetches the rest.

    Attributes:
        failures: The windows that failed, with their errors.
    """

    def __init__(self, message: str, *, failures: Sequence[WindowError]) -> None:
        super().__init__(message)
        self.failures = tuple(failures)

    def __reduce__(self) -> tuple[object, ...]:
        return _incomplete, (str(self), self.failures)


def _incomplete(message: str, failures: Sequence[WindowError]) -> IncompleteExportError:
    return IncompleteExportError(message, failures=failures)
