"""The table of calls is what `group_calls` makes of all legs, in whatever order they come."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from calls import DAY, HOUR, MINUTE, NEXT_DAY, call
from clients import connected
from hypothesis import given, settings
from hypothesis import strategies as st
from mirrors import check_calls, check_whole

from boxis_async.mirror import Mirror
from boxis_async.testing import Provider, generate_calls

if TYPE_CHECKING:
    from conftest import MakeClient

    from boxis_async.testing import Row

# Few of each, so that legs share them: on two exchanges, one of which dials the other.
NAMES = [f"{exchange}-1.{number}" for exchange in ("sip1", "sip2") for number in range(4)]


@st.composite
def legs(draw: st.DrawFn, number: int) -> Row:
    """Draw a leg that may have to do with others in any of the ways that there are."""
    name = st.sampled_from(["", *NAMES])
    uniqueid = draw(name)
    start = DAY + draw(st.integers(1, 4 * 60)) * MINUTE
    other = "sip2" if uniqueid.startswith("sip1") else "sip1"
    return call(
        f"{start}",
        uniqueid,
        end=f"{start + draw(st.integers(0, 120)) * MINUTE}",
        sequence=f"{number}",
        linkedid=draw(st.just("") | name),
        prevuniqueid=draw(st.just("") | name),
        src=draw(st.sampled_from(["0445550123", "+41445550123"])),
        dst="300",
        firstdst=draw(st.sampled_from(["300", "300", ""])),
        lastdata=draw(st.sampled_from(["", f"SIP/300@{other},60"])),
        dstchannel=draw(st.sampled_from(["", "SIP/301-0a", "Local/300@q-1;1"])),
        disposition=draw(st.sampled_from(["ANSWERED", "NO ANSWER"])),
    )


@pytest.mark.slow
@settings(max_examples=25)
@given(st.data())
async def test_any_order_and_any_change(data: st.DataObject) -> None:
    """Ranges are fetched in any order; then legs change, go and come: the calls always fit."""
    rows = [data.draw(legs(number)) for number in range(1, data.draw(st.integers(1, 14)))]
    provider = Provider(rows)
    hours = data.draw(st.lists(st.integers(0, 4), max_size=3))
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "calls.db")
        async with connected(provider) as client, Mirror(path) as mirror:
            for hour in hours:
                await mirror.sync(client, DAY + hour * HOUR, DAY + (hour + 1) * HOUR)
                await check_calls(mirror, await mirror.cdrs(DAY, NEXT_DAY).to_list())
            await mirror.sync(client, DAY, NEXT_DAY)
            await check_whole(mirror, client, DAY, NEXT_DAY)
            for _ in range(data.draw(st.integers(0, 3))):
                there = [row["sequence"] for row in provider.select()]
                if there and data.draw(st.booleans()):
                    provider.remove(sequence=data.draw(st.sampled_from(there)))
                elif there:
                    changed = data.draw(legs(0))
                    number = data.draw(st.sampled_from(there))
                    provider.change({**changed, "sequence": number}, sequence=number)
                await mirror.sync(client, DAY, NEXT_DAY, recheck=DAY)
                await check_calls(mirror, await mirror.cdrs(DAY, NEXT_DAY).to_list())


async def test_realistic_calls_from_the_last_to_the_first(
    database: str, make_client: MakeClient
) -> None:
    """Transfers, queues and relays to another exchange are whole, though they came in pieces."""
    client = make_client(Provider(generate_calls(DAY, NEXT_DAY, calls_per_day=150, seed=4)))
    async with Mirror(database) as mirror:
        for hour in (18, 12, 6, 0):
            start = DAY + timedelta(hours=hour, minutes=7)
            await mirror.sync(client, start, start + 6 * HOUR)
        await mirror.sync(client, DAY, NEXT_DAY + HOUR)
        await check_whole(mirror, client, DAY, NEXT_DAY + HOUR)
