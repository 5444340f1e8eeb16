"""Folders and file systems of others: what somebody put there, and what the system cannot do."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
from typing import TYPE_CHECKING, Any

import pytest
from calls import DAY, HOUR, NEXT_DAY, SECOND, hourly
from clients import ONCE_MORE, connected
from exports import comparable, export_range, names, read, work_folder

from boxis_async import UsageError, WindowError
from boxis_async.export import FORMATS, ExportExistsError, Format, unfinished
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from boxis_async import BoxisClient, Stats

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows opens no folders")

STRANGER = 54321


def give_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a file, a folder or a link to somebody else, or let it seem so."""
    if os.geteuid() == 0:
        os.lchown(path, STRANGER, STRANGER)
        return
    given = path.lstat()

    def seen(function: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
        def look(*arguments: Any, **named: Any) -> os.stat_result:  # noqa: ANN401
            found = function(*arguments, **named)
            if (found.st_dev, found.st_ino) != (given.st_dev, given.st_ino):
                return found
            values = list(found)
            values[4] = STRANGER
            return os.stat_result(values)

        return look

    for name in ("stat", "lstat", "fstat"):
        monkeypatch.setattr(os, name, seen(getattr(os, name)))


async def leave(client: BoxisClient, provider: Provider, target: Path) -> None:
    """Leave an export unfinished, half of its windows fetched."""
    provider.faults = lambda got: (
        Fault.refuse("no") if (got.datefrom or "") >= f"{DAY + 12 * HOUR - SECOND}" else None
    )
    with pytest.raises(WindowError):
        await export_range(client, target, DAY, NEXT_DAY, window=6 * HOUR)
    provider.faults = []


# A folder that was there first


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o777], ids=oct)
async def test_somebody_elses_folder_is_refused(
    provider: Provider,
    client: BoxisClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: int,
) -> None:
    """Whoever made the folder first gets nothing to read and plants nothing."""
    target = tmp_path / "calls.csv"
    await leave(client, provider, target)
    provider.reset()
    work = work_folder(target)
    work.chmod(mode)
    before = {path.name: path.read_bytes() for path in work.iterdir()}
    give_away(work, monkeypatch)
    for more in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(UsageError, match="belongs to somebody else"):
            await export_range(client, target, DAY, NEXT_DAY, **more)
    with pytest.raises(UsageError, match="belongs to somebody else"):
        unfinished(target)
    assert provider.requests == []
    assert names(tmp_path) == {work.name, *(f"{work.name}/{name}" for name in before)}
    assert {path.name: path.read_bytes() for path in work.iterdir()} == before
    assert stat.S_IMODE(work.stat().st_mode) == mode


@pytest.mark.parametrize("is_dangling", [False, True])
async def test_a_link_in_place_of_the_folder_is_refused(
    provider: Provider, client: BoxisClient, tmp_path: Path, *, is_dangling: bool
) -> None:
    """A link is not followed, wherever it leads and whoever made it."""
    target, home = tmp_path / "calls.csv", tmp_path / "home"
    if not is_dangling:
        home.mkdir()
        for name in ("lines", "keys", "journal.json", "lock"):
            (home / name).write_text("mine")
    work_folder(target).symlink_to(home)
    before = names(tmp_path)
    assert unfinished(target) is None
    for more in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(UsageError, match="not a folder"):
            await export_range(client, target, DAY, NEXT_DAY, **more)
    assert provider.requests == []
    assert names(tmp_path) == before
    assert all(path.read_text() == "mine" for path in home.glob("*"))


def link(path: Path, mine: Path) -> None:
    path.symlink_to(mine)


def dangling_link(path: Path, mine: Path) -> None:
    path.symlink_to(mine.with_name("made-by-nobody"))


def hard_link(path: Path, mine: Path) -> None:
    path.hardlink_to(mine)


def pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


PLANTS = (link, dangling_link, hard_link, pipe)
FILES = ("lines", "keys", "journal.json", "journal.json.new", "lock", "whole.parquet", "mode",
         "part-000000.parquet", "part-000001.parquet", "rejects.jsonl")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("form", ["csv", "parquet"])
