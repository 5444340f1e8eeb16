"""Which spans are done: what a later run needs to fetch just what is missing.

Windows share their boundary seconds, so a run that continues beside a sealed span gets the records
on its edge once more. A coverage carries marks of these, and of no others: they are few, however
long the span. A mark is made of keyed fingerprints, and the key is in the coverage too: whoever has
both can check a guess, such as a uniqueid or a telephone number that a key function gave.
"""

# No `from __future__ import annotations` here: the public classes say that they are from
# `boxis_async`, see its `__init__.py`, and annotations that are texts would be looked up there.

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from hashlib import blake2b
from operator import attrgetter
from typing import Any, Final, Self, cast

import attrs

from boxis_async._wire.records import FINGERPRINT_SIZE
from boxis_async._wire.wallclock import Span, read_wall, write_wall
from boxis_async.errors import UsageError
from boxis_async.models import Window

__all__ = ["Coverage", "CoverageBuilder", "Marks", "Memory", "SealedSpan", "memory_of"]

_VERSION: Final = 4
_SHOWN = 3
_MARK_SIZE = 3 * FINGERPRINT_SIZE
_ANEW = "fetch the range anew, without resume"


@attrs.frozen
class SealedSpan:
    """A span that is never asked for again, with marks of the records that touch its two ends."""

    start: datetime
    end: datetime
    first: frozenset[bytes] = attrs.field(default=frozenset(), repr=False)
    last: frozenset[bytes] = attrs.field(default=frozenset(), repr=False)


@attrs.frozen
class Memory:
    """What a resumed run recognises records by."""

    sealed: tuple[SealedSpan, ...] = ()
    key: bytes = b""
    """Of the fingerprints that the marks are made of."""
    marks: frozenset[bytes] = frozenset()
    """Of all records of the sealed spans, with `carry_keys=True`; else none."""

    def every_mark(self) -> frozenset[bytes]:
        """Give the marks of the edges, too."""
        return self.marks.union(*(span.first | span.last for span in self.sealed))


