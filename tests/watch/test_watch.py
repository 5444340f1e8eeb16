"""What a watch hands over, and when: time passes at once, so that a day takes a second."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from contextlib import asynccontextmanager, suppress
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from calls import call
from clients import plainly
from fast_forward import fast_forward, run_fast
from watched import HOUR, ZONE, Handed, Kept, World, judge

from boxis_async import BoxisClient, Contract, ContractError
from boxis_async._watch.schedule import Schedule
from boxis_async.testing import DateRule, Fault, Provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from boxis_async import Change, Watch
    from boxis_async.testing import Received

DAY = date(2026, 10, 5)
START = datetime(2026, 10, 5, tzinfo=ZONE).timestamp()
MINUTE = timedelta(minutes=1)
FIVE = 5 * MINUTE


def leg(start: float, length: float, uniqueid: str, **fields: str | None) -> dict[str, str | None]:
    """Make a record of a leg that begins so many seconds after `START`."""
    begin = datetime.fromtimestamp(START + start, ZONE).replace(tzinfo=None)
    return call(f"{begin}", uniqueid, **fields) | {
        "end": f"{begin + timedelta(seconds=length)}",
        "duration": f"{length:.0f}",
    }


def live(*rows: dict[str, str | None], **settings: Any) -> Provider:  # noqa: ANN401
    """Make a provider whose records appear as their legs end."""
    return Provider(rows, live=True, **settings)


@asynccontextmanager
async def watching(
    provider: Provider,
    since: timedelta | None = None,
    *,
    contract: Contract | None = None,
    **settings: Any,  # noqa: ANN401 - whatever a watch takes
) -> AsyncIterator[Watch]:
    """Watch a provider in process."""
    async with (
        plainly(provider, contract=contract) as client,
        client.watch(since, **settings) as watch,
    ):
        yield watch


async def collect(watch: Watch, seconds: float) -> list[tuple[float, Change]]:
    """Take what comes within so many seconds, each with the seconds since `START`."""
    found: list[tuple[float, Change]] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for change in watch:
                found.append((time.time() - START, change))  # noqa: PERF401 - kept at the end
    return found


def watched(
    provider: Provider,
    seconds: float,
    since: timedelta | None = None,
    **settings: Any,  # noqa: ANN401
) -> list[tuple[float, Change]]:
    """Watch a provider for so many seconds from `START` on."""

    async def main() -> list[tuple[float, Change]]:
        async with watching(provider, since, **settings) as watch:
            return await collect(watch, seconds)

    return run_fast(START, main())


def named(found: list[tuple[float, Change]]) -> list[tuple[str, str]]:
    """Name what was handed over: the kind and the leg."""
    return [(change.kind, change.cdr.uniqueid) for _, change in found]


def test_a_leg_comes_once_it_has_ended_and_again_with_its_cost() -> None:
    """A leg is new within an interval of its end, and changed within an hour of its cost."""
    provider = live(leg(60, 120, "a", cc_cost="0.50"))
    (new_at, new), (changed_at, changed) = watched(provider, 5.1 * HOUR, every=MINUTE)
    assert (new.kind, new.cdr.cc_cost, new.previous, new.tenant) == (
        "new",
        None,
        None,
        provider.tenant,
    )
    assert 180 <= new_at < 180 + 64
    assert (changed.kind, f"{changed.cdr.cc_cost}") == ("changed", "0.50")
    assert 180 + 4 * HOUR <= changed_at < 180 + 5 * HOUR + 64


@pytest.mark.parametrize("mode", ["start", "end", "overlap", "either", "within"])
@pytest.mark.parametrize("is_known", [False, True], ids=["unknown", "known"])
def test_nothing_is_missed_under_any_rule(mode: Any, *, is_known: bool) -> None:  # noqa: ANN401
    """Legs of each length, of which costs come late, are handed over whatever the dates mean."""
    lengths = [1, 60, 14 * 60, 40 * 60, 3 * HOUR, 5 * HOUR]
    rows = [leg(300 * n, length, f"{length}") for n, length in enumerate(lengths)]
    contract = None
    if is_known:
        longest = timedelta(hours=12) if mode == "within" else None
        contract = Contract(rule=mode, longest_call=longest)
    provider = live(*(row | {"cc_cost": "1"} for row in rows), filter_mode=DateRule(mode))
    if mode == "within" and not is_known:
        # Nobody can do without knowing how long a call may be.
        with pytest.raises(ContractError, match="longest_call"):
            watched(provider, 11 * HOUR, every=2 * FIVE)
        return
    found = watched(provider, 11 * HOUR, every=2 * FIVE, contract=contract)
    assert sorted(named(found)) == sorted(
        (kind, f"{length}") for length in lengths for kind in ("new", "changed")
    )
    by_end = is_known and mode in ("end", "overlap", "either")
    for at, change in found[: len(lengths)]:
        if change.kind == "new":
            length = float(change.cdr.duration or 0)
            ended = change.cdr.start.timestamp() - START + length
            limit = 630 if by_end or length <= 900 else 1250 if length <= 4 * HOUR else HOUR + 800
            assert ended <= at <= ended + limit


def test_a_request_an_interval() -> None:
    """A tenant whose day fits in few answers takes one request an interval."""

    async def main() -> Watch:
        async with watching(live(leg(60, 30, "a"))) as watch:
            await collect(watch, 3 * HOUR)
            return watch

    watch = run_fast(START, main())
    # The first look is of more windows.
    assert 0.95 * 360 < watch.requests < 1.05 * 360 + 5


@pytest.mark.parametrize("requests", [1, 20, 500])
@pytest.mark.parametrize("rule", ["start", "end"])
def test_at_most_one_and_a_half_requests_an_interval(rule: Any, requests: int) -> None:  # noqa: ANN401
    """However many requests a look at a day takes, it is 1.5 an interval on average at most."""
    contract = Contract(rule=rule)
    schedule = Schedule(timedelta(seconds=30), timedelta(days=1))
    sent, now = 0, 1e9
    for _ in range(20_000):
        plan = schedule.choose(contract, 0.0, now, now)
        took = requests if plan.is_deepest else max(1, requests // 6) if plan.tier else 1
        schedule.succeed(plan, took, now)
        sent += took
        now += 30
    assert sent <= 1.5 * 20_000 + 2 * requests
    assert schedule.requests_per_hour <= 180


def test_the_first_start_is_from_now_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """Without a position nothing of before is handed over, but what was under way then."""
    caplog.set_level(logging.INFO, "boxis_async")
    provider = live(leg(-600, 60, "before"), leg(-600, 700, "under way"), leg(30, 60, "after"))
    # They end ten seconds apart, so one look may have seen both, or the first of them alone.
    assert sorted(named(watched(provider, HOUR))) == [("new", "after"), ("new", "under way")]
    assert "it begins with the calls that end after now" in caplog.text


@pytest.mark.parametrize("by_moment", [False, True])
def test_since_looks_back(*, by_moment: bool) -> None:
    """`since` hands over the legs that ended since then, in order of time."""
    provider = live(*(leg(-600 * n, 60, f"{n}") for n in range(1, 8)))
    since: Any = timedelta(minutes=45)
    if by_moment:
        since = (datetime.fromtimestamp(START, ZONE) - since).replace(tzinfo=None)
    found = watched(provider, HOUR, since)
    assert [change.cdr.uniqueid for _, change in found] == ["4", "3", "2", "1"]


def test_an_item_is_handled_once_the_next_one_is_requested() -> None:
    """A position lacks the last item, until it is said to be handled; so it comes again."""
    provider = live(*(leg(-60 * n, 30, f"{n}") for n in (5, 4, 3, 2)))

    async def main() -> list[list[str]]:
        taken: list[list[str]] = []
        position: str | None = None
        for count, says_so in ((2, False), (1, True), (2, True)):
            async with watching(provider, timedelta(hours=1), position=position) as watch:
                taken.append([(change := await anext(watch)).cdr.uniqueid])
                for _ in range(count - 1):
                    change = await anext(watch)
                    taken[-1].append(change.cdr.uniqueid)
                if says_so:
                    watch.handled(change)
                position = watch.position
        return taken

    assert run_fast(START, main()) == [["5", "4"], ["4"], ["3", "2"]]


def test_a_gap_is_caught_up_in_order() -> None:
    """After two weeks down, all of them comes, in order, each leg once, and then what is new."""
    rows = [leg(3600 * n, 60, f"{n}") for n in range(24 * 14 + 3)]
    provider = live(*rows, cost_delay=0)
    found: list[tuple[float, Change]] = []

    async def main() -> None:
        kept = Kept()
        async with watching(provider, position=kept, every=FIVE) as watch:
            found.extend(await collect(watch, 2 * HOUR + 600))
        await asyncio.sleep(14 * 24 * HOUR)
        async with watching(provider, position=kept) as watch:
            found.extend(await collect(watch, 300))

    run_fast(START, main())
    assert [change.cdr.uniqueid for _, change in found] == [str(n) for n in range(24 * 14 + 3)]


def test_a_crash_while_catching_up_does_not_begin_anew() -> None:
    """What was caught up before a crash is not requested again."""
    provider = live(*(leg(3600 * n, 60, f"{n}") for n in range(24 * 60)), cost_delay=0)
    kept = Kept()

    async def begin() -> None:
        async with watching(provider, position=kept) as watch:
            await collect(watch, 60)

    async def crash() -> int:
        async with (
            provider.client() as http_client,
            BoxisClient(
                provider.username, provider.api_key, tenant=provider.tenant, http_client=http_client
            ) as client,
        ):
            watch = client.watch(position=kept)
            for number in range(1000):
                change = await anext(watch)
                assert change.cdr.uniqueid == f"{number}"
                await asyncio.sleep(2)
            return number

    async def again() -> tuple[str, str]:
        provider.reset()
        async with watching(provider, position=kept) as watch:
            return (await anext(watch)).cdr.uniqueid, str(provider.requests[0].datefrom)

    with fast_forward(START) as runner:
        runner.run(begin())
        runner.run(asyncio.sleep(60 * 24 * HOUR))
        assert runner.run(crash()) == 999
        first, datefrom = runner.run(again())
    # That of the crash was in hand.
    assert first == "999"
    assert datefrom > f"{datetime.fromtimestamp(START, ZONE) + timedelta(days=9):%Y-%m-%d}"


def test_an_outage_is_logged_once_at_each_end(caplog: pytest.LogCaptureFixture) -> None:
    """An outage ends nothing: it is logged when it begins and when it ends, and nothing is lost."""
    caplog.set_level(logging.INFO, "boxis_async")
    provider = live(*(leg(600 * n, 60, f"{n}") for n in range(30)), cost_delay=0)
    provider.faults = lambda _: Fault.status(503) if HOUR < time.time() - START < 3 * HOUR else None
    requests: list[float] = []
    provider.gate = noting(requests)
    found = watched(provider, 5 * HOUR, every=MINUTE)
    assert [change.cdr.uniqueid for _, change in found] == [f"{n}" for n in range(30)]
    ours = [
        record
        for record in caplog.records
        if "watch of" in record.message and "no position" not in record.message
    ]
    assert ["cannot look" in record.message for record in ours] == [True, False]
    # It begins up to a look late, and ends up to a back-off late.
    assert re.search(r"looks again, after (1:5\d|2:[0-2]\d)", ours[1].message)
    # One request in ten minutes or so, and its smallest part.
    assert sum(HOUR + 600 < at < 3 * HOUR for at in requests) < 40


def noting(requests: list[float]) -> Callable[[Received], Coroutine[Any, Any, None]]:
    """Make a gate that notes when requests come, in seconds since `START`."""

    async def gate(_: Received) -> None:
        requests.append(time.time() - START)

    return gate


def test_retry_after_is_waited_for() -> None:
    """A `Retry-After` that is longer than the back-off is kept to."""
    provider = live(leg(60, 60, "a"), cost_delay=0)
    requests: list[float] = []
    provider.gate = noting(requests)
    provider.faults = lambda _: (
        Fault.status(429, retry_after=3000) if 600 < time.time() - START < 1000 else None
    )
    watched(provider, 2.5 * HOUR, every=MINUTE)
    longest = max(after - before for before, after in pairwise(requests))
    assert 3000 <= longest < 3300
    # It is back to its interval at once.
    assert sum(at > 2 * HOUR for at in requests) > 25


def test_a_window_that_cannot_be_had_does_not_hold_up_what_is_new(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is new comes while an old window fails for good, and that one once it can be had."""
    provider = live(*(leg(1200 * n, 60, f"{n}") for n in range(3, 9)), leg(-HOUR, 2 * HOUR, "long"))
    # The deepest looks begin a day and an hour back.
    provider.faults = lambda received: (
        Fault.status(404)
        if str(received.datefrom) < "2026-10-04 18" and time.time() - START < 3 * HOUR
        else None
    )
    found = watched(provider, 3.9 * HOUR, every=MINUTE)
    new = [(change.cdr.uniqueid, at) for at, change in found if change.kind == "new"]
    assert {name for name, _ in new} == {"long", *map(str, range(3, 9))}
    for name, at in new:
        if name != "long":
            assert at < 1200 * int(name) + 60 + 130
    ours = [record for record in caplog.records if "watch of" in record.message]
    assert ["cannot look" in record.message for record in ours] == [True, False]


