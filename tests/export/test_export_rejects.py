"""Exports of ranges with records that cannot be read: the file without them, and they beside it."""

from __future__ import annotations

import io
import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from calls import DAY, HOUR, NEXT_DAY, hourly
from clients import ONCE_MORE, connected
from exports import READERS, comparable, each_step, export_range, names, read, work_folder
from faults import failing_at

from boxis_async import Reject, Window, WindowError
from boxis_async.export import (
    FORMATS,
    Exported,
    ExportExistsError,
    Format,
    IncompleteExportError,
    rejects_path,
    unfinished,
    write,
    write_rejects,
)
from boxis_async.testing import Provider

if TYPE_CHECKING:
    from pathlib import Path

BAD, MENDED = {"duration": "12.885"}, {"duration": "12"}
ASKED: dict[str, Any] = {"window": HOUR, "bad_records": "collect"}


@pytest.fixture
def spoiled() -> Provider:
    """Make a provider of a day whose fourth and 21st record cannot be read."""
    provider = Provider(hourly())
    for number in (3, 20):
        provider.change(BAD, uniqueid=name_of(provider, number))
    return provider


def name_of(provider: Provider, number: int) -> str:
    return str(provider.select()[number]["uniqueid"])


async def finish(provider: Provider, target: Path, **arguments: Any) -> Exported:  # noqa: ANN401
    """Export the day, by a client of its own."""
    async with connected(provider, retry=ONCE_MORE) as client:
        return await export_range(client, target, DAY, NEXT_DAY, **ASKED | arguments)


async def readable(provider: Provider) -> list[Any]:
    """Give the records that can be read."""
    async with connected(provider, retry=ONCE_MORE) as client:
        stream = client.cdrs(DAY, NEXT_DAY, **ASKED)
        found = await stream.to_list()
        assert stream.rejects or len(found) == 24
        return found


def listed(target: Path) -> list[str]:
    """Name the records that stand beside a file."""
    lines = rejects_path(target).read_text("ascii").splitlines()
    return [json.loads(line)["row"]["uniqueid"] for line in lines]


@pytest.mark.parametrize("form", FORMATS)
async def test_the_file_and_the_rejects(spoiled: Provider, tmp_path: Path, form: Format) -> None:
    """The file has every record that can be read, and the file beside it the others, as sent."""
    target = tmp_path / f"calls.{form}"
    exported = await finish(spoiled, target)
    assert read(target) == comparable(await readable(spoiled))
    assert names(tmp_path) == {target.name, f"{target.name}.rejects.jsonl"}
    assert exported.records == 22
    assert exported.rejects == exported.stats.rejects == 2
    assert exported.rejects_path == rejects_path(target) == tmp_path / f"calls.{form}.rejects.jsonl"
    first, second = map(json.loads, exported.rejects_path.read_text("ascii").splitlines())
    assert first == {
        "window": ["2024-03-05 02:59:59", "2024-03-05 04:00:00"],
        "position": "call_1",
        "field": "duration",
        "value": "12.885",
        "reason": "not a whole number",
        "row": spoiled.select()[3],
    }
    assert second["row"] == spoiled.select()[20]


async def test_without_rejects_there_is_no_such_file(tmp_path: Path) -> None:
    """Where all could be read, there is one file."""
    exported = await finish(Provider(hourly()), tmp_path / "calls.csv")
    assert (exported.rejects, exported.rejects_path) == (0, None)
    assert names(tmp_path) == {"calls.csv"}


async def test_by_default_the_file_stays_absent(spoiled: Provider, tmp_path: Path) -> None:
    """Without `bad_records="collect"` the export ends at the record, and can be resumed with it."""
    target = tmp_path / "calls.csv"
    with pytest.raises(WindowError, match="not a whole number"):
        await finish(spoiled, target, bad_records="raise")
    assert not target.exists()
    assert not rejects_path(target).exists()
    exported = await finish(spoiled, target, resume=True)
    assert exported.resumed
    assert (exported.records, exported.rejects) == (22, 2)
    assert read(target) == comparable(await readable(spoiled))


