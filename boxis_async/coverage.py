"""Which spans are done: what a later run needs to fetch just what is missing.

Windows share their boundary seconds, so a run that goes on beside a span that is done gets
the records on its edge once more. A coverage carries marks of these, and of no others: they
are few, however long the span. A mark is made of digests and tells nothing of the call.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self, cast

import attrs

from ._wire.records import DIGEST_SIZE
from ._wire.wallclock import read_wall, write_wall
from .errors import UsageError
from .models import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ._run.windows import Span

__all__ = ["Coverage", "Ledger", "Marks", "Sealed"]

_VERSION = 3
_SHOWN = 3
_MARK_SIZE = 3 * DIGEST_SIZE


@attrs.frozen
class Sealed:
    """A span that is done for good, with marks of the records that touch its two ends."""

    start: datetime
    end: datetime
    first: frozenset[bytes] = attrs.field(default=frozenset(), repr=False)
    last: frozenset[bytes] = attrs.field(default=frozenset(), repr=False)


@attrs.frozen(repr=False)
class Coverage:
    """The spans that a stream is done with, for `BoxisClient.cdrs(..., resume=coverage)`.

    A frozen value, to and from JSON. Spans are windows on the provider's wall clock, merged
    where they meet. A window counts once the item after its last record was asked for.
    """

    fingerprint: str
    """Of the tenant, the time zone, the key rule and the clipping: another query's is refused."""
    sealed_spans: tuple[Sealed, ...] = ()
    """What is done for good, with the marks of the edges."""
    unsealed: tuple[Window, ...] = ()
    """Handed over, but not for good, as most often they are too young: fetched again."""
    empty: tuple[Window, ...] = ()
    """Of what was handed over, the windows without a record."""
    failed: tuple[Window, ...] = ()
    """What could not be had: fetched again on resuming."""
    keys: frozenset[bytes] = frozenset()
    """Marks of all records of the sealed spans, with `carry_keys=True`; else none."""

    @property
    def sealed(self) -> tuple[Window, ...]:
        """The spans that are done for good: a resumed run does not ask for them."""
        return tuple(Window(span.start, span.end) for span in self.sealed_spans)

    def missing(self, start: datetime, end: datetime) -> list[Span]:
        """List the parts of a range, in wall times, that are not sealed."""
        if start == end:
            held = any(span.start <= start <= span.end for span in self.sealed_spans)
            return [] if held else [(start, end)]
        found: list[Span] = []
        at = start
        for span in sorted(self.sealed_spans, key=attrgetter("start")):
            if at < span.end and span.start < end:
                if at < span.start:
                    found.append((at, span.start))
                at = span.end
        return [*found, (at, end)] if at < end else found

    def marks(self) -> frozenset[bytes]:
        """Give the marks of all records that are known again."""
        return self.keys.union(*(span.first | span.last for span in self.sealed_spans))

    def to_json(self) -> str:
        """Write it as JSON, for a file beside what the records were written to."""
        return json.dumps(
            {
                "version": _VERSION,
                "fingerprint": self.fingerprint,
                "sealed": [
                    [*_written(span), _pack(span.first), _pack(span.last)]
                    for span in self.sealed_spans
                ],
                "unsealed": [_written(window) for window in self.unsealed],
                "empty": [_written(window) for window in self.empty],
                "failed": [_written(window) for window in self.failed],
                "keys": _pack(self.keys),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            UsageError: It is something else, or of a version that this one does not know.
        """
        try:
            told = cast("dict[str, Any]", json.loads(text))
            if told["version"] != _VERSION:
                raise UsageError(f"the coverage is of version {told['version']!r}, not {_VERSION}")
            return cls(
                fingerprint=str(told["fingerprint"]),
                sealed_spans=tuple(
                    Sealed(read_wall(start), read_wall(end), _unpack(first), _unpack(last))
                    for start, end, first, last in told["sealed"]
                ),
                unsealed=_windows(told["unsealed"]),
                empty=_windows(told["empty"]),
                failed=_windows(told["failed"]),
                keys=_unpack(told["keys"]),
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


@attrs.frozen(eq=False, repr=False)
class Marks:
    """Marks of the records of one window: of those that touch its ends, and of all if need be."""

    first: frozenset[bytes] = frozenset()
    last: frozenset[bytes] = frozenset()
    every: frozenset[bytes] = frozenset()


class Ledger:
    """What a run is done with, window by window; gives a `Coverage` at any time."""

    def __init__(self, fingerprint: str, before: Coverage | None, *, carry_keys: bool) -> None:
        self._fingerprint = fingerprint
        self._carries_keys = carry_keys
        self._sealed = _Spans()
        self._unsealed = _Spans()
        self._empty = _Spans()
        self._failed = _Spans()
        self._keys: set[bytes] = set()
        if before is not None:
            for sealed in before.sealed_spans:
                self._sealed.add(sealed)
            for window in before.empty:
                span = _bare(window)
                if span is not None and any(_holds(sealed, span) for sealed in before.sealed_spans):
                    self._empty.add(span)
            self._keys |= before.keys

    def hand_over(self, window: Window, marks: Marks, *, is_sealed: bool, is_empty: bool) -> None:
        """Note a window whose records have all been handed over.

        Args:
            window: The window.
            marks: Of its records, also of those that were dropped.
            is_sealed: Whether it is at rest, so that it need never be asked for again.
            is_empty: Whether the provider had no records for it.
        """
        span = _bare(window)
        if span is None:
            return
        if is_sealed:
            self._sealed.add(attrs.evolve(span, first=marks.first, last=marks.last))
            if self._carries_keys:
                self._keys |= marks.every
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
            sealed_spans=tuple(self._sealed),
            unsealed=self._unsealed.windows(),
            empty=self._empty.windows(),
            failed=self._failed.windows(),
            keys=frozenset(self._keys),
        )


class _Spans:
    """Spans, merged where one ends as another begins."""

    def __init__(self) -> None:
        self._by_start: dict[datetime, Sealed] = {}
        self._by_end: dict[datetime, Sealed] = {}

    def add(self, span: Sealed) -> None:
        before = self._by_end.pop(span.start, None)
        if before is not None:
            del self._by_start[before.start]
            span = Sealed(before.start, span.end, before.first, span.last)
        after = self._by_start.pop(span.end, None)
        if after is not None:
            del self._by_end[after.end]
            span = Sealed(span.start, after.end, span.first, after.last)
        self._by_start[span.start] = span
        self._by_end[span.end] = span

    def __iter__(self) -> Iterator[Sealed]:
        return iter(sorted(self._by_start.values(), key=attrgetter("start")))

    def windows(self) -> tuple[Window, ...]:
        return tuple(Window(span.start, span.end) for span in self)


def _bare(window: Window) -> Sealed | None:
    if window.start is None or window.end is None:
        return None
    return Sealed(window.start, window.end)


def _holds(outer: Sealed, inner: Sealed) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def _written(span: Sealed | Window) -> list[str]:
    return [write_wall(end) for end in (span.start, span.end) if end is not None]


def _windows(told: Sequence[Sequence[str]]) -> tuple[Window, ...]:
    return tuple(Window(read_wall(start), read_wall(end)) for start, end in told)


def _pack(marks: Iterable[bytes]) -> str:
    return base64.b64encode(b"".join(sorted(marks))).decode("ascii")


def _unpack(text: str) -> frozenset[bytes]:
    packed = base64.b64decode(text, validate=True)
    if len(packed) % _MARK_SIZE:
        raise ValueError("a mark is cut off")
    return frozenset(packed[at : at + _MARK_SIZE] for at in range(0, len(packed), _MARK_SIZE))
