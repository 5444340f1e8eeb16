"""The wire, sans-I/O: parameters → a signed form; the bytes of a body → rows, or an error.

The provider's page "Get Calls History" is the specification: one endpoint, form-encoded
POST, `authcode` = md5 of the timestamp and the user's key, answers in JSON or XML.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast
from urllib.parse import urlencode

import attrs

from boxis_async.errors import (
    AuthenticationError,
    ClockError,
    MalformedAnswerError,
    RefusedError,
    StatusError,
    UsageError,
)

from .cooperative import Built, at_once
from .json import LONE_SURROGATE, json_in_steps
from .wallclock import write_wall

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from boxis_async._http.transport import Reply

    from .cooperative import Build, Steps

__all__ = [
    "PASSING_STATUSES",
    "Answer",
    "Credentials",
    "Form",
    "Key",
    "ReturnType",
    "answer_in_steps",
    "problem_with_returntype",
    "read_answer",
    "read_reply",
    "reply_in_steps",
    "rows",
    "sign",
]

logger = logging.getLogger("boxis_async")

ReturnType = Literal["json", "xml"]

_API_VERSION = "1.0"
_BOM = b"\xef\xbb\xbf"
_RESERVED = frozenset(
    {"version", "returntype", "timestamp", "username", "authcode", "section", "action"}
)
_ENVELOPE = frozenset({"result", "resulttxt", "params", "timestamp", "timestamperror"})
_NUMBERED = r"(?i)[a-z]+_?[0-9]+"
_OK = range(200, 300)
_REDIRECTED = range(300, 400)
_REFUSED = range(400, 500)
PASSING_STATUSES = frozenset({408, 425, 429})
"""Statuses of client errors (4xx) that speak of the moment, not of the request."""

# No error text is documented beyond `Error: {error description}`: match the page's own words.
_ABOUT_WHO_ASKS = r"(?i)authenticat|authcode|auth code|credential"


class Key:
    """The user's API key: usable for signing, and for nothing that could show it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def authcode(self, timestamp: str) -> str:
        """Sign a timestamp: md5, in hex, of the timestamp followed by the key.

        md5 is the API's choice; it proves nothing to anyone but the provider.
        """
        signed = f"{timestamp}{self._text}".encode()
        return hashlib.md5(signed, usedforsecurity=False).hexdigest()

    def __repr__(self) -> str:
        return "<Key>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key is not pickled or copied: it would end up where it can be read")


@attrs.frozen(eq=False)
class Credentials:
    """Who asks: the username, an e-mail address, and the key."""

    username: str
    key: Key


@attrs.frozen(eq=False)
class Form:
    """A signed request body, form-encoded. It holds an authcode, so it does not show itself."""

    body: bytes = attrs.field(repr=False)


@attrs.frozen(eq=False)
class Answer:
    """What an answer holds: its `params`, and what stands beside them under a name of its own.

    Some functions put their content beside `result` instead (page "SMS Get History").
    """

    params: Any
    beside: dict[str, Any]
    server_time: int | None = None
    """The server's clock when it answered, in Unix seconds, where it tells."""

    @property
    def content(self) -> Any:  # noqa: ANN401 - whatever the API sends
        """What the function gives back: its params, else what stands beside them."""
        return self.beside if _is_empty(self.params) else self.params


def sign(  # noqa: PLR0913 - one argument for each part of the form
    credentials: Credentials,
    *,
    section: str,
    action: str,
    parameters: Mapping[str, object],
    timestamp: int,
    returntype: ReturnType = "json",
) -> Form:
    """Build the signed form of one request, in the order of the page's example.

    Args:
        credentials: Who asks.
        section: The API's module, such as `voice`.
        action: The module's function, such as `getCDR`.
        parameters: The function's own parameters: texts, whole numbers, dates, or naive
            datetimes on the provider's wall clock.
        timestamp: Unix seconds; the provider refuses a clock that is far off.
        returntype: In which form the answer is to come.

    Raises:
        UsageError: A parameter has a name that the signature uses, or a value of another type.
    """
    fields = {
        "version": _API_VERSION,
        "returntype": returntype,
        "timestamp": str(timestamp),
        "username": credentials.username,
        "authcode": credentials.key.authcode(str(timestamp)),
        "section": section,
        "action": action,
    }
    problems = [
        f"{name} is not valid Unicode"
        for name in ("username", "section", "action")
        if re.search(LONE_SURROGATE, fields[name])
    ]
    for name, value in parameters.items():
        if name in _RESERVED:
            problems.append(f"parameter {name!r} is set by the client itself: leave it out")
            continue
        try:
            fields[_parameter(name)] = _parameter(value)
        except (TypeError, ValueError) as error:
            problems.append(f"parameter {name!r}: {error}")
    if problems:
        # Not from within this frame's locals, which hold the authcode.
        fields.clear()
        raise UsageError(*problems)
    return Form(urlencode(fields).encode("ascii"))


