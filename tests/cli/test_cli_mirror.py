"""`boxis mirror`: fill a database, say what is in it, compare it, and take out what must go."""

from __future__ import annotations

import json
import re
import shlex
import signal
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from commands import Running, environment, invoke, wait_for
from postgres_server import PASSWORD

from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result
    from postgres_server import PostgresServer

    from boxis_async.testing import LoopbackServer, Row

pytestmark = pytest.mark.usefixtures("contract")

FIRST, LAST = "2025-10-01", "2025-10-08"
WEEK = ("--from", FIRST, "--to", LAST)
DATABASE = "calls.db"


@pytest.fixture
def filled(served: Provider) -> Provider:
    """Have the week in the mirror."""
    assert invoke("mirror", "sync", DATABASE, *WEEK).exit_code == 0
    served.reset()
    return served


def follow(result: Result, **settings: Any) -> Result:  # noqa: ANN401 - whatever click takes
    """Run the command that was printed last, as it stands there."""
    *_, said = (line for line in result.stderr.splitlines() if line.startswith("  boxis "))
    return invoke(*shlex.split(said)[1:], **settings)


def rows_of(query: str) -> list[Any]:
    with closing(sqlite3.connect(DATABASE)) as database:
        return database.execute(query).fetchall()


# Sync


def test_all_is_there_once(served: Provider) -> None:
    """A first sync brings each leg, a second one sends nothing; each says so in a line."""
    legs = len(served.select())
    result = invoke("mirror", "sync", DATABASE, *WEEK)
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"{served.tenant}: {legs} new, 0 changed; " in result.stderr
    assert "complete until 2025-10-08 00:00:00" in result.stderr
    assert rows_of("SELECT count(*) FROM legs") == [(legs,)]
    served.reset()
    result = invoke("mirror", "sync", DATABASE, *WEEK)
    assert (
        result.stderr
        == f"{served.tenant}: 0 new, 0 changed; 0 requests; complete until 2025-10-08 00:00:00\n"
    )
    assert served.requests == []
    assert invoke("mirror", "sync", DATABASE, *WEEK, "--quiet").output == ""


def test_a_range_is_needed_once(served: Provider, tmp_path: Path) -> None:
    """A new mirror needs a start, and is not made without one; later it begins where it began."""
    result = invoke("mirror", "sync", DATABASE)
    assert result.exit_code == 2
    assert f"boxis mirror sync {DATABASE} --from DATE" in result.stderr
    assert list(tmp_path.glob("calls*")) == []
    assert invoke("mirror", "sync", DATABASE, "--from", FIRST).exit_code == 0
    served.reset()
    result = invoke("mirror", "sync", DATABASE)
    assert result.exit_code == 0
    assert "missing" not in result.stderr
    # The last day alone.
    assert 0 < len(served.requests) < 10


def test_what_changed_is_found(filled: Provider) -> None:
    """With --recheck, what is complete is read again; without it, it is not."""
    filled.change({"cc_cost": "9.87654"}, uniqueid=str(filled.select()[5]["uniqueid"]))
    assert " 0 changed" in invoke("mirror", "sync", DATABASE, *WEEK).stderr
    result = invoke("mirror", "sync", DATABASE, *WEEK, "--recheck", FIRST)
    assert " 0 new, " in result.stderr
    assert " 0 changed" not in result.stderr
    assert rows_of("SELECT count(*) > 0 FROM legs WHERE cc_cost_e5 = 987654") == [(1,)]
    result = invoke("mirror", "sync", DATABASE, *WEEK, "--recheck", "someday")
    assert result.exit_code == 2
    assert "--recheck: 'someday' is not a date" in result.stderr


