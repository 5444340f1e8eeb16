"""Good answers, what may become of them on their way, and an independent reading of the result."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, TypeAlias
from xml.etree import ElementTree as ET

from boxis_async.testing import Provider

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

    from boxis_async import CDR

Said: TypeAlias = tuple[str, ...]

SECOND = ("2024-03-05 12:00:00", "2024-03-05 12:00:01")
"""The smallest window that there is: a bad answer to it is not asked for in halves."""

ROWS: list[dict[str, str | None]] = [
    {
        "uniqueid": f"sip022.voice.boxis.net-{1709636400 + number}.10{number}",
        "start": SECOND[number],
        "answer": SECOND[number] if number else "0000-00-00 00:00:00",
        "end": "2024-03-05 12:01:30",
        "clid": f'"Zoë / Müller {number}" <004144555012{number}>',
        "src": f"004144555012{number}",
        "dst": ("201", "*60")[number],
        "lastdata": "SIP/201,60,tT\\,x",
        "duration": "90",
        "billsec": ("0", "89")[number],
        "disposition": ("NO ANSWER", "ANSWERED")[number],
        "sequence": f"{41 + number}",
        "accountcode": None,
        "linkedid": f"sip022.voice.boxis.net-{1709636400 + number}.10{number}",
        "cc_date": "2024-03-05",
        "cc_cost": "0.01250",
        "recordingfile": "",
    }
    for number in (0, 1)
]
"""Two records that differ in enough that no one mutation makes them the same."""

_TEXTS = ("uniqueid", "clid", "src", "dst", "lastdata", "accountcode", "linkedid")
_TIMES = ("start", "answer", "end")
_NUMBERS = ("duration", "billsec", "sequence")
_UNSET = ("", "NULL", "0000-00-00 00:00:00", "0000-00-00")
_SURROGATE = re.compile("[\ud800-\udfff]")


def provider() -> Provider:
    """Hold the rows."""
    return Provider(ROWS)


def json_answer() -> bytes:
    """Write the good answer, as PHP does."""
    from boxis_async.testing.answers import params_entry, write_json  # noqa: PLC0415 - as below

    return write_json({"result": "1", "resulttxt": "success", **params_entry(ROWS, "list")}) + b"\n"


def xml_answer() -> bytes:
    """Write the same in XML."""
    from boxis_async.testing.answers import params_entry, write_xml  # noqa: PLC0415 - as above

    return write_xml({"result": "1", "resulttxt": "success", **params_entry(ROWS, "list")})


# Mutations


def cut(body: bytes, rng: random.Random) -> bytes:
    return body[: rng.randrange(len(body))]


def flip_bit(body: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(body))
    return body[:at] + bytes([body[at] ^ 1 << rng.randrange(8)]) + body[at + 1 :]


def flip_byte(body: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(body))
    return body[:at] + bytes([rng.randrange(256)]) + body[at + 1 :]


def flip_many(body: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.randint(2, 20)):
        body = flip_byte(body, rng)
    return body


def drop(body: bytes, rng: random.Random) -> bytes:
    begin = rng.randrange(len(body))
    return body[:begin] + body[begin + rng.randint(1, 40) :]


def double(body: bytes, rng: random.Random) -> bytes:
    begin = rng.randrange(len(body))
    end = begin + rng.randint(1, 400)
    return body[:end] + body[begin:end] + body[end:]


def notice(body: bytes, rng: random.Random) -> bytes:
    text = rng.choice(
        (
            b"<br />\n<b>Warning</b>:  Undefined index {tenant} in <b>/srv/api.php</b>\n",
            b'Notice: {} {"result": "0"} array(1) { [0]=> {\n',
            b'{"result":"1","params":[]}',
            b"\xef\xbb\xbf",
            b"\x00",
            b"{",
            b"}",
        )
    )
    at = rng.choice((0, len(body), rng.randrange(len(body))))
    return body[:at] + text + body[at:]


def swap(body: bytes, rng: random.Random) -> bytes:
    one, two = sorted(rng.randrange(len(body)) for _ in (0, 1))
    return body[:one] + body[two:] + body[one:two]


def token(body: bytes, rng: random.Random) -> bytes:
    """Put something else where a JSON value or an element's text stands."""
    places = [found.span() for found in re.finditer(rb'"[^"]*"|null|>[^<]+<', body)]
    begin, end = rng.choice(places)
    value = rng.choice(
        (
            b"null",
            b"NaN",
            b"-Infinity",
            b"1e999",
            b"true",
            b"[]",
            b"{}",
            b'""',
            b"9" * 10_000,
            b"[" * 10_000,
            b'{"a":' * 10_000,
            b'"\\ud800"',
            b'"call_1"',
            b'"result"',
            b">&lol;<",
        )
    )
    return body[:begin] + value + body[end:]


