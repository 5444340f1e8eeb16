"""Whatever callers, the provider and names of files hold: no character of it acts on a terminal."""

from __future__ import annotations

import ast
import json
import logging
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from clients import ONCE_MORE
from commands import invoke

import boxis_async.cli
from boxis_async import printable
from boxis_async.cli.settings import Settings
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result

    from boxis_async import BoxisClient
    from boxis_async.testing import LoopbackServer, Received, Row

EVIL = (
    "[/b]\x1b[2J\x1b[31m\x1b]0;title\x07\x1b]8;;https://evil.example\x1b\\link\x1b]52;c;ZXZpbA==\x07"
    "\r\n\t\x00\x08\x7f\x85\x90\x9b31m\x9d52;c;\x9c\xad\u061c\u200b\u200d\u200e\u2028\u2029\u202e"
    "\u2066\u2069\ufeff\ud800\U000e0041 ✓ credentials accepted"
)
ZURICH = ZoneInfo("Europe/Zurich")
DAY = datetime(2025, 10, 1)  # noqa: DTZ001 - the provider's wall clock
WEEK = ("--from", "2025-10-01", "--to", "2025-10-08")
TEXTS = (
    *("clid", "src", "dst", "dcontext", "channel", "dstchannel", "lastapp", "lastdata", "amaflags"),
    *("disposition", "accountcode", "realsrc", "firstdst", "lastdst", "srcCallID", "prevuniqueid"),
    *("peeraccount", "originateid", "linkedid", "wherelanded", "pincode", "cc_peername"),
    *("cc_type", "cc_country", "cc_network", "cc_international"),
)


def row(start: datetime, number: int, **more: str) -> Row:
    """Make a record whose texts are all hostile."""
    return {
        **dict.fromkeys(TEXTS, f"{number}{EVIL}"),
        "uniqueid": f"{int(start.replace(tzinfo=ZURICH).timestamp())}.{number}",
        "userfield": ("[inbound]", "[outbound]", EVIL)[number % 3],
        "start": f"{start}",
        "end": f"{start + timedelta(minutes=1)}",
        "sequence": f"{number}",
        "billsec": "30",
        f"{number}{EVIL}": EVIL,
        **more,
    }  # fmt: skip


def rows() -> list[Row]:
    """Make hostile records, some of a week and some of the last hours."""
    now = datetime.now(ZURICH).replace(tzinfo=None, microsecond=0)
    starts = [DAY + timedelta(hours=5 * number) for number in range(30)]
    starts += [now - timedelta(minutes=30 + number) for number in range(12)]
    return [row(start, number) for number, start in enumerate(starts)]


@pytest.fixture
def hostile(
    server: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Provider]:
    """Serve hostile records, and point the environment at them."""
    provider = Provider(rows())
    url = server.mount(provider)
    for name, value in (
        ("USERNAME", provider.username),
        ("API_KEY", provider.api_key),
        ("TENANT", provider.tenant),
        ("BASE_URL", url),
    ):
        monkeypatch.setenv(f"BOXIS_{name}", value)
    monkeypatch.chdir(tmp_path)
    make = Settings.client

    def impatient(self: Settings, **settings: Any) -> BoxisClient:  # noqa: ANN401
        return make(self, **{"retry": ONCE_MORE} | settings)

    monkeypatch.setattr(Settings, "client", impatient)
    yield provider
    server.unmount(provider)


def assert_harmless(text: str, *, within_line: str = "") -> None:
    """Check that a text consists of lines that are only shown."""
    for line in text.split("\n"):
        for part in line.split(within_line) if within_line else [line]:
            assert printable(part) == part


def run(*arguments: str, data: bool = False, within_line: str = "") -> Result:
    """Run a command; its errors, and unless they are the data its results, are harmless."""
    result = invoke(*arguments)
    assert_harmless(result.stderr)
    if not data:
        assert_harmless(result.stdout, within_line=within_line)
    return result


