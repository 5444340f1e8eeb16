"""The records that could not be read: a file beside the export, a JSON object on each line.

Everything but ASCII is escaped, as people look at such a file in a terminal, and strangers chose
what is in it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from boxis_async.export.files import sync_file
from boxis_async.export.journal import resolve_path

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from boxis_async import Reject

__all__ = ["REJECTS_FILE", "rejects_path", "write_rejects"]

REJECTS_FILE = "rejects.jsonl"
"""The name of the file in the folder of an unfinished export."""


def rejects_path(target: str | os.PathLike[str]) -> Path:
    """Give where an export to a file puts the records that could not be read.

    Args:
        target: The file, such as `calls.csv`: they go to `calls.csv.rejects.jsonl`.
    """
    path = resolve_path(target)
    return path.with_name(f"{path.name}.{REJECTS_FILE}")


def write_rejects(rejects: Iterable[Reject], path: str | os.PathLike[str]) -> None:
    """Write records that could not be read to a file, each as a JSON object on a line of its own.

    The objects have the keys `window` (its two ends, or null for everything), `position`, `field`,
    `value`, `reason` and `row`, which is the record as sent.

    Args:
        rejects: Such as `CDRStream.rejects`.
        path: The file; one that exists is replaced.

    Raises:
        OSError: It cannot be written.
    """
    with Path(path).open("wb") as file:
        file.writelines(f"{_line(reject)}\n".encode("ascii") for reject in rejects)
        sync_file(file)


def _line(reject: Reject) -> str:
    ends = (reject.window.start, reject.window.end)
    return json.dumps(
        {
            "window": None if None in ends else [f"{end}" for end in ends],
            "position": reject.position,
            "field": reject.field,
            "value": reject.value,
            "reason": reject.reason,
            "row": reject.row,
        }
    )
