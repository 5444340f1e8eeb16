"""Which spans are done: what a later run needs to fetch just what is missing.

A run that continues beside a sealed span asks for a second of it once more, as windows overlap, and
may get every record that touches that second. A coverage carries marks of these, and of no others:
they are few, however long the span. With each mark goes how far its record reaches, as a call that
is longer than its window may come again beyond the next one. A mark is made of keyed fingerprints,
and the key is in the coverage too: whoever has both can check a guess, such as a uniqueid or a
telephone number that a key function gave.
"""

# No `from __future__ import annotations` here: the public classes say that they are from
# `boxis_async`, see its `__init__.py`, and annotations that are texts would be looked up there.

import base64
import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from hashlib import blake2b
from itertools import pairwise
from operator import attrgetter
from typing import Any, Final, Self, TypeAlias, cast

import attrs

from boxis_async._plain import plain_date
from boxis_async._wire.records import FINGERPRINT_SIZE
from boxis_async._wire.wallclock import Span, read_wall, write_wall
from boxis_async.errors import UsageError
from boxis_async.models import OVERLAP, Window, shown_value

__all__ = [
    "Coverage",
    "CoverageBuilder",
    "CoverageRow",
    "Marks",
    "Memory",
    "SealedSpan",
    "memory_of",
]

_VERSION: Final = 5
_SHOWN = 3
_LONGEST_VERSION: Final = 40
_EPOCH = datetime.min  # noqa: DTZ901 - a wall time
_MARK_SIZE = 3 * FINGERPRINT_SIZE
_ANEW = "fetch the range anew, without resume"


Reaches: TypeAlias = Mapping[bytes, datetime]
"""Marks of records, and how far each reaches, in wall times."""


@attrs.frozen
class SealedSpan:
    """A span that is never asked for again, with marks of the records that touch its two ends."""

    start: datetime
    end: datetime
    first: Reaches = attrs.field(factory=dict[bytes, datetime], repr=False)
    """Marks of records that touch the overlap at its start, and when each begins."""
    last: Reaches = attrs.field(factory=dict[bytes, datetime], repr=False)
    """Marks of records that touch the overlap at its end, and when each ends."""


@attrs.frozen
class RejectedSpan:
    """A window at rest with a record that could not be read, and marks of all the others."""

    start: datetime
    end: datetime
    marks: frozenset[bytes] = attrs.field(repr=False)


@attrs.frozen
class Memory:
    """What a resumed run recognises records by."""

    sealed: tuple[SealedSpan, ...] = ()
    key: bytes = b""
    """Of the fingerprints that the marks are made of."""
    marks: frozenset[bytes] = frozenset()
    """Of all records of the sealed spans, with `carry_keys=True`; else none."""
    rejected: tuple[RejectedSpan, ...] = ()

    def every_mark(self) -> frozenset[bytes]:
        """Give the marks of the edges and of the rejected spans, too."""
        return self.marks.union(
            *(edge for span in self.sealed for edge in (span.first, span.last)),
            *(span.marks for span in self.rejected),
        )


