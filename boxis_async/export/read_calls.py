"""Calls read back from an export: from its legs, or from its calls, in little memory.

A file is read twice: once for the starts of its rows alone, which show from when to when it
reaches and whether it is in order of time; then row by row. Legs that are not in order, beyond what
a call may be quiet for, are grouped in memory, all at once.
"""

# No `from __future__ import annotations` here, see `values.py`.

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs

from boxis_async import CDR, Call, Direction, Disposition, Extra, Outcome, UsageError, group_calls
from boxis_async.calls import open_calls
from boxis_async.export.arrow import parquet_rows
from boxis_async.export.columns import COLUMNS, Column, Rows, choose_columns
from boxis_async.export.formats import format_of
from boxis_async.export.layout import DELIMITERS
from boxis_async.moments import read_zone

__all__ = ["CallsFile"]

_AT_ONCE: Final = 1000
_MARGIN: Final = timedelta(hours=4)
"""As `BoxisClient.calls` has it."""
# How far a leg may lie behind the latest one before it, so that what `open_calls` then refuses was
# quiet for more than the margin: see `_CLOCK_CHANGE` there.
_DISORDER: Final = timedelta(hours=2)
# What stands before a text, or a part of one, that a spreadsheet would take for a formula. See
# `text_writers.py`. A file does not say whether it was written so; in one that was not, a text that
# begins with `'=` loses the `'`.
_GUARD = re.compile(r"""(\A|[,;|:\t\r\n])'(?="*[=+\-@\t\r\n＝＋－＠'])""")  # noqa: RUF001
_OF_CALLS: Final = choose_columns("calls").all
Row = Mapping[str, Any]


@attrs.frozen(kw_only=True)
class CallsFile:
    """The calls of a file that `export` or `boxis export` wrote: CSV, JSON Lines or Parquet.

    `CallsFile.of` looks at a file. It needs all columns of a leg, or all of a call, as an export
    without `columns` has them. A call that is read from a file of calls has no `legs`.
    """

    path: Path
    """The file."""
    rows: Rows
    """What a row of it is: `"legs"` or `"calls"`."""
    first: datetime | None
    """When its first row starts; None where it has none."""
    last: datetime | None
    """When its last row starts."""
    timezone: tzinfo
    """The zone of its times."""
    country: str
    """The country that a number with a single leading 0 is of."""
    margin: timedelta
    """How long after the end of its last leg a call may get another one."""
    is_in_order: bool
    """Whether its rows are in order of time, so that calls can be made of legs one by one."""

    @classmethod
    def of(
        cls,
        path: str | Path,
        *,
        timezone: str | tzinfo = "Europe/Zurich",
        country: str = "CH",
        margin: timedelta = _MARGIN,
    ) -> "CallsFile":
        """Look at a file, whose name shows of which format it is.

        Args:
            path: The file.
            timezone: The zone of its times.
            country: The country that a number with a single leading 0 is of.
            margin: How long after the end of its last leg a call may get another one.

        Raises:
            UsageError: It is no such file, lacks columns, or has a row that cannot be read.
            MissingExtraError: It is a Parquet file, and pyarrow is not installed.
            OSError: It cannot be read.
        """
        rows = _Reader(Path(path), _zone(timezone))
        try:
            kind = rows.kind()
            first, last, is_in_order = rows.look()
        except (ValueError, csv.Error) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"{path} is no export that can be read: {error}") from error
        return cls(
            path=Path(path),
            rows=kind,
            first=first,
            last=last,
            timezone=_zone(timezone),
            country=country,
            margin=margin,
            is_in_order=is_in_order,
        )

    def calls(self) -> Iterator[Call]:
        """Read the calls, each once it is complete.

        Raises:
            UsageError: A row cannot be read; the message has its number.
            LateLegError: A call was quiet for longer than the margin.
        """
        rows = _Reader(self.path, self.timezone)
        if self.rows == "calls":
            yield from rows.calls()
            return
        legs = rows.legs()
        if not self.is_in_order:
            yield from group_calls(legs, country=self.country)
            return
        calls = open_calls(self.margin, None, self.country)
        while some := list(islice(legs, _AT_ONCE)):
            yield from calls.add(some)
        yield from calls.close()


