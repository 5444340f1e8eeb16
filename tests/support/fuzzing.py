"""Whatever is read from outside, spoiled at random: answers, coverages, journals, command lines.

A target draws inputs, and checks what comes of one: records or a value that is right, or an error
of the library that says what to do. `tests/bench/fuzz.py` tries inputs for hours, and writes down
those that show a fault; the suite tries a few, and all that were written down.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import pickle
import shutil
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from calls import DAY, HOUR, NEXT_DAY, SECOND, hourly
from click.testing import CliRunner
from clients import ONCE_MORE, connected
from commands import connection_of
from exports import comparable, export_range, quick_folder, read, work_folder
from hostile import ATTACKS
from hypothesis import strategies as st
from mutations import is_what_was_sent, json_answer, xml_answer
from paths import DATA

from boxis_async import Coverage, UsageError, Window, WindowError, printable
from boxis_async._run.coverage_builder import CoverageBuilder, Marks
from boxis_async._run.dedupe import Deduplicator
from boxis_async._wire import json as wire_json
from boxis_async._wire.json_orjson import read_rows
from boxis_async._wire.messages import Reply
from boxis_async._wire.readers import ContentReader, RecordsReader
from boxis_async._wire.records import Fingerprinter, Records, make_converter
from boxis_async._wire.wallclock import WallClock
from boxis_async.cli.exit_codes import ExitCode
from boxis_async.cli.main import boxis
from boxis_async.coverage import SealedSpan, memory_of
from boxis_async.errors import BoxisError, RecordError, RefusedError, StatusError
from boxis_async.testing import Fault, LoopbackServer, Provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

CORPUS = DATA / "fuzz"
"""Inputs that showed a fault once: a folder for each target, a file for each input."""

LONGEST_STEP = 0.5
"""Seconds of processor time. A step takes a hundredth of it, unless garbage is collected in it."""
LONGEST_ERROR = 70_000
"""Characters. The error text of the provider may be as long; all others are a few lines."""
LONGEST_OF_OURS = 2000


@attrs.frozen(eq=False)
class Target:
    """Something that reads what comes from outside."""

    inputs: st.SearchStrategy[list[str]]
    """Draws inputs: texts, those that are bytes in Base64, so that JSON can hold them."""
    check: Callable[[list[str]], None]
    """Holds what comes of an input to what is right; an AssertionError, or another, is a fault."""


def kept_inputs(name: str) -> list[tuple[str, list[str]]]:
    """Give what was written down for a target, each input with the name of its file."""
    files = sorted((CORPUS / name).glob("*.json"))
    return [(file.stem, json.loads(file.read_text("utf-8"))) for file in files]


def keep(name: str, sent: list[str]) -> Path:
    """Write an input down."""
    text = json.dumps(sent, indent=1)
    file = CORPUS / name / f"{blake2b(text.encode(), digest_size=6).hexdigest()}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n", "utf-8")
    return file


def packed(data: bytes) -> str:
    """Write bytes as a text."""
    return base64.b64encode(data).decode("ascii")


# What becomes of bytes

_SCALE = 10_000
_TOKENS = (
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\n", b" ", b"\x00", b"\xff", b"-", b"e9"),
    *(b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"0", b"-0", b"1.50", b"[]", b"{}", b'""'),
    *(b"9" * 300, b"9" * 5000, b"[" * 1200, b'{"a":' * 1200, b" " * 5000, b"a" * 5000, b"[]," * 99),
    *(
        b'"result":"0",',
        b'"cdr":',
        b'"params":{',
        b'"timestamperror":1,',
        b'"total":99,',
        b'"call_1":',
    ),
    *(
        b'},"call_7":{',
        b"},{",
        b"\\ud800",
        b"\\ud83d\\ude00",
        b"\\u00",
        "é😀\u2028".encode(),
        b"\xef\xbb\xbf",
    ),
    *(
        b"<return>",
        b"</return>",
        b"<a>",
        b"</a>",
        b"<a/>",
        b"<cdr>",
        b"&amp;",
        b"&#0;",
        b"&a;",
        b"<!--",
        b"-->",
    ),
    *(
        b"<![CDATA[",
        b"]]>",
        b"<?a",
        b'<?xml encoding="utf-7"?>',
        b"<!DOCTYPE return [",
        b' xmlns="a"',
    ),
    *(
        b"2999-12-31 23:59:59",
        b"9999-12-31 23:59:59",
        b"0000-00-00 00:00:00",
        b"2024-10-27 02:30:00",
    ),
    *(b"Notice: {x}\n", b'"start":"soon"', b'"cc_cost":"1E+30000"', b'"start":', b'"uniqueid":""'),
)
places = st.integers(0, _SCALE)
tokens = st.one_of(st.sampled_from(_TOKENS), st.binary(max_size=4))


def _at(data: bytes, place: int) -> int:
    return len(data) * place // _SCALE


def _cut(place: int, data: bytes) -> bytes:
    return data[: _at(data, place)]


def _put(place: int, token: bytes, data: bytes) -> bytes:
    at = _at(data, place)
    return data[:at] + token + data[at:]


def _put_near(mark: bytes, place: int, token: bytes, data: bytes) -> bytes:
    """Put a token where JSON or XML has a place for something."""
    at = data.find(mark, _at(data, place))
    return data if at < 0 else data[: at + 1] + token + data[at + 1 :]


def _replace(begin: int, length: int, token: bytes, data: bytes) -> bytes:
    at = _at(data, begin)
    return data[:at] + token + data[at + length :]


def _repeat(begin: int, length: int, times: int, data: bytes) -> bytes:
    at = _at(data, begin)
    return data[:at] + data[at : at + length] * times + data[at + length :]


def _flip(place: int, bit: int, data: bytes) -> bytes:
    at = _at(data, place)
    return data[:at] + bytes(byte ^ 1 << bit for byte in data[at : at + 1]) + data[at + 1 :]


spoilings = st.one_of(
    st.builds(partial, st.just(_cut), places),
    st.builds(partial, st.just(_put), places, tokens),
    st.builds(
        partial,
        st.just(_put_near),
        st.sampled_from([b":", b",", b"{", b"[", b'"', b">"]),
        places,
        tokens,
    ),
    st.builds(partial, st.just(_replace), places, st.integers(0, 60), tokens),
    st.builds(
        partial, st.just(_repeat), places, st.integers(1, 400), st.sampled_from([0, 2, 3, 40, 300])
    ),
    st.builds(partial, st.just(_flip), places, st.integers(0, 7)),
)
"""What may become of bytes: a part is lost, comes often, or is something else."""

_LONGEST = 400_000


def spoiled(
    good: st.SearchStrategy[bytes], *, least: int = 0, most: int = 6
) -> st.SearchStrategy[bytes]:
    """Draw what may become of bytes after several such things."""

    def apply(data: bytes, changes: list[Callable[[bytes], bytes]]) -> bytes:
        for change in changes:
            data = change(data)[:_LONGEST]
        return data

    return st.builds(apply, good, st.lists(spoilings, min_size=least, max_size=most))


def check_words(problem: BaseException) -> None:
    """Hold an error to being one of the library's, short, safe to print and to pickle."""
    assert isinstance(problem, BoxisError), repr(problem)
    assert printable(str(problem)) == str(problem)
    longest = LONGEST_ERROR if isinstance(problem, (RefusedError, StatusError)) else LONGEST_OF_OURS
    assert 0 < len(str(problem)) < longest
    assert str(pickle.loads(pickle.dumps(problem))) == str(problem)


