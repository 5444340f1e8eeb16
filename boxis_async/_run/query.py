"""The query: the range, in which windows it is fetched, and what is handed over of it."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING

import attrs

from boxis_async._http.server_clock import ServerClock
from boxis_async._run.adaptive_windows import Traffic
from boxis_async._run.key_rules import rule_text
from boxis_async._run.known_server import KnownServer
from boxis_async._run.windows import plan_of
from boxis_async._wire.wallclock import WallClock
from boxis_async.coverage import Coverage
from boxis_async.errors import UsageError
from boxis_async.models import OVERLAP
from boxis_async.types import BadRecords, Clip, OnError, Order, UniqueBy

if TYPE_CHECKING:
    from boxis_async._wire.wallclock import Range, Span
    from boxis_async.models import Plan

__all__ = ["Query"]

_NEVER = datetime.min  # noqa: DTZ901 - a wall time before all others


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Query:
    """The arguments of `BoxisClient.cdrs`, checked, with the clocks that they are read by."""

    tenant: str
    datefrom: date | None
    dateto: date | None
    window: timedelta | None
    order: Order
    unique_by: UniqueBy
    clip: Clip
    row_limit: int | None
    on_error: OnError
    bad_records: BadRecords
    resume: Coverage | None
    settle: timedelta
    carry_keys: bool
    wall_clock: WallClock
    clock: ServerClock
    traffic: Traffic
    """What is known of the tenant's calls, for windows that are sized by what comes back."""
    known_server: KnownServer = attrs.field(factory=KnownServer)
    """What is known of the server."""
    overlap: timedelta = OVERLAP
    """By how much neighbouring windows overlap."""

    def check(self) -> None:
        """Refuse a range that cannot be requested, and a coverage that is of no use here.

        Raises:
            UsageError: The range is the wrong way round, the coverage is another query's, or there
                are no dates to resume between.
        """
        range_ = self.range()
        if self.resume is None:
            return
        if self.resume.fingerprint != self.fingerprint:
            raise UsageError(
                "resume is the coverage of another query: tenant, timezone, unique_by and clip "
                "must be the same, with clip datefrom too, and under a contract of the rule "
                "within its longest_call"
            )
        if range_ is None:
            raise UsageError("resume without datefrom: everything at once cannot be resumed")

    def range(self, now: float | None = None) -> Range | None:
        """Give the range; None is everything.

        Args:
            now: The moment at which a range without an end ends, by the clock of this machine; None
                is now. Where the server's clock is known to be ahead, the range ends by that one.
        """
        if self.datefrom is None:
            return None
        if self.dateto is not None:
            return self.wall_clock.range(self.datefrom, self.dateto)
        return self.wall_clock.range_until_now(self.datefrom, self.clock.latest(now))

    def horizon(self) -> datetime:
        """Give the wall time up to which records are at rest, by the earlier of the two clocks."""
        # "Now" is raised to the whole second, as the end of a range is: with another rounding
        # a range of whole days up to now would end in a window of one second.
        now = math.ceil(self.clock.earliest())
        try:
            return self.wall_clock.settled(now - self.settle.total_seconds())
        except (OverflowError, ValueError, OSError):
            return _NEVER

    def missing(
        self, range_: Range, horizon: datetime, start: datetime | None = None
    ) -> list[Span]:
        """List the parts of the range to fetch: not sealed, and none at rest only in part.

        Each reaches into the sealed spans beside it, as windows overlap.

        Args:
            range_: The range.
            horizon: The wall time up to which records are at rest.
            start: Where to begin, if not with the range.
        """
        start = range_.start if start is None else start
        missing = [(start, range_.end)]
        if self.resume is not None:
            missing = [
                (
                    first - min(self.overlap, first - range_.start),
                    last + min(self.overlap, range_.end - last),
                )
                for first, last in self.resume.missing(start, range_.end)
            ]
        return [
            (range_.before_skipped(first), last)
            for span in missing
            for first, last in _parted(span, horizon, self.overlap)
        ]

    def plan(self) -> Plan:
        """Give the windows to ask for, or a first guess at them, by the clock as it is now."""
        range_ = self.range()
        return plan_of(
            range_,
            self.window,
            () if range_ is None else self.missing(range_, self.horizon()),
            self.overlap,
        )

    @property
    def fingerprint(self) -> str:
        """A digest of what must be the same for one query's coverage to be of use to another."""
        range_ = self.range()
        # What is left out at the start of one range may belong to a range that starts earlier.
        is_cut = range_ is not None and (self.clip is not None or range_.not_before is not None)
        start = str(range_.clip_from) if range_ is not None and is_cut else ""
        rule = rule_text(self.unique_by)
        parts = [self.tenant, str(self.wall_clock.zone), rule, str(self.clip), start]
        if self.overlap != OVERLAP:
            # Spans that were sealed by windows which overlap less may lack a call between them.
            parts.append(str(self.overlap))
        return blake2b(repr(tuple(parts)).encode("utf-8", "replace"), digest_size=16).hexdigest()

    def __str__(self) -> str:
        if self.datefrom is None:
            span = "everything"
        else:
            span = f"{self.datefrom} to {'now' if self.dateto is None else self.dateto}"
        return f"{span}, tenant={self.tenant!r}"


def _parted(span: Span, horizon: datetime, overlap: timedelta) -> list[Span]:
    """Part a span at the horizon, so that no window is at rest only in part."""
    start, end = span
    if horizon >= end or horizon - start <= overlap:
        return [span]
    return [(start, horizon), (horizon - overlap, end)]
