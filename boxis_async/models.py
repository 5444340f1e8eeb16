"""The frozen values that users hold: calls, windows, batches, rejects, plans, counts."""

# No `from __future__ import annotations` here: the public classes say that they are from
# `boxis_async`, see its `__init__.py`, and annotations that are texts would be looked up there.

import math
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from types import NoneType
from typing import Any, Final, NoReturn, Self, overload

import attrs

from boxis_async._as_json import core_schema, schema_of_values, to_json, value_as_json

__all__ = [
    "CDR",
    "OVERLAP",
    "Batch",
    "Direction",
    "Disposition",
    "Extra",
    "OpenWords",
    "Plan",
    "Reject",
    "Stats",
    "Window",
    "describe_place",
    "shown_value",
]


class OpenWords(StrEnum):
    """Words of which others may come: one that is not listed passes through.

    `Disposition("VOICEMAIL")` is a `Disposition` too, equal to the text, so that a new
    word on the provider's side never ends a stream.
    """

    @classmethod
    def _missing_(cls, value: object) -> "Self | None":
        if not isinstance(value, str):
            return None
        word = str.__new__(cls, value)
        word._name_ = value
        word._value_ = value
        return word

    # Enum hashes the name, and a text hashes itself: equal values must hash alike.
    __hash__ = str.__hash__


class Disposition(OpenWords):
    """How a leg ended, in Asterisk's words; a word that is not listed passes through.

    `ANSWERED` says that the exchange picked up: for a person, a queue's music, a menu, an
    announcement or a voicemail box. `Call.outcome` says which.
    """

    NO_ANSWER = "NO ANSWER"
    FAILED = "FAILED"
    BUSY = "BUSY"
    ANSWERED = "ANSWERED"
    CONGESTION = "CONGESTION"