# Answers

CONVERT = make_converter(WallClock("Europe/Zurich"), Fingerprinter(b"key")).get_structure_hook(
    Records
)
WINDOW = Window(DAY, NEXT_DAY)
_SIZE = 3000


def _outcome(steps: Iterator[Any]) -> object:
    """Take all steps, none of them long; give the result, or the error."""
    while True:
        began = time.thread_time()
        try:
            next(steps)
        except StopIteration as end:
            return end.value
        except BoxisError as error:
            return error
        finally:
            taken = time.thread_time() - began
            assert taken < LONGEST_STEP, f"a step of {taken:.1f} s"


def _comparable(outcome: object) -> object:
    if isinstance(outcome, Records):
        return outcome.cdrs, outcome.fingerprints
    return type(outcome), str(outcome)


def check_answer(sent: list[str]) -> None:
    """Read an answer in each way: all agree, and end in what was sent, or in an error of ours."""
    returntype, status, body = sent[0], int(sent[1]), base64.b64decode(sent[2])
    reply = Reply(status, body)
    make = partial(RecordsReader, CONVERT, returntype, window=WINDOW)
    before = wire_json.fast_reader
    outcomes: list[object] = []
    for reader in (read_rows, None):
        wire_json.fast_reader = lambda reader=reader: reader  # type: ignore[assignment, misc]
        try:
            outcomes.append(_outcome(make().read(reply)))
        finally:
            wire_json.fast_reader = before
    by_orjson, by_json = outcomes
    assert _comparable(by_orjson) == _comparable(by_json)
    lenient = _outcome(make(collect_rejects=True).read(reply))
    if isinstance(by_json, Records):
        assert _comparable(lenient) == _comparable(by_json)
        assert is_what_was_sent(by_json.cdrs, body, returntype) or len(sent) > 3
    elif isinstance(by_json, RecordError):
        assert isinstance(lenient, Records)
        assert lenient.rejects[0].reason == by_json.reason
        assert lenient.rejects[0].position == by_json.position
        pickle.dumps(lenient.rejects)
    else:
        assert _comparable(lenient) == _comparable(by_json)
    content = _outcome(ContentReader(returntype).read(reply))  # type: ignore[arg-type]
    for outcome in (by_json, lenient, content):
        if not isinstance(outcome, (Records, dict)):
            assert isinstance(outcome, BoxisError)
            check_words(outcome)


