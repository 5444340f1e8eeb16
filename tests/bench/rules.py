"""Whatever a server's two dates mean, and wherever it cuts answers off: is any record lost?

A small server of its own, which shares no code with the package or its stand-in, follows each of
the twenty rules, by texts or by moments, and cuts answers off at either end. A client that knows
nothing of it streams random calls, on a plain day or on one of a clock change, and is stopped and
resumed at random. A run is equal to what one request would give, or it raises; then nothing may
be missing between the windows that were handed over before. An honest server raises no error but
where no request could show that an answer is whole, see `tests/support/crowds.py`.

`python tests/bench/rules.py --seconds 600 streams caps` runs these parts for so long together;
without names all four do: `streams`, `caps` (`--caps 33333` for these alone), `honest` (requests
more on an honest server, and tenants that are one crowd) and `probe` (its requests and verdicts).
Prints a table each, and exits with 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import attrs
import httpx

sys.path[:0] = [str(Path(__file__).parents[1] / "support"), str(Path(__file__).parents[2])]

from crowds import RULES, Rule, can_be_proved  # noqa: E402 - found by the path above
from resumes import is_within, kept  # noqa: E402 - likewise

from boxis_async import (  # noqa: E402 - likewise
    Batch,
    BoxisClient,
    BoxisError,
    Contract,
    ContractError,
    Coverage,
    RetryPolicy,
    Window,
    WindowError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from boxis_async.types import Order

ZURICH = ZoneInfo("Europe/Zurich")
DAYS = (datetime(2025, 10, 15), datetime(2025, 10, 26), datetime(2025, 3, 30))  # noqa: DTZ001 - wall
DAY = timedelta(days=1)
ORDERS: tuple[Order, ...] = ("time", "completion")
WINDOWS = (None, timedelta(minutes=17), timedelta(hours=1), DAY)
LENGTHS = {
    "none": (0,),
    "seconds": (0, 0, 1, 1, 2, 3),
    "mixed": (0, 1, 2, 10, 30, 60, 120, 300, 900),
    "long": (0, 5, 60, 600, 3600, 7200),
}
# Of which seconds about noon calls start in one, and how long they take.
CROWDS: dict[str, tuple[Sequence[int], Sequence[int]]] = {
    "without length": (range(3600), (0,)),
    "of a second, or none": (range(3600), (0, 1)),
    "of a second": (range(3600), (1,)),
    "all in one second": ((0,), (60, 90, 300)),
    "all in one second, alike": ((0,), (60,)),
    "all at the same time": (range(60), (7200,)),
    "in two neighbouring seconds": ((0, 1), (60,)),
    "in three neighbouring seconds": ((0, 1, 2), (0, 60, 90)),
    "in two seconds, of none": ((0, 1), (0,)),
}
CAPS = (100, 500, 1000, 10_000, 33_333)
PARTS = ("streams", "caps", "honest", "probe")
ONCE = RetryPolicy(attempts=1)


@attrs.frozen
class Record:
    """One call, as the server has it."""

    start: str
    end: str
    key: str

    @cached_property
    def text(self) -> str:
        """It as JSON, written once, as servers of several cases have it."""
        return (
            f'{{"uniqueid":"{self.key}","sequence":"1","start":"{self.start}",'
            f'"answer":"{self.start}","end":"{self.end}","disposition":"ANSWERED"}}'
        )


def wall(moment: float) -> str:
    return datetime.fromtimestamp(moment, ZURICH).strftime("%Y-%m-%d %H:%M:%S")


def moment(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZURICH).timestamp())


def text_order(text: str) -> int:
    """Give a number for a time, by which times have the order of their texts."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def drawn(
    rng: random.Random, day: datetime, seconds: int, count: int, lengths: str
) -> list[Record]:
    """Draw calls within some seconds of a day; their keys have no moment in them."""
    base = day.replace(tzinfo=ZURICH).timestamp()
    records: list[Record] = []
    for number in range(count):
        start = base + rng.randrange(seconds)
        end = start + rng.choice(LENGTHS[lengths])
        records.append(Record(wall(start), wall(end), f"v-{int(start)}.{number}"))
    return records


def crowd(rng: random.Random, day: datetime, kind: str) -> list[Record]:
    """Draw more than a hundred calls that hardly differ in time, about the noon of a day."""
    starts, lengths = CROWDS[kind]
    noon = int((day.replace(tzinfo=ZURICH) + DAY / 2).timestamp())
    records: list[Record] = []
    for number in range(rng.choice([101, 150, 400])):
        start = noon + rng.choice(starts)
        records.append(Record(wall(start), wall(start + rng.choice(lengths)), f"c-{number}.1"))
    return records


