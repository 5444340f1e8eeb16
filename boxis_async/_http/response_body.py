"""The body of an answer while it is received: decompressed, and no further than a limit."""

from __future__ import annotations

import zlib
from typing import Self

from boxis_async.errors import MalformedAnswerError, TooLargeError

__all__ = ["Body"]

_GZIP = 16 + zlib.MAX_WBITS


class Body:
    """A body that is being read: never more of it in memory than the limit, and one byte."""

    __slots__ = ("_inflate", "_most", "_parts", "_size")

    def __init__(self, compression: str, most_bytes: int) -> None:
        compression = compression.strip().lower()
        if compression not in {"", "identity", "gzip", "x-gzip"}:
            raise MalformedAnswerError(
                f"the answer is compressed as {compression[:40]!r}, unasked for"
            )
        self._parts: list[bytes] = []
        self._size = 0
        self._most = most_bytes
        self._inflate = zlib.decompressobj(_GZIP) if compression.endswith("gzip") else None

    def add(self, chunk: bytes) -> Self:
        """Take in what was received, or as much of it as the limit allows to know it is passed."""
        if self._inflate is not None:
            try:
                chunk = self._inflate.decompress(chunk, self._most + 1 - self._size)
            except zlib.error as error:
                raise MalformedAnswerError(
                    f"the answer's compression is broken: {error}"
                ) from error
            if self._inflate.unused_data:
                raise MalformedAnswerError("the answer goes on after the end of its compression")
        self._parts.append(chunk)
        self._size += len(chunk)
        if self._size > self._most:
            raise TooLargeError(
                f"the answer is larger than max_response_bytes ({self._most:,})", limit=self._most
            )
        return self

    def clear(self) -> None:
        """Let go of what was read."""
        self._parts.clear()

    def whole(self) -> bytes:
        """Give all of it, now that all was received."""
        if self._inflate is not None and not self._inflate.eof:
            raise MalformedAnswerError("the answer's compression ends too early")
        return b"".join(self._parts)