def test_several_tenants_in_turn() -> None:
    """Each tenant has its looks, one at a time, and a failing one holds up no other."""
    provider = Provider(
        live=True,
        cost_delay=0,
        tenants={name: [leg(60 * n, 30, f"{name}{n}") for n in range(20)] for name in "abc"},
    )
    provider.faults = lambda received: (
        Fault.refuse("unknown error") if received.parameters["tenant"] == "b" else None
    )
    looking: list[str] = []
    most = 0

    async def gate(received: Received) -> None:
        nonlocal most
        looking.append(received.parameters["tenant"])
        await asyncio.sleep(1)
        most = max(most, len(set(looking)))
        looking.remove(received.parameters["tenant"])

    provider.gate = gate
    found = watched(provider, 1500, tenants=["a", "b", "c"])
    assert sorted(change.cdr.uniqueid for _, change in found) == sorted(
        f"{name}{n}" for name in "ac" for n in range(20)
    )
    assert {change.tenant for _, change in found} == {"a", "c"}
    assert most == 1


def test_a_record_that_cannot_be_read_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A broken record keeps back no other, and is logged once, without what stands in it."""
    broken = leg(-60, 30, "broken") | {"sequence": "secret number"}
    provider = live(broken, leg(-60, 30, "whole"))
    found = watched(provider, 2 * HOUR, timedelta(hours=1))
    assert named(found) == [("new", "whole")]
    (record,) = [one for one in caplog.records if "cannot be read" in one.message]
    assert "sequence" in record.message
    assert "secret" not in caplog.text


def test_a_clock_that_is_set_back_or_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose clock is hours off, or is set, misses nothing and repeats nothing."""
    provider = live(*(leg(300 * n, 60, f"{n}") for n in range(100)), cost_delay=0)
    off = 0.0
    now = provider.clock = time.time
    monkeypatch.setattr(time, "time", lambda: now() + off)

    async def main() -> list[tuple[float, Change]]:
        nonlocal off
        async with watching(provider, every=FIVE) as watch:
            found = await collect(watch, HOUR)
            for change in (2 * HOUR, -3 * HOUR, 40 * HOUR, 0.0):
                off = change
                found += await collect(watch, 1.5 * HOUR)
            return found

    found = run_fast(START, main())
    names = [change.cdr.uniqueid for _, change in found]
    assert sorted(names, key=int) == [f"{n}" for n in range(len(names))]
    assert len(names) >= 80


@pytest.mark.parametrize("day", [date(2026, 10, 25), date(2026, 3, 29)])
@pytest.mark.parametrize("mode", ["start", "end"])
def test_nights_in_which_the_clock_changes(day: date, mode: Any) -> None:  # noqa: ANN401
    """Where the clock changes, each version of each leg comes once too."""
    world = World(day, 1, calls_per_day=300, filter_mode=mode, repairs=0)
    handed: list[Handed] = []

    async def main() -> None:
        async with world.client() as client:
            watch = client.watch(every=2 * FIVE)
            with suppress(TimeoutError):
                async with asyncio.timeout(7 * HOUR):
                    async for change in watch:
                        handed.append(Handed.of(1, change))  # noqa: PERF401 - kept at the end

    with fast_forward(world.start) as runner:
        runner.run(main())
        # Costs that have just appeared are looked at within the hour.
        found = judge(world, handed, world.start, time.time() - 700)
    assert found.twice == 0
    recent = [one for one in handed if one.kind == "new"]
    assert len(recent) == len({one.name for one in handed})
    assert found.legs <= len(recent) > 20


@pytest.mark.slow
def test_two_days_with_faults_outages_and_restarts() -> None:
    """A small version of the bench `watch_month`: nothing missed, and nothing twice."""
    world = World(DAY, 2, seed=1, faults=0.05, outages=[(20.0, 23.0)], long_legs=3, repairs=0.1)
    handed: list[Handed] = []
    kept = Kept()
    rng = random.Random(1)
    end = world.end + 24 * HOUR

    async def watch(process: int, until: float) -> None:
        async with world.client() as client:
            changes = client.watch(every=FIVE, position=kept)
            with suppress(TimeoutError):
                async with asyncio.timeout(until - time.time()):
                    async for change in changes:
                        handed.append(Handed.of(process, change))
                        await asyncio.sleep(rng.random())
            if process % 2:
                await changes.aclose()

    with fast_forward(world.start) as runner:
        process = 0
        while time.time() < end:
            process += 1
            runner.run(watch(process, min(end, time.time() + rng.uniform(HOUR, 12 * HOUR))))
            runner.run(asyncio.sleep(rng.uniform(1, HOUR)))
        world.catch_up()
        found = judge(world, handed, world.start)
    assert (found.missed, found.twice) == (0, 0)
    assert found.legs > 400
    assert process > 4


def test_what_it_says_of_itself() -> None:
    """A watch says how fresh it is, what it costs, since when it fails, and how far it is."""
    provider = live(leg(60, 30, "a"))

    async def main() -> None:
        async with watching(provider) as watch:
            assert repr(watch) == "<Watch('VOICE-29001-1', not begun, requests=0)>"
            assert watch.looked_at is watch.failing_since is None
            assert watch.freshness() == watch.freshness(timedelta(minutes=15))
            assert watch.freshness() == timedelta(seconds=31.5)
            assert watch.freshness(timedelta(minutes=16)) == timedelta(minutes=5, seconds=16.5)
            assert watch.freshness(timedelta(hours=5)) == timedelta(hours=1, seconds=16.5)
            assert watch.freshness(timedelta(hours=25)) is None
            assert watch.requests_per_hour == 120
            await collect(watch, 600)
            assert watch.looked_at is not None
            # The server tells its time in whole seconds, so it may seem a second behind.
            assert time.time() - watch.looked_at.timestamp() < 31.5 + 1
            provider.faults = lambda _: Fault.status(404)
            await collect(watch, 600)
            assert watch.failing_since is not None
            assert "live" in repr(watch)
        assert "ended" in repr(watch)
        async with watching(provider, contract=Contract(rule="overlap")) as watch:
            assert watch.freshness(timedelta(hours=25)) == timedelta(seconds=31.5)

    run_fast(START, main())


