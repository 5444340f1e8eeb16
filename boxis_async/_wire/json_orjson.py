"""Records of an answer by orjson (extra `fast`): the same as json would give, or nothing.

orjson takes the last of two values with one key, and gives a number without its spelling. So what
it reads counts only where the text has no more keys than were found, and no numbers; whatever it
refuses may still be read by json, or be refused in its words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["read_records"]

_TEXT_OR_NULL = frozenset({str, type(None)})


def read_records(text: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Read an object or an array of records, or give None where that is left to json.

    Numbers may stand in it all the same: only the first record is looked through for them. Whoever
    builds something of a number has to refuse it, as its spelling is lost.
    """
    if _may_have_space_before_colon(text):
        return None
    try:
        found: dict[str, Any] | list[Any] = orjson.loads(text)
    except ValueError:
        return None
    names = len(found) if isinstance(found, dict) else 0
    records: Collection[dict[str, Any]] = found.values() if isinstance(found, dict) else found
    if {*map(type, records)} != {dict}:
        return None
    # Without space before a colon, these are the text's keys, those of values included, and
    # perhaps more that only look alike. So if they are as many as were found, all were.
    if text.count('":') != names + sum(map(len, records)):
        return None
    first = next(iter(records))
    return found if _TEXT_OR_NULL.issuperset(map(type, first.values())) else None


def _may_have_space_before_colon(text: str) -> bool:
    """Tell whether white space may stand before a colon: any but a space there, or before one."""
    # `rfind`, as `in` takes three times as long to find nothing.
    return "\n" in text or "\t" in text or "\r" in text or text.rfind(" :") >= 0
