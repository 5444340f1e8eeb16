"""The records that one call leaves: one for each leg, queue attempts and transfers included."""

from __future__ import annotations

from random import Random
from typing import TypeAlias

from attrs import define, field

from boxis_async.testing.clock import WallClock
from boxis_async.testing.directory import (
    EXTENSIONS,
    QUEUES,
    caller_id,
    outside_number,
    own_number,
)

Leg: TypeAlias = "tuple[int, dict[str, str | None]]"
"""When its record was written, in Unix seconds, and the record."""

_NEVER = "0000-00-00 00:00:00"
_HOSTS = ("sip022.voice.boxis.net", "sip046.voice.boxis.net", "sip015.voice.boxis.net")
_UNANSWERED = ("NO ANSWER", "BUSY", "FAILED", "CONGESTION")
_LASTDATA_LENGTH = 80  # Asterisk's own column cuts there, in the middle of a word

# In the page's order, as they stand in a call that nothing was noted about.
_BLANK: dict[str, str | None] = {
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


@define
class Exchange:
    """Put calls through, and write their records."""

    rng: Random
    clock: WallClock
    _sequence: int = field(default=15_000, init=False)
    _channel: int = field(default=0xA000, init=False)

    def call(self, start: int) -> list[Leg]:
        """Return the legs of one call whose first begins at `start`, in Unix seconds."""
        (kind,) = self.rng.choices(("queue", "inbound", "outbound", "local"), (17, 38, 33, 12))
        if kind == "queue":
            return self._queue(start)
        if kind == "local":
            return [self._local(start)]
        first = self._inbound(start) if kind == "inbound" else self._outbound(start)
        if first[1]["disposition"] == "ANSWERED" and self._chance(0.12):
            return [first, self._transfer(first)]
        return [first]

    def _inbound(self, start: int) -> Leg:
        number, *_ = outside_number(self.rng)
        line, extension = own_number(self.rng), self.rng.choice(EXTENSIONS)
        return self._leg(
            start,
            self._outcome(0.78),
            clid=caller_id(self.rng, number),
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
        number, country, network, price = outside_number(self.rng)
        extension = self.rng.choice(EXTENSIONS)
        ring, talk, disposition = self._outcome(0.72)
        return self._leg(
            start,
            (ring, talk, disposition),
            clid=caller_id(self.rng, extension),
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
            cc_cost=f"{price * talk / 60:.5f}",
        )

    def _local(self, start: int) -> Leg:
        caller, callee = self.rng.sample(EXTENSIONS, 2)
        service = self._chance(0.1)  # a feature code, or a dead end
        return self._leg(
            start,
            self._outcome(0.7),
            clid=caller_id(self.rng, caller),
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
        """Ring one agent after the other: records of one `uniqueid`, told apart by `sequence`."""
        number, *_ = outside_number(self.rng)
        line, (queue, name) = own_number(self.rng), self.rng.choice(QUEUES)
        shared = {
            "uniqueid": self._identity(start),
            "clid": caller_id(self.rng, number),
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
        taken = self._chance(0.85)
        legs: list[Leg] = []
        began = start
        for agent in agents:
            last = agent == agents[-1]
            outcome = self._outcome(1.0 if last and taken else 0.0)
            leg = self._leg(
                began,
                outcome,
                **shared,
                dstchannel=self._phone(agent),
                lastdata=f"QUEUE-{queue},tTwWhHc,,,90,,U(destChannelActions^yes^wav^^^^),"
                f"{name},SIP/{agent}@{self._host()}",
                wherelanded=agent if last and taken else "N/A",
            )
            legs.append(leg)
            # The agent's own half of the conversation: another channel of the same call.
            if last and taken:
                half = {**shared, "uniqueid": self._identity(began), "dcontext": "fromotherpbx"}
                half |= {"dst": f"AG-000-NFR-{agent}", "srcCallID": "", "lastapp": "Dial"}
                half |= {"channel": f"Local/AG-000-NFR-{agent}@fromotherpbx-{self._hex()};2"}
                phone = self._phone(agent)
                linked = shared["uniqueid"]
                legs.append(self._leg(began, outcome, **half, linkedid=linked, dstchannel=phone))
            began += outcome[0] + self.rng.randint(0, 2)
        return legs

    def _transfer(self, first: Leg) -> Leg:
        ended, row = first
        extension = self.rng.choice(EXTENSIONS)
        kept = {key: row[key] for key in ("clid", "src", "firstdst", "linkedid", "userfield")}
        return self._leg(
            ended,
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

    def _leg(self, start: int, outcome: tuple[int, int, str], **known: str | None) -> Leg:
        ring, talk, disposition = outcome
        end = start + ring + talk
        answered = disposition == "ANSWERED"
        self._sequence += 1
        # The page's second example rings for 30 seconds and says 29: so do a few of these.
        short = self._chance(0.02) and ring > 1
        row = {
            **_BLANK,
            **known,
            "start": self.clock.text(start),
            "answer": self.clock.text(start + ring) if answered else _NEVER,
            "end": self.clock.text(end),
            "duration": str(end - start - short),
            "billsec": str(talk),
            "disposition": disposition,
            "sequence": str(self._sequence),
            "cc_date": self.clock.day(start),
            "lastdata": (known.get("lastdata") or "")[:_LASTDATA_LENGTH],
        }
        row["uniqueid"] = row["uniqueid"] or self._identity(start)
        row["linkedid"] = row["linkedid"] or row["uniqueid"]
        return end, row

    def _outcome(self, answered: float) -> tuple[int, int, str]:
        """Draw seconds of ringing, seconds of talk, and the disposition."""
        if self._chance(answered):
            talk = min(int(self.rng.lognormvariate(4.4, 1.1)), 7_200)
            # Picked up and put down within one second: answered, and nothing to bill.
            return self.rng.randint(0, 25), 0 if self._chance(0.01) else talk, "ANSWERED"
        (disposition,) = self.rng.choices(_UNANSWERED, (78, 16, 5, 1))
        longest = 60 if disposition == "NO ANSWER" else 4
        return self.rng.randint(longest // 8, longest), 0, disposition

    def _chance(self, share: float) -> bool:
        return self.rng.random() < share

    def _identity(self, start: int) -> str:
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