async def test_what_was_planted_in_a_folder_of_ours(
    tmp_path: Path, plant: Callable[[Path, Path], None], name: str, form: Format, *, begun: bool
) -> None:
    """Nothing is written through a link, read from a pipe, or taken for ours."""
    provider = Provider(hourly())
    home = tmp_path / "home"
    home.mkdir()
    mine = home / "mine"
    mine.write_text("mine")
    target = tmp_path / "there" / f"calls.{form}"
    target.parent.mkdir()
    work = work_folder(target)
    async with connected(provider, retry=ONCE_MORE) as client:
        if begun:
            await leave(client, provider, target)
        else:
            work.mkdir()
        work.chmod(0o777)
        (work / name).unlink(missing_ok=True)
        plant(work / name, mine)
        try:
            await export_range(client, target, DAY, NEXT_DAY, resume=True)
        except UsageError as error:
            assert "start over" in str(error)  # noqa: PT017 - one of two outcomes
            assert names(target.parent) >= {work.name}
            # The way out that the message names.
            await export_range(client, target, DAY, NEXT_DAY, overwrite=True)
        assert read(target) == comparable(await client.cdrs(DAY, NEXT_DAY).to_list())
    assert names(target.parent) - {work.name, f"{work.name}/{name}"} == {target.name}
    assert names(home) == {"mine"}
    assert mine.read_text() == "mine"
    assert stat.S_IMODE(mine.stat().st_mode) == 0o644


