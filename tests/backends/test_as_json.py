"""Records and calls as JSON: as dicts, in FastAPI, and as pydantic's models."""

from __future__ import annotations

import json
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import attrs
import pydantic
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from boxis_async import CDR, Call, Disposition, Extra, MissingExtraError, group_calls
from boxis_async.pydantic import CallModel, CDRModel

if TYPE_CHECKING:
    from collections.abc import Iterator

ZURICH = ZoneInfo("Europe/Zurich")
LEG = CDR(
    uniqueid="1",
    start=datetime(2026, 10, 25, 2, 30, tzinfo=ZURICH, fold=1),
    end=datetime(2026, 10, 25, 2, 31, tzinfo=ZURICH, fold=1),
    clid='"<script>\u202e\x1b[31m" <0041445550101>',
    userfield="[inbound]",
    disposition=Disposition("VOICEMAIL"),
    cc_date=date(2026, 10, 25),
    cc_cost=Decimal("0E-7"),
    extra=Extra(queue="sales"),
)
moments = st.datetimes(
    datetime.fromisoformat("1970-01-02"),
    datetime.fromisoformat("9000-01-01"),
    timezones=st.sampled_from([UTC, ZURICH]),
)
legs = st.builds(
    CDR,
    uniqueid=st.text(),
    start=moments,
    end=st.none() | moments,
    clid=st.text(),
    disposition=st.none() | st.sampled_from([*Disposition, Disposition("OTHER")]),
    sequence=st.none() | st.integers(),
    cc_date=st.none() | st.dates(),
    cc_cost=st.none() | st.decimals(-1000, 1000),
    extra=st.dictionaries(st.text(), st.text(), max_size=2).map(Extra),
)


def test_a_record_as_a_dict() -> None:
    """The fields come by their names, in order; times with their offset, the cost as a text."""
    values = LEG.to_dict()
    assert list(values) == [field.name for field in attrs.fields(CDR)]
    assert values["start"] == "2026-10-25T02:30:00+01:00"
    assert values["answer"] is None
    assert values["disposition"] == "VOICEMAIL"
    assert type(values["disposition"]) is str
    assert values["cc_cost"] == "0.0000000"
    assert values["cc_date"] == "2026-10-25"
    assert values["extra"] == {"queue": "sales"}
    assert type(values["extra"]) is dict


@given(legs)
@settings(max_examples=25)
def test_any_record_as_json(leg: CDR) -> None:
    """Its JSON is one line of printable ASCII, and no value is lost in it."""
    text = leg.to_json()
    assert text.isascii()
    assert text.isprintable()
    values = json.loads(text)
    assert values == leg.to_dict()
    # In UTC, as two zones compare unequal within an hour that comes twice.
    assert datetime.fromisoformat(values["start"]).astimezone(UTC) == leg.start.astimezone(UTC)
    assert leg.cc_cost is None or Decimal(values["cc_cost"]) == leg.cc_cost


@given(legs)
@settings(max_examples=25)
def test_a_call_as_json(leg: CDR) -> None:
    """A call's JSON is what its dict is, on one line."""
    (call,) = group_calls([leg])
    text = call.to_json()
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text) == call.to_dict()


@given(legs)
@settings(max_examples=25)
def test_models_agree_with_the_dicts(leg: CDR) -> None:
    """A model is made of the value or of its JSON, and writes the same JSON."""
    (call,) = group_calls([leg])
    model, call_model = CDRModel.model_validate(leg), CallModel.model_validate(call)
    assert model.model_dump(mode="json") == leg.to_dict()
    assert call_model.model_dump(mode="json") == call.to_dict()
    # Times that the change of the clock skips or repeats equal none of another zone in Python, and
    # what was read has the offset alone.
    assert CDRModel.model_validate_json(leg.to_json()).model_dump(mode="json") == leg.to_dict()
    assert CallModel.model_validate_json(call.to_json()).model_dump(mode="json") == call.to_dict()
    assert model.cc_cost == leg.cc_cost
    assert call_model.cost == call.cost
    assert model.start == leg.start


@pytest.fixture(scope="module")
def backend() -> Iterator[TestClient]:
    """Be a backend that returns records and calls as they are, and their models."""
    app = FastAPI()

    @app.get("/legs")
    def get_legs() -> list[CDR]:
        return [LEG]

    @app.get("/calls")
    def get_calls() -> list[Call]:
        return group_calls([LEG])

    @app.get("/legs/models", response_model=list[CDRModel])
    def get_leg_models() -> list[CDR]:
        return [LEG]

    @app.get("/call/model", response_model=CallModel)
    def get_call_model() -> Call:
        return group_calls([LEG])[0]

    @app.post("/leg")
    def post_leg(leg: CDRModel) -> str:
        return leg.uniqueid

    with TestClient(app) as client:
        yield client


def test_fastapi_takes_them_as_they_are(backend: TestClient) -> None:
    """`-> list[CDR]` and `-> list[Call]` work, and send what `to_dict` gives."""
    assert backend.get("/legs").json() == [LEG.to_dict()]
    assert backend.get("/calls").json() == [call.to_dict() for call in group_calls([LEG])]


def test_fastapi_takes_the_models(backend: TestClient) -> None:
    """`response_model=CDRModel` sends the same, and a record that is posted is read."""
    assert backend.get("/legs/models").json() == [LEG.to_dict()]
    assert backend.get("/call/model").json() == group_calls([LEG])[0].to_dict()
    assert backend.post("/leg", json=LEG.to_dict()).json() == "1"
    assert backend.post("/leg", json={"start": "soon"}).status_code == 422


def test_openapi_describes_each_once(backend: TestClient) -> None:
    """OpenAPI has one schema for each class, and each key with its type."""
    described = backend.get("/openapi.json").json()
    schemas = described["components"]["schemas"]
    assert {"CDR", "Call", "CallModel", "Direction"} <= set(schemas)
    answer = described["paths"]["/legs"]["get"]["responses"]["200"]["content"]["application/json"]
    assert answer["schema"]["items"] == {"$ref": "#/components/schemas/CDR"}
    for name, values in (("CDR", LEG.to_dict()), ("Call", group_calls([LEG])[0].to_dict())):
        assert list(schemas[name]["properties"]) == list(values)
        assert schemas[name]["required"] == list(values)
        assert schemas[name]["properties"]["start"] == {"type": "string", "format": "date-time"}
    cost = {"type": "string", "format": "decimal"}
    assert schemas["Call"]["properties"]["cost"] == cost
    assert schemas["CallModel"]["properties"]["cost"]["type"] == "string"
    assert cost in schemas["CDR"]["properties"]["cc_cost"]["anyOf"]


def test_a_record_in_a_model_of_the_users() -> None:
    """A record can be a field of a model: it is kept as it is, and anything else is refused."""

    class Answer(pydantic.BaseModel):
        legs: list[CDR]

    answer = Answer(legs=[LEG])
    assert answer.legs[0] is LEG
    assert answer.model_dump(mode="json") == {"legs": [LEG.to_dict()]}
    with pytest.raises(pydantic.ValidationError, match="instance of CDR"):
        Answer.model_validate({"legs": [LEG.to_dict()]})


def test_without_pydantic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pydantic the wing says which extra to install."""
    for name in [name for name in sys.modules if name.startswith("boxis_async.pydantic")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(MissingExtraError, match=r"boxis-async\[pydantic\]"):
        import boxis_async.pydantic  # noqa: F401, PLC0415 - that is the point
