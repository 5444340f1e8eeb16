"""Days of a provider whose calls still happen, and what a watch of them must hand over.

Records appear when their legs end, costs hours later, and some records are repaired after that.
Requests fail by chance in every way, and for some hours all of them do. All of it follows from a
seed, so that a process that is started in the middle sees the same world.
"""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import attrs

from boxis_async import BoxisClient, Contract
from boxis_async.testing import Fault, FilterMode, Provider, generate_history

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

    from boxis_async import CDR, Change
    from boxis_async.testing import Received, TrueCall

__all__ = ["FAULTS", "Judgement", "Kept", "World", "judge"]

ZONE = ZoneInfo("Europe/Zurich")
COST_DELAY = 4 * 3600.0
HOUR = 3600.0
FAULTS = (
    *(Fault.status(status) for status in (404, 500, 502, 503, 504)),
    Fault.status(429, retry_after=90),
    Fault.html(),
    Fault.empty(),
    Fault.cut(),
    Fault.disconnect(),
    Fault.garbage(),
    Fault.out_of_memory(),
    Fault.hang(),
    Fault.refuse("internal error"),
)


@attrs.frozen
class Repair:
    """A correction of a record, at a time."""

    moment: float
    uniqueid: str
    sequence: str
    wherelanded: str


class World:
    """A provider over some days.

    Args:
        start: The first day.
        days: How many.
        calls_per_day: How many calls.
        seed: Another seed is another world.
        filter_mode: What the provider compares the dates with.
        faults: The share of requests that fail by chance.
        outages: When all fail: from and until, in hours from the start.
        repairs: The share of the records that are repaired.
        long_legs: How many legs of five to nine hours there are besides.
    """

    def __init__(  # noqa: PLR0913 - each is one property of the world
        self,
        start: date,
        days: int,
        *,
        calls_per_day: float = 120,
        seed: int = 0,
        filter_mode: FilterMode = "start",
        faults: float = 0.0,
        outages: Sequence[tuple[float, float]] = (),
        repairs: float = 0.03,
        long_legs: int = 0,
    ) -> None:
        rng = random.Random(seed)
        history = generate_history(
            start, start + timedelta(days=days), calls_per_day=calls_per_day, seed=seed
        )
        self.calls: Sequence[TrueCall] = history.calls
        self.rows = history.rows + _long_legs(rng, start, days, long_legs)
        self.start = datetime(start.year, start.month, start.day, tzinfo=ZONE).timestamp()
        self.end = self.start + days * 24 * HOUR
        self.requests = 0
        self.failed = 0
        self._faults = faults
        self._outages = [(self.start + a * HOUR, self.start + b * HOUR) for a, b in outages]
        self._rng = random.Random(seed + 1)
        self.provider = Provider(
            self.rows,
            live=True,
            cost_delay=COST_DELAY,
            filter_mode=filter_mode,
            faults=self._fault,
            clock_tolerance=1e9,
        )
        self._repairs = sorted(
            (
                Repair(
                    ended_at(row) + rng.uniform(60, 18 * HOUR),
                    str(row["uniqueid"]),
                    str(row["sequence"]),
                    f"repaired {number}",
                )
                for number, row in enumerate(self.rows)
                if rng.random() < repairs
            ),
            key=lambda repair: repair.moment,
        )
        self._repaired = 0

    @asynccontextmanager
    async def client(self, **settings: Any) -> AsyncIterator[BoxisClient]:  # noqa: ANN401
        """Be a client of the provider, which knows whether the filter goes by ends."""
        provider = self.provider
        contract = Contract(rule="end") if provider.filter_mode == "end" else None
        async with (
            provider.client() as http_client,
            BoxisClient(
                provider.username,
                provider.api_key,
                **{
                    "tenant": provider.tenant,
                    "http_client": http_client,
                    "contract": contract,
                    **settings,
                },
            ) as client,
        ):
            yield client

    def catch_up(self) -> None:
        """Repair what is to be repaired by now."""
        now = time.time()
        while self._repaired < len(self._repairs):
            repair = self._repairs[self._repaired]
            if repair.moment > now:
                return
            self.provider.change(
                {"wherelanded": repair.wherelanded},
                uniqueid=repair.uniqueid,
                sequence=repair.sequence,
            )
            self._repaired += 1

    @property
    def outages(self) -> list[tuple[float, float]]:
        """When all requests fail, in Unix seconds."""
        return self._outages

    def is_out(self, moment: float) -> bool:
        """Report whether all requests fail."""
        return any(begin <= moment < end for begin, end in self._outages)

    def _fault(self, _: Received) -> Fault | None:
        self.requests += 1
        # A month of requests would fill the memory.
        if len(self.provider.requests) > 1000:
            self.provider.reset()
        self.catch_up()
        if self.is_out(time.time()) or self._rng.random() < self._faults:
            self.failed += 1
            return self._rng.choice(FAULTS)
        return None

    def final(self) -> Iterator[tuple[tuple[str, str], float, float, tuple[str, str]]]:
        """List each leg that has ended: its name, its end, its length, and how it is by now."""
        for row in self.provider.select():
            end = ended_at(row)
            start = datetime.fromisoformat(str(row["start"])).replace(tzinfo=ZONE).timestamp()
            name = str(row["uniqueid"]), str(row["sequence"])
            yield name, end, end - start, (str(row["cc_cost"] or ""), str(row["wherelanded"] or ""))


