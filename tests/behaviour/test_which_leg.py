"""Which leg of a uniqueid stays, with `unique_by="uniqueid"`: the first that is handed over."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from calls import DAY, HOUR, NEXT_DAY, call
from choices import MODES
from clients import connected
from hypothesis import given
from hypothesis import strategies as st
from ledgers import NIGHTS, SPAN, ledgers

from boxis_async.testing import DateRule, Provider

if TYPE_CHECKING:
    from conftest import MakeClient

    from boxis_async import CDR, Window

LENGTHS = (timedelta(minutes=17), HOUR, timedelta(days=1), None)
BY_START = tuple(rule for rule in MODES if rule.by in ("start", "overlap"))


def place(start: str, sequence: str | None) -> tuple[str, int]:
    """Give the place of a record among those of a window: by its start, then by its sequence."""
    return start, int(sequence or -1)


def place_of(cdr: CDR) -> tuple[str, int]:
    return place(f"{cdr.start:%Y-%m-%d %H:%M:%S}", str(cdr.sequence or -1))


async def kept(
    provider: Provider, night: datetime, length: timedelta | None
) -> tuple[dict[str, tuple[str, int]], list[Window]]:
    """Fetch a night, and give the place of each uniqueid's leg that stayed, and the windows."""
    async with connected(provider) as client:
        stream = client.cdrs(night, night + SPAN, window=length)
        batches = [batch async for batch in stream.batches()]
    cdrs = [cdr for batch in batches for cdr in batch.cdrs if cdr.uniqueid]
    assert len({cdr.uniqueid for cdr in cdrs}) == len(cdrs)
    return {cdr.uniqueid: place_of(cdr) for cdr in cdrs}, [batch.window for batch in batches]


@pytest.mark.slow
@given(
    data=st.data(),
    night=st.sampled_from(NIGHTS),
    rule=st.sampled_from(BY_START),
    length=st.sampled_from(LENGTHS),
)
async def test_the_earliest_where_starts_or_any_moment_count(
    data: st.DataObject, night: datetime, rule: DateRule, length: timedelta | None
) -> None:
    """Where the server goes by starts, or by overlap, it is the leg that starts first."""
    provider = Provider(data.draw(ledgers(night)), filter_mode=rule)
    earliest: dict[str, tuple[str, int]] = {}
    for row in provider.select(f"{night}", f"{night + SPAN}"):
        if uniqueid := str(row["uniqueid"] or ""):
            here = place(str(row["start"]), row["sequence"])  # type: ignore[arg-type]
            earliest[uniqueid] = min(here, earliest.get(uniqueid, here))
    assert (await kept(provider, night, length))[0] == earliest


@pytest.mark.slow
@given(
    data=st.data(),
    night=st.sampled_from(NIGHTS),
    rule=st.sampled_from(MODES),
    length=st.sampled_from(LENGTHS),
)
async def test_the_first_of_the_first_window_under_every_rule(
    data: st.DataObject, night: datetime, rule: DateRule, length: timedelta | None
) -> None:
    """Whatever the dates mean, it is the first leg of the first window that holds one."""
    provider = Provider(data.draw(ledgers(night)), filter_mode=rule)
    found, windows = await kept(provider, night, length)
    first: dict[str, tuple[str, int]] = {}
    for window in windows:
        here: dict[str, tuple[str, int]] = {}
        for row in provider.select(f"{window.start}", f"{window.end}"):
            if uniqueid := str(row["uniqueid"] or ""):
                at = place(str(row["start"]), row["sequence"])  # type: ignore[arg-type]
                here[uniqueid] = min(at, here.get(uniqueid, at))
        first = here | first
    assert found == first


LONG = {"end": f"{DAY + 13 * HOUR}", "sequence": "1", "dst": "long"}
SHORT = {"end": f"{DAY + 11 * HOUR + HOUR / 2}", "sequence": "2", "dst": "short"}


@pytest.mark.parametrize(
    ("rule", "length", "stays"),
    [
        ("start", 24 * HOUR, "long"),
        ("start", HOUR, "long"),
        ("overlap", 24 * HOUR, "long"),
        ("overlap", HOUR, "long"),
        ("end", 24 * HOUR, "long"),
        ("end", HOUR, "short"),
    ],
)
async def test_by_ends_it_depends_on_the_windows(
    make_client: MakeClient, rule: str, length: timedelta, stays: str
) -> None:
    """Where the server goes by ends, the leg that starts first may come with a later window."""
    rows = [call(f"{DAY + 10 * HOUR}", "a", **LONG), call(f"{DAY + 11 * HOUR}", "a", **SHORT)]
    client = make_client(Provider(rows, filter_mode=DateRule(rule)))  # type: ignore[arg-type]
    stream = client.cdrs(DAY, NEXT_DAY, window=length)
    assert [cdr.dst for cdr in await stream.to_list()] == [stays]
    assert stream.stats.conflicts == 1


@pytest.mark.parametrize(("length", "stays"), [(24 * HOUR, "long"), (HOUR, "short")])
async def test_by_either_a_leg_from_before_the_range_may_come_late(
    make_client: MakeClient, length: timedelta, stays: str
) -> None:
    """Where either end counts, so may a leg that began before the range: with its end."""
    rows = [call(f"{DAY - HOUR}", "a", **LONG), call(f"{DAY + 11 * HOUR}", "a", **SHORT)]
    client = make_client(Provider(rows, filter_mode=DateRule("either")))
    assert [cdr.dst for cdr in await client.cdrs(DAY, NEXT_DAY, window=length).to_list()] == [stays]
