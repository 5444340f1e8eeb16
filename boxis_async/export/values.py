"""The values that users get: `Exported` of an export that ended, `Unfinished` of one that did not.

The annotations are no strings (no `from __future__ import annotations`). A string would be looked
up in the module that `__module__` names, which is the package, and most of these names are not in
there: `typing.get_type_hints()` and cattrs would fail.
"""

from datetime import date
from pathlib import Path

import attrs

from boxis_async import Stats
from boxis_async.export.columns import Rows
from boxis_async.export.formats import Format

__all__ = ["Exported", "Unfinished"]


@attrs.frozen(kw_only=True)
class Exported:
    """The result of an export."""

    path: Path | None
    """The file; None for a file that the caller opened."""
    records: int
    """All rows in the file, legs or calls, those of earlier runs included."""
    conflicts: int
    """Records left out in all runs that were no copies; `unique_by="leg"` keeps them. A run that
    resumes counts further versions of what an earlier run wrote, which `Stats` calls revisions."""
    stats: Stats
    """The statistics of this run."""
    rejects: int = 0
    """Records that could not be read, so that they are not in the file."""
    rejects_path: Path | None = None
    """The file of those records (`write_rejects`); None if there are none, or if the caller opened
    the file."""
    resumed: bool = False
    """Whether this run continued an unfinished export."""


@attrs.frozen(kw_only=True)
class Unfinished:
    """An export that began and did not end: its query, and how far it is.

    Call `export` with the same query and `resume=True` to continue it.
    """

    datefrom: date | None
    """The start of the range, as it was given."""
    dateto: date | None
    """The end of the range; of a range without an end, the wall-clock time that "now" was."""
    tenant: str | None
    """The tenant; None, the client's own, in a journal of an earlier version."""
    format: Format
    formula_safe: bool = False
    unique_by: str
    """`"uniqueid"`, `"leg"`, or the name of a function."""
    clip: str | None
    rows: Rows = "legs"
    columns: tuple[str, ...] | str | None = None
    """The columns, where they were chosen."""
    delimiter: str = ","
    bom: bool = False
    local_times: bool = False
    decimal_comma: bool = False
    records: int = 0
    """Records that are kept."""
    covered: float = 0.0
    """The share of the range, from 0 to 1, that is done."""

    @property
    def percent(self) -> int:
        """`covered` in whole per cent, rounded down: 100 only where nothing is missing."""
        return Stats(covered=self.covered).percent
