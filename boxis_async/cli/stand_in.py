"""The account of the stand-in provider that `boxis serve` and `boxis demo` run."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from .errors import CommandError

__all__ = ["API_KEY", "TENANT", "USERNAME", "require_server"]

# Made up, and printed: it opens nothing but the stand-in.
USERNAME: Final = "demo@example.com"
API_KEY: Final = "demo-key"
TENANT: Final = "VOICE-29001-1"


def require_server() -> None:
    """Check that the stand-in's HTTP server is installed.

    Raises:
        CommandError: It is not; the message names the extra.
    """
    if find_spec("uvicorn") is None:
        raise CommandError(
            'the stand-in\'s HTTP server is not installed: pip install "boxis-async[cli]"'
        )