_GOOD_ANSWERS = [("json", json_answer()), ("xml", xml_answer())]
_HOSTILE = [
    (attack.returntype, attack.write(_SIZE))
    for attack in ATTACKS.values()
    if len(attack.write(_SIZE)) < _LONGEST
]


def _answer(
    kind: tuple[str, bytes],
    status: int,
    changes: list[Callable[[bytes], bytes]],
    *,
    is_hostile: bool,
) -> list[str]:
    returntype, data = kind
    for change in changes:
        data = change(data)[:_LONGEST]
    # What the records are is known of a good answer, and of what became of it.
    return [returntype, f"{status}", packed(data), *(["hostile"] if is_hostile else [])]


statuses = st.sampled_from([200] * 12 + [201, 302, 400, 404, 429, 500, 503])
answers = st.one_of(
    *(
        st.builds(
            partial(_answer, is_hostile=hostile),
            st.sampled_from(kinds),
            statuses,
            st.lists(spoilings, max_size=6),
        )
        for hostile, kinds in ((False, _GOOD_ANSWERS), (True, _HOSTILE))
    )
)


@contextmanager
def answers_target() -> Iterator[Target]:
    """Answers, read as a stream and a call read them."""
    yield Target(answers, check_answer)


# Coverages


def _good_coverage() -> bytes:
    builder = CoverageBuilder("fingerprint", b"0123456789abcdef", None, carry_keys=True)
    for number in (0, 1, 2, 5, 6, 9, 20):
        start = DAY + number * HOUR - SECOND
        marks = {b"%048d" % (10 * number + one): start + one * HOUR for one in range(2)}
        builder.hand_over(
            Window(start, start + HOUR + SECOND),
            Marks(marks, marks, frozenset(marks)),
            is_sealed=number < 9,
            is_empty=number in (2, 6),
        )
    builder.fail(Window(DAY + 12 * HOUR, DAY + 13 * HOUR))
    return builder.coverage().to_json().encode()


def check_coverage(sent: list[str]) -> None:
    """Read a coverage, and use it: it is refused with what to do, or it is one."""
    text = base64.b64decode(sent[0]).decode("utf-8", "replace")
    if len(sent) > 1:
        text = _with_its_sum(text, "checksum")
    try:
        coverage = Coverage.from_json(text)
    except UsageError as error:
        check_words(error)
        assert "fetch the range anew" in str(error)  # noqa: PT017 - one of two outcomes
        return
    assert Coverage.from_json(coverage.to_json()) == coverage
    assert pickle.loads(pickle.dumps(coverage)) == coverage
    memory = memory_of(coverage)
    fingerprinter = Fingerprinter(memory.key or b"x")
    for unique_by in ("leg", "uniqueid", lambda cdr: cdr.dst):
        Deduplicator(unique_by, fingerprinter, memory.every_mark())
    builder = CoverageBuilder(coverage.fingerprint, memory.key, coverage, carry_keys=True)
    builder.hand_over(WINDOW, Marks(), is_sealed=True, is_empty=False)
    resumed = builder.coverage()
    assert Coverage.from_json(resumed.to_json()) == resumed
    missing = coverage.missing(DAY, NEXT_DAY)
    assert all(DAY <= start <= end <= NEXT_DAY for start, end in missing)
    done = [SealedSpan(*span) for span in missing]
    assert all(
        not (span.start < sealed.end and sealed.start < span.end)
        for span in done
        for sealed in memory.sealed
    )
    assert resumed.missing(DAY, NEXT_DAY) == []


