"""Which records are one leg, where the sequence was filled and where it never was."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from calls import DAY, HOUR, NEXT_DAY, call
from hypothesis import given, settings
from hypothesis import strategies as st

from boxis_async import CDR, Coverage
from boxis_async._wire.records import leg_text
from boxis_async.export import export
from boxis_async.testing import Provider

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import MakeClient

    from boxis_async.testing import Row
    from boxis_async.types import UniqueBy

ZONE = ZoneInfo("Europe/Zurich")
UNFILLED = pytest.mark.parametrize("unfilled", ["0", "00", "", None])


def ringing(phone: str, sequence: str | None, **fields: str | None) -> Row:
    """Make a leg of the one call that all of these tests are about."""
    fields = {"dstchannel": f"SIP/{phone}", "sequence": sequence} | fields
    return call(f"{DAY:%F} 10:00:00", "sip022.voice.boxis.net-call.1", channel="SIP/t", **fields)


@UNFILLED
async def test_legs_whose_sequence_was_never_filled_stay_apart(
    make_client: MakeClient, unfilled: str | None
) -> None:
    """Telephones that ring for one call are one leg each, without a sequence to tell them apart."""
    phones = ["201", "202", "203"]
    provider = Provider([ringing(phone, unfilled) for phone in phones])
    calls = make_client(provider).cdrs(DAY, NEXT_DAY, unique_by="leg")
    cdrs = await calls.to_list()
    assert sorted(cdr.dstchannel for cdr in cdrs) == [f"SIP/{phone}" for phone in phones]
    assert len({cdr.leg for cdr in cdrs}) == len(phones)
    assert (calls.stats.conflicts, calls.stats.revisions) == (0, 0)


@UNFILLED
async def test_further_legs_are_conflicts_by_uniqueid(
    make_client: MakeClient, unfilled: str | None
) -> None:
    """By uniqueid the further legs are dropped, and counted as the legs that they are."""
    provider = Provider([ringing(phone, unfilled) for phone in ("201", "202", "203")])
    calls = make_client(provider).cdrs(DAY, NEXT_DAY)
    assert len(await calls.to_list()) == 1
    assert (calls.stats.conflicts, calls.stats.revisions) == (2, 0)


@UNFILLED
@pytest.mark.parametrize("unique_by", ["uniqueid", "leg"])
async def test_a_later_cost_is_a_revision(
    make_client: MakeClient, unique_by: UniqueBy, unfilled: str | None
) -> None:
    """The same leg with a cost is a revision: its start and its channels have not changed."""
    rows = [ringing("201", unfilled, cc_cost=cost) for cost in ("", "0.12000")]
    calls = make_client(Provider(rows)).cdrs(DAY, NEXT_DAY, unique_by=unique_by)
    assert len(await calls.to_list()) == 1
    assert (calls.stats.conflicts, calls.stats.revisions) == (0, 1)


@UNFILLED
@pytest.mark.parametrize("sequence", ["1", "-1", "10"])
async def test_a_sequence_that_was_filled_tells_from_one_that_was_not(
    make_client: MakeClient, sequence: str, unfilled: str | None
) -> None:
    """Two legs that differ in this alone are two legs."""
    provider = Provider([ringing("201", unfilled), ringing("201", sequence)])
    calls = make_client(provider).cdrs(DAY, NEXT_DAY, unique_by="leg")
    assert {cdr.sequence or 0 for cdr in await calls.to_list()} == {0, int(sequence)}
    by_uniqueid = make_client(provider).cdrs(DAY, NEXT_DAY)
    await by_uniqueid.to_list()
    assert by_uniqueid.stats.conflicts == 1


async def test_a_leg_without_a_sequence_and_with_0_is_one_leg(make_client: MakeClient) -> None:
    """Missing and 0 mean the same: that nobody filled it."""
    provider = Provider([ringing("201", None), ringing("201", "0")])
    calls = make_client(provider).cdrs(DAY, NEXT_DAY, unique_by="leg")
    assert len(await calls.to_list()) == 1
    assert (calls.stats.conflicts, calls.stats.revisions) == (0, 1)


@UNFILLED
async def test_a_boundary_repeats_none_of_them(
    make_client: MakeClient, unfilled: str | None
) -> None:
    """Legs that start on a boundary come with both windows, and are handed over once."""
    provider = Provider([ringing(phone, unfilled) for phone in ("201", "202")])
    calls = make_client(provider).cdrs(DAY, NEXT_DAY, unique_by="leg", window=HOUR)
    assert len(await calls.to_list()) == 2
    assert (calls.stats.duplicates, calls.stats.revisions) == (2, 0)


@UNFILLED
async def test_a_resumed_run_knows_them(make_client: MakeClient, unfilled: str | None) -> None:
    """A run that resumes at their second knows both again, and counts a cost as a revision."""
    provider = Provider([ringing(phone, unfilled) for phone in ("201", "202")])
    client, middle = make_client(provider), DAY + 10 * HOUR
    before = client.cdrs(DAY, middle, unique_by="leg")
    assert len(await before.to_list()) == 2
    provider.change({"cc_cost": "0.12000"}, dstchannel="SIP/202")
    provider.add(ringing("203", unfilled))
    coverage = Coverage.from_json(before.coverage.to_json())
    after = client.cdrs(DAY, NEXT_DAY, unique_by="leg", resume=coverage)
    assert [cdr.dstchannel for cdr in await after.to_list()] == ["SIP/203"]
    assert (after.stats.duplicates, after.stats.conflicts, after.stats.revisions) == (1, 0, 1)


async def test_an_export_has_each_of_them(make_client: MakeClient, tmp_path: Path) -> None:
    """An export by leg holds every telephone's record once."""
    provider = Provider([ringing(phone, "0") for phone in ("201", "202", "203")])
    calls = make_client(provider).cdrs(DAY, NEXT_DAY, unique_by="leg", window=HOUR)
    await export(calls, tmp_path / "calls.jsonl")
    lines = (tmp_path / "calls.jsonl").read_text("utf-8").splitlines()
    assert sorted(json.loads(line)["dstchannel"] for line in lines) == [
        f"SIP/{phone}" for phone in ("201", "202", "203")
    ]


