"""A million legs into calls: microseconds a leg, and what is kept beside the legs.

The floor is a dict that groups the same legs by `linkedid` and judges nothing. The legs come in
order of time, and shuffled; in order of time they also go through what `CDRStream.calls` closes
calls with, which keeps the open ones alone. The legs are of two exchanges, with queues, hops,
voicemail boxes and relays, so that each rule has work. Exits with 1 above the goals.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import time
import tracemalloc
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from boxis_async import CDR, Disposition, group_calls
from boxis_async._calls.open_calls import OpenCalls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ZURICH = ZoneInfo("Europe/Zurich")
START = datetime(2026, 1, 5, 8, tzinfo=ZURICH)
SECOND = timedelta(seconds=1)
HERE, THERE = "sip022.voice.boxis.net", "sip046.voice.boxis.net"
TRACED = 100_000
GOAL = 60.0
"""Microseconds a leg, of processor time, on a machine that others use too."""


def legs_of(number: int) -> list[CDR]:
    """Make the legs of one call: answered, rung out, in a queue, boxed, or over two exchanges."""
    start = START + number * SECOND
    epoch = int(start.timestamp())
    caller = f"00414455{number % 50_000:05}"
    name = f"{HERE}-{epoch}.{number}"

    def leg(begin: int, end: int, sequence: int, **fields: object) -> CDR:
        shared: dict[str, object] = {
            "uniqueid": name,
            "linkedid": name,
            "clid": f'"Caller {number % 50_000}" <{caller}>',
            "src": caller,
            "dst": "201",
            "firstdst": "0445550100",
            "userfield": "[inbound]",
            "channel": f"SIP/Inbound-{number:08x}",
            "disposition": Disposition.NO_ANSWER,
            "sequence": number * 8 + sequence,
            "cc_cost": Decimal("0.05000"),
            "lastapp": "Dial",
            "lastdata": "SIP/301,20",
        }
        begun, ended = start + begin * SECOND, start + end * SECOND
        if fields.get("disposition") is Disposition.ANSWERED:
            shared["answer"] = begun + min(5, end - begin) * SECOND
        return CDR(start=begun, end=ended, **(shared | fields))  # type: ignore[arg-type]

    answered = Disposition.ANSWERED
    match number % 5:
        case 0:
            return [leg(0, 65, 1, disposition=answered, dstchannel=f"SIP/301-{number:08x}")]
        case 1:
            return [leg(0, 20, 1, dstchannel=f"SIP/301-{number:08x}")]
        case 2:
            hop = f"Local/302@agents-{number:08x}"
            return [
                leg(0, 10, 1, dstchannel=f"SIP/301-{number:08x}"),
                leg(0, 95, 2, disposition=answered, dstchannel=f"{hop};1", lastapp="Queue"),
                leg(10, 95, 3, disposition=answered, channel=f"{hop};2",
                    dstchannel=f"SIP/302-{number:08x}", uniqueid=f"{HERE}-{epoch + 10}.{number}"),
            ]  # fmt: skip
        case 3:
            return [
                leg(0, 20, 1, dstchannel=f"SIP/301-{number:08x}"),
                leg(20, 50, 2, disposition=answered, lastapp="VoiceMail", lastdst="Voicemail 301"),
            ]
        case _:
            there = f"{THERE}-{epoch + 3}.{number}"
            return [
                leg(0, 120, 1, disposition=answered, dst="14",
                    dstchannel=f"SIP/{THERE}-{number:08x}", lastdata=f"SIP/QUEUE-14@{THERE},,U(x)"),
                leg(30, 120, 1, disposition=answered, uniqueid=there, linkedid=there, firstdst="14",
                    channel="SIP/in-1", dstchannel=f"SIP/303-{number:08x}"),
            ]  # fmt: skip


def made(most: int) -> list[CDR]:
    """Make so many legs, in order of time."""
    legs: list[CDR] = []
    number = 0
    while len(legs) < most:
        legs += legs_of(number)
        number += 1
    legs.sort(key=lambda leg: leg.start)
    return legs[:most]


def by_linkedid(legs: Iterable[CDR]) -> int:
    """Do the least that can be done: one list for each `linkedid`."""
    groups: dict[str, list[CDR]] = {}
    for leg in legs:
        groups.setdefault(leg.linkedid, []).append(leg)
    return len(groups)


def all_at_once(legs: Sequence[CDR]) -> int:
    """Give how many calls the legs are."""
    return len(group_calls(legs))


def one_by_one(legs: Sequence[CDR]) -> int:
    """Give how many calls a stream of the legs is, of which only the open ones are kept."""
    calls = OpenCalls(timedelta(hours=4), None, "CH")
    count = 0
    for at in range(0, len(legs), 1000):
        count += len(calls.add(legs[at : at + 1000]))
    return count + len(calls.close())


def microseconds(count: Callable[[Sequence[CDR]], int], legs: Sequence[CDR]) -> tuple[float, int]:
    """Give what each leg took, the best of three, and how many calls there are."""
    best = float("inf")
    calls = 0
    for _ in range(3):
        gc.collect()
        began = time.process_time()
        calls = count(legs)
        best = min(best, time.process_time() - began)
    return best / len(legs) * 1e6, calls


def peak(count: Callable[[Sequence[CDR]], int], legs: Sequence[CDR]) -> float:
    """Give the peak of what is kept beside the legs themselves, in bytes a leg."""
    gc.collect()
    tracemalloc.start()
    count(legs)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / len(legs)


def main() -> None:
    """Measure, print and compare with the goals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--legs", type=int, default=1_000_000)
    args = parser.parse_args()
    legs = made(args.legs)
    shuffled = random.Random(7).sample(legs, len(legs))
    worst = 0.0
    for name, count, given in (
        ("floor: a dict by linkedid, in order", by_linkedid, legs),
        ("floor: a dict by linkedid, shuffled", by_linkedid, shuffled),
        ("group_calls, in order", all_at_once, legs),
        ("group_calls, shuffled", all_at_once, shuffled),
        ("open calls of a stream, in order", one_by_one, legs),
    ):
        took, calls = microseconds(count, given)
        kept = peak(count, given[:TRACED] if count is not one_by_one else legs)
        print(
            f"{name:38} {took:6.2f} µs a leg, {kept:6.0f} bytes a leg, {calls:,} calls", flush=True
        )
        worst = max(worst, took)
    if worst > GOAL:
        sys.exit(f"more than {GOAL} µs a leg")


if __name__ == "__main__":
    main()