class Direction(StrEnum):
    """Which way a call went, as the provider marks it in `userfield`."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    LOCAL = "local"


class Extra(dict[str, str]):
    """The fields of a record that nobody documented: a read-only dict."""

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a CDR is frozen, its extra fields too: copy them with dict(cdr.extra)")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse  # pyright: ignore[reportAssignmentType]

    def __reduce__(self) -> "tuple[type[Extra], tuple[dict[str, str]]]":
        return type(self), (dict(self),)


OVERLAP: Final = timedelta(seconds=1)
"""The time that two neighbouring windows have in common."""

_NO_EXTRA = Extra()
_LONGEST_NAME: Final = 80

_ESCAPED = re.compile(r"(?s)\\(.)")
_NUMBER = re.compile(r"[+*#]?[0-9][0-9*#]*")
_SPACES = re.compile(r"\s+")
_QUOTED = re.compile(r'(?s)"(?:[^"\\]|\\.)*"')
# A quote behind the bracket was seen in real records.
_IN_BRACKETS = re.compile(r'(?s)(.*)<([^<>]*)>[\s"]*')
_ADDRESS = re.compile(r"(?is)(?:sips?|tel):([^@;]*).*")
# Asterisk keeps so many characters of a text.
_CUT = 79
# Characters of a text whose meaning is remembered: a hostile caller may fill megabytes.
_LONGEST_REMEMBERED = 128
_DIRECTION = re.compile(r"\[(inbound|outbound|local)\]|\A(inbound|outbound|local)\Z", re.IGNORECASE)


class _Referable:
    """Lets its slotted children be weakly referred to.

    A class with a slot of its own for that could not take over another's instance, see records.py.
    """

    __slots__ = ("__weakref__",)


@attrs.frozen(kw_only=True)
class CDR(_Referable):
    """One call detail record: one leg of a call, as the provider wrote it.

    Fields carry the API's own names (page "Get Calls History"); only `srcCallID` is
    spelled `src_call_id`. Values are carried as sent: nothing is computed, and nothing is
    asserted between them (`duration` need not be `end - start`). Text that the provider
    leaves unset is `""`, whatever else it leaves unset is None. Datetimes are aware, in
    the provider's time zone.

    Subtract datetimes in UTC where a clock change may lie between them: Python compares
    and subtracts two datetimes of one zone by their wall clock.
    """

    uniqueid: str = ""
    """The name of the caller's channel. Several legs can share it; it can be empty."""
    start: datetime
    """When the leg began. In the autumn's repeated hour the epoch inside `uniqueid`
    tells which of the two moments it is, where there is one; else it is the first."""
    answer: datetime | None = None
    """When it was answered; None when it was not."""
    end: datetime | None = None
    """When it ended."""
    clid: str = ""
    """The caller as Asterisk writes it: `"Name" <number>`."""
    src: str = ""
    dst: str = ""
    dcontext: str = ""
    channel: str = ""
    dstchannel: str = ""
    lastapp: str = ""
    lastdata: str = ""
    duration: int | None = None
    """Seconds from start to end, as the provider counted them."""
    billsec: int | None = None
    """Seconds from answer to end, as the provider counted them."""
    disposition: Disposition | None = None
    amaflags: str = ""
    """`3` or `DOCUMENTATION`: sent as a number or as a word."""
    accountcode: str = ""
    userfield: str = ""
    """Holds the direction, as in `[inbound]`."""
    realsrc: str = ""
    firstdst: str = ""
    lastdst: str = ""
    src_call_id: str = ""
    """The API's `srcCallID`."""
    prevuniqueid: str = ""
    peeraccount: str = ""
    sequence: int | None = None
    """Tells apart the legs that share a `uniqueid`; None or 0 where it was never filled."""
    originateid: str = ""
    linkedid: str = ""
    """Shared by all legs of one call."""
    wherelanded: str = ""
    pincode: str = ""
    prevsequence: int | None = None
    cc_peername: str = ""
    cc_date: date | None = None
    cc_type: str = ""
    cc_type_id: int | None = None
    cc_country: str = ""
    cc_network: str = ""
    cc_international: str = ""
    cc_cost: Decimal | None = None
    """The cost, in the currency of your contract; may be worked out after the call."""
    extra: Extra = attrs.field(default=_NO_EXTRA, hash=False)
    """Fields that the provider sends and nobody documented, by their own names, as text."""

    @property
    def leg(self) -> tuple[str, ...]:
        """What names this leg: its uniqueid and its sequence, as texts.

        A sequence that is missing or 0 was never filled, and legs that share it are not the same.
        The start, the channel and the dstchannel take its place. `unique_by="leg"` goes by this
        name, and it makes a primary key in a database.
        """
        if self.sequence:
            return self.uniqueid, str(self.sequence)
        start = f"{self.start:%Y-%m-%d %H:%M:%S} {self.start.fold}"
        return self.uniqueid, start, self.channel, self.dstchannel

    @property
    def answered(self) -> bool:
        """Whether the leg's disposition is ANSWERED: the exchange picked up.

        That may be for a queue's music, a menu, an announcement or a voicemail box as well as for
        a person. `Call.answered` says whether a person did: see `group_calls`.
        """
        return self.disposition == Disposition.ANSWERED

    @property
    def missed(self) -> bool:
        """Whether the leg came in from outside, and its disposition is not ANSWERED.

        It speaks of this leg alone. A call that rang in a queue has a missed leg for each
        telephone that stayed on the hook, and one that ended in a voicemail box has a leg that is
        answered. `Call.missed` judges the whole call: see `group_calls`.
        """
        return self.direction is Direction.INBOUND and not self.answered

    @property
    def direction(self) -> Direction | None:
        """The direction that `userfield` names, as in `[inbound]`, or None."""
        is_short = len(self.userfield) <= _LONGEST_REMEMBERED
        return (_direction_in if is_short else _direction_in.__wrapped__)(self.userfield)

    @property
    def caller_name(self) -> str:
        """The name in `clid`, without its quotes; `""` if there is none.

        The provider may cut `clid` at 80 characters; the name is then what is left of it.
        """
        return self._caller()[0]

    @property
    def caller_number(self) -> str:
        """The number in `clid`, without spaces; `src` where there is none; `""` without both.

        Of `<sip:0041616925879@host>` it is `0041616925879`. Both records of the page "Get Calls
        History" have a `clid` without a number. Of a `clid` that is cut within the number, `src`
        is taken.
        """
        return self._caller()[1] or _bare_number(self.src)

    @property
    def ring_time(self) -> timedelta | None:
        """How long the leg rang: from start to answer, or to the end when it was not answered.

        A leg whose disposition is another one than ANSWERED rang until its end, whatever `answer`
        says: on a channel that is answered already, Asterisk writes the start of the leg there.
        Real elapsed time, also across a clock change, and never negative; None when the record
        does not tell.
        """
        is_answered = self.answered or self.disposition is None
        until = (self.answer or self.end) if is_answered else self.end
        if until is None:
            return None
        return timedelta(seconds=max(0.0, until.timestamp() - self.start.timestamp()))

    def to_dict(self) -> dict[str, Any]:
        """Give the record as a dict that `json.dumps` takes: the fields by their names, in order.

        Times and days are ISO 8601, times with their offset. The cost is a text, so that no digit
        is lost: JSON's numbers are floats to most readers. What is unset is None, and `extra` is a
        dict of texts. It is what a line of an export in JSON Lines holds.
        """
        return {name: value_as_json(getattr(self, name)) for name in _FIELDS}

    def to_json(self) -> str:
        """Give the record as one line of JSON, in ASCII: `to_dict()`, as a text."""
        return to_json(self.to_dict())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> dict[str, Any]:
        return core_schema(cls, cls.to_dict)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, Any]:
        return schema_of_values(cls, {field.name: field.type for field in attrs.fields(cls)})

    def _caller(self) -> tuple[str, str]:
        is_short = len(self.clid) <= _LONGEST_REMEMBERED
        return (_read_caller if is_short else _read_caller.__wrapped__)(self.clid)


