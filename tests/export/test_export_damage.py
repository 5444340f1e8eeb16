"""Whatever became of the work in progress, no wrong file comes of it."""

from __future__ import annotations

import json
import random
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from calls import DAY, HOUR, NEXT_DAY, SECOND, hourly
from cases import spread
from clients import ONCE_MORE, connected
from exports import comparable, edit_journal, export_range, names, quick_folder, read, work_folder

from boxis_async import UsageError, WindowError
from boxis_async.export import FORMATS, ExportExistsError, Format, unfinished
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from exports import Comparable

    from boxis_async import BoxisClient, Stats

ASKED: dict[str, Any] = {"window": 4 * HOUR}


async def leave(client: BoxisClient, provider: Provider, target: Path, *hours: int) -> None:
    """Leave an export unfinished, after several runs that ended at these hours."""
    for hour in hours:
        provider.faults = lambda got, hour=hour: (  # type: ignore[misc]
            Fault.refuse("no") if (got.datefrom or "") >= f"{DAY + hour * HOUR - SECOND}" else None
        )
        with pytest.raises(WindowError):
            await export_range(client, target, DAY, NEXT_DAY, resume=True, **ASKED)
    provider.faults = []


async def leave_whole(client: BoxisClient, target: Path) -> None:
    """Leave an export that is whole but for the last step."""

    def appear(stats: Stats) -> None:
        if stats.windows == 5:
            target.write_text("theirs")

    with pytest.raises(ExportExistsError):
        await export_range(client, target, DAY, NEXT_DAY, progress=appear, **ASKED)
    shutil.move(target, work_folder(target) / "theirs")


def damages(size: int, turns: random.Random) -> Iterator[Callable[[bytes], bytes]]:
    """Give ways to damage a file of a size: at each byte of a small one, at some of a large."""
    for at in {*spread(range(size), 25), 1}:
        yield lambda data, at=at: data[:at]  # type: ignore[misc]
        yield (
            lambda data, at=at: (  # type: ignore[misc]
                data[:at] + bytes([data[at] ^ (1 << turns.randrange(8))]) + data[at + 1 :]
            )
        )
    yield lambda data: turns.randbytes(len(data))
    yield lambda data: data + turns.randbytes(10)
    yield lambda data: bytes(len(data))
    yield lambda data: data + data
    yield lambda _: b""


@pytest.mark.slow
@pytest.mark.parametrize("state", ["fetching", "whole"])
@pytest.mark.parametrize("form", FORMATS)
async def test_damaged_anywhere(form: Format, state: str) -> None:
    """Cut, changed, emptied or gone, whichever file: exact, or an error that says what to do."""
    provider = Provider(hourly(calls=2))
    turns = random.Random(1)
    exact = refused = 0
    needed = {"journal.json", "lines", "whole.parquet"}
    with quick_folder() as folder:
        async with connected(provider, retry=ONCE_MORE) as client:
            target = folder / f"calls.{form}"
            if state == "whole":
                await leave_whole(client, target)
            else:
                await leave(client, provider, target, 8, 16)
            expected = comparable(await client.cdrs(DAY, NEXT_DAY).to_list())
            good = folder / "good"
            work_folder(target).rename(good)
            for name in sorted(names(good) - {"theirs"}):
                data = (good / name).read_bytes()
                # Once the file is whole, nobody needs what it was made of.
                is_needed = state == "fetching" or name in needed
                for number, damage in enumerate(damages(len(data), turns)):
                    if number == 4 and not is_needed:
                        break
                    spoiled = damage(data)
                    shutil.copytree(good, work_folder(target))
                    if number:
                        (work_folder(target) / name).write_bytes(spoiled)
                    else:
                        (work_folder(target) / name).unlink()
                    if await is_exact(client, target, expected):
                        exact += 1
                    else:
                        refused += 1
    # What is behind a mark, and what is not needed any more, does no harm.
    assert exact >= 3
    assert refused > 50


async def is_exact(client: BoxisClient, target: Path, expected: list[Comparable]) -> bool:
    """Resume, and tell whether the file is exact; else nothing must be there, and a way out."""
    try:
        await export_range(client, target, DAY, NEXT_DAY, resume=True, **ASKED)
    except UsageError as error:
        assert "start over" in str(error)  # noqa: PT017 - one of two outcomes
        assert target.name not in names(target.parent)
        shutil.rmtree(work_folder(target))
        return False
    assert read(target) == expected
    left = [path for path in names(target.parent) if not path.startswith("good")]
    clear(target)
    folder = work_folder(target).name
    assert {*left} <= {target.name, folder, f"{folder}/theirs"}
    return True


def clear(target: Path) -> None:
    target.unlink()
    shutil.rmtree(work_folder(target), ignore_errors=True)