def read_answer(body: bytes, returntype: ReturnType = "json", *, as_text: bool = False) -> Answer:
    """Read the body of an answer at once; otherwise as `answer_in_steps`."""
    return at_once(answer_in_steps(body, returntype, as_text=as_text))


def answer_in_steps(
    body: bytes,
    returntype: ReturnType = "json",
    *,
    as_text: bool = False,
    build: Build | None = None,
) -> Steps[Answer]:
    """Read the body of an answer.

    The content type is not looked at: PHP says `text/html` unless told otherwise. A byte
    order mark and notices that PHP printed before the answer are read past and logged; bytes
    that are not UTF-8 become replacement characters where they stand.

    Args:
        body: The whole body, decompressed.
        returntype: The form that was asked for.
        as_text: Whether to give JSON's numbers as the text that stands on the wire, as the
            page's records do, and XML always does.
        build: Builds something of some records after the other, and a `Built` is then in their
            place; not in XML, nor where those of a JSON answer stand elsewhere than under `cdr`.

    Raises:
        MalformedAnswerError: The answer is not complete and well formed.
        RefusedError: `result` is 0; as an `AuthenticationError` where the text says so.
        ClockError: The answer says `timestamperror`.
    """
    body = _without_bom(body)
    if not body.strip():
        raise MalformedAnswerError("the answer is empty, though the request was accepted")
    if returntype == "xml":
        answer = yield from _xml_reader()(body)
    else:
        answer = yield from json_in_steps(body, as_text=as_text, build=build)
    result = _scalar(answer.get("result"))
    told = _scalar(answer.get("timestamp"))
    server_time = int(told) if re.fullmatch(r"[0-9]{1,12}", told) else None
    if _is_truthy(answer.get("timestamperror")):
        raise ClockError(_text(answer.get("resulttxt")), server_time=server_time)
    if result == "0":
        text = _text(answer.get("resulttxt"))
        raise (AuthenticationError if re.search(_ABOUT_WHO_ASKS, text) else RefusedError)(text)
    if result != "1":
        raise MalformedAnswerError(
            f"the answer's `result` must be 1 or 0, not {_shown(answer.get('result'))}"
        )
    beside = {name: value for name, value in answer.items() if name not in _ENVELOPE}
    return Answer(answer.get("params"), beside, server_time)


def read_reply(reply: Reply, returntype: ReturnType = "json", *, as_text: bool = False) -> Answer:
    """Read what came over HTTP at once; otherwise as `reply_in_steps`."""
    return at_once(reply_in_steps(reply, returntype, as_text=as_text))


def reply_in_steps(
    reply: Reply,
    returntype: ReturnType = "json",
    *,
    as_text: bool = False,
    build: Build | None = None,
) -> Steps[Answer]:
    """Read what came over HTTP, by its status and its body.

    Raises:
        StatusError: The status says that this is no answer of the API. A refusal that the API
            itself sends with a client error (4xx) is told as the refusal.
        BoxisError: Otherwise as `answer_in_steps`.
    """
    if reply.status in _OK:
        return (yield from answer_in_steps(reply.body, returntype, as_text=as_text, build=build))
    advice = ""
    if reply.status in _REDIRECTED:
        where = "" if reply.location is None else f" to {reply.location}"
        advice = f"{where}: redirects are not followed, set base_url to where the API is"
    else:
        try:
            yield from answer_in_steps(reply.body, returntype)
        except MalformedAnswerError:
            logger.debug("status %d came without an answer of the API", reply.status)
        except RefusedError as refusal:
            if reply.status in _REFUSED and reply.status not in PASSING_STATUSES:
                raise
            # It may pass, so the status decides; what the API says of it is not lost.
            advice = f": {refusal}"
    raise StatusError(
        f"HTTP status {reply.status}{advice}", status=reply.status, retry_after=reply.retry_after
    )


