"""One question: what it asks for, in which windows, and what of the answers it hands over."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta, tzinfo
from hashlib import blake2b
from itertools import compress, pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

from boxis_async._wire.wallclock import Range
from boxis_async.coverage import Coverage, Ledger, Marks
from boxis_async.errors import UsageError, WindowError

from .adaptive_windows import SizedWindows, Traffic
from .dedupe import Seen, UniqueBy
from .prefetch import OnError, Order
from .windows import PlannedWindows, cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from boxis_async.models import CDR, Plan, Window

    from .fetch import Fetched
    from .prefetch import Windows
    from .windows import Span

__all__ = ["Clip", "Pass", "Query"]

Clip: TypeAlias = Literal["start"] | None

_ADDRESS = r" at 0x[0-9a-fA-F]+"  # compiled by `re` when first needed


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Query:
    """What a stream was asked, checked."""

    tenant: str
    datefrom: date | None
    dateto: date | None
    ask: Callable[[date | None, date | None], Range | None]
    """Gives the range to ask for, by the clock as it is now; None is everything."""
    horizon: Callable[[], datetime]
    """Gives the wall time up to which records are at rest."""
    zone: tzinfo
    window: timedelta | None
    traffic: Traffic
    """What is known of the tenant's calls, for windows that are sized by what comes back."""
    order: Order
    unique_by: UniqueBy
    clip: Clip
    row_limit: int | None
    on_error: OnError
    resume: Coverage | None
    carry_keys: bool
    told: str
    """The user's own words for the range, for the repr."""

    def asked(self) -> Range | None:
        """Give the range to ask for; each run anew, as it may end "now". None is everything."""
        return self.ask(self.datefrom, self.dateto)

    @property
    def fingerprint(self) -> str:
        """What must be the same for one query's coverage to be of use to another, as a digest."""
        asked = self.asked()
        # What is left out at the start of one range may belong to a range that starts earlier.
        is_cut = asked is not None and (self.clip is not None or asked.not_before is not None)
        start = str(asked.clip_from) if asked is not None and is_cut else ""
        parts = (self.tenant, str(self.zone), _named(self.unique_by), str(self.clip), start)
        return blake2b(repr(parts).encode("utf-8", "replace"), digest_size=16).hexdigest()

    def check_resume(self) -> None:
        """Refuse a coverage that is of no use here.

        Raises:
            UsageError: It is another query's, or there are no dates to go on between.
        """
        if self.resume is None:
            return
        if self.resume.fingerprint != self.fingerprint:
            raise UsageError(
                "resume is the coverage of another query: tenant, timezone, unique_by and clip "
                "must be the same, and with clip datefrom too"
            )
        if self.asked() is None:
            raise UsageError("resume without datefrom: everything at once cannot be resumed")

    def begin(self) -> Pass:
        """Plan a run, by the clock as it is now."""
        asked = self.asked()
        if asked is None:
            return Pass(self, None, (), None)
        horizon = self.horizon()
        missing = [(asked.start, asked.end)]
        if self.resume is not None:
            missing = self.resume.missing(asked.start, asked.end)
        spans = [part for span in missing for part in _parted(span, horizon)]
        return Pass(self, asked, spans, horizon)

    def __str__(self) -> str:
        return f"{self.told}, tenant={self.tenant!r}"


