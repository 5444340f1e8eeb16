"""The local time of many instants, as text.

Generated calls need three local times a record. So we look up the UTC offset once for each quarter
of an hour, and format each date once.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterator

# Every zone in use today changes its offset on a quarter of an hour.
_QUARTER_SECONDS = 900
_DAY_SECONDS = 86_400
_EPOCH = date(1970, 1, 1)


@define
class LocalClock:
    """Convert Unix seconds to a zone's local time, and back."""

    zone: ZoneInfo = field(converter=ZoneInfo)
    _offsets: dict[int, int] = field(factory=dict[int, int], init=False, repr=False)
    _dates: dict[int, str] = field(factory=dict[int, str], init=False, repr=False)

    def utc_offset(self, epoch: int) -> int:
        """Return by how many seconds local time is ahead of UTC at an instant."""
        quarter = epoch // _QUARTER_SECONDS
        offset = self._offsets.get(quarter)
        if offset is None:
            ahead = datetime.fromtimestamp(quarter * _QUARTER_SECONDS, self.zone).utcoffset()
            offset = self._offsets[quarter] = int((ahead or timedelta()).total_seconds())
        return offset

    def hour(self, epoch: int) -> int:
        """Return the hour of the local time, 0 to 23."""
        return (epoch + self.utc_offset(epoch)) % _DAY_SECONDS // 3600

    def text(self, epoch: int) -> str:
        """Return `yyyy-mm-dd hh:mm:ss`, which means two instants in the repeated hour of autumn."""
        number, seconds = divmod(epoch + self.utc_offset(epoch), _DAY_SECONDS)
        day = self._dates.get(number)
        if day is None:
            day = self._dates[number] = (_EPOCH + timedelta(days=number)).isoformat()
        minutes, seconds = divmod(seconds, 60)
        return f"{day} {minutes // 60:02}:{minutes % 60:02}:{seconds:02}"

    def instants(self, text: str) -> list[int]:
        """Return the Unix seconds that a local time means, the earlier first.

        There are two in the repeated hour of autumn, and none where the text is no time. In the
        hour that spring leaves out, it is the instant by the offset of before the change.
        """
        try:
            wall = datetime.fromisoformat(text).replace(tzinfo=self.zone)
            first, second = (int(wall.replace(fold=fold).timestamp()) for fold in (0, 1))
        except (ValueError, OverflowError):
            return []
        # In spring's gap the two are in the other order.
        return [first, second] if first < second else [first]

    def midnight(self, day: date) -> int:
        """Return the Unix seconds at which a day begins."""
        midnight = datetime(day.year, day.month, day.day, tzinfo=self.zone)
        return int(midnight.astimezone(UTC).timestamp())

    def clock_changes(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the instant of each clock change in a range, and how far the clock goes forward.

        A negative number of seconds means that the clock goes back and repeats as many.
        """
        if self.utc_offset(start) == self.utc_offset(end):
            return
        for instant in range(start + _QUARTER_SECONDS, end + 1, _QUARTER_SECONDS):
            if forward := self.utc_offset(instant) - self.utc_offset(instant - 1):
                yield instant, forward
