"""What the tests of the mirror share: what is really in a database, and a run that is killed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import event

from boxis_async import group_calls

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from boxis_async import CDR, BoxisClient
    from boxis_async.mirror import Mirror
    from boxis_async.testing import Provider


class KilledError(BaseException):
    """A run ends here, as by SIGKILL: nothing of it is told of that."""


def select(database: str, query: str) -> list[tuple[Any, ...]]:
    """Read a database as any other program would."""
    if database.startswith("postgresql://"):
        with psycopg.connect(database) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type] # pyright: ignore[reportArgumentType, reportCallIssue]
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


def change(database: str, statement: str) -> None:
    """Change a database as any other program would."""
    if database.startswith("postgresql://"):
        with psycopg.connect(database) as connection:
            connection.execute(statement)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType, reportCallIssue]
        return
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(statement)
        connection.commit()


def statements(mirror: Mirror) -> list[str]:
    """List the statements of a mirror from here on, while they are made."""
    found: list[str] = []

    def note(*arguments: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        found.append(arguments[2])

    event.listen(engine(mirror), "before_cursor_execute", note)
    event.listen(engine(mirror), "commit", lambda _: found.append("COMMIT"))
    return found


def kill_at(mirror: Mirror, number: int) -> None:
    """Let the statement of that number be the last that a mirror does not make any more."""
    left = number

    def count(*_: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        nonlocal left
        left -= 1
        if left < 0:
            raise KilledError

    event.listen(engine(mirror), "before_cursor_execute", count)
    event.listen(engine(mirror), "commit", count)


def engine(mirror: Mirror) -> Any:  # noqa: ANN401 - SQLAlchemy's
    """Give what makes the connections of a mirror."""
    return mirror._database.engine.sync_engine  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


def by_leg(cdrs: Iterable[CDR]) -> dict[tuple[str, ...], CDR]:
    """Name each leg."""
    return {cdr.leg: cdr for cdr in cdrs}


async def check_whole(mirror: Mirror, client: BoxisClient, start: date, end: date) -> None:
    """Hold a mirror to having each leg once, and the calls that these make."""
    legs = [cdr async for cdr in mirror.cdrs(start, end)]
    there = await client.cdrs(start, end, unique_by="leg", clip="start").to_list()
    assert len(legs) == len(by_leg(legs)), "a leg comes twice"
    assert by_leg(legs) == by_leg(there)
    assert [cdr.start.timestamp() for cdr in legs] == sorted(cdr.start.timestamp() for cdr in legs)
    await check_calls(mirror, legs)


async def check_calls(mirror: Mirror, legs: list[CDR]) -> None:
    """Hold the table of calls to what `group_calls` makes of all legs."""
    expected = group_calls(legs)
    database = str(mirror._database.address.path or mirror._database.address.url)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    rows = select(
        database,
        "SELECT id, outcome, answered_by, talk_seconds, wait_seconds, legs, cost_e5 FROM calls",
    )
    costs = [round(call.cost * 100_000) for call in expected]
    wanted = [
        (
            # No database holds a NUL.
            str(call.outcome).replace("\0", "\N{REPLACEMENT CHARACTER}"),
            call.answered_by,
            call.talk.total_seconds(),
            call.wait.total_seconds(),
            len(call.legs),
            cost if abs(cost) < 2**63 else None,
        )
        for call, cost in zip(expected, costs, strict=True)
    ]
    found = [row[1:] for row in rows]
    assert sorted(found, key=repr) == sorted(wanted, key=repr)
    # Each leg names its call.
    of_calls = select(
        database,
        "SELECT c.id FROM calls AS c WHERE c.legs <> (SELECT count(*) FROM legs AS l "
        "WHERE l.tenant = c.tenant AND l.call_id = c.id AND l.gone_at IS NULL)",
    )
    assert of_calls == []
    if legs:
        ends = min(leg.start for leg in legs), max(leg.start for leg in legs)
        read = await mirror.calls(ends[0], ends[1] + timedelta(seconds=1))
        assert read == expected


async def check_honest(mirror: Mirror, provider: Provider, start: date, end: date) -> None:
    """Hold a mirror to having all that its coverage says it has."""
    status = await mirror.status()
    if not status:
        return
    covered = await mirror.covered(start, end)
    legs = by_leg([cdr async for cdr in mirror.cdrs(start, end)])
    have = {name[0] for name in legs}
    for span in covered.complete:
        assert span.start is not None
        assert span.end is not None
        for row in provider.select(f"{span.start}", f"{span.end}"):
            if _inside(row["start"], span) and _inside(row["end"], span):
                assert row["uniqueid"] in have, f"{span} says more than is there"


def _inside(text: str | None, span: Any) -> bool:  # noqa: ANN401 - a window
    return text is not None and span.start < datetime.fromisoformat(text) < span.end
