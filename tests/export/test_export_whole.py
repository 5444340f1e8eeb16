"""A file is whole or absent, nobody's file is lost, and two never write one."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from calls import DAY, HOUR, NEXT_DAY, SECOND, call, hourly, ids
from exports import comparable, each_step, export_range, names, read, work_folder
from keys import by_src
from paths import ROOT
from waiting import Gate, settled

from boxis_async import BoxisError, UsageError, WindowError
from boxis_async.export import (
    FORMATS,
    ExportBusyError,
    ExportExistsError,
    Format,
    IncompleteExportError,
    export,
    unfinished,
)
from boxis_async.testing import Fault, LoopbackServer, Provider

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from conftest import MakeClient

    from boxis_async import BoxisClient, Stats
    from boxis_async.testing import Received


def refusing(start: datetime) -> Any:  # noqa: ANN401 - a plan of faults
    """Refuse the window that follows the one that ends then."""
    return lambda got: Fault.refuse("no") if got.datefrom == f"{start - SECOND}" else None


async def leave_unfinished(
    provider: Provider,
    client: BoxisClient,
    target: Path,
    **more: Any,  # noqa: ANN401
) -> None:
    """Export ten hours of the day, and fail."""
    provider.faults = refusing(DAY + 10 * HOUR)
    with pytest.raises(WindowError):
        await export_range(client, target, DAY, NEXT_DAY, window=HOUR, **more)
    provider.faults = []
    provider.reset()


# Whole or absent


@pytest.mark.parametrize("form", FORMATS)
async def test_at_no_moment_half(make_client: MakeClient, tmp_path: Path, form: Format) -> None:
    """Before each step on the disk the file is absent or whole, and in the end stands alone."""
    client = make_client(Provider(hourly()))
    folder = tmp_path / "there"
    folder.mkdir()
    with each_step(folder) as steps:
        await export(client.cdrs(DAY, NEXT_DAY, window=6 * HOUR), folder / f"calls.{form}")
    expected = comparable(await client.cdrs(DAY, NEXT_DAY).to_list())
    assert names(folder) == {f"calls.{form}"}
    found = [read(copy / f"calls.{form}") for copy in steps.copies if is_there(copy, form)]
    assert len(steps.copies) > 10
    assert 0 < len(found) < 10
    assert all(rows == expected for rows in found)


def is_there(copy: Path, form: Format) -> bool:
    return (copy / f"calls.{form}").exists()


@pytest.mark.parametrize("form", FORMATS)
async def test_a_file_is_replaced_at_once(
    make_client: MakeClient, tmp_path: Path, form: Format
) -> None:
    """A file that may be replaced stays as it was until it is replaced by a whole one."""
    client = make_client(Provider(hourly()))
    folder = tmp_path / "there"
    folder.mkdir()
    target = folder / f"calls.{form}"
    target.write_text("old")
    with each_step(folder) as steps:
        exported = await export(client.cdrs(DAY, NEXT_DAY), target, overwrite=True)
    old = [copy for copy in steps.copies if (copy / target.name).read_bytes() == b"old"]
    new = [copy for copy in steps.copies if copy not in old]
    assert old
    assert new
    expected = comparable(await client.cdrs(DAY, NEXT_DAY).to_list())
    for place in (*new, folder):
        assert read(place / target.name) == expected
    assert names(folder) == {target.name}
    assert exported.records == 24


async def test_everything_at_once(make_client: MakeClient, tmp_path: Path) -> None:
    """Without dates all calls are exported, in one request; what failed starts over."""
    provider = Provider(hourly())
    client = make_client(provider)
    target = tmp_path / "calls.jsonl"
    provider.faults = lambda _: Fault.refuse("no")
    with pytest.raises(WindowError):
        await export(client.cdrs(), target)
    # Nothing is kept, so there is nothing to resume.
    assert unfinished(target) is None
    assert names(tmp_path) == set()
    provider.faults = []
    exported = await export(client.cdrs(), target)
    assert not exported.resumed
    assert len(read(target)) == 24
    assert names(tmp_path) == {"calls.jsonl"}


async def test_a_refusal_keeps_what_is_unfinished(make_client: MakeClient, tmp_path: Path) -> None:
    """What an export that was not let begin found there stays as it was."""
    provider = Provider(hourly(), faults=lambda request: failing_from(request, 12))
    client = make_client(provider)
    target = tmp_path / "calls.csv"
    with pytest.raises(WindowError):
        await export(client.cdrs(DAY, NEXT_DAY, window=HOUR), target)
    before = unfinished(target)
    assert before is not None
    assert before.records == 12
    with pytest.raises(ExportExistsError):
        await export(client.cdrs(DAY, NEXT_DAY), target)
    with pytest.raises(UsageError, match="has another query"):
        await export(client.cdrs(DAY, NEXT_DAY, unique_by="leg"), target, resume=True)
    assert unfinished(target) == before
    provider.faults = []
    assert (await export(client.cdrs(DAY, NEXT_DAY), target, resume=True)).records == 24


def failing_from(request: Received, hour: int) -> Fault | None:
    return Fault.refuse("no") if str(request.datefrom) >= f"{DAY + hour * HOUR - SECOND}" else None


async def test_an_empty_range(client: BoxisClient, tmp_path: Path) -> None:
    """A range without a call gives a file without a record."""
    for form in FORMATS:
        target = tmp_path / f"calls.{form}"
        exported = await export(client.cdrs(NEXT_DAY, NEXT_DAY + HOUR), target)
        assert exported.records == len(read(target)) == 0


# What stands there


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("is_begun", [False, True])
@pytest.mark.parametrize("is_there", [False, True])
async def test_what_stands_there(  # noqa: PLR0913 - a matrix
    provider: Provider,
    client: BoxisClient,
    tmp_path: Path,
    *,
    is_there: bool,
    is_begun: bool,
    resume: bool,
    overwrite: bool,
) -> None:
    """Neither a file nor an unfinished export is touched unless something says so."""
    target = tmp_path / "calls.jsonl"
    if is_begun:
        await leave_unfinished(provider, client, target)
    if is_there:
        target.write_text("theirs")
    before = names(tmp_path)

    async def run() -> Any:  # noqa: ANN401
        return await export(
            client.cdrs(DAY, NEXT_DAY, window=HOUR), target, resume=resume, overwrite=overwrite
        )

    if (is_begun and not resume and not overwrite) or (is_there and not overwrite):
        with pytest.raises(ExportExistsError, match="overwrite"):
            await run()
        assert names(tmp_path) == before
        assert not is_there or target.read_bytes() == b"theirs"
        assert provider.requests == []
        return
    exported = await run()
    assert read(target) == comparable(await client.cdrs(DAY, NEXT_DAY).to_list())
    assert exported.resumed == (is_begun and resume)
    assert exported.stats.requests == (14 if exported.resumed else 24)
    assert exported.records == 24
    assert names(tmp_path) == {"calls.jsonl"}


async def test_a_file_appears_meanwhile(client: BoxisClient, tmp_path: Path) -> None:
    """A file that appears while another one is being exported to its place is not replaced."""
    target = tmp_path / "calls.csv"

    def appear(stats: Stats) -> None:
        if stats.windows == 20:
            target.write_text("theirs")

    for resume in (False, True):
        with pytest.raises(ExportExistsError, match=r"appeared.*overwrite"):
            await export(
                client.cdrs(DAY, NEXT_DAY, window=HOUR), target, progress=appear, resume=resume
            )
        assert target.read_bytes() == b"theirs"
    begun = unfinished(target)
    assert begun is not None
    assert (begun.records, begun.covered) == (24, 1.0)
    exported = await export(client.cdrs(DAY, NEXT_DAY), target, resume=True, overwrite=True)
    assert exported.stats.requests == 0
    assert len(read(target)) == exported.records == 24
    assert names(tmp_path) == {"calls.csv"}


async def test_may_be_replaced_is_remembered(
    provider: Provider, client: BoxisClient, tmp_path: Path
) -> None:
    """What began with permission to replace a file has it when it is resumed."""
    target = tmp_path / "calls.csv"
    target.write_text("old")
    await leave_unfinished(provider, client, target, overwrite=True)
    assert target.read_bytes() == b"old"
    await export(client.cdrs(DAY, NEXT_DAY, window=HOUR), target, resume=True)
    assert len(read(target)) == 24


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"unique_by": "leg"}, "unique_by"),
        ({"unique_by": by_src}, "unique_by"),
        ({"clip": "start"}, "clip"),
        ({"tenant": "VOICE-1-1"}, "tenant"),
        ({"formula_safe": True}, "formula_safe"),
        ({"format": "jsonl"}, "format"),
        ({"datefrom": DAY - HOUR}, "datefrom"),
        ({"dateto": NEXT_DAY + HOUR}, "dateto"),
        ({"datefrom": None, "dateto": None}, "datefrom"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
async def test_another_export_is_not_resumed(
    provider: Provider, client: BoxisClient, tmp_path: Path, more: dict[str, Any], word: str
) -> None:
    """Another query is refused, with the difference in the message, and nothing is touched."""
    target = tmp_path / "calls.csv"
    await leave_unfinished(provider, client, target)
    before = names(tmp_path)
    arguments = {"datefrom": DAY, "dateto": NEXT_DAY, "window": HOUR} | more
    with pytest.raises(UsageError, match=rf"another query: {word} was .*start over"):
        await export_range(client, target, resume=True, **arguments)
    assert provider.requests == []
    assert names(tmp_path) == before
    exported = await export(client.cdrs(DAY, NEXT_DAY, window=HOUR), target, resume=True)
    assert exported.records == 24


@pytest.mark.parametrize("more", [{"tenant": "VOICE-2-2"}, {"timezone": "Europe/London"}], ids=str)
@pytest.mark.parametrize("failing", [10, None], ids=["fetching", "fetched"])
async def test_another_client_does_not_resume(
    provider: Provider,
    make_client: MakeClient,
    tmp_path: Path,
    more: dict[str, Any],
    failing: int | None,
) -> None:
    """A client of another tenant or zone does not take over, even where nothing is to fetch."""
    client = make_client(provider)
    target = tmp_path / "calls.csv"
    if failing is None:

        def appear(_: Stats) -> None:
            target.write_text("theirs")

        with pytest.raises(ExportExistsError):
            await export(client.cdrs(DAY, NEXT_DAY), target, progress=appear)
        target.unlink()
    else:
        await leave_unfinished(provider, client, target)
    provider.add(tenant="VOICE-2-2")
    with pytest.raises(UsageError, match="tenant"):
        await export(make_client(provider, **more).cdrs(DAY, NEXT_DAY), target, resume=True)
    await export(client.cdrs(DAY, NEXT_DAY), target, resume=True)
    assert len(read(target)) == 24


async def test_another_function_of_the_same_name(
    provider: Provider, client: BoxisClient, tmp_path: Path
) -> None:
    """Of two functions of one name, the other does not resume."""
    target = tmp_path / "calls.csv"
    await leave_unfinished(provider, client, target, unique_by=lambda cdr: cdr.uniqueid)
    with pytest.raises(UsageError, match="unique_by"):
        await export(
            client.cdrs(DAY, NEXT_DAY, unique_by=lambda cdr: cdr.linkedid), target, resume=True
        )


async def test_foreign_files_stay(provider: Provider, client: BoxisClient, tmp_path: Path) -> None:
    """What somebody else put into the folder of the work in progress is still there after it."""
    target = tmp_path / "calls.csv"
    await leave_unfinished(provider, client, target)
    folder = work_folder(target)
    (folder / "notes.txt").write_text("mine")
    (folder / "more").mkdir()
    (folder / "more" / "journal.json").write_text("mine too")
    await export(client.cdrs(DAY, NEXT_DAY, window=HOUR), target, resume=True)
    assert names(folder) == {"notes.txt", "more", "more/journal.json"}
    assert (folder / "more" / "journal.json").read_bytes() == b"mine too"
    await export(client.cdrs(DAY, NEXT_DAY), target, overwrite=True)
    assert names(folder) == {"notes.txt", "more", "more/journal.json"}


async def test_a_file_where_the_work_is_to_stand(client: BoxisClient, tmp_path: Path) -> None:
    """A file in the place of the folder is an error, and stays."""
    target = tmp_path / "calls.csv"
    work_folder(target).write_text("mine")
    for resume in (False, True):
        with pytest.raises(UsageError, match=r"calls\.csv\.unfinished .* move it away"):
            await export(client.cdrs(DAY, NEXT_DAY), target, resume=resume, overwrite=True)
    assert unfinished(target) is None
    assert work_folder(target).read_bytes() == b"mine"


# Places


async def test_a_link(client: BoxisClient, tmp_path: Path) -> None:
    """A link is followed: what it leads to is replaced, and it stays a link."""
    (tmp_path / "there").mkdir()
    real = tmp_path / "there" / "real.csv"
    link = tmp_path / "link.csv"
    link.symlink_to(real)
    await export(client.cdrs(DAY, NEXT_DAY), link)
    assert link.is_symlink()
    assert len(read(real)) == 24
    with pytest.raises(ExportExistsError):
        await export(client.cdrs(DAY, NEXT_DAY), link)
    await export(client.cdrs(DAY, NEXT_DAY), link, overwrite=True)
    assert names(tmp_path) == {"link.csv", "there", "there/real.csv"}


@pytest.mark.parametrize("place", ["folder.csv", "missing/calls.csv", "/", "pipe.csv", "ring.csv"])
async def test_no_place_for_a_file(
    provider: Provider, client: BoxisClient, tmp_path: Path, place: str
) -> None:
    """A folder, a pipe, a missing folder and a link in a circle are refused before a request."""
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    if sys.version_info < (3, 13):
        (tmp_path / "ring.csv").symlink_to(tmp_path / "ring.csv")
    else:
        (tmp_path / "ring.csv").mkdir()
    before = names(tmp_path)
    with pytest.raises(UsageError, match=r"folder|file|link"):
        await export(client.cdrs(DAY, NEXT_DAY), tmp_path / place, format="csv", overwrite=True)
    assert names(tmp_path) == before
    assert provider.requests == []


@pytest.mark.parametrize("name", ["a b%20c'\"[x]*?.csv", "ünïcödé 😀.csv", "-.csv", "a\nb.csv"])
async def test_any_name(client: BoxisClient, tmp_path: Path, name: str) -> None:
    """A file may have any name that the system takes."""
    await export(client.cdrs(DAY, NEXT_DAY), f"{tmp_path}/{name}")
    assert names(tmp_path) == {name}
    assert len(read(tmp_path / name)) == 24


async def test_a_name_without_a_folder(
    client: BoxisClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name alone is of the folder that the program is in."""
    monkeypatch.chdir(tmp_path)
    await export(client.cdrs(DAY, NEXT_DAY), "calls.csv")
    assert names(tmp_path) == {"calls.csv"}