async def test_the_pass_of_the_repeated_hour_is_a_part_of_the_name(make_client: MakeClient) -> None:
    """At one wall time, an hour apart, legs have other names; a cost changes no leg's pass."""
    day = date(2026, 10, 25)
    rows: list[Row] = [
        {
            "uniqueid": f"sip022-{epoch}.1",
            "start": f"{day} 02:30:00",
            "channel": "SIP/1",
            "sequence": "0",
            "cc_cost": cost,
        }
        for epoch in (1792888200, 1792891800)
        for cost in ("", "0.12000")
    ]
    calls = make_client(Provider(rows)).cdrs(day, day + timedelta(days=1), unique_by="leg")
    legs = [cdr.leg for cdr in await calls.to_list()]
    assert legs == [
        ("sip022-1792888200.1", "2026-10-25 02:30:00 0", "SIP/1", ""),
        ("sip022-1792891800.1", "2026-10-25 02:30:00 1", "SIP/1", ""),
    ]
    assert (calls.stats.conflicts, calls.stats.revisions) == (0, 2)


FEW_TEXTS = st.sampled_from(["", "1", "a", "1 a", ":1:a", "SIP/1", "2026-10-25 02:30:00 0"])
LEGS = st.builds(
    CDR,
    uniqueid=FEW_TEXTS,
    start=st.builds(
        datetime,
        *map(st.just, (2026, 10, 25, 2, 30)),
        st.sampled_from([0, 1]),
        tzinfo=st.just(ZONE),
        fold=st.sampled_from([0, 1]),
    ),
    channel=FEW_TEXTS,
    dstchannel=FEW_TEXTS,
    sequence=st.sampled_from([None, 0, 1, -1, 11]),
)


@pytest.mark.slow
@settings(max_examples=500)
@given(st.lists(LEGS, min_size=2, max_size=8))
def test_one_leg_is_one_text(cdrs: list[CDR]) -> None:
    """A leg's text, which fingerprints are made of, is the same exactly where `CDR.leg` is."""
    pairs = {(cdr.leg, leg_text(cdr)) for cdr in cdrs}
    assert len(pairs) == len({leg for leg, _ in pairs}) == len({text for _, text in pairs})
