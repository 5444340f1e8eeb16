"""The position of a watch: what is in it, what is refused, and the file that keeps it."""

from __future__ import annotations

import errno
import json
import os
import random
import stat
import subprocess
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from calls import call
from clients import plainly
from fast_forward import run_fast
from hypothesis import given
from hypothesis import strategies as st
from paths import ROOT
from waiting import settled
from watched import ZONE, Kept

from boxis_async import CDR, BoxisClient, Change, FilePosition, Position, UsageError
from boxis_async._watch.position import Handled, HandledOfTenant
from boxis_async._watch.seen_legs import SeenLegs, digests_of, last_moment
from boxis_async.testing import Provider

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from conftest import MakeClient

START = datetime(2026, 10, 5, tzinfo=ZONE)
BASE = CDR(uniqueid="a-1.2", start=START, end=START + timedelta(minutes=1), sequence=7)
SINCE = timedelta(hours=6)
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")


def recent(*minutes_ago: int) -> list[dict[str, str | None]]:
    """Make calls of a minute that began so many minutes ago."""
    now = datetime.now(ZONE).replace(tzinfo=None, microsecond=0)
    return [call(f"{now - timedelta(minutes=ago)}", f"call.{ago}") for ago in minutes_ago]


def names_in(folder: Path) -> list[str]:
    """List a folder."""
    return sorted(one.name for one in folder.iterdir())


def text_of(legs: int = 3) -> str:
    """Write a position of so many legs."""
    rng = random.Random(1)
    seen = SeenLegs()
    for _ in range(legs):
        seen.note(rng.randbytes(8), rng.randbytes(8), rng.uniform(0, 2**33))
    return Handled(tenants={"T": HandledOfTenant(1.5e9, 1.6e9 + 0.123456, seen)}).to_text()


@given(
    st.dictionaries(
        st.binary(min_size=8, max_size=8),
        st.tuples(st.binary(min_size=8, max_size=8), st.floats(-1e12, 1e12)),
        max_size=20,
    ),
    st.floats(0, 2e9),
    st.text(min_size=1),
)
def test_what_is_written_is_read(
    legs: dict[bytes, tuple[bytes, float]], floor: float, tenant: str
) -> None:
    """A position that is read says what it said when it was written, to the microsecond."""
    seen = SeenLegs()
    for leg, (version, last) in legs.items():
        seen.note(leg, version, last)
    handled = Handled(tenants={tenant: HandledOfTenant(floor / 2, floor, seen)})
    text = handled.to_text()
    read = Handled.from_text(text)
    assert read.to_text() == text
    assert read.tenants[tenant].floor == pytest.approx(floor, abs=1e-5)
    assert {leg: read.tenants[tenant].seen.version(leg) for leg in legs} == {
        leg: version for leg, (version, _) in legs.items()
    }
    assert digests_of(BASE, read.fingerprinter) == digests_of(BASE, handled.fingerprinter)


def test_bytes_a_leg() -> None:
    """A leg takes 27 bytes of the text."""
    assert (len(text_of(10_000)) - len(text_of(0))) / 10_000 == pytest.approx(26.7, abs=0.1)


@pytest.mark.parametrize("at", range(0, 400, 7))
def test_each_damaged_byte_is_found(at: int) -> None:
    """A text that was changed anywhere is refused, and says what to do."""
    text = text_of()
    damaged = (
        text[: at % len(text)] + chr(ord(text[at % len(text)]) ^ 1) + text[at % len(text) + 1 :]
    )
    with pytest.raises(UsageError, match="position: "):
        Handled.from_text(damaged)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", "x", '{"version": 1}', text_of()[:-10], "[" * 100_000]
)
def test_what_is_no_position(text: str) -> None:
    """Whatever else is given is refused at once, before any request."""
    with pytest.raises(UsageError, match="position: "):
        BoxisClient("a@b.ch", "key", tenant="T").watch(position=text)