@pytest.mark.slow
@pytest.mark.usefixtures("_often")
@pytest.mark.parametrize("replaces", [False, True])
async def test_killed_at_each_step(spoiled: Provider, tmp_path: Path, *, replaces: bool) -> None:
    """Killed before any step on the disk, it comes to the same two files.

    The rejects are there whenever the file is. A file that is being replaced may have had others.
    """
    folder = tmp_path / "there"
    folder.mkdir()
    target = folder / "calls.jsonl"
    if replaces:
        await finish(Provider(hourly()), target)
        rejects_path(target).write_text("old\n")
    with each_step(folder) as steps:
        await finish(spoiled, target, overwrite=replaces, window=3 * HOUR)
    expected, beside = read(target), rejects_path(target).read_bytes()
    finished = 0
    for copy in steps.copies:
        copied = copy / target.name
        if copied.exists() and read(copied) == expected:
            assert rejects_path(copied).read_bytes() == beside
            finished += 1
        if not (work_folder(copied) / "journal.json").exists():
            continue
        exported = await finish(spoiled, copied, resume=True, overwrite=replaces, window=3 * HOUR)
        assert read(copied) == expected
        assert rejects_path(copied).read_bytes() == beside
        assert names(copy) == {copied.name, rejects_path(copied).name}
        assert (exported.rejects, exported.rejects_path) == (2, rejects_path(copied))
    assert finished > 1
    assert len(steps.copies) > 15


async def test_resumed_it_asks_again(spoiled: Provider, tmp_path: Path) -> None:
    """What could not be read is fetched again by a resumed export, and once mended it is there."""
    target = tmp_path / "calls.jsonl"
    spoiled.faults = failing_at(10)
    with pytest.raises(IncompleteExportError) as caught:
        await finish(spoiled, target, on_error="collect")
    assert [reject.field for reject in caught.value.rejects] == ["duration", "duration"]
    assert "2 of the records could not be read" in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).rejects == caught.value.rejects
    assert not target.exists()
    left = unfinished(target)
    assert left is not None
    assert left.records == 21
    assert left.percent == 87
    spoiled.faults = []
    spoiled.change(MENDED, uniqueid=name_of(spoiled, 3))
    exported = await finish(spoiled, target, resume=True)
    assert (exported.records, exported.rejects, exported.conflicts) == (23, 1, 0)
    assert exported.stats.requests == 3
    assert sorted(read(target)) == sorted(comparable(await readable(spoiled)))
    assert listed(target) == [name_of(spoiled, 20)]


async def test_what_is_there_already(spoiled: Provider, tmp_path: Path) -> None:
    """Rejects of an earlier export are replaced, or removed, only where that is allowed."""
    target = tmp_path / "calls.csv"
    await finish(spoiled, target)
    target.rename(tmp_path / "elsewhere.csv")
    spoiled.reset()
    with pytest.raises(ExportExistsError, match=r"calls.csv.rejects.jsonl exists.*overwrite"):
        await finish(spoiled, target)
    assert not spoiled.requests
    assert len(listed(target)) == 2
    spoiled.change(MENDED, uniqueid=name_of(spoiled, 3))
    await finish(spoiled, target, overwrite=True)
    assert listed(target) == [name_of(spoiled, 20)]
    spoiled.change(MENDED, uniqueid=name_of(spoiled, 20))
    exported = await finish(spoiled, target, overwrite=True, bad_records="raise")
    assert (exported.records, exported.rejects) == (24, 0)
    assert names(tmp_path) == {"calls.csv", "elsewhere.csv"}


@pytest.mark.parametrize("form", FORMATS)
async def test_to_an_open_file(
    spoiled: Provider, form: Format, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that the caller opened has what can be read, and the stream has the rest."""
    file = io.BytesIO()
    async with connected(spoiled, retry=ONCE_MORE) as client:
        stream = client.cdrs(DAY, NEXT_DAY, **ASKED)
        written = await write(stream, file, form)
    assert READERS[form](file.getvalue()) == comparable(await readable(spoiled))
    assert (written.records, written.rejects, written.rejects_path) == (22, 2, None)
    assert len(stream.rejects) == 2
    assert not caplog.records


def test_strangers_texts_are_harmless(tmp_path: Path) -> None:
    """Whatever is in a record, the file shows nothing that a terminal would obey."""
    row = {"clid": '"\x1b[31m\u202e\x9b2J\ud800\n" <1>', "start": "é"}
    reject = Reject(
        window=Window(None, None), position="\x1b", field="start", value="é", reason="odd", row=row
    )
    path = tmp_path / "rejects.jsonl"
    write_rejects([reject, reject], path)
    text = path.read_bytes().decode("ascii")
    assert text.count("\n") == 2
    assert text.replace("\n", "").isprintable()
    assert json.loads(text.splitlines()[0])["row"] == row
    assert json.loads(text.splitlines()[1])["window"] is None
