"""The frozen value of a call, made of its legs, and the words for how a call ended."""

# No `from __future__ import annotations` here, see models.py.

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import attrs

from boxis_async._as_json import core_schema, schema_of_values, to_json
from boxis_async.models import CDR, Direction, OpenWords

__all__ = ["Call", "Outcome"]


class Outcome(OpenWords):
    """How a call ended, by whom any of its legs reached; other words of the exchange pass through.

    `Outcome.X.meaning` is a sentence that says what the word stands for.
    """

    ANSWERED = "ANSWERED"
    VOICEMAIL = "VOICEMAIL"
    MACHINE = "MACHINE"
    NO_ANSWER = "NO ANSWER"
    BUSY = "BUSY"
    FAILED = "FAILED"
    CONGESTION = "CONGESTION"
    UNKNOWN = "UNKNOWN"

    @property
    def meaning(self) -> str:
        """What the word stands for, in one sentence."""
        return _MEANINGS.get(self, "The exchange's own word for how the last attempt ended.")


_MEANINGS = {
    Outcome.ANSWERED: "A person picked up.",
    Outcome.VOICEMAIL: "No person picked up, and a voicemail box took the call.",
    Outcome.MACHINE: "Only a menu, an announcement or an empty queue picked up.",
    Outcome.NO_ANSWER: "Nobody picked up.",
    Outcome.BUSY: "Nobody picked up: the last telephone that was tried was busy.",
    Outcome.FAILED: "Nobody picked up: the last attempt failed.",
    Outcome.CONGESTION: "Nobody picked up: the last attempt found no free line.",
    Outcome.UNKNOWN: "Nobody picked up, and the record does not say why.",
}


def _count(legs: tuple[CDR, ...]) -> str:
    return "1 leg" if len(legs) == 1 else f"{len(legs)} legs"


@attrs.frozen(kw_only=True)
class Call:
    """One call with all of its legs: who called, whether a person picked up, how long they talked.

    `group_calls` and `BoxisClient.calls` make it. The page "What counts as answered" lists
    the rules, and the evidence for each.
    """

    legs: tuple[CDR, ...] = attrs.field(repr=_count)
    """All legs, by start, then by sequence."""
    start: datetime
    """When the first leg began."""
    end: datetime | None
    """When the last leg ended; None where no leg says when."""
    direction: Direction | None
    """The direction of the first leg that has one."""
    caller_number: str
    """The caller's number, of the first leg that has one, as it was written."""
    caller_name: str
    """The caller's name, of the first leg of this caller that has one."""
    dialled: str
    """What was dialled first: the first leg's `firstdst`, else its `dst`."""
    outside: str
    """The outside party: who called in, or what was dialled; `""` for any other call."""
    outcome: Outcome
    """How the call ended: whether it reached a person, a voicemail box, a machine, or nobody."""
    answered_by: str
    """Who answered: `wherelanded` where it names somebody, else the extension (or the line) of
    the second channel; `""` where no person answered."""
    wait: timedelta
    """How long the caller waited: until the first person picked up, or until the end."""
    talk: timedelta
    """How long persons were connected. Times that several legs recorded count once."""
    cost: Decimal
    """The exact sum of what the legs cost, in the currency of your contract."""

    @property
    def answered(self) -> bool:
        """Whether a person picked up."""
        return self.outcome is Outcome.ANSWERED

    @property
    def missed(self) -> bool:
        """Whether the call came in from outside and no person picked up."""
        return self.direction is Direction.INBOUND and self.outcome is not Outcome.ANSWERED

    @property
    def duration(self) -> timedelta:
        """The real time from start to end; zero where no leg says when it ended."""
        if self.end is None:
            return timedelta(0)
        return max(timedelta(0), timedelta(seconds=self.end.timestamp() - self.start.timestamp()))

    @property
    def id(self) -> str:
        """The name of the call on the exchange where it began: `linkedid`, else `uniqueid`."""
        return self.legs[0].linkedid or self.legs[0].uniqueid

    def to_dict(self) -> dict[str, Any]:
        """Give the call as a dict that `json.dumps` takes.

        Times are ISO 8601 with their offset, `wait_seconds` and `talk_seconds` are numbers, the
        cost is a text so that no digit is lost, and `legs` is how many there are.
        """
        return {
            "id": self.id,
            "start": self.start.isoformat(),
            "end": None if self.end is None else self.end.isoformat(),
            "direction": None if self.direction is None else self.direction.value,
            "caller_number": self.caller_number,
            "caller_name": self.caller_name,
            "dialled": self.dialled,
            "outside": self.outside,
            "outcome": self.outcome.value,
            "answered_by": self.answered_by,
            "answered": self.answered,
            "missed": self.missed,
            "wait_seconds": _seconds(self.wait),
            "talk_seconds": _seconds(self.talk),
            "cost": f"{self.cost:f}",
            "legs": len(self.legs),
        }

    def to_json(self) -> str:
        """Give the call as one line of JSON, in ASCII: `to_dict()`, as a text."""
        return to_json(self.to_dict())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> dict[str, Any]:
        return core_schema(cls, cls.to_dict)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, Any]:
        return schema_of_values(cls, _TYPES)


_TYPES: dict[str, object] = {
    "id": str,
    "start": datetime,
    "end": datetime | None,
    "direction": Direction | None,
    "caller_number": str,
    "caller_name": str,
    "dialled": str,
    "outside": str,
    "outcome": Outcome,
    "answered_by": str,
    "answered": bool,
    "missed": bool,
    "wait_seconds": float,
    "talk_seconds": float,
    "cost": Decimal,
    "legs": int,
}
"""The types of what `Call.to_dict` gives, before they are made fit for JSON."""


def _seconds(time: timedelta) -> int | float:
    """Give seconds, as a whole number where they are whole, as the provider's are."""
    seconds = time.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds
