"""Calls of a watch: when one is over, what makes a missed call sure, and what changes it later."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from alarms import alarms, alarms_of_a_watch
from calls import call
from clients import plainly
from fast_forward import run_fast
from watched import HOUR, ZONE, Kept, World

from boxis_async import BoxisClient, StreamClosedError
from boxis_async.testing import Provider

if TYPE_CHECKING:
    from boxis_async import CDR, CallChange

DAY = date(2026, 10, 5)
START = datetime(2026, 10, 5, tzinfo=ZONE).timestamp()
MINUTE = timedelta(minutes=1)
HOURS = timedelta(hours=1)
EXCHANGE = "sip022.voice.boxis.net"


def leg(start: float, length: float, **fields: str | None) -> dict[str, str | None]:
    """Make a leg of one inbound call, that begins so many seconds after `START`."""
    begin = datetime.fromtimestamp(START + start, ZONE).replace(tzinfo=None)
    name = f"{EXCHANGE}-{START + 60:.0f}.1"
    return call(
        f"{begin}",
        fields.pop("uniqueid", name),
        **{"linkedid": name, "userfield": "[inbound]", "dstchannel": "SIP/201-1", **fields},
    ) | {"end": f"{begin + timedelta(seconds=length)}", "duration": f"{length:.0f}"}


RANG = leg(60, 20, disposition="NO ANSWER", sequence="1")
TALKED = leg(82, 1200, disposition="ANSWERED", sequence="2", dstchannel="SIP/202-2")
BOX = leg(82, 30, disposition="ANSWERED", sequence="2", dstchannel="", lastapp="VoiceMail")


def watched(
    *rows: dict[str, str | None],
    seconds: float = 3600,
    position: Kept | None = None,
    every: timedelta = timedelta(seconds=30),
    settle: timedelta = timedelta(days=1),
    **settings: Any,  # noqa: ANN401 - whatever `calls` takes
) -> list[tuple[float, CallChange]]:
    """Watch by calls for so many seconds from `START` on."""
    provider = Provider(rows, live=True, cost_delay=0)
    found: list[tuple[float, CallChange]] = []

    async def main() -> None:
        async with (
            plainly(provider) as client,
            client.watch(every=every, settle=settle, position=position).calls(
                **settings
            ) as changes,
        ):
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    async for change in changes:
                        found.append((time.time() - START, change))  # noqa: PERF401 - kept

    run_fast(START, main())
    return found


def test_missed_and_then_answered_after_all() -> None:
    """A call that looks missed is probably so; answered later, it comes again, and surely."""
    (first_at, first), (second_at, second) = watched(RANG, TALKED)
    assert (first.kind, first.call.missed, first.certainty) == ("new", True, "probably")
    assert (first.previous, len(first.call.legs)) == (None, 1)
    assert 80 + 300 <= first_at < 80 + 300 + 32
    assert (second.kind, second.call.answered, second.certainty) == ("changed", True, "surely")
    assert second.previous == first.call
    assert len(second.call.legs) == 2
    # It began more than 15 minutes before its end, so the last hours are looked at for it.
    assert 1282 + 300 <= second_at < 1282 + 300 + 320


def test_a_longer_quiet_time_waits_for_the_talk() -> None:
    """A call is handed over once, if the quiet time is longer than the talk."""
    ((at, change),) = watched(RANG, TALKED, quiet=25 * MINUTE, seconds=2 * 3600)
    assert (change.kind, change.call.answered) == ("new", True)
    assert 1282 + 1500 <= at < 1282 + 1500 + 320


def test_what_makes_a_missed_call_sure() -> None:
    """A voicemail box on the caller's own channel is the end; a telephone that rang is not."""
    ((_, change),) = watched(RANG, BOX)
    assert (change.call.missed, change.certainty) == (True, "surely")
    ((_, change),) = watched(RANG)
    assert change.certainty == "probably"
    # That of an agent's channel says nothing of the caller's.
    ((_, change),) = watched(RANG, BOX | {"uniqueid": f"{EXCHANGE}-1.2"})
    assert change.certainty == "probably"


