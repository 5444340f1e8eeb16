"""Parameters → a signed form.

The provider's page "Get Calls History" is the specification: one endpoint, form-encoded POST,
`authcode` = md5 of the timestamp and the user's key. So parameters take no part in the signature.

A list is sent as PHP reads one. The page "Send SMS" shows `recipients[1]`, `recipients[2]`, so we
count from 1. Dicts, and what is nested, are our decision: `a[key]` and `a[key][1]`, as PHP has it.
"""

from __future__ import annotations

import hashlib
from datetime import date, datetime, time
from typing import TYPE_CHECKING, NoReturn, cast
from urllib.parse import urlencode

import attrs

from boxis_async._plain import plain_date, plain_text, plain_whole
from boxis_async._wire.json import LONE_SURROGATE
from boxis_async._wire.messages import Form
from boxis_async._wire.wallclock import write_wall
from boxis_async.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from boxis_async.types import ReturnType

__all__ = ["Credentials", "Key", "sign"]

_API_VERSION = "1.0"
_DEEPEST = 8
_SET_BY_US = frozenset(
    {"version", "returntype", "timestamp", "username", "authcode", "section", "action"}
)


class Key:
    """The user's API key: it signs, and shows itself nowhere."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def authcode(self, timestamp: str) -> str:
        """Sign a timestamp: md5, in hex, of the timestamp followed by the key.

        md5 is the API's choice (page "Get Calls History").
        """
        signed = f"{timestamp}{self._text}".encode()
        return hashlib.md5(signed, usedforsecurity=False).hexdigest()

    def __repr__(self) -> str:
        return "<Key>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key is not pickled or copied: it would end up where it can be read")


@attrs.frozen(eq=False, repr=False)
class Credentials:
    """The username, an e-mail address, and the API key."""

    username: str
    key: Key


def sign(  # noqa: PLR0913 - one argument for each part of the form
    credentials: Credentials,
    *,
    section: str,
    action: str,
    parameters: Mapping[str, object],
    timestamp: int,
    returntype: ReturnType = "json",
) -> Form:
    """Build the signed form of one request, its fields in the order of the page's example.

    Args:
        credentials: Whose request it is.
        section: The API's module, such as `voice`.
        action: The module's function, such as `getCDR`.
        parameters: The function's own parameters: texts, whole numbers, dates, or naive
            datetimes on the provider's wall clock, and lists and dicts of these.
        timestamp: Unix seconds; the provider refuses a clock that is far off.
        returntype: The form of the answer.

    Raises:
        UsageError: A parameter has a name that the signature uses, or a value of another type.
    """
    named = {"username": credentials.username, "section": section, "action": action}
    problems = [
        f"{name} is not valid Unicode"
        for name, text in named.items()
        if LONE_SURROGATE.search(text)
    ]
    further: dict[str, str] = {}
    for name, value in parameters.items():
        # PHP would put `authcode[1]` in the place of what we set, too.
        if name.partition("[")[0] in _SET_BY_US:
            problems.append(f"parameter {name!r} is set by the client itself: leave it out")
            continue
        try:
            for place, part in _parts(value):
                field = _as_text(name) + place
                if field in further:
                    problems.append(f"parameter {name!r}: {field} comes twice, give it once")
                further[field] = _as_text(part)
        except (TypeError, ValueError) as error:
            problems.append(f"parameter {name!r}: {error}")
    if problems:
        raise UsageError(*problems)
    # Signed only now: the locals of whatever failed above would show the authcode.
    return Form(
        urlencode(
            {
                "version": _API_VERSION,
                "returntype": returntype,
                "timestamp": str(timestamp),
                "username": credentials.username,
                "authcode": credentials.key.authcode(str(timestamp)),
                "section": section,
                "action": action,
                **further,
            }
        ).encode("ascii")
    )


def _parts(value: object, depth: int = 0) -> Iterator[tuple[str, object]]:
    """Give what is in a list or a dict, with its place as PHP writes it: `[1]`, `[key]`."""
    items: Iterable[tuple[object, object]]
    if isinstance(value, (list, tuple)):
        items = enumerate(cast("Iterable[object]", value), start=1)
    elif isinstance(value, dict):
        items = cast("dict[object, object]", value).items()
    else:
        yield "", value
        return
    if not value:
        # PHP would not see that it was there.
        raise TypeError("it is empty, and cannot be sent: leave it out")
    if depth == _DEEPEST:
        raise TypeError(f"it is nested more than {_DEEPEST} times")
    for key, part in items:
        name = _as_text(key)
        if "[" in name or "]" in name:
            raise TypeError(f"the key {name!r} has a bracket, and would be read as another one")
        for place, single in _parts(part, depth + 1):
            yield f"[{name}]{place}", single


def _as_text(value: object) -> str:
    if isinstance(value, str):
        # It cannot be encoded as UTF-8, and urlencode's error would not name the parameter.
        if LONE_SURROGATE.search(value):
            raise TypeError("the text is not valid Unicode")
        return plain_text(value)
    # A bool is an int to Python, and "True" a text to PHP: neither is what was meant.
    if isinstance(value, int) and not isinstance(value, bool):
        return str(plain_whole(value))
    if isinstance(value, date):
        value = plain_date(value)
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            raise TypeError("give a naive datetime, on the provider's wall clock")
        return write_wall(value)
    if isinstance(value, date):
        return write_wall(datetime.combine(value, time()))
    raise TypeError(
        f"give a str, an int, a date, or a list or dict of these, not {type(value).__name__}"
    )