def ended_at(row: dict[str, str | None]) -> float:
    """Give when a record appears; in the hour that comes twice, as its uniqueid and length say."""
    local = datetime.fromisoformat(str(row["end"])).replace(tzinfo=ZONE)
    first, second = local.timestamp(), local.replace(fold=1).timestamp()
    if first == second:
        return first
    start = datetime.fromisoformat(str(row["start"])).replace(tzinfo=ZONE)
    epoch = int(str(row["uniqueid"]).rpartition("-")[2].partition(".")[0])
    begins = [moment.timestamp() for moment in (start, start.replace(fold=1))]
    begin = min((one for one in begins if one >= epoch), default=begins[-1])
    length = int(row["duration"] or 0)
    return min((first, second), key=lambda one: abs(one - begin - length))


def _long_legs(
    rng: random.Random, start: date, days: int, count: int
) -> list[dict[str, str | None]]:
    made: list[dict[str, str | None]] = []
    for number in range(count):
        begin = datetime(start.year, start.month, start.day) + timedelta(  # noqa: DTZ001
            seconds=rng.randrange(int((days * 24 - 10) * HOUR))
        )
        length = rng.randrange(int(4.5 * HOUR), int(9 * HOUR))
        epoch = int(begin.replace(tzinfo=ZONE).timestamp())
        name = f"sip099.voice.boxis.net-{epoch}.{number}"
        made.append(
            {
                "uniqueid": name,
                "linkedid": name,
                "sequence": "1",
                "start": f"{begin}",
                "answer": f"{begin}",
                "end": f"{begin + timedelta(seconds=length)}",
                "duration": str(length),
                "billsec": str(length),
                "disposition": "ANSWERED",
                "dstchannel": "SIP/201-0001",
                "src": "0041445550123",
                "dst": "201",
                "userfield": "[local]",
                "cc_cost": "0.50",
                "wherelanded": "",
            }
        )
    return made


class Kept:
    """A position in memory: what a file would hold after a crash."""

    def __init__(self) -> None:
        self.text: str | None = None
        self.saves = 0

    async def load(self) -> str | None:
        return self.text

    async def save(self, position: str, changes: Sequence[Change]) -> None:  # noqa: ARG002
        self.text = position
        self.saves += 1

    async def previous(self, tenant: str, cdrs: Sequence[CDR]) -> dict[tuple[str, ...], CDR]:  # noqa: ARG002
        return {}

    def release(self) -> None:
        pass


@attrs.frozen
class Handed:
    """One hand-over."""

    process: int
    moment: float
    name: tuple[str, str]
    kind: str
    version: tuple[str, str]

    @classmethod
    def of(cls, process: int, change: Change) -> Handed:
        """Note a change."""
        cdr = change.cdr
        cost = "" if cdr.cc_cost is None else f"{cdr.cc_cost}"
        name = cdr.uniqueid, str(cdr.sequence)
        return cls(process, time.time(), name, change.kind, (cost, cdr.wherelanded))


@attrs.frozen(kw_only=True)
class Judgement:
    """What a watch did, against what it had to do."""

    legs: int
    handed: int
    missed: int
    twice: int
    """Within one process."""
    again: int
    """After a crash."""
    delays: dict[str, list[float]]
    """Seconds from hang-up to hand-over, by how long the leg was."""


def judge(
    world: World,
    handed: Iterable[Handed],
    since: float,
    until: float = float("inf"),
    down: Sequence[tuple[float, float]] = (),
) -> Judgement:
    """Compare what was handed over with what there is by now.

    Args:
        world: What there is.
        handed: What was handed over, in order.
        since: Legs that ended before do not count.
        until: Neither do legs that ended after.
        down: When nobody watched: the delays of legs that ended then say nothing.
    """
    last: dict[tuple[str, str], Handed] = {}
    first: dict[tuple[str, str], Handed] = {}
    twice = again = count = 0
    for one in handed:
        count += 1
        before = last.get(one.name)
        if before is not None and before.version == one.version:
            twice += before.process == one.process
            again += before.process != one.process
        last[one.name] = one
        first.setdefault(one.name, one)
    legs = missed = 0
    delays: dict[str, list[float]] = defaultdict(list)
    for name, end, length, version in world.final():
        if not since <= end < until:
            continue
        legs += 1
        if name not in last or last[name].version != version:
            missed += 1
        else:
            tier = "15 min" if length <= 900 else "4 h" if length <= 4 * HOUR else "longer"
            if not any(begin <= end < back for begin, back in down):
                delays[tier].append(first[name].moment - end)
    return Judgement(
        legs=legs, handed=count, missed=missed, twice=twice, again=again, delays=dict(delays)
    )


def kinds(handed: Iterable[Handed]) -> Counter[str]:
    """Count hand-overs by kind."""
    return Counter(one.kind for one in handed)


def of_json(values: dict[str, Any]) -> Handed:
    """Read a hand-over that another process wrote."""
    return Handed(
        values["process"], values["moment"], tuple(values["name"]), values["kind"],
        tuple(values["version"]),
    )  # fmt: skip
