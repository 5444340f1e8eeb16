"""What strangers chose, such as a caller's name, as the page shows it: harmless, and not too long.

The template escapes what HTML would obey. Here we write out what a browser would obey beyond that,
such as marks that turn the direction of a text, and cut what would fill the page.
"""

from __future__ import annotations

import re
from typing import Final

from boxis_async import printable

__all__ = ["Shown"]

_LONGEST: Final = 60
_KEPT_DIGITS: Final = 3
# An extension, or an emergency number, belongs to nobody.
_NUMBER = re.compile(r"\+?\d(?:[\s().\-/]*\d){5,}")
_MASK: Final = "•••"


class Shown:
    """Writes texts of strangers for a page.

    Args:
        redact: Whether numbers are masked, and names of callers left out.
    """

    def __init__(self, *, redact: bool) -> None:
        self.redacts = redact

    def text(self, text: str) -> str:
        """Write a text that may hold a number, such as who answered."""
        if self.redacts:
            text = _NUMBER.sub(_masked, text)
        # Before it is cut: half of a character's escape would be no text.
        text = printable(" ".join(text[: 2 * _LONGEST].split()))
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"

    def name(self, name: str) -> str:
        """Write the name of a caller."""
        return "" if self.redacts else self.text(name)


def _masked(found: re.Match[str]) -> str:
    return _MASK + re.sub(r"\D", "", found[0])[-_KEPT_DIGITS:]