_FIELDS: Final = tuple(field.name for field in attrs.fields(CDR))


# Name and number are asked for one by one, and callers call again. To read a clid takes 4 µs, to
# look it up 0.1.
@lru_cache(maxsize=4096)
def _read_caller(sent: str) -> tuple[str, str]:
    """Give the name and the number in a `clid`."""
    clid = sent.strip()
    found = None if _QUOTED.fullmatch(clid) else _IN_BRACKETS.fullmatch(clid)
    if found is not None:
        name, number = found[1].rstrip(), _bare_number(found[2])
    elif _NUMBER.fullmatch(bare := _bare_number(clid)):
        return "", bare
    elif len(sent) >= _CUT:
        name, number = _name_in_cut(clid), ""
    else:
        name, number = clid, ""
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = name[1:-1]
        if "\\" in name:
            name = _ESCAPED.sub(r"\1", name)
    return name.strip(), number


# There are few userfields. To search one takes 1.5 µs, to look it up 0.1.
@lru_cache(maxsize=256)
def _direction_in(userfield: str) -> Direction | None:
    found = _DIRECTION.search(userfield.strip())
    return None if found is None else Direction((found[1] or found[2]).lower())


def _bare_number(text: str) -> str:
    """Give a number without the spaces in it, and without what makes it an address."""
    text = text.strip()
    found = _ADDRESS.fullmatch(text)
    if found is not None:
        text = found[1]
    bare = _SPACES.sub("", text)
    return bare if _NUMBER.fullmatch(bare) else text


def _name_in_cut(clid: str) -> str:
    """Give the name at the beginning of a `clid` that was cut within it, or behind it."""
    if not clid.startswith('"'):
        return clid.rpartition("<")[0].rstrip() or clid
    found = _QUOTED.match(clid)
    return f'{clid}"' if found is None else found[0]


@attrs.frozen
class Window:
    """The span that one request asks for, on the provider's wall clock.

    `start` and `end` are naive datetimes with whole seconds, as they stand in `datefrom`
    and `dateto` of the request. Neighbouring windows overlap by a second. Both are
    None for the one request that asks for everything.
    """

    start: datetime | None
    end: datetime | None

    @property
    def length(self) -> timedelta:
        """The time from start to end on the wall clock; zero for everything at once."""
        if self.start is None or self.end is None:
            return timedelta(0)
        return self.end - self.start

    def __str__(self) -> str:
        if self.start is None or self.end is None:
            return "of everything"
        return f"{self.start} to {self.end}"


@attrs.frozen
class Batch:
    """The calls of one window, each key once over the whole stream; possibly none."""

    window: Window
    cdrs: tuple[CDR, ...]


@attrs.frozen(kw_only=True)
class Reject:
    """A record that could not be read, and why (`bad_records="collect"`).

    It says what a `RecordError` says, and holds the whole record. That may have telephone numbers:
    take care where you log it. The repr leaves the record out.
    """

    window: Window
    """The window whose answer has the record."""
    position: str
    """The record's key in that answer, such as `call_17`."""
    field: str | None
    """The API's name of the field; None if the record is no record at all."""
    value: object = attrs.field(hash=False)
    """The value as sent."""
    reason: str
    """What is wrong with the value."""
    row: object = attrs.field(hash=False, repr=False)
    """The record as sent, most often a dict; a number is the text that stands on the wire."""

    def __str__(self) -> str:
        where = describe_place(self.window, self.position, self.field)
        return f"{where}: {self.reason}, got {shown_value(self.value)}"


def describe_place(window: Window | None, position: str, field: str | None) -> str:
    """Say where in an answer a value stands, in one line that is safe to print.

    The names are the provider's, so long ones are cut, and what a terminal would obey is escaped.
    """
    if not position.isprintable() or len(position) > _LONGEST_NAME:
        position = shown_value(position, _LONGEST_NAME)
    place = "" if window is None else f"window {window}, "
    place += position
    return place if field is None else f"{place}, field {shown_value(field, _LONGEST_NAME)}"


