"""Where a data set lies: a folder or S3; a file is whole or absent, whenever the writer ends."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fleets import FIRST, LAST, TENANTS, legs_of, names_in

from boxis_async import MissingExtraError
from boxis_async.fleet import DataSetError, FleetError, harvest, status, verify
from boxis_async.fleet.data_set import DataSet, Wanted, as_wall
from boxis_async.fleet.manifest import Failure, Manifest
from boxis_async.fleet.storage import Storage, open_storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from boxis_async.testing import Provider, Row


WANTED = Wanted(("T",), as_wall(FIRST), as_wall(LAST))


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Serve a bucket on loopback, and give the end of an address in it."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - takes half a second
    from pyarrow.fs import FileSystem  # noqa: PLC0415

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    names = {"AWS_ACCESS_KEY_ID": "of-nobody", "AWS_SECRET_ACCESS_KEY": "of-nobody",
             "AWS_EC2_METADATA_DISABLED": "true"}  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, value in names.items():
            patch.setenv(name, value)
        query = f"?endpoint_override=127.0.0.1:{port}&scheme=http&region=eu-central-1"
        filesystem, _ = FileSystem.from_uri(f"s3://bucket{query}&allow_bucket_creation=true")
        filesystem.create_dir("bucket")
        yield query
    server.stop()


@pytest.mark.slow
async def test_a_data_set_in_s3(
    served: Provider, scheduler: str, of_tenants: dict[str, list[Row]], s3: str
) -> None:
    """The same as in a folder: written, resumed, looked at, verified, and done again."""
    place = f"s3://bucket/calls{s3}"
    done = await harvest(TENANTS, FIRST, LAST, place, scheduler=scheduler, max_rate=None)
    assert done.is_whole
    assert done.rows == sum(legs_of(row for rows in of_tenants.values() for row in rows).values())
    found = verify(place)
    assert (found.rows, found.flaws) == (done.rows, ())
    storage = open_storage(place)
    assert len(storage.files()) == 1 + 2 * 9
    path = "tenant=VOICE-1/period=2025-01/_manifest.json"
    storage.remove(path)
    storage.remove(path)
    assert storage.read(path) is None
    assert storage.size(path) is None
    assert status(place).counts["missing"] == 1
    served.reset()
    again = await harvest(TENANTS, FIRST, LAST, place, scheduler=scheduler, max_rate=None)
    assert (again.were_complete, again.complete) == (8, 9)
    assert served.requests


@pytest.mark.slow
def test_s3_refuses_in_words(s3: str) -> None:
    """A bucket that is not there is an error of the data set, with the place and no secret."""
    with pytest.raises(DataSetError, match="s3://no-such-bucket/x"):
        DataSet(f"s3://no-such-bucket/x{s3}").storage.put("a", b"b")


def test_a_file_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails while it is written, the old file stays, and nothing is left beside it."""
    storage = open_storage(tmp_path)
    storage.put("a/b/file", b"old")
    for step in ("fsync", "replace"):

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os if step == "fsync" else Path, step, fail)
            with pytest.raises(DataSetError, match=r"file: No space left on device\. Make room"):
                storage.put("a/b/file", b"new")
        assert storage.files() == {"a/b/file": 3}
        assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["file"]
    storage.put("a/b/file", b"newer")
    assert storage.read("a/b/file") == b"newer"


def test_what_was_left_half_written_is_removed_after_an_hour(tmp_path: Path) -> None:
    """Readers never see it, and neither does the listing; one that is being written stays."""
    storage = open_storage(tmp_path)
    storage.put("tenant=a/period=b/legs.parquet", b"1")
    folder = tmp_path / "tenant=a" / "period=b"
    for name, age in (("old", 7200), ("new", 10)):
        path = folder / f".legs.parquet.{name}.tmp"
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    assert list(storage.files()) == ["tenant=a/period=b/legs.parquet"]
    storage.tidy()
    assert sorted(path.name for path in folder.iterdir()) == [
        ".legs.parquet.new.tmp",
        "legs.parquet",
    ]


@pytest.mark.parametrize("url", ["file://{}", "file://localhost{}"])
def test_a_file_address(tmp_path: Path, url: str) -> None:
    """A folder may be named by an address, too."""
    open_storage(url.format(tmp_path)).put("x", b"1")
    assert (tmp_path / "x").read_bytes() == b"1"