COMMANDS = {
    "export": ("export", *WEEK, "-o", "calls.csv", "--unique-by", "leg"),
    "output": ("export", *WEEK, "-o", "-", "--format", "jsonl", "--unique-by", "leg"),
    "keep-going": ("export", *WEEK, "-o", "calls.jsonl", "--keep-going", "--window", "1d"),
    "calls": ("calls", *WEEK),
    "calls-json": ("calls", *WEEK, "--json"),
    "stats": ("stats", *WEEK, *(f"--by={name}" for name in
              ("day", "hour", "direction", "disposition", "number"))),
    "json": ("stats", *WEEK, "--json"),
    "check": ("check",),
    "probe": ("probe", "--around", "2025-10-02"),
    "probe-json": ("probe", "--around", "2025-10-02", "--json"),
}  # fmt: skip


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("name", COMMANDS)
def test_hostile_records(hostile: Provider, name: str, *, verbose: bool) -> None:
    """Each command shows hostile records, or counts of them, as harmless text."""
    result = run(*COMMANDS[name], *(["-v"] if verbose else []))
    assert hostile.requests
    assert result.exit_code == 0, result.output
    if name == "output":
        assert [json.loads(line)["clid"] for line in result.stdout.splitlines()] == [
            f"{number}{EVIL}".replace("\ud800", "\ufffd") for number in range(30)
        ]


def test_data_is_exact(hostile: Provider, tmp_path: Path) -> None:
    """In a pipe and in a file CSV has each text as it was sent."""
    result = run("export", *WEEK, "-o", "-", "--unique-by", "leg", data=True)
    sent = EVIL.replace("\ud800", "\ufffd")
    assert f'"29{sent}"' in result.stdout_bytes.decode("utf-8")
    run(*COMMANDS["export"])
    assert (tmp_path / "calls.csv").read_bytes() == result.stdout_bytes
    assert hostile.requests


def body(**members: object) -> bytes:
    """Write an answer that is well formed, and hostile."""
    return json.dumps({"result": "1", "timestamp": 1, **members}).encode()


ANSWERS: dict[str, Callable[[], Fault]] = {
    "refusal": lambda: Fault.refuse(EVIL),
    "credentials": lambda: Fault.refuse(f"username {EVIL}"),
    "clock": lambda: Fault.garbage(body(result="0", resulttxt=EVIL, timestamperror=EVIL)),
    "status": lambda: Fault("status", code=404, body=body(result="0", resulttxt=EVIL)),
    "passing": lambda: Fault("status", code=500, body=body(result="0", resulttxt=EVIL)),
    "redirect": lambda: Fault.status(302, location="https://evil.example/\x85\x9b31m"),
    "result": lambda: Fault.garbage(body(result=EVIL)),
    "no json": lambda: Fault.garbage(EVIL.encode("utf-8", "surrogatepass")),
    "notice": lambda: Fault.garbage(EVIL.encode("utf-8", "replace") + body(params=[])),
    "keys": lambda: Fault.garbage(body(params={"cdr": {EVIL: {"start": EVIL}}})),
    "number": lambda: Fault.garbage(body(params={"cdr": {"call_1": row(DAY, 1, duration=EVIL)}})),
    "date": lambda: Fault.garbage(
        body(params={"cdr": {"call_1": {EVIL: [EVIL, 1.5], "start": 5}}})
    ),
    "shape": lambda: Fault.garbage(body(params={"cdr": EVIL})),
    "other shape": lambda: Fault.garbage(body(params={EVIL: EVIL, "x": {EVIL: 1}})),
    "members": lambda: Fault.garbage(body(params={"cdr": [], EVIL: EVIL, "next": EVIL})),
    "beside": lambda: Fault.garbage(body(params={"cdr": []}, **{EVIL: EVIL})),
}


@pytest.mark.slow
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize(
    "name", ["export", "output", "keep-going", "calls", "stats", "check", "probe"]
)
def test_hostile_answers(hostile: Provider, name: str, answer: str) -> None:
    """So is whatever the provider says of an error, in the log too."""
    hostile.faults = lambda _: ANSWERS[answer]()
    result = run(*COMMANDS[name], "-v")
    assert hostile.requests
    assert result.exit_code != 0 or answer in ("beside", "notice", "members")
    # No line of it pretends to be one of ours.
    assert not [line for line in result.output.split("\n") if line.startswith(" ✓")]


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_the_library_logs_and_raises(
    hostile: Provider, caplog: pytest.LogCaptureFixture, answer: str
) -> None:
    """A program that logs elsewhere gets harmless messages from the library as well."""
    hostile.faults = lambda _: ANSWERS[answer]()
    caplog.set_level(logging.DEBUG, "boxis_async")
    logging.getLogger("boxis_async").propagate = True
    run(*COMMANDS["keep-going"])
    for record in caplog.records:
        if record.name == "boxis_async":
            assert printable(record.getMessage()) == record.getMessage()


