"""Hypothesis strategies for everything that the provider may send and a user may ask."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, TypeAlias
from zoneinfo import ZoneInfo

import attrs
from calls import SECOND
from hypothesis import strategies as st

from boxis_async.models import CDR

if TYPE_CHECKING:
    from collections.abc import Mapping

    Row: TypeAlias = dict[str, str | None]

ZURICH = ZoneInfo("Europe/Zurich")

FIELDS = tuple(
    "srcCallID" if name == "src_call_id" else name
    for name in attrs.fields_dict(CDR)
    if name != "extra"
)
"""The fields that the provider documents, by its own names."""

TYPED = frozenset(
    {
        "start",
        "answer",
        "end",
        "duration",
        "billsec",
        "disposition",
        "sequence",
        "prevsequence",
        "cc_date",
        "cc_type_id",
        "cc_cost",
    }
)
"""Those of them that are no text."""


@attrs.frozen
class ClockChange:
    """A time zone, the moment at which its clock is changed, and by how much it jumps."""

    zone: tzinfo
    moment: datetime
    jump: timedelta

    def __str__(self) -> str:
        return f"{self.zone} {self.moment:%Y-%m-%d}"


TURNED_BACK = (
    ClockChange(ZURICH, datetime(2026, 10, 25, 1, tzinfo=UTC), timedelta(hours=1)),
    ClockChange(ZURICH, datetime(2018, 10, 28, 1, tzinfo=UTC), timedelta(hours=1)),
    # Half an hour only.
    ClockChange(
        ZoneInfo("Australia/Lord_Howe"), datetime(2026, 4, 4, 15, tzinfo=UTC), timedelta(minutes=30)
    ),
    # From midnight back to 23:00: the repeated hour ends with its day.
    ClockChange(
        ZoneInfo("America/Sao_Paulo"), datetime(2018, 2, 18, 2, tzinfo=UTC), timedelta(hours=1)
    ),
    # From 00:01 back to 23:01: the repeated hour lies in two days.
    ClockChange(
        ZoneInfo("America/St_Johns"),
        datetime(2007, 11, 4, 2, 31, tzinfo=UTC),
        timedelta(hours=1),
    ),
)
TURNED_FORWARD = (
    ClockChange(ZURICH, datetime(2026, 3, 29, 1, tzinfo=UTC), timedelta(hours=1)),
    ClockChange(
        ZoneInfo("Australia/Lord_Howe"), datetime(2026, 10, 3, 15, 30, tzinfo=UTC), timedelta(0)
    ),
)


def wall(moment: datetime, zone: tzinfo = ZURICH) -> datetime:
    """Read the clock on the wall at a moment."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def uniqueid(epoch: float, count: int = 108168) -> str:
    """Write a uniqueid as the page shows them."""
    return f"sip022.voice.boxis.net-{epoch:.0f}.{count}"


def seconds_in(start: datetime, end: datetime) -> st.SearchStrategy[datetime]:
    """Draw whole seconds between two datetimes, both included."""
    length = int((end - start) / SECOND)
    return st.integers(0, length).map(lambda seconds: start + seconds * SECOND)


def around(change: ClockChange, reach: timedelta) -> st.SearchStrategy[datetime]:
    """Draw aware moments, in whole seconds, around a clock change."""
    return seconds_in(change.moment - reach, change.moment + reach)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
"""Any text that Unicode can say."""

xml_texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=30
)
"""Any text that XML 1.0 can carry."""

names = st.sampled_from(
    # Those of the envelope are the ones that could be taken for an answer.
    ["result", "resulttxt", "params", "cdr", "timestamp", "call_1", "return", "recordingfile"]
)
"""Names of fields that nobody documented."""

unset = st.sampled_from([None, ""])
wall_times = seconds_in(
    datetime(2017, 1, 1),  # noqa: DTZ001 - the provider's wall clock
    datetime(2027, 12, 31),  # noqa: DTZ001
).map(str)
wholes = st.integers(-5, 10**9).map(str)
dispositions = st.one_of(
    st.sampled_from(["ANSWERED", "NO ANSWER", "BUSY", "FAILED", "CONGESTION"]),
    st.sampled_from(["0", "2", "4", "8", "16", "VOICEMAIL", "answered", "NULL"]),
)
uniqueids = st.one_of(
    st.builds(uniqueid, st.integers(1_483_225_200, 1_830_000_000), st.integers(0, 9)),
    st.sampled_from(["", "1517944376.108168", "sip022-12.5", "a-b-c"]),
)

_TYPED: Mapping[str, st.SearchStrategy[str]] = {
    "start": wall_times,
    "answer": st.one_of(wall_times, st.just("0000-00-00 00:00:00")),
    "end": wall_times,
    "duration": wholes,
    "billsec": wholes,
    "disposition": dispositions,
    "sequence": wholes,
    "prevsequence": wholes,
    "cc_date": st.dates().map(str),
    "cc_type_id": wholes,
    # As large as every format of an export holds: Parquet has 28 digits before the point.
    "cc_cost": st.decimals(-(10**27), 10**27, places=5).map(str),
}


def rows(
    texts: st.SearchStrategy[str] = texts, extra: st.SearchStrategy[str] = names
) -> st.SearchStrategy[Row]:
    """Draw one record that can be read, each of its fields set, unset or missing."""
    values: dict[str, st.SearchStrategy[str | None]] = {
        name: st.one_of(_TYPED.get(name, texts), unset)
        for name in FIELDS
        if name not in ("start", "uniqueid")
    }
    return st.builds(
        lambda must, may, other: must | may | other,
        st.fixed_dictionaries({"uniqueid": uniqueids, "start": wall_times}),
        # A few at a time: forty drawn fields a record would leave no time for records.
        st.lists(st.sampled_from(sorted(values)), max_size=6, unique=True).flatmap(
            lambda chosen: st.fixed_dictionaries({name: values[name] for name in chosen})
        ),
        st.dictionaries(extra, st.one_of(texts, st.none()), max_size=2),
    )


notices = st.sampled_from(
    [
        "",
        "\n",
        "Deprecated: Function utf8_encode() is deprecated in /srv/api.php on line 3\n",
        "Notice: Undefined index: {tenant} in /srv/{closure} on line 12\n",
        '<br />\n<b>Warning</b>:  Undefined array key "x" in <b>/srv/api.php</b>\n<br />\n',
        'Warning: json_decode({"a": 1}) {"b": {}} {main}\n',
        "{",
        "array(1) { [0]=> {",
    ]
)
"""What PHP prints before an answer."""
