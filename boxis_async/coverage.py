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
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from hashlib import blake2b
from operator import attrgetter, itemgetter
from typing import Any, Final, Self, TypeAlias, cast

import attrs

from boxis_async._plain import plain_date
from boxis_async._wire.records import FINGERPRINT_SIZE
from boxis_async._wire.wallclock import Span, read_wall, write_wall
from boxis_async.errors import UsageError
from boxis_async.models import Window, shown_value

__all__ = [
    "Coverage",
    "CoverageRow",
    "Memory",
    "Reaches",
    "RejectedSpan",
    "SealedSpan",
    "memory_of",
]

_VERSION: Final = 5
_SHOWN = 3
_LONGEST_VERSION: Final = 40
_EPOCH = datetime.min  # noqa: DTZ901 - a wall time
_MARK_SIZE = 3 * FINGERPRINT_SIZE
_SECOND = timedelta(seconds=1)
_ANEW = "fetch the range anew, without resume"
_SPOILED = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
"""What reading raises of a text, or of rows, that are no coverage."""


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
            return cls._of_content(cast("dict[str, Any]", json.loads(text)))
        except UsageError:
            raise
        except _SPOILED as error:
            problem = shown_value(f"{type(error).__name__}: {error}")
            raise UsageError(
                f"this is no coverage as to_json() writes it ({problem}): {_ANEW}"
            ) from error

    @classmethod
    def _of_content(cls, content: dict[str, Any]) -> Self:
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
            return cls._of_rows(rows)
        except UsageError:
            raise
        except _SPOILED as error:
            problem = shown_value(f"{type(error).__name__}: {error}")
            raise UsageError(
                f"these are no rows as Coverage.rows() gives them ({problem}): {_ANEW}"
            ) from error

    @classmethod
    def _of_rows(cls, rows: list[CoverageRow]) -> Self:
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
        return cls(
            fingerprint=fingerprint,
            unsealed=_windows_in(rows, "unsealed"),
            empty=_windows_in(rows, "empty"),
            failed=_windows_in(rows, "failed"),
            memory=Memory(
                tuple(
                    SealedSpan(start, end, *map(_unpack_reaches, marks_of_span.split(" ")))
                    for start, end, marks_of_span in _spans_in(rows, "sealed")
                ),
                _read_key(key),
                _unpack(marks),
                tuple(
                    RejectedSpan(start, end, _unpack(marks_of_span))
                    for start, end, marks_of_span in _spans_in(rows, "rejected")
                ),
            ),
        )

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


def _spans_in(rows: Iterable[CoverageRow], kind: str) -> list[tuple[datetime, datetime, str]]:
    """List the spans of one kind, in order, each with its marks."""
    spans: list[tuple[datetime, datetime, str]] = []
    for row in rows:
        if row.kind == kind:
            if row.start is None or row.end is None or row.start > row.end:
                raise ValueError(f"no span: {row.start} to {row.end}")
            spans.append((row.start, row.end, row.marks))
    return sorted(spans, key=itemgetter(0, 1))


def _windows_in(rows: Iterable[CoverageRow], kind: str) -> tuple[Window, ...]:
    return tuple(Window(start, end) for start, end, _ in _spans_in(rows, kind))


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
        part[:_MARK_SIZE]: _EPOCH + int.from_bytes(part[_MARK_SIZE:]) * _SECOND for part in parts
    }


def _seconds(wall: datetime) -> int:
    return (wall - _EPOCH) // _SECOND


def _unpack(text: str) -> frozenset[bytes]:
    packed = base64.b64decode(text, validate=True)
    if len(packed) % _MARK_SIZE:
        raise ValueError("a mark is cut off")
    return frozenset(packed[at : at + _MARK_SIZE] for at in range(0, len(packed), _MARK_SIZE))
