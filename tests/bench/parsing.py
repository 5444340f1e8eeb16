"""The bytes of an answer → records: how fast, beside code written for nothing but speed?

Prints the processor time that a record takes, the median of rounds in which the ways take turns:

- by hand: `json.loads`, then one function that fills a `CDR`, without a check or a message.
- pydantic: models with the same fields and types, validated from the same bytes.
- boxis_async: what a stream does; then with the digest of each record's content too, by which
  it tells a copy from a change.

`--check` exits with 1 unless it is as fast as the goal: 0.9 of the speed by hand, and faster
than pydantic.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import re
import statistics
import sys
import time
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pydantic

from boxis_async import CDR, Disposition
from boxis_async.records import Readings, make_converter
from boxis_async.testing import generate_calls
from boxis_async.testing.wire import numbered, write_json
from boxis_async.wallclock import WallClock
from boxis_async.wire import read_answer, rows

if TYPE_CHECKING:
    from collections.abc import Callable

ZONE = "Europe/Zurich"
ZURICH = ZoneInfo(ZONE)
NUMBERED_EPOCH = re.compile(r"(?:\A|-)([0-9]{9,11})\.[0-9]+\Z")
UNSET = frozenset({None, "", "NULL", "0000-00-00", "0000-00-00 00:00:00"})
GOAL = 0.9


# By hand


def moment(text: str) -> datetime:
    """Read a wall time; Zurich's clock is turned back on the last Sunday of October."""
    return datetime.fromisoformat(text).replace(tzinfo=ZURICH)


def told_apart(when: datetime, not_before: float) -> datetime:
    """Choose between the two moments of a repeated wall time."""
    later = when.replace(fold=1)
    if when.timestamp() >= not_before or later.utcoffset() == when.utcoffset():
        return when
    return later


def whole(text: str | None) -> int | None:
    """Read a whole number."""
    return None if text in UNSET else int(text)  # type: ignore[arg-type]


@lru_cache(2048)
def cost(text: str | None) -> Decimal | None:
    """Read a cost; few of them are many."""
    return None if text in UNSET else Decimal(text)  # type: ignore[arg-type]


@lru_cache(2048)
def day(text: str | None) -> date | None:
    """Read a date; days come again and again."""
    return None if text in UNSET else date.fromisoformat(text)  # type: ignore[arg-type]


@lru_cache(2048)
def disposition(text: str | None) -> Disposition | None:
    """Read a disposition."""
    return None if text in UNSET else Disposition(text)


def build(row: dict[str, Any]) -> CDR:
    """Fill one record."""
    uniqueid = row["uniqueid"] or ""
    sent = row["start"]
    start = moment(sent)
    answer = None if row["answer"] in UNSET else moment(row["answer"])
    end = None if row["end"] in UNSET else moment(row["end"])
    if sent[5:7] == "10" and sent[8:10] > "24":
        epoch = NUMBERED_EPOCH.search(uniqueid)
        start = start if epoch is None else told_apart(start, int(epoch[1]))
        answer = answer and told_apart(answer, start.timestamp())
        end = end and told_apart(end, start.timestamp())
    return CDR(
        uniqueid=uniqueid,
        start=start,
        answer=answer,
        end=end,
        clid=row["clid"] or "",
        src=row["src"] or "",
        dst=row["dst"] or "",
        dcontext=row["dcontext"] or "",
        channel=row["channel"] or "",
        dstchannel=row["dstchannel"] or "",
        lastapp=row["lastapp"] or "",
        lastdata=row["lastdata"] or "",
        duration=whole(row["duration"]),
        billsec=whole(row["billsec"]),
        disposition=disposition(row["disposition"]),
        amaflags=row["amaflags"] or "",
        accountcode=row["accountcode"] or "",
        userfield=row["userfield"] or "",
        realsrc=row["realsrc"] or "",
        firstdst=row["firstdst"] or "",
        lastdst=row["lastdst"] or "",
        src_call_id=row["srcCallID"] or "",
        prevuniqueid=row["prevuniqueid"] or "",
        peeraccount=row["peeraccount"] or "",
        sequence=whole(row["sequence"]),
        originateid=row["originateid"] or "",
        linkedid=row["linkedid"] or "",
        wherelanded=row["wherelanded"] or "",
        pincode=row["pincode"] or "",
        prevsequence=whole(row["prevsequence"]),
        cc_peername=row["cc_peername"] or "",
        cc_date=day(row["cc_date"]),
        cc_type=row["cc_type"] or "",
        cc_type_id=whole(row["cc_type_id"]),
        cc_country=row["cc_country"] or "",
        cc_network=row["cc_network"] or "",
        cc_international=row["cc_international"] or "",
        cc_cost=cost(row["cc_cost"]),
    )


def by_hand(body: bytes) -> list[CDR]:
    """Read an answer that is known to be one, with all fields and no other."""
    return [build(row) for row in json.loads(body)["params"]["cdr"].values()]


# pydantic


