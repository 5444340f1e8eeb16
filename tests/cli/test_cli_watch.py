"""`boxis watch`: lines as calls come, a command for each, and a position that outlives it."""

from __future__ import annotations

import json
import shlex
import signal
import sys
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from calls import rung_out
from commands import Running, invoke, wait_for
from legs import legs_of

from boxis_async import CallChange, Change, group_calls
from boxis_async.cli.change_lines import json_line, text_line
from boxis_async.testing import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from boxis_async.testing import Provider, Received, Row

ZURICH = ZoneInfo("Europe/Zurich")
EVERY = ("--since", "1h", "--every", "1s")


def row(name: str, minutes: int, **fields: str) -> Row:
    """Make a leg that rang out, whose caller's name is hostile."""
    hostile = {"clid": f'"{name} \x1b[31m" <0041445550101>', "lastapp": "Hangup"}
    return rung_out(name, minutes, **(hostile | fields))


def watch_for_a_while(provider: Provider, *arguments: str) -> Result:
    """Watch until the provider refuses the account: with the second or third look."""
    first_looks_end = ""

    def fault(request: Received) -> Fault | None:
        nonlocal first_looks_end
        if not first_looks_end:
            # A look requests up to a minute from when it began, so the first one no further.
            moment = datetime.now(ZURICH) + timedelta(seconds=61)
            first_looks_end = f"{moment:%Y-%m-%d %H:%M:%S}"
        is_later = (request.dateto or "") > first_looks_end
        return Fault.refuse("wrong authcode") if is_later else None

    provider.faults = fault
    return invoke("watch", *EVERY, *arguments)


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_pipe_gets_json_lines(served: Provider) -> None:
    """Each leg is a JSON object on a line; a refusal ends the watch with its exit code."""
    served.add(row("one", 30), row("two", 20))
    result = watch_for_a_while(served)
    assert result.exit_code == 3
    found = lines_of(result.stdout)
    assert [(line["kind"], line["leg"]["uniqueid"]) for line in found] == [
        ("new", "one"),
        ("new", "two"),
    ]
    assert {line["tenant"] for line in found} == {served.tenant}
    assert "Watching VOICE-29001-1 since " in result.stderr


def test_missed_calls_alone(served: Provider) -> None:
    """With --missed, each missed call is a line once it was quiet, and an answered one is none."""
    served.add(
        row("missed", 30),
        row("answered", 20, disposition="ANSWERED", billsec="10", dstchannel="SIP/201-1"),
        row("still quiet for too short", 2),
    )
    result = watch_for_a_while(served, "--missed", "--quiet")
    (line,) = lines_of(result.stdout)
    assert (line["call"]["id"], line["call"]["missed"], line["previous"]) == ("missed", True, None)
    assert line["certainty"] in ("probably", "surely")
    assert "Watching" not in result.stderr


def test_only_sure_calls(served: Provider) -> None:
    """With --sure, a call that may still go on is no line, and one that is over is."""
    served.add(
        row("missed", 30, linkedid="another"),
        row("answered", 20, disposition="ANSWERED", billsec="10", dstchannel="SIP/201-1"),
    )
    (line,) = lines_of(watch_for_a_while(served, "--sure").stdout)
    assert (line["call"]["id"], line["certainty"]) == ("answered", "surely")
    result = watch_for_a_while(served, "--sure", "--missed")
    assert (result.exit_code, result.stdout) == (3, "")


def test_a_position_is_continued(served: Provider, tmp_path: Path) -> None:
    """With --position, a second start shows what came since, and nothing twice."""
    kept = tmp_path / "position.json"
    served.add(row("one", 30), row("two", 20))
    first = watch_for_a_while(served, "--position", "position.json")
    assert len(lines_of(first.stdout)) == 2
    assert json.loads(kept.read_text("utf-8"))
    served.add(row("late", 25))
    second = watch_for_a_while(served, "--position", "position.json")
    assert "from where it ended" in second.stderr
    assert [line["leg"]["uniqueid"] for line in lines_of(second.stdout)] == ["late"]


def test_a_mirror_keeps_the_position(served: Provider, tmp_path: Path) -> None:
    """With --database, the legs are in a mirror, and a change says what it was before."""
    served.add(row("one", 30), row("two", 20))
    first = watch_for_a_while(served, "--database", "calls.db")
    assert len(lines_of(first.stdout)) == 2
    served.change({"cc_cost": "1.25"}, uniqueid="one")
    second = watch_for_a_while(served, "--database", "calls.db")
    (line,) = lines_of(second.stdout)
    assert (line["kind"], line["leg"]["cc_cost"], line["previous"]["cc_cost"]) == (
        *("changed", "1.25"),
        None,
    )
    assert (tmp_path / "calls.db").exists()
    named = watch_for_a_while(served, "--database", "calls.db", "--position", "another")
    assert len(lines_of(named.stdout)) == 2