@attrs.frozen
class CoverageRow:
    """A part of a coverage as a row, for a table of a database: see `Coverage.rows`."""

    kind: str
    """`query` for the one row without a span; else `sealed`, `unsealed`, `empty`, `failed` or
    `rejected`."""
    start: datetime | None
    """When the span starts, a naive wall time."""
    end: datetime | None
    marks: str = attrs.field(repr=False)
    """By what a resumed run recognises records: a text to keep, and not to read."""
    checksum: str
    """A sum over all of this and the query: no two rows of a coverage share it."""


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

    @property
    def rejected(self) -> tuple[Window, ...]:
        """Handed over but for a record that could not be read (`bad_records="collect"`).

        They are fetched again, and only what is new in them is then handed over. A window that is
        not at rest is in `unsealed` instead.
        """
        return tuple(Window(span.start, span.end) for span in self._memory.rejected)

    def missing(self, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """List the parts of a range, in naive wall times, that are not sealed.

        Two sealed spans that overlap by less than windows do leave an empty part between them. If
        they only touch, the second in which they do is in neither, if the server takes both dates
        as exclusive.

        Raises:
            UsageError: An end is no naive datetime.
        """
        start, end = _plain_wall("start", start), _plain_wall("end", end)
        spans = sorted(self._memory.sealed, key=attrgetter("start"))
        if start == end:
            # Whatever the rule, an answer for less holds nothing that the one for more lacks.
            is_sealed = any(span.start <= start <= span.end for span in spans)
            return [] if is_sealed else [(start, end)]
        found: list[Span] = []
        at, is_sealed_until = start, False
        for span in spans:
            if span.end <= at or span.start >= end:
                continue
            # Those that overlap enough were merged.
            if span.start > at or is_sealed_until:
                found.append((at, max(at, span.start)))
            at, is_sealed_until = span.end, True
        return [*found, (at, end)] if at < end else found

    def to_json(self) -> str:
        """Write it as JSON, for a file beside what the records were written to."""
        content = {
            "version": _VERSION,
            "fingerprint": self.fingerprint,
            "sealed": [
                [*_written(span), _pack_reaches(span.first), _pack_reaches(span.last)]
                for span in self._memory.sealed
            ],
            "unsealed": [_written(window) for window in self.unsealed],
            "empty": [_written(window) for window in self.empty],
            "failed": [_written(window) for window in self.failed],
            "rejected": [[*_written(span), _pack(span.marks)] for span in self._memory.rejected],
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
                version = shown_value(content["version"], _LONGEST_VERSION)
                raise UsageError(
                    f"the coverage is of version {version}, and this library reads "
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
                        SealedSpan(
                            *_read_span((start, end)), _unpack_reaches(first), _unpack_reaches(last)
                        )
                        for start, end, first, last in content["sealed"]
                    ),
                    _read_key(content["key"]),
                    _unpack(content["marks"]),
                    tuple(
                        RejectedSpan(*_read_span((start, end)), _unpack(marks))
                        for start, end, marks in content["rejected"]
                    ),
                ),
            )
        except (
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            OverflowError,
            RecursionError,
        ) as error:
            if isinstance(error, UsageError):
                raise
            problem = shown_value(f"{type(error).__name__}: {error}")
            raise UsageError(
                f"this is no coverage as to_json() writes it ({problem}): {_ANEW}"
            ) from error

    def rows(self) -> tuple[CoverageRow, ...]:
        """Give it as rows, one for each span and one for the query, for a table of a database.

        The rows of a span are the same as long as the span is: write those that are new, and delete
        those that are not there any more.
        """
        key, memory = self._memory.key.hex(), self._memory
        query = f"{_VERSION} {self.fingerprint} {key} {_pack(memory.marks)}"
        spans: list[tuple[str, SealedSpan | RejectedSpan | Window, str]] = [
            *(
                ("sealed", span, f"{_pack_reaches(span.first)} {_pack_reaches(span.last)}")
                for span in memory.sealed
            ),
            *(("unsealed", window, "") for window in self.unsealed),
            *(("empty", window, "") for window in self.empty),
            *(("failed", window, "") for window in self.failed),
            *(("rejected", span, _pack(span.marks)) for span in memory.rejected),
        ]
        of_query = f"{self.fingerprint} {key}"
        return (
            _row("query", None, None, query, of_query),
            *(_row(kind, span.start, span.end, marks, of_query) for kind, span, marks in spans),
        )

    @classmethod
    def from_rows(cls, rows: Iterable[CoverageRow]) -> Self:
        """Make a coverage of what `rows` gave, in whatever order.

        A row that is missing is a span that is fetched again; only the row of the query must be
        there.

        Raises:
            UsageError: A row was changed, is of another coverage, or of another version; or none is
                of the query.
        """
        rows = list(rows)
        try:
            (query,) = [row for row in rows if row.kind == "query"]
            version, fingerprint, key, marks = query.marks.split(" ")
            if version != str(_VERSION):
                raise UsageError(
                    f"the rows of the coverage are of version {shown_value(version)}, and this "
                    f"library reads version {_VERSION}: {_ANEW}"
                )
            for row in rows:
                again = _row(row.kind, row.start, row.end, row.marks, f"{fingerprint} {key}")
                if again.checksum != row.checksum:
                    raise UsageError(
                        f"a row of the coverage was changed, or is another's: {row.kind} "
                        f"{row.start} to {row.end}: {_ANEW}"
                    )
            spans = {
                kind: sorted(
                    (_SpanRow.of(row) for row in rows if row.kind == kind),
                    key=attrgetter("start", "end"),
                )
                for kind in ("sealed", "unsealed", "empty", "failed", "rejected")
            }
            return cls(
                fingerprint=fingerprint,
                unsealed=tuple(span.window() for span in spans["unsealed"]),
                empty=tuple(span.window() for span in spans["empty"]),
                failed=tuple(span.window() for span in spans["failed"]),
                memory=Memory(
                    tuple(
                        SealedSpan(
                            span.start, span.end, *map(_unpack_reaches, span.marks.split(" "))
                        )
                        for span in spans["sealed"]
                    ),
                    _read_key(key),
                    _unpack(marks),
                    tuple(
                        RejectedSpan(span.start, span.end, _unpack(span.marks))
                        for span in spans["rejected"]
                    ),
                ),
            )
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            if isinstance(error, UsageError):
                raise
            problem = shown_value(f"{type(error).__name__}: {error}")
            raise UsageError(
                f"these are no rows as Coverage.rows() gives them ({problem}): {_ANEW}"
            ) from error

    def since(self, start: datetime) -> Self:
        """Give the coverage without what lies before a naive wall time.

        For whoever deletes old records: what was sealed there is then missing. The marks of all
        records (`carry_keys=True`) go too: nobody can tell which of them are of what is deleted,
        and a resumed run would leave that out.
        """
        start = _plain_wall("start", start)
        sealed = tuple(
            # Nothing marks a record at an end that no run has fetched up to.
            span if span.start >= start else attrs.evolve(span, start=start, first={})
            for span in self._memory.sealed
            if span.end > start
        )
        rejected = tuple(span for span in self._memory.rejected if span.end > start)
        is_cut = any(span.start < start for span in self._memory.sealed)
        return attrs.evolve(
            self,
            unsealed=_windows_since(start, self.unsealed),
            empty=_windows_since(start, self.empty),
            failed=_windows_since(start, self.failed),
            memory=attrs.evolve(
                self._memory,
                sealed=sealed,
                rejected=rejected,
                marks=frozenset() if is_cut else self._memory.marks,
            ),
        )

    def __repr__(self) -> str:
        spans = ", ".join(str(window) for window in self.sealed[:_SHOWN])
        more = f", … ({len(self.sealed)} spans)" if len(self.sealed) > _SHOWN else ""
        rest = f"unsealed={len(self.unsealed)}, failed={len(self.failed)}"
        if self.rejected:
            rest += f", rejected={len(self.rejected)}"
        return f"<Coverage(sealed=[{spans}{more}], {rest})>"


