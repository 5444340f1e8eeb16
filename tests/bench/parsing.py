"""The bytes of an answer → records: how fast, beside code written for nothing but speed?

Prints the processor time that a record takes, the median of rounds in which the ways take turns:

- by hand: one of three JSON parsers, then one function that fills a `CDR`, without a check or a
  message.
- pydantic: models with the same fields and types, validated from the same bytes.
- boxis_async: what a stream does, with json and with orjson (extra `fast`), the fingerprints
  included by which it tells a copy from a change; and, to show what those cost, without them.

Exits with 1 unless it is as fast as the goal: 0.9 of the speed by hand with the same parser, and
faster than pydantic.
"""

from __future__ import annotations

import argparse
import contextlib
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

import msgspec
import orjson
import pydantic
from _bare import parse, without_orjson

from boxis_async import CDR, Disposition
from boxis_async.testing import generate_calls
from boxis_async.testing.answers import params_entry, write_json

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


def pass_of_hour(when: datetime, not_before: float) -> datetime:
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
        start = start if epoch is None else pass_of_hour(start, int(epoch[1]))
        answer = answer and pass_of_hour(answer, start.timestamp())
        end = end and pass_of_hour(end, start.timestamp())
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


def by_hand(loads: Callable[[bytes], Any]) -> Callable[[bytes], list[CDR]]:
    """Read an answer that is known to be one, with all fields and no other."""
    return lambda body: [build(row) for row in loads(body)["params"]["cdr"].values()]


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
        values = {name: value for name, value in row.items() if value not in UNSET}
        values["start"] = start = moment(sent := row["start"])
        if "answer" in values:
            values["answer"] = moment(values["answer"])
        if "end" in values:
            values["end"] = moment(values["end"])
        if sent[5:7] == "10" and sent[8:10] > "24":
            epoch = NUMBERED_EPOCH.search(row["uniqueid"] or "")
            values["start"] = start = start if epoch is None else pass_of_hour(start, int(epoch[1]))
            for name in {"answer", "end"} & values.keys():
                values[name] = pass_of_hour(values[name], start.timestamp())
        return values


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


HAND, HAND_ORJSON, OURS, OURS_ORJSON = (
    "by hand",
    "by hand, orjson",
    "boxis_async",
    "boxis_async, orjson",
)
WAYS: dict[str, Callable[[bytes], list[Any]]] = {
    HAND: by_hand(json.loads),
    HAND_ORJSON: by_hand(orjson.loads),
    "by hand, msgspec": by_hand(msgspec.json.Decoder().decode),
    "pydantic": by_pydantic,
    OURS: parse,
    f"{OURS}, no fingerprints": lambda body: parse(body, has_fingerprints=False),
    OURS_ORJSON: parse,
    f"{OURS_ORJSON}, no fingerprints": lambda body: parse(body, has_fingerprints=False),
}


def as_installed(way: str) -> contextlib.AbstractContextManager[None]:
    """Have our own way read with json or with orjson, as it says."""
    return contextlib.nullcontext() if "orjson" in way else without_orjson()


def body_of(records: int, start: date) -> bytes:
    """Write the answer of a window, as the stand-in provider does."""
    end = date.fromordinal(start.toordinal() + 14)
    found = generate_calls(start, end, calls_per_day=records / 14)[:records]
    assert len(found) == records
    return write_json({"result": "1", **params_entry(found, "list"), "timestamp": 1_767_225_600})


def check(body: bytes) -> None:
    """Make sure that all ways give the same records."""
    wanted = WAYS[HAND](body)
    for way, read in WAYS.items():
        with as_installed(way):
            assert way == "pydantic" or read(body) == wanted
    names = [name for name in Record.model_fields if name != "extra"]
    for model, cdr in zip(by_pydantic(body), wanted, strict=True):
        assert all(getattr(model, name) == getattr(cdr, name) for name in names)


def measure(body: bytes, rounds: int) -> dict[str, list[float]]:
    """Time each way in each round, in turn, in seconds."""
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, read in WAYS.items():
            with as_installed(name):
                gc.collect()
                began = time.process_time()
                read(body)
                taken[name].append(time.process_time() - began)
    return taken


def main(records: int, rounds: int) -> bool:
    """Print the table, and tell whether the goal is reached."""
    for start in (date(2026, 2, 2), date(2026, 10, 19)):
        check(body_of(records, start))
    body = body_of(records, date(2026, 2, 2))
    taken = measure(body, rounds)
    print(
        f"Python {platform.python_version()}, pydantic {pydantic.VERSION}, "
        f"orjson {orjson.__version__}, msgspec {msgspec.__version__}; "
        f"{records:,} records in {len(body):,} bytes, {rounds} rounds\n"
    )
    besides = (HAND, HAND_ORJSON, "pydantic")
    print(f"{'way':38}µs a record  speed beside {'  '.join(besides)}")
    speeds: dict[str, dict[str, float]] = {}
    for name, times in taken.items():
        # Of each round, as the machine's own speed differs from one to the next.
        speeds[name] = {
            other: statistics.median(a / b for a, b in zip(taken[other], times, strict=True))
            for other in besides
        }
        micro = statistics.median(times) / records * 1e6
        columns = (f"{speeds[name][other]:{len(other)}.2f}" for other in besides)
        print(f"{name:36}  {micro:11.2f}  {' ' * 12} {'  '.join(columns)}")
    pairs = ((OURS, HAND), (OURS_ORJSON, HAND_ORJSON))
    return all(speeds[way][hand] >= GOAL and speeds[way]["pydantic"] > 1 for way, hand in pairs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=40)
    asked = parser.parse_args()
    sys.exit(not main(asked.records, asked.rounds))
