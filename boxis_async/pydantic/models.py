"""The models: what `CDR.to_dict` and `Call.to_dict` give, with types.

A model takes the value itself (`from_attributes`), the dict, or the JSON of it, and writes the same
JSON. Words that the exchange may add to are texts here, since pydantic knows no open enums.
"""

# No `from __future__ import annotations` here: pydantic looks the annotations up in the module that
# a class says it is from, and that is the wing's face.

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from boxis_async import Call, Direction

__all__ = ["CDRModel", "CallModel"]


def _iso(moment: datetime) -> str:
    return moment.isoformat()


Time: TypeAlias = Annotated[
    datetime,
    # pydantic would write UTC as `Z`, and `to_dict` writes each offset alike.
    PlainSerializer(_iso, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


def _plain_digits(cost: Decimal) -> str:
    return f"{cost:f}"


Cost: TypeAlias = Annotated[
    Decimal,
    # pydantic would write 0E-7 with its exponent.
    PlainSerializer(_plain_digits, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "decimal"}),
]


class CDRModel(BaseModel):
    """One leg of a call: the fields of a `CDR`, by their names.

    `CDRModel.model_validate(cdr)` makes one, and `model_dump(mode="json")` gives `cdr.to_dict()`.
    """

    model_config = ConfigDict(from_attributes=True, frozen=True)

    uniqueid: str = ""
    start: Time
    answer: Time | None = None
    end: Time | None = None
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
    disposition: str | None = Field(None, examples=["ANSWERED", "NO ANSWER", "BUSY"])
    amaflags: str = ""
    accountcode: str = ""
    userfield: str = ""
    realsrc: str = ""
    firstdst: str = ""
    lastdst: str = ""
    src_call_id: str = ""
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
    cc_cost: Cost | None = None
    extra: dict[str, str] = {}


class CallModel(BaseModel):
    """One call: what `Call.to_dict` gives.

    `CallModel.model_validate(call)` makes one, and `model_dump(mode="json")` gives
    `call.to_dict()`.
    """

    model_config = ConfigDict(from_attributes=True, frozen=True)

    id: str
    start: Time
    end: Time | None
    direction: Direction | None
    caller_number: str
    caller_name: str
    dialled: str
    outside: str
    outcome: str = Field(examples=["ANSWERED", "VOICEMAIL", "NO ANSWER"])
    answered_by: str
    answered: bool
    missed: bool
    wait_seconds: int | float
    talk_seconds: int | float
    cost: Cost
    legs: int = Field(description="how many legs there are")

    @model_validator(mode="before")
    @classmethod
    def _of_call(cls, value: Any) -> Any:  # noqa: ANN401 - whatever is validated
        # Its lengths of time and its legs are other values under other names.
        return value.to_dict() if isinstance(value, Call) else value