def memory_of(coverage: Coverage | None) -> Memory:
    """Give what a resumed run recognises records by."""
    if coverage is None:
        return Memory()
    return coverage._memory  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - ours


@attrs.frozen(eq=False, repr=False)
class Marks:
    """Marks of the records of one window: of those that touch its ends, and of all if need be.

    That is with `carry_keys=True`, or where one of its records could not be read.
    """

    first: Reaches = attrs.field(factory=dict[bytes, datetime])
    last: Reaches = attrs.field(factory=dict[bytes, datetime])
    every: frozenset[bytes] = frozenset()


class CoverageBuilder:
    """What a run is done with, window by window; gives a `Coverage` at any time.

    Args:
        fingerprint: Of the query.
        key: Of the run's fingerprints.
        before: The coverage of the run that is resumed.
        carry_keys: Whether to keep the marks of all records.
        overlap: By how much neighbouring windows overlap.
    """

    def __init__(
        self,
        fingerprint: str,
        key: bytes,
        before: Coverage | None,
        *,
        carry_keys: bool,
        overlap: timedelta = OVERLAP,
    ) -> None:
        self._fingerprint = fingerprint
        self._key = key
        self._carries_keys = carry_keys
        self._overlap = overlap
        self._sealed = _MergedSpans(overlap)
        self._unsealed = _MergedSpans()
        self._empty = _MergedSpans()
        self._failed = _MergedSpans()
        # Each window with its marks, and whether a record of it could not be read.
        self._unproved: list[tuple[SealedSpan, Marks, bool]] = []
        # What was handed over whole, but is not sealed.
        self._whole = _MergedSpans()
        self._rejected: dict[Span, RejectedSpan] = {}
        self._rejected_before: tuple[RejectedSpan, ...] = ()
        self._marks: set[bytes] = set()
        if before is not None:
            memory = memory_of(before)
            for sealed in memory.sealed:
                self._sealed.add(sealed)
            for window in before.empty:
                span = _bare(window)
                if span is not None and self._sealed.contain(span):
                    self._empty.add(span)
            self._marks |= memory.marks
            self._rejected_before = memory.rejected

    def hand_over(  # noqa: PLR0913 - each is one thing to know of a window
        self,
        window: Window,
        marks: Marks,
        *,
        is_sealed: bool,
        is_empty: bool,
        is_proved: bool = True,
        has_rejects: bool = False,
    ) -> None:
        """Note a window whose records have all been handed over.

        Args:
            window: The window.
            marks: Of its records, also of those that were dropped.
            is_sealed: Whether it is at rest, so that it is never asked for again.
            is_empty: Whether the provider had no records for it.
            is_proved: Whether it is certain that no record is missing between this window and its
                neighbours. Until it is, the window is not sealed; see `be_proved`.
            has_rejects: Whether a record could not be read: then it is asked for again.
        """
        span = _bare(window)
        if span is None:
            return
        if is_sealed:
            self._unproved.append((span, marks, has_rejects))
        else:
            self._unsealed.add(span)
            if not has_rejects:
                self._whole.add(span)
        if is_empty:
            self._empty.add(span)
        if is_proved:
            self.be_proved()

    def be_proved(self) -> None:
        """Seal the windows that waited for the proof that no record is missing between them."""
        unproved, self._unproved = self._unproved, []
        for span, marks, has_rejects in unproved:
            if has_rejects:
                ends = span.start, span.end
                self._rejected[ends] = RejectedSpan(*ends, marks.every)
                continue
            self._sealed.add(attrs.evolve(span, first=marks.first, last=marks.last))
            if self._carries_keys:
                self._marks |= marks.every

    def fail(self, window: Window | None) -> None:
        """Note a window that failed for good."""
        span = None if window is None else _bare(window)
        if span is not None:
            self._failed.add(span)

    def coverage(self) -> Coverage:
        """Give what is done so far."""
        return Coverage(
            fingerprint=self._fingerprint,
            unsealed=self._handed_over_unsealed().windows(),
            empty=self._empty.windows(),
            failed=self._failed.windows(),
            memory=Memory(
                tuple(self._sealed), self._key, frozenset(self._marks), self._every_rejected()
            ),
        )

    def _every_rejected(self) -> tuple[RejectedSpan, ...]:
        """List the windows with a record that could not be read, unless it has been since."""
        if not self._rejected and not self._rejected_before:
            return ()
        # Those of earlier runs count until all of their time was fetched again. Then the sealed
        # spans, and the marks of what was rejected once more, recognise what they did.
        again = _MergedSpans(self._overlap)
        for span in (*self._sealed, *self._rejected.values()):
            again.add(SealedSpan(span.start, span.end))
        spans = list(again)
        before = [
            span
            for span in self._rejected_before
            if not any(one.start <= span.start and span.end <= one.end for one in spans)
        ]
        return tuple(sorted([*before, *self._rejected.values()], key=attrgetter("start", "end")))

    def share(self, start: datetime, end: datetime) -> float:
        """Give the share of a range, from 0 to 1, that was handed over, sealed or not."""
        merged = _MergedSpans()
        for span in (*self._sealed, *self._whole, *self._unproved_spans(whole_only=True)):
            if span.start < end and span.end > start:
                merged.add(SealedSpan(max(span.start, start), min(span.end, end)))
        spans = list(merged)
        done = sum((span.end - span.start for span in spans), timedelta(0))
        # The second in which two spans only touch may be in neither: something is missing there.
        done -= sum(one.end == other.start for one, other in pairwise(spans)) * OVERLAP
        return max(done, timedelta(0)) / (end - start)

    def _handed_over_unsealed(self) -> "_MergedSpans":
        if not self._unproved:
            return self._unsealed
        merged = _MergedSpans()
        for span in (*self._unsealed, *self._unproved_spans()):
            merged.add(SealedSpan(span.start, span.end))
        return merged

    def _unproved_spans(self, *, whole_only: bool = False) -> Iterator[SealedSpan]:
        for span, _, has_rejects in self._unproved:
            if not (whole_only and has_rejects):
                yield span


class _MergedSpans:
    """Spans in order, merged where they overlap by as much as windows do."""

    def __init__(self, overlap: timedelta = OVERLAP) -> None:
        self._overlap = overlap
        self._spans: list[SealedSpan] = []

    def add(self, span: SealedSpan) -> None:
        """Add a span; of its marks and those of its neighbours keep what reaches the new ends."""
        spans = self._spans
        begin = bisect_left(spans, span.start, key=attrgetter("end"))
        end = bisect_right(spans, span.end, key=attrgetter("start"))
        near = spans[begin:end]
        others = [one for one in near if _overlap(one, span, self._overlap)]
        # One within two spans joins neither to the other: they overlap by less than it takes.
        others = [one for one in others if _contains(one, span)][:1] or others
        apart = [one for one in near if one not in others]
        merged = [span, *others]
        start = min(one.start for one in merged)
        until = max(one.end for one in merged)
        first = _joined((one.first for one in merged), min)
        last = _joined((one.last for one in merged), max)
        union = SealedSpan(
            start,
            until,
            # As differences: no datetime lies before the year 1 or after the year 9999.
            {mark: reach for mark, reach in first.items() if reach - start <= self._overlap},
            {mark: reach for mark, reach in last.items() if until - reach <= self._overlap},
        )
        spans[begin:end] = sorted([*apart, union], key=attrgetter("start"))

    def __iter__(self) -> Iterator[SealedSpan]:
        return iter(self._spans)

    def contain(self, span: SealedSpan) -> bool:
        """Report whether one of them contains a span."""
        # None is within another one, so of those that begin before it the last ends last.
        place = bisect_right(self._spans, span.start, key=attrgetter("start"))
        return place > 0 and _contains(self._spans[place - 1], span)

    def windows(self) -> tuple[Window, ...]:
        return tuple(Window(span.start, span.end) for span in self._spans)


