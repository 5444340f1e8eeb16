"""The text of a body, decoded piece by piece while it is read.

A parser sees a window of the text, and has more of it decoded when it needs more; what it has read
is dropped. So no step decodes a whole body, and a body of 64 MB does not stand in the memory a
second time, as text of up to four bytes a character.
"""

from __future__ import annotations

import codecs
from typing import Final

__all__ = ["BodyText"]

# Bytes that are decoded at a time: in some 10 µs, and in 6 ms if every second one is no text.
_PIECE: Final = 64 * 1024


class BodyText:
    """A window of a text: `text[at:]` is what was decoded and not read yet."""

    __slots__ = (
        "_body",
        "_decoder",
        "_dropped",
        "_is_utf_8",
        "_line_begin",
        "_lines",
        "_next",
        "at",
        "text",
    )

    def __init__(self, body: bytes, encoding: str = "utf-8", begin: int = 0) -> None:
        """Decode a body from one of its bytes on; what is no text becomes replacement characters.

        The encoding is UTF-8, or one of a byte for each character.
        """
        self._body = body
        self._decoder = codecs.getdecoder(encoding)
        self._is_utf_8 = encoding == "utf-8"
        self._next = begin
        # What was dropped: characters, line ends, and the place behind the last of these.
        self._dropped = self._lines = self._line_begin = 0
        self.text = ""
        self.at = 0

    @property
    def place(self) -> int:
        """How many characters were read."""
        return self._dropped + self.at

    def has(self, length: int) -> bool:
        """Have so many characters ahead, and report whether there are as many."""
        while len(self.text) - self.at < length:
            if self._next >= len(self._body):
                return False
            self._decode()
        return True

    def ahead(self, length: int) -> str:
        """Give the next characters, so many or all that there are."""
        self.has(length)
        return self.text[self.at : self.at + length]

    def skip(self) -> None:
        """Take for read what was decoded so far, and decode what follows."""
        self.at = len(self.text)
        self.has(1)

    def describe(self, at: int) -> str:
        """Say where a place in the window is, in the words of json."""
        lines = self._lines + self.text.count("\n", 0, at)
        line_end = self.text.rfind("\n", 0, at)
        line_begin = self._line_begin if line_end < 0 else self._dropped + line_end + 1
        place = self._dropped + at
        return f"line {lines + 1} column {place - line_begin + 1} (char {place})"

    def _decode(self) -> None:
        text, at = self.text, self.at
        line_end = text.rfind("\n", 0, at)
        if line_end >= 0:
            self._lines += text.count("\n", 0, at)
            self._line_begin = self._dropped + line_end + 1
        self._dropped += at
        body, begin = self._body, self._next
        end = begin + _PIECE
        piece = memoryview(body)[begin:end]
        if self._is_utf_8:
            # A character may lie across the border of two pieces.
            decoded, length = codecs.utf_8_decode(piece, "replace", end >= len(body))
        else:
            decoded, length = self._decoder(piece, "replace")
        self.text, self.at = text[at:] + decoded, 0
        self._next = begin + length