def _with_its_sum(text: str, name: str) -> str:
    """Give a JSON object the checksum that it should have, if it is one."""
    with suppress(ValueError, RecursionError, AttributeError, TypeError):
        content = json.loads(text)
        content.pop(name, None)
        version = {} if name == "checksum" else {"version": content.pop("version", 1)}
        summed = json.dumps(content, sort_keys=True).encode()
        return json.dumps({**version, **content, name: blake2b(summed, digest_size=16).hexdigest()})
    return text


@contextmanager
def coverages_target() -> Iterator[Target]:
    """Coverages, as files keep them."""
    good = _good_coverage()
    inputs = st.builds(
        lambda data, summed: [packed(data), *(["with its sum"] if summed else [])],
        spoiled(st.just(good), least=1),
        st.booleans(),
    )
    yield Target(inputs, check_coverage)


# Journals


async def _unfinished_export(provider: Provider, folder: Path) -> list[Any]:
    """Leave an export unfinished in a folder, and give what it has to be in the end."""
    provider.faults = lambda got: (
        Fault.refuse("no") if (got.datefrom or "") >= f"{DAY + 16 * HOUR - SECOND}" else None
    )
    async with connected(provider, retry=ONCE_MORE) as client:
        with suppress(WindowError):
            await export_range(client, folder / "calls.csv", DAY, NEXT_DAY, window=4 * HOUR)
        provider.faults = []
        return comparable(await client.cdrs(DAY, NEXT_DAY).to_list())


async def _resume(provider: Provider, target: Path) -> None:
    async with connected(provider, retry=ONCE_MORE) as client:
        await export_range(client, target, DAY, NEXT_DAY, resume=True, window=4 * HOUR)


@contextmanager
def journals_target() -> Iterator[Target]:
    """Journals of exports that are resumed."""
    provider = Provider(hourly(calls=2))
    with quick_folder() as folder, asyncio.Runner() as runner:
        expected = runner.run(_unfinished_export(provider, folder))
        target = folder / "calls.csv"
        good = folder / "good"
        work_folder(target).rename(good)
        journal = (good / "journal.json").read_bytes()

        def check(sent: list[str]) -> None:
            text = base64.b64decode(sent[0])
            if len(sent) > 1:
                text = _with_its_sum(text.decode("utf-8", "replace"), "sum").encode()
            shutil.copytree(good, work_folder(target))
            (work_folder(target) / "journal.json").write_bytes(text)
            try:
                runner.run(_resume(provider, target))
                assert read(target) == expected
            except UsageError as error:
                check_words(error)
                assert "start over" in str(error) or "resume" in str(error)  # noqa: PT017 - as above
                assert not target.exists()
            finally:
                target.unlink(missing_ok=True)
                shutil.rmtree(work_folder(target), ignore_errors=True)

        inputs = st.builds(
            lambda data, summed: [packed(data), *(["with its sum"] if summed else [])],
            spoiled(st.just(journal), least=1, most=3),
            st.booleans(),
        )
        yield Target(inputs, check)


# Command lines