def is_provable(rule: Rule, records: Iterable[Record]) -> bool:
    """Say whether any request shows that an answer of all calls of a tenant is not cut off."""
    return can_be_proved(rule, [(text_order(one.start), text_order(one.end)) for one in records])


@attrs.define(kw_only=True)
class Server:
    """Answers windows by one of the rules, and cuts answers off."""

    records: Sequence[Record]
    rule: Rule
    by_moments: bool = False
    cap: int | None = None
    keeps_last: bool = False
    sorts_by_end: bool = False
    requests: int = 0
    _rows: list[tuple[int, int, Record]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        records = list(self.records)
        if self.cap is not None:
            records.sort(key=lambda record: record.end if self.sorts_by_end else record.start)
        time_of = moment if self.by_moments else text_order
        self._rows = [(time_of(one.start), time_of(one.end), one) for one in records]

    def whole(self, first: str, last: str) -> list[Record]:
        """Select what one request to a server without limits gives."""
        by, include_from, include_to = self.rule
        time_of = moment if self.by_moments else text_order
        # All times are whole seconds, so that to exclude a date is to begin a second behind it.
        a, b = time_of(first) + (not include_from), time_of(last) - (not include_to)
        match by:
            case "start":
                return [one for s, _, one in self._rows if a <= s <= b]
            case "end":
                return [one for _, e, one in self._rows if a <= e <= b]
            case "overlap":
                return [one for s, e, one in self._rows if s <= b and a <= e]
            case "either":
                return [one for s, e, one in self._rows if a <= s <= b or a <= e <= b]
            case _:
                return [one for s, e, one in self._rows if a <= s and e <= b]

    async def answer(self, request: httpx.Request) -> httpx.Response:
        form = parse_qs(request.content.decode(), keep_blank_values=True)
        found = self.whole(form["datefrom"][0], form["dateto"][0])
        self.requests += 1
        if self.cap is not None:
            found = found[-self.cap :] if self.keeps_last else found[: self.cap]
        rows = ",".join(f'"call_{n}":{record.text}' for n, record in enumerate(found, 1))
        params = f'{{"cdr":{{{rows}}}}}' if found else '{"cdr":[]}'
        body = f'{{"result":"1","resulttxt":"","params":{params},"timestamp":{int(time.time())}}}'
        await asyncio.sleep(0)
        return httpx.Response(200, content=body.encode())

    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.answer))


@attrs.define
class Outcome:
    """What one run came to."""

    what: str
    """Equal, raised, or what was wrong."""
    requests: int
    records: int


def judge(
    expected: Iterable[Record],
    found: Sequence[str],
    done: Sequence[Window],
    error: BoxisError | None,
) -> str:
    """Compare what was handed over with what is right."""
    counts = Counter(found)
    keys = {record.key for record in expected}
    if any(count > 1 for count in counts.values()):
        return "WRONG: handed over twice"
    if counts.keys() - keys:
        return "WRONG: more than one request gives"
    if error is None:
        return "equal" if counts.keys() == keys else "WRONG: lost"
    if not isinstance(error, (ContractError, WindowError)):
        return f"WRONG: {error!r}"
    # What a record follows that was handed over; windows without any say nothing of calls over
    # their boundaries.
    latest = max((record.start for record in expected if record.key in counts), default="")
    within = [
        record
        for record in expected
        if record.end < latest
        and any(f"{span.start}" < record.start and record.end < f"{span.end}" for span in done)
    ]
    lost = {record.key for record in within} - counts.keys()
    return "WRONG: lost before it raised" if lost else "raised"


def merged(windows: Iterable[Window]) -> list[Window]:
    """Join windows that overlap, as nothing may be missing over their boundaries either."""
    spans: list[Window] = []
    for window in sorted(windows, key=lambda window: str(window.start)):
        last = spans[-1] if spans else None
        if last and last.end and window.start and window.end and window.start <= last.end:
            spans[-1] = Window(last.start, max(last.end, window.end))
        else:
            spans.append(window)
    return spans