def rows(answer: Answer) -> dict[str, object] | Built:
    """Give the records in a `getCDR` answer, in their order, each by its key (`call_1`).

    Or what was built of them while the answer was read.

    Raises:
        MalformedAnswerError: The answer has another shape. Only what is known to say "no
            calls" (empty, null or missing) is taken for no calls.
    """
    found: object = answer.params
    if _is_empty(found):
        found = {
            name: value
            for name, value in answer.beside.items()
            if _is_nested(value) or name == "cdr" or name.startswith("call_")
        }
    if _is_empty(found):
        return {}
    if isinstance(found, dict):
        fields = cast("dict[str, object]", found)
        if "cdr" in fields:
            found = fields["cdr"]
            if _is_empty(found):
                return {}
        elif not all(map(re.compile(_NUMBERED).fullmatch, fields)):
            found = None
    if isinstance(found, Built):
        return found
    if isinstance(found, dict):
        return cast("dict[str, object]", found)
    if isinstance(found, list):
        records = cast("list[object]", found)
        return {f"call_{number}": record for number, record in enumerate(records, 1)}
    raise MalformedAnswerError(
        f"the answer must hold its records in `params` under `cdr`, not {_shown(answer.content)}"
    )


def problem_with_returntype(returntype: object) -> str | None:
    """Say what is wrong with the form of the answers, or None.

    Raises:
        MissingExtraError: XML is asked for, and the extra that reads it is not installed.
    """
    if returntype not in ("json", "xml"):
        return f'returntype must be "json" or "xml", not {returntype!r}'
    if returntype == "xml":
        _xml_reader()
    return None


def _parameter(value: object) -> str:
    if isinstance(value, str):
        # What cannot be written as UTF-8 would fail deep inside, far from its name.
        if re.search(LONE_SURROGATE, value):
            raise TypeError("the text is not valid Unicode")
        return value
    # A bool is an int to Python, and "True" a text to PHP: neither is what was meant.
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            raise TypeError("give a naive datetime, on the provider's wall clock")
        return write_wall(value)
    if isinstance(value, date):
        return write_wall(datetime.combine(value, time()))
    raise TypeError(f"give a str, an int or a date, not {type(value).__name__}")


def _without_bom(body: bytes) -> bytes:
    # Each PHP file that was saved with one prints one.
    while body.startswith(_BOM):
        logger.warning("a byte order mark stands before the answer; it is read past")
        body = body[len(_BOM) :]
    return body


def _xml_reader() -> Callable[[bytes], Steps[dict[str, Any]]]:
    from .xml import xml_in_steps  # noqa: PLC0415 - an optional dependency

    return xml_in_steps


def _is_empty(value: object) -> bool:
    """Tell whether a value is one of PHP's ways to write nothing: [], {}, "" or null."""
    return value is None or value in ([], {}) or (isinstance(value, str) and not value.strip())


def _is_nested(value: object) -> bool:
    return isinstance(value, (dict, list))


def _is_truthy(value: object) -> bool:
    """Tell whether PHP would take a value for true, as the page's sample does."""
    return not _is_empty(value) and value not in ("0", 0, False)


def _scalar(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return ""
    return str(value).strip()


def _text(value: object) -> str:
    try:
        return value if isinstance(value, str) else "" if value is None else json.dumps(value)
    except RecursionError:
        raise MalformedAnswerError("the answer's `resulttxt` is nested too deep") from None


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return (
            f"an object with the keys {', '.join(map(repr, cast('dict[str, object]', value)))[:80]}"
        )
    return f"{value!r}"[:80] if isinstance(value, (str, int, float)) else type(value).__name__
