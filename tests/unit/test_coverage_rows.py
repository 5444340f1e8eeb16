"""A coverage as rows of a table: the same again, and nothing else is taken for one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import attrs
import pytest
from calls import DAY, HOUR, NEXT_DAY, hourly
from clients import connected

from boxis_async import Coverage, CoverageRow, UsageError, Window
from boxis_async.testing import Provider

if TYPE_CHECKING:
    from boxis_async import BoxisClient


async def covered(client: BoxisClient, **settings: object) -> Coverage:
    """Fetch two spans, and one that is young."""
    coverage = None
    for start, end in [(1, 5), (9, 14), (20, 22)]:
        stream = client.cdrs(
            DAY + start * HOUR,
            DAY + end * HOUR,
            window=HOUR,
            resume=coverage,
            **settings,  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        )
        await stream.to_list()
        coverage = stream.coverage
    assert coverage is not None
    return coverage


@pytest.mark.parametrize("carry_keys", [False, True])
async def test_rows_are_the_same_coverage(carry_keys: bool) -> None:  # noqa: FBT001 - a parameter
    """In whatever order the rows come, it is what it was, to the last mark."""
    provider = Provider(hourly())
    provider.change({"duration": "soon"}, start=f"{DAY + 10.5 * HOUR}")
    async with connected(provider) as client:
        coverage = await covered(client, carry_keys=carry_keys, bad_records="collect")
    assert coverage.rejected
    again = Coverage.from_rows(reversed(coverage.rows()))
    assert again == coverage
    assert again.to_json() == coverage.to_json()
    sums = [row.checksum for row in coverage.rows()]
    assert len(set(sums)) == len(sums)


async def test_rows_change_only_where_the_coverage_does() -> None:
    """A span that stays has the same row, so that a table need not be written anew."""
    async with connected(Provider(hourly())) as client:
        before = await covered(client)
        stream = client.cdrs(DAY + 20 * HOUR, NEXT_DAY, resume=before)
        await stream.to_list()
    old, new = set(before.rows()), set(stream.coverage.rows())
    assert {(row.kind, row.start) for row in old - new if row.kind == "sealed"} == {
        ("sealed", DAY + 20 * HOUR)
    }
    assert {row.kind for row in old & new} >= {"query", "sealed"}


async def test_a_missing_row_is_fetched_again() -> None:
    """Only the row of the query must be there."""
    async with connected(Provider(hourly())) as client:
        rows = (await covered(client)).rows()
    fewer = Coverage.from_rows(row for row in rows if row.start != DAY + 9 * HOUR)
    assert fewer.sealed == (
        Window(DAY + HOUR, DAY + 5 * HOUR),
        Window(DAY + 20 * HOUR, DAY + 22 * HOUR),
    )
    with pytest.raises(UsageError, match="no rows as"):
        Coverage.from_rows(row for row in rows if row.kind != "query")
    with pytest.raises(UsageError, match="no rows as"):
        Coverage.from_rows([])


async def test_a_changed_row_is_refused() -> None:
    """Each field counts, and a row of another coverage does not fit."""
    async with connected(Provider(hourly())) as client:
        rows = (await covered(client)).rows()
        others = (await covered(client)).rows()
    sealed = next(row for row in rows if row.kind == "sealed")
    changes = {
        "kind": "unsealed",
        "start": DAY,
        "end": NEXT_DAY,
        "marks": f"{sealed.marks[:-4]}AAA=",
        "checksum": "0" * 32,
    }
    assert set(changes) == {field.name for field in attrs.fields(CoverageRow)}
    for name, value in changes.items():
        changed = [*rows, attrs.evolve(sealed, **{name: value})]
        with pytest.raises(UsageError, match="fetch the range anew"):
            Coverage.from_rows(changed)
    with pytest.raises(UsageError, match="another's"):
        Coverage.from_rows([*rows[:2], *others[2:]])
    query = rows[0]
    later = attrs.evolve(query, marks=f"99 {query.marks.partition(' ')[2]}")
    with pytest.raises(UsageError, match="of version '99'"):
        Coverage.from_rows([later])


@pytest.mark.parametrize("carry_keys", [False, True])
async def test_what_is_missing_since_is_fetched_again(carry_keys: bool) -> None:  # noqa: FBT001 - a parameter
    """Whoever deletes old records, and fetches them again, gets all of them, whatever is marked."""
    provider = Provider(hourly())
    async with connected(provider) as client:
        stream = client.cdrs(DAY, NEXT_DAY, window=HOUR, carry_keys=carry_keys)
        await stream.to_list()
        later = stream.coverage.since(DAY + 10 * HOUR)
        again = await stream.again(resume=later).to_list()
        assert [cdr.start.hour for cdr in again] == [*range(10)]
        # Where nothing is cut off, all marks stay.
        assert stream.coverage.since(DAY) == stream.coverage


async def test_since() -> None:
    """What lies before a time is missing then, and what lies after is as it was."""
    async with connected(Provider(hourly())) as client:
        coverage = await covered(client)
    later = coverage.since(DAY + 10 * HOUR)
    assert later.sealed == (
        Window(DAY + 10 * HOUR, DAY + 14 * HOUR),
        Window(DAY + 20 * HOUR, DAY + 22 * HOUR),
    )
    assert later.missing(DAY, DAY + 14 * HOUR) == [(DAY, DAY + 10 * HOUR)]
    assert Coverage.from_rows(later.rows()) == later
    assert coverage.since(NEXT_DAY).sealed == ()
    assert coverage.since(DAY) == coverage
    with pytest.raises(UsageError, match="naive datetime"):
        coverage.since(datetime.now().astimezone() + timedelta(0))
