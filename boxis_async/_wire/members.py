"""What stands beside the records of an answer: it may be further records, or speak of them.

The page "Get Calls History" shows nothing but `cdr` there. So nothing is dropped without a word: a
call that stands there is a call, a member that speaks of more records than there are is believed,
and of any other the name is logged, once.
"""

from __future__ import annotations

import logging
import re
from decimal import Decimal, InvalidOperation
from itertools import count
from typing import TYPE_CHECKING, Final, cast

from boxis_async.errors import MalformedAnswerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["NUMBERED_KEY", "UnknownMembers", "check_other_members", "is_call", "is_row"]

logger = logging.getLogger("boxis_async")

_CALL = re.compile(r"(?i)call_?[0-9]+")
NUMBERED_KEY = re.compile(r"(?i)[a-z]+_?[0-9]+")
"""Names of rows: `call_1`, `line1`, `sms1`."""
_LONG_NUMBER = re.compile(r"[0-9]{6,}")
_LONGEST_NAME: Final = 40
_LONGEST_WORD: Final = 200
_MOST_NAMES: Final = 20
# Objects and arrays in which records are looked for: in some 3 ms.
_MOST_LOOKED_AT: Final = 2000

# No page documents these. They are the words of other APIs, without case and underscores.
_SAYS_MORE = re.compile(
    "(?:is)?(?:truncated|partial|incomplete)"
    "|(?:has)?(?:more|next)(?:results|records|data|page|url|link|cursor|token|pagetoken|offset)?"
)
_SAYS_HOW_MANY = re.compile(
    "total|count|totalcount|(?:total|num|numberof)(?:records|rows|calls|results)"
    "|(?:record|row|call)s?(?:count|total)"
)
_FALSY: Final = frozenset({"", "false", "no", "n", "off", "none", "null"})


class UnknownMembers:
    """Logs the names of members that nobody documented, each once in the life of a client."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: set[str] = set()

    def report(self, names: Iterable[str]) -> None:
        """Log the names that are new, but never a value."""
        for name in map(_shown, names):
            if name in self._names or len(self._names) >= _MOST_NAMES:
                continue
            self._names.add(name)
            logger.warning(
                "the answer has a member beside its records that nobody documented, %s: it is not "
                "read (logged once)",
                name,
            )
            # A server that puts data into names must fill neither the log nor the memory.
            if len(self._names) == _MOST_NAMES:
                logger.warning("further names are not logged")


def is_call(name: str, value: object) -> bool:
    """Report whether a member is a record: `call_17`, or another numbered one that has a start."""
    if _CALL.fullmatch(name):
        return True
    return isinstance(value, dict) and "start" in value and bool(NUMBERED_KEY.fullmatch(name))


def is_row(name: str, value: object) -> bool:
    """Report whether a member is named and shaped as a row, whatever is in it."""
    return isinstance(value, dict) and NUMBERED_KEY.fullmatch(name) is not None


def check_other_members(
    members: Iterable[tuple[str, object]], records: int, unknown: UnknownMembers
) -> None:
    """Check what stands beside the records and is none of them.

    Args:
        members: Names and values.
        records: How many records the answer holds.
        unknown: Logs the names of the members that say nothing of the records.

    Raises:
        MalformedAnswerError: One of them says that there are more records, or holds some.
    """
    unread: list[str] = []
    for name, value in members:
        word = name[:_LONGEST_WORD].lower().replace("_", "").replace("-", "")
        if _SAYS_MORE.fullmatch(word):
            if _is_true(value):
                raise _not_whole(f"it has {_shown(name)} beside its records")
        elif _SAYS_HOW_MANY.fullmatch(word) and (number := _whole_number(value)) is not None:
            if number > records:
                said = f"{number}"[:_LONGEST_NAME]
                raise _not_whole(f"{_shown(name)} is {said}, and it holds {records:,} records")
        elif _holds_calls(value, count(1)):
            raise MalformedAnswerError(
                f"the answer has what look like records under {_shown(name)}, beside its records"
            )
        else:
            unread.append(name)
    unknown.report(unread)


def _not_whole(reason: str) -> MalformedAnswerError:
    return MalformedAnswerError(
        f"the answer says itself that it is not whole: {reason}", is_partial=True
    )


def _is_true(value: object) -> bool:
    """Report whether a value means yes: XML and PHP write "no" in more ways than one."""
    if isinstance(value, (dict, list)):
        return bool(cast("object", value))
    text = "" if value is None else str(value)[:_LONGEST_WORD].strip().lower()
    return text not in _FALSY and _whole_number(text) != 0


def _whole_number(value: object) -> Decimal | None:
    """Read a number of records, which can stand there as a text; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        # Of a longer one the first digits are enough to say that there are more records.
        number = Decimal(str(value)[:_LONGEST_WORD].strip())
    except (InvalidOperation, ValueError):
        return None
    # A decimal, not an int: 1e999999999 would fill the memory with its digits.
    return number if number.is_finite() and number == number.to_integral_value() else None


def _holds_calls(value: object, looked_at: Iterator[int], depth: int = 3) -> bool:
    """Report whether a value is a record, or holds one a few levels down.

    One with very many others in it may well hold some.
    """
    if not isinstance(value, (dict, list)) or not depth:
        return False
    if next(looked_at) > _MOST_LOOKED_AT:
        return True
    entries: Iterable[object]
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        if "start" in fields and "uniqueid" in fields:
            return True
        entries = fields.values()
    else:
        entries = cast("list[object]", value)
    return any(_holds_calls(entry, looked_at, depth - 1) for entry in entries)


def _shown(name: str) -> str:
    """Show a name without what could be a telephone number."""
    name = _LONG_NUMBER.sub("…", name[:_LONGEST_WORD])
    return repr(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…")
