"""`--keep-going`: what cannot be had is left out, loudly, and each advice works when followed."""

from __future__ import annotations

import json
import shlex
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from commands import invoke
from hypothesis import given
from hypothesis import strategies as st
from legs import legs_of

from boxis_async import group_calls
from boxis_async.cli.dates import parse_range
from boxis_async.testing import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from boxis_async.testing import Provider, Received

DATES = ("--from", "2025-10-01", "--to", "2025-10-08")
WEEK = (*DATES, "--window", "1d")
LEGS = (*WEEK, "--unique-by", "leg")
FILE = ("-o", "calls.csv")
BAD = {"duration": "12.885"}
ZURICH = ZoneInfo("Europe/Zurich")


@pytest.fixture(params=["2025-10-01", "2025-10-05"])
def leg(served: Provider, request: pytest.FixtureRequest) -> dict[str, str]:
    """Spoil a leg of the first day, or of the fifth, and name it."""
    row = next(row for row in served.select() if str(row["start"]).startswith(request.param))
    named = {"uniqueid": str(row["uniqueid"]), "sequence": str(row["sequence"])}
    named["duration"] = str(row["duration"])
    served.change(BAD, uniqueid=named["uniqueid"], sequence=named["sequence"])
    return named


def mend(served: Provider, leg: dict[str, str]) -> None:
    served.change({"duration": leg["duration"]}, uniqueid=leg["uniqueid"], sequence=leg["sequence"])


def follow(result: Result) -> Result:
    """Run the command that was printed last, as it stands there."""
    *_, said = (line for line in result.stderr.splitlines() if line.startswith("  boxis "))
    return invoke(*shlex.split(said)[1:])


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def rejected(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines_of(path)]


# An export to a file


@pytest.mark.slow
@pytest.mark.parametrize("form", ["calls.csv", "calls.jsonl", "odd name.txt"])
def test_from_the_error_to_the_whole_file(
    served: Provider, tmp_path: Path, leg: dict[str, str], form: str
) -> None:
    """The error says how to leave the record out, and that how to have it once it is mended."""
    more = ("--format", "jsonl") if form.endswith("txt") else ()
    path, beside = tmp_path / form, tmp_path / f"{form}.rejects.jsonl"
    result = invoke("export", *LEGS, "-o", form, *more)
    assert result.exit_code in (5, 6)
    assert "call_" in result.stderr
    assert "field 'duration': not a whole number, got '12.885'" in result.stderr
    assert "--keep-going" in result.stderr
    assert not path.exists()

    result = follow(result)
    assert result.exit_code == 6
    assert f"1 record could not be read. {form} lacks it; {beside.name} has it" in result.stderr
    has_header = form.endswith("csv")
    assert len(lines_of(path)) == len(served.select()) - 1 + has_header
    (reject,) = rejected(beside)
    assert reject["row"]["uniqueid"] == leg["uniqueid"]
    assert (reject["field"], reject["value"]) == ("duration", "12.885")

    result = follow(result)  # as yet it is not mended
    assert result.exit_code == 6
    assert len(rejected(beside)) == 1
    mend(served, leg)
    result = follow(result)
    assert result.exit_code == 0
    assert len(lines_of(path)) == len(served.select()) + has_header
    assert not beside.exists()
    assert list(tmp_path.glob("*.unfinished")) == []
    assert invoke("export", *LEGS, "-o", "whole.jsonl").exit_code == 0
    if not has_header:
        assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_all_options_are_in_the_advice(
    served: Provider, tmp_path: Path, leg: dict[str, str]
) -> None:
    """The commands that are printed have the month, the format and the rest of the options."""
    options = ("--month", "2025-10", "--formula-safe", "--row-limit", "5000", "--window", "1d")
    result = invoke(
        "export", *options, *FILE, "--unique-by", "leg", "--quiet", "--concurrency", "3",
        "--tenant", served.tenant,
    )  # fmt: skip
    result = follow(result)
    assert result.exit_code == 6
    last = result.stderr.splitlines()[-1]
    for words in (
        "--overwrite --from '2025-10-01 00:00:00' --to '2025-11-01 00:00:00' --formula-safe",
        "--unique-by leg --clip start --window 1d --row-limit 5000 --keep-going -o calls.csv",
        f"--quiet --tenant {served.tenant} --concurrency 3",
    ):
        assert words in last
    mend(served, leg)
    result = follow(result)
    assert (result.exit_code, result.stderr) == (0, "")
    assert lines_of(tmp_path / "calls.csv")


# Else a request that proves an answer may meet the fault, and then that window fails too.
@pytest.mark.usefixtures("contract")
def test_a_window_and_a_record(served: Provider, tmp_path: Path, leg: dict[str, str]) -> None:
    """Where windows fail too, the file stays absent until they are there; then the rest is said."""
    served.faults = failing_on_the_third
    result = invoke("export", *LEGS, *FILE, "--keep-going")
    assert result.exit_code == 6
    assert "1 of the range's windows failed" in result.stderr
    assert "1 of the records could not be read" in result.stderr
    assert not list(tmp_path.glob("calls.csv*.jsonl"))
    served.faults = []
    result = follow(result)
    assert result.exit_code == 6
    (reject,) = rejected(tmp_path / "calls.csv.rejects.jsonl")
    assert reject["row"]["uniqueid"] == leg["uniqueid"]
    assert len(lines_of(tmp_path / "calls.csv")) == len(served.select())


def failing_on_the_third(asked: Received) -> Fault | None:
    return Fault.status(404) if "-04 " in str(asked.dateto) else None


def test_rejects_of_an_earlier_export(served: Provider, tmp_path: Path) -> None:
    """They are not replaced unasked, and nothing is sent before that is said."""
    (tmp_path / "calls.csv.rejects.jsonl").write_text("old\n")
    result = invoke("export", *LEGS, *FILE)
    assert result.exit_code == 2
    assert "calls.csv.rejects.jsonl exists already: --overwrite replaces it" in result.stderr
    assert not served.requests
    assert invoke("export", *LEGS, *FILE, "--overwrite").exit_code == 0
    assert not (tmp_path / "calls.csv.rejects.jsonl").exists()


# An export to standard output


@pytest.mark.parametrize("more", [(), ("--rejects", "bad ones.jsonl")])
def test_to_standard_output(
    served: Provider, tmp_path: Path, leg: dict[str, str], more: tuple[str, ...]
) -> None:
    """The output has what can be read, and the rest is said, and written where one likes."""
    result = invoke("export", *LEGS, "-o", "-", "--format", "jsonl")
    assert result.exit_code in (5, 6)
    result = follow(result) if not more else invoke(
        "export", *LEGS, "-o", "-", "--format", "jsonl", "--keep-going", *more
    )  # fmt: skip
    assert result.exit_code == 6
    assert result.stdout.count("\n") == len(served.select()) - 1
    assert "1 record could not be read" in result.stderr
    assert "field 'duration': not a whole number, got '12.885'" in result.stderr
    file = tmp_path / "bad ones.jsonl"
    if more:
        assert [reject["row"]["uniqueid"] for reject in rejected(file)] == [leg["uniqueid"]]
    else:
        assert "--rejects FILE" in result.stderr
    mend(served, leg)
    result = follow(result)
    assert result.exit_code == 0
    assert result.stdout.count("\n") == len(served.select())
    if more:
        assert file.read_bytes() == b""


# Stats


def test_stats_from_the_error_to_all_figures(served: Provider, leg: dict[str, str]) -> None:
    """The figures of all but the record are shown, and those of all once it is mended."""
    result = invoke("stats", *WEEK, "--json", "--by", "direction")
    assert result.exit_code == 5
    assert not result.stdout
    result = follow(result)
    assert result.exit_code == 6
    assert "1 record could not be read. The figures lack it" in result.stderr
    found = json.loads(result.stdout)
    assert (found["rejects"], found["failed_windows"]) == (1, 0)
    assert found["total"]["legs"] == len(served.select()) - 1
    mend(served, leg)
    result = follow(result)
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert (found["rejects"], found["failed_windows"]) == (0, 0)
    assert found["total"]["legs"] == len(served.select())
    calls = group_calls(legs_of(served.select()))
    assert found["total"]["talk_seconds"] == sum(call.talk.seconds for call in calls)
    assert Decimal(found["total"]["cost"])


@pytest.mark.usefixtures("contract")  # as above
def test_stats_of_a_part(served: Provider, tmp_path: Path, leg: dict[str, str]) -> None:
    """Windows that failed are said with the share that there is, and the table is shown."""
    served.faults = failing_on_the_third
    result = invoke("stats", *WEEK, "--keep-going", "--rejects", "bad.jsonl", "--top", "3")
    assert result.exit_code == 6
    assert "calls" in result.stdout
    # Of seven days and four hours around them, all but two days: in the window of the record
    # something is missing too.
    assert "The figures are of 72% of the range: 1 window failed, the first: " in result.stderr
    assert "1 record could not be read" in result.stderr
    assert "bad.jsonl has it" in result.stderr
    assert len(rejected(tmp_path / "bad.jsonl")) == 1
    served.faults = []
    mend(served, leg)
    result = follow(result)
    assert result.exit_code == 0
    assert rejected(tmp_path / "bad.jsonl") == []


def test_stats_of_nothing(served: Provider) -> None:
    """Where every window fails, it ends as without the option: no figures, and the cause's code."""
    served.faults = lambda _: Fault.status(404)
    result = invoke("stats", *WEEK, "--keep-going")
    assert result.exit_code == 4
    assert not result.stdout
    assert "What to do: " in result.stderr