def test_after_settle_it_is_sure() -> None:
    """What is older than `settle` when it is caught up is over."""
    kept = Kept()
    watched(seconds=60, position=kept)
    provider = Provider([RANG], live=True, cost_delay=0)

    async def main() -> CallChange:
        await asyncio.sleep(48 * HOUR)
        async with (
            plainly(provider) as client,
            client.watch(position=kept).calls() as changes,
        ):
            return await anext(changes)

    assert run_fast(START, main()).certainty == "surely"


def test_only_what_is_sure() -> None:
    """Held back until it is sure, a call comes once: answered, in a box, or after `settle`."""
    slowly: dict[str, Any] = {"certainty": "surely", "every": 5 * MINUTE, "settle": 2 * HOURS}
    ((at, change),) = watched(RANG, TALKED, **slowly, seconds=2.5 * HOUR)
    assert (change.kind, change.call.answered, change.certainty) == ("new", True, "surely")
    assert at >= 1282 + 300
    ((at, change),) = watched(RANG, BOX, **slowly)
    assert (change.kind, change.call.missed, len(change.call.legs)) == ("new", True, 2)
    assert 112 + 300 <= at <= 112 + 300 + 320
    ((at, change),) = watched(RANG, **slowly, seconds=4 * HOUR)
    assert (change.kind, change.call.missed, change.certainty) == ("new", True, "surely")
    # All that is younger than `settle` is looked at each hour.
    assert 80 + 2 * HOUR <= at <= 80 + 3 * HOUR + 320


def test_what_is_not_sure_yet_waits_over_restarts() -> None:
    """A call that is held back is not handled: a restart finds it again, hours later too."""
    kept = Kept()
    second = leg(3600, 20, disposition="NO ANSWER", uniqueid="other.2", linkedid="other.2")
    slowly: dict[str, Any] = {"certainty": "surely", "every": 5 * MINUTE, "settle": 2 * HOURS}
    assert watched(RANG, second, **slowly, seconds=1.5 * HOUR, position=kept) == []
    provider = Provider([RANG, second], live=True, cost_delay=0)
    found: list[CallChange] = []

    async def main() -> None:
        async with (
            plainly(provider) as client,
            client.watch(settle=2 * HOURS, every=5 * MINUTE, position=kept).calls(
                certainty="surely"
            ) as changes,
        ):
            with suppress(TimeoutError):
                async with asyncio.timeout(6 * HOUR):
                    async for change in changes:
                        found.append(change)  # noqa: PERF401 - kept

    run_fast(START + 1.9 * HOUR, main())
    assert [change.call.id for change in found] == [RANG["uniqueid"], "other.2"]
    assert {(change.kind, change.certainty) for change in found} == {("new", "surely")}


def test_a_sure_call_that_changes_comes_again() -> None:
    """What was handed over as sure comes again if a leg changes it, with what it was."""
    provider = Provider([BOX | {"cc_cost": "0.50"}], live=True, cost_delay=HOUR)
    found: list[CallChange] = []

    async def main() -> None:
        async with (
            plainly(provider) as client,
            client.watch(every=5 * MINUTE).calls(certainty="surely") as changes,
        ):
            found.extend([await anext(changes), await anext(changes)])

    run_fast(START, main())
    new, changed = found
    assert (new.kind, changed.kind) == ("new", "changed")
    assert changed.previous == new.call
    assert changed.call.cost > new.call.cost == 0


