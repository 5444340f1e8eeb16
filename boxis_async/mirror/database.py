"""The database of a mirror: connections, transactions, and what differs from SQLite to PostgreSQL.

A transaction that writes is alone: SQLite's begins with its lock (`BEGIN IMMEDIATE`), PostgreSQL's
checks the lease first, see `lease.py`. One that reads sees the database as it was when it began,
however long it takes, and keeps no writer waiting.

Of PostgreSQL's drivers we take psycopg 3. It copies rows into a table (COPY), at 18,000 rows of 58
columns a second, where asyncpg's `executemany` comes to 14,500, and psycopg's own to 10,600 with
prepared statements and 2,100 without. We do without these, and without anything that lives as long
as a session: behind a pooler, each transaction may have another one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, MissingGreenlet, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from boxis_async import MissingExtraError, UsageError, printable
from boxis_async.mirror.address import network_file_system
from boxis_async.mirror.errors import MirrorDatabaseError
from boxis_async.mirror.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterable, Mapping, Sequence
    from pathlib import Path

    from boxis_async.mirror.address import Address
    from boxis_async.mirror.leg_rows import Dialect

__all__ = ["Database", "is_lost"]

logger = logging.getLogger("boxis_async.mirror")

_WAIT_FOR_LOCK: Final = 30.0
"""Seconds until SQLite says that another program has the file locked."""
_JOURNAL: Final = "WAL"
_TRY_LOCK_EVERY: Final = 0.02
_POOL_SIZE: Final = 5
_CONNECT_WITHIN: Final = 10
_IDLE_MILLISECONDS: Final = 10_000
"""How long a transaction may wait for us; a machine that went away must not keep others out."""


class Database:
    """A database, open.

    Args:
        address: Where it is.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.dialect: Dialect = "postgresql" if address.path is None else "sqlite"
        self._engine: AsyncEngine | None = None

    @property
    def engine(self) -> AsyncEngine:
        """What makes the connections."""
        assert self._engine is not None  # noqa: S101 - it is open
        return self._engine

    async def open(self) -> None:
        """Connect; make the tables, or bring them up to date.

        Raises:
            MirrorError: The database cannot be a mirror, or cannot be reached.
            UsageError: SQLite cannot have a file there.
        """
        path = self.address.path
        self._engine = _server(self.address) if path is None else _file(path)
        try:
            while True:
                async with self.writing() as connection:
                    if not await connection.run_sync(migrate):
                        return
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Close all connections."""
        engine, self._engine = self._engine, None
        if engine is not None:
            with self.translated():
                await engine.dispose()

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncConnection]:
        """Begin a transaction that writes; it is committed at the end of the block, or undone."""
        with self.translated():
            async with self.engine.connect() as connection:
                await connection.execution_options(boxis_writes=True)
                async with connection.begin():
                    if self.dialect == "postgresql":
                        await connection.execute(
                            text(
                                "SET LOCAL idle_in_transaction_session_timeout = "
                                f"{_IDLE_MILLISECONDS}"
                            )
                        )
                        # As SQLite's, it is alone: a watch writes legs while a sync does. Of the
                        # transaction, as in `migrate`.
                        await connection.execute(text("SELECT pg_advisory_xact_lock(746002)"))
                    yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """Begin a transaction that sees the database as it is now, until the end of the block."""
        with self.translated():
            async with self.engine.connect() as connection:
                if self.dialect == "postgresql":
                    await connection.execution_options(
                        isolation_level="REPEATABLE READ", postgresql_readonly=True
                    )
                async with connection.begin():
                    yield connection

    @contextmanager
    def translated(self) -> Generator[None]:
        """Make errors of the database the library's own, without the values of a statement."""
        try:
            yield
        except (DBAPIError, PoolTimeoutError) as error:
            raise MirrorDatabaseError(
                f"the database {self.address} failed: {_reason(error)}; what was committed is "
                "kept, and a sync continues from there"
            ) from _without_values(error)

    def among(self, column: str, bind: str) -> str:
        """Write the condition that a column is among the values of a list."""
        if self.dialect == "sqlite":
            return f"{column} IN (SELECT value FROM json_each(:{bind}))"  # noqa: S608 - a name of our own
        return f"{column} = ANY(CAST(:{bind} AS text[]))"

    def listed(self, values: Iterable[str]) -> object:
        """Give the list for `among`."""
        return json.dumps([*values]) if self.dialect == "sqlite" else [*values]

    def staged(self, digests: Mapping[str, str]) -> tuple[str, dict[str, object]]:
        """Write a query that gives legs and digests of ours, and its values."""
        if self.dialect == "sqlite":
            pair = "json_extract(value, '$[0]') AS leg, json_extract(value, '$[1]') AS digest"
            pairs = json.dumps([*digests.items()])
            return f"SELECT {pair} FROM json_each(:staged)", {"staged": pairs}  # noqa: S608 - as above
        lists = "CAST(:keys AS text[]), CAST(:digests AS text[])"
        values: dict[str, object] = {"keys": [*digests], "digests": [*digests.values()]}
        return f"SELECT * FROM unnest({lists}) AS s(leg, digest)", values  # noqa: S608 - as above

    async def insert(  # noqa: PLR0913 - each is one thing to know
        self,
        connection: AsyncConnection,
        table: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[object]],
        *,
        key: Sequence[str] = (),
        kept: Sequence[str] = (),
    ) -> None:
        """Insert rows, as fast as the database can.

        Args:
            connection: Of the transaction.
            table: The table.
            columns: The columns of the rows.
            rows: The rows.
            key: The columns by which a row that is there already is found, and then replaced.
            kept: Columns of such a row that stay as they are.
        """
        if not rows:
            return
        names = ", ".join(f'"{column}"' for column in columns)
        if self.dialect == "postgresql" and not key:
            await _copy(connection, f"COPY {table} ({names}) FROM STDIN", rows)
            return
        mark = "?" if self.dialect == "sqlite" else "%s"
        statement = f"INSERT INTO {table} ({names}) VALUES ({', '.join([mark] * len(columns))})"  # noqa: S608 - of names of our own
        if key:
            changes = ", ".join(
                f'"{column}" = excluded."{column}"'
                for column in columns
                if column not in {*key, *kept}
            )
            statement += f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
        await connection.exec_driver_sql(statement, [tuple(row) for row in rows])


