"""`boxis probe`: the findings as text and as JSON, the table for the profile, the exit codes."""

from __future__ import annotations

import csv
import json
import re
import tomllib
from datetime import date
from typing import TYPE_CHECKING

import pytest
from commands import invoke

from boxis_async import Contract
from boxis_async.cli.profiles import load_profile, profile_path
from boxis_async.testing import DateRule, Fault, Provider, generate_calls

if TYPE_CHECKING:
    from pathlib import Path

    from boxis_async.testing import Row

AROUND = ("--around", "2025-10-02 15:00")


@pytest.fixture(scope="session")
def week() -> list[Row]:
    """Make up a week of calls, more than for the other commands."""
    return list(generate_calls(date(2025, 10, 1), date(2025, 10, 8), calls_per_day=200))


@pytest.fixture
def within(served: Provider) -> Provider:
    """Let the provider follow a rule that is not the usual one."""
    served.filter_mode = DateRule("within", include_to=False)
    return served


def write_profile(contract: str) -> None:
    path = profile_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"[default]\nconcurrency = 2\n{contract}", "utf-8")


def test_findings_as_text(within: Provider) -> None:
    """Each finding has a line with its certainty, its value and its evidence."""
    result = invoke("probe", *AROUND)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("datefrom <= start and end < dateto\n")
    lines = result.stdout.splitlines()
    for text in (
        "✓ rule           within: ",
        "✓ include_from   yes: ",
        "✓ include_to     no: ",
        "✓ row_cap        none up to ",
        "~ unique_keys    yes: ",
        "~ zone           Europe/Zurich: ",
        f"{len(within.requests)} requests",
    ):
        assert any(line.startswith(text) for line in lines), text
    assert within.api_key not in result.output
    assert not result.stderr


def test_the_table_is_for_the_profile(within: Provider) -> None:
    """What is printed last can be pasted into the profile file, and is read from there."""
    shown = invoke("probe", *AROUND).stdout
    table = shown[shown.index("[default.contract]") :]
    assert tomllib.loads(table)["default"]["contract"]["rule"] == "within"
    write_profile(table)
    contract = load_profile(None)["contract"]
    assert isinstance(contract, Contract)
    assert (contract.rule, contract.include_from, contract.include_to) == ("within", True, False)
    within.reset()
    result = invoke("probe", *AROUND)
    assert result.exit_code == 0
    assert not result.stderr


def test_findings_as_json(within: Provider) -> None:
    """With `--json` there is one object, with the contract and all findings."""
    result = invoke("probe", *AROUND, "--json")
    assert result.exit_code == 0
    shown = json.loads(result.stdout)
    assert shown["contract"]["rule"] == "within"
    assert shown["requests"] == len(within.requests)
    assert shown["contradictions"] == []
    assert shown["findings"][0]["certainty"] == "certain"


def test_a_contract_that_does_not_hold(within: Provider) -> None:
    """A profile's contract that the provider contradicts is code 7, and a warning says what."""
    write_profile('[default.contract]\nrule = "start"\ninclude_from = true\nrow_cap = 100\n')
    result = invoke("probe", *AROUND)
    assert result.exit_code == 7
    assert 'Warning: the profile\'s contract does not hold: rule was "start"' in result.stderr
    assert "row_cap was 100" in result.stderr
    assert "[default.contract]" in result.stdout
    result = invoke("probe", *AROUND, "--json")
    assert result.exit_code == 7
    assert len(json.loads(result.stdout)["contradictions"]) == 2
    assert within.requests


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ('contract = "start"\n', "contract must be a table"),
        ('[default.contract]\nrule = "begin"\n', "rule must be"),
        ('[default.contract]\nrules = "start"\n', "rules is not known"),
    ],
)
def test_a_contract_that_cannot_be_read(served: Provider, table: str, text: str) -> None:
    """A contract in the profile that cannot be is a usage error."""
    write_profile(table)
    result = invoke("probe", *AROUND)
    assert result.exit_code == 2
    assert text in " ".join(result.stderr.split())
    assert not served.requests


def test_no_more_requests_than_allowed(within: Provider) -> None:
    """`--max-requests` bounds what is sent, and what does not fit is unknown."""
    result = invoke("probe", *AROUND, "--max-requests", "1")
    assert result.exit_code == 0
    assert len(within.requests) == 1
    assert "· row_cap        unknown: " in result.stdout
    assert "all of the 1 requests were sent" in result.stdout


def test_a_day_is_its_noon(within: Provider) -> None:
    """A date without a time means the day: its noon, and not midnight."""
    invoke("probe", "--around", "2025-10-02", "--max-requests", "1")
    assert within.requests[0].datefrom == "2025-10-02 11:30:00"


def test_what_goes_wrong(within: Provider) -> None:
    """A wrong date, a date to come and a refusal have the codes that other commands give them."""
    assert invoke("probe", "--around", "sometime").exit_code == 2
    result = invoke("probe", "--around", "2099-01-01")
    assert result.exit_code == 2
    assert "in the future" in result.stderr
    assert invoke("probe", "--tenant", "", env={"BOXIS_TENANT": None}).exit_code == 2
    within.faults = lambda _: Fault.refuse("authentication failed")
    assert invoke("probe", *AROUND).exit_code == 3


def test_check_points_at_it() -> None:
    """The help of `boxis check` names the probe."""
    assert "boxis probe" in invoke("check", "--help").stdout


@pytest.mark.slow
def test_what_the_probe_prints_is_what_other_commands_need(
    within: Provider, tmp_path: Path
) -> None:
    """Under *within* an export is refused with advice; with the probe's table it is whole."""
    week = ("--from", "2025-10-01", "--to", "2025-10-08", "--unique-by", "leg")
    refused = invoke("export", *week, "--window", "1h", "-o", "calls.csv")
    assert refused.exit_code == 5
    assert "boxis probe" in refused.output
    table = invoke("probe", "--around", "2025-10-05").stdout.rpartition("For the profile:")[2]
    profile_path().parent.mkdir(parents=True)
    longer = re.sub(r"(?m)^longest_call = .*$", "longest_call = 20000", table)
    profile_path().write_text(longer, "utf-8")
    assert invoke("export", *week, "--window", "1h", "-o", "calls.csv").exit_code == 0
    rows = within.undivided("2025-10-01 00:00:00", "2025-10-08 00:00:00")
    with (tmp_path / "calls.csv").open(encoding="utf-8", newline="") as file:
        found = [(row["uniqueid"], row["sequence"]) for row in csv.DictReader(file)]
    assert sorted(found) == sorted((row["uniqueid"], row["sequence"]) for row in rows)
