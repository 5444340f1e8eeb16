"""One call while it happens: its legs, and what is true of it.

The modules that play a part of a call (a queue, a menu, a transfer) say here what happens: a leg is
written, a person picks up, an attempt fails. What is true of the call follows from what they say,
and never from a leg, so that it is an independent witness of what the legs mean.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from attrs import define, field

from .exchanges import Exchanges
from .true_call import TrueCall

_NEVER = "0000-00-00 00:00:00"
_COLUMN_WIDTH = 80  # Asterisk cuts its columns there, in the middle of a word
_ZERO_COST = Decimal("0.00000")

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


@define(eq=False)
class Channel:
    """The calling side of legs: a channel on one exchange."""

    host: str
    name: str
    uniqueid: str
    linkedid: str
    fields: dict[str, str | None]
    """What all its legs have in common."""
    picked_up_at: int | None = None
    """When the exchange, or somebody behind it, first answered it."""
    last_sequence: str | None = None
    """The number of the record of its last leg."""

    def pick_up(self, at: int) -> None:
        """Answer the channel, unless it is answered already."""
        if self.picked_up_at is None:
            self.picked_up_at = at


class _Talk(NamedTuple):
    picked_up: int
    recorded: int
    ended: int
    who: str


@define(eq=False)
class CallScript:
    """Write the legs of one call, and note what happens in it."""

    exchanges: Exchanges
    start: int
    direction: str
    caller_number: str
    caller_name: str
    dialled: str
    outside: str
    legs: list[Leg] = field(factory=list[Leg], init=False)
    parts: list[str] = field(factory=list[str], init=False)
    """What happened, in order; see `TrueCall.script`."""
    last_failure: str | None = field(default=None, init=False)
    """How the last attempt to reach a person failed."""
    _talks: list[_Talk] = field(factory=list[_Talk], init=False)
    _reached_box: bool = field(default=False, init=False)

    def failed(self, disposition: str) -> None:
        """Note that an attempt to reach a person failed."""
        self.last_failure = disposition

    def reached_box(self) -> None:
        """Note that the caller reached a voicemail box."""
        self._reached_box = True

    def talked(self, who: str, picked_up: int, ended: int, *, recorded: int) -> None:
        """Note that a person was on the line.

        Args:
            who: The extension or the number.
            picked_up: When the person picked up, in Unix seconds.
            ended: When the person left the line.
            recorded: What the record says of when the person picked up.
        """
        self._talks.append(_Talk(picked_up, recorded, ended, who))

    @property
    def answered_by(self) -> str:
        """The first person who picked up, so far; `""` if nobody did."""
        return self._talks[0].who if self._talks else ""

    def open(
        self, host: str, name: str, at: int, *, linkedid: str | None = None, **fields: str | None
    ) -> Channel:
        """Open a channel. Without `linkedid` it is the first of its exchange in this call."""
        uniqueid = self.exchanges.unique_id(host, at)
        return Channel(host, name, uniqueid, linkedid or uniqueid, fields)

    def leg(
        self,
        channel: Channel,
        start: int,
        end: int,
        disposition: str = "ANSWERED",
        *,
        picked_up: int | None = None,
        **fields: str | None,
    ) -> int:
        """Write a leg, and return when it was answered by its record.

        Args:
            channel: The calling side.
            start: When the leg began, in Unix seconds.
            end: When it ended.
            disposition: How it ended.
            picked_up: When an ANSWERED leg was picked up; by default at its start.
            fields: What the record says beside what all legs of the channel have in common.
        """
        # "The earliest of either the time when Party A answered, or the start time of this CDR":
        # on a channel that was answered before, each leg is answered in the second of its start.
        answer: int | None = None
        if channel.picked_up_at is not None and channel.picked_up_at <= start:
            answer = start
        elif disposition == "ANSWERED":
            answer = start if picked_up is None else picked_up
            channel.pick_up(answer)
        channel.last_sequence = fields.get("sequence") or str(self.exchanges.next_sequence())
        text = self.exchanges.clock.text
        started = text(start)
        length = end - start
        # The page's second example rings for 30 seconds, but its `duration` is 29. We copy that.
        is_short = length > 1 and answer is None and self.exchanges.chance(0.04)
        row = {
            **_BLANK_RECORD,
            **channel.fields,
            **fields,
            "uniqueid": channel.uniqueid,
            "linkedid": channel.linkedid,
            "channel": channel.name,
            "start": started,
            "answer": _NEVER if answer is None else started if answer == start else text(answer),
            "end": text(end),
            "duration": str(length - is_short),
            "billsec": "0" if answer is None else str(end - answer),
            "disposition": disposition,
            "sequence": channel.last_sequence,
            "cc_date": started[: len("yyyy-mm-dd")],
        }
        row["lastdata"] = (row["lastdata"] or "")[:_COLUMN_WIDTH]
        self.legs.append(Leg(end, row))
        return end if answer is None else answer

    def truth(self) -> TrueCall:
        """Return what happened, once the call is over."""
        zone = self.exchanges.clock.zone
        # The sort is stable: legs that end in the same second stay in the order of their start.
        legs = sorted(self.legs, key=lambda leg: leg.ended_at)
        end = legs[-1].ended_at
        if self._talks:
            outcome = "ANSWERED"
        elif self._reached_box:
            outcome = "VOICEMAIL"
        else:
            outcome = self.last_failure or "MACHINE"
        first = min(self._talks, default=None)
        picked_up, recorded = (end, end) if first is None else first[:2]
        return TrueCall(
            script=tuple(self.parts),
            legs=tuple(leg.row for leg in legs),
            start=datetime.fromtimestamp(self.start, zone),
            end=datetime.fromtimestamp(end, zone),
            direction=self.direction,
            caller_number=self.caller_number,
            caller_name=self.caller_name,
            dialled=self.dialled,
            outside=self.outside,
            outcome=outcome,
            answered_by=first.who if first else "",
            wait=timedelta(seconds=picked_up - self.start),
            talk=_union([(talk.picked_up, talk.ended) for talk in self._talks]),
            recorded_wait=timedelta(seconds=recorded - self.start),
            recorded_talk=_union([(talk.recorded, talk.ended) for talk in self._talks]),
            cost=sum((Decimal(leg.row["cc_cost"] or 0) for leg in legs), _ZERO_COST),
        )


def _union(spans: list[tuple[int, int]]) -> timedelta:
    """Add up the time that lies in any of the spans."""
    seconds, covered = 0, 0
    for begin, end in sorted(spans):
        seconds += max(end - max(begin, covered), 0)
        covered = max(covered, end)
    return timedelta(seconds=seconds)
