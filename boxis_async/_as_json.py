"""Values as JSON takes them, and what FastAPI and pydantic need to know of a class to send it so.

pydantic asks a class for its schema by two methods, and takes plain dicts. So `-> list[CDR]` works
in FastAPI, and nothing here imports pydantic. To read records from JSON, there are the models of
`boxis_async.pydantic`.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["core_schema", "schema_of_values", "to_json", "value_as_json"]


def value_as_json(value: object) -> Any:  # noqa: ANN401 - whatever JSON has
    """Give a value as JSON takes it: times as ISO 8601, an exact number as a text."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        # Never with an exponent, which `str` would write for 0E-7.
        return f"{value:f}"
    return dict(value) if isinstance(value, dict) else value  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - an Extra


def to_json(values: Mapping[str, object]) -> str:
    """Write values as one line of JSON; in ASCII, so that no text of a stranger's acts on it."""
    return json.dumps(values, separators=(",", ":"))


def core_schema(kind: type, to_dict: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """Describe to pydantic a class whose values are taken as they are, and sent as dicts."""
    return {
        "type": "is-instance",
        "cls": kind,
        # One name for both schemas of an API, so that OpenAPI describes the class once.
        "ref": f"{kind.__module__}.{kind.__qualname__}:{id(kind)}",
        "serialization": {"type": "function-plain", "function": to_dict, "when_used": "always"},
    }


def schema_of_values(kind: type, types: Mapping[str, object]) -> dict[str, Any]:
    """Describe in JSON Schema what a class is sent as.

    Args:
        kind: The class.
        types: The types of its values, by their names.
    """
    return {
        "type": "object",
        "title": kind.__name__,
        "description": (kind.__doc__ or "").partition("\n")[0],
        "properties": {name: _schema(annotation) for name, annotation in types.items()},
        "required": list(types),
    }


def _schema(annotation: object) -> dict[str, Any]:
    found = [_schema_of_kind(kind) for kind in get_args(annotation) or (annotation,)]
    return found[0] if len(found) == 1 else {"anyOf": found}


def _schema_of_kind(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a class
    if issubclass(kind, Enum):
        # Other words than the listed ones pass through, so these are examples.
        return {"type": "string", "examples": [member.value for member in kind]}
    if issubclass(kind, dict):
        return {"type": "object", "additionalProperties": {"type": "string"}}
    return _SCHEMAS[kind]


_SCHEMAS: dict[object, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    NoneType: {"type": "null"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    Decimal: {"type": "string", "format": "decimal"},
}
