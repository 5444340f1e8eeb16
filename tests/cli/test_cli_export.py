"""`boxis export`: to files and pipes, in each format, complete and with a summary."""

from __future__ import annotations

import csv
import errno
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from commands import boxis, environment, invoke

from boxis_async.testing import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from boxis_async.testing import Provider, Row

WEEK = ("--from", "2025-10-01", "--to", "2025-10-08", "--window", "1d")
LEGS = (*WEEK, "--unique-by", "leg")


def keys(rows: list[Row] | list[dict[str, str]]) -> list[tuple[str | None, ...]]:
    return sorted((row["uniqueid"], str(row["sequence"])) for row in rows)


def read(path: Path) -> list[dict[str, str]]:
    """Read a file of whichever format."""
    if path.suffix == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        return parquet.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


@pytest.mark.parametrize("name", ["calls.csv", "calls.jsonl", "calls.parquet"])
def test_every_leg_in_each_format(served: Provider, tmp_path: Path, name: str) -> None:
    """The suffix decides the format, and the file holds what one request would have brought."""
    result = invoke("export", *LEGS, "-o", name)
    expected = served.select("2025-10-01 00:00:00", "2025-10-08 00:00:00")
    assert result.exit_code == 0
    assert not result.stdout
    assert "2025-10-01 00:00:00 to 2025-10-08 00:00:00 (Europe/Zurich)" in result.stderr
    assert f"{len(expected):,} records to {name}" in result.stderr
    assert keys(read(tmp_path / name)) == keys(expected)
    assert {path.name for path in tmp_path.iterdir()} == {name, "home"}


STRUCTLOG = """
class _Logger:
    def warning(self, event, **more):
        print(event, more)

def get_logger(*_, **__):
    return _Logger()
"""
"""What structlog does where nobody set it up: it prints to standard output."""


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_standard_output_holds_the_data_alone(served: Provider, tmp_path: Path, form: str) -> None:
    """Whatever logger is installed, a retry adds nothing to the data on standard output."""
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "structlog.py").write_text(STRUCTLOG)
    path = os.pathsep.join([str(tmp_path / "installed"), environment()["PYTHONPATH"]])
    served.faults = [Fault.status(503, retry_after=0), Fault.cut()]
    settings = {"env": environment(PYTHONPATH=path), "text": False}
    done = boxis("export", *LEGS, "-o", "-", "--format", form, **settings)
    assert done.returncode == 0
    assert b"2 sent again" in done.stderr
    assert b"scheduled" not in done.stdout + done.stderr
    (tmp_path / f"calls.{form}").write_bytes(done.stdout)
    rows = read(tmp_path / f"calls.{form}")
    assert keys(rows) == keys(served.select("2025-10-01 00:00:00", "2025-10-08 00:00:00"))


@pytest.mark.usefixtures("contract")
@pytest.mark.subprocess
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_standard_output(served: Provider, tmp_path: Path, form: str) -> None:
    """Without a file the same bytes go to standard output; nothing else does."""
    done = boxis("export", *LEGS, "--format", form)
    assert done.returncode == 0
    assert invoke("export", *LEGS, "-o", f"calls.{form}").exit_code == 0
    assert done.stdout.encode().replace(b"\r\n", b"\n") == (
        tmp_path / f"calls.{form}"
    ).read_bytes().replace(b"\r\n", b"\n")
    assert "records to standard output" in done.stderr
    assert len(served.requests) == 14


@pytest.mark.usefixtures("served")
def test_a_range_that_is_not_over() -> None:
    """A file whose range ends in the future looks complete, so a warning says that it is not."""
    assert "ends in the future" in invoke("export", "--from", "today", "--to", "tomorrow").stderr
    assert "future" not in invoke("export", "--from", "yesterday", "--to", "today").stderr
    assert "future" not in invoke("export", "--from", "yesterday").stderr


@pytest.mark.subprocess
def test_parquet_into_a_pipe(served: Provider, tmp_path: Path) -> None:
    """Parquet goes into a pipe as well."""
    done = subprocess.run(
        [sys.executable, "-m", "boxis_async", "export", *LEGS, "--format", "parquet", "-o", "-"],
        capture_output=True, check=True, env=environment(),
    )  # fmt: skip
    path = tmp_path / "calls.parquet"
    path.write_bytes(done.stdout)
    assert keys(read(path)) == keys(served.select())