def test_a_later_version_is_refused() -> None:
    """The position of a later version is not read as if it were ours."""
    content: dict[str, Any] = json.loads(text_of())
    with pytest.raises(UsageError, match="update boxis_async"):
        Handled.from_text(json.dumps(content | {"version": 2}))


CHANGES = {
    "start": START + timedelta(seconds=1),
    "end": None,
    "answer": START,
    "disposition": "BUSY",
    "sequence": 8,
    "extra": {"other": "1"},
    "duration": 1,
}


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(CDR)])
def test_each_field_counts(name: str) -> None:
    """A leg of which any field differs is another version."""
    field = attrs.fields_dict(CDR)[name]
    value = CHANGES.get(name, "x" if field.type is str else 3)
    fingerprinter = Handled().fingerprinter
    changed = attrs.evolve(BASE, **{name: value})
    assert digests_of(changed, fingerprinter)[1] != digests_of(BASE, fingerprinter)[1]


def test_digests_do_not_depend_on_the_object_of_the_zone() -> None:
    """A zone that has no readable repr gives the same digests in each process."""
    from datetime import timezone, tzinfo  # noqa: PLC0415

    class Zone(tzinfo):
        def utcoffset(self, _: datetime | None) -> timedelta:
            return timedelta(hours=2)

        def dst(self, _: datetime | None) -> timedelta:
            return timedelta(0)

        def tzname(self, _: datetime | None) -> str:
            return ""

    fingerprinter = Handled().fingerprinter
    one, other = (
        digests_of(attrs.evolve(BASE, start=START.replace(tzinfo=zone), end=None), fingerprinter)
        for zone in (Zone(), timezone(timedelta(hours=2)))
    )
    assert one == other


def test_the_last_moment_of_odd_records() -> None:
    """A record without an end, or with one before its start, or at the end of time, has one."""
    start = START.timestamp()
    assert last_moment(attrs.evolve(BASE, end=None, duration=5)) == start + 5
    assert last_moment(attrs.evolve(BASE, end=START - timedelta(days=1))) == start
    assert last_moment(CDR(start=datetime.max.replace(tzinfo=ZONE))) > start
    assert last_moment(CDR(start=datetime.min.replace(tzinfo=ZONE))) < start


async def test_a_file_keeps_the_position(make_client: MakeClient, tmp_path: Path) -> None:
    """A watch that is started again continues where it was: each leg once over both."""
    provider = Provider(recent(50, 40, 30))
    client = make_client(provider)
    path = tmp_path / "bot.position"
    async with client.watch(SINCE, position=FilePosition(path)) as watch:
        first = [await anext(watch), await anext(watch)]
        watch.handled(first[1])
    assert {change.cdr.uniqueid for change in first} == {"call.50", "call.40"}
    assert path.stat().st_size < 700
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names_in(tmp_path) == ["bot.position", "bot.position.lock"]
    async with client.watch(SINCE, position=FilePosition(path)) as watch:
        assert (await anext(watch)).cdr.uniqueid == "call.30"
    assert repr(FilePosition(path)) == f"FilePosition({str(path)!r})"
    assert FilePosition(path).path == path


