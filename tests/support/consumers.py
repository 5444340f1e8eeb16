"""Consumers of a stream: what a test takes of it, and keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from boxis_async import CDR, CDRStream


async def take(stream: CDRStream, count: int) -> list[CDR]:
    """Take so many records of a stream, and leave it open."""
    return [await anext(stream) for _ in range(count)]


async def take_into(found: list[CDR], stream: CDRStream) -> None:
    """Take all records of a stream, so that those before an error are kept."""
    async for cdr in stream:
        found.append(cdr)  # noqa: PERF401 - a comprehension would lose them with the error
