"""`boxis plan`: the windows, without a request and without a key."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from commands import invoke

if TYPE_CHECKING:
    from boxis_async.testing import Provider

WEEK = ("--from", "2025-10-01", "--to", "2025-10-08")


def test_a_line_for_each_window() -> None:
    """In a pipe each window is a line, a tab between its ends; no key is needed."""
    result = invoke("plan", *WEEK, "--window", "12h")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert len(lines) == 14
    assert lines[0] == "2025-10-01 00:00:00\t2025-10-01 12:00:00"
    starts, ends = zip(*(line.split("\t") for line in lines), strict=True)
    overlaps = [
        datetime.fromisoformat(end) - datetime.fromisoformat(start)
        for start, end in zip(starts[1:], ends[:-1], strict=True)
    ]
    assert overlaps == [timedelta(seconds=1)] * 13
    assert result.stderr == "2025-10-01 00:00:00 to 2025-10-08 00:00:00 (Europe/Zurich)\n"
    assert not invoke("plan", *WEEK, "--quiet").stderr


def test_json() -> None:
    """For machines it is one object."""
    found = json.loads(invoke("plan", "--month", "2025-10", "--json").stdout)
    assert found["count"] == len(found["windows"]) == 31
    assert found["guess"] is True
    assert found["windows"][-1] == {
        "start": "2025-10-30 23:59:59",
        "end": "2025-11-01 00:00:00",
        "seconds": 86401,
    }


def test_nothing_is_sent(served: Provider) -> None:
    """Planning sends no request."""
    assert invoke("plan", *WEEK).exit_code == 0
    assert served.requests == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --from, --month or --day"),
        (["--from", "soon"], "'soon' is not a date; write 2026-10-01"),
        (["--from", "2025-10-08", "--to", "2025-10-01"], "is after --to"),
        (["--month", "2025-10", "--to", "today"], "--month is a whole range"),
        (["--day", "2025-10-08", "--from", "today"], "--day is a whole range"),
        (["--from", "2025-10-05", "--to", "2025-10-05"], "--day 2025-10-05"),
        (["--day", "tomorrow"], "lies in the future"),
        (["--from", "3M"], "3mo?"),
        (["--from", "today", "--window", "soon"], "'soon' is not a length of time"),
        (["--from", "today", "--timezone", "Moon"], "there is no time zone 'Moon'"),
        (["--from", "today", "--profile", "office"], "no profile 'office'"),
    ],
)
def test_usage(arguments: list[str], message: str) -> None:
    """What cannot be understood is an error that says what would be right."""
    result = invoke("plan", *arguments)
    assert result.exit_code == 2
    assert not result.stdout
    assert message in " ".join(result.stderr.split())


def test_the_zone_decides_what_an_offset_means() -> None:
    """The range is shown on the wall clock of the zone that is set."""
    given = ("--from", "2025-10-01 08:00+02:00", "--to", "2025-10-01 10:00Z")
    assert "2025-10-01 08:00:00 to 2025-10-01 12:00:00" in invoke("plan", *given).stderr
    elsewhere = invoke("plan", *given, "--timezone", "UTC")
    assert elsewhere.stdout == "2025-10-01 06:00:00\t2025-10-01 10:00:00\n"