def recode(body: bytes, rng: random.Random) -> bytes:
    text = body.decode()
    return text.encode(rng.choice(("utf-16", "utf-32", "utf-7", "latin-1", "cp500")), "replace")


MUTATIONS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    mutation.__name__: mutation
    for mutation in (
        *(cut, flip_bit, flip_byte, flip_many, drop),
        *(double, notice, swap, token, recode),
    )
}


# An independent reading


def readings(body: bytes, returntype: str = "json") -> list[list[Said]]:
    """List what the server can be said to have sent: the records of each answer in a body.

    Of bodies that hold no answer that is whole, there is none.
    """
    text = body.decode("utf-8", "replace")
    if returntype == "xml":
        return [
            [said_by_row(row) for row in rows]
            for rows in _xml_rows(text[max(0, _xml_start(text)) :])
        ]
    found: list[list[Said]] = []
    for begin in [match.start() for match in re.finditer("{", text)]:
        try:
            # White space behind an answer is more than JSON knows, and means nothing.
            answer = json.loads(text[begin:].rstrip(), parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            continue
        rows = _json_rows(answer)
        if rows is not None:
            found.append([said_by_row(row) for row in rows])
    return found


def _json_rows(answer: Any) -> list[dict[str, Any]] | None:  # noqa: ANN401
    """List the records of one answer; None where it is none, or says that it failed."""
    if not isinstance(answer, dict) or str(answer.get("result", "")).strip() != "1":
        return None
    found = answer.get("params")
    if isinstance(found, dict) and "cdr" in found:
        found = found["cdr"]
    if isinstance(found, str) and not found.strip():
        found = None
    rows = list(found.values()) if isinstance(found, dict) else found or []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return None
    if not rows and any(isinstance(value, (dict, list)) for value in answer.values() if value):
        beside = {name: value for name, value in answer.items() if name != "params"}
        if any(isinstance(value, (dict, list)) and value for value in beside.values()):
            return None
    return rows


def _xml_start(text: str) -> int:
    # What begins like a declaration, and is none, stands before the answer as a notice does.
    found = re.search(r"<\?xml\s|<return", text)
    return 0 if found is None else found.start()


def _xml_rows(text: str) -> list[list[dict[str, str]]]:
    try:
        root = ET.fromstring(text)
    except (ET.ParseError, ValueError):
        return []
    if (root.findtext("result") or "").strip() != "1":
        return []
    found = root.find("params/cdr")
    if found is None:
        found = root.find("params")
    records = [] if found is None else list(found)
    return [[{field.tag: field.text or "" for field in record} for record in records]]


def said_by_row(row: dict[str, Any]) -> Said:
    """Give what a row says, its unset fields all alike."""
    values: list[str] = []
    for name in (*_TEXTS, *_TIMES, *_NUMBERS, "cc_date", "cc_cost"):
        value = row.get(name)
        text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
        text = _SURROGATE.sub("\ufffd", text)
        values.append("" if text in _UNSET and name not in _TEXTS else text)
    return tuple(values)


def said_by_cdr(cdr: CDR) -> Said:
    """Give what a record says, likewise."""
    values = [str(getattr(cdr, name)) for name in _TEXTS]
    for name in _TIMES:
        moment = getattr(cdr, name)
        values.append("" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}")
    for name in (*_NUMBERS, "cc_date", "cc_cost"):
        value = getattr(cdr, name)
        values.append("" if value is None else str(value))
    return tuple(values)


def is_what_was_sent(cdrs: Iterable[CDR], body: bytes, returntype: str = "json") -> bool:
    """Tell whether records are all those of an answer in the body, and no others."""
    found = sorted(_plain(said_by_cdr(cdr)) for cdr in cdrs)
    return any(
        found == sorted({_plain(said) for said in reading})
        for reading in readings(body, returntype)
    )


def _plain(said: Said) -> Said:
    """Write numbers one way: `007` and ` 7` are both 7, and `1E-7` is `0.0000001`."""
    *others, cost = said
    return tuple(
        text.strip().lstrip("+").lstrip("0").rstrip() if at >= len(_TEXTS) + len(_TIMES) else text
        for at, text in enumerate((*others, _without_exponent(cost)))
    )


def _without_exponent(cost: str) -> str:
    # Larger ones no record may have, and to write them out would take all memory.
    if re.fullmatch(r"(?a)\s*[+-]?[\d.]{1,128}(E[+-]?\d{1,3})?\s*", cost, re.IGNORECASE):
        with suppress(InvalidOperation):
            return f"{Decimal(cost):f}"
    return cost