def test_waits_vary_and_grow() -> None:
    """Looks do not come in step; failures wait twice as long each time, up to ten minutes."""
    schedule = Schedule(timedelta(seconds=30), timedelta(days=1))
    contract = Contract()
    waits = set()
    for _ in range(50):
        schedule.begin(0.0)
        waits.add(schedule.due)
    assert len(waits) > 10
    assert 28.5 <= min(waits) < max(waits) <= 31.5
    plan = schedule.choose(contract, 0.0, 1e9, 0.0)
    assert plan.is_deepest
    found = [schedule.fail(plan, None, 0.0)]
    for _ in range(12):
        knock = schedule.choose(contract, 0.0, 1e9, 0.0)
        assert knock.moment - knock.begin == 60
        found.append(schedule.fail(knock, None, 0.0))
    assert 22 <= found[0] <= 38
    assert all(450 <= wait <= 750 for wait in found[6:])
    knock = schedule.choose(contract, 0.0, 1e9, 0.0)
    schedule.succeed(knock, 1, 0.0)
    plan = schedule.choose(contract, 0.0, 1e9, 0.0)
    # The deepest waits by itself, and the others see what is new.
    assert plan.tier == 1
    schedule.succeed(plan, 1, 0.0)
    assert schedule.is_failing
    plan = schedule.choose(contract, 0.0, 1e9, 100.0)
    assert plan.is_deepest
    schedule.succeed(plan, 1, 0.0)
    assert not schedule.is_failing
    assert 22 <= schedule.fail(plan, None, 0.0) <= 38
    assert schedule.fail(plan, 9e9, 0.0) == 86_400