_COMMANDS = ("calls", "stats", "export", "plan", "check", "completion")
_OPTIONS = (
    *("--from", "--to", "--month", "--day", "--clip", "--window", "--row-limit", "--keep-going"),
    *(
        "-o",
        "--output",
        "--format",
        "--unique-by",
        "--rows",
        "--columns",
        "--resume",
        "--overwrite",
    ),
    *(
        "--mkdir",
        "--rejects",
        "--excel",
        "--delimiter",
        "--bom",
        "--local-times",
        "--decimal-comma",
    ),
    *("--formula-safe", "--profile", "--username", "--key", "--tenant", "--timezone", "-q", "-v"),
    *("--by", "--top", "--json", "--number", "--limit", "--help", "--concurrency", "--country"),
)
# A byte that is no text comes as a half of a character, such as U+DCFF.
_VALUES = (
    *(
        "2024-03-05",
        "2024-03-06",
        "2024-03",
        "05.03.2024",
        "2024-03-05 10:00",
        "2024-03-05 10:00+02:00",
    ),
    *(
        "yesterday",
        "last month",
        "7d",
        "0001-01-01",
        "9999-12-31",
        "9999-12",
        "2024-02-30",
        "now",
        "-1",
    ),
    *(
        "6h",
        "1d",
        "0s",
        "1y",
        "999999999w",
        "csv",
        "jsonl",
        "xlsx",
        "calls.csv",
        "a/b.csv",
        ".",
        "/",
        "-",
    ),
    *(
        "leg",
        "uniqueid",
        "start",
        "legs",
        "calls",
        "readable",
        "start,src",
        "start,,",
        "day",
        "hour",
    ),
    *(
        "0",
        "1",
        "8",
        "99999999999999999999",
        "1e9",
        "Europe/Zurich",
        "UTC",
        "Mars/Base",
        "../../etc/passwd",
    ),
    *(
        "",
        " ",
        "\x1b[31mred",
        "\u202edlrow",
        "a\u2028b",
        "\udcff",
        "é😀",
        "=1+1",
        "--",
        "@",
        "%s %(x)s {x}",
    ),
    *("bash", "zsh", "fish", "tenant", "VOICE-29001-1", "comma", "tab", "a" * 3000),
)
# No system passes a character zero.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
arguments = st.lists(
    st.one_of(
        st.sampled_from(_OPTIONS),
        st.sampled_from(_VALUES),
        st.builds("{}={}".format, st.sampled_from(_OPTIONS), st.sampled_from(_VALUES)),
        # Hypothesis tries texts that stand in the source too, and these two run until a signal.
        texts.filter(lambda text: text not in ("serve", "watch")),
    ),
    max_size=8,
)
_RANGES = (["--day", "2024-03-05"], ["--from", "2024-03-05", "--to", "2024-03-06"], [])
_LONGEST_COMMAND = timedelta(seconds=20)


@contextmanager
def commands_target() -> Iterator[Target]:
    """Command lines, against a provider on this machine."""
    provider = Provider(hourly(calls=1))
    with quick_folder() as folder, LoopbackServer(provider) as server:
        home = folder / "home"
        connection = connection_of(provider, server.url) | {"HOME": str(home), "APPDATA": str(home)}
        runner = CliRunner()
        place = Path.cwd()

        def check(sent: list[str]) -> None:
            work = folder / "work"
            shutil.rmtree(work, ignore_errors=True)
            shutil.rmtree(home, ignore_errors=True)
            work.mkdir()
            home.mkdir()
            # Whoever asks for very many windows gets an error soon.
            asked = 0

            def faults(_: object) -> Fault | None:
                nonlocal asked
                asked += 1
                return Fault.refuse("enough") if asked > 100 else None

            provider.faults = faults
            os.chdir(work)
            # Processor time, as a machine may do something else meanwhile, or stop the whole run.
            began = time.process_time()
            try:
                done = runner.invoke(boxis, sent, prog_name="boxis", env=connection, input="")
            finally:
                os.chdir(place)
            if not isinstance(done.exception, (SystemExit, type(None))):
                raise done.exception
            assert done.exit_code in list(ExitCode), done.exit_code
            assert timedelta(seconds=time.process_time() - began) < _LONGEST_COMMAND
            assert "Traceback" not in done.stderr
            for line in done.stderr.splitlines():
                assert printable(line) == line
            assert "stand-in-key" not in done.stdout + done.stderr
            outside = {path.name for path in folder.iterdir()} - {"home", "work"}
            assert not outside, outside

        inputs = st.builds(
            lambda command, range_, more: [command, *range_, *more],
            st.one_of(st.sampled_from(_COMMANDS), texts),
            st.sampled_from(_RANGES),
            arguments,
        )
        yield Target(inputs, check)


TARGETS: dict[str, Callable[[], AbstractContextManager[Target]]] = {
    "answers": answers_target,
    "coverages": coverages_target,
    "journals": journals_target,
    "commands": commands_target,
}
"""All of them, by name."""
