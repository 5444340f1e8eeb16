"""Which database is opened, which is refused and why, and how older ones are brought up to date."""

from __future__ import annotations

import logging
import pickle
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
from calls import DAY, NEXT_DAY
from mirrors import change, check_whole, select
from sqlalchemy import create_engine, text

from boxis_async import BoxisError, Contract, UsageError
from boxis_async.mirror import (
    Mirror,
    MirrorBusyError,
    MirrorContractError,
    MirrorDatabaseError,
    MirrorMismatchError,
)
from boxis_async.mirror import errors as errors_module
from boxis_async.mirror.address import address_of, network_file_system
from boxis_async.mirror.migrations import STEPS, migrate, version_of
from boxis_async.testing import DateRule, Provider

if TYPE_CHECKING:
    from conftest import MakeClient
    from sqlalchemy import Connection

    from boxis_async import BoxisClient

PLAINLY = {
    "legs": ["tenant", "leg", "uniqueid", "start", "start_wall", "start_pass"],
    "calls": ["tenant", "id", "start"],
    "runs": ["id", "tenant", "began", "ended"],
    "coverage": ["tenant", "scope", "checksum", "kind", "start", "end", "marks"],
}


@pytest.mark.parametrize(
    ("database", "problem"),
    [
        ("", "must be a path"),
        (b"calls.db", "not bytes"),
        (None, "NoneType"),
        (":memory:", "in memory"),
        ("sqlite://", "three slashes"),
        ("sqlite:///", "give a path"),
        ("sqlite:///:memory:", "in memory"),
        ("a\0b", "NUL"),
        ("mysql://root:secret@host/db", "not in 'mysql'"),
        ("postgresql://", "names no host"),
        ("postgresql://user:secret@host", "names no database"),
        ("postgresql://user:secret@host:port/db", "names no host"),
    ],
)
def test_what_names_no_database_is_refused(database: str, problem: str) -> None:
    """It says what to give, and shows no password."""
    with pytest.raises(UsageError, match=problem) as caught:
        Mirror(database)
    assert "secret" not in str(caught.value)


def test_what_names_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path or a URL, and the password is in no repr."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path.resolve() / "calls.db"
    for database in ("calls.db", path, str(path), "sqlite:///calls.db", f"sqlite:///{path}"):
        assert address_of(database).path == path
    server = Mirror("postgres://user:secret@host:5433/db")
    assert repr(server) == "<Mirror('postgresql://host:5433/db', closed)>"
    assert "secret" not in repr(server._database.address)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    with pytest.raises(TypeError, match="holds connections"):
        pickle.dumps(server)


async def test_a_folder_and_no_folder(tmp_path: Path) -> None:
    """A path in a folder that is missing, or that is one itself, is refused."""
    with pytest.raises(UsageError, match="is a folder"):
        Mirror(tmp_path)
    with pytest.raises(UsageError, match="make it first"):
        async with Mirror(tmp_path / "missing" / "calls.db"):
            pass


async def test_a_new_file_is_its_owners_alone(sqlite: str) -> None:
    """Telephone numbers are in it."""
    async with Mirror(sqlite):
        for name in (sqlite, f"{sqlite}-wal"):
            assert stat.S_IMODE(Path(name).stat().st_mode) == 0o600  # noqa: ASYNC240 - a test


