"""The tenants of the fleet's tests, and how their rows are compared with a data set."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from boxis_async.testing import Row

FIRST, LAST = date(2025, 1, 1), date(2025, 4, 1)
# A number, too: readers guess the types of folders' names.
TENANTS = ("VOICE-1", "VOICE-2", "00123")


def legs_of(rows: Iterable[Row]) -> Counter[tuple[str, str]]:
    """Name each leg of a provider's rows."""
    return Counter((str(row["uniqueid"]), str(row["sequence"])) for row in rows)


def names_in(folder: Path) -> list[str]:
    """List what is in a folder."""
    return sorted(path.name for path in folder.iterdir())
