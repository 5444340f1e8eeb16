"""A real PostgreSQL server of the tests' own, in a temporary folder, on a free port of loopback.

It is made anew in about two seconds. Nothing of it must survive this machine, so it never waits for
the disk (`fsync` is off). PostgreSQL refuses to run as root, so root lends it the user `nobody`. A
shell stands between, which reads from whoever started it: where that was killed, its input ends,
and it stops the server and removes the folder.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, LiteralString, Self

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["DEBIAN", "PASSWORD", "PostgresAbsentError", "PostgresServer", "postgres_programs"]

PASSWORD: Final = "hush-hush"
"""The user's. The server checks it, so a test can give a wrong one, and see what is shown."""

DEBIAN: Final = Path("/usr/lib/postgresql")
"""Where Debian has a folder for each version, none of them on the PATH."""

_USER: Final = "mirror"
_WITHIN: Final = 60
_ATTEMPTS: Final = 3
_SETTINGS: Final = {"unix_socket_directories": "", "listen_addresses": "127.0.0.1"}
_WITHOUT_DISK: Final = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "32MB"}
# "immediate" makes no checkpoint: it is as if the machine lost its power.
_UNTIL_THE_INPUT_ENDS: Final = """
"$1" start -w -D data -l log -o "$2" >&2 && echo started || exit
read -r keeps
"$1" stop -m immediate -D data >&2
[ -n "$keeps" ] || rm -rf "$PWD"
"""


class PostgresAbsentError(Exception):
    """This machine has no PostgreSQL to start."""


def postgres_programs() -> Path:
    """Return the folder of `initdb` and `pg_ctl`: where Debian has the newest, else of the PATH.

    Raises:
        PostgresAbsentError: There is none.
    """
    of_debian = DEBIAN.glob("*/bin/initdb")
    newest = sorted(of_debian, key=lambda path: float(path.parts[-3]), reverse=True)
    on_path = shutil.which("initdb")
    # A link on the PATH leads to the folder in which the other programs are.
    for initdb in (*newest, *([Path(on_path).resolve()] if on_path else [])):
        if initdb.with_name("postgres").exists():
            return initdb.parent
    raise PostgresAbsentError(
        "no PostgreSQL: no initdb in /usr/lib/postgresql/*/bin, and none on the PATH: "
        "apt-get install postgresql"
    )


class PostgresServer:
    """A server that runs within a `with` block; each database in it has a URL.

    Args:
        waits_for_disk: Whether it does as other servers do, for a benchmark.

    Raises:
        PostgresAbsentError: This machine has none.
    """

    def __init__(self, *, waits_for_disk: bool = False) -> None:
        self._programs = postgres_programs()
        self._settings = _SETTINGS if waits_for_disk else _SETTINGS | _WITHOUT_DISK
        self._databases = 0
        self._shell: subprocess.Popen[str] | None = None
        self._as_user: dict[str, Any] = {}
        self.port = 0

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="boxis-postgres-"))
        if os.geteuid() == 0:
            self._as_user = {"user": "nobody", "extra_groups": ()}
            shutil.chown(self._folder, "nobody")
        (self._folder / "password").write_text(PASSWORD, "ascii")
        subprocess.run(
            [
                *(self._programs / "initdb", "--pgdata=data", f"--username={_USER}"),
                *("--auth=scram-sha-256", "--pwfile=password", "--encoding=UTF8", "--locale=C"),
                *("--no-sync", "--no-instructions"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._folder,
            timeout=_WITHIN,
            **self._as_user,
        )
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Start the server, on the port that it had before if there was one."""
        for _ in range(_ATTEMPTS):
            port = self.port or _free_port()
            if self._starts(port):
                self.port = port
                return
        log = (self._folder / "log").read_text("utf-8", "replace")
        raise RuntimeError(f"PostgreSQL did not start:\n{log}")

    def _starts(self, port: int) -> bool:
        """Try to start it; another program may have taken the port in between."""
        settings = " ".join(f"--{name}='{value}'" for name, value in self._settings.items())
        self._shell = subprocess.Popen(
            [
                *("/bin/sh", "-c", _UNTIL_THE_INPUT_ENDS, "sh"),
                *(self._programs / "pg_ctl", f"--port={port} {settings}"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=self._folder,
            start_new_session=True,  # Ctrl-C is for the tests, which then end it
            **self._as_user,
        )
        assert self._shell.stdout is not None
        if self._shell.stdout.readline() == "started\n":
            return True
        self.stop()
        return False

    def stop(self) -> None:
        """Stop it, as a machine that loses its power; `start` starts it again, with its data."""
        if self._shell is not None:
            self._shell.communicate("keep\n", timeout=_WITHIN)
            self._shell = None

    def url(self, database: str = "postgres", *, password: str = PASSWORD) -> str:
        """Return the URL of a database."""
        return f"postgresql://{_USER}:{password}@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """Make a fresh database, and return its URL."""
        self._databases += 1
        name = f"test_{self._databases}"
        self._execute("CREATE DATABASE {}", name)
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database, whoever is still connected to it."""
        self._execute("DROP DATABASE {} WITH (FORCE)", _name_in(url))

    def disconnect(self, url: str) -> int:
        """End all connections to a database, and return how many there were."""
        command = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            return len(connection.execute(command, [_name_in(url)]).fetchall())

    def _execute(self, command: LiteralString, database: str) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL(command).format(sql.Identifier(database)))


def _name_in(url: str) -> str:
    return url.rpartition("/")[2]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port
