r"""Texts of strangers, made harmless for whatever shows them: a terminal, a log, a page.

Whoever calls chooses his own name, and the provider its error texts. A terminal obeys some of their
characters, and others make a text look like another one. The one function here writes these as JSON
would, such as `\u001b`; applied to JSON, the result is JSON with the same values.
"""

# No `from __future__ import annotations` here: the public function says that it is from
# `boxis_async`, see its `__init__.py`, and annotations that are texts would be looked up there.

import json
import re

__all__ = ["printable"]

# By Unicode's categories: controls (Cc), which move the cursor, ring, and begin a terminal's
# commands; format characters (Cf), which turn the direction of what follows or cannot be seen; the
# two separators at which some programs end a line (Zl, Zp); halves of a character (Cs), which
# cannot be encoded. And what else nobody can see: fillers, the joiner of graphemes, and most
# variation selectors. Those that only choose the form of an emoji (U+FE00 to U+FE0F) stay.
_HARMFUL = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    "\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff"
    "\uffa0\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

_PLAIN = bytes(range(0x20, 0x7F))


def printable(text: str) -> str:
    r"""Write a text so that it acts on nothing and hides nothing, wherever it is shown.

    Use it for what strangers chose, such as a caller's name, before it is printed or logged:
    control characters, line breaks, marks of direction and whatever else cannot be seen are
    written as JSON writes them, `\n` or `\u202e`. All other characters stay, backslashes too, so
    a text that is printable already stays as it is. In a page of HTML, escape it as well.

    Args:
        text: The text.
    """
    # Nearly all characters are plain ASCII. To search what is left without them takes a tenth of
    # the time that the whole text takes: 1.7 µs instead of 19 µs for a line of 1,111 characters.
    rest = text.encode("utf-8", "surrogatepass").translate(None, _PLAIN)
    if not rest or not _HARMFUL.search(rest.decode("utf-8", "surrogatepass")):
        return text
    return _HARMFUL.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]
