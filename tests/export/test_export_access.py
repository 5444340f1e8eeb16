"""Who may read an export: nobody else while it is made, and as many as before at its end."""

from __future__ import annotations

import os
import stat
import struct
import sys
from typing import TYPE_CHECKING, Any

import pytest
from calls import DAY, HOUR, NEXT_DAY, call, hourly
from clients import connected
from exports import each_step, export_range, names, work_folder

from boxis_async.export import FORMATS, Format, export, rejects_path, write_rejects
from boxis_async.export.access import set_access
from boxis_async.export.open_folder import OpenFolder
from boxis_async.testing import Provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from boxis_async import BoxisClient

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no modes")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture(params=[0o022, 0o027, 0o077, 0o000], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Set a umask."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


async def test_a_new_file_has_the_mode_of_new_files(
    client: BoxisClient, tmp_path: Path, umask: int
) -> None:
    """The mode of a new file is what the umask makes of it."""
    target = tmp_path / "calls.csv"
    await export_range(client, target, DAY, NEXT_DAY)
    assert mode_of(target) == 0o666 & ~umask


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o604, 0o444, 0o400, 0o666, 0o6755], ids=oct)
async def test_a_replaced_file_keeps_its_mode(
    client: BoxisClient, tmp_path: Path, mode: int
) -> None:
    """Whatever the umask is, a file that is replaced keeps its mode; bits to run as do not stay."""
    target = tmp_path / "calls.jsonl"
    target.write_text("old")
    target.chmod(mode)
    await export_range(client, target, DAY, NEXT_DAY, overwrite=True)
    assert target.read_text() != "old"
    assert mode_of(target) == mode & 0o777


@pytest.mark.parametrize("mode", [0o600, 0o640, None], ids=str)
@pytest.mark.parametrize("form", FORMATS)
async def test_at_no_moment_wider(
    client: BoxisClient, tmp_path: Path, form: Format, mode: int | None
) -> None:
    """Before each step nobody else can reach a draft, nor the file who could not before."""
    folder = tmp_path / "there"
    folder.mkdir()
    target = folder / f"calls.{form}"
    if mode is not None:
        target.write_text("old")
        target.chmod(mode)
    with each_step(folder) as steps:
        await export_range(client, target, DAY, NEXT_DAY, window=6 * HOUR, overwrite=True)
    seen: set[str] = set()
    for copy in steps.copies:
        work = work_folder(copy / target.name)
        if work.exists():
            assert mode_of(work) == 0o700
            for path in work.iterdir():
                seen.add(path.name)
                # The finished file has the mode that it is to have, and one shows what that is.
                assert not mode_of(path) & 0o077 & ~(mode or 0o644), path.name
                if path.name in ("journal.json", "keys", "lock"):
                    assert mode_of(path) == 0o600
        if mode is not None:
            assert mode_of(copy / target.name) == mode
    assert {"journal.json", "keys", "lock"} < seen


async def test_a_folder_of_an_earlier_version_is_closed(
    client: BoxisClient, tmp_path: Path
) -> None:
    """A work folder of ours that others can look into is ours alone from then on."""
    target = tmp_path / "calls.csv"
    work_folder(target).mkdir()
    work_folder(target).chmod(0o755)
    modes: list[int] = []
    await export_range(
        client,
        target,
        DAY,
        NEXT_DAY,
        progress=lambda _: modes.append(mode_of(work_folder(target))),
    )
    assert set(modes) == {0o700}


