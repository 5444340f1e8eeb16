"""The bytes of a reply → the API's answer, or the error that it is.

The envelope is read here: `result`, `resulttxt`, `params`, `timestamp`, `timestamperror` (page "Get
Calls History"). JSON and XML are parsed by the modules beside this one, in chunks.
"""

from __future__ import annotations

import json
import logging
import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

from boxis_async._wire.json import json_in_chunks
from boxis_async._wire.json_chunks import Chunked
from boxis_async._wire.members import (
    NUMBERED_KEY,
    UnknownMembers,
    check_other_members,
    is_call,
)
from boxis_async._wire.messages import Answer
from boxis_async.errors import (
    AuthenticationError,
    BadAnswerError,
    ClockError,
    MalformedAnswerError,
    RateLimitError,
    RefusedError,
    StatusError,
    TooLargeError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from boxis_async._wire.cooperative import Chunks
    from boxis_async._wire.messages import Reply
    from boxis_async.types import ReturnType

__all__ = ["PASSING_STATUSES", "content_of", "read_answer", "read_reply", "rows_of", "xml_reader"]

logger = logging.getLogger("boxis_async")

_BOM = b"\xef\xbb\xbf"
# Each PHP file that was saved with one prints one.
_MOST_BOMS = 1000
_ENVELOPE = frozenset({"result", "resulttxt", "params", "timestamp", "timestamperror"})
# Characters of a text that names a number or nothing, and of an error text that is kept.
_LONGEST_SCALAR: Final = 1000
_LONGEST_TEXT: Final = 64 * 1024
# Records that may stand elsewhere than together under `cdr`, where they are not read in chunks.
_MOST_ELSEWHERE: Final = 10_000
_SHOWN: Final = 80
_UNIX_SECONDS = re.compile(r"[0-9]{1,12}")
_OK = range(200, 300)
_REDIRECTED = range(300, 400)
_REFUSED = range(400, 500)
_TOO_MANY_REQUESTS: Final = 429
PASSING_STATUSES: Final = frozenset({408, 425, _TOO_MANY_REQUESTS})
"""Client errors (4xx) that speak of the moment, not of the request: they are retried."""

# No error text is documented beyond `Error: {error description}`, so match the page's own words.
_ABOUT_CREDENTIALS = re.compile(r"(?i)authenticat|authcode|auth code|credential")


def read_reply(
    reply: Reply,
    returntype: ReturnType,
    *,
    as_text: bool = False,
    chunked: bool = False,
    named: bool = False,
) -> Chunks[Answer]:
    """Read what came over HTTP, by its status and its body.

    Raises:
        StatusError: The status says that this is no answer of the API; `RateLimitError` for 429.
            A refusal that the API itself sends with a client error (4xx) raises as that refusal.
        BoxisError: Otherwise as `read_answer`.
    """
    status_code = reply.status_code
    if status_code in _OK:
        return (
            yield from read_answer(
                reply.body, returntype, as_text=as_text, chunked=chunked, named=named
            )
        )
    advice = ""
    if status_code in _REDIRECTED:
        where = "" if reply.location is None else f" to {reply.location}"
        advice = f"{where}: redirects are not followed, set base_url to where the API is"
    else:
        try:
            yield from read_answer(reply.body, returntype)
        except BadAnswerError:
            logger.debug("status %d came without an answer of the API", status_code)
        except RefusedError as refusal:
            if status_code in _REFUSED and status_code not in PASSING_STATUSES:
                raise
            # It may pass, so the status decides; the API's own text is not lost.
            advice = f": {refusal}"
    if reply.proxy:
        advice += f", {reply.proxy}"
    kind = RateLimitError if status_code == _TOO_MANY_REQUESTS else StatusError
    raise kind(
        f"HTTP status {status_code}{advice}",
        status_code=status_code,
        retry_after=reply.retry_after,
        date=reply.date,
    )


def read_answer(
    body: bytes,
    returntype: ReturnType = "json",
    *,
    as_text: bool = False,
    chunked: bool = False,
    named: bool = False,
) -> Chunks[Answer]:
    """Read the body of an answer, in chunks.

    The content type is not looked at: PHP sends `text/html` unless a script sets another. A byte
    order mark and notices that PHP printed before the answer are skipped and logged; bytes that
    are not UTF-8 become replacement characters.

    Args:
        body: The whole body, decompressed.
        returntype: The form that was requested.
        as_text: Whether to give JSON's numbers as the text that stands on the wire, as the
            page's records do, and XML always does.
        chunked: Whether to hand over records chunk by chunk, with a `Chunked` in their place.
            Only records under `cdr` are read like that.
        named: Whether to hand over pairs, of a row's key and the row.

    Raises:
        MalformedAnswerError: The answer is not complete and well formed.
        RefusedError: `result` is 0; as an `AuthenticationError` where the text speaks of the
            credentials.
        ClockError: The answer has a `timestamperror`.
    """
    begin = _behind_boms(body)
    if returntype == "xml":
        envelope = yield from xml_reader()(body, begin=begin, chunked=chunked, named=named)
    else:
        envelope = yield from json_in_chunks(
            body, begin=begin, as_text=as_text, chunked=chunked, named=named
        )
    result = _scalar(envelope.get("result"))
    seconds = _scalar(envelope.get("timestamp"))
    server_time = int(seconds) if _UNIX_SECONDS.fullmatch(seconds) else None
    if _is_truthy(envelope.get("timestamperror")):
        raise ClockError(
            _text(envelope.get("resulttxt")),
            server_time=server_time,
            sent=_as_sent(envelope.get("timestamp")),
        )
    if result == "0":
        text = _text(envelope.get("resulttxt"))
        raise (AuthenticationError if _ABOUT_CREDENTIALS.search(text) else RefusedError)(text)
    if result != "1":
        raise MalformedAnswerError(
            f"the answer's `result` must be 1 or 0, not {_shown(envelope.get('result'))}"
        )
    beside = {name: value for name, value in envelope.items() if name not in _ENVELOPE}
    return Answer(envelope.get("params"), beside, server_time)


def content_of(answer: Answer) -> Any:  # noqa: ANN401 - whatever the API sends
    """Give what a function returned: its params, else what stands beside them."""
    return answer.beside if _is_empty(answer.params) else answer.params


def rows_of(answer: Answer, unknown: UnknownMembers | None = None) -> dict[str, object] | Chunked:
    """Give the rows of a `getCDR` answer, in their order, each by its key (`call_1`).

    Rows that stand beside `cdr` come after those in it. Where rows were handed over chunk by chunk,
    a `Chunked` says how many there are in all. If they stand in more than one place, the answer has
    to be read as a whole to know their order.

    Args:
        answer: The answer.
        unknown: Logs the names of members that nobody documented.

    Raises:
        MalformedAnswerError: The answer has another shape, or says that there are more records.
            Only what is known to mean "no calls" (empty, null or missing) is taken for no calls.
        TooLargeError: Too many records stand elsewhere than together under `cdr`.
    """
    holder, others = _holder_of(answer)
    if len(others) > _MOST_ELSEWHERE:
        raise _too_many_elsewhere()
    holders = [_rows_in(holder)]
    unread: list[tuple[str, object]] = []
    for name, value in others:
        if name == "cdr":
            holders.append(_rows_in(value))
        elif is_call(name, value):
            holders.append({name: value})
        else:
            unread.append((name, value))
    if unread:
        count = sum(map(_count, holders))
        check_other_members(unread, count, unknown or UnknownMembers())
    if len(holders) == 1:
        return holders[0]
    if sum(map(_count, holders)) > _MOST_ELSEWHERE:
        raise _too_many_elsewhere()
    if any(isinstance(rows, Chunked) for rows in holders):
        return Chunked(sum(map(_count, holders)), in_order=False)
    return _merged(cast("list[dict[str, object]]", holders))


def _holder_of(answer: Answer) -> tuple[object, list[tuple[str, object]]]:
    """Find what holds the rows, and list the members that stand beside it.

    Raises:
        MalformedAnswerError: The answer has another shape.
    """
    params: object = answer.params
    if _is_empty(params):
        # One function puts its records beside `result` (page "SMS Get History").
        members, around = answer.beside, dict[str, Any]()
    elif isinstance(params, dict):
        members, around = cast("dict[str, Any]", params), answer.beside
    else:
        return params, [*answer.beside.items()]
    if len(members) > _MOST_ELSEWHERE:
        raise _too_many_elsewhere()
    if "cdr" in members:
        holder = members["cdr"]
        others = [member for member in members.items() if member[0] != "cdr"]
        return holder, [*others, *around.items()]
    # Without `cdr`, each object or array has to be a row, and rows have numbered names.
    is_around = members is answer.beside
    rows = {
        name: value
        for name, value in members.items()
        if _is_nested(value)
        or is_call(name, value)
        or (not is_around and NUMBERED_KEY.fullmatch(name))
    }
    if not all(map(NUMBERED_KEY.fullmatch, rows)) or not (rows or is_around):
        raise _wrong_shape(content_of(answer))
    others = [member for member in members.items() if member[0] not in rows]
    return rows, [*others, *around.items()]


def xml_reader() -> Callable[..., Chunks[dict[str, Any]]]:
    """Give what reads answers in XML.

    Raises:
        MissingExtraError: The extra that it needs is not installed.
    """
    from boxis_async._wire.xml import xml_in_chunks  # noqa: PLC0415 - an optional dependency

    return xml_in_chunks


def _behind_boms(body: bytes) -> int:
    """Find where the answer begins behind byte order marks."""
    count = 0
    while body.startswith(_BOM, count * len(_BOM)):
        count += 1
        if count > _MOST_BOMS:
            raise MalformedAnswerError(
                f"the answer begins with over {_MOST_BOMS:,} byte order marks"
            )
    if count:
        logger.warning("%d byte order marks stand before the answer; they are skipped", count)
    return count * len(_BOM)


def _is_empty(value: object) -> bool:
    """Report whether a value is one of PHP's ways to write nothing: [], {}, "" or null."""
    if isinstance(value, str):
        return len(value) <= _LONGEST_SCALAR and not value.strip()
    return value is None or value in ([], {})


def _is_nested(value: object) -> bool:
    return isinstance(value, (dict, list, Chunked))


def _rows_in(holder: object) -> dict[str, object] | Chunked:
    if _is_empty(holder):
        return {}
    if isinstance(holder, Chunked):
        return holder
    if isinstance(holder, dict):
        return cast("dict[str, object]", holder)
    if isinstance(holder, list):
        rows = cast("list[object]", holder)
        return {f"call_{number}": row for number, row in enumerate(rows, 1)}
    raise _wrong_shape(holder)


def _too_many_elsewhere() -> TooLargeError:
    return TooLargeError(
        f"the answer holds over {_MOST_ELSEWHERE:,} records elsewhere than together under `cdr`",
        limit=_MOST_ELSEWHERE,
    )


def _wrong_shape(found: object) -> MalformedAnswerError:
    return MalformedAnswerError(
        f"the answer must hold its records in `params` under `cdr`, not {_shown(found)}"
    )


def _count(rows: dict[str, object] | Chunked) -> int:
    return rows.count if isinstance(rows, Chunked) else len(rows)


def _merged(holders: list[dict[str, object]]) -> dict[str, object]:
    """Put rows together, so that two under one key stay two."""
    merged: dict[str, object] = {}
    for rows in holders:
        for key, row in rows.items():
            while key in merged:
                key = f"another {key}"  # noqa: PLW2901 - errors show it
            merged[key] = row
    return merged


def _is_truthy(value: object) -> bool:
    """Report whether PHP would take a value for true, as the page's sample does."""
    return not _is_empty(value) and value not in ("0", 0, False)


def _scalar(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return ""
    text = str(value)
    return text.strip() if len(text) <= _LONGEST_SCALAR else ""


def _as_sent(value: object) -> str | None:
    """Give a value as the text that was sent, for an error; nothing of what is nested."""
    return None if value is None or _is_nested(value) else _text(value)


def _text(value: object) -> str:
    """Give an error text, whole unless it would fill the memory; what is none, as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value[:_LONGEST_TEXT]
    text = ""
    try:
        for part in json.JSONEncoder().iterencode(value):
            text += part[:_LONGEST_TEXT]
            if len(text) >= _LONGEST_TEXT:
                break
    except RecursionError:
        raise MalformedAnswerError("the answer's `resulttxt` is nested too deep") from None
    return text[:_LONGEST_TEXT]


def _shown(value: object) -> str:
    if isinstance(value, dict):
        names = (repr(name[:_SHOWN]) for name in cast("dict[str, object]", value))
        return f"an object with the keys {', '.join(islice(names, _SHOWN))[:_SHOWN]}"
    if isinstance(value, str):
        value = value[:_SHOWN]
    elif not isinstance(value, (int, float)):
        return type(value).__name__
    return repr(value)[:_SHOWN]