@pytest.mark.parametrize(
    "text",
    ["", "null", "5", "[]", "{}", "[" * 100_000, "9" * 5000, '{"version": 3}', '{"version": 1}'],
    ids=lambda text: text[:20],
)
async def test_what_is_no_journal(text: str) -> None:
    """Something else in the place of the journal is an error, and one can start over."""
    provider = Provider(hourly())
    with quick_folder() as folder:
        target = folder / "calls.csv"
        async with connected(provider, retry=ONCE_MORE) as client:
            await leave(client, provider, target, 8)
            (work_folder(target) / "journal.json").write_text(text)
            with pytest.raises(UsageError, match=r"journal.*start over"):
                unfinished(target)
            for more in ({}, {"resume": True}, {"resume": True, "overwrite": True}):
                with pytest.raises(UsageError, match=r"journal.*start over"):
                    await export_range(client, target, DAY, NEXT_DAY, **ASKED, **more)
            exported = await export_range(client, target, DAY, NEXT_DAY, overwrite=True, **ASKED)
        assert (exported.records, exported.resumed) == (24, False)
        assert names(folder) == {"calls.csv"}


@pytest.mark.parametrize("form", FORMATS)
async def test_started_over_after_damage(form: Format) -> None:
    """A damaged export, in whatever format, starts over where that is allowed."""
    provider = Provider(hourly())
    with quick_folder() as folder:
        target = folder / f"calls.{form}"
        async with connected(provider, retry=ONCE_MORE) as client:
            await leave(client, provider, target, 8)
            (work_folder(target) / "keys").write_bytes(b"")
            with pytest.raises(UsageError, match=r"keys is cut off.*start over"):
                await export_range(client, target, DAY, NEXT_DAY, resume=True, **ASKED)
            exported = await export_range(client, target, DAY, NEXT_DAY, overwrite=True, **ASKED)
            assert read(target) == comparable(await client.cdrs(DAY, NEXT_DAY).to_list())
        assert exported.records == 24
        assert names(folder) == {target.name}


async def test_taken_away_after_its_end() -> None:
    """Killed after its last step but the clearing away, it is done, and may be done again."""
    provider = Provider(hourly())
    with quick_folder() as folder:
        target = folder / "calls.csv"
        async with connected(provider, retry=ONCE_MORE) as client:
            await leave_whole(client, target)
            (work_folder(target) / "theirs").unlink()
            (work_folder(target) / "lines").rename(target)
            shutil.copytree(folder, folder / "copy")
            exported = await export_range(client, target, DAY, NEXT_DAY, resume=True, **ASKED)
            assert (exported.records, exported.resumed) == (24, True)
            assert exported.stats.requests == 0
            assert names(folder) - names(folder / "copy") == {
                path for path in names(folder) if path.startswith("copy")
            }
            # Somebody has taken the file away before the next night's run.
            target = folder / "copy" / "calls.csv"
            target.rename(folder / "taken.csv")
            exported = await export_range(client, target, DAY, NEXT_DAY, resume=True, **ASKED)
        assert (exported.records, exported.resumed) == (24, False)
        assert len(read(target)) == 24
        assert names(folder / "copy") == {"calls.csv"}


# Journals of an earlier version


async def test_a_journal_of_an_earlier_version_is_read() -> None:
    """One with the client's own tenant as None is resumed, unless the tenant is another one."""
    provider = Provider(hourly())
    provider.add(tenant="VOICE-2-2")
    with quick_folder() as folder:
        target = folder / "calls.csv"
        async with connected(provider, retry=ONCE_MORE) as client:
            await leave(client, provider, target, 8)
            edit_journal(target, lambda values: values["asked"].update(tenant=None))
            left = unfinished(target)
            assert left is not None
            assert (left.tenant, left.records) == (None, 8)
            with pytest.raises(UsageError, match=r"tenant.*start over"):
                await export_range(
                    client, target, DAY, NEXT_DAY, tenant="VOICE-2-2", resume=True, **ASKED
                )
            exported = await export_range(client, target, DAY, NEXT_DAY, resume=True, **ASKED)
        assert (exported.records, exported.resumed, exported.stats.requests) == (24, True, 4)
        assert len(set(read(target))) == 24


async def test_a_journal_of_another_version_is_refused() -> None:
    """One of a version that is not known is refused, and the message says what to do."""
    provider = Provider(hourly())
    with quick_folder() as folder:
        target = folder / "calls.csv"
        async with connected(provider, retry=ONCE_MORE) as client:
            await leave(client, provider, target, 8)
            edit_journal(target, lambda values: values.update(version=99))
            with pytest.raises(UsageError, match=r"version 99.*start over.*remove its folder"):
                await export_range(client, target, DAY, NEXT_DAY, resume=True, **ASKED)
            with pytest.raises(UsageError, match="version 99"):
                unfinished(target)
            exported = await export_range(client, target, DAY, NEXT_DAY, overwrite=True, **ASKED)
        assert exported.records == 24