def test_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo shows made-up calls, and would show hostile ones as harmless text."""
    monkeypatch.setattr(
        "boxis_async.testing.generate_calls",
        lambda *_, **__: [row(DAY + timedelta(hours=number), number) for number in range(20)],
    )
    result = run("demo")
    assert result.exit_code == 0, result.output
    assert r"0[/b]\u001b" in result.stdout


NAME = EVIL.replace("\x00", "").replace("/", "").replace("\ud800", "\udcff")
"""As a name of a file, or of anything else on a command line; a byte that is not UTF-8 in it."""


@pytest.mark.parametrize(
    "arguments",
    [
        (NAME,),
        (f"--{NAME}",),
        ("export", f"--{NAME}"),
        ("export", NAME),
        ("export", "--from", NAME, "-o", "calls.csv"),
        ("export", "--month", NAME, "-o", "calls.csv"),
        ("export", *WEEK, "-o", NAME),
        ("export", *WEEK, "-o", f"{NAME}/calls.csv"),
        ("export", *WEEK, "-o", "calls.csv", "--window", NAME),
        ("export", *WEEK, "-o", "calls.csv", "--format", NAME),
        ("export", "-o", f"{NAME}.csv", "--resume"),
        ("calls", *WEEK, "--country", NAME),
        ("stats", *WEEK, "--by", NAME),
        ("stats", *WEEK, "--timezone", NAME),
        ("stats", *WEEK, "--tenant", NAME),
        ("stats", *WEEK, "--base-url", NAME),
        ("stats", *WEEK, "--concurrency", NAME),
        ("check", "--tenant", NAME),
        ("check", "--username", NAME),
        ("check", "--profile", NAME),
        ("probe", "--around", NAME),
        ("plan", "--from", NAME),
        ("serve", "--from", NAME),
        ("completion", NAME),
    ],
    ids=lambda arguments: " ".join(arguments).replace(NAME, "EVIL"),
)
def test_hostile_command_lines(hostile: Provider, arguments: tuple[str, ...]) -> None:
    """A script may put anybody's text on a command line: no message of ours obeys it."""
    hostile.faults = lambda _: Fault.refuse("no")
    assert run(*arguments).exit_code != 0


@pytest.mark.parametrize("resumes", [False, True])
def test_a_hostile_name_of_a_file(hostile: Provider, tmp_path: Path, *, resumes: bool) -> None:
    """A file may have such a name: the export is made, and what is shown of it is harmless."""
    name = f"{NAME}.csv"
    if resumes:

        def faults(got: Received) -> Fault | None:
            return Fault.refuse("no") if (got.datefrom or "") > "2025-10-04" else None

        hostile.faults = faults
        result = run("export", *WEEK, "-o", name, "--window", "1d")
        assert result.exit_code == 6
        assert "Resume it with:" in result.stderr
        run("export", *WEEK, "-o", name)
        hostile.faults = []
        result = run("export", "-o", name, "--resume")
    else:
        result = run("export", *WEEK, "-o", name)
    assert result.exit_code == 0, result.output
    assert (tmp_path / name).exists()
    assert run("export", *WEEK, "-o", name).exit_code == 2


def test_hostile_profiles(hostile: Provider, home: Path) -> None:
    """A profile's names and values are shown as harmless text too."""
    for text in (
        f'[{json.dumps(EVIL.replace(chr(0xD800), ""))[:-1]}"]\nusername = 5\n',
        f"[default]\n{json.dumps('a' + chr(0x202E), ensure_ascii=False)} = 1\n",
        '[default]\ntenant = "\\u001b[2J\\u202e"\n\n[default.contract]\n"\\u001b" = 1\n',
        "[default\x1b",
    ):
        path = home / ".config" / "boxis" / "profiles.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        for arguments in (("check",), ("check", "--profile", "x"), ("probe",)):
            run(*arguments)
    assert hostile is not None


# One way to the screen

FOLDER = Path(boxis_async.cli.__file__).parent


def test_one_way_to_the_screen() -> None:
    """Nothing but `output` writes to the screen; `entry` does before click is there."""
    found = {
        path.stem
        for path in FOLDER.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func)
        in ("print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write")
    }
    assert found == {"output", "entry"}