# Wrong arguments


@pytest.mark.parametrize(
    "arguments",
    [
        {"datefrom": NEXT_DAY, "dateto": DAY},
        {"datefrom": None},
        {"unique_by": "row"},
        {"window": timedelta(0)},
        {"settle": 5},
        {"clip": "end"},
        {"on_error": "ignore"},
        {"tenant": ""},
    ],
    ids=str,
)
async def test_wrong_arguments(
    provider: Provider, client: BoxisClient, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    """What the stream refuses is refused before anything is touched."""
    with pytest.raises(UsageError):
        await export_range(
            client, tmp_path / "calls.csv", **{"datefrom": DAY, "dateto": NEXT_DAY} | arguments
        )
    assert names(tmp_path) == set()
    assert provider.requests == []


# The stream


async def test_a_stream_stays_as_it_is(client: BoxisClient, tmp_path: Path) -> None:
    """An export does not begin the stream: it can be exported again, and iterated after that."""
    calls = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    for name in ("a.csv", "b.jsonl"):
        exported = await export(calls, tmp_path / name)
        assert (exported.records, exported.stats.requests) == (24, 24)
        assert not calls.is_begun
        assert calls.stats.records == 0
    rows = comparable(await calls.to_list())
    assert read(tmp_path / "a.csv") == read(tmp_path / "b.jsonl") == rows
    assert calls.is_begun


async def test_the_order_is_the_streams(client: BoxisClient, tmp_path: Path) -> None:
    """A stream in the order of completion is written in that order, each record once."""
    target = tmp_path / "calls.csv"
    await export(client.cdrs(DAY, NEXT_DAY, window=HOUR, order="completion"), target)
    assert sorted(read(target), key=str) == sorted(
        comparable(await client.cdrs(DAY, NEXT_DAY).to_list()), key=str
    )


async def test_a_stream_that_was_begun(
    provider: Provider, client: BoxisClient, tmp_path: Path
) -> None:
    """A stream that was begun, live or at its end, is refused, and another one works."""
    calls = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    await anext(calls)
    await calls.aclose()
    requests = len(provider.requests)
    for begun in (calls, aiter(calls)):
        with pytest.raises(UsageError, match=r"was begun.*stream\.again\(\).*write\(\)"):
            await export(begun, tmp_path / "calls.csv")  # type: ignore[arg-type]
    assert names(tmp_path) == set()
    assert len(provider.requests) == requests
    assert (await export(calls.again(), tmp_path / "calls.csv")).records == 24


async def test_a_stream_that_resumes_a_coverage(
    provider: Provider, client: BoxisClient, tmp_path: Path
) -> None:
    """A stream that would leave out what a coverage holds is refused: a file would have a gap."""
    calls = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    await calls.to_list()
    provider.reset()
    rest = client.cdrs(DAY, NEXT_DAY, window=HOUR, resume=calls.coverage)
    with pytest.raises(UsageError, match=r"resumes a coverage.*without resume=.*write\(\)"):
        await export(rest, tmp_path / "calls.csv")
    assert names(tmp_path) == set()
    assert provider.requests == []


async def test_what_is_no_stream(client: BoxisClient, tmp_path: Path) -> None:
    """A client in the place of the stream is refused, and the message shows the call."""
    with pytest.raises(UsageError, match=r"not BoxisClient: export\(client\.cdrs\("):
        await export(client, tmp_path / "calls.csv")  # type: ignore[arg-type]
    assert names(tmp_path) == set()


# Two at once


async def test_two_at_once(make_client: MakeClient, tmp_path: Path) -> None:
    """The second export to a file is refused while the first is at work, which is unharmed."""
    gate = Gate()
    provider = Provider(hourly(), gate=gate)
    client = make_client(provider)
    target = tmp_path / "calls.csv"
    first = asyncio.ensure_future(export(client.cdrs(DAY, NEXT_DAY, window=HOUR), target))
    await settled(lambda: gate.held > 0)
    for more in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(ExportBusyError, match="at work"):
            await export_range(client, target, DAY, NEXT_DAY, window=HOUR, **more)
    gate.open()
    assert (await first).records == 24
    assert len(read(target)) == 24
    assert names(tmp_path) == {"calls.csv"}


BESIDE = """
import asyncio, sys
from boxis_async import BoxisClient
from boxis_async.export import ExportBusyError, export
from datetime import datetime

async def main():
    async with BoxisClient() as client:
        try:
            calls = client.cdrs(datetime(2024, 3, 5), datetime(2024, 3, 6))
            await export(calls, sys.argv[1], resume=True)
        except ExportBusyError as error:
            print("busy:", error)

asyncio.run(main())
"""


@pytest.mark.subprocess
async def test_two_processes_at_once(
    server: LoopbackServer, make_client: MakeClient, tmp_path: Path
) -> None:
    """Another process is refused too."""
    gate = Gate()
    provider = Provider(hourly(), gate=gate)
    client = make_client(provider)
    target = tmp_path / "calls.csv"
    first = asyncio.ensure_future(export(client.cdrs(DAY, NEXT_DAY, window=HOUR), target))
    await settled(lambda: gate.held > 0)
    other = Provider(hourly())
    job = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        BESIDE,
        str(target),
        env=os.environ | environment(server.mount(other)),
        stdout=subprocess.PIPE,
    )
    output, _ = await job.communicate()
    assert output.decode().startswith("busy: another export is at work in")
    assert other.requests == []
    server.unmount(other)
    gate.open()
    assert (await first).records == 24


