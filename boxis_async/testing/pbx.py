"""A simulated PBX: the records that one call leaves, one for each leg.

A queue writes a record for each agent that it rings, and a transfer writes one more, as Asterisk
does.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from attrs import define, field

from .local_clock import LocalClock
from .phone_book import (
    EXTENSIONS,
    QUEUES,
    draw_caller_id,
    draw_external_number,
    draw_own_number,
)

_NEVER = "0000-00-00 00:00:00"
_HOSTS = ("sip022.voice.boxis.net", "sip046.voice.boxis.net", "sip015.voice.boxis.net")
_UNANSWERED = ("NO ANSWER", "BUSY", "FAILED", "CONGESTION")
_LASTDATA_LENGTH = 80  # Asterisk cuts its column there, in the middle of a word

# Every field of the page, in its order, with the value of a field that was not set.
_BLANK_RECORD: dict[str, str | None] = {
    "uniqueid": "",
    "start": _NEVER,
    "answer": _NEVER,
    "end": _NEVER,
    "clid": "",
    "src": "",
    "dst": "",
    "dcontext": "",
    "channel": "",
    "dstchannel": "",
    "lastapp": "Dial",
    "lastdata": "",
    "duration": "0",
    "billsec": "0",
    "disposition": "NO ANSWER",
    "amaflags": "3",
    "accountcode": "BOXIS",
    "userfield": "",
    "realsrc": "",
    "firstdst": "",
    "lastdst": "",
    "srcCallID": "",
    "prevuniqueid": "",
    "peeraccount": "BOXIS",
    "sequence": "",
    "originateid": "",
    "linkedid": "",
    "wherelanded": "N/A",
    "pincode": "",
    "prevsequence": None,
    "cc_peername": "",
    "cc_date": "",
    "cc_type": "OUTNOCHARGE",
    "cc_type_id": None,
    "cc_country": "",
    "cc_network": "",
    "cc_international": "",
    "cc_cost": "0.00000",
}


class Leg(NamedTuple):
    """A leg's record, and when the PBX wrote it."""

    ended_at: int
    """The end of the leg, in Unix seconds: a record is written at hang-up."""
    row: dict[str, str | None]


class _Outcome(NamedTuple):
    ring_seconds: int
    talk_seconds: int
    disposition: str


