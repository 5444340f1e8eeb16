"""Whatever the provider sends comes back from the database as it was handed over."""

from __future__ import annotations

import importlib.resources
import io
import json
import tempfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import attrs
import pytest
from calls import DAY, HOUR, MINUTE, NEXT_DAY, call
from clients import connected
from hypothesis import given, settings
from hypothesis import strategies as st
from mirrors import by_leg, check_whole, select
from strategies import ZURICH, uniqueid

from boxis_async import CDR, Disposition, Extra, UsageError
from boxis_async.mirror import Mirror
from boxis_async.mirror.leg_rows import CDR_COLUMNS, LegReader, LegWriter, leg_key
from boxis_async.mirror.schema import LEG_COLUMNS
from boxis_async.testing import Provider

if TYPE_CHECKING:
    from conftest import MakeClient

TEXTS = st.text(st.characters() | st.sampled_from("\0\ud800\x1f#[]"), max_size=12)
MOMENTS = st.builds(
    lambda wall, fold: wall.replace(microsecond=0, fold=fold, tzinfo=ZURICH),
    st.datetimes(datetime(1900, 1, 1), datetime(2999, 12, 31))  # noqa: DTZ001 - wall times
    | st.datetimes(datetime(2026, 10, 25, 1), datetime(2026, 10, 25, 4)),  # noqa: DTZ001 - likewise
    st.sampled_from([0, 1]),
)
WHOLES = st.none() | st.integers(-(10**30), 10**30) | st.integers(0, 100)
COSTS = st.none() | st.decimals(
    allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20
)
OF_TYPES = {
    str: TEXTS,
    datetime: MOMENTS,
    datetime | None: st.none() | MOMENTS,
    int | None: WHOLES,
    Decimal | None: COSTS,
    date | None: st.none() | st.dates(),
    Disposition | None: st.none() | st.builds(Disposition, TEXTS),
    Extra: st.dictionaries(TEXTS, TEXTS, max_size=2).map(Extra),
}
CDRS = st.builds(CDR, **{field.name: OF_TYPES[field.type] for field in attrs.fields(CDR)})


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
@settings(max_examples=30)
@given(cdr=CDRS)
def test_each_value_comes_back(dialect: str, cdr: CDR) -> None:
    """A row holds all of a CDR: no text, number, time or pass of an hour is lost."""
    key = leg_key(cdr)
    row, _ = LegWriter(dialect).row("T", key, cdr)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    for value in row:
        if isinstance(value, str):
            assert "\0" not in value
            value.encode()
    values = [*row[2 : 2 + len(CDR_COLUMNS)]]
    if dialect == "postgresql":
        # Its driver reads JSON.
        place = CDR_COLUMNS.index("extra")
        values[place] = None if values[place] is None else json.loads(str(values[place]))
    again = LegReader(ZURICH).cdr(values)
    assert again == cdr
    assert again.start.fold == cdr.start.fold
    # Every tool can read it as UTF-8, and an index can hold the key.
    assert len(key.encode()) < 2000


@settings(max_examples=30)
@given(one=CDRS, other=CDRS)
def test_keys_tell_legs_apart(one: CDR, other: CDR) -> None:
    """Two legs have the same key only if they are the same leg, or, without names, the same."""
    is_same = one.leg == other.leg if one.uniqueid and other.uniqueid else one == other
    assert (leg_key(one) == leg_key(other)) == is_same


@settings(max_examples=60)
@given(one=CDRS, name=st.sampled_from([field.name for field in attrs.fields(CDR)]), data=st.data())
def test_a_digest_sees_each_change(one: CDR, name: str, data: st.DataObject) -> None:
    """A leg that says anything else has another digest, and one that says the same has the same."""
    field = getattr(attrs.fields(CDR), name)
    other = attrs.evolve(one, **{name: data.draw(OF_TYPES[field.type])})
    writer = LegWriter("sqlite")
    digests = [writer.row("T", "leg", cdr)[1] for cdr in (one, other)]
    is_same = one == other and all(
        getattr(getattr(one, time), "fold", 0) == getattr(getattr(other, time), "fold", 0)
        for time in ("start", "answer", "end")
    )
    assert (digests[0] == digests[1]) == is_same


async def test_odd_values_in_a_database(database: str, make_client: MakeClient) -> None:
    """What no column holds is kept beside it, and the column has what is nearest."""
    rows = [
        call(f"{DAY + MINUTE}", "a", duration="9" * 30, lastdata="a\0b"),
        call(f"{DAY + 2 * MINUTE}", "b", cc_cost="0.123456789", odd="\0", other="x"),
        call(f"{DAY + 3 * MINUTE}", "c", cc_cost="12345678901234567890.5", sequence=None),
        call(f"{DAY + 4 * MINUTE}", "", sequence="7"),
        call(f"{DAY + 5 * MINUTE}", "d" * 3000, channel="x" * 3000, disposition="VOICE\0MAIL"),
        call(f"{DAY + 6 * MINUTE}", "e", cc_cost="-1.50", cc_date="2026-01-31", end=None),
    ]
    client = make_client(Provider(rows))
    async with Mirror(database) as mirror:
        await mirror.sync(client, DAY, NEXT_DAY)
        await check_whole(mirror, client, DAY, NEXT_DAY)
        synced = await mirror.sync(client, DAY, NEXT_DAY, recheck=DAY)
        assert (synced.new, synced.changed, synced.unchanged) == (0, 0, 6)
    found = select(database, "SELECT leg, cc_cost_e5, exact FROM legs ORDER BY start")
    assert [row[1] for row in found] == [None, 12346, None, None, None, -150000]
    exact = [set(json.loads(row[2] or "{}")) for row in found]
    # PostgreSQL's numbers hold any cost.
    costs = set() if database.startswith("postgresql") else {"cc_cost"}
    assert exact == [
        {"duration", "lastdata"},
        {"extra", *costs},
        costs,
        set(),
        {"disposition"},
        costs,
    ]
    assert found[0][0] == "a#1"
    assert found[3][0].startswith("content ")


