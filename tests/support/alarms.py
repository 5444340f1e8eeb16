"""What a watch by calls says of missed calls, against what happened."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import attrs

from boxis_async import CallChange
from boxis_async._watch.call_feed import CallFeed
from boxis_async._watch.position import Handled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from watched import World

    from boxis_async import CDR
    from boxis_async._watch.leg_feed import Item, Whole
    from boxis_async._wire.cooperative import Steps
    from boxis_async.types import WatchCertainty

_STILL_TO_COME = 7200.0

__all__ = ["Alarms", "alarms", "alarms_of_a_watch", "judge_alarms"]


@attrs.frozen(kw_only=True)
class Alarms:
    """Alarms of missed calls."""

    missed: int
    """Calls that were missed."""
    false: int
    """Alarms of calls that were answered after all."""
    falsely_sure: int
    """Those of them that were to be sure."""
    sure: int
    """Right alarms that were sure at once."""
    absent: int
    """Missed calls without an alarm."""
    doubled: int
    """Missed calls with a further alarm that is new again."""
    corrected: int
    """False alarms that were followed by a change to answered."""
    delays: list[float]
    """Seconds from the end of each missed call to its alarm."""


class _ManyQuietTimes:
    """Makes calls of the same looks by several quiet times, each as a watch of its own would."""

    def __init__(
        self, quiet: Sequence[timedelta], certainty: WatchCertainty, handled: Handled
    ) -> None:
        self.found: list[list[tuple[float, CallChange]]] = [[] for _ in quiet]
        self._handled = [
            Handled(tenants={name: attrs.evolve(one) for name, one in handled.tenants.items()})
            for _ in quiet
        ]
        self._feeds = [
            CallFeed(
                handled,
                quiet=one,
                settle=timedelta(days=1),
                certainty=certainty,
                reached=None,
                country="CH",
            )
            for one, handled in zip(quiet, self._handled, strict=True)
        ]

    def take(self, tenant: str, cdrs: Sequence[CDR], whole: Whole | None) -> Steps[list[Item]]:
        for number, feed in enumerate(self._feeds):
            self._hand_over(number, (yield from feed.take(tenant, cdrs, whole)))
        return []

    def finish(self, tenant: str, whole: Whole) -> Steps[list[Item]]:
        for number, feed in enumerate(self._feeds):
            self._hand_over(number, (yield from feed.finish(tenant, whole)))
        return []

    def _hand_over(self, number: int, items: list[Item]) -> None:
        for item in items:
            assert isinstance(item.change, CallChange)
            self.found[number].append((time.time(), item.change))
            seen = self._handled[number].tenants[item.tenant].seen
            for mark in item.marks:
                seen.note(mark.leg, mark.version, mark.last)
            self._feeds[number].handle(item)

    def handle(self, item: Item) -> None:
        raise AssertionError(item)

    def floor(self, tenant: str, floor: float) -> float:
        lowest = min(feed.floor(tenant, floor) for feed in self._feeds)
        for handled in self._handled:
            handled.tenants[tenant].floor = lowest
        return lowest

    def forget_before(self, tenant: str, moment: float) -> None:
        for feed, handled in zip(self._feeds, self._handled, strict=True):
            feed.forget_before(tenant, moment)
            handled.tenants[tenant].seen.forget_before(moment)


async def alarms(
    world: World,
    quiet: Sequence[timedelta],
    every: timedelta,
    until: float,
    certainty: WatchCertainty = "probably",
) -> list[Alarms]:
    """Watch by calls until a moment, by each quiet time, and judge the alarms."""
    feeds: list[_ManyQuietTimes] = []
    begin = time.time()
    async with world.client() as client, client.watch(every=every) as watch:
        watch._watcher.feed_with(  # noqa: SLF001 - seven watches would take seven times as long
            lambda handled: feeds.append(_ManyQuietTimes(quiet, certainty, handled)) or feeds[0]
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(until - time.time()):
                await anext(watch)
    return [judge_alarms(world, found, begin, until) for found in feeds[0].found]


async def alarms_of_a_watch(
    world: World, quiet: timedelta, every: timedelta, until: float
) -> Alarms:
    """Watch by calls until a moment, as a program would, and judge the alarms."""
    found: list[tuple[float, CallChange]] = []
    begin = time.time()
    async with world.client() as client, client.watch(every=every).calls(quiet=quiet) as changes:
        with suppress(TimeoutError):
            async with asyncio.timeout(until - time.time()):
                async for change in changes:
                    found.append((time.time(), change))  # noqa: PERF401 - kept after the time-out
    return judge_alarms(world, found, begin, until)


def judge_alarms(
    world: World, found: list[tuple[float, CallChange]], since: float, until: float
) -> Alarms:
    """Judge alarms by what happened in the calls that began since a moment.

    Of those that ended in the two hours before the last moment, alarms may still come.
    """
    truth_of = {
        (str(leg["uniqueid"]), str(leg["sequence"])): number
        for number, call in enumerate(world.calls)
        for leg in call.legs
    }
    first: dict[int, float] = {}
    false: set[int] = set()
    falsely_sure = sure = doubled = 0
    corrected: set[int] = set()
    for moment, change in found:
        leg = change.call.legs[0]
        number = truth_of.get((leg.uniqueid, str(leg.sequence)))
        if number is None:
            continue
        truth = world.calls[number]
        if change.call.missed and (change.previous is None or not change.previous.missed):
            if not truth.missed:
                false.add(number)
                falsely_sure += change.certainty == "surely"
            elif number in first:
                doubled += 1
            else:
                first[number] = moment
                sure += change.certainty == "surely"
        elif number in false and change.kind == "changed" and change.call.answered:
            corrected.add(number)
    missed = {
        number
        for number, call in enumerate(world.calls)
        if call.missed
        and call.start.timestamp() >= since
        and call.end.timestamp() < until - _STILL_TO_COME
    }
    return Alarms(
        missed=len(missed),
        false=len(false),
        falsely_sure=falsely_sure,
        sure=sure,
        absent=len(missed - first.keys()),
        doubled=doubled,
        corrected=len(corrected),
        delays=[first[number] - world.calls[number].end.timestamp() for number in first],
    )