@pytest.mark.parametrize("name", ["lines", "keys", "journal.json"])
async def test_a_file_of_somebody_else_is_not_resumed(
    provider: Provider,
    client: BoxisClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """A file that somebody else left in a folder that was open to him is refused."""
    target = tmp_path / "calls.csv"
    await leave(client, provider, target)
    give_away(work_folder(target) / name, monkeypatch)
    with pytest.raises(UsageError, match=rf"{name} was put there by somebody else.*start over"):
        await export_range(client, target, DAY, NEXT_DAY, resume=True)
    await export_range(client, target, DAY, NEXT_DAY, overwrite=True)
    assert len(read(target)) == 24
    assert names(tmp_path) == {target.name}


@pytest.mark.parametrize("form", FORMATS)
async def test_the_folder_is_exchanged_meanwhile(
    client: BoxisClient, tmp_path: Path, form: Format
) -> None:
    """Who may write beside the file can take the folder away, but not lead us elsewhere."""
    home, there = tmp_path / "home", tmp_path / "there"
    home.mkdir()
    there.mkdir()
    kept = ("lines", "keys", "journal.json", "lock", "whole.parquet", "part-000000.parquet", "mode")
    for name in kept:
        (home / name).write_text("mine")
    target = there / f"calls.{form}"

    def exchange(stats: Stats) -> None:
        if stats.windows == 2:
            work_folder(target).rename(there / "stolen")
            work_folder(target).symlink_to(home)

    await export_range(client, target, DAY, NEXT_DAY, window=6 * HOUR, progress=exchange)
    assert read(target) == comparable(await client.cdrs(DAY, NEXT_DAY).to_list())
    assert {path.name: path.read_text() for path in home.iterdir()} == dict.fromkeys(kept, "mine")
    assert names(there) == {target.name, "stolen", work_folder(target).name}


async def test_a_file_system_that_gives_our_files_to_another_user(
    provider: Provider, client: BoxisClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As NFS does with root's: what we make there shows who we are there."""
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    target = tmp_path / "calls.csv"
    await leave(client, provider, target)
    assert unfinished(target) is not None
    assert (await export_range(client, target, DAY, NEXT_DAY, resume=True)).records == 24
    assert names(tmp_path) == {target.name}


# The file itself


async def test_a_link_of_ours_is_followed(client: BoxisClient, tmp_path: Path) -> None:
    """The file is made where the link leads, and the link stays."""
    there = tmp_path / "there"
    there.mkdir()
    for number, name in enumerate(("old.csv", "new.csv")):
        target, real = tmp_path / name, there / f"real-{name}"
        if not number:
            real.write_text("old")
        target.symlink_to(tmp_path / f"second-{name}")
        (tmp_path / f"second-{name}").symlink_to(real)
        exported = await export_range(client, target, DAY, NEXT_DAY, overwrite=True)
        assert exported.path == real
        assert target.is_symlink()
        assert not real.is_symlink()
        assert len(read(target)) == 24
    assert names(there) == {"real-old.csv", "real-new.csv"}


@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("mode", [0o777, 0o1777], ids=oct)
async def test_a_link_of_somebody_else_where_all_may_write(
    client: BoxisClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: int,
    *,
    is_there: bool,
) -> None:
    """It is not followed, as it may lead to a file of ours."""
    folder, home = tmp_path / "all", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    if is_there:
        (home / "mine").write_text("mine")
    target = folder / "calls.csv"
    target.symlink_to(home / "mine")
    folder.chmod(mode)
    before = names(tmp_path)
    with monkeypatch.context() as patch:
        give_away(target, patch)
        for more in ({}, {"overwrite": True}, {"resume": True}):
            with pytest.raises(UsageError, match="a link that somebody else put"):
                await export_range(client, target, DAY, NEXT_DAY, **more)
        assert names(tmp_path) == before
        # In a folder where nobody else can put one, the administrator did.
        folder.chmod(0o755)
        await export_range(client, target, DAY, NEXT_DAY, format="csv", overwrite=True)
    assert len(read(home / "mine", "csv")) == 24


async def test_a_link_that_appears_is_replaced(client: BoxisClient, tmp_path: Path) -> None:
    """A link that somebody puts there meanwhile is replaced, or refused, and never followed."""
    target, mine = tmp_path / "calls.csv", tmp_path / "mine"
    mine.write_text("mine")

    def appear(_: Stats) -> None:
        target.unlink(missing_ok=True)
        target.symlink_to(mine)

    with pytest.raises(ExportExistsError, match="appeared"):
        await export_range(client, target, DAY, NEXT_DAY, progress=appear)
    assert mine.read_text() == "mine"
    target.unlink()
    await export_range(client, target, DAY, NEXT_DAY, resume=True)
    await export_range(client, target, DAY, NEXT_DAY, overwrite=True, progress=appear)
    assert not target.is_symlink()
    assert mine.read_text() == "mine"
    assert len(read(target)) == 24


async def test_a_further_name_keeps_the_old_content(client: BoxisClient, tmp_path: Path) -> None:
    """A file with two names is replaced under the one that was given."""
    target, other = tmp_path / "calls.csv", tmp_path / "other.csv"
    other.write_text("old")
    target.hardlink_to(other)
    await export_range(client, target, DAY, NEXT_DAY, overwrite=True)
    assert len(read(target)) == 24
    assert other.read_text() == "old"


async def test_a_pipe_or_a_device_is_refused(client: BoxisClient, tmp_path: Path) -> None:
    """Neither is waited for, and nothing is made beside it."""
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "link.csv").symlink_to("/dev/null")
    reader, writer = os.pipe()
    for target in ("/dev/null", f"/dev/fd/{writer}", tmp_path / "pipe.csv", tmp_path / "link.csv"):
        for more in ({}, {"overwrite": True}):
            with pytest.raises(UsageError, match=r"a pipe or a device.*-o - for standard output"):
                await export_range(client, target, DAY, NEXT_DAY, format="csv", **more)  # type: ignore[arg-type]
    os.close(reader)
    os.close(writer)
    assert names(tmp_path) == {"pipe.csv", "link.csv"}


# File systems that cannot


@pytest.mark.parametrize("code", ["EINVAL", "ENOSYS", "ENOTSUP", "EBADF", "EACCES", "EIO"])
@pytest.mark.parametrize("form", ["csv", "parquet"])
async def test_a_folder_that_cannot_be_waited_for(
    client: BoxisClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: Format,
    code: str,
) -> None:
    """It is passed over, unless the disk itself fails."""
    target = tmp_path / f"calls.{form}"
    sync, refused = os.fsync, 0

    def refuse(descriptor: int) -> None:
        nonlocal refused
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            refused += 1
            raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    if code == "EIO":
        with pytest.raises(OSError, match=str(tmp_path)) as caught:
            await export_range(client, target, DAY, NEXT_DAY)
        assert caught.value.errno == errno.EIO
        assert not target.exists()
        return
    await export_range(client, target, DAY, NEXT_DAY)
    assert refused > 2
    assert len(read(target)) == 24
    assert names(tmp_path) == {target.name}


@pytest.mark.parametrize(("code", "is_passed"), [("EINVAL", True), ("ENOSYS", True),
                                                 ("EIO", False), ("ENOSPC", False)])  # fmt: skip
async def test_a_file_that_cannot_be_waited_for(
    client: BoxisClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    *,
    is_passed: bool,
) -> None:
    """A file system that cannot wait is passed over; one that fails is not, and it says where."""
    target = tmp_path / "calls.csv"

    def refuse(_: int) -> None:
        raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))

    monkeypatch.setattr(os, "fsync", refuse)
    if is_passed:
        await export_range(client, target, DAY, NEXT_DAY)
        assert len(read(target)) == 24
        return
    with pytest.raises(OSError, match=str(work_folder(target))) as caught:
        await export_range(client, target, DAY, NEXT_DAY)
    assert caught.value.errno == getattr(errno, code)
    assert not target.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has locks of its own")
@pytest.mark.parametrize("code", ["ENOSYS", "ENOLCK", "EOPNOTSUPP", "EINVAL", "EACCES", "EIO"])
async def test_a_file_system_without_locks(
    provider: Provider,
    client: BoxisClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
) -> None:
    """The error says what could not be done, where, and what to do; nothing is sent or left."""
    target = tmp_path / "calls.csv"

    def refuse(*_: object) -> None:
        raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(OSError, match="cannot lock a file") as caught:
        await export_range(client, target, DAY, NEXT_DAY)
    assert caught.value.errno == getattr(errno, code)
    assert caught.value.filename == str(work_folder(target) / "lock")
    assert os.strerror(caught.value.errno) in str(caught.value)
    assert "local disk" in str(caught.value)
    assert provider.requests == []
    assert names(tmp_path) == set()