class Record(pydantic.BaseModel):
    """A record; what is unset is left out before it is validated, and so has its default."""

    model_config = pydantic.ConfigDict(frozen=True, extra="allow")

    uniqueid: str = ""
    start: datetime
    answer: datetime | None = None
    end: datetime | None = None
    clid: str = ""
    src: str = ""
    dst: str = ""
    dcontext: str = ""
    channel: str = ""
    dstchannel: str = ""
    lastapp: str = ""
    lastdata: str = ""
    duration: int | None = None
    billsec: int | None = None
    disposition: Disposition | None = None
    amaflags: str = ""
    accountcode: str = ""
    userfield: str = ""
    realsrc: str = ""
    firstdst: str = ""
    lastdst: str = ""
    src_call_id: str = pydantic.Field(default="", alias="srcCallID")
    prevuniqueid: str = ""
    peeraccount: str = ""
    sequence: int | None = None
    originateid: str = ""
    linkedid: str = ""
    wherelanded: str = ""
    pincode: str = ""
    prevsequence: int | None = None
    cc_peername: str = ""
    cc_date: date | None = None
    cc_type: str = ""
    cc_type_id: int | None = None
    cc_country: str = ""
    cc_network: str = ""
    cc_international: str = ""
    cc_cost: Decimal | None = None

    @pydantic.model_validator(mode="before")
    @classmethod
    def without_unset(cls, row: dict[str, Any]) -> dict[str, Any]:
        """Leave out what is unset, and read the wall times: pydantic knows none."""
        told = {name: value for name, value in row.items() if value not in UNSET}
        told["start"] = start = moment(sent := row["start"])
        if "answer" in told:
            told["answer"] = moment(told["answer"])
        if "end" in told:
            told["end"] = moment(told["end"])
        if sent[5:7] == "10" and sent[8:10] > "24":
            epoch = NUMBERED_EPOCH.search(row["uniqueid"] or "")
            told["start"] = start = start if epoch is None else told_apart(start, int(epoch[1]))
            for name in {"answer", "end"} & told.keys():
                told[name] = told_apart(told[name], start.timestamp())
        return told


class Params(pydantic.BaseModel):
    """What an answer holds."""

    cdr: dict[str, Record]


class Whole(pydantic.BaseModel):
    """An answer."""

    result: str
    params: Params


def by_pydantic(body: bytes) -> list[Record]:
    """Validate an answer."""
    return list(Whole.model_validate_json(body).params.cdr.values())


# Ours

CONVERTER = make_converter(WallClock(ZONE))


def ours(body: bytes) -> list[CDR]:
    """Read an answer as a stream does, but for the fingerprints."""
    return [CONVERTER.structure(row, CDR) for row in rows(read_answer(body, as_text=True)).values()]


def ours_with_fingerprints(body: bytes) -> list[CDR]:
    """Read an answer as a stream does, with the fingerprints of the contents."""
    return CONVERTER.structure(rows(read_answer(body, as_text=True)).values(), Readings)[0]


WAYS: dict[str, Callable[[bytes], list[Any]]] = {
    "by hand": by_hand,
    "pydantic": by_pydantic,
    "boxis_async": ours,
    "boxis_async, with fingerprints": ours_with_fingerprints,
}


def body_of(records: int, start: date) -> bytes:
    """Write the answer of a window, as the stand-in provider does."""
    end = date.fromordinal(start.toordinal() + 14)
    found = generate_calls(start, end, calls_per_day=records / 14)[:records]
    assert len(found) == records
    return write_json({"result": "1", **numbered(found, "list"), "timestamp": 1_767_225_600})


def check(body: bytes) -> None:
    """Make sure that all ways give the same records."""
    wanted = by_hand(body)
    assert ours(body) == ours_with_fingerprints(body) == wanted
    names = [name for name in Record.model_fields if name != "extra"]
    for model, cdr in zip(by_pydantic(body), wanted, strict=True):
        assert all(getattr(model, name) == getattr(cdr, name) for name in names)


def measure(body: bytes, rounds: int) -> dict[str, list[float]]:
    """Time each way in each round, in turn, in seconds."""
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, read in WAYS.items():
            gc.collect()
            began = time.process_time()
            read(body)
            taken[name].append(time.process_time() - began)
    return taken


def main(records: int, rounds: int, *, must_pass: bool) -> bool:
    """Print the table, and tell whether the goal is reached."""
    for start in (date(2026, 2, 2), date(2026, 10, 19)):
        check(body_of(records, start))
    body = body_of(records, date(2026, 2, 2))
    taken = measure(body, rounds)
    print(
        f"Python {platform.python_version()}, pydantic {pydantic.VERSION}; "
        f"{records:,} records in {len(body):,} bytes, {rounds} rounds\n"
    )
    print("way                             µs a record  speed beside by hand  beside pydantic")
    speeds: dict[str, tuple[float, float]] = {}
    for name, times in taken.items():
        # Of each round, as the machine's own speed differs from one to the next.
        beside = [
            statistics.median(a / b for a, b in zip(taken[other], times, strict=True))
            for other in ("by hand", "pydantic")
        ]
        speeds[name] = beside[0], beside[1]
        micro = statistics.median(times) / records * 1e6
        print(f"{name:30}  {micro:11.2f}  {beside[0]:20.2f}  {beside[1]:15.2f}")
    return not must_pass or (speeds["boxis_async"][0] >= GOAL and speeds["boxis_async"][1] > 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    sys.exit(not main(asked.records, asked.rounds, must_pass=asked.check))
