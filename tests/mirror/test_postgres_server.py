"""The PostgreSQL that the tests start: a fresh database each, gone and back, a real password."""

from __future__ import annotations

from typing import TYPE_CHECKING

import postgres_server as module
import psycopg
import pytest
from postgres_server import PASSWORD, PostgresAbsentError

if TYPE_CHECKING:
    from pathlib import Path

    from postgres_server import PostgresServer


@pytest.mark.parametrize("test", [1, 2])
def test_each_test_has_a_fresh_database(postgres_url: str, test: int) -> None:
    """What another test has made is not there."""
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE alone (test integer)")
        connection.execute("INSERT INTO alone VALUES (%s)", [test])
        assert connection.execute("SELECT test FROM alone").fetchall() == [(test,)]


def test_it_goes_away_and_comes_back(postgres_server: PostgresServer, postgres_url: str) -> None:
    """Its end is seen by who is connected; at the same URL it has its data again."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        postgres_server.stop()
        try:
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT one FROM kept")
            # Another test's server may have taken the port meanwhile, and speaks another language.
            with pytest.raises(psycopg.OperationalError, match=r"refused|closed the connection"):
                psycopg.connect(postgres_url)
        finally:
            postgres_server.start()
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT one FROM kept").fetchall() == [(1,)]


def test_connections_can_be_ended(postgres_server: PostgresServer, postgres_url: str) -> None:
    """The server stays, and ends the connections to one database."""
    with psycopg.connect(postgres_url) as connection:
        assert postgres_server.disconnect(postgres_url) == 1
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_the_password_counts(postgres_server: PostgresServer) -> None:
    """A wrong password is refused."""
    assert PASSWORD in postgres_server.url()
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(postgres_server.url(password="wrong"))


def test_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there is none, the error says how to have one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(module, "DEBIAN", tmp_path)
    with pytest.raises(PostgresAbsentError, match="apt-get install postgresql"):
        module.postgres_programs()