@pytest.mark.parametrize("code", ["EBUSY", "EPERM", "EXDEV", "EROFS"])
async def test_a_file_that_cannot_be_replaced(
    provider: Provider,
    client: BoxisClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
) -> None:
    """What was fetched is kept whole, the error says where, and resuming needs no request."""
    target = tmp_path / "calls.csv"
    target.write_text("old")
    replace = os.replace

    def refuse(source: Any, place: Any, **at: Any) -> None:  # noqa: ANN401
        if place == target.name:
            raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))
        replace(source, place, **at)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(OSError, match=r"cannot be replaced.*resume") as caught:
            await export_range(client, target, DAY, NEXT_DAY, overwrite=True)
    assert caught.value.errno == getattr(errno, code)
    assert caught.value.filename == str(target)
    assert str(work_folder(target) / "lines") in str(caught.value)
    assert len(read(work_folder(target) / "lines", "csv")) == 24
    assert target.read_text() == "old"
    provider.reset()
    exported = await export_range(client, target, DAY, NEXT_DAY, resume=True)
    assert (exported.records, exported.resumed) == (24, True)
    assert provider.requests == []
    assert len(read(target)) == 24


@pytest.mark.parametrize("step", ["mkdir", "open", "unlink", "rename"])
async def test_errors_name_the_whole_path(
    client: BoxisClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Though files are named within an open folder, errors name them from the root."""
    target = tmp_path / "calls.csv"
    name = {"rename": "replace"}.get(step, step)
    function = getattr(os, name)

    def refuse(path: Any, *more: Any, **named: Any) -> Any:  # noqa: ANN401
        if named.get("dir_fd") is not None or "src_dir_fd" in named:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return function(path, *more, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, name, refuse)
        with pytest.raises(OSError, match="Read-only") as caught:
            await export_range(client, target, DAY, NEXT_DAY)
    assert str(caught.value.filename).startswith(f"{target}.unfinished")


@pytest.mark.parametrize("form", FORMATS)
async def test_a_system_that_opens_no_folders(
    provider: Provider,
    client: BoxisClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: Format,
) -> None:
    """On Windows files are named by their paths, and exports are made and resumed as elsewhere."""
    monkeypatch.setattr("boxis_async.export.open_folder._OPENS_FOLDERS", False)
    target = tmp_path / f"calls.{form}"
    await leave(client, provider, target)
    assert unfinished(target) is not None
    assert (await export_range(client, target, DAY, NEXT_DAY, resume=True)).resumed
    assert len(read(target)) == 24
    assert names(tmp_path) == {target.name}


# A finished file


async def test_a_finished_file_that_another_one_replaced(
    provider: Provider, client: BoxisClient, tmp_path: Path
) -> None:
    """An export that was killed before its last step is not taken for a foreign file's."""
    target = tmp_path / "calls.csv"
    left = tmp_path / "left"

    def appear(_: Stats) -> None:
        target.write_text("theirs")

    with pytest.raises(ExportExistsError):
        await export_range(client, target, DAY, NEXT_DAY, progress=appear)
    target.unlink()
    # As a crash leaves it between the last two steps.
    (work_folder(target) / "lines").rename(target)
    shutil.copytree(work_folder(target), left)
    whole = target.read_bytes()
    provider.reset()

    def put_back(content: bytes) -> None:
        shutil.rmtree(work_folder(target), ignore_errors=True)
        shutil.copytree(left, work_folder(target))
        target.write_bytes(content)

    put_back(whole)
    assert (await export_range(client, target, DAY, NEXT_DAY, resume=True)).records == 24
    assert provider.requests == []
    changed = whole.replace(b"1", b"2", 1)
    for content in (b"theirs", b"", whole[:-1], whole + b"\r\n", changed):
        for more in ({}, {"resume": True}):
            put_back(content)
            with pytest.raises(ExportExistsError, match="exists"):
                await export_range(client, target, DAY, NEXT_DAY, **more)
            assert target.read_bytes() == content
        put_back(content)
        exported = await export_range(client, target, DAY, NEXT_DAY, resume=True, overwrite=True)
        assert (exported.records, exported.resumed) == (24, False)
        assert target.read_bytes() == whole
    assert names(tmp_path) - {path for path in names(tmp_path) if path.startswith("left")} == {
        target.name
    }