def test_parquet_without_its_extra(served: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Arrow the message names the extra, before anything is sent."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    for output in ("calls.parquet", "-"):
        result = invoke("export", *WEEK, "--format", "parquet", "-o", output)
        assert result.exit_code == 1
        assert "boxis-async[parquet]" in result.stderr
    assert not served.requests


def test_conflicts_are_reported_with_what_to_do(served: Provider) -> None:
    """By default a uniqueid comes once; a warning counts what was left out, with --quiet too."""
    result = invoke("export", *WEEK, "--quiet")
    left_out = len(served.select()) - len({row["uniqueid"] for row in served.select()})
    assert result.exit_code == 0
    assert len(result.stderr.splitlines()) == 1
    assert f"{left_out:,} records were left out" in result.stderr
    assert "--unique-by leg" in result.stderr
    assert not invoke("export", *LEGS, "--quiet").stderr


def test_months_share_no_call(served: Provider) -> None:
    """A month has its own calls: those that start in it, from its first to the next one's."""
    served.filter_mode = "overlap"
    late = served.select()[0] | {
        "uniqueid": "late", "start": "2025-10-31 23:59:00", "end": "2025-11-01 00:01:00",
    }  # fmt: skip
    served.add(late)
    for month, count in (("2025-10", 1), ("11.2025", 0)):
        lines = invoke("export", "--month", month, "--unique-by", "leg").stdout
        assert lines.count("late") == count


def test_a_day_has_its_own_calls(served: Provider) -> None:
    """`--day` exports the calls that start in a day, in whichever of the two spellings."""
    served.filter_mode = "overlap"
    expected = [row for row in served.select() if str(row["start"]).startswith("2025-10-05")]
    for day in ("2025-10-05", "5.10.2025"):
        result = invoke("export", "--day", day, "--unique-by", "leg")
        rows = list(csv.DictReader(result.stdout.splitlines()))
        assert keys(rows) == keys(expected)
        assert "2025-10-05 00:00:00 to 2025-10-06 00:00:00" in result.stderr


@pytest.mark.parametrize("command", ["export", "stats", "calls", "plan"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--from", "2025-10-05", "--to", "2025-10-05"), "the range is empty"),
        (("--day", "tomorrow"), "lies in the future"),
        (("--month", "2999-01"), "lies in the future"),
        (("--from", "2999", "--to", "2999-02"), "lies in the future"),
        (("--from", "3M"), "3mo?"),
    ],
)
def test_a_range_that_holds_nothing(
    served: Provider, command: str, arguments: tuple[str, ...], message: str
) -> None:
    """A range that can hold no call is an error, before anything is sent."""
    result = invoke(command, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not result.stdout
    assert not served.requests


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("command", ["export", "stats", "calls"])
def test_an_empty_result_says_why_it_may_be_empty(command: str) -> None:
    """Without a record the tenant and the zone are named; --quiet leaves it out."""
    empty = ("--day", "2024-10-05")
    message = " ".join(invoke(command, *empty).stderr.split())
    assert "no record" in message
    assert "VOICE-29001-1" in message
    assert "Europe/Zurich" in message
    assert not invoke(command, *empty, "--quiet").stderr
    assert "no record" not in invoke(command, "--day", "2025-10-05").stderr


@pytest.mark.usefixtures("served")
def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """`--mkdir` makes the folder of the file; without it the error says so."""
    output = ("--day", "2025-10-05", "-o", "calls/2025/5.csv")
    result = invoke("export", *output)
    assert result.exit_code == 2
    assert "--mkdir" in result.stderr
    for arguments in (output, (*output, "--overwrite")):
        assert invoke("export", *arguments, "--mkdir").exit_code == 0
        assert (tmp_path / "calls" / "2025" / "5.csv").exists()
    (tmp_path / "file").write_text("")
    result = invoke("export", *output[:2], "-o", "file/5.csv", "--mkdir")
    assert result.exit_code == 1
    assert "cannot be made" in result.stderr
    result = invoke("export", *output[:2], "--mkdir")
    assert result.exit_code == 2
    assert "need a file" in result.stderr


def test_a_spreadsheet_runs_nothing(served: Provider) -> None:
    """`--formula-safe` marks what a spreadsheet would take for a formula."""
    served.add(served.select()[0] | {"uniqueid": "x", "clid": "=1+1"})
    assert ",=1+1," in invoke("export", *WEEK).stdout
    assert ",'=1+1," in invoke("export", *WEEK, "--formula-safe").stdout
    assert invoke("export", *WEEK, "--formula-safe", "--format", "jsonl").exit_code == 2


def test_a_workbook_for_people(served: Provider, tmp_path: Path) -> None:
    """One command gives the calls of a day as a workbook, in the columns that people read."""
    del served
    arguments = ("--day", "2025-10-06", "--rows", "calls", "--columns", "readable")
    result = invoke("export", *arguments, "-o", "calls.xlsx")
    assert result.exit_code == 0
    openpyxl = pytest.importorskip("openpyxl")
    header, *lines = openpyxl.load_workbook(tmp_path / "calls.xlsx").active.values
    assert header[:3] == ("start", "direction", "caller")
    assert f"{len(lines)} calls to calls.xlsx" in result.stderr
    assert {f"{line[0]:%Y-%m-%d}" for line in lines} == {"2025-10-06"}
    stats = json.loads(invoke("stats", "--day", "2025-10-06", "--json", "--quiet").stdout)
    assert len(lines) == stats["total"]["calls"]


def test_csv_for_a_spreadsheet(served: Provider) -> None:
    """`--excel` stands for semicolons, a byte order mark and times on the wall clock."""
    del served
    chosen = ("export", *LEGS, "--columns", "start, uniqueid,cc_cost")
    excel = invoke(*chosen, "--excel").stdout
    long = invoke(*chosen, "--delimiter", "semicolon", "--bom", "--local-times").stdout
    assert excel == long
    assert excel.startswith("\ufeffstart;uniqueid;cc_cost\n2025-10-01 ")
    tabs = invoke(*chosen, "--excel", "--delimiter", "tab", "--decimal-comma").stdout
    assert tabs.startswith("\ufeffstart\tuniqueid\tcc_cost\n2025-10-01 ")
    assert "\t0," in tabs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--columns", "start,soon"), "no column 'soon'"),
        (("--columns", ""), "no column ''"),
        (("--excel", "--format", "jsonl"), "delimiter is for CSV"),
        (("--decimal-comma",), "needs another delimiter"),
        (("--rows", "calls", "--unique-by", "uniqueid"), "needs every leg"),
    ],
)
def test_a_layout_that_cannot_be(
    served: Provider, arguments: tuple[str, ...], message: str
) -> None:
    """What cannot be is an error before anything is sent."""
    for output in ((), ("-o", "calls.csv")):
        result = invoke("export", *WEEK, *arguments, *output)
        assert result.exit_code == 2
        assert message in " ".join(result.stderr.split())
    assert not served.requests