class _Reader:
    """Reads the rows of a file."""

    def __init__(self, path: Path, zone: tzinfo) -> None:
        self.path = path
        self._zone = zone
        self._format = format_of(path)
        if self._format == "xlsx":
            raise UsageError(f"{path} cannot be read back: export as CSV, JSON Lines or Parquet")

    def _names(self) -> frozenset[str]:
        for row in self._read():
            return frozenset(row)
        return frozenset()

    def kind(self) -> Rows:
        """Find out what a row is."""
        names = self._names()
        of_legs, of_calls = (
            {column.name for column in columns} for columns in (COLUMNS, _OF_CALLS)
        )
        if not names or of_legs <= names:
            return "legs"
        if of_calls <= names:
            return "calls"
        lacks = min(of_legs - names, of_calls - names, key=len)
        raise UsageError(
            f"{self.path} lacks {', '.join(sorted(lacks))}: export it again with all columns, "
            "without --columns"
        )

    def look(self) -> tuple[datetime | None, datetime | None, bool]:
        """Give the first start and the last, and whether rows are in order of time."""
        first: datetime | None = None
        last: datetime | None = None
        is_in_order = True
        for number, row in enumerate(self._read(only="start"), 1):
            start: datetime = self._value(_START, row, number)
            if first is None or last is None:
                first = last = start
            elif start < first:
                first = start
            elif start > last:
                last = start
            # Of one zone they compare by the wall clock, at a fortieth of what a timestamp costs.
            is_in_order &= last - start < _DISORDER
        return first, last, is_in_order

    def legs(self) -> Iterator[CDR]:
        """Read legs."""
        return map(self._leg, enumerate(self._read(), 1))

    def calls(self) -> Iterator[Call]:
        """Read calls."""
        return map(self._call, enumerate(self._read(), 1))

    def _leg(self, numbered: tuple[int, Row]) -> CDR:
        number, row = numbered
        return CDR(**{column.name: self._value(column, row, number) for column in COLUMNS})

    def _call(self, numbered: tuple[int, Row]) -> Call:
        number, row = numbered
        found = {column.name: self._value(column, row, number) for column in _OF_CALLS}
        direction = found["direction"]
        try:
            return Call(
                legs=(),
                start=found["start"],
                end=found["end"],
                direction=Direction(direction) if direction else None,
                caller_number=found["caller_number"],
                caller_name=found["caller_name"],
                dialled=found["dialled"],
                outside=found["outside"],
                outcome=Outcome(found["outcome"] or Outcome.UNKNOWN),
                answered_by=found["answered_by"],
                wait=timedelta(seconds=found["wait_seconds"] or 0),
                talk=timedelta(seconds=found["talk_seconds"] or 0),
                cost=found["cost"] or Decimal(0),
            )
        except (ValueError, OverflowError) as error:
            raise self._wrong(number, f"{f'{error}':.200}") from error

    def _value(self, column: Column, row: Row, number: int) -> Any:  # noqa: ANN401 - by its kind
        if column.name not in row:
            raise self._wrong(number, f"it has no {column.name}")
        value = row[column.name]
        try:
            found = _READERS[column.kind](value, self._zone)
        except (
            ValueError,
            ArithmeticError,
            TypeError,
            AttributeError,
            RecursionError,
        ) as error:
            # Both may be as long as the file.
            what = f"{column.name} is {value!r:.200}: {f'{error}':.200}"
            raise self._wrong(number, what) from error
        if found is None and column.name == "start":
            raise self._wrong(number, "it has no start")
        return found

    def _wrong(self, number: int, what: object) -> UsageError:
        return UsageError(f"row {number} of {self.path} cannot be read: {what}")

    def _read(self, only: str | None = None) -> Iterator[Row]:
        """Read the rows, as texts or values by the names of the columns; or one column alone."""
        if self._format == "csv":
            return self._csv_rows(only)
        if self._format == "jsonl":
            return self._json_rows()
        return parquet_rows(self.path, only)

    def _csv_rows(self, only: str | None) -> Iterator[Row]:
        # A text can be longer than the module's own limit of 128 KiB.
        csv.field_size_limit(2**31 - 1)
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            delimiter = next((sign for sign in DELIMITERS if sign in header), ",")
            rows = csv.reader(chain([header], file), delimiter=delimiter, strict=True)
            nothing: list[str] = []
            names = next(rows, nothing)
            wanted = [names.index(only)] if only in names else range(len(names))
            kept = [names[at] for at in wanted]
            for number, row in enumerate(rows, 1):
                if len(row) != len(names):
                    raise self._wrong(number, f"it has {len(row)} of {len(names)} fields")
                yield dict(zip(kept, (_without_guard(row[at]) for at in wanted), strict=True))

    def _json_rows(self) -> Iterator[Row]:
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    row = json.loads(line)
                except RecursionError as error:
                    raise self._wrong(number, "it is nested too deep") from error
                if not isinstance(row, dict):
                    raise self._wrong(number, "it is no JSON object")
                yield row


def _without_guard(text: str) -> str:
    return _GUARD.sub(r"\1", text) if "'" in text else text


def _zone(timezone: str | tzinfo) -> tzinfo:
    if isinstance(timezone, tzinfo):
        return read_zone(timezone)
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"there is no time zone {timezone!r}") from None


def _moment(value: Any, zone: tzinfo) -> datetime | None:  # noqa: ANN401 - a text, or a datetime
    if value is None or value == "":
        return None
    written = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return written.replace(tzinfo=zone) if written.tzinfo is None else written.astimezone(zone)


def _date(value: Any, _: tzinfo) -> date | None:  # noqa: ANN401 - as above
    return value if isinstance(value, date) else date.fromisoformat(value) if value else None


def _integer(value: Any, _: tzinfo) -> int | None:  # noqa: ANN401 - as above
    return None if value is None or value == "" else int(value)


def _decimal(value: Any, _: tzinfo) -> Decimal | None:  # noqa: ANN401 - as above
    if value is None or value == "":
        return None
    return value if isinstance(value, Decimal) else Decimal(str(value).replace(",", "."))


def _boolean(value: Any, _: tzinfo) -> bool:  # noqa: ANN401 - as above
    return value in (True, "true")


def _mapping(value: Any, _: tzinfo) -> Extra:  # noqa: ANN401 - as above
    if isinstance(value, str):
        value = json.loads(value) if value else {}
    return Extra(value or {})


def _word(value: Any, _: tzinfo) -> Disposition | None:  # noqa: ANN401 - as above
    return Disposition(value) if value else None


def _text(value: Any, _: tzinfo) -> str:  # noqa: ANN401 - as above
    return "" if value is None else str(value)


_READERS: Final[dict[str, Callable[[Any, tzinfo], Any]]] = {
    "text": _text,
    "datetime": _moment,
    "date": _date,
    "integer": _integer,
    "seconds": _integer,
    "decimal": _decimal,
    "boolean": _boolean,
    "word": _word,
    "mapping": _mapping,
}
_START: Final = next(column for column in COLUMNS if column.name == "start")
