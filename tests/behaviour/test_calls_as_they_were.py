"""What the library makes of generated legs, compared with what happened."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import attrs
import pytest
from truth import count, differences, legs_of

from boxis_async import CDR, Disposition, group_calls
from boxis_async.testing import generate_history

NIGHT_THE_CLOCK_CHANGES = date(2026, 10, 25)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "days", "seed"), [(date(2026, 9, 28), 8, 1), (NIGHT_THE_CLOCK_CHANGES, 4, 2)]
)
async def test_calls_are_as_they_were(first: date, days: int, seed: int) -> None:
    """Each call comes out as it was, in whatever order its legs come."""
    history = generate_history(first, first + timedelta(days=days), calls_per_day=150, seed=seed)
    legs = await legs_of(history)
    assert len(legs) == len(history.rows)
    random.Random(seed).shuffle(legs)
    calls = group_calls(legs)
    assert len(calls) == len(history.calls) == 150 * days
    assert differences(history.calls, calls) == []


@pytest.mark.slow
async def test_calls_with_missing_legs() -> None:
    """Where legs are missing, only calls that lack one differ, and most of those keep their end."""
    history = generate_history(date(2026, 10, 1), date(2026, 10, 8), calls_per_day=150, seed=3)
    rng = random.Random(3)
    legs = [leg for leg in await legs_of(history) if rng.random() >= 0.05]
    names = {(leg.uniqueid, str(leg.sequence)) for leg in legs}
    found = differences(history.calls, group_calls(legs))
    for difference in found:
        assert {(leg["uniqueid"], leg["sequence"]) for leg in difference.truth.legs} - names
    # One leg in twenty is missing, and so a call in ten or so has lost a leg.
    assert 0 < count(found)["outcome"] < len(history.calls) / 50


START = datetime(2026, 10, 1, 10, tzinfo=UTC)
CALLER = {"userfield": "[inbound]", "src": "0041445550123", "clid": "0041445550123"}


def leg(seconds: int, *, until: int = 60, **fields: str) -> CDR:
    """Make an answered leg."""
    start, end = START + timedelta(seconds=seconds), START + timedelta(seconds=until)
    made = CDR(start=start, answer=start, end=end, disposition=Disposition.ANSWERED)
    return attrs.evolve(made, **fields)


def test_who_answered_a_call_that_went_out() -> None:
    """No record names the person outside: of a call that goes out it is the line."""
    (call,) = group_calls(
        [leg(0, userfield="[outbound]", dst="0041445550123", dstchannel="SIP/trunk-0000a00e")]
    )
    assert call.answered_by == "trunk"


def test_an_agents_name_is_not_the_callers() -> None:
    """A caller without a name gets none from the agent who transfers the call."""
    consulting = {"uniqueid": "a-2.2", "linkedid": "a-2.2", "prevuniqueid": "a-1.1"}
    (call,) = group_calls(
        [
            leg(0, uniqueid="a-1.1", linkedid="a-1.1", dstchannel="SIP/201-1", **CALLER),
            leg(30, **consulting, clid='"Anna" <201>', src="201", dstchannel="SIP/202-2"),
        ]
    )
    assert (call.caller_number, call.caller_name) == ("0041445550123", "")


def test_exchanges_that_dial_each_other() -> None:
    """A leg that began before a hop is not behind it, though its exchange is what the hop dials."""
    there = CALLER | {"uniqueid": "b.x-2.1", "linkedid": "b.x-2.1", "firstdst": "200"}
    (call,) = group_calls(
        [
            leg(0, until=90, **CALLER, uniqueid="a.x-1.1", dst="200", dstchannel="SIP/b.x-1"),
            # An agent on the first exchange, of whom no leg is known there, takes the call first.
            leg(10, until=60, **there, dstchannel="SIP/a.x-2", wherelanded="201"),
            leg(60, until=90, **there, dstchannel="SIP/202-3"),
        ]
    )
    assert call.answered_by == "201"
    assert (call.wait, call.talk) == (timedelta(seconds=10), timedelta(seconds=80))
