"""Rows as the provider sends them, read as the client reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from boxis_async import CDR
from boxis_async._wire.records import Fingerprinter, make_converter
from boxis_async._wire.wallclock import WallClock

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def legs_of(rows: Iterable[Mapping[str, str | None]]) -> list[CDR]:
    """Read rows."""
    converter = make_converter(WallClock(ZoneInfo("Europe/Zurich")), Fingerprinter(b"key"))
    return [converter.structure(row, CDR) for row in rows]