async def run(  # noqa: PLR0913 - each is one choice of a case
    server: Server,
    first: datetime,
    last: datetime,
    *,
    window: timedelta | None,
    order: Order,
    cuts: Sequence[int] = (),
    contract: Contract | None = None,
) -> Outcome:
    """Stream a range, stopped after so many windows and resumed; each run knows nothing."""
    found: list[str] = []
    done: list[Window] = []
    error: BoxisError | None = None
    resume: Coverage | None = None
    for cut in (*cuts, None):
        batches: list[Batch] = []
        async with (
            server.http() as http_client,
            BoxisClient(
                "a@b.ch", "key", tenant="T", http_client=http_client, contract=contract, retry=ONCE
            ) as client,
        ):
            stream = client.cdrs(
                first, last, window=window, order=order, unique_by="leg", resume=resume
            )
            try:
                async for batch in stream.batches():
                    batches.append(batch)
                    if len(batches) == cut:
                        break
            except BoxisError as raised:
                error = raised
            await stream.aclose()
            resume = stream.coverage
        if cut is None or error is not None:
            found += [cdr.uniqueid for batch in batches for cdr in batch.cdrs]
            done += [batch.window for batch in batches]
            break
        found += [cdr.uniqueid for cdr in kept(batches, resume)]
        done += [
            batch.window
            for batch in batches
            if any(is_within(batch.window, span) for span in resume.sealed)
        ]
    spans = merged(done) if order == "time" else done
    expected = server.whole(f"{first}", f"{last}")
    return Outcome(judge(expected, found, spans, error), server.requests, len(found))