def test_several_tenants(
    server: LoopbackServer, week: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--tenant may be repeated; each has a line, and a read says which is meant."""
    provider = Provider(week[:200], tenants={"VOICE-2": week[200:300]})
    url = server.mount(provider)
    monkeypatch.setenv("BOXIS_USERNAME", provider.username)
    monkeypatch.setenv("BOXIS_API_KEY", provider.api_key)
    monkeypatch.setenv("BOXIS_BASE_URL", url)
    result = invoke(
        "mirror", "sync", DATABASE, *WEEK, "--tenant", provider.tenant, "--tenant", "VOICE-2"
    )
    assert result.exit_code == 0
    assert f"{provider.tenant}: 200 new" in result.stderr
    assert "VOICE-2: 100 new" in result.stderr
    status = invoke("mirror", "status", DATABASE).stdout
    assert [line for line in status.splitlines() if line[0] != " "] == ["VOICE-2", provider.tenant]
    result = invoke("stats", "--database", DATABASE, *WEEK)
    assert result.exit_code == 2
    assert f"VOICE-2, {provider.tenant}" in result.stderr
    result = invoke("stats", "--database", DATABASE, *WEEK, "--tenant", "VOICE-2", "--json")
    assert json.loads(result.stdout)["total"]["legs"] == 100
    monkeypatch.setenv("BOXIS_TENANT", "VOICE-2")
    assert "VOICE-2: 0 new" in invoke("mirror", "sync", DATABASE, *WEEK).stderr
    server.unmount(provider)


def test_another_sync_is_at_work(filled: Provider) -> None:
    """With --no-wait, a second sync ends at once, with a code of its own."""
    fcntl = pytest.importorskip("fcntl")
    with open(f"{DATABASE}-sync", "w+", encoding="utf-8") as lock:  # noqa: PTH123 - as a process has it
        lock.write('{"holder": "process 7 on elsewhere", "since": "2026-01-01T00:00:00+00:00"}')
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = invoke("mirror", "sync", DATABASE, *WEEK, "--no-wait")
    assert result.exit_code == 8
    assert "another sync is at work" in result.stderr
    assert "process 7 on elsewhere" in result.stderr
    assert filled.requests == []


def test_a_record_that_cannot_be_read(served: Provider) -> None:
    """The rest is there, the exit code says that something is not, and a later sync mends it."""
    leg = {name: str(served.select()[30][name]) for name in ("uniqueid", "sequence", "duration")}
    named = {name: leg[name] for name in ("uniqueid", "sequence")}
    served.change({"duration": "12.885"}, **named)
    result = invoke("mirror", "sync", DATABASE, *WEEK)
    assert result.exit_code == 6
    assert "1 record could not be read. The mirror lacks it" in result.stderr
    assert "field 'duration'" in result.stderr
    assert "missing: 2025-10-" in result.stderr
    status = invoke("mirror", "status", DATABASE, *WEEK)
    assert status.exit_code == 6
    assert "missing             2025-10-" in status.stdout
    served.change({"duration": leg["duration"]}, **named)
    result = invoke("mirror", "sync", DATABASE, *WEEK)
    assert (result.exit_code, " 1 new" in result.stderr) == (0, True)
    assert invoke("mirror", "status", DATABASE, *WEEK).exit_code == 0


def test_what_does_not_fit(filled: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another zone or another provider is refused, with what to do."""
    result = invoke("mirror", "sync", DATABASE, *WEEK, "--timezone", "Europe/London")
    assert result.exit_code == 2
    assert "Europe/Zurich" in result.stderr
    result = invoke("stats", "--database", DATABASE, *WEEK, "--timezone", "Europe/London")
    assert result.exit_code == 2
    assert "give --timezone Europe/Zurich" in result.stderr
    monkeypatch.setenv("BOXIS_BASE_URL", "http://127.0.0.1:9/")
    result = invoke("mirror", "sync", DATABASE, *WEEK)
    assert result.exit_code == 2
    assert "the mirror is of the provider at" in result.stderr
    assert filled.requests == []


@pytest.mark.parametrize("name", ["mysql://me@here/calls", "folder", "postgresql:///"])
def test_what_is_no_database(served: Provider, tmp_path: Path, name: str) -> None:
    """Neither is a database of another kind, a folder, or a server without a name."""
    (tmp_path / "folder").mkdir()
    result = invoke("mirror", "sync", name, *WEEK)
    assert result.exit_code == 2
    assert re.search("give (a|the) path|the URL", result.stderr)
    assert served.requests == []


@pytest.mark.slow
@pytest.mark.subprocess
def test_again_and_again_until_a_signal(served: Provider) -> None:
    """With --every, a failure leaves a line and the next round follows; SIGTERM ends it."""
    served.faults = [Fault("refuse")]
    with Running("mirror", "sync", DATABASE, *WEEK, "--every", "1s", env=environment()) as job:
        assert job.process.stderr is not None
        lines = [job.process.stderr.readline() for _ in range(3)]
        code, output, errors = job.ended_by(signal.SIGTERM)
    assert (code, output) == (143, "")
    assert "Error: " in lines[0]
    assert f"  {served.tenant}: {len(served.select())} new, 0 changed; " in lines[1]
    assert f"  {served.tenant}: 0 new, 0 changed; 0 requests; " in lines[2]
    assert all(line.startswith("20") for line in lines)
    assert errors == ""


@pytest.mark.slow
@pytest.mark.subprocess
def test_sigterm_ends_it(served: Provider) -> None:
    """What was fetched is kept, also where the provider hangs; the same command continues."""
    served.faults = lambda received: Fault("hang") if received.number > 1 else None
    with Running("mirror", "sync", DATABASE, *WEEK, env=environment()) as job:
        wait_for(lambda: len(served.requests) > 1)
        code, _, errors = job.ended_by(signal.SIGTERM)
    assert code == 143
    assert "Stopped: what was fetched is kept" in errors
    served.faults = []
    assert invoke("mirror", "sync", DATABASE, *WEEK).exit_code == 0
    assert rows_of("SELECT count(*) FROM legs") == [(len(served.select()),)]


# Status


def test_status(filled: Provider) -> None:
    """It says up to when a tenant is complete, and sends nothing."""
    result = invoke("mirror", "status", DATABASE, *WEEK, "--max-age", "1h")
    assert result.exit_code == 0
    for line in (
        filled.tenant,
        "  complete until      2025-10-08 00:00:00",
        "  last good sync      0 seconds ago",
        f"  legs                {len(filled.select())}",
        "  changed in 24 hours 0",
    ):
        assert line in result.stdout.replace("1 second ago", "0 seconds ago").splitlines()
    found = json.loads(invoke("mirror", "status", DATABASE, "--json", *WEEK).stdout)
    assert (found["database"], found["timezone"]) == (DATABASE, "Europe/Zurich")
    (tenant,) = found["tenants"]
    assert tenant | {"last_good_run": None, "age_seconds": None} == {
        "tenant": filled.tenant,
        "complete_until": "2025-10-08 00:00:00",
        "missing": [],
        "young": [],
        "last_good_run": None,
        "age_seconds": None,
        "legs": len(filled.select()),
        "gone": 0,
        "changed_lately": 0,
    }
    assert filled.requests == []


@pytest.mark.usefixtures("filled")
def test_a_sync_that_stopped() -> None:
    """Where the last good sync is too old, the exit code says so."""
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute("UPDATE runs SET ended = replace(ended, '20', '19')")
    result = invoke("mirror", "status", DATABASE, *WEEK, "--max-age", "1d")
    assert result.exit_code == 9
    assert "the last good sync is older than 1d" in result.stderr
    assert "days ago" in result.stdout
    assert invoke("mirror", "status", DATABASE, *WEEK).exit_code == 0


@pytest.mark.usefixtures("filled")
def test_what_is_missing() -> None:
    """A span of the range that is not there is named, and decides the exit code."""
    result = invoke("mirror", "status", DATABASE, "--from", "2025-09-01", "--to", "2025-10-03")
    assert result.exit_code == 6
    assert "missing             2025-09-01 00:00:00 to 2025-10-01 00:00:00" in result.stdout
    assert follow(result).exit_code == 0
    dates = ("--from", "2025-09-01", "--to", "2025-10-03")
    assert invoke("mirror", "status", DATABASE, *dates).exit_code == 0
    # What came after the last sync is not missing.
    assert invoke("mirror", "sync", DATABASE, "--from", FIRST).exit_code == 0
    assert invoke("mirror", "status", DATABASE).exit_code == 0
    assert invoke("mirror", "status", DATABASE, "--from", FIRST).exit_code == 0


@pytest.mark.usefixtures("filled")
def test_what_came_after_the_last_sync_is_not_missing_behind_a_gap() -> None:
    """Of a gap and what no sync could know yet, status names the gap alone."""
    result = invoke("mirror", "status", DATABASE, "--from", "2025-09-01")
    assert result.exit_code == 6
    assert "1 span of" in result.stderr
    assert "missing: 2025-09-01 00:00:00 to 2025-10-01 00:00:00" in result.stderr


def test_a_file_by_its_url(filled: Provider, tmp_path: Path) -> None:
    """A URL of SQLite names the same file for each command, escapes included."""
    (tmp_path / DATABASE).rename(tmp_path / "our calls.db")
    result = invoke("mirror", "status", "sqlite:///our%20calls.db", *WEEK)
    assert result.exit_code == 0
    assert filled.tenant in result.stdout
    result = invoke("mirror", "status", "sqlite:///no%20calls.db")
    assert result.exit_code == 2
    assert not (tmp_path / "no calls.db").exists()


# Verify


def test_verify(filled: Provider) -> None:
    """What the provider has otherwise is named, and the command that is shown mends it."""
    result = invoke("mirror", "verify", DATABASE, *WEEK)
    assert (result.exit_code, result.stdout) == (0, f"{len(filled.select())} legs the same\n")
    row, other, *_ = filled.select()
    leg = {name: str(row[name]) for name in ("uniqueid", "sequence")}
    filled.change({"cc_cost": "9.87654"}, **leg)
    filled.remove(**{name: str(other[name]) for name in ("uniqueid", "sequence")})
    filled.add({**row, "sequence": "987654", "clid": '"Harm\x1b[2J" <1>'})
    result = invoke("mirror", "verify", DATABASE, *WEEK)
    assert result.exit_code == 7
    assert "1 different, 1 only at the provider, 1 only in the mirror" in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == f"{len(filled.select()) - 2} legs the same"
    assert lines[1].startswith("different  2025-10-01 ")
    assert lines[1].endswith("→ 9.87654")
    assert [line.split()[0] for line in lines[2:]] == ["not", "only"]
    found = json.loads(invoke("mirror", "verify", DATABASE, *WEEK, "--json").stdout)
    assert found["different"][0]["leg"] == [leg["uniqueid"], leg["sequence"]]
    assert found["different"][0]["fields"]["cc_cost"][1] == "9.87654"
    assert len(found["only_here"]) == len(found["only_there"]) == 1
    result = follow(result)
    assert " 1 new, 1 changed, 1 gone" in result.stderr
    assert invoke("mirror", "verify", DATABASE, *WEEK).exit_code == 0


def test_verify_of_more_than_is_mirrored(filled: Provider) -> None:
    """What lies before the range of the mirror is read by the command that is shown, too."""
    filled.add({"uniqueid": "x-1759000000.1", "sequence": "1", "start": "2025-09-28 12:00:00"})
    dates = ("--from", "2025-09-28", "--to", "2025-10-03")
    result = invoke("mirror", "verify", DATABASE, *dates)
    assert result.exit_code == 7
    assert "1 only at the provider" in result.stderr
    assert follow(result).exit_code == 0
    assert invoke("mirror", "verify", DATABASE, *dates).exit_code == 0


# Prune and forget


def test_prune(filled: Provider) -> None:
    """What is old is deleted, and not fetched again."""
    before = sum(str(row["start"]) < "2025-10-03" for row in filled.select())
    result = invoke("mirror", "prune", DATABASE, "--keep", "2025-10-03")
    assert result.exit_code == 0
    assert f"{before} legs that started before 2025-10-03 00:00:00" in result.stderr
    assert invoke("mirror", "sync", DATABASE, *WEEK, "--recheck", FIRST).exit_code == 0
    assert rows_of("SELECT min(start_wall) >= '2025-10-03' FROM legs") == [(1,)]
    assert "0 legs" in invoke("mirror", "prune", DATABASE, "--keep", "2025-10-03").stderr
    assert invoke("mirror", "prune", DATABASE, "--keep", "whatever").exit_code == 2
    assert invoke("mirror", "prune", DATABASE).exit_code == 2


@pytest.mark.usefixtures("filled")
def test_what_was_pruned_is_said_to_be(tmp_path: Path) -> None:
    """No command advises to fetch what was pruned, as no sync does."""
    assert invoke("mirror", "prune", DATABASE, "--keep", "2025-10-03").exit_code == 0
    for command in (
        ("mirror", "status", DATABASE, *WEEK),
        ("stats", "--database", DATABASE, *WEEK),
        ("calls", "--database", DATABASE, *WEEK),
        ("export", "--database", DATABASE, *WEEK, "-o", str(tmp_path / "calls.csv")),
    ):
        result = invoke(*command)
        assert result.exit_code == 6
        said = " ".join(result.stderr.split())
        assert "2025-10-03 00:00:00 was pruned, and no sync fetches it again" in said
        assert "mirror sync" not in said
    days = ("--from", "2025-10-01", "--to", "2025-10-02")
    result = invoke("mirror", "sync", DATABASE, *days)
    assert result.exit_code == 0
    assert "was pruned" in result.stderr
    assert invoke("stats", "--database", DATABASE, "--from", "2025-10-03", *WEEK[2:]).exit_code == 0


def test_forget(filled: Provider) -> None:
    """The legs of a number are deleted, however it is spelled, and a later sync leaves them out."""
    row = next(row for row in filled.select() if str(row["src"]).startswith("0"))
    number = str(row["src"])
    with_it = rows_of(f"SELECT count(*) FROM legs WHERE src = '{number}'")[0][0]
    spelled = f"+41 {number[1:]}" if number[1] != "0" else f"+{number[2:]}"
    result = invoke("mirror", "forget", DATABASE, spelled)
    assert result.exit_code == 0
    deleted = int(result.stderr.split()[0])
    assert deleted >= with_it > 0
    result = invoke("mirror", "sync", DATABASE, *WEEK, "--recheck", FIRST)
    assert f"{deleted} left out, as forgotten" in result.stderr
    assert rows_of(f"SELECT count(*) FROM legs WHERE src = '{number}'") == [(0,)]
    assert invoke("mirror", "forget", DATABASE, "nobody").exit_code == 2


# In place of the provider


IN_PLACE = (
    ("stats", "--json"),
    ("stats", "--by", "number", "--by", "cc-date", "--country", "DE"),
    ("calls", "--csv"),
    ("calls", "--missed"),
    ("calls", "--not-called-back", "--json"),
    ("export", "-o", "-", "--unique-by", "leg"),
    ("export", "-o", "-"),
    ("export", "-o", "-", "--rows", "calls", "--format", "jsonl"),
    ("export", "-o", "-", "--excel", "--columns", "readable"),
)


@pytest.mark.slow
@pytest.mark.parametrize("dates", [("--month", "2025-10"), ("--day", "2025-10-03")], ids=" ".join)
def test_the_same_as_of_the_provider(served: Provider, dates: tuple[str, str]) -> None:
    """A mirror in place of the provider gives the same, and nothing is sent."""
    assert invoke("mirror", "sync", DATABASE, "--from", FIRST).exit_code == 0
    for command in IN_PLACE:
        wanted = invoke(*command, *dates)
        assert wanted.exit_code == 0
        served.reset()
        found = invoke(*command, *dates, "--database", DATABASE)
        assert (command, found.exit_code, served.requests) == (command, 0, [])
        assert found.stdout == wanted.stdout != ""


def test_to_a_file(filled: Provider, tmp_path: Path) -> None:
    """An export to a file is whole, and replaces no other one unasked."""
    command = ("export", "--database", DATABASE, *WEEK, "--unique-by", "leg", "-o")
    result = invoke(*command, "legs.jsonl")
    assert result.exit_code == 0
    legs = len(filled.select())
    assert f"{legs} records of {DATABASE} to legs.jsonl" in result.stderr
    assert len((tmp_path / "legs.jsonl").read_bytes().splitlines()) == legs
    assert invoke(*command, "legs.jsonl").exit_code == 2
    assert invoke(*command, "legs.jsonl", "--overwrite", "--quiet").output == ""
    assert invoke(*command, "absent/legs.csv").exit_code == 2
    assert invoke(*command, "made/legs.parquet", "--mkdir").exit_code == 0
    assert (tmp_path / "made" / "legs.parquet").exists()


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("stats", "--window", "1d"), "--window"),
        (("stats", "--keep-going"), "--keep-going"),
        (("calls", "--margin", "5h"), "--margin"),
        (("export", "-o", "x.csv", "--resume"), "--resume"),
        (("export", "-o", "x.csv", "--row-limit", "5"), "--row-limit"),
    ],
)
def test_what_is_for_the_provider(command: tuple[str, ...], name: str) -> None:
    """An option that has no meaning for a mirror is refused."""
    result = invoke(*command, "--database", DATABASE, *WEEK)
    assert result.exit_code == 2
    assert f"{name} is for the provider" in result.stderr