def is_lost(error: BaseException) -> bool:
    """Report whether the connection to the database was lost, so that another one may work."""
    cause = error.__cause__ if isinstance(error, MirrorDatabaseError) else error
    return isinstance(cause, _LostError)


class _RefusedError(Exception):
    """What the database said, without the values that a statement had."""


class _LostError(_RefusedError):
    """The connection was lost, or none could be made."""


def _without_values(error: DBAPIError | PoolTimeoutError) -> Exception:
    """Give a cause that can be kept: the statement's values are telephone numbers."""
    if not isinstance(error, DBAPIError):
        return _LostError(str(error))
    orig: Any = error.orig
    state = getattr(orig, "sqlstate", None)
    # psycopg gives no state where the server was not reached. Class 57P is a server that stops.
    is_lost = error.connection_invalidated or (
        hasattr(orig, "sqlstate") and (state is None or state.startswith(("08", "57P", "25P03")))
    )
    return (_LostError if is_lost else _RefusedError)(_reason(error))


def _reason(error: DBAPIError | PoolTimeoutError) -> str:
    if not isinstance(error, DBAPIError):
        return "no connection is free"
    orig: Any = error.orig
    # Of PostgreSQL's message the first line: the others show the values of a row.
    primary = getattr(getattr(orig, "diag", None), "message_primary", None)
    return printable(str(primary or orig).strip() or type(orig).__name__)


