"""`boxis stats`: figures against a count of the provider's own rows, for people and machines."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from commands import boxis, environment, invoke

from boxis_async.testing import Fault

if TYPE_CHECKING:
    from boxis_async.testing import Provider, Row

FIRST, LAST = "2025-10-01", "2025-10-08"
WEEK = ("--from", FIRST, "--to", LAST)


def figures(calls: list[list[Row]]) -> dict[str, Any]:
    """Count calls by the provider's own fields, as texts."""
    answered = [any(row["disposition"] == "ANSWERED" for row in call) for call in calls]
    inbound = [any("inbound" in str(row["userfield"]) for row in call) for call in calls]
    rows = [row for call in calls for row in call]
    return {
        "calls": len(calls),
        "legs": len(rows),
        "answered_calls": sum(answered),
        "missed_calls": sum(was and not got for was, got in zip(inbound, answered, strict=True)),
        "talk_seconds": sum(int(row["billsec"] or 0) for row in rows),
        "cost": Decimal(sum(Decimal(row["cc_cost"] or 0) for row in rows)),
    }


def calls_of(rows: list[Row]) -> list[list[Row]]:
    calls: dict[str | None, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (str(row["start"]), int(row["sequence"] or 0))):
        calls[row["linkedid"]].append(row)
    return list(calls.values())


def grouped(found: list[dict[str, Any]], name: str) -> dict[str, dict[str, Any]]:
    return {str(group.pop(name)): priced(group) for group in found}


def priced(group: dict[str, Any]) -> dict[str, Any]:
    assert isinstance(group["cost"], str)
    return group | {"cost": Decimal(group["cost"])}


def test_figures_agree_with_the_providers_rows(served: Provider) -> None:
    """Totals and groups are those that one counts from the rows, all legs included."""
    found = json.loads(invoke("stats", *WEEK, "--json", "--top", "999").stdout)
    calls = calls_of(served.select("2025-10-01 00:00:00", "2025-10-08 00:00:00"))
    assert found["from"] == "2025-10-01 00:00:00"
    assert found["tenant"] == served.tenant
    assert priced(found["total"]) == figures(calls)
    by_day: dict[str, list[list[Row]]] = defaultdict(list)
    by_hour: dict[str, list[list[Row]]] = defaultdict(list)
    by_number: dict[str, list[list[Row]]] = defaultdict(list)
    for call in calls:
        start, first = str(call[0]["start"]), call[0]
        by_day[start[:10]].append(call)
        by_hour[str(int(start[11:13]))].append(call)
        if "inbound" in str(first["userfield"]):
            by_number[str(first["src"])].append(call)
        elif "outbound" in str(first["userfield"]):
            by_number[str(first["firstdst"])].append(call)
    for name, groups in (("day", by_day), ("hour", by_hour), ("number", by_number)):
        expected = {group: figures(calls) for group, calls in groups.items()}
        assert grouped(found[f"by_{name}"], name) == expected
    legs = Counter(row["disposition"] for call in calls for row in call)
    assert {one["disposition"]: one["legs"] for one in found["by_disposition"]} == legs
    assert sum(one["calls"] for one in found["by_direction"]) == len(calls)


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
    calls = len(calls_of(served.select()))
    assert any(line.split()[:2] == ["calls", f"{calls}"] for line in done.stdout.splitlines())
    plain = boxis("stats", *WEEK, env=environment(PYTHONIOENCODING="ascii"))
    assert plain.returncode == 0
    assert "##" in plain.stdout


def test_nothing_to_count(served: Provider) -> None:
    """A range without a call has figures of zero."""
    found = json.loads(invoke("stats", "--month", "2024-01", "--json").stdout)
    assert priced(found["total"]) == figures([])
    assert invoke("stats", "--month", "2024-01").exit_code == 0
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
    assert "window 2025-10-01 00:00:00 to 2025-10-01 06:00:00 of tenant" in result.stderr
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
