"""`boxis stats`: figures against a count of the provider's own rows, for people and machines."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from commands import boxis, environment, invoke
from legs import legs_of

from boxis_async import group_calls
from boxis_async.call_stats import DIMENSIONS
from boxis_async.testing import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from boxis_async import Call
    from boxis_async.testing import Provider, Row

FIRST, LAST = "2025-10-01", "2025-10-08"
WEEK = ("--from", FIRST, "--to", LAST)


def figures(calls: list[Call]) -> dict[str, Any]:
    """Count calls by what each of them says."""
    return {
        "calls": len(calls),
        "legs": sum(len(call.legs) for call in calls),
        "answered_calls": sum(call.outcome == "ANSWERED" for call in calls),
        "missed_calls": sum(
            call.direction == "inbound" and call.outcome != "ANSWERED" for call in calls
        ),
        "voicemail_calls": sum(call.outcome == "VOICEMAIL" for call in calls),
        "machine_calls": sum(call.outcome == "MACHINE" for call in calls),
        "talk_seconds": sum(call.talk.seconds for call in calls),
        "cost": sum((call.cost for call in calls), Decimal(0)),
    }


def calls_of(rows: list[Row]) -> list[Call]:
    return group_calls(legs_of(rows))


def grouped(found: list[dict[str, Any]], name: str) -> dict[str, dict[str, Any]]:
    return {str(group.pop(name)): priced(group) for group in found}


def priced(group: dict[str, Any]) -> dict[str, Any]:
    assert isinstance(group["cost"], str)
    return group | {"cost": Decimal(group["cost"])}


def party(written: str) -> str:
    """Name who has a number, however it is written."""
    return re.sub(r"\A(?:\+|00)|\A0(?!0)", lambda found: "41" * (found[0] == "0"), written)


def most_written(numbers: Iterable[str]) -> dict[str, str]:
    """Find how the number of each party is written most often."""
    spellings: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for written in numbers:
        spellings[party(written)][written] += 1
    return {
        one: min(found, key=lambda written: (-found[written], written))
        for one, found in spellings.items()
    }


def test_figures_agree_with_the_providers_rows(served: Provider) -> None:
    """Totals and groups are those that one counts from the calls, each whole."""
    found = json.loads(invoke("stats", *WEEK, "--json", "--top", "999").stdout)
    calls = calls_of(served.select())
    assert found["from"] == "2025-10-01 00:00:00"
    assert found["tenant"] == served.tenant
    assert priced(found["total"]) == figures(calls)
    expected: dict[str, dict[str, list[Call]]] = defaultdict(lambda: defaultdict(list))
    for call in calls:
        expected["day"][f"{call.start:%Y-%m-%d}"].append(call)
        expected["hour"][f"{call.start.hour}"].append(call)
        expected["direction"][str(call.direction)].append(call)
        expected["outcome"][str(call.outcome)].append(call)
    for name, of_call in (
        ("number", {id(call): call.outside for call in calls}),
        ("dialled", {id(call): call.dialled for call in calls if call.direction == "inbound"}),
        (
            "answered_by",
            {id(call): call.answered_by for call in calls if call.direction != "outbound"},
        ),
    ):
        shown = most_written(of_call.values())
        for call in calls:
            if written := of_call.get(id(call)):
                expected[name][shown[party(written)]].append(call)
    for name, groups in expected.items():
        assert grouped(found[f"by_{name}"], name) == {
            group: figures(calls) for group, calls in groups.items()
        }
    legs = [leg for call in calls for leg in call.legs]
    assert {one["disposition"]: one["legs"] for one in found["by_disposition"]} == Counter(
        leg.disposition for leg in legs
    )
    booked: dict[str, Decimal] = defaultdict(Decimal)
    for leg in legs:
        booked[str(leg.cc_date)] += leg.cc_cost or 0
    assert {one["cc_date"]: Decimal(one["cost"]) for one in found["by_cc_date"]} == booked
    assert sum(one["legs"] for one in found["by_cc_date"]) == len(legs)


def test_groups_are_chosen(served: Provider) -> None:
    """`--by` chooses the groups, of the tables as of the object; `--top` how many numbers."""
    given = ("stats", *WEEK, "--by", "hour", "--by", "number", "--top", "3")
    found = json.loads(invoke(*given, "--json").stdout)
    assert [name for name in found if name.startswith("by_")] == ["by_hour", "by_number"]
    assert len(found["by_number"]) == 3
    shown = invoke(*given).stdout
    assert "hour" in shown
    assert "number (top 3)" in shown
    assert "disposition" not in shown
    assert served.requests


@pytest.mark.subprocess
def test_tables_in_a_pipe(served: Provider) -> None:
    """Tables are readable at 80 columns, and in a pipe carry no colour codes, and no bar."""
    done = boxis("stats", *WEEK)
    assert done.returncode == 0
    assert done.stderr == "2025-10-01 00:00:00 to 2025-10-08 00:00:00 (Europe/Zurich)\n"
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "█" in done.stdout
    assert "Sat 2025-10-04" in done.stdout
    assert done.stdout.startswith("Calls from Wed 2025-10-01 to Tue 2025-10-07\n")
    calls = len(calls_of(served.select()))
    assert any(line.split()[:2] == ["calls", f"{calls}"] for line in done.stdout.splitlines())
    plain = boxis("stats", *WEEK, env=environment(PYTHONIOENCODING="ascii"))
    assert plain.returncode == 0
    assert "##" in plain.stdout


def test_tables_fit_a_narrow_screen(served: Provider) -> None:
    """At 50 columns every figure is there, and none is cut; no table is empty."""
    groups = [part for name in DIMENSIONS for part in ("--by", name)]
    shown = invoke("stats", *WEEK, *groups, env={"COLUMNS": "50"}).stdout
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 50
    assert "…" not in shown
    titles = [line.split()[0] for before, line in pairwise(lines) if not before and line]
    assert len(titles) == len(DIMENSIONS) + 1
    assert served.requests


@pytest.mark.parametrize(
    ("given", "title"),
    [
        (("--from", "2025-10-04", "--to", "2025-10-05"), "Calls on Sat 2025-10-04"),
        (("--month", "2025-10"), "Calls from Wed 2025-10-01 to Fri 2025-10-31"),
        (("--from", "2025-10-04 08:00", "--to", "2025-10-05"),
         "Calls from 2025-10-04 08:00 to 2025-10-05 00:00"),
    ],
)  # fmt: skip
def test_stats_say_which_days_they_are_of(
    served: Provider, given: tuple[str, ...], title: str
) -> None:
    """A mail of the tables says which days they are of, and of whom, with `--quiet` too."""
    result = invoke("stats", *given, "--quiet")
    first, second, *_ = result.stdout.splitlines()
    assert (first, second) == (title, f"{served.tenant}, Europe/Zurich")
    assert not result.stderr


def test_a_number_in_several_spellings_is_one(served: Provider) -> None:
    """A number is one party however it is written, and shown as it is written most often."""
    row = {"userfield": "[inbound]", "disposition": "NO ANSWER", "clid": ""}
    numbers = ["0445559999", "+41445559999", "0445559999", "0041445559999"]
    served.add(
        *(
            row | {"uniqueid": f"n{at}", "start": f"2025-10-02 10:00:0{at}", "src": number}
            for at, number in enumerate(numbers)
        )
    )
    found = json.loads(invoke("stats", *WEEK, "--json", "--top", "1").stdout)
    assert (found["by_number"][0]["number"], found["by_number"][0]["calls"]) == ("0445559999", 4)
    german = json.loads(invoke("stats", *WEEK, "--json", "--top", "999", "--country", "DE").stdout)
    assert {one["number"]: one["calls"] for one in german["by_number"]}["0445559999"] == 2


def test_how_long_callers_waited(served: Provider) -> None:
    """The median, what 95 % did not exceed, and the share within 20 seconds, of those answered."""
    calls = [call for call in calls_of(served.select()) if call.direction == "inbound"]
    waits = sorted(call.wait.seconds for call in calls if call.answered)
    found = json.loads(invoke("stats", *WEEK, "--json").stdout)["waiting"]
    assert found == {
        "answered_inbound_calls": len(waits),
        "median_seconds": waits[-(-len(waits) // 2) - 1],
        "p95_seconds": waits[-(-len(waits) * 95 // 100) - 1],
        "share_within_20_seconds": round(sum(wait <= 20 for wait in waits) / len(waits), 4),
    }


def test_nothing_to_count(served: Provider) -> None:
    """A range without a call has figures of zero."""
    found = json.loads(invoke("stats", "--month", "2024-01", "--json").stdout)
    assert priced(found["total"]) == figures([])
    assert found["waiting"] is None
    shown = invoke("stats", "--month", "2024-01").stdout.splitlines()
    assert [line.split() for line in shown[2:]] == [[], ["calls", "0"]]
    assert len(served.requests) > 2


def test_a_long_range_is_shown_by_hour(served: Provider) -> None:
    """Without `--by` a line for each day is shown of a month, not of a year."""
    served.add(
        served.select()[0] | {"uniqueid": "u", "linkedid": "l", "start": "2025-12-24 12:00:00"}
    )
    shown = invoke("stats", "--from", "2025-10-01", "--to", "2026-01-01", "--window", "30d").stdout
    assert "hour" in shown
    assert "2025-12-24" not in shown


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.refuse("authentication failed"), 3),
        (Fault.status(404), 4),
        (Fault.refuse("no such tenant"), 5),
    ],
)
def test_failures(served: Provider, fault: Fault, code: int) -> None:
    """A window that failed is judged by its cause; nothing half is shown."""
    served.faults = lambda _: fault
    result = invoke("stats", *WEEK)
    assert result.exit_code == code
    assert not result.stdout
    assert "window 2025-09-30 20:00:00 to 2025-10-01 02:00:00 of tenant" in result.stderr
    assert "What to do: " in result.stderr


def with_a_later_cost(served: Provider, number: int) -> None:
    """Send so many of the week's legs a second time, with a cost that was worked out meanwhile."""
    rows = served.select(f"{FIRST} 00:00:00", f"{LAST} 00:00:00")
    served.add(*(row | {"cc_cost": "1.00000"} for row in rows[:number]))