@define
class PBX:
    """Simulate calls, and write their records."""

    rng: Random
    clock: LocalClock
    _sequence: int = field(default=15_000, init=False)
    _channel: int = field(default=0xA000, init=False)

    def call(self, start: int) -> list[Leg]:
        """Return the legs of one call whose first leg starts at `start`, in Unix seconds."""
        (kind,) = self.rng.choices(("queue", "inbound", "outbound", "local"), (17, 38, 33, 12))
        if kind == "queue":
            return self._queue(start)
        if kind == "local":
            return [self._local(start)]
        first = self._inbound(start) if kind == "inbound" else self._outbound(start)
        if first.row["disposition"] == "ANSWERED" and self._chance(0.12):
            return [first, self._transfer(first)]
        return [first]

    def _inbound(self, start: int) -> Leg:
        number, *_ = draw_external_number(self.rng)
        line, extension = draw_own_number(self.rng), self.rng.choice(EXTENSIONS)
        return self._leg(
            start,
            self._outcome(0.78),
            clid=draw_caller_id(self.rng, number),
            src=number,
            dst=line,
            dcontext="fromoutside",
            channel=self._trunk(),
            dstchannel=self._phone(extension),
            lastdata=f"SIP/{extension}@{self._host()},60,U(destChannelActions^yes^wav^^^^)",
            userfield="[inbound]",
            firstdst=line,
            srcCallID=self._call_id(),
            wherelanded=extension,
        )

    def _outbound(self, start: int) -> Leg:
        number, country, network, price = draw_external_number(self.rng)
        extension = self.rng.choice(EXTENSIONS)
        outcome = self._outcome(0.72)
        return self._leg(
            start,
            outcome,
            clid=draw_caller_id(self.rng, extension),
            src=extension,
            dst=number,
            dcontext="authenticated",
            channel=self._phone(extension),
            dstchannel=self._trunk(),
            lastdata=f"SIP/{number}@trunk,,U(destChannelActions^yes^wav^^^^)",
            userfield="[outbound]",
            realsrc=extension,
            firstdst=number,
            cc_peername="trunk",
            cc_type="OUTCHARGE",
            cc_type_id="1",
            cc_country=country,
            cc_network=network,
            cc_international="no" if country == "Switzerland" else "yes",
            cc_cost=f"{price * outcome.talk_seconds / 60:.5f}",
        )

    def _local(self, start: int) -> Leg:
        caller, callee = self.rng.sample(EXTENSIONS, 2)
        service = self._chance(0.1)  # a feature code, or a dead end
        return self._leg(
            start,
            self._outcome(0.7),
            clid=draw_caller_id(self.rng, caller),
            src=caller,
            dst=self.rng.choice(("*60", "*97", "i", "s")) if service else callee,
            dcontext="authenticated",
            channel=self._phone(caller),
            dstchannel="" if service else self._phone(callee),
            lastapp="Playback" if service else "Dial",
            lastdata="" if service else f"SIP/{callee}@{self._host()},60",
            userfield="[local]",
            realsrc=caller,
            firstdst=callee,
            wherelanded="N/A" if service else callee,
        )

    def _queue(self, start: int) -> list[Leg]:
        """Ring one agent after the other.

        Their records share a `uniqueid` and differ in `sequence`.
        """
        number, *_ = draw_external_number(self.rng)
        line, (queue, name) = draw_own_number(self.rng), self.rng.choice(QUEUES)
        shared = {
            "uniqueid": self._unique_id(start),
            "clid": draw_caller_id(self.rng, number),
            "src": number,
            "dst": line,
            "dcontext": "fromoutside",
            "channel": self._trunk(),
            "lastapp": "Queue",
            "userfield": "[inbound]",
            "realsrc": name,
            "firstdst": line,
            "lastdst": queue,
            "srcCallID": self._call_id(),
        }
        agents = self.rng.sample(EXTENSIONS, self.rng.randint(2, 5))
        is_answered = self._chance(0.85)
        legs: list[Leg] = []
        leg_start = start
        for agent in agents:
            answers = is_answered and agent == agents[-1]
            outcome = self._outcome(1.0 if answers else 0.0)
            leg = self._leg(
                leg_start,
                outcome,
                **shared,
                dstchannel=self._phone(agent),
                lastdata=f"QUEUE-{queue},tTwWhHc,,,90,,U(destChannelActions^yes^wav^^^^),"
                f"{name},SIP/{agent}@{self._host()}",
                wherelanded=agent if answers else "N/A",
            )
            legs.append(leg)
            # The agent's side of the conversation: another channel of the same call.
            if answers:
                agent_side = {
                    **shared,
                    "uniqueid": self._unique_id(leg_start),
                    "dcontext": "fromotherpbx",
                }
                agent_side |= {"dst": f"AG-000-NFR-{agent}", "srcCallID": "", "lastapp": "Dial"}
                agent_side |= {"channel": f"Local/AG-000-NFR-{agent}@fromotherpbx-{self._hex()};2"}
                phone = self._phone(agent)
                linked = shared["uniqueid"]
                legs.append(
                    self._leg(leg_start, outcome, **agent_side, linkedid=linked, dstchannel=phone)
                )
            leg_start += outcome.ring_seconds + self.rng.randint(0, 2)
        return legs

    def _transfer(self, first: Leg) -> Leg:
        row = first.row
        extension = self.rng.choice(EXTENSIONS)
        kept = {key: row[key] for key in ("clid", "src", "firstdst", "linkedid", "userfield")}
        return self._leg(
            first.ended_at,
            self._outcome(0.85),
            **kept,
            dst=extension,
            dcontext="fromtransfer",
            channel=row["channel"],
            dstchannel=self._phone(extension),
            lastdata=f"SIP/{extension}@{self._host()},60",
            lastdst=row["dst"],
            prevuniqueid=row["uniqueid"],
            prevsequence=row["sequence"],
            wherelanded=extension,
        )

    def _leg(self, start: int, outcome: _Outcome, **fields: str | None) -> Leg:
        ring, talk, disposition = outcome
        end = start + ring + talk
        answered = disposition == "ANSWERED"
        self._sequence += 1
        # The page's second example rings for 30 seconds, but its `duration` is 29. We copy that.
        is_short = self._chance(0.02) and ring > 1
        row = {
            **_BLANK_RECORD,
            **fields,
            "start": self.clock.text(start),
            "answer": self.clock.text(start + ring) if answered else _NEVER,
            "end": self.clock.text(end),
            "duration": str(end - start - is_short),
            "billsec": str(talk),
            "disposition": disposition,
            "sequence": str(self._sequence),
            "cc_date": self.clock.date_text(start),
            "lastdata": (fields.get("lastdata") or "")[:_LASTDATA_LENGTH],
        }
        row["uniqueid"] = row["uniqueid"] or self._unique_id(start)
        row["linkedid"] = row["linkedid"] or row["uniqueid"]
        return Leg(end, row)

    def _outcome(self, answer_rate: float) -> _Outcome:
        if self._chance(answer_rate):
            talk = min(int(self.rng.lognormvariate(4.4, 1.1)), 7_200)
            ring = self.rng.randint(0, 25)
            # A few hang up within a second of the answer, so that there is nothing to bill.
            return _Outcome(ring, 0 if self._chance(0.01) else talk, "ANSWERED")
        (disposition,) = self.rng.choices(_UNANSWERED, (78, 16, 5, 1))
        longest = 60 if disposition == "NO ANSWER" else 4
        return _Outcome(self.rng.randint(longest // 8, longest), 0, disposition)

    def _chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def _unique_id(self, start: int) -> str:
        self._channel += 1
        return f"{self._host()}-{start}.{self._channel}"

    def _host(self) -> str:
        return self.rng.choice(_HOSTS)

    def _hex(self) -> str:
        self._channel += 1
        return f"{self._channel:08x}"

    def _trunk(self) -> str:
        return f"SIP/trunk-{self._hex()}"

    def _phone(self, extension: str) -> str:
        return f"SIP/{extension}-{self._hex()}"

    def _call_id(self) -> str:
        return f"{self.rng.getrandbits(48):012x}-{self.rng.getrandbits(32):08x}@127.0.0.1"
