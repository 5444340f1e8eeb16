"""Records and calls that one has already, into a file that is whole or absent, or an open one."""

from __future__ import annotations

import io
import stat
from typing import TYPE_CHECKING, Any

import pytest
from calls import DAY, NEXT_DAY
from exports import READERS, comparable

from boxis_async import CDR, UsageError
from boxis_async.export import FORMATS, ExportExistsError, Format, export, save
from boxis_async.testing import Provider, generate_calls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from conftest import MakeClient

    from boxis_async import BoxisClient


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def one_by_one(items: list[Any]) -> AsyncIterator[Any]:
    """Give items as a mirror does."""
    for item in items:
        yield item


@pytest.mark.parametrize("form", FORMATS)
async def test_as_a_stream_would_be_exported(
    client: BoxisClient, tmp_path: Path, form: Format
) -> None:
    """The file has what an export of the same records has, whether they come one by one or not."""
    legs = await client.cdrs(DAY, NEXT_DAY).to_list()
    whole = tmp_path / f"whole.{form}"
    await export(client.cdrs(DAY, NEXT_DAY), whole)
    wanted = READERS[form](whole.read_bytes())
    for number, records in enumerate((legs, one_by_one(legs))):
        target = tmp_path / f"{number}.{form}"
        assert await save(records, target) == len(legs)
        assert READERS[form](target.read_bytes()) == wanted == comparable(legs)
        if form in ("csv", "jsonl"):
            assert target.read_bytes() == whole.read_bytes()
    file = io.BytesIO()
    assert await save(one_by_one(legs), file, format=form) == len(legs)
    assert READERS[form](file.getvalue()) == wanted
    assert names_in(tmp_path) == [f"0.{form}", f"1.{form}", whole.name]


async def test_calls(make_client: MakeClient, tmp_path: Path) -> None:
    """A row can be a call."""
    client = make_client(Provider(generate_calls(DAY.date(), NEXT_DAY.date(), calls_per_day=40)))
    await export(
        client.cdrs(DAY, NEXT_DAY, unique_by="leg"), tmp_path / "whole.jsonl", rows="calls"
    )
    calls = await client.calls(DAY, NEXT_DAY)
    assert await save(calls, tmp_path / "calls.jsonl", rows="calls") == len(calls) > 30
    assert (tmp_path / "calls.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@pytest.mark.parametrize("form", FORMATS)
async def test_nothing(tmp_path: Path, form: Format) -> None:
    """Of no record, a file is made too; a reader finds none in it."""
    none: list[CDR] = []
    assert await save(none, tmp_path / f"none.{form}") == 0
    assert READERS[form]((tmp_path / f"none.{form}").read_bytes()) == []


async def test_a_file_that_exists(client: BoxisClient, tmp_path: Path) -> None:
    """It stays as it is, unless it may be replaced; and then only its own readers may read it."""
    legs = await client.cdrs(DAY, NEXT_DAY).to_list()
    target = tmp_path / "calls.csv"
    target.write_text("mine", "utf-8")
    target.chmod(0o640)
    with pytest.raises(ExportExistsError, match=r"calls\.csv exists: .* overwrite=True"):
        await save(legs, target)
    assert target.read_text("utf-8") == "mine"
    await save(legs, target, overwrite=True)
    assert len(target.read_bytes().splitlines()) == len(legs) + 1
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert names_in(tmp_path) == ["calls.csv"]


async def test_an_early_end(client: BoxisClient, tmp_path: Path) -> None:
    """Where the records end early, there is no file, and nothing is left beside it."""
    legs = await client.cdrs(DAY, NEXT_DAY).to_list()

    async def broken() -> AsyncIterator[CDR]:
        for leg in legs * 100:
            yield leg
        raise LookupError("the database went away")

    with pytest.raises(LookupError):
        await save(broken(), tmp_path / "calls.csv")
    assert names_in(tmp_path) == []


async def test_what_cannot_be(tmp_path: Path) -> None:
    """What cannot be written is refused before anything is."""
    none: list[CDR] = []
    with pytest.raises(UsageError, match="needs a format"):
        await save(none, io.BytesIO())
    with pytest.raises(UsageError, match=r"calls\.txt.*csv"):
        await save(none, tmp_path / "calls.txt")
    with pytest.raises(UsageError, match="bom is for CSV"):
        await save(none, tmp_path / "calls.jsonl", bom=True)
    with pytest.raises(OSError, match="absent"):
        await save(none, tmp_path / "absent" / "calls.csv")
    assert names_in(tmp_path) == []