def test_without_a_problem_it_changes_nothing(served: Provider, tmp_path: Path) -> None:
    """Where all can be had, the option changes nothing."""
    plain, kept = invoke("stats", *WEEK, "--json"), invoke("stats", *WEEK, "--json", "--keep-going")
    assert (kept.exit_code, kept.stdout) == (0, plain.stdout)
    assert invoke("export", *LEGS, *FILE, "--keep-going").exit_code == 0
    assert len(lines_of(tmp_path / "calls.csv")) == len(served.select()) + 1
    assert [path.name for path in tmp_path.glob("calls*")] == ["calls.csv"]


# Options


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("stats", *WEEK, "--rejects", "x"), "--rejects needs --keep-going"),
        (("export", *LEGS, "-o", "-", "--rejects", "x"), "--rejects needs --keep-going"),
        (
            ("export", *LEGS, *FILE, "--keep-going", "--rejects", "x"),
            "beside calls.csv they are in calls.csv.rejects.jsonl",
        ),
        (
            ("stats", *WEEK, "--keep-going", "--rejects", "nowhere/x"),
            "the folder of nowhere/x does not exist",
        ),
        (("stats", *WEEK, "--keep-going", "--rejects", "home"), "is a directory"),
    ],
)
def test_rejects_where_they_cannot_go(
    served: Provider, arguments: tuple[str, ...], text: str
) -> None:
    """An option that would write nothing is refused before anything is sent."""
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert text in result.stderr
    assert not served.requests


walls = st.datetimes(datetime(1950, 1, 1), datetime(2200, 1, 1))  # noqa: DTZ001


@given(
    now=walls,
    later=st.timedeltas(timedelta(0), timedelta(days=400)),
    asked=st.sampled_from(
        [
            ("yesterday", None, None, None),
            ("7d", "today", None, None),
            ("last month", "12h", None, None),
            ("2024-10-27 02:30+01:00", "2024-10-27 02:30+02:00", None, None),
            ("2024-10-27 02:30+02:00", "2024-10-27 02:30+01:00", None, None),
            ("1949-01-01", "now", None, None),
            (None, None, "last month", None),
            (None, None, "2026-10", None),
            (None, None, None, "yesterday"),
            (None, None, None, "today"),
        ]
    ),
)
def test_dates_in_an_advice_mean_the_same_later(
    now: datetime, later: timedelta, asked: tuple[str | None, str | None, str | None, str | None]
) -> None:
    """The range of a command that is printed does not depend on when it is followed."""
    now = now.replace(tzinfo=ZURICH)
    try:
        given_range = parse_range(*asked, now=now)
    except ValueError:
        return  # the end comes first
    assert given_range is not None
    words = given_range.options()
    options = dict(zip(words[::2], words[1::2], strict=True))
    again = parse_range(*map(options.get, ("--from", "--to", "--month", "--day")), now=now + later)
    assert again is not None
    assert again.is_whole == given_range.is_whole
    for one, other in zip(
        (again.datefrom, again.dateto), (given_range.datefrom, given_range.dateto), strict=True
    ):
        assert (one.tzinfo is None) == (other.tzinfo is None)
        assert one.replace(tzinfo=None) == other.replace(tzinfo=None)
        assert one.utcoffset() == other.utcoffset()


# Other commands, and strangers' texts


@pytest.mark.parametrize("command", [("check",), ("probe", "--around", "2025-10-05")])
def test_other_commands(served: Provider, leg: dict[str, str], command: tuple[str, ...]) -> None:
    """A command that does not leave records out says which ones do."""
    del leg
    bad = b'{"result":"1","params":{"cdr":{"call_1":{"start":"soon"}}}}'
    served.faults = lambda _: Fault.garbage(bad)
    result = invoke(*command)
    assert result.exit_code == 5
    assert "export and stats leave it out with --keep-going" in result.output + result.stderr


@pytest.mark.parametrize("more", [(), ("--keep-going",)])
def test_what_is_printed_is_harmless(
    served: Provider, tmp_path: Path, more: tuple[str, ...]
) -> None:
    """Keys, names and values that a stranger chose reach a terminal escaped and shortened."""
    bad = {
        "call_1\x1b]0;owned\x07": {
            "start": "2025-10-01 00:00:00",
            "duration": "\x1b[2J\u202e" * 999,
        },
        "call_2" + "\x9b2J" * 999: "text",
    }
    body = json.dumps({"result": "1", "params": {"cdr": bad}})
    served.faults = lambda _: Fault.garbage(body.encode())
    for command in (("stats",), ("export", "-o", "-"), ("export", *FILE)):
        result = invoke(*command, *WEEK, *more)
        assert result.exit_code in (5, 6)
        assert result.stderr.replace("\n", "").isprintable()
        assert len(result.stderr) < 3_000
    for path in tmp_path.glob("*.jsonl"):
        assert path.read_text("ascii").replace("\n", "").isprintable()