class Table:
    """How many runs of each kind came to what."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.rows: dict[str, Counter[str]] = {}
        self.requests = self.records = 0

    def add(self, row: str, outcome: Outcome, case: object) -> None:
        self.rows.setdefault(row, Counter())[outcome.what] += 1
        self.requests += outcome.requests
        self.records += outcome.records
        if outcome.what.startswith("WRONG"):
            print(f"{outcome.what}: {case}", flush=True)

    def show(self) -> bool:
        """Print it, and say whether all was right."""
        runs = Counter[str]()
        print(f"\n{self.title}")
        for row, counts in self.rows.items():
            runs += counts
            print(f"  {row:<46}", ", ".join(f"{n:,} {what}" for what, n in counts.most_common()))
        print(
            f"  {runs.total():,} runs, {self.requests:,} requests, {self.records:,} records handed "
            "over"
        )
        return not any(what.startswith("WRONG") for what in runs)


def named(rule: Rule) -> str:
    by, include_from, include_to = rule
    return f"{'a <=' if include_from else 'a <'} {by} {'<= b' if include_to else '< b'}"


async def streams(seconds: float) -> bool:
    """Run every rule, in both orders, in four kinds of windows, stopped at random."""
    table = Table("streams: every rule, both orders, windows sized by the client, 17 min, 1 h, 1 d")
    kinds = Counter[str]()
    until = time.monotonic() + seconds
    for seed in range(sys.maxsize):
        for rule, order, window in product(RULES, ORDERS, WINDOWS):
            rng = random.Random(f"{seed} {rule} {order} {window}")
            day = rng.choice(DAYS)
            span = rng.choice([1800, 7200, 4 * 3600, 86400])
            count = rng.choice([0, 1, 2, 3, 10, 30, 120, 300])
            lengths = rng.choice(list(LENGTHS))
            records = drawn(rng, day, span, count, lengths)
            if rng.random() < 0.2:
                lengths, span = rng.choice(list(CROWDS)), 86400
                records = crowd(rng, day, lengths)
            may_raise = rule[0] == "within"
            if lengths in CROWDS and rng.random() < 0.5:
                may_raise |= not is_provable(rule, records)
            else:
                # A tenant has had other calls: the largest answer shows that none is cut off.
                records += drawn(rng, day - 400 * DAY, 86400, 2, "mixed")
            server = Server(records=records, rule=rule, by_moments=rng.random() < 0.3)
            cuts = [rng.randrange(6) for _ in range(rng.choice([0, 1, 2, 4]))]
            first = day + timedelta(seconds=rng.choice([0, 0, span // 3, -600]))
            last = day + timedelta(seconds=rng.choice([span, span, span * 2 // 3, span + 600]))
            outcome = await run(server, first, last, window=window, order=order, cuts=cuts)
            case = (seed, named(rule), order, window, day, span, count, lengths, cuts)
            table.add(named(rule), outcome, case)
            if lengths in CROWDS:
                kinds[f"{lengths}: {outcome.what}"] += 1
            if outcome.what == "raised" and not may_raise:
                table.add("false alarms", Outcome("WRONG: false alarm", 0, 0), case)
            if time.monotonic() > until:
                is_right = table.show()
                print("  of these, more than a hundred calls that hardly differ in time")
                for kind, count in sorted(kinds.items()):
                    print(f"    {kind:<42} {count}")
                return is_right
    return True


async def caps(seconds: float, chosen: Sequence[int] = CAPS) -> bool:
    """Run every rule on servers that cut answers off, with twice to three times as many calls."""
    table = Table("caps: every rule, the first or the last, sorted by start or by end")
    until = time.monotonic() + seconds
    windows = (None, timedelta(hours=6), DAY, 2 * DAY)
    kinds = list(product(RULES, (False, True), chosen))
    # Each kind once, with one of the windows, then each with the next one. Shuffled, so that each
    # part of the time has some of all.
    random.Random(0).shuffle(kinds)
    cases = [
        (*kind, windows[(number + turn) % len(windows)])
        for turn in range(len(windows))
        for number, kind in enumerate(kinds)
    ]
    first, last = DAYS[0], DAYS[0] + 2 * DAY
    calls = {
        cap: drawn(random.Random(cap), DAYS[0], 2 * 86400, int(2.7 * cap), "mixed")
        for cap in chosen
    }
    seen = Counter[str]()
    for rule, keeps_last, cap, window in cases:
        rng = random.Random(f"{rule} {keeps_last} {cap} {window}")
        server = Server(
            records=calls[cap],
            rule=rule,
            cap=cap,
            keeps_last=keeps_last,
            sorts_by_end=rng.random() < 0.5,
        )
        contract = None
        if rule[0] == "within" and rng.random() < 0.7:
            contract = Contract(rule="within", longest_call=timedelta(minutes=31))
        order = rng.choice(ORDERS)
        outcome = await run(server, first, last, window=window, order=order, contract=contract)
        row = "within, longest_call known" if contract else rule[0]
        case = (cap, named(rule), keeps_last, window, contract)
        table.add(f"{cap:>6,} {row}", outcome, case)
        kept = "the last" if keeps_last else "the first"
        length = "sized by the client" if window is None else f"of {window}"
        for part in (f"rule {named(rule)}", f"end {kept}", f"windows {length}"):
            seen[part] += 1
        if time.monotonic() > until:
            break
    table.rows = dict(sorted(table.rows.items()))
    print(f"\n{seen.total() // 3} of {len(cases)} cases:")
    for part, count in sorted(seen.items()):
        print(f"  {part:<34} {count}")
    return table.show()


@attrs.define(kw_only=True)
class Honest(Server):
    """Many calls, made up when they are asked for."""

    starts: Sequence[int]
    """Seconds after `DAYS[0]`, in order."""

    def whole(self, first: str, last: str) -> list[Record]:
        low, high = (
            int((datetime.fromisoformat(text) - DAYS[0]).total_seconds()) for text in (first, last)
        )
        chosen = range(bisect_left(self.starts, low), bisect_right(self.starts, high))
        return [self._record(number) for number in chosen]

    def _record(self, number: int) -> Record:
        start = DAYS[0] + timedelta(seconds=self.starts[number])
        return Record(f"{start}", f"{start + timedelta(seconds=number % 200)}", f"v-{number}.1")


async def honest(seconds: float) -> bool:
    """Count the requests of a client that knows nothing, beside one that knows all."""
    print("\nhonest: requests with guards, and without")
    rng = random.Random(1)
    days = 120
    most = 1_000_000 if seconds > 60 else 100_000
    starts = sorted(rng.randrange(days * 86400) for _ in range(most))
    known = Contract(rule="start", no_cap_up_to=10**9)
    small = [(DAYS[0] + DAY, DAYS[0] + DAY + timedelta(minutes=30))]
    lives = [(DAYS[0] + day * DAY, DAYS[0] + day * DAY + timedelta(hours=3)) for day in range(100)]
    ranges: dict[str, list[tuple[datetime, datetime]]] = {
        "a range of half an hour": small,
        f"{most:,} records": [(DAYS[0], DAYS[0] + days * DAY)],
        "a client of 100 ranges": lives,
    }
    is_right = True
    for name, spans in ranges.items():
        counts: list[int] = []
        for contract in (None, known):
            server = Honest(starts=starts, records=(), rule=("start", True, True))
            records = 0
            async with (
                server.http() as http_client,
                BoxisClient(
                    "a@b.ch", "key", tenant="T", http_client=http_client, contract=contract
                ) as client,
            ):
                for first, last in spans:
                    stream = client.cdrs(first, last)
                    async for _ in stream:
                        records += 1
            counts.append(server.requests)
            is_right &= records == sum(
                bisect_right(starts, int((last - DAYS[0]).total_seconds()))
                - bisect_left(starts, int((first - DAYS[0]).total_seconds()))
                for first, last in spans
            )
        more = 100 * (counts[0] - counts[1]) / counts[1]
        print(f"  {name:<28} {counts[0]:>6,} {counts[1]:>6,}  {more:+.1f} %")
    return is_right & await crowds()


async def crowds() -> bool:
    """Stream tenants whose whole history is one large answer, and such with a call far away."""
    table = Table(
        "honest: calls that hardly differ in time; each kind by every rule, in one window"
    )
    counts: list[int] = []
    for kind, has_others, rule in product(CROWDS, (False, True), RULES):
        rng = random.Random(f"{kind} {has_others} {rule}")
        records = crowd(rng, DAYS[0], kind)
        is_decided = has_others or is_provable(rule, records)
        if has_others:
            records += drawn(rng, DAYS[0] - 400 * DAY, 86400, 2, "mixed")
        server = Server(records=records, rule=rule)
        outcome = await run(server, DAYS[0], DAYS[0] + DAY, window=DAY, order="time")
        if is_decided != (outcome.what == "equal"):
            outcome.what = f"WRONG: {'false alarm' if is_decided else 'not proved'}"
        elif outcome.what == "raised":
            outcome.what = "raised, as no request shows more"
        counts.append(server.requests)
        others = "and others" if has_others else "and no others"
        table.add(f"{kind}, {others}", outcome, (kind, has_others, named(rule)))
    is_right = table.show()
    print(f"  requests (least, median, most): {min(counts)}, {median(counts):g}, {max(counts)}")
    return is_right


async def probe(seconds: float) -> bool:
    """Probe each rule on tenants with many calls and few, with a cap and without."""
    print("\nprobe: requests (least, median, most), and how many of the rules were decided")
    until = time.monotonic() + seconds
    tenants = (
        ("busy", 900, 8, None),
        ("middling", 120, 40, None),
        ("quiet", 3, 420, None),
        ("cut at 200", 900, 8, 200),
    )
    is_right = True
    for name, per_day, days, cap in tenants:
        rng = random.Random(5)
        records = drawn(rng, DAYS[0] - days * DAY, days * 86400, per_day * days, "mixed")
        counts: list[int] = []
        verdicts = Counter[str]()
        for rule in RULES:
            server = Server(records=records, rule=rule, cap=cap)
            async with (
                server.http() as http_client,
                BoxisClient("a@b.ch", "key", tenant="T", http_client=http_client) as client,
            ):
                contract = await client.probe(around=DAYS[0] - 2 * DAY + timedelta(hours=15))
            counts.append(server.requests)
            found = contract.rule, contract.include_from, contract.include_to
            verdict = "decided" if found == rule else "unknown"
            if any(value not in (None, wanted) for value, wanted in zip(found, rule, strict=True)):
                verdict = "WRONG"
            is_cap_right = contract.row_cap in (None, cap) and (
                cap is None or contract.no_cap_up_to <= cap
            )
            verdicts[verdict if is_cap_right else "WRONG cap"] += 1
            if time.monotonic() > until:
                break
        is_right &= not any(verdict.startswith("WRONG") for verdict in verdicts)
        said = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
        spread = f"{min(counts)}, {median(counts):g}, {max(counts)}"
        print(f"  {name:<10} {spread:<12} {said}", flush=True)
    return is_right


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--seconds", type=float, default=240, help="for all parts together")
    parser.add_argument("--caps", type=int, nargs="+", default=CAPS, help="only these, in caps")
    arguments = parser.parse_args()
    chosen = arguments.parts or PARTS
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    logging.disable(logging.CRITICAL)
    parts: dict[str, Callable[[float], object]] = {
        "streams": streams, "caps": partial(caps, chosen=arguments.caps), "honest": honest,
        "probe": probe,
    }  # fmt: skip
    is_right = True
    for name in chosen:
        is_right &= asyncio.run(parts[name](arguments.seconds / len(chosen)))  # type: ignore[arg-type]
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