async def test_a_coverage_of_another_version_is_refused() -> None:
    """So is one whose coverage cannot be read, as an older or a newer library wrote it."""
    provider = Provider(hourly())
    with quick_folder() as folder:
        target = folder / "calls.csv"
        async with connected(provider, retry=ONCE_MORE) as client:
            await leave(client, provider, target, 8)
            edit_journal(
                target,
                lambda values: values.update(
                    coverage=json.dumps(json.loads(values["coverage"]) | {"version": 99})
                ),
            )
            with pytest.raises(UsageError, match=r"version 99.*start over.*remove its folder"):
                await export_range(client, target, DAY, NEXT_DAY, resume=True, **ASKED)


@pytest.mark.parametrize(
    "name", ["delimiter", "tenant", "unique_by", "clip", "columns", "formula_safe", "rows"]
)
async def test_a_journal_with_a_long_value(name: str) -> None:
    """Whoever can write the folder makes no message of ours as long as he likes."""
    provider = Provider(hourly())
    with quick_folder() as folder:
        target = folder / "calls.csv"
        async with connected(provider, retry=ONCE_MORE) as client:
            await leave(client, provider, target, 8)
            value = ["x" * 100_000] if name == "columns" else "x" * 100_000
            edit_journal(target, lambda values: values["asked"].update({name: value}))
            with pytest.raises(UsageError, match="start over") as caught:
                await export_range(client, target, DAY, NEXT_DAY, resume=True, **ASKED)
        assert len(str(caught.value)) < 2_000


@pytest.mark.slow
async def test_any_digit_of_a_journal(tmp_path: Path) -> None:
    """A journal with one digit changed, whichever, is refused."""
    provider = Provider(hourly())
    target = tmp_path / "calls.csv"
    async with connected(provider, retry=ONCE_MORE) as client:
        await leave(client, provider, target, 8)
        path = work_folder(target) / "journal.json"
        text = path.read_text()
        digits = [at for at, character in enumerate(text) if character.isdigit()]
        for at in digits:
            path.write_text(f"{text[:at]}{(int(text[at]) + 1) % 10}{text[at + 1 :]}")
            with pytest.raises(UsageError, match=r"journal.*start over"):
                unfinished(target)
        assert len(digits) > 100
        path.write_text(text)
        exported = await export_range(client, target, DAY, NEXT_DAY, resume=True, **ASKED)
    assert exported.records == 24


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mark", [-1, 5]),
        ("mark", [1.0, 5]),
        ("mark", [5]),
        ("mark", [1, 2, 3, 4]),
        ("mark", "12"),
        ("mark", None),
        ("keys", None),
        ("keys", [16, 1, 1]),
        ("keys", [True, 1]),
        ("whole", [1, 2, 3]),
        ("conflicts", -1),
        ("conflicts", "5"),
        ("coverage", None),
        ("coverage", "{}"),
        ("records", -8),
        ("records", 8.5),
        ("covered", 1.5),
        ("covered", -0.5),
        ("covered", "1"),
    ],
    ids=str,
)
async def test_a_journal_that_cannot_be(
    tmp_path: Path, form: Format, name: str, value: object
) -> None:
    """Values that no export writes are refused, though the checksum is theirs."""
    provider = Provider(hourly())
    target = tmp_path / f"calls.{form}"
    async with connected(provider, retry=ONCE_MORE) as client:
        await leave(client, provider, target, 8)

        def edit(values: dict[str, Any]) -> None:
            (values if name in values else values["asked"])[name] = value
            if name == "whole":
                values["is_fetched"] = True
                (work_folder(target) / "whole.parquet").write_text("no")

        edit_journal(target, edit)
        with pytest.raises(UsageError, match="start over"):
            await export_range(client, target, DAY, NEXT_DAY, resume=True, **ASKED)
        assert not target.exists()
        await export_range(client, target, DAY, NEXT_DAY, overwrite=True, **ASKED)
    assert len(read(target)) == 24


async def test_the_stored_names_stay() -> None:
    """The names in a journal are those that every version has written."""
    provider = Provider(hourly())
    with quick_folder() as folder:
        target = folder / "calls.csv"
        async with connected(provider, retry=ONCE_MORE) as client:
            await leave(client, provider, target, 8)
        values = json.loads((work_folder(target) / "journal.json").read_bytes())
        assert list(values) == [
            *("version", "sum", "asked", "fingerprint", "coverage", "mark", "keys", "conflicts"),
            *("replaces", "is_fetched", "whole", "rejects", "calls"),
        ]
        assert list(values["asked"]) == [
            *("datefrom", "dateto", "tenant", "format", "formula_safe", "unique_by", "clip"),
            *("rows", "columns", "delimiter", "bom", "local_times", "decimal_comma"),
            *("records", "covered"),
        ]