def environment(url: str) -> dict[str, str]:
    return {
        "BOXIS_USERNAME": "ops@example.com",
        "BOXIS_API_KEY": "stand-in-key",
        "BOXIS_TENANT": "VOICE-29001-1",
        "BOXIS_BASE_URL": url,
        "PYTHONPATH": str(ROOT),
    }


async def test_two_files_at_once(client: BoxisClient, tmp_path: Path) -> None:
    """Exports to several files of one client do not get into each other's way."""
    targets = [tmp_path / f"{number}.{form}" for number in range(3) for form in FORMATS]
    await asyncio.gather(*(export(client.cdrs(DAY, NEXT_DAY), target) for target in targets))
    assert names(tmp_path) == {target.name for target in targets}
    assert {len(read(target)) for target in targets} == {24}


# Failures


async def test_windows_that_failed(
    provider: Provider, client: BoxisClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With failures collected the file is absent, and they are listed; resumed, it is whole."""
    target = tmp_path / "calls.csv"
    failing = {f"{DAY + hour * HOUR - SECOND}" for hour in (3, 4, 20)}
    provider.faults = lambda got: Fault.refuse("no") if got.datefrom in failing else None
    with pytest.raises(IncompleteExportError, match="3 of the range's windows") as caught:
        await export(client.cdrs(DAY, NEXT_DAY, window=HOUR, on_error="collect"), target)
    assert {f"{error.window.start}" for error in caught.value.failures if error.window} == failing
    assert names(tmp_path) == {
        "calls.csv.unfinished",
        *(f"calls.csv.unfinished/{name}" for name in ("journal.json", "keys", "lines")),
    }
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    provider.faults = []
    provider.reset()
    exported = await export(client.cdrs(DAY, NEXT_DAY, window=HOUR), target, resume=True)
    assert len(provider.requests) == 3
    assert exported.records == 24
    expected = comparable(await client.cdrs(DAY, NEXT_DAY).to_list())
    late = [row for row in expected if row[1] in {since(error) for error in (3, 4, 20)}]
    assert read(target) == [row for row in expected if row not in late] + late


def since(hour: int) -> timedelta:
    return DAY + hour * HOUR + HOUR / 2 - HOUR - DAY.replace(year=1970, month=1, day=1)


def test_an_incomplete_export_pickles() -> None:
    """The error goes to another process with its failures."""
    failure = WindowError("window failed", tenant="VOICE-29001-1", attempts=3)
    error = IncompleteExportError("1 window", failures=[failure])
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(error, protocol))
        assert isinstance(again, IncompleteExportError)
        assert str(again) == "1 window"
        assert [(f.tenant, f.attempts) for f in again.failures] == [("VOICE-29001-1", 3)]
    assert issubclass(IncompleteExportError, BoxisError)


async def test_no_secret_on_the_disk(make_client: MakeClient, tmp_path: Path) -> None:
    """Neither the key nor an authcode is in any file, at any moment."""
    provider = Provider(hourly(), api_key="a-very-secret-key")
    client = make_client(provider)
    folder = tmp_path / "there"
    folder.mkdir()
    provider.faults = refusing(DAY + 10 * HOUR)
    with each_step(folder) as steps:
        with pytest.raises(WindowError):
            await export(client.cdrs(DAY, NEXT_DAY, window=HOUR), folder / "calls.csv")
        provider.faults = []
        await export(client.cdrs(DAY, NEXT_DAY, window=HOUR), folder / "calls.csv", resume=True)
    texts = [contents(path) for copy in (*steps.copies, folder) for path in copy.rglob("*")]
    assert len(texts) > 20
    for text in texts:
        assert b"secret" not in text
        assert b"authcode" not in text


def contents(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


async def test_an_unfinished_export_is_reported(
    provider: Provider, client: BoxisClient, tmp_path: Path
) -> None:
    """An unfinished export reports its query, and how far it is."""
    target = tmp_path / "calls.csv"
    assert unfinished(target) is None
    await leave_unfinished(provider, client, target, clip="start", tenant="VOICE-29001-1")
    begun = unfinished(f"{target}")
    assert begun is not None
    assert (begun.datefrom, begun.dateto) == (DAY, NEXT_DAY)
    assert (begun.tenant, begun.format, begun.formula_safe) == ("VOICE-29001-1", "csv", False)
    assert (begun.unique_by, begun.clip, begun.records) == ("uniqueid", "start", 10)
    assert begun.covered == pytest.approx(10 / 24)
    await export(client.cdrs(DAY, NEXT_DAY, clip="start", tenant=begun.tenant), target, resume=True)
    assert unfinished(target) is None


async def test_progress(client: BoxisClient, tmp_path: Path) -> None:
    """The progress is reported after each batch, with what is written by then."""
    seen: list[Stats] = []
    await export(client.cdrs(DAY, NEXT_DAY, window=HOUR), tmp_path / "a.csv", progress=seen.append)
    assert [stats.records for stats in seen] == list(range(1, 25))


# Without pyarrow

WITHOUT = """
import asyncio, io, sys
sys.modules["pyarrow"] = None
from datetime import datetime
from boxis_async import BoxisClient, MissingExtraError
from boxis_async.export import export, to_arrow, write

DAYS = datetime(2024, 3, 5), datetime(2024, 3, 6)

async def main():
    async with BoxisClient() as client:
        for run in (
            lambda: export(client.cdrs(*DAYS), sys.argv[1] + "/calls.parquet"),
            lambda: write(client.cdrs(*DAYS), io.BytesIO(), "parquet"),
        ):
            try:
                await run()
            except MissingExtraError as error:
                print(error)
        try:
            to_arrow([])
        except MissingExtraError as error:
            print(error)
        for name in ("calls.csv", "calls.jsonl"):
            print((await export(client.cdrs(*DAYS), f"{sys.argv[1]}/{name}")).records)

asyncio.run(main())
"""


@pytest.mark.subprocess
def test_without_pyarrow(server: LoopbackServer, tmp_path: Path) -> None:
    """Without pyarrow the extra is named before a request, and the other formats work."""
    provider = Provider(hourly())
    url = server.mount(provider)
    job = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT, str(tmp_path)],
        env=os.environ | environment(url),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    server.unmount(provider)
    output = job.stdout.splitlines()
    assert job.stderr == ""
    assert [line.endswith('pip install "boxis-async[parquet]"') for line in output[:3]] == [
        True
    ] * 3
    assert output[3:] == ["24", "24"]
    assert names(tmp_path) == {"calls.csv", "calls.jsonl"}
    assert len(provider.requests) == 2


async def test_the_journal_is_for_reading(
    provider: Provider, client: BoxisClient, tmp_path: Path
) -> None:
    """The journal is JSON, for whoever looks into the folder."""
    target = tmp_path / "calls.csv"
    await leave_unfinished(provider, client, target)
    journal = json.loads((work_folder(target) / "journal.json").read_bytes())
    assert journal["version"] == 1
    assert journal["asked"]["records"] == 10


async def test_conflicts_are_counted(make_client: MakeClient, tmp_path: Path) -> None:
    """Records that were left out and are no copies are counted."""
    sent = [call(f"{DAY + at * HOUR}", uniqueid="one", sequence=f"{at}") for at in range(5)]
    client = make_client(Provider(sent))
    for rule, records in (("uniqueid", 1), ("leg", 5)):
        target = tmp_path / f"{rule}.csv"
        exported = await export(client.cdrs(DAY, NEXT_DAY, unique_by=rule), target)  # type: ignore[arg-type]
        assert (exported.records, exported.conflicts) == (records, 5 - records)
    assert ids(await client.cdrs(DAY, NEXT_DAY).to_list()) == ["one"]