def _overlap(one: SealedSpan, other: SealedSpan, enough: timedelta) -> bool:
    """Report whether two spans have enough time in common, or one contains the other."""
    start, end = max(one.start, other.start), min(one.end, other.end)
    return end - start >= enough or (start, end) in (
        (one.start, one.end),
        (other.start, other.end),
    )


def _joined(
    edges: Iterable[Reaches], farther: Callable[[datetime, datetime], datetime]
) -> dict[bytes, datetime]:
    """Join marks; of a record that two spans have, keep how far it reaches at most."""
    joined: dict[bytes, datetime] = {}
    for edge in edges:
        for mark, reach in edge.items():
            joined[mark] = farther(reach, joined.get(mark, reach))
    return joined


def _bare(window: Window) -> SealedSpan | None:
    if window.start is None or window.end is None:
        return None
    return SealedSpan(window.start, window.end)


def _contains(outer: SealedSpan, inner: SealedSpan) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def _plain_wall(name: str, end: object) -> datetime:
    try:
        plain = plain_date(end) if isinstance(end, date) else None
    except ValueError:
        plain = None
    if not isinstance(plain, datetime) or plain.tzinfo is not None:
        raise UsageError(
            f"{name} must be a naive datetime on the provider's wall clock, not {end!r}"
        )
    return plain


