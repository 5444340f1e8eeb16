"""The records that could not be read: a file beside the export, a JSON object on each line.

Everything but ASCII is escaped, as people look at such a file in a terminal, and strangers chose
what is in it.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

from boxis_async.export.access import keep_access
from boxis_async.export.files import write_anew
from boxis_async.export.journal import resolve_path
from boxis_async.export.open_folder import OpenFolder

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from pathlib import Path

    from boxis_async import Reject

__all__ = ["REJECTS_FILE", "rejects_name", "rejects_path", "rejects_text", "write_rejects"]

REJECTS_FILE = "rejects.jsonl"
"""The name of the file in the folder of an unfinished export."""


def rejects_path(target: str | os.PathLike[str]) -> Path:
    """Give where an export to a file puts the records that could not be read.

    Args:
        target: The file, such as `calls.csv`: they go to `calls.csv.rejects.jsonl`.
    """
    path = resolve_path(target)
    return path.with_name(rejects_name(path))


def rejects_name(target: Path) -> str:
    """Name the file of the records that could not be read; it is beside the export's file."""
    return f"{target.name}.{REJECTS_FILE}"


def write_rejects(rejects: Iterable[Reject], path: str | os.PathLike[str]) -> None:
    """Write records that could not be read to a file, each as a JSON object on a line of its own.

    The objects have the keys `window` (its two ends, or null for everything), `position`, `field`,
    `value`, `reason` and `row`, which is the record as sent.

    Args:
        rejects: Such as `CDRStream.rejects`.
        path: The file; one that exists is replaced, and keeps its mode.

    Raises:
        OSError: It cannot be written.
    """
    target = resolve_path(path)
    with OpenFolder.of(target.parent) as place:
        is_new = place.stat(target.name) is None
        draft = f".{target.name}.{secrets.token_hex(4)}"
        try:
            write_anew(place, draft, rejects_text(rejects), mode=0o666 if is_new else 0o600)
            with place.open(draft) as file:
                keep_access(file, target.name, place)
            place.move(draft, place, target.name)
        finally:
            place.remove(draft)
        place.sync()


def rejects_text(rejects: Iterable[Reject]) -> bytes:
    """Write records that could not be read as lines of JSON."""
    return "".join(f"{_line(reject)}\n" for reject in rejects).encode("ascii")


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
