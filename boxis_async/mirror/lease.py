"""One sync at a time.

On SQLite it is a lock of the operating system's, on a file beside the database, so that it ends
with the process. On a server it is a row that says who is at work. Whoever is at work renews it
each three seconds, and one that was not renewed for ten is free. Each transaction that writes
renews it too, first of all, and fails if somebody else has taken it: the row stays locked until the
commit, so nobody can take it in between. It needs no session of its own, as locks of the server's
would, so it works through any pooler.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import sys
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import anyio
from sqlalchemy import text

from boxis_async.mirror.errors import (
    MirrorBusyError,
    MirrorDatabaseError,
    MirrorError,
    MirrorLeaseLostError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncConnection

    from boxis_async.mirror.database import Database

__all__ = ["Lease", "leased", "this_process"]

RENEWED_EACH: Final = 3.0
EXPIRES_AFTER: Final = 10.0
"""Seconds, by the server's clock alone."""

_POLL: Final = 0.1
_SLOWEST_POLL: Final = 1.0

_PLAIN: Final[int] = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""We write into the file: so never through a link that somebody put there, and no pipe makes us
wait."""


def this_process() -> str:
    """Name this process, for whoever waits for it."""
    return f"process {os.getpid()} on {socket.gethostname()}"


class Lease:
    """The right to write, of one sync."""

    async def check(self, connection: AsyncConnection) -> None:
        """Make sure that it is still ours, at the beginning of a transaction that writes.

        Raises:
            MirrorLeaseLostError: Somebody else has taken it.
        """


@asynccontextmanager
async def leased(
    database: Database, *, wait: bool, on_wait: Callable[[MirrorBusyError], object]
) -> AsyncGenerator[Lease]:
    """Be the one who writes, within the block.

    Args:
        database: What is written to.
        wait: Whether to wait while another sync is at work.
        on_wait: Called once for each one that is waited for.

    Raises:
        MirrorBusyError: Another one is at work, and `wait` is false.
    """
    path = database.address.path
    taken: _FileLease | _RowLease
    taken = _RowLease(database) if path is None else _FileLease(path)
    pause, busy_with = _POLL, ""
    while True:
        try:
            await taken.take()
            break
        except MirrorBusyError as error:
            if not wait:
                raise
            if busy_with != error.holder:
                busy_with = error.holder
                on_wait(error)
        await anyio.sleep(pause)
        pause = min(pause * 2, _SLOWEST_POLL)
    try:
        yield taken
    finally:
        with anyio.CancelScope(shield=True):
            await taken.release()


class _FileLease(Lease):
    """A lock of the operating system's on a file beside the database."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}-sync")
        self._descriptor: int | None = None

    async def take(self) -> None:
        """Lock the file, and write into it who we are."""
        while self._descriptor is None:
            self._descriptor = self._locked()
        content = {"holder": this_process(), "since": datetime.now(UTC).isoformat()}
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, json.dumps(content).encode())

    async def release(self) -> None:
        """Unlock the file, and remove it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        if sys.platform != "win32":  # which cannot remove a file that is open
            # While we have the lock, so that nobody can lock it in between.
            with suppress(OSError):
                self._path.unlink()
        os.close(descriptor)

    def _locked(self) -> int | None:
        """Lock the file, and give its descriptor; None if it was just removed."""
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | _PLAIN, 0o600)
        except OSError as error:
            raise MirrorDatabaseError(
                f"the file {self._path} cannot be opened: {error.strerror}"
            ) from None
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            os.close(descriptor)
            raise MirrorDatabaseError(
                f"{self._path} is needed for the lock of the mirror, and is no plain file of its "
                "own: move it away"
            )
        try:
            _lock(descriptor)
        except _TAKEN:
            holder, since = self._holder(descriptor)
            os.close(descriptor)
            raise MirrorBusyError(holder, since) from None
        except OSError as error:
            os.close(descriptor)
            raise MirrorError(
                f"the file system cannot lock a file ({error.strerror}), and two syncs must not "
                f"write {self._path.parent}: put the mirror on a local disk"
            ) from None
        # Whoever had the lock may have removed the file after we opened it. Nobody else would open
        # that file again, so our lock on it would keep nobody out.
        with suppress(OSError):
            there, here = self._path.stat(), os.fstat(descriptor)
            if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
                return descriptor
        os.close(descriptor)
        return None

    def _holder(self, descriptor: int) -> tuple[str, datetime | None]:
        # Whoever has just locked it may not have written yet.
        with suppress(OSError, ValueError, KeyError, TypeError):
            content = json.loads(os.read(descriptor, 4096))
            return str(content["holder"]), datetime.fromisoformat(content["since"])
        return "another process", None


class _RowLease(Lease):
    """A row of the server's, renewed by a task."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._token = uuid4().hex
        self._renewing: asyncio.Task[None] | None = None

    async def take(self) -> None:
        """Take the row, if it is free or has expired, and begin to renew it."""
        async with self._database.writing() as connection:
            found = await connection.execute(
                text(
                    "INSERT INTO syncing (name, holder, token, since, renewed) "
                    "VALUES ('sync', :holder, :token, clock_timestamp(), clock_timestamp()) "
                    "ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, "
                    "token = excluded.token, since = excluded.since, renewed = excluded.renewed "
                    "WHERE syncing.renewed < clock_timestamp() - make_interval(secs => :seconds) "
                    "RETURNING token"
                ),
                {"holder": this_process(), "token": self._token, "seconds": EXPIRES_AFTER},
            )
            is_taken = found.scalar() is not None
            holder: Any = None
            if not is_taken:
                there = await connection.execute(text("SELECT holder, since FROM syncing"))
                holder = there.first()
        if not is_taken:
            # It may have been released in between: then somebody was at work, and is no more.
            name, since = holder or ("another process", None)
            raise MirrorBusyError(name, None if since is None else since.astimezone(UTC))
        self._renewing = asyncio.create_task(self._renew())

    async def check(self, connection: AsyncConnection) -> None:
        """Renew the row, and lock it until the end of the transaction."""
        if not await self._renewed(connection):
            raise MirrorLeaseLostError(
                "another sync took over, as this one was silent for more than "
                f"{EXPIRES_AFTER:g} seconds; what it wrote is kept"
            )

    async def release(self) -> None:
        """Free the row, if it is ours; one that cannot be freed expires."""
        renewing, self._renewing = self._renewing, None
        if renewing is not None:
            renewing.cancel()
            await asyncio.wait([renewing])
        with suppress(MirrorDatabaseError):
            async with self._database.writing() as connection:
                await connection.execute(
                    text("DELETE FROM syncing WHERE token = :token"), {"token": self._token}
                )

    async def _renew(self) -> None:
        while True:
            await anyio.sleep(RENEWED_EACH)
            # While the server is away nobody can take it. The next transaction that writes finds
            # out whether it is still ours.
            with suppress(MirrorDatabaseError):
                async with self._database.writing() as connection:
                    await self._renewed(connection)

    async def _renewed(self, connection: AsyncConnection) -> bool:
        done = await connection.execute(
            text("UPDATE syncing SET renewed = clock_timestamp() WHERE token = :token"),
            {"token": self._token},
        )
        return done.rowcount == 1


if sys.platform == "win32":
    import msvcrt

    _TAKEN = (BlockingIOError, PermissionError)

    def _lock(descriptor: int) -> None:
        # Far behind what is written there, as Windows keeps others from reading what is locked.
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    _TAKEN = BlockingIOError

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