@attrs.frozen(repr=False)
class Coverage:
    """The spans that a stream is done with, for `BoxisClient.cdrs(..., resume=coverage)`.

    A frozen value, to and from JSON. Spans are windows on the provider's wall clock, merged
    where they meet. A window counts once the item after its last record was requested.
    """

    fingerprint: str
    """Of tenant, time zone, key rule and clipping: a coverage of another query is refused."""
    unsealed: tuple[Window, ...] = ()
    """Handed over, but not sealed, as most often they are too young: fetched again."""
    empty: tuple[Window, ...] = ()
    """Of what was handed over, the windows without a record."""
    failed: tuple[Window, ...] = ()
    """The windows that failed for good: fetched again by a resumed run."""
    _memory: Memory = attrs.field(default=Memory(), alias="memory")

    @property
    def sealed(self) -> tuple[Window, ...]:
        """The sealed spans: a resumed run does not ask for them."""
        return tuple(Window(span.start, span.end) for span in self._memory.sealed)

    def missing(self, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """List the parts of a range, in naive wall times, that are not sealed."""
        if start == end:
            is_sealed = any(span.start <= start <= span.end for span in self._memory.sealed)
            return [] if is_sealed else [(start, end)]
        found: list[Span] = []
        at = start
        for span in sorted(self._memory.sealed, key=attrgetter("start")):
            if at < span.end and span.start < end:
                if at < span.start:
                    found.append((at, span.start))
                at = span.end
        return [*found, (at, end)] if at < end else found

    def to_json(self) -> str:
        """Write it as JSON, for a file beside what the records were written to."""
        content = {
            "version": _VERSION,
            "fingerprint": self.fingerprint,
            "sealed": [
                [*_written(span), _pack(span.first), _pack(span.last)]
                for span in self._memory.sealed
            ],
            "unsealed": [_written(window) for window in self.unsealed],
            "empty": [_written(window) for window in self.empty],
            "failed": [_written(window) for window in self.failed],
            "key": self._memory.key.hex(),
            "marks": _pack(self._memory.marks),
        }
        return json.dumps(content | {"checksum": _checksum(content)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            UsageError: It is something else, was changed, or is of another version.
        """
        try:
            content = cast("dict[str, Any]", json.loads(text))
            if content["version"] != _VERSION:
                raise UsageError(
                    f"the coverage is of version {content['version']!r}, and this library reads "
                    f"version {_VERSION}: {_ANEW}"
                )
            if content.pop("checksum") != _checksum(content):
                raise UsageError(f"the coverage was changed since it was written: {_ANEW}")
            return cls(
                fingerprint=str(content["fingerprint"]),
                unsealed=_windows(content["unsealed"]),
                empty=_windows(content["empty"]),
                failed=_windows(content["failed"]),
                memory=Memory(
                    tuple(
                        SealedSpan(*_read_span((start, end)), _unpack(first), _unpack(last))
                        for start, end, first, last in content["sealed"]
                    ),
                    bytes.fromhex(content["key"]),
                    _unpack(content["marks"]),
                ),
            )
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"this is no coverage as to_json() writes it: {error!r}") from error

    def __repr__(self) -> str:
        spans = ", ".join(str(window) for window in self.sealed[:_SHOWN])
        more = f", … ({len(self.sealed)} spans)" if len(self.sealed) > _SHOWN else ""
        rest = f"unsealed={len(self.unsealed)}, failed={len(self.failed)}"
        return f"<Coverage(sealed=[{spans}{more}], {rest})>"


def memory_of(coverage: Coverage | None) -> Memory:
    """Give what a resumed run recognises records by."""
    if coverage is None:
        return Memory()
    return coverage._memory  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - ours


@attrs.frozen(eq=False, repr=False)
class Marks:
    """Marks of the records of one window: of those that touch its ends, and of all if need be."""

    first: frozenset[bytes] = frozenset()
    last: frozenset[bytes] = frozenset()
    every: frozenset[bytes] = frozenset()


class CoverageBuilder:
    """What a run is done with, window by window; gives a `Coverage` at any time.

    Args:
        fingerprint: Of the query.
        key: Of the run's fingerprints.
        before: The coverage of the run that is resumed.
        carry_keys: Whether to keep the marks of all records.
    """

    def __init__(
        self, fingerprint: str, key: bytes, before: Coverage | None, *, carry_keys: bool
    ) -> None:
        self._fingerprint = fingerprint
        self._key = key
        self._carries_keys = carry_keys
        self._sealed = _MergedSpans()
        self._unsealed = _MergedSpans()
        self._empty = _MergedSpans()
        self._failed = _MergedSpans()
        self._marks: set[bytes] = set()
        if before is not None:
            memory = memory_of(before)
            for sealed in memory.sealed:
                self._sealed.add(sealed)
            for window in before.empty:
                span = _bare(window)
                if span is not None and any(_contains(sealed, span) for sealed in memory.sealed):
                    self._empty.add(span)
            self._marks |= memory.marks

    def hand_over(self, window: Window, marks: Marks, *, is_sealed: bool, is_empty: bool) -> None:
        """Note a window whose records have all been handed over.

        Args:
            window: The window.
            marks: Of its records, also of those that were dropped.
            is_sealed: Whether it is at rest, so that it is never asked for again.
            is_empty: Whether the provider had no records for it.
        """
        span = _bare(window)
        if span is None:
            return
        if is_sealed:
            self._sealed.add(attrs.evolve(span, first=marks.first, last=marks.last))
            if self._carries_keys:
                self._marks |= marks.every
        else:
            self._unsealed.add(span)
        if is_empty:
            self._empty.add(span)

    def fail(self, window: Window | None) -> None:
        """Note a window that failed for good."""
        span = None if window is None else _bare(window)
        if span is not None:
            self._failed.add(span)

    def coverage(self) -> Coverage:
        """Give what is done so far."""
        return Coverage(
            fingerprint=self._fingerprint,
            unsealed=self._unsealed.windows(),
            empty=self._empty.windows(),
            failed=self._failed.windows(),
            memory=Memory(tuple(self._sealed), self._key, frozenset(self._marks)),
        )


class _MergedSpans:
    """Spans, merged where one ends as another begins."""

    def __init__(self) -> None:
        self._by_start: dict[datetime, SealedSpan] = {}
        self._by_end: dict[datetime, SealedSpan] = {}

    def add(self, span: SealedSpan) -> None:
        before = self._by_end.pop(span.start, None)
        if before is not None:
            del self._by_start[before.start]
            span = SealedSpan(before.start, span.end, before.first, span.last)
        after = self._by_start.pop(span.end, None)
        if after is not None:
            del self._by_end[after.end]
            span = SealedSpan(span.start, after.end, span.first, after.last)
        self._by_start[span.start] = span
        self._by_end[span.end] = span

    def __iter__(self) -> Iterator[SealedSpan]:
        return iter(sorted(self._by_start.values(), key=attrgetter("start")))

    def windows(self) -> tuple[Window, ...]:
        return tuple(Window(span.start, span.end) for span in self)


def _bare(window: Window) -> SealedSpan | None:
    if window.start is None or window.end is None:
        return None
    return SealedSpan(window.start, window.end)


def _contains(outer: SealedSpan, inner: SealedSpan) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def _checksum(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return blake2b(text.encode(), digest_size=FINGERPRINT_SIZE).hexdigest()


def _written(span: SealedSpan | Window) -> list[str]:
    return [write_wall(end) for end in (span.start, span.end) if end is not None]


def _read_span(ends: Sequence[str]) -> Span:
    start, end = map(read_wall, ends)
    if start > end:
        raise ValueError(f"a span ends before it starts: {start} to {end}")
    return start, end


def _windows(spans: Sequence[Sequence[str]]) -> tuple[Window, ...]:
    return tuple(Window(*_read_span(span)) for span in spans)


def _pack(marks: Iterable[bytes]) -> str:
    return base64.b64encode(b"".join(sorted(marks))).decode("ascii")


def _unpack(text: str) -> frozenset[bytes]:
    packed = base64.b64decode(text, validate=True)
    if len(packed) % _MARK_SIZE:
        raise ValueError("a mark is cut off")
    return frozenset(packed[at : at + _MARK_SIZE] for at in range(0, len(packed), _MARK_SIZE))