@pytest.mark.parametrize(("number", "legs"), [(1, "1 leg came"), (3, "3 legs came")])
def test_revisions_are_said(served: Provider, number: int, legs: str) -> None:
    """Legs that came again with another cost are counted once, and a warning says so."""
    calls = calls_of(served.select())
    with_a_later_cost(served, number)
    result = invoke("stats", *WEEK, "--json")
    assert f"Warning: {legs} again with other content" in result.stderr
    assert "the first version is counted" in result.stderr
    found = json.loads(result.stdout)
    assert (found["revisions"], found["conflicts"]) == (number, 0)
    assert priced(found["total"]) == figures(calls)


def test_quiet_keeps_the_warning_of_revisions(served: Provider) -> None:
    """What may be missing from the figures is said with `--quiet` too, and with tables."""
    with_a_later_cost(served, 1)
    result = invoke("stats", *WEEK, "--quiet")
    assert result.stderr.count("Warning: ") == 1
    assert "revisions" not in result.stdout


def test_nothing_is_said_where_nothing_was_left_out(served: Provider) -> None:
    """Records at a boundary of windows come twice, which is no reason to warn."""
    rows = served.select()
    served.add(rows[0] | {"uniqueid": "u", "linkedid": "l", "start": f"{FIRST} 06:00:00"})
    result = invoke("stats", *WEEK, "--window", "6h", "--json")
    assert "Warning" not in result.stderr
    found = json.loads(result.stdout)
    assert (found["revisions"], found["conflicts"]) == (0, 0)
    assert found["total"]["legs"] == len(rows) + 1
