"""The body of an answer, decompressed while it is received, up to a limit.

We decompress by ourselves, as httpx has no limit: a small answer could fill the memory.
"""

from __future__ import annotations

import zlib
from typing import Self

from boxis_async.errors import MalformedAnswerError, TooLargeError

__all__ = ["Body"]

_GZIP = 16 + zlib.MAX_WBITS


class Body:
    """A body that is being received; it never keeps more than one byte beyond the limit."""

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
        """Decompress a chunk and keep it.

        Raises:
            MalformedAnswerError: Its compression is broken.
            TooLargeError: The body is larger than the limit.
        """
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
        """Forget what was received."""
        self._parts.clear()

    def whole(self) -> bytes:
        """Return the body, when the last chunk was added.

        Raises:
            MalformedAnswerError: Its compression ends too early.
        """
        if self._inflate is not None and not self._inflate.eof:
            raise MalformedAnswerError("the answer's compression ends too early")
        return b"".join(self._parts)