async def test_a_file_system_without_modes(
    client: BoxisClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a mode cannot be set, the file system says who may read, and the export is made."""
    target = tmp_path / "calls.csv"
    work_folder(target).mkdir(0o755)
    target.write_text("old")

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    for name in ("chmod", "fchmod", "chown", "fchown", "setxattr", "removexattr"):
        monkeypatch.setattr(os, name, refuse, raising=False)
    exported = await export_range(client, target, DAY, NEXT_DAY, overwrite=True)
    assert exported.records == 24


@pytest.mark.parametrize(
    ("of_file", "of_rejects", "expected"),
    [(None, None, 0o644), (0o600, None, 0o600), (0o644, 0o600, 0o600), (0o600, 0o640, 0o640)],
    ids=str,
)
async def test_records_that_cannot_be_read_are_for_the_same_readers(
    tmp_path: Path, of_file: int | None, of_rejects: int | None, expected: int
) -> None:
    """The file of them keeps its mode; a new one has that of the file that is replaced."""
    provider = Provider([*hourly(), call(f"{DAY + 3 * HOUR}", duration="long")])
    target = tmp_path / "calls.csv"
    for path, mode in ((target, of_file), (rejects_path(target), of_rejects)):
        if mode is not None:
            path.touch(mode)
    async with connected(provider) as client:
        stream = client.cdrs(DAY, NEXT_DAY, bad_records="collect")
        await export(stream, target, overwrite=True)
        stream = client.cdrs(DAY, NEXT_DAY, bad_records="collect")
        await stream.to_list()
    assert names(tmp_path) == {"calls.csv", "calls.csv.rejects.jsonl"}
    assert mode_of(rejects_path(target)) == expected
    # To a file of one's own.
    mine = tmp_path / "mine.jsonl"
    write_rejects(stream.rejects, mine)
    assert mode_of(mine) == 0o644
    mine.chmod(0o600)
    mine.write_text("old")
    write_rejects(stream.rejects, mine)
    assert mode_of(mine) == 0o600
    assert mine.read_bytes() == rejects_path(target).read_bytes()
    assert names(tmp_path) == {*("calls.csv", "calls.csv.rejects.jsonl", "mine.jsonl")}


# Owners and groups


class Place(OpenFolder):
    """A folder in which a file of others stands."""

    def __init__(self, folder: Path, **replaced: int) -> None:
        super().__init__(folder, None)
        self._replaced = replaced

    def stat(self, name: str) -> os.stat_result | None:
        """Give what stands there, of another owner or group."""
        found = super().stat(name)
        assert found is not None
        values = list(found)
        for key, value in self._replaced.items():
            values[("mode", "ino", "dev", "nlink", "uid", "gid").index(key)] = value
        return os.stat_result(values)


@pytest.mark.parametrize(
    ("mode", "narrowed"),
    [(0o640, 0o600), (0o644, 0o644), (0o664, 0o644), (0o604, 0o600), (0o660, 0o600)],
    ids=oct,
)
@pytest.mark.parametrize("whose", ["uid", "gid"])
def test_an_owner_or_a_group_that_cannot_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whose: str, mode: int, narrowed: int
) -> None:
    """The new group gets what the old group and the others both had; an owner is then ours."""
    (tmp_path / "calls.csv").write_text("old")
    given: list[tuple[int, int]] = []

    def chown(_: int, uid: int, gid: int) -> None:
        given.append((uid, gid))
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", chown)
    place = Place(tmp_path, **{whose: 54321, "mode": stat.S_IFREG | mode})
    with OpenFolder.of(tmp_path) as folder, folder.create("new") as file:
        set_access(file, folder, "calls.csv", place)
    assert given == [(54321, -1) if whose == "uid" else (-1, 54321)]
    assert mode_of(tmp_path / "new") == (mode if whose == "uid" else narrowed)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may")
async def test_owner_and_group_are_kept(client: BoxisClient, tmp_path: Path) -> None:
    """Where the system lets us, a file that is replaced stays whose it was."""
    target = tmp_path / "calls.csv"
    target.write_text("old")
    os.chown(target, 54321, 12345)
    target.chmod(0o640)
    await export_range(client, target, DAY, NEXT_DAY, overwrite=True)
    found = target.stat()
    assert (found.st_uid, found.st_gid, mode_of(target)) == (54321, 12345, 0o640)


# Access lists

NAME, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"


def entries(user: int, group: int, mask: int) -> bytes:
    """Write a list in which another user, 4321, may do something too."""
    nobody = 0xFFFFFFFF
    return struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", *entry)
        for entry in (
            (0x01, 6, nobody),
            (0x02, user, 4321),
            (0x04, group, nobody),
            (0x10, mask, nobody),
            (0x20, 0, nobody),
        )
    )


def set_list(path: Path, name: str, value: bytes) -> None:
    if sys.platform != "linux":
        pytest.skip("Linux alone keeps lists like this")
    try:
        os.setxattr(path, name, value)
    except OSError:
        pytest.skip("this file system keeps no lists")


def list_of(path: Path) -> Any:  # noqa: ANN401
    try:
        return os.getxattr(path, NAME)
    except OSError:
        return None


async def test_an_access_list_is_kept(client: BoxisClient, tmp_path: Path) -> None:
    """A file that is replaced keeps its list."""
    target = tmp_path / "calls.csv"
    target.write_text("old")
    set_list(target, NAME, entries(4, 0, 4))
    await export_range(client, target, DAY, NEXT_DAY, overwrite=True)
    assert list_of(target) == entries(4, 0, 4)
    assert mode_of(target) == 0o640


async def test_an_access_list_that_cannot_be_kept(
    client: BoxisClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mask is not taken for what the group may do."""
    target = tmp_path / "calls.csv"
    target.write_text("old")
    set_list(target, NAME, entries(4, 0, 4))

    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    await export_range(client, target, DAY, NEXT_DAY, overwrite=True)
    assert mode_of(target) == 0o600


async def test_a_list_of_the_folder_goes_to_new_files_only(
    client: BoxisClient, tmp_path: Path
) -> None:
    """A file without a list gets none, though its folder gives one to new files."""
    folder = tmp_path / "there"
    folder.mkdir()
    old, new = folder / "old.csv", folder / "new.csv"
    old.write_text("old")
    old.chmod(0o640)
    set_list(folder, DEFAULT, entries(4, 4, 4))
    modes: set[int] = set()
    for target in (old, new):
        await export_range(
            client,
            target,
            DAY,
            NEXT_DAY,
            overwrite=True,
            progress=lambda _, target=target: modes.update(  # type: ignore[misc]
                mode_of(path) & 0o077
                for path in (work_folder(target), *work_folder(target).iterdir())
            ),
        )
    assert modes == {0}
    assert (list_of(old), mode_of(old)) == (None, 0o640)
    assert list_of(new) == entries(4, 4, 4)