@pytest.mark.parametrize("command", ["stats", "calls"])
def test_figures_of_a_part(filled: Provider, command: str) -> None:
    """Where spans are missing, the exit code says so, and the command that is shown mends it."""
    filled.add({"uniqueid": "x-1759000000.1", "sequence": "1", "start": "2025-09-28 12:00:00"})
    dates = ("--from", "2025-09-28", "--to", LAST)
    result = invoke(command, "--database", DATABASE, *dates)
    assert result.exit_code == 6
    assert result.stdout
    assert "not in the mirror: 2025-09-28 00:00:00 to 2025-10-01 00:00:00" in result.stderr
    assert follow(result).exit_code == 0
    assert invoke(command, "--database", DATABASE, *dates).exit_code == 0


@pytest.mark.usefixtures("filled")
def test_json_says_of_which_part_it_is() -> None:
    """The object of `stats` says how much of the range its figures are of, and what they lack."""
    dates = ("--from", "2025-09-30", "--to", "2025-10-02")
    result = invoke("stats", "--database", DATABASE, *dates, "--json")
    assert result.exit_code == 6
    found = json.loads(result.stdout)
    assert found["covered"] == pytest.approx(0.5)
    assert found["missing"] == [["2025-09-30 00:00:00", "2025-10-01 00:00:00"]]
    found = json.loads(invoke("stats", "--database", DATABASE, *WEEK, "--json").stdout)
    assert (found["covered"], found["missing"]) == (1.0, [])