def test_a_restart_hands_over_no_call_twice_and_knows_what_it_was() -> None:
    """After a restart a handled call does not come again, and a changed one has what it was."""
    kept = Kept()
    ((_, first),) = watched(RANG, TALKED, seconds=600, position=kept)
    assert first.call.missed

    async def main() -> list[CallChange]:
        await asyncio.sleep(1800)
        return []

    run_fast(START, main())
    # The same world again, later: the position is what the first process left.
    provider = Provider([RANG, TALKED], live=True, cost_delay=0)
    found: list[CallChange] = []

    async def again() -> None:
        async with (
            plainly(provider) as client,
            client.watch(position=kept).calls() as changes,
        ):
            with suppress(TimeoutError):
                async with asyncio.timeout(2400):
                    async for change in changes:
                        found.append(change)  # noqa: PERF401 - kept

    run_fast(START + 700, again())
    (change,) = found
    assert (change.kind, change.call.answered) == ("changed", True)
    assert change.previous == first.call


def test_a_cost_that_comes_late_changes_the_call() -> None:
    """A leg that changes makes a changed call, with what it was, at once."""
    provider = Provider([BOX | {"cc_cost": "0.50"}], live=True, cost_delay=HOUR)
    found: list[tuple[float, CallChange]] = []

    async def main() -> None:
        async with (
            plainly(provider) as client,
            client.watch(every=5 * MINUTE).calls() as changes,
        ):
            with suppress(TimeoutError):
                async with asyncio.timeout(3 * HOUR):
                    async for change in changes:
                        found.append((time.time() - START, change))  # noqa: PERF401 - kept

    run_fast(START, main())
    (_, new), (_, changed) = found
    assert (new.kind, changed.kind) == ("new", "changed")
    assert changed.previous == new.call
    assert changed.call.cost > new.call.cost == 0


async def test_a_function_of_the_users_that_fails_ends_it() -> None:
    """An error in `reached` comes out as it is, and no call is left out in silence after it."""

    def reached(_: CDR) -> Any:  # noqa: ANN401
        raise ZeroDivisionError

    now = datetime.now(ZONE).replace(tzinfo=None, microsecond=0)
    provider = Provider([call(f"{now - 20 * MINUTE}")])
    async with (
        provider.client() as http_client,
        BoxisClient(
            provider.username, provider.api_key, tenant=provider.tenant, http_client=http_client
        ) as client,
        client.watch(timedelta(hours=1)).calls(reached=reached) as changes,
    ):
        with pytest.raises(ZeroDivisionError):
            await anext(changes)
        with pytest.raises(StreamClosedError, match="cut short"):
            await anext(changes)


async def test_handled_by_calls() -> None:
    """A call that is said to be handled is in the position, with all of its legs."""
    now = datetime.now(ZONE).replace(tzinfo=None, microsecond=0)
    provider = Provider([call(f"{now - n * MINUTE}", f"{n}") for n in (30, 20)])
    async with (
        provider.client() as http_client,
        BoxisClient(
            provider.username, provider.api_key, tenant=provider.tenant, http_client=http_client
        ) as client,
    ):
        async with client.watch(timedelta(hours=1)).calls() as changes:
            first = await anext(changes)
            changes.handled(first)
            position = changes.position
            assert "CallWatch" in repr(changes)
        async with client.watch(position=position).calls() as changes:
            second = await anext(changes)
    assert (first.call.id, second.call.id) == ("30", "20")


@pytest.mark.slow
def test_alarms_of_a_morning() -> None:
    """A small version of the bench `watch_calls`: none absent, none twice, none falsely sure."""
    quiet = [MINUTE, 5 * MINUTE, 30 * MINUTE]

    def world() -> World:
        return World(DAY, 1, calls_per_day=150, repairs=0)

    begin = START + 7 * HOUR
    until = begin + 6 * HOUR
    found = run_fast(begin, alarms(world(), quiet, 2 * MINUTE, until))
    for one in found:
        assert one.missed > 5
        assert (one.absent, one.doubled, one.falsely_sure) == (0, 0, 0)
    assert found[0].false >= found[1].false >= found[2].false
    alone = run_fast(begin, alarms_of_a_watch(world(), quiet[1], 2 * MINUTE, until))
    assert (alone.false, alone.absent, alone.doubled) == (found[1].false, 0, 0)