async def test_a_network_file_system_is_refused(
    tmp_path: Path, sqlite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The innermost mount decides, and a server is proposed."""
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda1 / ext4 rw 0 0\n"
        f"server:/x {tmp_path} nfs4 rw 0 0\n"
        f"/dev/sdb1 {tmp_path}/my\\040disk ext4 rw 0 0\n"
    )
    assert network_file_system(tmp_path / "folder", str(mounts)) == "nfs4"
    assert network_file_system(tmp_path / "my disk", str(mounts)) is None
    assert network_file_system(tmp_path.parent, str(mounts)) is None
    assert network_file_system(tmp_path, str(tmp_path / "missing")) is None
    import boxis_async.mirror.database as module  # noqa: PLC0415

    monkeypatch.setattr(module, "network_file_system", lambda _: "nfs4")
    with pytest.raises(UsageError, match=r"nfs4.*local disk, or a PostgreSQL"):
        async with Mirror(sqlite):
            pass


async def test_no_write_ahead_log_is_a_warning(
    sqlite: str,
    client: BoxisClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where the file system has none, it works, and the log says what that costs."""
    import boxis_async.mirror.database as module  # noqa: PLC0415

    monkeypatch.setattr(module, "_JOURNAL", "delete")
    with caplog.at_level(logging.WARNING):
        async with Mirror(sqlite) as mirror:
            await mirror.sync(client, DAY, NEXT_DAY)
            await check_whole(mirror, client, DAY, NEXT_DAY)
    assert "cannot have a write-ahead log" in caplog.text


async def test_what_is_no_database(sqlite: str) -> None:
    """A file of another kind is left alone."""
    Path(sqlite).write_bytes(b"uniqueid,start\n" * 100)  # noqa: ASYNC240 - a test
    with pytest.raises(MirrorDatabaseError, match="not a database"):
        async with Mirror(sqlite):
            pass
    assert Path(sqlite).read_bytes() == b"uniqueid,start\n" * 100  # noqa: ASYNC240 - a test


async def test_a_wrong_password_is_not_shown(postgres_url: str) -> None:
    """Neither is the right one."""
    with pytest.raises(MirrorDatabaseError) as caught:
        async with Mirror(postgres_url.replace("hush-hush", "wrong-one")):
            pass
    shown = f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"
    assert "wrong-one" not in shown
    assert "hush" not in shown


async def test_tables_of_something_else(database: str) -> None:
    """A database with tables of these names is refused, and not touched."""
    change(database, "CREATE TABLE legs (animal text)")
    with pytest.raises(MirrorMismatchError, match="a database of its own"):
        async with Mirror(database):
            pass
    change(database, "DROP TABLE legs")
    change(database, "CREATE TABLE mirror (name text, value text)")
    with pytest.raises(MirrorMismatchError, match="no mirror's"):
        async with Mirror(database):
            pass


async def test_a_later_version_is_refused(database: str) -> None:
    """What a later library wrote is not guessed at."""
    async with Mirror(database):
        pass
    change(database, f"UPDATE mirror SET value = '{len(STEPS) + 1}' WHERE name = 'version'")
    with pytest.raises(MirrorMismatchError, match="install a later one"):
        async with Mirror(database):
            pass


async def test_names_stay(database: str, client: BoxisClient) -> None:
    """Tables and columns are what other programs rely on."""
    async with Mirror(database) as mirror:
        await mirror.sync(client, DAY, NEXT_DAY)
    for table, columns in PLAINLY.items():
        quoted = ", ".join(f'"{column}"' for column in columns)
        assert select(database, f"SELECT {quoted} FROM {table}") != []
    version = select(database, "SELECT value FROM mirror WHERE name = 'version'")
    assert version == [(str(len(STEPS)),)]


def test_migrations_from_each_version() -> None:
    """Each earlier version is brought forwards, a step at a time, whatever steps there will be."""

    def add_column(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE runs ADD COLUMN added TEXT"))

    def fail(_: Connection) -> None:
        raise ZeroDivisionError

    steps = [*STEPS, add_column, lambda c: c.execute(text("UPDATE mirror SET value = value"))]
    for begin in range(len(steps) + 1):
        engine = create_engine("sqlite://")
        with engine.begin() as connection:
            for _ in range(begin):
                # As the library of that version did.
                assert migrate(connection, steps[:begin])
            assert version_of(connection) == begin
            assert not migrate(connection, steps[:begin])
        with engine.begin() as connection:
            while migrate(connection, steps):
                pass
            assert version_of(connection) == len(steps)
            connection.execute(text("SELECT added FROM runs"))
        engine.dispose()
    # A step that fails leaves the version that was.
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        while migrate(connection):
            pass
    with pytest.raises(ZeroDivisionError), engine.begin() as connection:
        migrate(connection, [*STEPS, fail])
    with engine.begin() as connection:
        assert version_of(connection) == len(STEPS)
    engine.dispose()


async def test_two_that_open_an_empty_database_at_once(database: str) -> None:
    """One makes the tables, and the other finds them."""
    import asyncio  # noqa: PLC0415

    mirrors = [Mirror(database) for _ in range(4)]
    await asyncio.gather(*(mirror.__aenter__() for mirror in mirrors))
    for mirror in mirrors:
        await mirror.aclose()
        await mirror.aclose()


async def test_a_new_file_that_another_program_has_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock is waited for before there is a write-ahead log, where SQLite itself does not."""
    import asyncio  # noqa: PLC0415

    path = tmp_path / "calls.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), Mirror(path):
                raise AssertionError
        monkeypatch.setattr("boxis_async.mirror.database._WAIT_FOR_LOCK", 0.1)
        with pytest.raises(MirrorDatabaseError, match="database is locked"):
            await Mirror(path).__aenter__()
        monkeypatch.undo()
        opening = asyncio.create_task(Mirror(path).__aenter__())
        other.execute("ROLLBACK")
    await (await opening).aclose()


async def test_a_contract_that_changed_is_refused(database: str, make_client: MakeClient) -> None:
    """What is sealed under one meaning of the dates is not continued under another."""
    provider = Provider([])
    async with Mirror(database) as mirror:
        await mirror.sync(make_client(provider), DAY, NEXT_DAY)
        # A client that knows less takes nothing away from what is known.
        await mirror.sync(make_client(provider, contract=None), DAY, NEXT_DAY)
        other = make_client(provider, contract=Contract(rule="end"))
        with pytest.raises(MirrorContractError, match=r'rule was "start".*"end".*another'):
            await mirror.sync(other, DAY, NEXT_DAY)


async def test_a_contract_whose_windows_overlap_more_is_refused(
    database: str, make_client: MakeClient
) -> None:
    """Under the rule within, a longer call than before may be missing in what is sealed."""
    from datetime import timedelta  # noqa: PLC0415

    provider = Provider([], filter_mode=DateRule("within"))
    hour = Contract(rule="within", longest_call=timedelta(hours=1))
    async with Mirror(database) as mirror:
        await mirror.sync(make_client(provider, contract=hour), DAY, NEXT_DAY)
        longer = attrs.evolve(hour, longest_call=timedelta(hours=2))
        with pytest.raises(MirrorContractError, match="longest_call"):
            await mirror.sync(make_client(provider, contract=longer), DAY, NEXT_DAY)


@pytest.mark.subprocess
def test_without_the_extra() -> None:
    """The error says what to install; it is an ImportError too."""
    code = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "try:\n    import boxis_async.mirror\n"
        "except ImportError as error:\n    print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout.startswith("MissingExtraError")
    assert 'pip install "boxis-async[mirror]"' in done.stdout


def test_all_errors_are_the_librarys_own() -> None:
    """Each is a BoxisError, and survives a pickle."""
    for name in errors_module.__all__:
        kind = getattr(errors_module, name)
        assert issubclass(kind, BoxisError)
        error = kind("who", None) if kind is MirrorBusyError else kind("what")
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_database_is_understood_without_our_code(tmp_path: Path) -> None:
    """The schema names its tables plainly."""
    engine = create_engine(f"sqlite:///{tmp_path / 'calls.db'}")
    with engine.begin() as connection:
        while migrate(connection):
            pass
    engine.dispose()
    with closing(sqlite3.connect(tmp_path / "calls.db")) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert {"legs", "revisions", "calls", "calls_by_day", "coverage", "runs", "mirror"} <= names
    assert "syncing" not in names