@pytest.mark.parametrize("option", ["--overwrite", "--mkdir"])
def test_what_is_for_a_file(filled: Provider, option: str) -> None:
    """An option that has no meaning for standard output is refused, of a mirror too."""
    for source in (("--database", DATABASE), ()):
        result = invoke("export", *source, *WEEK, option)
        assert result.exit_code == 2
        assert "need a file: give -o FILE" in result.stderr
    assert filled.requests == []


@pytest.mark.usefixtures("filled")
def test_a_report_of_a_mirror_reads_no_key() -> None:
    """What needs no key leaves standard input alone."""
    result = invoke("report", "--database", DATABASE, *WEEK, "--json", "--key", "-", input="")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["total"]["calls"]


@pytest.mark.usefixtures("filled")
def test_no_file_of_a_part(tmp_path: Path) -> None:
    """A file is whole or absent; with --keep-going it is of what is there."""
    command = ("export", "--database", DATABASE, "--month", "2025-10", "-o", "x.csv")
    result = invoke(*command)
    assert result.exit_code == 6
    assert not (tmp_path / "x.csv").exists()
    result = invoke(*command, "--keep-going")
    assert result.exit_code == 6
    assert (tmp_path / "x.csv").exists()


@pytest.mark.usefixtures("served")
def test_a_mirror_ends_where_it_was_synced_last() -> None:
    """A range that ends now ends with the last sync: that is said, and is no failure."""
    assert invoke("mirror", "sync", DATABASE, "--from", FIRST).exit_code == 0
    result = invoke("stats", "--database", DATABASE, "--from", FIRST)
    assert result.exit_code == 0
    result = invoke("stats", "--database", DATABASE, "--month", "this month")
    assert "calls after" in result.stderr


