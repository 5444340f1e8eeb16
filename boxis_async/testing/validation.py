"""The checks of a request. What the provider's page does not describe is refused.

A lenient stand-in would let a client's mistakes pass. This one refuses every parameter, format and
order that the page does not name.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Mapping

_REQUIRED = ("version", "timestamp", "username", "authcode", "section", "action")
_GET_CDR_PARAMETERS = frozenset({*_REQUIRED, "returntype", "tenant", "datefrom", "dateto"})
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_SECONDS = re.compile(r"[0-9]{1,12}")


class InvalidRequestError(Exception):
    """Raise where the provider answers with result "0".

    Attributes:
        text: The error description in the answer.
        clock: Whether the request's clock is the cause, which the answer marks.
    """

    def __init__(self, text: str, *, clock: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.clock = clock


def parse_form(content_type: str, query: bytes, body: bytes) -> list[tuple[str, str]]:
    """Decode a form-encoded body into its names and values.

    Raises:
        InvalidRequestError: The body is not form-encoded, or there are parameters in the address,
            where a proxy's log would keep them.
    """
    if query:
        raise InvalidRequestError("parameters belong into the body, not into the address")
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise InvalidRequestError("the body is not application/x-www-form-urlencoded")
    try:
        return parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict"
        )
    except ValueError as error:
        raise InvalidRequestError("the body cannot be read as a form") from error


def check_envelope(
    pairs: list[tuple[str, str]], *, username: str, api_key: str, now: float, tolerance: float
) -> None:
    """Check what every function of the API requires: the parameters, the signature, the clock.

    Args:
        pairs: The form as it came, repeated names included.
        username: The one known user.
        api_key: The key that signs.
        now: The provider's clock, in Unix seconds.
        tolerance: By how many seconds a request's clock may differ.

    Raises:
        InvalidRequestError: A parameter is missing, given twice, or wrong.
    """
    form = dict(pairs)
    if len(form) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise InvalidRequestError(f"given more than once: {', '.join(repeated)}")
    if missing := [name for name in _REQUIRED if not form.get(name)]:
        raise InvalidRequestError(f"missing: {', '.join(missing)}")
    if form.get("returntype", "json") not in {"json", "xml"}:
        raise InvalidRequestError("unknown returntype")
    timestamp = form["timestamp"]
    if not _SECONDS.fullmatch(timestamp):
        raise InvalidRequestError("timestamp is not in Unix seconds")
    signature = hashlib.md5((timestamp + api_key).encode(), usedforsecurity=False).hexdigest()
    if form["username"] != username or form["authcode"] != signature:
        raise InvalidRequestError("wrong username or authcode")
    if abs(int(timestamp) - now) > tolerance:
        raise InvalidRequestError("timestamp is out of step with the server's clock", clock=True)


def check_get_cdr(form: Mapping[str, str]) -> None:
    """Check the parameters of `getCDR` itself.

    Raises:
        InvalidRequestError: A parameter is unknown, the tenant is missing, or the dates are not
            both given, not in the page's format, or in the wrong order.
    """
    if unknown := sorted(form.keys() - _GET_CDR_PARAMETERS):
        raise InvalidRequestError(f"unknown parameter: {', '.join(unknown)}")
    if not form.get("tenant"):
        raise InvalidRequestError("missing: tenant")
    datefrom, dateto = form.get("datefrom", ""), form.get("dateto", "")
    if not datefrom and not dateto:
        return
    if not datefrom or not dateto:
        raise InvalidRequestError("datefrom and dateto come together or not at all")
    for name, text in (("datefrom", datefrom), ("dateto", dateto)):
        if not _is_date(text):
            raise InvalidRequestError(f"{name} is not a date in the format yyyy-mm-dd hh:mm:ss")
    if datefrom > dateto:
        raise InvalidRequestError("datefrom is after dateto")


def _is_date(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    try:
        # Without a zone: the provider's text names none, and we check only the calendar here.
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
