"""Which version of each leg was handled, in 20 bytes a leg.

A leg is known by a digest of its name, and a version of it by a digest of its content, both of 64
bits and keyed by chance. So nobody who chooses what stands in a record can make it look like
another one. A leg is forgotten once nothing asks for it any more, by the later of its two times.
"""

from __future__ import annotations

import struct
from operator import attrgetter
from typing import TYPE_CHECKING, Final

import attrs

from boxis_async._wire.records import Fingerprinter, leg_text
from boxis_async.errors import UsageError
from boxis_async.models import CDR

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["DIGEST_SIZE", "SeenLegs", "digests_of", "last_moment"]

DIGEST_SIZE: Final = 8
_ENTRY: Final = struct.Struct(f">{DIGEST_SIZE}s{DIGEST_SIZE}sI")
_LATEST: Final = 2**32 - 1

_SPELLED = ("start", "answer", "end", "disposition", "extra")
# A field that a later version adds must not come in here as long as it is unset, or all legs would
# count as changed after an update.
_others = attrgetter(*(name for name in attrs.fields_dict(CDR) if name not in _SPELLED))


def digests_of(cdr: CDR, fingerprinter: Fingerprinter) -> tuple[bytes, bytes]:
    """Give what a leg is known by, and what its version is known by."""
    # A repr says where each value begins and ends. That of a datetime is as its zone likes it.
    content = repr(
        (
            str(cdr.start),
            None if cdr.answer is None else str(cdr.answer),
            None if cdr.end is None else str(cdr.end),
            None if cdr.disposition is None else str(cdr.disposition),
            sorted(cdr.extra.items()),
            _others(cdr),
        )
    )
    version = fingerprinter.of(content)[:DIGEST_SIZE]
    leg = fingerprinter.of(leg_text(cdr))[:DIGEST_SIZE] if cdr.uniqueid else version
    return leg, version


def last_moment(cdr: CDR) -> float:
    """Give the later of a leg's start and end, in Unix seconds; counted, where no end is there."""
    start = _moment(cdr.start)
    return max(start, start + (cdr.duration or 0) if cdr.end is None else _moment(cdr.end))


def _moment(time: datetime) -> float:
    try:
        return time.timestamp()
    except (OverflowError, ValueError, OSError):
        # Of a year that no zone knows.
        return 0.0


class SeenLegs:
    """The legs that were handled, each in the version that was handled last."""

    __slots__ = ("_versions",)

    def __init__(self, entries: bytes = b"") -> None:
        """Begin with what `entries` gave.

        Raises:
            UsageError: It is something else.
        """
        if len(entries) % _ENTRY.size:
            raise UsageError("position: it is damaged: the list of its legs ends within one")
        self._versions = {
            leg: (version, last) for leg, version, last in _ENTRY.iter_unpack(entries)
        }

    def __len__(self) -> int:
        return len(self._versions)

    def version(self, leg: bytes) -> bytes | None:
        """Give the version of a leg that was handled last; None if none was."""
        known = self._versions.get(leg)
        return None if known is None else known[0]

    def note(self, leg: bytes, version: bytes, last: float) -> None:
        """Take note that a version of a leg was handled."""
        self._versions[leg] = version, int(min(max(0.0, last), _LATEST))

    def forget_before(self, moment: float) -> None:
        """Let go of the legs that were over before a moment, in Unix seconds."""
        gone = [leg for leg, (_, last) in self._versions.items() if last < moment]
        for leg in gone:
            del self._versions[leg]

    def entries(self) -> bytes:
        """Give the legs as bytes."""
        return b"".join(
            _ENTRY.pack(leg, version, last) for leg, (version, last) in self._versions.items()
        )