@pytest.mark.parametrize("command", ["stats", "calls", "export", "status", "verify", "prune"])
def test_there_is_no_mirror(served: Provider, tmp_path: Path, command: str) -> None:
    """A name that is mistyped makes no empty mirror."""
    words = {
        "status": ("mirror", "status", "typo.db"),
        "verify": ("mirror", "verify", "typo.db", *WEEK),
        "prune": ("mirror", "prune", "typo.db", "--keep", "1mo"),
        "export": ("export", "--database", "typo.db", *WEEK, "-o", "x.csv"),
    }
    result = invoke(*words.get(command, (command, "--database", "typo.db", *WEEK)))
    assert result.exit_code == 2
    assert "there is no mirror at typo.db" in result.stderr
    assert not (tmp_path / "typo.db").exists()
    assert served.requests == []


# On a server


@contextmanager
def nothing_shows(secret: str, results: list[Result]) -> Iterator[None]:
    yield
    assert results
    for result in results:
        assert secret not in result.output


def test_on_a_server(served: Provider, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server does what a file does, and its password is shown nowhere."""
    results: list[Result] = []

    def run(*words: str) -> Result:
        results.append(invoke(*words))
        return results[-1]

    with nothing_shows(PASSWORD, results):
        result = run("mirror", "sync", postgres_url, *WEEK)
        assert result.exit_code == 0
        assert f"{len(served.select())} new" in result.stderr
        assert "the database's password is now in the shell's history" in result.stderr
        result = run("mirror", "status", postgres_url, "--json", *WEEK)
        assert result.exit_code == 0
        name = postgres_url.replace(f":{PASSWORD}@", "@")
        assert json.loads(result.stdout)["database"] == name
        result = run("stats", "--database", postgres_url, "--from", "2025-09-30", "--to", LAST)
        assert result.exit_code == 6
        # As is usual, the password is in the environment.
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
        results.append(follow(result))
        assert results[-1].exit_code == 0
        assert "history" not in results[-1].stderr
        result = run("export", "--database", name, *WEEK, "-o", "-", "--unique-by", "leg")
        assert len(result.stdout.splitlines()) == len(served.select()) + 1
        with psycopg.connect(postgres_url) as connection:
            connection.execute(
                "INSERT INTO syncing VALUES ('sync', 'process 7 on elsewhere', 'x', now(), now())"
            )
        result = run("mirror", "sync", name, *WEEK, "--no-wait")
        assert result.exit_code == 8
        assert "process 7 on elsewhere" in result.stderr


def test_a_server_that_refuses(
    served: Provider, postgres_server: PostgresServer, postgres_url: str
) -> None:
    """A wrong password, and a server that is not there, are errors without the password."""
    results: list[Result] = []
    with nothing_shows("secret-word", results):
        wrong = postgres_server.url("postgres", password="secret-word")
        results.append(invoke("mirror", "sync", wrong, *WEEK))
        absent = postgres_url.replace(f":{postgres_server.port}/", ":1/")
        results.append(invoke("mirror", "status", absent.replace(PASSWORD, "secret-word")))
        results.append(invoke("mirror", "sync", "postgresql://me:secret-word@", *WEEK))
        results.append(invoke("mirror", "sync", "mysql://me:secret-word@here/calls", *WEEK))
    assert [result.exit_code for result in results] == [1, 1, 2, 2]
    assert "password authentication failed" in results[0].stderr
    assert served.requests == []
