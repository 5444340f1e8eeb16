"""What the provider's page shows: its example answer, its example key, and how a form is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from paths import DATA

if TYPE_CHECKING:
    import httpx

KEY: Final = "BX3KwWU2SuqvoEWnjYmOibf"
"""The API key of the page's examples: long enough to be found again wherever it is shown."""

EXAMPLE: Final = (DATA / "page_example.json").read_bytes()
"""The page's example of an answer."""


def form_of(request: httpx.Request) -> dict[str, str]:
    """Read what was posted; a name that comes twice is an error."""
    pairs = parse_qsl(request.content.decode(), keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)