def shown_value(value: object, longest: int = 200) -> str:
    """Show a value, escaped, and cut where it would fill the screen."""
    if not isinstance(value, (str, int, float, NoneType)):
        # A container's repr could be as deep and as large as the answer.
        return f"a {type(value).__name__}"
    shown = repr(value)
    return shown if len(shown) <= longest else f"{shown[:longest]}… ({len(shown)} characters)"


@attrs.frozen(repr=False)
class Stretch:
    """A part of a plan: windows of one length, but for the last, which may be shorter.

    Each but the first begins a time `between` before the one before it ends, and the first a time
    `overlap` before `start`, where another stretch ends. None begins before the first.
    """

    start: datetime | None
    end: datetime | None
    window: timedelta
    overlap: timedelta = timedelta(0)
    between: timedelta = OVERLAP

    def __len__(self) -> int:
        if self.start is None or self.end is None:
            return 1
        return max(1, -((self.start - self.end) // self.window))

    def __getitem__(self, index: int) -> Window:
        if self.start is None or self.end is None:
            return Window(None, None)
        start = self.start + index * self.window
        # Compared as what is left, since `start + window` may lie past the year 9999.
        end = self.end if self.end - start <= self.window else start + self.window
        # Likewise, as the first moment may be the earliest that there is.
        before = index * self.window + self.overlap
        return Window(start - min(before, self.between if index else self.overlap), end)


@attrs.frozen(repr=False)
class Plan(Sequence[Window]):
    """The windows of a range, in order: a sequence that computes each on access.

    `guess` is True when the lengths are a first guess only, because the stream sizes its
    windows itself (`window=None`).
    """

    _stretches: tuple[Stretch, ...]
    guess: bool = False

    @property
    def start(self) -> datetime | None:
        """When the first window begins; None for everything, or when there is no window."""
        return self._stretches[0].start if self._stretches else None

    @property
    def end(self) -> datetime | None:
        """When the last window ends; None for everything, or when there is no window."""
        return self._stretches[-1].end if self._stretches else None

    def __len__(self) -> int:
        return sum(map(len, self._stretches))

    def __iter__(self) -> Iterator[Window]:
        for stretch in self._stretches:
            for index in range(len(stretch)):
                yield stretch[index]

    @overload
    def __getitem__(self, index: int, /) -> Window: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[Window]: ...
    def __getitem__(self, index: int | slice, /) -> Window | list[Window]:
        if isinstance(index, slice):
            return [self._at(i) for i in range(*index.indices(len(self)))]
        return self._at(range(len(self))[index])

    def __repr__(self) -> str:
        windows = "1 window" if len(self) == 1 else f"{len(self)} windows"
        if len(self._stretches) == 1 and len(self) > 1:
            windows += f" of {self._stretches[0].window}"
        span = f", {Window(self.start, self.end)}" if self else ""
        return f"<Plan({windows}{span}{', a guess' if self.guess else ''})>"

    def _at(self, index: int) -> Window:
        for stretch in self._stretches:
            if index < len(stretch):
                return stretch[index]
            index -= len(stretch)
        raise IndexError("there are fewer windows")


@attrs.frozen
class Stats:
    """What a stream did so far.

    A record is counted as a duplicate, a conflict or a revision when it was dropped
    because its key had been handed over before.
    """

    records: int = 0
    """Records handed to the consumer."""
    duplicates: int = 0
    """Dropped: the same content had come before, as at a boundary that two windows share."""
    conflicts: int = 0
    """Dropped, and no copy: another leg under the same key. See `unique_by="leg"`."""
    revisions: int = 0
    """Dropped, and no copy: the same leg, changed since (a cost worked out later)."""
    requests: int = 0
    """HTTP requests sent."""
    retries: int = 0
    """Requests that were sent again, for whatever reason."""
    splits: int = 0
    """Windows that were cut in halves."""
    windows: int = 0
    """Windows whose records have been taken by the consumer."""
    failures: int = 0
    """Windows that could not be had; see `CDRStream.failures`."""
    rejects: int = 0
    """Records that could not be read; see `CDRStream.rejects`."""
    covered: float = 0.0
    """The share of the range, from 0 to 1, that has been handed over, by earlier runs too.

    A window with a record that could not be read does not count: it is fetched again.
    """

    @property
    def percent(self) -> int:
        """`covered` in whole per cent, rounded down: 100 only where nothing is missing."""
        if self.covered >= 1:
            return 100
        # Binary fractions lie a little beside what they stand for: 0.57 * 100 is less than 57.
        return min(99, math.floor(self.covered * 100 + 1e-9))