async def _copy(connection: AsyncConnection, statement: str, rows: Iterable[Sequence[Any]]) -> None:
    raw = await connection.get_raw_connection()
    driver: Any = raw.driver_connection
    try:
        async with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                await copy.write_row(row)
    except Exception as error:
        import psycopg  # noqa: PLC0415 - an optional dependency

        if isinstance(error, psycopg.Error):
            # As SQLAlchemy does for what goes through it.
            raise DBAPIError.instance(
                statement, None, error, psycopg.Error, connection_invalidated=driver.closed
            ) from error
        raise


def _server(address: Address) -> AsyncEngine:
    try:
        url = make_url(address.url).set(drivername="postgresql+psycopg")
        return create_async_engine(
            url,
            hide_parameters=True,
            # A connection may have died while nobody used it.
            pool_pre_ping=True,
            pool_size=_POOL_SIZE,
            max_overflow=-1,
            connect_args={
                "prepare_threshold": None,
                "connect_timeout": _CONNECT_WITHIN,
                "application_name": "boxis mirror",
            },
        )
    except (ImportError, NoSuchModuleError):
        raise MissingExtraError(
            'PostgreSQL needs psycopg: pip install "boxis-async[postgres]"'
        ) from None
    except ArgumentError:
        raise UsageError(
            "the URL of the server cannot be read: postgresql://USER@HOST/NAME"
        ) from None


def _file(path: Path) -> AsyncEngine:
    folder = path.parent
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}: make it first")
    kind = network_file_system(folder)
    if kind is not None:
        raise UsageError(
            f"{folder} is on a network file system ({kind}), where SQLite loses data without a "
            "word: give a path on a local disk, or a PostgreSQL server"
        )
    # What is in it are personal data. SQLite gives the files beside it the same mode.
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise MirrorDatabaseError(
            f"the database {path} cannot be opened: {error.strerror}"
        ) from None
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        hide_parameters=True,
        pool_size=_POOL_SIZE,
        max_overflow=-1,
        connect_args={"timeout": _WAIT_FOR_LOCK},
    )

    def on_connect(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's
        # Else Python begins transactions by itself, and none before a SELECT.
        connection.isolation_level = None
        mode = connection.run_async(_write_ahead)
        if mode != "wal":
            logger.warning(
                "%s cannot have a write-ahead log (its journal is %s): who reads waits for who "
                "writes, and the other way round",
                path,
                mode,
            )
        # Rows and coverage are in one transaction, so what a loss of power may undo, it undoes
        # whole. To wait for the disk at each commit would take some milliseconds each.
        cursor = connection.cursor()
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    def on_begin(connection: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        writes = connection.get_execution_options().get("boxis_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    def on_invalidate(connection: Any, *_: object) -> None:  # noqa: ANN401 - SQLAlchemy's
        # A task was cancelled within a statement, and its connection is closed next. SQLite keeps
        # one whose query was not read to its end, with its lock, until Python drops the cursor: and
        # that may be part of an error that somebody keeps. If this is cancelled too, the thread of
        # the connection does it all the same, before it closes.
        with suppress(asyncio.CancelledError, sqlite3.Error, MissingGreenlet, ValueError):
            connection.rollback()

    event.listen(engine.sync_engine, "connect", on_connect)
    event.listen(engine.sync_engine, "invalidate", on_invalidate)
    event.listen(engine.sync_engine, "begin", on_begin)
    return engine


async def _write_ahead(driver: Any) -> str:  # noqa: ANN401 - the driver's connection
    """Give the file a write-ahead log, and return the name of the journal that it has then.

    For this one statement SQLite itself waits for no lock, and of two programs that open a new file
    at once, one would fail.
    """
    waited = 0.0
    while True:
        try:
            async with driver.execute(f"PRAGMA journal_mode={_JOURNAL}") as cursor:
                (mode,) = await cursor.fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or waited >= _WAIT_FOR_LOCK:
                raise
        else:
            return str(mode)
        await asyncio.sleep(_TRY_LOCK_EVERY)
        waited += _TRY_LOCK_EVERY
