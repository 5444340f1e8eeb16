"""`boxis calls`: a line a call, and who reached nobody."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from commands import boxis, invoke
from legs import legs_of

from boxis_async import Outcome, group_calls

if TYPE_CHECKING:
    from boxis_async.testing import Provider, Row

WEEK = ("--from", "2025-10-01", "--to", "2025-10-08")
ZURICH = ZoneInfo("Europe/Zurich")


def listed(*arguments: str) -> list[dict[str, object]]:
    """List calls as JSON."""
    return [json.loads(line) for line in invoke("calls", *arguments, "--json").stdout.splitlines()]


def row(start: datetime, number: str, **fields: str) -> Row:
    """Make an inbound call of a number that nobody answered."""
    given: Row = {
        "uniqueid": f"{number} {start}",
        "start": f"{start:%Y-%m-%d %H:%M:%S}",
        "end": f"{start + timedelta(seconds=20):%Y-%m-%d %H:%M:%S}",
        "userfield": "[inbound]",
        "src": number,
        "disposition": "NO ANSWER",
    }
    return given | fields


def test_each_call_is_a_line(served: Provider) -> None:
    """JSON and lines for people are each of the calls, by their start."""
    calls = group_calls(legs_of(served.select()))
    assert listed(*WEEK) == [call.to_dict() for call in calls]
    first, *lines = invoke("calls", *WEEK, "--quiet").stdout.splitlines()
    assert first == f"{len(calls)} calls from Wed 2025-10-01 to Tue 2025-10-07"
    assert [line[:16] for line in lines] == [f"{call.start:%Y-%m-%d %H:%M}" for call in calls]
    assert max(map(len, lines)) <= 80


def test_what_is_listed_can_be_chosen(served: Provider) -> None:
    """Missed calls, calls of a number in any spelling, and calls that somebody answered."""
    calls = [call.to_dict() for call in group_calls(legs_of(served.select()))]
    assert listed(*WEEK, "--missed") == [call for call in calls if call["missed"]]
    number = next(call["outside"] for call in calls if call["outside"].startswith("0041"))
    spelled = f"0{number[4:6]} {number[6:]}"
    assert listed(*WEEK, "--number", spelled) == [c for c in calls if c["outside"] == number]
    who = next(call["answered_by"] for call in calls if call["answered"])
    wanted = [call for call in calls if call["answered_by"] == who]
    assert listed(*WEEK, "--answered-by", who) == wanted


def test_csv(served: Provider) -> None:
    """CSV has a header, a line for each call, and no cell that is a formula."""
    served.add(row(datetime(2025, 10, 2, 9), "+41445559999", clid='"=1+1" <+41445559999>'))  # noqa: DTZ001
    shown = invoke("calls", *WEEK, "--csv").stdout
    found = list(csv.DictReader(io.StringIO(shown, newline="")))
    assert len(found) == len(listed(*WEEK))
    (nasty,) = (one for one in found if one["outside"] == "+41445559999")
    assert nasty["caller_name"] == "'=1+1"
    assert nasty["start"] == "2025-10-02T09:00:00+02:00"
    assert (nasty["outcome"], nasty["wait_seconds"], nasty["missed"]) == ("NO ANSWER", "20", "True")
    assert not any(cell[:1] in set("=-@") for one in found for cell in one.values())


def test_a_caller_cannot_write_to_the_screen(served: Provider) -> None:
    """What is not printable in a name is left out, as it might be a command to the terminal."""
    served.add(row(datetime(2025, 10, 2, 9), "0041", clid='"\x1b[31mred\r\n\u202e" <0041>'))  # noqa: DTZ001
    shown = invoke("calls", *WEEK).stdout
    assert "[31mred" in shown
    assert not any(bad in shown for bad in "\x1b\r\u202e")


def test_who_was_not_called_back(served: Provider) -> None:
    """One command lists who reached nobody, and with whom nobody has talked since, until now."""
    now = datetime.now(UTC).astimezone(ZURICH).replace(microsecond=0)
    then = now - timedelta(hours=20)
    since = now - timedelta(hours=2)
    talk = {"disposition": "ANSWERED", "dstchannel": "SIP/301-1"}
    served.add(
        row(then, "0041440000001"),
        row(then, "0041440000002"),
        row(then, "0041440000003"),
        row(then, "0041440000004"),
        row(then, "", clid=""),
        row(then + timedelta(minutes=5), "0041440000005", **talk),
        # Called back, in another spelling; called back in vain; rang again and got through.
        row(since, "301", userfield="[outbound]", dst="0440000001", **talk),
        row(since, "301", userfield="[outbound]", dst="0440000002"),
        row(since, "+41440000003", **talk),
        # Missed too, but after the range.
        row(since, "0041440000006"),
    )
    hour = timedelta(hours=1)
    given = ("--from", f"{then - hour:%Y-%m-%d %H:%M}", "--to", f"{then + hour:%Y-%m-%d %H:%M}")
    numbers = [call["outside"] for call in listed(*given, "--not-called-back")]
    assert sorted(map(str, numbers)) == ["", "0041440000002", "0041440000004"]


def test_a_margin_that_is_too_short(served: Provider) -> None:
    """The error says which option keeps calls open for longer."""
    start = datetime(2025, 10, 2, 9)  # noqa: DTZ001 - the provider's wall clock
    late = row(start + timedelta(hours=7), "0041", uniqueid="x", sequence="2")
    served.add(row(start, "0041", uniqueid="x", sequence="1"), late)
    result = invoke("calls", *WEEK)
    assert result.exit_code == 1
    assert "margin=4:00:00" in result.stderr
    assert "What to do: keep calls open for longer: --margin 12h" in result.stderr
    assert any(call["legs"] == 2 for call in listed(*WEEK, "--margin", "12h"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--json", "--csv"), "--json and --csv contradict each other"),
        (("--country", "Schweiz"), "country must be two letters"),
        (("--margin", "long"), "is not a length of time"),
    ],
)
def test_options_that_cannot_work(served: Provider, given: tuple[str, ...], said: str) -> None:
    """What cannot work is a usage error before any request."""
    result = invoke("calls", *WEEK, *given)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not served.requests


def test_each_outcome_is_in_the_help() -> None:
    """The help explains each word in one sentence."""
    shown = invoke("calls", "--help").stdout
    for outcome in Outcome:
        assert f"{outcome:10}  {outcome.meaning}" in shown


@pytest.mark.subprocess
def test_a_reader_that_goes_away(served: Provider) -> None:
    """Lines in a pipe carry no colours, and no bar."""
    done = boxis("calls", *WEEK)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert served.requests
