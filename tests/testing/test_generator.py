"""Generated calls, compared with real ones."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from paths import ROOT

from boxis_async.testing import Provider, generate_calls, generate_history

ZURICH = ZoneInfo("Europe/Zurich")
NEVER = "0000-00-00 00:00:00"
# A month with 21 working days.
MONTH, CALLS = generate_history(date(2024, 10, 1), date(2024, 11, 1))
PAGE = tuple(
    """
    uniqueid start answer end clid src dst dcontext channel dstchannel lastapp lastdata duration
    billsec disposition amaflags accountcode userfield realsrc firstdst lastdst srcCallID
    prevuniqueid peeraccount sequence originateid linkedid wherelanded pincode prevsequence
    cc_peername cc_date cc_type cc_type_id cc_country cc_network cc_international cc_cost
    """.split()  # noqa: SIM905, as a page of names it can be compared with the provider's
)

Row = dict[str, str | None]


def text(row: Row, name: str) -> str:
    value = row[name]
    assert value is not None
    return value


def by_call(rows: list[Row]) -> dict[str, list[Row]]:
    grouped: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[text(row, "linkedid")].append(row)
    return grouped


def name_of(row: Row) -> tuple[str, str]:
    return text(row, "uniqueid"), text(row, "sequence")


def epoch(uniqueid: str) -> int:
    found = re.fullmatch(r"sip\d{3}\.voice\.boxis\.net-(\d+)\.\d+", uniqueid)
    assert found is not None
    return int(found[1])


def test_fields() -> None:
    """Each row has the page's 38 fields, in the page's order."""
    assert len(PAGE) == 38
    assert all(tuple(row) == PAGE for row in MONTH)


def test_number_of_calls() -> None:
    """Calls are counted exactly, over any range."""
    assert len(CALLS) == 120 * 31
    assert len(MONTH) > 120 * 31 * 1.4
    odd = generate_history(date(2024, 2, 28), date(2024, 3, 2), calls_per_day=7)
    assert len(odd.calls) == 21
    assert generate_calls(date(2024, 2, 28), date(2024, 2, 28)) == []
    assert generate_history(date(2024, 2, 28), date(2024, 2, 28)) == ([], [])


def test_history() -> None:
    """A history has the records that `generate_calls` returns, each as a leg of one call."""
    assert generate_calls(date(2024, 10, 1), date(2024, 11, 1)) == MONTH
    legs = [leg for call in CALLS for leg in call.legs]
    assert sorted(map(name_of, legs)) == sorted(map(name_of, MONTH))
    starts = [call.start.timestamp() for call in CALLS]
    assert starts == sorted(starts)


def test_identity() -> None:
    """`(uniqueid, sequence)` is unique; many records share their `uniqueid` all the same."""
    assert len({(row["uniqueid"], row["sequence"]) for row in MONTH}) == len(MONTH)
    shared = Counter(row["uniqueid"] for row in MONTH)
    assert sum(count for count in shared.values() if count > 1) > len(MONTH) / 5


def test_first_leg() -> None:
    """The first leg on an exchange gives the `linkedid` there, and when the call came to it."""
    for linkedid, legs in by_call(MONTH).items():
        began = datetime.fromtimestamp(epoch(linkedid), ZURICH)
        first = [leg for leg in legs if leg["uniqueid"] == linkedid]
        assert f"{began:%Y-%m-%d %H:%M:%S}" in {leg["start"] for leg in first}
        assert all(epoch(text(leg, "uniqueid")) >= epoch(linkedid) for leg in legs)


def test_order_is_that_of_hang_up() -> None:
    """Rows are in the order in which they were written, at hang-up, not in the order of start."""
    quiet = [row for row in MONTH if not text(row, "end").startswith("2024-10-27")]
    ends = [text(row, "end") for row in quiet]
    assert ends == sorted(ends)
    starts = [text(row, "start") for row in quiet]
    assert starts != sorted(starts)


def test_times_and_durations() -> None:
    """Answered legs have an answer between start and end; durations mostly fit.

    Legs that are not answered never have one, unless their channel was answered before: by a queue,
    a menu, an announcement. Then it is their start, and all of their time is billed.
    """
    odd = answered_before = 0
    for row in MONTH:
        start, answer, end = (text(row, name) for name in ("start", "answer", "end"))
        assert row["cc_date"] == start[:10]
        if row["disposition"] == "ANSWERED":
            assert answer != NEVER
        elif answer == NEVER:
            assert row["billsec"] == "0"
        else:
            answered_before += 1
            assert (answer, row["billsec"]) == (start, row["duration"])
        if start.startswith("2024-10-27"):
            continue
        assert start <= end
        assert answer == NEVER or start <= answer <= end
        length = datetime.fromisoformat(end) - datetime.fromisoformat(start)
        odd += length != timedelta(seconds=int(text(row, "duration")))
    assert 0 < odd < len(MONTH) / 20
    assert answered_before > len(MONTH) / 50


def test_shape_of_a_day() -> None:
    """Mornings and afternoons peak, lunch dips, nights and weekends are quiet."""
    calls = [datetime.fromtimestamp(epoch(linkedid), ZURICH) for linkedid in by_call(MONTH)]
    hours = Counter(call.hour for call in calls)
    assert min(hours[9], hours[10], hours[14], hours[15]) > 1.5 * hours[12]
    assert sum(hours[hour] for hour in range(6)) < len(calls) / 50
    days = Counter(call.date() for call in calls)
    weekend = [count for day, count in days.items() if day.weekday() >= 5]
    working = [count for day, count in days.items() if day.weekday() < 5]
    assert max(weekend) < min(working)


def test_kinds() -> None:
    """Directions, dispositions, queues, transfers, costs and odd names all occur."""
    assert {row["userfield"] for row in MONTH} == {"[inbound]", "[outbound]", "[local]"}
    dispositions = Counter(row["disposition"] for row in MONTH)
    assert dispositions.keys() == {"ANSWERED", "NO ANSWER", "BUSY", "FAILED", "CONGESTION"}
    assert dispositions["ANSWERED"] > len(MONTH) / 2
    assert any(row["lastapp"] == "Queue" for row in MONTH)
    written = {(row["uniqueid"], row["sequence"]) for row in MONTH}
    transfers = [row for row in MONTH if row["prevsequence"] is not None]
    assert transfers
    assert all((row["prevuniqueid"], row["prevsequence"]) in written for row in transfers)
    for row in MONTH:
        charged = row["cc_cost"] != "0.00000"
        assert re.fullmatch(r"\d+\.\d{5}", text(row, "cc_cost"))
        assert not charged or (row["userfield"], row["disposition"]) == ("[outbound]", "ANSWERED")
    assert any(row["cc_cost"] != "0.00000" for row in MONTH)
    names = "".join(text(row, "clid") for row in MONTH)
    assert all(odd in names for odd in ("ü", "🦄", "O'Brien, Pat", '\\"Housi\\"', '"" <', "<team>"))
    assert any(text(row, "clid").startswith('"=SUM(A1)"') for row in MONTH)


def test_bursts() -> None:
    """Now and then many calls start in one second."""
    assert max(Counter(map(epoch, by_call(MONTH))).values()) >= 4


def test_numbers_are_fictional() -> None:
    """External numbers are from the block that is reserved for fiction, in each spelling."""
    spelled: Counter[str] = Counter()
    for row in MONTH:
        for name in ("src", "dst"):
            if found := re.match(r"\+|00?", text(row, name)):
                spelled[found[0]] += 1
                assert re.fullmatch(r"(\+|00|0(?!0))\d{2,4}55501\d\d", text(row, name))
    assert spelled.keys() == {"+", "00", "0"}
    assert min(spelled.values()) > len(MONTH) / 20


def test_repeated_hour_of_autumn() -> None:
    """Both passes of the repeated hour have calls, some with the same local time."""
    change = int(datetime(2024, 10, 27, 1, tzinfo=UTC).timestamp())
    begun = {epoch(linkedid) for linkedid in by_call(MONTH)}
    first = {at for at in begun if change - 3600 <= at < change}
    second = {at for at in begun if change <= at < change + 3600}
    assert {at + 3600 for at in first} & second
    texts = [text(row, "start") for row in MONTH]
    assert all(start[11:13] == "02" for start in texts if start.startswith("2024-10-27 02"))
    assert change - 1 in begun


def test_missing_hour_of_spring() -> None:
    """No call begins, is answered or ends in the hour that spring leaves out."""
    rows, calls = generate_history(date(2024, 3, 31), date(2024, 4, 1))
    assert len(calls) == 120
    written = [text(row, name) for row in rows for name in ("start", "answer", "end")]
    assert not any(at.startswith("2024-03-31 02") for at in written)
    assert "2024-03-31 01:59:59" in written


@pytest.mark.subprocess
def test_same_arguments_same_rows() -> None:
    """The same arguments give the same rows in every process."""
    arguments = (date(2024, 10, 25), date(2024, 10, 29))
    code = (
        "import datetime, hashlib; from boxis_async.testing import generate_calls;"
        "rows = generate_calls(datetime.date(2024, 10, 25), datetime.date(2024, 10, 29));"
        "print(hashlib.sha256(repr(rows).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
    assert generate_calls(*arguments) == generate_calls(*arguments)
    assert generate_calls(*arguments) != generate_calls(*arguments, seed=1)


def test_other_zones() -> None:
    """The wall clock can be another zone's; an unknown zone raises."""
    rows = generate_calls(date(2024, 1, 8), date(2024, 1, 9), timezone="Asia/Kolkata")
    kolkata = ZoneInfo("Asia/Kolkata")
    for linkedid, legs in by_call(rows).items():
        began = datetime.fromtimestamp(epoch(linkedid), kolkata)
        assert f"{began:%Y-%m-%d %H:%M:%S}" in {leg["start"] for leg in legs}
    with pytest.raises(ZoneInfoNotFoundError):
        generate_calls(date(2024, 1, 8), date(2024, 1, 9), timezone="Mars/Olympus")


def test_provider_takes_them() -> None:
    """`Provider` takes generated rows."""
    assert len(Provider(MONTH).select("2024-10-01 00:00:00", "2024-10-31 23:59:59")) > 4000