@pytest.mark.parametrize("path", ["", ".", "folder", "folder/"])
def test_a_folder_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """A position cannot be kept in a folder, which is said before anything is fetched."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="is a folder: name a file in it"):
        FilePosition(path)


async def test_one_watch_a_file(make_client: MakeClient, tmp_path: Path) -> None:
    """A second watch of the same file is refused while the first lives, dropped or closed."""
    client = make_client(Provider(recent(5)))
    path = tmp_path / "position"
    watch = client.watch(SINCE, position=FilePosition(path))
    await anext(watch)
    other = client.watch(SINCE, position=FilePosition(path))
    with pytest.raises(UsageError, match=r"another watch uses .*position: end that one"):
        await anext(other)
    await watch.aclose()
    # The one that was refused may be tried again.
    await anext(other)
    del other
    last = client.watch(position=FilePosition(path))
    position = last._watcher._store  # noqa: SLF001
    assert position is not None
    assert await position.load()
    await last.aclose()


async def test_a_damaged_file_is_an_error(make_client: MakeClient, tmp_path: Path) -> None:
    """A file that holds something else never counts as no position: it is refused, and kept."""
    path = tmp_path / "position"
    client = make_client(Provider(recent(5)))
    for content in (b"", b"{}", b"\xff\xfe", text_of().encode()[:-5]):
        path.write_bytes(content)
        async with client.watch(SINCE, position=FilePosition(path)) as watch:
            with pytest.raises(UsageError, match="position: "):
                await anext(watch)
        assert path.read_bytes() == content


async def test_a_file_that_cannot_be_written(
    make_client: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A save that fails leaves the file as it was, and is an error of whoever iterates."""
    path = tmp_path / "position"
    client = make_client(Provider(recent(50, 40)))
    async with client.watch(SINCE, position=FilePosition(path)) as watch:
        watch.handled(await anext(watch))
    before = path.read_text()

    def fails(_: int) -> None:
        raise OSError("the disk is full")

    watch = client.watch(SINCE, position=FilePosition(path))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        change = await anext(watch)
        with pytest.raises(OSError, match="full"):
            await anext(watch)
        assert path.read_text() == before
        assert names_in(tmp_path) == ["position", "position.lock"]
    # The change is handled meanwhile, and it is saved now.
    await watch.aclose()
    assert path.read_text() != before
    assert change.cdr.uniqueid == "call.40"


def test_what_is_no_path() -> None:
    """What cannot be a path is refused."""
    with pytest.raises(UsageError, match="path must be"):
        FilePosition(3)  # type: ignore[arg-type]


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
async def test_a_file_keeps_its_mode(mode: int, tmp_path: Path) -> None:
    """Those who could read the position still can, and nobody else."""
    path = tmp_path / "position"
    path.write_text("before")
    path.chmod(mode)
    position = FilePosition(path)
    await position.save("after", [])
    assert (stat.S_IMODE(path.stat().st_mode), path.read_text()) == (mode, "after")


@posix
async def test_files_of_others(tmp_path: Path) -> None:
    """Nothing is written through a link, and a pipe or a folder makes nobody wait."""
    victim, path, lock = tmp_path / "victim", tmp_path / "position", tmp_path / "position.lock"
    victim.write_text("theirs")
    for make in (lock.mkdir, lambda: lock.symlink_to(victim)):
        make()
        with pytest.raises(UsageError, match=r"position\.lock is needed for a lock"):
            await FilePosition(path).load()
        lock.rmdir() if lock.is_dir() else lock.unlink()
    os.mkfifo(path)
    position = FilePosition(path)
    with pytest.raises(UsageError, match="is not a file"):
        await position.load()
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match=r"directory.*position"):
        await position.load()
    path.rmdir()
    path.symlink_to(victim)
    await position.save("ours", [])
    position.release()
    assert (victim.read_text(), path.read_text()) == ("theirs", "ours")


