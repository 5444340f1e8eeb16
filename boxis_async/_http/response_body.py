"""The body of an answer, decompressed while it is received, up to a limit.

We decompress by ourselves, as httpx has no limit: a small answer could fill the memory. It is done
in steps of a millisecond or less, since 64 KiB from the network can be 64 MiB of blanks.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from boxis_async.errors import MalformedAnswerError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["Body"]

_GZIP: Final = 16 + zlib.MAX_WBITS
_RAW_DEFLATE: Final = -zlib.MAX_WBITS
_GZIPS_FIRST_BYTE: Final = 0x1F
_INPUT: Final = 64 * 1024
_STEP: Final = 256 * 1024
# What cannot be made smaller grows a little by compression.
_MORE_COMPRESSED: Final = 64 * 1024
_CODINGS: Final = frozenset({"gzip", "x-gzip", "deflate"})
_OTHER_CODINGS: Final = frozenset(
    {
        *("aes128gcm", "br", "compress", "x-compress", "dcb", "dcz", "exi", "pack200-gzip", "zstd"),
        *("bzip2", "x-bzip2", "lz4", "lzma", "snappy", "xz"),
    }
)
"""Those that are registered with IANA, and those that are met without."""


class Body:
    """A body that is being received; it never keeps more than one byte beyond the limit."""

    __slots__ = ("_inflate", "_most", "_parts", "_received", "_size", "coding")

    def __init__(self, content_encoding: str, most_bytes: int) -> None:
        """Begin to receive.

        Args:
            content_encoding: The header as sent. A name that is no coding, such as `none` or
                `utf-8`, is passed over: if the body is not plain then, it is no JSON or XML either.
            most_bytes: So many bytes are taken, decompressed.

        Raises:
            MalformedAnswerError: It is compressed in a way that was not asked for.
        """
        names = [name.strip().lower() for name in content_encoding.split(",")]
        codings = [name for name in names if name in _CODINGS or name in _OTHER_CODINGS]
        if len(codings) > 1 or not _CODINGS.issuperset(codings):
            raise MalformedAnswerError(
                f"the answer is compressed as {', '.join(codings)[:40]!r}, unasked for"
            )
        self.coding = codings[0] if codings else ""
        """How it is compressed; empty if it is not."""
        self._inflate = zlib.decompressobj(_GZIP) if self.coding.endswith("gzip") else None
        self._parts: list[bytes] = []
        self._received = 0
        self._size = 0
        self._most = most_bytes

    def add(self, chunk: bytes) -> Generator[None]:
        """Decompress a chunk and keep it, in steps.

        Raises:
            MalformedAnswerError: Its compression is broken.
            TooLargeError: The body is larger than the limit.
        """
        if not self.coding:
            self._keep(chunk)
            return
        problem = None
        try:
            # By parts, as zlib copies what is left of its input with each step.
            for at in range(0, len(chunk), _INPUT):
                yield from self._decompress(chunk[at : at + _INPUT])
                yield
        except zlib.error as error:
            problem = str(error)
        if problem is not None:
            raise MalformedAnswerError(f"the answer's compression is broken: {problem}")

    def whole(self) -> bytes:
        """Return the body, when the last chunk was added.

        Raises:
            MalformedAnswerError: Its compression ends too early.
        """
        # An empty body is empty, whatever it is said to be.
        if self.coding and self._received and (self._inflate is None or not self._inflate.eof):
            raise MalformedAnswerError("the answer's compression ends too early")
        return b"".join(self._parts)

    def _decompress(self, chunk: bytes) -> Generator[None]:
        self._received += len(chunk)
        # An endless row of empty members would never reach the limit by what they hold.
        if self._received > self._most + self._most // 64 + _MORE_COMPRESSED:
            raise self._too_large()
        is_more_to_come = False
        while chunk or is_more_to_come:
            if self._inflate is None:
                self._inflate = zlib.decompressobj(_window_bits_of_deflate(chunk[0]))
            elif self._inflate.eof:
                is_more_to_come = False
                chunk = self._behind_the_end(chunk)
                continue
            most = min(_STEP, self._most + 1 - self._size)
            part = self._inflate.decompress(chunk, most)
            self._keep(part)
            # zlib may have taken all of its input, and not had the space for what comes of it.
            is_more_to_come = len(part) == most
            chunk = self._inflate.unconsumed_tail or self._inflate.unused_data
            yield

    def _behind_the_end(self, chunk: bytes) -> bytes:
        """Begin the next member of a gzip body, if there is one, behind zeros that fill it up.

        gzip allows several members, and its tools skip zeros between and behind them.
        """
        chunk = chunk.lstrip(b"\0")
        if not chunk:
            return b""
        if not self.coding.endswith("gzip") or chunk[0] != _GZIPS_FIRST_BYTE:
            raise MalformedAnswerError("the answer goes on after the end of its compression")
        self._inflate = zlib.decompressobj(_GZIP)
        return chunk

    def _keep(self, part: bytes) -> None:
        self._parts.append(part)
        self._size += len(part)
        if self._size > self._most:
            raise self._too_large()

    def _too_large(self) -> TooLargeError:
        return TooLargeError(
            f"the answer is larger than max_response_bytes ({self._most:,})", limit=self._most
        )


def _window_bits_of_deflate(first: int) -> int:
    """Tell zlib's format from a bare deflate stream, which some servers send as `deflate`.

    zlib's begins with its method, 8, in the lower half of its first byte, and the size of a window
    up to 7 in the upper. A bare stream that begins so would be a stored block of odd padding.
    """
    is_zlib = first & 0x0F == 8 and first >> 4 <= 7  # noqa: PLR2004 - the format's own numbers
    return zlib.MAX_WBITS if is_zlib else _RAW_DEFLATE
