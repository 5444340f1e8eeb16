"""Legs read back from the lines of JSON that `JSONLines` made of them, each as it was."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from boxis_async import CDR, Disposition, Extra
from boxis_async.export.columns import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import tzinfo

__all__ = ["read_legs"]

_AT_ONCE: Final = 1000
_MOMENTS: Final = [column.name for column in COLUMNS if column.kind == "datetime"]
_READ: Final[dict[str, Any]] = {
    "date": date.fromisoformat,
    "decimal": Decimal,
    "mapping": Extra,
    "word": Disposition,
}
_TYPED: Final = [(column.name, _READ[column.kind]) for column in COLUMNS if column.kind in _READ]
# It cannot stand inside a text, where each quote is escaped.
_START: Final = re.compile(rb'[{,]"start":"([^"]{19})')


def read_legs(file: BinaryIO, zone: tzinfo, *, in_order: bool = False) -> Iterator[list[CDR]]:
    """Read the legs of a file, some at a time.

    Args:
        file: The file, open at its beginning.
        zone: The zone of the times.
        in_order: Whether to read them in order of time, by the wall clock. A file is so already,
            but for windows that failed and were fetched later.
    """
    lines = _lines_in_order(file) if in_order else iter(file)
    while some := list(islice(lines, _AT_ONCE)):
        yield [_leg(json.loads(line), zone) for line in some]


def _lines_in_order(file: BinaryIO) -> Iterator[bytes]:
    if _is_in_order(_starts(file)):
        file.seek(0)
        yield from file
        return
    file.seek(0)
    places: list[tuple[bytes, int]] = []
    at = 0
    for line in file:
        places.append((_start(line), at))
        at += len(line)
    for _, at in sorted(places):
        file.seek(at)
        yield file.readline()


def _starts(file: BinaryIO) -> Iterator[bytes]:
    return map(_start, file)


def _start(line: bytes) -> bytes:
    found = _START.search(line)
    assert found is not None  # noqa: S101 - each leg has a start
    return found[1]


def _is_in_order(starts: Iterable[bytes]) -> bool:
    latest = b""
    for start in starts:
        if start < latest:
            return False
        latest = start
    return True


def _leg(row: dict[str, Any], zone: tzinfo) -> CDR:
    for name in _MOMENTS:
        if row[name] is not None:
            row[name] = _moment(row[name], zone)
    for name, read in _TYPED:
        if row[name] is not None:
            row[name] = read(row[name])
    return CDR(**row)


def _moment(text: str, zone: tzinfo) -> datetime:
    written = datetime.fromisoformat(text)
    found = written.replace(tzinfo=zone)
    # In the repeated hour the offset says which of the two it is. We do not convert, as that
    # fails near the years 1 and 9999.
    return found if found.utcoffset() == written.utcoffset() else found.replace(fold=1)
