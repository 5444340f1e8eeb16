"""Which legs must have come, if they are still there: those within what was read whole.

A leg that a mirror has, and that no answer has any more, is gone. To know that, its start and its
end must both lie strictly inside a span that was read without a gap: then every rule of the server
would have given it, whatever it compares with the two dates.

A span grows with each window that is sealed. At a window that was not read whole, for a record that
could not be read, it ends. A run that resumes a coverage drops records that an earlier one handed
over, so a span lies strictly inside what that coverage lacks. Windows that are not sealed stand for
themselves, as it is not proved that no record is missing between two of them.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from boxis_async import CDR, Coverage, Window

__all__ = ["ReadWhole", "WholeSpans"]

_MOST: Final = 200_000
"""So many keys take some 40 MB. Only faulty records, which end in the far future, come near it."""


@attrs.frozen
class ReadWhole:
    """A span that was read whole, of which the part from `looked` on was not looked at before.

    Legs that start and end after `after` and before `before` must have come.
    """

    after: datetime
    before: datetime
    looked: datetime


class WholeSpans:
    """Follows a run, window by window.

    Args:
        holes: What the run fetches, in wall times: the parts that are not sealed.
        broken: Windows of earlier runs with records that could not be read. Of their records the
            run hands over only what is new.
    """

    def __init__(
        self, holes: Iterable[tuple[datetime, datetime]], broken: Sequence[Window] = ()
    ) -> None:
        self._holes = [*holes]
        self._broken = broken
        self._pending: deque[Window] = deque()
        self._seen: dict[str, datetime] = {}
        self._is_overrun = False
        self._last_end: datetime | None = None
        self._span: ReadWhole | None = None

    def take(self, window: Window, legs: Iterable[tuple[str, CDR]]) -> None:
        """Note a window that came, and its legs with their keys."""
        self._pending.append(window)
        for key, cdr in legs:
            self._seen[key] = _reach(cdr)
        if len(self._seen) > _MOST:
            self._is_overrun = True
            self._seen = {}

    def is_seen(self, key: str) -> bool:
        """Report whether a leg came, or may have."""
        return self._is_overrun or key in self._seen

    def read(self, coverage: Coverage) -> Iterator[ReadWhole]:
        """Give what was read whole of the windows that a coverage has sealed by now."""
        # What came is known until here, as whoever got the spans before has looked them up.
        self._forget()
        while self._pending:
            window = self._pending[0]
            if _is_within(window, coverage.sealed):
                yield from self._next()
            elif window in coverage.rejected:
                self._skip()
            else:
                return

    def read_rest(self, coverage: Coverage, *, has_rejects: bool) -> Iterator[ReadWhole]:
        """Give what was read whole of the windows that are left, at the end of the run."""
        yield from self.read(coverage)
        while self._pending:
            if _is_within(self._pending[0], coverage.sealed):
                yield from self._next()
            elif has_rejects:
                self._skip()
            else:
                self._span = None
                yield from self._next()
                self._span = None

    def _next(self) -> Iterator[ReadWhole]:
        window = self._pending.popleft()
        start, end, last_end = window.start, window.end, self._last_end
        if start is None or end is None:
            return
        self._last_end = end
        if self._is_overrun or any(_touch(window, one) for one in self._broken):
            self._span = None
            return
        for first, last in self._holes:
            if last <= start or first >= end:
                continue
            span = self._span
            if span is not None and first <= span.after and start < span.before:
                after, looked = span.after, span.before
            else:
                after = looked = max(start, first)
                if last_end is not None and last_end > after and span is None:
                    # What came with the window before, which was not read whole, may be missing.
                    after = looked = min(last_end, end)
            self._span = ReadWhole(after, min(end, last), looked)
            yield self._span

    def _skip(self) -> None:
        self._last_end = self._pending.popleft().end
        self._span = None

    def _forget(self) -> None:
        """Let go of legs that cannot come again."""
        start = self._pending[0].start if self._pending else self._last_end
        if start is not None:
            self._seen = {key: reach for key, reach in self._seen.items() if reach >= start}


def _reach(cdr: CDR) -> datetime:
    latest = cdr.start if cdr.end is None else max(cdr.start, cdr.end)
    return latest.replace(tzinfo=None)


def _is_within(window: Window, spans: Iterable[Window]) -> bool:
    start, end = window.start, window.end
    if start is None or end is None:
        return False
    return any(
        span.start is not None and span.end is not None and span.start <= start and end <= span.end
        for span in spans
    )


def _touch(one: Window, other: Window) -> bool:
    if one.start is None or one.end is None or other.start is None or other.end is None:
        return True
    return one.start <= other.end and other.start <= one.end