async def test_times_stand_three_ways(database: str, make_client: MakeClient) -> None:
    """The moment, the wall clock, and which pass of the hour that comes twice."""
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    rows = [
        call("2026-10-25 02:30:00", uniqueid(moment.timestamp(), number), end="2026-10-25 02:40:00")
        for number, moment in enumerate([first, first + HOUR])
    ]
    provider = Provider(rows)
    client = make_client(provider)
    start, end = datetime(2026, 10, 25, tzinfo=UTC), datetime(2026, 10, 26, tzinfo=UTC)
    async with Mirror(database) as mirror:
        synced = await mirror.sync(client, start, end)
        assert synced.new == 2
        legs = [cdr async for cdr in mirror.cdrs(start, end)]
        assert [leg.start.astimezone(UTC) for leg in legs] == [first, first + HOUR]
        assert by_leg(legs) == by_leg(await client.cdrs(start, end, unique_by="leg").to_list())
        # An aware end is a moment: the second pass alone.
        later = [cdr async for cdr in mirror.cdrs(first + HOUR, end)]
        assert [leg.start.fold for leg in later] == [1]
        # A wall time is in both passes.
        both = mirror.cdrs(datetime(2026, 10, 25, 2, 30), date(2026, 10, 26))  # noqa: DTZ001 - a wall time
        assert len([cdr async for cdr in both]) == 2
        # A range that begins within that hour is fetched from its beginning.
        synced = await mirror.sync(client, first + HOUR / 4, end, recheck=first + HOUR / 4)
        assert (synced.new, synced.changed, synced.gone) == (0, 0, 0)
        provider.remove(uniqueid=rows[0]["uniqueid"])
        synced = await mirror.sync(client, start, end, recheck=start)
        assert (synced.new, synced.changed, synced.gone) == (0, 0, 1)
    found = select(database, "SELECT start, start_wall, start_pass FROM legs ORDER BY start")
    if database.startswith("postgresql"):
        assert [(row[0].astimezone(UTC), f"{row[1]}", row[2]) for row in found] == [
            (first, "2026-10-25 02:30:00", 1),
            (first + HOUR, "2026-10-25 02:30:00", 2),
        ]
    else:
        assert found == [
            ("2026-10-25 00:30:00Z", "2026-10-25 02:30:00", 1),
            ("2026-10-25 01:30:00Z", "2026-10-25 02:30:00", 2),
        ]


@settings(max_examples=5)
@given(
    costs=st.lists(st.decimals("-1000", "1000", places=5, allow_nan=False), min_size=1, max_size=20)
)
async def test_costs_add_up(costs: list[Decimal]) -> None:
    """In SQLite the sum is right to five decimals, and the hundred-thousandths add up exactly."""
    rows = [
        call(f"{DAY + number * MINUTE}", cc_cost=f"{cost}") for number, cost in enumerate(costs)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "calls.db")
        async with connected(Provider(rows)) as client, Mirror(path) as mirror:
            await mirror.sync(client, DAY, NEXT_DAY)
        ((rough, exact),) = select(path, "SELECT sum(cc_cost), sum(cc_cost_e5) FROM legs")
    assert Decimal(exact) == sum(costs) * 100_000
    assert round(Decimal(rough), 5) == sum(costs)


async def test_a_zone_without_a_name_is_refused(sqlite: str, make_client: MakeClient) -> None:
    """Another process could not read the times."""
    found = importlib.resources.files("tzdata.zoneinfo.Europe") / "Zurich"
    nameless = ZoneInfo.from_file(io.BytesIO(found.read_bytes()))
    async with Mirror(sqlite) as mirror:
        with pytest.raises(UsageError, match="IANA"):
            await mirror.sync(make_client(Provider([]), timezone=nameless), DAY, NEXT_DAY)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", UTC])
async def test_other_zones(sqlite: str, zone: object, make_client: MakeClient) -> None:
    """Any zone with a name, or a fixed offset, is kept."""
    client = make_client(Provider([call(f"{DAY + HOUR}")]), timezone=zone)
    async with Mirror(sqlite) as mirror:
        await mirror.sync(client, DAY, NEXT_DAY)
    async with Mirror(sqlite) as mirror:
        await mirror.sync(client, DAY, NEXT_DAY)
        await check_whole(mirror, client, DAY, NEXT_DAY)
        assert mirror.timezone is not None
        assert mirror.timezone.utcoffset(DAY) == (  # of the same offset
            timedelta(hours=5.5) if zone == "Asia/Kolkata" else timedelta(0)
        )


def test_columns_have_the_names_of_the_api() -> None:
    """The columns are those that the page names, in `legs` and in `revisions`."""
    assert LEG_COLUMNS[2] == "uniqueid"
    assert {"srcCallID", "cc_cost", "cc_cost_e5", "start_wall", "end_pass", "extra"} <= {
        *LEG_COLUMNS
    }