class Pass:
    """One run of a query: what it asks for, and what it has handed over."""

    def __init__(
        self, query: Query, asked: Range | None, spans: Sequence[Span], horizon: datetime | None
    ) -> None:
        self._spans = spans
        self.failures: list[WindowError] = []
        self.windows = 0
        self.seen = Seen(query.unique_by, query.resume.marks() if query.resume else ())
        self._query = query
        self._asked = asked
        self._horizon = horizon
        self._ledger = Ledger(query.fingerprint, query.resume, carry_keys=query.carry_keys)
        self._marks = Marks()
        self._seals = False
        self._is_empty = True
        # Names of what was handed over with a window that is not sealed, and so will come again.
        self._unsealed: set[bytes] = set()
        self._seconds = 0.0

    @property
    def plan(self) -> Plan:
        """The windows to ask for, or a first guess at them."""
        return cut(self._asked, self._query.window, self._spans)

    def windows_ahead(self) -> Windows:
        """Give the windows to ask for, one after the other."""
        query = self._query
        if query.window is not None or self._asked is None:
            return PlannedWindows(self.plan)
        return SizedWindows(self._spans, self.repeated, query.traffic, query.row_limit)

    @property
    def repeated(self) -> tuple[Span, ...]:
        """The repeated hours in the range."""
        return () if self._asked is None else self._asked.repeated

    def sift(self, fetched: Fetched) -> list[CDR]:
        """Choose what is handed over of a window: in the range, in order, each key once."""
        if self._horizon is not None:
            # The clock may have been set back by the server's since.
            self._horizon = min(self._horizon, self._query.horizon())
        cdrs, known_by = self._chosen(fetched)
        seen = self.seen
        self._is_empty = not fetched.cdrs
        self._seals = self._is_at_rest(fetched.window) and not (
            # What it shares with a window that will come again will come again too: to be known
            # on its edges then, it must come with all that was beside it.
            self._unsealed and not self._unsealed.isdisjoint(seen.names(cdrs, known_by))
        )
        # Before they are noted: a mark speaks of all that the server gave for the window.
        self._marks = self._marked(fetched.window, cdrs) if self._seals else Marks()
        verdicts = seen.compare(cdrs, known_by)
        if verdicts:
            is_new = (number not in verdicts for number in range(len(cdrs)))
            cdrs, known_by = _only(is_new, cdrs, known_by)
        if not self._seals:
            self._unsealed.update(seen.names(cdrs, known_by))
        return cdrs

    def _chosen(self, fetched: Fetched) -> tuple[list[CDR], list[bytes]]:
        """Choose the records that are in the range, in order, each with its fingerprints."""
        cdrs, known_by, asked = fetched.cdrs, fetched.known_by, self._asked
        if asked is not None and asked.reaches_too_far:
            cdrs, known_by = _only(map(asked.holds, cdrs), cdrs, known_by)
        if asked is not None and self._query.clip == "start":
            is_within = (asked.starts_within(cdr.start) for cdr in cdrs)
            cdrs, known_by = _only(is_within, cdrs, known_by)
        if self._query.order == "time" and not _are_in_order(cdrs):
            places = _in_order(cdrs)
            cdrs, known_by = [cdrs[at] for at in places], [known_by[at] for at in places]
        return cdrs, known_by

    def settle(self, window: Window) -> None:
        """Note a window as handed over, now that the item after its last record is asked for."""
        self.windows += 1
        self._seconds += window.length.total_seconds()
        self._ledger.hand_over(window, self._marks, is_sealed=self._seals, is_empty=self._is_empty)

    def fail(self, error: WindowError) -> None:
        """Note a window that failed for good."""
        self.failures.append(error)
        self._ledger.fail(error.window)

    def coverage(self) -> Coverage:
        """Give what is done so far, with what earlier runs have done."""
        return self._ledger.coverage()

    def covered(self) -> float:
        """Give the share of the range, from 0 to 1, that is handed over."""
        if self._asked is None:
            return float(self.windows > 0)
        span = (self._asked.start, self._asked.end)
        total = (span[1] - span[0]).total_seconds()
        missing = [span] if self._query.resume is None else self._query.resume.missing(*span)
        if not total:
            return float(self.windows > 0 or not missing)
        before = total - sum((end - start).total_seconds() for start, end in missing)
        return min(1.0, (before + self._seconds) / total)

    def _is_at_rest(self, window: Window) -> bool:
        """Tell whether a window need never be asked for again."""
        if self._asked is None or self._horizon is None:
            return False
        if window.start is None or window.end is None:
            return False
        if any(hour[0] < end < hour[1] for hour in self.repeated for end in attrs.astuple(window)):
            # The range's own end parts an hour that comes twice: a call that runs through the
            # change may belong to neither side, see windows.py.
            return False
        return window.end <= self._horizon and not self._asked.is_trimmed(window.start, window.end)

    def _marked(self, window: Window, cdrs: list[CDR]) -> Marks:
        """Mark the records that touch a window's two ends, and all if they are to be carried."""
        if window.start is None or window.end is None:
            return Marks()
        # In the records' own zone, where Python compares the wall clocks.
        first = window.start.replace(tzinfo=self._query.zone)
        last = window.end.replace(tzinfo=self._query.zone)
        # Most lie between the two ends. An end that is missing, or before the start, counts too.
        touching = [
            cdr for cdr in cdrs if not first < (start := cdr.start) <= (cdr.end or start) < last
        ]
        mark = self.seen.mark
        return Marks(
            frozenset(mark(cdr) for cdr in touching if _first(cdr) <= first),
            frozenset(mark(cdr) for cdr in touching if _last(cdr) >= last),
            frozenset(map(mark, cdrs)) if self._query.carry_keys else frozenset(),
        )


def _named(rule: UniqueBy) -> str:
    """Name a key rule; a function by where it is defined and what it does, without addresses."""
    if isinstance(rule, str):
        return rule
    name = getattr(rule, "__qualname__", None) or repr(rule)
    code = getattr(rule, "__code__", None)
    # Two lambdas of one place have one name.
    body = "" if code is None else f"{code.co_code.hex()} {code.co_names} {code.co_consts}"
    return re.sub(_ADDRESS, "", f"{rule.__module__}.{name} {body}")


def _first(cdr: CDR) -> datetime:
    """Give the earlier of a record's start and end by the wall clock."""
    return cdr.start if cdr.end is None else min(cdr.start, cdr.end)


def _last(cdr: CDR) -> datetime:
    """Give the later of a record's start and end by the wall clock."""
    return cdr.start if cdr.end is None else max(cdr.start, cdr.end)


def _parted(span: Span, horizon: datetime) -> list[Span]:
    """Part a span at the horizon, so that no window is at rest in part."""
    start, end = span
    return [(start, horizon), (horizon, end)] if start < horizon < end else [span]


def _only(
    which: Iterable[bool], cdrs: list[CDR], known_by: list[bytes]
) -> tuple[list[CDR], list[bytes]]:
    which = list(which)
    return [*compress(cdrs, which)], [*compress(known_by, which)]


def _are_in_order(cdrs: list[CDR]) -> bool:
    """Tell whether records come sorted, as most servers send them."""
    return all(
        one.start < other.start or (one.start == other.start and _sequence(one) <= _sequence(other))
        for one, other in pairwise(cdrs)
    )


def _in_order(cdrs: list[CDR]) -> list[int]:
    """Give the numbers of records by the wall-clock start as sent, then by sequence.

    Two datetimes of one zone compare by their wall clock, as Python defines it. To sort twice
    takes a quarter less than to make a tuple of both for each record, and compare those.
    """
    starts = [cdr.start for cdr in cdrs]
    sequences = [-1 if cdr.sequence is None else cdr.sequence for cdr in cdrs]
    places = sorted(range(len(cdrs)), key=sequences.__getitem__)
    places.sort(key=starts.__getitem__)
    return places


def _sequence(cdr: CDR) -> int:
    return -1 if cdr.sequence is None else cdr.sequence
