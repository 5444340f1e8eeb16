"""What of a watch is handled, as a text: JSON, with a version and a checksum.

    {"version": 1, "key": "...", "tenants": {"VOICE-29001-1": {
        "from": "2026-10-01T08:00:00+00:00",      legs that ended before do not count
        "done": "2026-10-06T09:30:00+00:00",      nothing is requested from before
        "legs": "..."}}, "sum": "..."}            what was handled since then, 27 bytes a leg

The text is what a crash leaves. So it must never claim more than what was handled.
"""

from __future__ import annotations

import binascii
import json
import os
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from boxis_async._watch.seen_legs import SeenLegs
from boxis_async._wire.records import Fingerprinter
from boxis_async.errors import UsageError
from boxis_async.models import shown_value

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Handled", "HandledOfTenant"]

_VERSION: Final = 1
_KEY_SIZE: Final = 16
_SUM_SIZE: Final = 8
_CURE = "give the text as `watch.position` gave it, or begin anew without a position"


@attrs.define(eq=False)
class HandledOfTenant:
    """What is handled of one tenant."""

    origin: float
    """Legs that ended before do not count; in Unix seconds."""
    floor: float
    """Nothing is requested from before; in Unix seconds."""
    seen: SeenLegs = attrs.field(factory=SeenLegs)


class Handled:
    """What is handled of all tenants.

    Args:
        key: What the digests are keyed by; None draws one.
        tenants: What is handled of each.
    """

    def __init__(
        self, key: bytes | None = None, tenants: Mapping[str, HandledOfTenant] | None = None
    ) -> None:
        self._key = os.urandom(_KEY_SIZE) if key is None else key
        self.tenants = dict(tenants or {})
        self.is_unsaved = False
        """Whether it changed since it was saved: whoever changes it sets this."""
        self.fingerprinter = Fingerprinter(self._key)

    def to_text(self) -> str:
        """Write it."""
        content: dict[str, object] = {
            "version": _VERSION,
            "key": self._key.hex(),
            "tenants": {
                name: {
                    "from": _written(of_tenant.origin),
                    "done": _written(of_tenant.floor),
                    "legs": b64encode(of_tenant.seen.entries()).decode(),
                }
                for name, of_tenant in self.tenants.items()
            },
        }
        return json.dumps(content | {"sum": _sum_of(content)})

    @classmethod
    def from_text(cls, text: str) -> Handled:
        """Read it.

        Raises:
            UsageError: It is no such text, or a later version wrote it.
        """
        try:
            content: dict[str, Any] = json.loads(text)
            version = content["version"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise UsageError(f"position: it is not the position of a watch: {_CURE}") from None
        if version != _VERSION:
            raise UsageError(
                f"position: it is of version {shown_value(version)}, and this version of "
                f"boxis_async reads {_VERSION}: update boxis_async"
            )
        if content.pop("sum", None) != _sum_of(content):
            raise UsageError(f"position: it is damaged, its checksum does not fit: {_CURE}")
        try:
            tenants = cast("dict[str, dict[str, str]]", content["tenants"])
            return cls(
                bytes.fromhex(content["key"]),
                {name: _read(written) for name, written in tenants.items()},
            )
        except (ValueError, TypeError, KeyError, AttributeError, binascii.Error):
            raise UsageError(f"position: it lacks what a position has: {_CURE}") from None


def _read(written: Mapping[str, str]) -> HandledOfTenant:
    origin, floor = (datetime.fromisoformat(written[name]) for name in ("from", "done"))
    legs = SeenLegs(b64decode(written["legs"], validate=True))
    return HandledOfTenant(origin.timestamp(), floor.timestamp(), legs)


def _written(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def _sum_of(content: Mapping[str, object]) -> str:
    text = json.dumps(content, sort_keys=True).encode()
    return blake2b(text, digest_size=_SUM_SIZE).hexdigest()