@pytest.mark.subprocess
def test_a_command_runs_for_each(served: Provider, tmp_path: Path) -> None:
    """--exec runs a command for each change, again after a failure, in order; nothing is dropped.

    SIGTERM ends the watch within a second, and the position is saved.
    """
    program = tmp_path / "keep.py"
    program.write_text(
        "import json, pathlib, sys\n"
        "name = json.load(sys.stdin)['leg']['uniqueid']\n"
        "tried = pathlib.Path('tried.txt')\n"
        "with tried.open('a') as file:\n"
        "    print(name, file=file)\n"
        "sys.exit(name == 'one' and tried.read_text().count('one') == 1)\n",
        "utf-8",
    )
    served.add(row("one", 30), row("two", 20))
    command = shlex.join([sys.executable, str(program)])
    tried = tmp_path / "tried.txt"
    with Running("watch", *EVERY, "--position", "p.json", "--exec", command) as running:
        wait_for(lambda: tried.exists() and tried.read_text("utf-8").count("\n") == 3)
        wait_for((tmp_path / "p.json").exists)
        began = time.monotonic()
        code, output, errors = running.ended_by(signal.SIGTERM)
    assert time.monotonic() - began < 1.5
    assert (code, output) == (143, "")
    assert "ended with exit code 1; it is run again in 1 s" in errors
    assert tried.read_text("utf-8").split() == ["one", "one", "two"]


@pytest.mark.subprocess
def test_a_command_that_hangs(served: Provider, tmp_path: Path) -> None:
    """SIGTERM ends a command that is running too, and what it was running for comes again."""
    served.add(row("one", 30))
    program = "import pathlib, time; pathlib.Path('began').touch(); time.sleep(60)"
    command = shlex.join([sys.executable, "-c", program])
    given = ("watch", *EVERY, "--position", "p.json")
    with Running(*given, "--exec", command) as running:
        wait_for((tmp_path / "began").exists)
        began = time.monotonic()
        code, _, _ = running.ended_by(signal.SIGTERM)
    assert (code, time.monotonic() - began < 1.5) == (143, True)
    with Running(*given) as running:
        assert running.process.stdout is not None
        assert json.loads(running.process.stdout.readline())["leg"]["uniqueid"] == "one"
        assert running.ended_by(signal.SIGINT)[0] == 130


def test_ctrl_c_as_soon_as_it_is_named(served: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the first line is printed, which says that Ctrl-C ends it, the signal is handled."""
    printed: list[tuple[str, bool]] = []

    def show(text: str, **_: object) -> None:
        is_handled = signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        printed.append((text.partition("; ")[2], is_handled))

    monkeypatch.setattr("boxis_async.cli.watch.show", show)
    watch_for_a_while(served)
    assert printed[0] == ("Ctrl-C ends it", True)


@pytest.mark.slow
@pytest.mark.subprocess
def test_an_outage_is_said_once(served: Provider) -> None:
    """An outage is said when it begins and when it ends, and ends nothing."""
    with Running("watch", *EVERY, "--heartbeat", "1s") as running:
        stderr = running.process.stderr
        assert stderr is not None
        said: list[str] = []

        def read_until(words: str) -> None:
            for line in stderr:
                said.append(line)
                if words in line:
                    return

        read_until("watching: 0 shown")
        served.faults = lambda _: Fault.status(404)
        read_until("cannot be read")
        served.faults = lambda _: None
        read_until("can be read again")
        assert running.ended_by(signal.SIGINT)[0] == 130
    assert sum("cannot be read" in line for line in said) == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--exec", ""), "name a command"),
        (("--exec", "'"), "No closing quotation"),
        (("--exec", "no-such-program-at-all"), "there is no program"),
        (("--exec", "cat", "--json"), "leave out --json"),
        (("--since", "one hour"), "--since"),
        (("--since", "tomorrow"), "future"),
        (("--every", "0s"), "every"),
        (("--position", "nowhere/p.json"), "the folder of nowhere/p.json does not exist"),
        (("--position", "."), "is a folder: name a file in it"),
    ],
)
def test_what_cannot_be(served: Provider, given: tuple[str, ...], message: str) -> None:
    """A wrong option is an error that names it, before any request."""
    result = invoke("watch", *given)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert served.requests == []


def test_lines_for_people(week: list[Row]) -> None:
    """A line is printable and short, and says what is not over, and what it was before."""
    calls = group_calls(legs_of([row("Anna", 30)]))
    (call,) = calls
    taken = group_calls(legs_of([row("Anna", 30, disposition="ANSWERED", dstchannel="SIP/2-1")]))
    tenant = "VOICE-1-1"
    probable = CallChange(kind="new", call=call, certainty="probably", tenant=tenant)
    sure = CallChange(kind="new", call=call, certainty="surely", tenant=tenant)
    other = CallChange(
        kind="changed", call=taken[0], previous=call, certainty="surely", tenant=tenant
    )
    assert text_line(probable).endswith("NO ANSWER after 0:20, so far")
    assert text_line(sure).endswith("NO ANSWER after 0:20")
    assert text_line(other).endswith("; was NO ANSWER")
    assert "\x1b" not in text_line(sure) + json_line(sure)
    assert json.loads(json_line(other))["previous"]["missed"] is True
    for leg in legs_of(week):
        line = text_line(Change(kind="new", cdr=leg, tenant=tenant))
        assert line.startswith(f"{leg.start:%Y-%m-%d %H:%M} ")
        assert len(line) <= 80
    changed = Change(kind="changed", cdr=legs_of(week)[0], tenant=tenant)
    assert text_line(changed).endswith("; changed")
    assert json.loads(json_line(changed))["previous"] is None
