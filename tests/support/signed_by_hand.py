"""Requests as the provider's page describes them, signed without help from the library."""

from __future__ import annotations

import hashlib
import time


def form(**changes: str | None) -> dict[str, str]:
    """Build a signed `getCDR` for everything, with some parameters changed, or left out (None)."""
    stamp = changes.get("timestamp") or str(int(time.time()))
    parameters: dict[str, str | None] = {
        "version": "1.0",
        "returntype": "json",
        "timestamp": stamp,
        "username": "ops@example.com",
        "authcode": hashlib.md5((stamp + "stand-in-key").encode()).hexdigest(),
        "section": "voice",
        "action": "getCDR",
        "tenant": "VOICE-29001-1",
        "datefrom": "",
        "dateto": "",
    }
    parameters |= changes
    return {name: value for name, value in parameters.items() if value is not None}