def test_a_layout_is_resumed(served: Provider, tmp_path: Path) -> None:
    """`--resume` needs no option again, and refuses one that is not the same."""
    layout = ("--rows", "calls", "--columns", "readable", "--excel")
    served.faults = lambda got: Fault.refuse("no") if (got.datefrom or "") > "2025-10-05" else None
    assert invoke("export", *WEEK, *layout, "-o", "calls.csv").exit_code == 6
    served.faults = []
    for other in (("--rows", "legs"), ("--columns", "start"), ("--delimiter", "comma")):
        result = invoke("export", "--resume", *other, "-o", "calls.csv")
        assert result.exit_code == 2
        assert f"{other[0]} is" in result.stderr
    assert invoke("export", "--resume", "-o", "calls.csv").exit_code == 0
    resumed = (tmp_path / "calls.csv").read_bytes()
    assert invoke("export", *WEEK, *layout, "-o", "whole.csv").exit_code == 0
    assert resumed == (tmp_path / "whole.csv").read_bytes()


def test_a_workbook_without_its_extra(served: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without XlsxWriter the message names the extra, before anything is sent."""
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    for output in ("calls.xlsx", "-"):
        result = invoke("export", *WEEK, "--format", "xlsx", "-o", output)
        assert result.exit_code == 1
        assert "boxis-async[excel]" in result.stderr
    assert not served.requests


@pytest.mark.usefixtures("contract")
def test_windows_and_row_limits(served: Provider) -> None:
    """`--window` and `--row-limit` are those of the library."""
    assert invoke("export", *LEGS, "--window", "12h").exit_code == 0
    assert len(served.requests) == 14
    served.row_limit = 20
    assert "records" in invoke("export", *LEGS, "--row-limit", "20").stderr
    assert len(served.requests) > 21


def test_a_file_that_exists_already(served: Provider, tmp_path: Path) -> None:
    """A file is replaced only with --overwrite."""
    path = tmp_path / "calls.csv"
    path.write_text("mine")
    result = invoke("export", *WEEK, "-o", "calls.csv")
    assert result.exit_code == 2
    assert "--overwrite" in result.stderr
    assert path.read_text() == "mine"
    assert not served.requests
    assert invoke("export", *WEEK, "-o", "calls.csv", "--overwrite").exit_code == 0
    assert len(read(path)) > 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --from, --month or --day"),
        (["-o", "calls.xls", *WEEK], "name the format"),
        (["--resume", *WEEK], "need a file: give -o FILE"),
        (["--resume", "-o", "-", *WEEK], "need a file: give -o FILE"),
        (["--resume", "-o", "calls.csv"], "there is nothing to resume"),
        (["-o", "nowhere/calls.csv", *WEEK], "does not exist"),
        (["--format", "xml", *WEEK], "'xml' is not one of"),
        (["--from", "soon"], "is not a date"),
        (["more", *WEEK], "unexpected extra argument"),
    ],
)
def test_usage(served: Provider, tmp_path: Path, arguments: list[str], message: str) -> None:
    """What cannot be done is an error before anything is sent or written."""
    result = invoke("export", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert not result.stdout
    assert not served.requests
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


@pytest.mark.subprocess
def test_a_reader_that_goes_away(served: Provider) -> None:
    """`| head` ends it quietly."""
    assert served.requests == []
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "boxis_async", "export", *LEGS, "--window", "1h"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout as output:
        assert output.readline().startswith("uniqueid,")
    with process.stderr as errors:
        assert len(errors.read().splitlines()) == 1
    assert process.wait(30) == 0


@pytest.mark.subprocess
@pytest.mark.parametrize("command", ["export", "stats", "calls", "plan"])
def test_a_reader_that_never_reads(served: Provider, command: str) -> None:
    """A reader that is gone before the first byte is no failure either."""
    assert served.requests == []
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "boxis_async", command, *WEEK, "--quiet"],
        stdout=writes, stderr=subprocess.PIPE, check=False, env=environment(), text=True,
    )  # fmt: skip
    os.close(writes)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_pipe_that_breaks_off_is_a_part(served: Provider) -> None:
    """When a window fails after some were written, the code says that it is a part."""
    served.faults = lambda asked: Fault.status(404) if "-06 " in str(asked.dateto) else None
    result = invoke("export", *LEGS)
    assert result.exit_code == 6
    assert result.stdout.count("\n") > 50
    assert "window 2025-10-04 23:59:59 to 2025-10-06 00:00:00" in result.stderr
    served.faults = lambda _: Fault.status(404)
    assert invoke("export", *LEGS).exit_code == 4
    served.faults = lambda asked: Fault.status(404) if "-06 " in str(asked.dateto) else None
    kept_going = invoke("export", *LEGS, "--keep-going")
    assert kept_going.exit_code == 6
    assert kept_going.stdout.count("\n") > result.stdout.count("\n")


@pytest.mark.subprocess
@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX device")
def test_a_full_disk(served: Provider) -> None:
    """Where nothing can be written, one line says so."""
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "boxis_async", "export", *LEGS, "--quiet"],
            stdout=full, stderr=subprocess.PIPE, check=False, env=environment(), text=True,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "Error: No space left on device\n"
    assert not served.in_flight


@pytest.mark.skipif(os.name != "posix", reason="Windows has locks of its own")
def test_a_file_system_without_locks(served: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what could not be done, where, and what to do."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", refuse)
    result = invoke("export", *WEEK, "-o", "calls.csv")
    assert result.exit_code == 1
    for text in ("calls.csv.unfinished/lock: ", "cannot lock a file (Function not", "local disk"):
        assert text in result.stderr
    assert served.requests == []


@pytest.mark.skipif(os.name != "posix", reason="Windows has no modes")
def test_a_file_that_only_its_owner_may_read(served: Provider, tmp_path: Path) -> None:
    """A file that is replaced keeps its mode."""
    target = tmp_path / "calls.csv"
    target.touch(0o600)
    result = invoke("export", *WEEK, "-o", "calls.csv", "--overwrite")
    assert result.exit_code == 0
    assert target.stat().st_mode & 0o777 == 0o600
    assert target.stat().st_size
    assert served.requests