@posix
async def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that cannot be had says what failed, where, and what to do."""
    import fcntl  # noqa: PLC0415 - absent on Windows

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match=r"cannot lock a file .*local disk.*position\.lock"):
        await FilePosition(tmp_path / "position").load()


def test_a_version_without_end() -> None:
    """A position that claims a version of thousands of digits is an error of a line."""
    for version in ("9" * 4000, f'"{"x" * 9000}"'):
        with pytest.raises(UsageError, match="position: it is of version") as caught:
            Handled.from_text(f'{{"version":{version}}}')
        assert len(str(caught.value)) < 400


class Ledger(Kept):
    """A position that keeps the legs as well, as a mirror does."""

    def __init__(self) -> None:
        super().__init__()
        self.legs: dict[tuple[str, ...], CDR] = {}
        self.kinds: list[str] = []

    async def save(self, position: str, changes: Sequence[Change]) -> None:
        await super().save(position, changes)
        self.legs |= {change.cdr.leg: change.cdr for change in changes}
        self.kinds += [change.kind for change in changes]

    async def previous(self, tenant: str, cdrs: Sequence[CDR]) -> dict[tuple[str, ...], CDR]:  # noqa: ARG002
        return {cdr.leg: self.legs[cdr.leg] for cdr in cdrs if cdr.leg in self.legs}


def test_a_position_that_keeps_the_legs() -> None:
    """What a leg was before comes from the position, over a restart too; each change is saved."""
    provider = Provider(
        [call("2026-10-04 23:00:00", "a", cc_cost=""), call("2026-10-04 23:10:00", "b")]
    )
    ledger = Ledger()
    assert isinstance(ledger, Position)

    async def main() -> Change:
        async with (
            plainly(provider) as client,
        ):
            async with client.watch(SINCE, position=ledger) as watch:
                await anext(watch)
                watch.handled(await anext(watch))
            provider.change({"cc_cost": "0.50"}, uniqueid="a")
            async with client.watch(SINCE, position=ledger) as watch:
                watch.handled(change := await anext(watch))
            return change

    change = run_fast(START.timestamp(), main())
    assert change.kind == "changed"
    assert change.previous is not None
    assert (change.previous.cc_cost, f"{change.cdr.cc_cost}") == (None, "0.50")
    assert ledger.kinds == ["new", "new", "changed"]


async def test_a_save_that_is_cancelled(make_client: MakeClient) -> None:
    """A time-out during a save loses nothing: it is saved with the next one."""
    import asyncio  # noqa: PLC0415

    class Slow(Kept):
        may_save = asyncio.Event()
        begun = 0

        async def save(self, position: str, changes: Sequence[Change]) -> None:
            self.begun += 1
            await self.may_save.wait()
            await super().save(position, changes)

    slow = Slow()
    slow.may_save.set()
    client = make_client(Provider(recent(5)))
    watch = client.watch(SINCE, position=slow)
    change = await anext(watch)
    # The start is saved at once, so that "from now" is the same moment after a crash.
    before, slow.begun = slow.text, 0
    slow.may_save.clear()
    waiting = asyncio.ensure_future(anext(watch))
    await settled(lambda: slow.begun == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert slow.text == before
    slow.may_save.set()
    await watch.aclose()
    assert slow.text == watch.position != before
    assert change.cdr.uniqueid == "call.5"


PROGRAM = """
import asyncio, sys
from datetime import timedelta
from boxis_async import BoxisClient, FilePosition

async def main():
    async with BoxisClient("ops@example.com", "stand-in-key", tenant="VOICE-29001-1",
                           base_url=sys.argv[1]) as client:
        async for change in client.watch(timedelta(hours=6), position=FilePosition(sys.argv[2])):
            print(change.cdr.uniqueid, flush=True)

asyncio.run(main())
"""


@pytest.mark.subprocess
@pytest.mark.slow
def test_a_process_that_is_killed(server: Any, tmp_path: Path) -> None:  # noqa: ANN401
    """After a SIGKILL a watch leaves nothing out; what was in hand comes again."""
    names = [50, 40, 30, 20]
    provider = Provider(recent(*names))
    url = server.mount(provider)
    path = tmp_path / "position"
    found: list[str] = []
    for count in (2, len(names)):
        job = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, url, str(path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert job.stdout is not None
        with job, job.stdout as lines:
            while len(set(found)) < count:
                found.append(next(lines).strip())
            job.kill()
            # It may have handled more by then than we had read.
            found += [line.strip() for line in lines]
    server.unmount(provider)
    assert {f"call.{name}" for name in names} == set(found)
    assert FilePosition(path).path.with_suffix(".lock").exists()