def _checksum(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return blake2b(text.encode(), digest_size=FINGERPRINT_SIZE).hexdigest()


@attrs.frozen
class _SpanRow:
    start: datetime
    end: datetime
    marks: str

    @classmethod
    def of(cls, row: CoverageRow) -> Self:
        if row.start is None or row.end is None or row.start > row.end:
            raise ValueError(f"no span: {row.start} to {row.end}")
        return cls(row.start, row.end, row.marks)

    def window(self) -> Window:
        return Window(self.start, self.end)


def _row(
    kind: str, start: datetime | None, end: datetime | None, marks: str, query: str
) -> CoverageRow:
    ends = ["" if one is None else write_wall(one) for one in (start, end)]
    text = json.dumps([query, kind, *ends, marks])
    checksum = blake2b(text.encode(), digest_size=FINGERPRINT_SIZE).hexdigest()
    return CoverageRow(kind, start, end, marks, checksum)


def _windows_since(start: datetime, windows: Iterable[Window]) -> tuple[Window, ...]:
    return tuple(
        Window(max(window.start, start), window.end)
        for window in windows
        if window.start is not None and window.end is not None and window.end > start
    )


def _written(span: SealedSpan | RejectedSpan | Window) -> list[str]:
    return [write_wall(end) for end in (span.start, span.end) if end is not None]


def _read_span(ends: Sequence[str]) -> Span:
    start, end = map(read_wall, ends)
    if start > end:
        raise ValueError(f"a span ends before it starts: {start} to {end}")
    return start, end


def _windows(spans: Sequence[Sequence[str]]) -> tuple[Window, ...]:
    return tuple(Window(*_read_span(span)) for span in spans)


def _read_key(text: str) -> bytes:
    key = bytes.fromhex(text)
    if len(key) > blake2b.MAX_KEY_SIZE:
        raise ValueError("the key is too long")
    return key


def _pack(marks: Iterable[bytes]) -> str:
    return base64.b64encode(b"".join(sorted(marks))).decode("ascii")


def _pack_reaches(reaches: Reaches) -> str:
    packed = (mark + _seconds(reach).to_bytes(8) for mark, reach in sorted(reaches.items()))
    return base64.b64encode(b"".join(packed)).decode("ascii")


def _unpack_reaches(text: str) -> dict[bytes, datetime]:
    packed = base64.b64decode(text, validate=True)
    size = _MARK_SIZE + 8
    if len(packed) % size:
        raise ValueError("a mark is cut off")
    parts = (packed[at : at + size] for at in range(0, len(packed), size))
    return {
        part[:_MARK_SIZE]: _EPOCH + int.from_bytes(part[_MARK_SIZE:]) * OVERLAP for part in parts
    }


def _seconds(wall: datetime) -> int:
    return (wall - _EPOCH) // OVERLAP


def _unpack(text: str) -> frozenset[bytes]:
    packed = base64.b64decode(text, validate=True)
    if len(packed) % _MARK_SIZE:
        raise ValueError("a mark is cut off")
    return frozenset(packed[at : at + _MARK_SIZE] for at in range(0, len(packed), _MARK_SIZE))
