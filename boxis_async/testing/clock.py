"""Wall-clock text for many instants, without asking the zone for each."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterator

# No zone in use today changes its offset elsewhere than on a quarter of an hour.
_QUARTER = 900
_DAY = 86_400
_EPOCH = date(1970, 1, 1)


@define
class WallClock:
    """Write Unix seconds as a zone's clock on the wall shows them."""

    zone: ZoneInfo = field(converter=ZoneInfo)
    _offsets: dict[int, int] = field(factory=dict[int, int], init=False, repr=False)
    _dates: dict[int, str] = field(factory=dict[int, str], init=False, repr=False)

    def offset(self, epoch: int) -> int:
        """Return by how many seconds the wall is ahead of UTC at an instant."""
        quarter = epoch // _QUARTER
        offset = self._offsets.get(quarter)
        if offset is None:
            ahead = datetime.fromtimestamp(quarter * _QUARTER, self.zone).utcoffset()
            offset = self._offsets[quarter] = int((ahead or timedelta()).total_seconds())
        return offset

    def day(self, epoch: int) -> str:
        """Return `yyyy-mm-dd`."""
        number = (epoch + self.offset(epoch)) // _DAY
        text = self._dates.get(number)
        if text is None:
            text = self._dates[number] = (_EPOCH + timedelta(days=number)).isoformat()
        return text

    def hour(self, epoch: int) -> int:
        """Return the hour on the wall, 0 to 23."""
        return (epoch + self.offset(epoch)) % _DAY // 3600

    def text(self, epoch: int) -> str:
        """Return `yyyy-mm-dd hh:mm:ss`; in the hour that autumn repeats it names two instants."""
        minutes, seconds = divmod((epoch + self.offset(epoch)) % _DAY, 60)
        return f"{self.day(epoch)} {minutes // 60:02}:{minutes % 60:02}:{seconds:02}"

    def midnight(self, day: date) -> int:
        """Return the Unix seconds at which a day begins."""
        began = datetime(day.year, day.month, day.day, tzinfo=self.zone)
        return int(began.astimezone(UTC).timestamp())

    def changes(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield each change of the clock from `start` to `end`, and by how much it goes forward.

        A negative number means that it goes back, and that as many seconds show twice.
        """
        if self.offset(start) == self.offset(end):
            return
        for instant in range(start + _QUARTER, end + 1, _QUARTER):
            if forward := self.offset(instant) - self.offset(instant - 1):
                yield instant, forward
