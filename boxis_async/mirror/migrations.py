"""The tables of an empty database, and those of an older version brought up to date, forwards only.

Each step is a transaction of its own with the version that it leads to, so that one which is killed
begins again where it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from sqlalchemy import text

from boxis_async.mirror.errors import MirrorMismatchError
from boxis_async.mirror.schema import DAYS_VIEW, metadata, positions, syncing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

__all__ = ["STEPS", "migrate", "version_of"]

Step: TypeAlias = "Callable[[Connection], object]"


def _create(connection: Connection) -> None:
    """Make the tables of version 1."""
    dialect = connection.dialect.name
    left_out = [positions, *([syncing] if dialect == "sqlite" else [])]
    tables = [table for table in metadata.sorted_tables if table not in left_out]
    metadata.create_all(connection, tables=tables, checkfirst=False)
    connection.execute(text(DAYS_VIEW[dialect]))


def _add_positions(connection: Connection) -> None:
    """Make the table of the watches' positions, for version 2."""
    metadata.create_all(connection, tables=[positions], checkfirst=False)


STEPS: Final[Sequence[Step]] = (_create, _add_positions)
"""The step from each version to the next one; version 0 is an empty database."""


def version_of(connection: Connection) -> int:
    """Give the version of a database; 0 if it has no tables of a mirror.

    Raises:
        MirrorMismatchError: It has tables of something else.
    """
    if not connection.dialect.has_table(connection, "mirror"):
        for name in ("legs", "calls", "coverage"):
            if connection.dialect.has_table(connection, name):
                raise MirrorMismatchError(
                    f"the database has a table {name!r} that is no mirror's: give a mirror a "
                    "database of its own"
                )
        return 0
    found = connection.execute(text("SELECT value FROM mirror WHERE name = 'version'")).scalar()
    if found is None or not str(found).isdigit():
        raise MirrorMismatchError(
            "the database has a table 'mirror' that is no mirror's: give a mirror a database of "
            "its own"
        )
    return int(found)


def migrate(connection: Connection, steps: Sequence[Step] = STEPS) -> bool:
    """Take the next step, if one is left; it is up to the caller to commit it.

    Returns:
        Whether a step was taken.

    Raises:
        MirrorMismatchError: The database is of a later version than this library knows.
    """
    if connection.dialect.name == "postgresql":
        # Of two that open an empty database at once, one waits. Of the transaction, not of the
        # session: behind a pooler, nobody knows whose session it is.
        connection.execute(text("SELECT pg_advisory_xact_lock(746001)"))
    version = version_of(connection)
    if version > len(steps):
        raise MirrorMismatchError(
            f"the mirror is of version {version}, and this boxis-async knows version "
            f"{len(steps)}: install a later one"
        )
    if version == len(steps):
        return False
    steps[version](connection)
    connection.execute(text("DELETE FROM mirror WHERE name = 'version'"))
    connection.execute(
        text("INSERT INTO mirror (name, value) VALUES ('version', :version)"),
        {"version": str(version + 1)},
    )
    return True
