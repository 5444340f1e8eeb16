"""What can go wrong with a harvest as a whole; what fails of it is listed in `Harvested`."""

from __future__ import annotations

from boxis_async import BoxisError

__all__ = ["DataSetError", "FleetError"]


class FleetError(BoxisError):
    """The harvest cannot begin or continue: no scheduler, no worker, or no client on a worker.

    What is in the data set by then stays, and the same call fetches only the rest.
    """


class DataSetError(FleetError):
    """The data set cannot be read or written, or is another one than the harvest needs."""