async def test_a_full_disk_ends_the_harvest(
    served: Provider,  # noqa: ARG001 - it serves
    scheduler: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To try other partitions would be in vain: the harvest says where it failed, and ends."""
    put = Storage.put

    def full(self: Storage, path: str, content: bytes) -> None:
        if path.endswith("legs.parquet"):
            raise DataSetError(f"{path}: No space left on device")
        put(self, path, content)

    monkeypatch.setattr(Storage, "put", full)
    with pytest.raises(DataSetError, match=r"legs\.parquet: No space left"):
        await harvest(TENANTS, FIRST, LAST, tmp_path, scheduler=scheduler, max_rate=None)


async def test_a_folder_that_workers_do_not_share(
    served: Provider,  # noqa: ARG001 - it serves
    scheduler: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker that does not find the data set writes nothing of its own elsewhere."""
    monkeypatch.setattr(DataSet, "is_there", lambda _: False)
    with pytest.raises(FleetError, match="name a folder that all machines share"):
        await harvest(TENANTS, FIRST, LAST, tmp_path, scheduler=scheduler, max_rate=None)
    assert names_in(tmp_path) == ["_dataset.json"]


async def test_a_folder_of_something_else(tmp_path: Path) -> None:
    """A harvest does not write among other files; what begins with a dot does not count."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / ".DS_Store").write_bytes(b"")
    DataSet(tmp_path / "folder").want("month", WANTED)
    assert names_in(tmp_path / "folder") == [".DS_Store", "_dataset.json"]
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(DataSetError, match=r"holds other files, such as a\.txt: name a new folder"):
        await harvest(["T"], FIRST, LAST, tmp_path / "notes", scheduler="tcp://127.0.0.1:1")
    assert names_in(tmp_path / "notes") == ["a.txt"]
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataSetError, match="this is a file: name another place"):
        await harvest(["T"], FIRST, LAST, tmp_path / "file", scheduler="tcp://127.0.0.1:1")
    assert (tmp_path / "file").read_text() == "mine"


async def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever needs it says which extra to install, and writes nothing; status needs none."""
    DataSet(tmp_path / "calls").want("month", WANTED)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert status(tmp_path / "calls").counts["missing"] == 3
    for use in (partial(verify, tmp_path / "calls"), partial(status, "s3://bucket/x")):
        with pytest.raises(MissingExtraError, match=r"boxis-async\[fleet\]"):
            use()
    with pytest.raises(MissingExtraError, match=r"boxis-async\[fleet\]"):
        await harvest(["T"], FIRST, LAST, tmp_path / "new", scheduler="tcp://127.0.0.1:1")
    assert names_in(tmp_path) == ["calls"]


@pytest.mark.parametrize(
    "error", ["ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH"]
)
def test_s3_without_credentials(error: str) -> None:
    """The error says where credentials are taken from."""

    class Refusing:
        """What pyarrow raises where S3 refuses."""

        def get_file_info(self, path: str) -> None:
            raise OSError(f"When reading information for key {path}: AWS Error {error}")

    with pytest.raises(DataSetError, match=rf"s3://b/x/a: .*{error}.*AWS_ACCESS_KEY_ID"):
        Storage("s3://b/x", Refusing(), "b/x").size("a")


def test_errors_pickle() -> None:
    """What a worker raises comes to the caller as it was."""
    import pickle  # noqa: PLC0415

    for error in (FleetError("a"), DataSetError("b")):
        again: Any = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), str(error))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows opens no folders")
def test_a_folder_that_cannot_be_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file system cannot bring a folder to the disk, the file is written all the same."""
    sync = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    storage = open_storage(tmp_path)
    storage.put("a/b/file", b"new")
    assert storage.read("a/b/file") == b"new"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_what_is_no_file(tmp_path: Path) -> None:
    """A pipe or a folder in the place of a file is an error at once, and a link is replaced."""
    storage = open_storage(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(DataSetError, match=name):
            storage.read(name)
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_bytes(b"theirs")
    link.symlink_to(victim)
    storage.put("link", b"ours")
    assert (victim.read_bytes(), link.read_bytes()) == (b"theirs", b"ours")


MANIFEST = Manifest(
    tenant="VOICE-1",
    period="2025-01",
    state="young",
    timezone="Europe/Zurich",
    rows=12,
    size=345,
    sha256="ab" * 32,
    sealed=((datetime(2025, 1, 1), datetime(2025, 1, 31, 12)),),  # noqa: DTZ001 - wall times
    contract={"rule": "start"},
    counts={"duplicates": 1},
)
FAILURE = Failure(tenant="VOICE-1", period="2025-01", kind="WindowError", error="no")


@pytest.mark.parametrize("kept", [MANIFEST, FAILURE], ids=["manifest", "failure"])
def test_what_stands_beside_a_partition_and_was_changed(kept: Manifest | Failure) -> None:
    """Whichever digit or letter is changed, it is refused; a sum of a later version names it."""
    text = kept.to_json()
    assert type(kept).from_json(text, "place") == kept
    for place, byte in enumerate(text):
        if chr(byte).isalnum():
            other = text[:place] + (b"7" if byte != ord("7") else b"3") + text[place + 1 :]
            with pytest.raises(DataSetError, match=r"^place .* harvest it again"):
                type(kept).from_json(other, "place")


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"null", b"7", b"{}", b"[" * 100_000, b'{"version":1}', b"\xff",
     b'{"version":' + b"9" * 4000 + b"}", b'{"version":"' + b"x" * 9000 + b'"}'],
    ids=lambda text: text[:12].decode("latin1"),
)  # fmt: skip
def test_what_is_no_manifest(text: bytes) -> None:
    """Whatever stands there instead is an error of a few words."""
    for kind in (Manifest, Failure):
        with pytest.raises(DataSetError, match=r"^place .* harvest it again") as caught:
            kind.from_json(text, "place")
        assert len(str(caught.value)) < 300
