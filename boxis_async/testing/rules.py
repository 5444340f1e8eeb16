"""What the provider's page asks of a request, and the refusal of all that it does not describe."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import parse_qsl

from attrs import field, frozen

_REQUIRED = ("version", "timestamp", "username", "authcode", "section", "action")
_GET_CDR = frozenset({*_REQUIRED, "returntype", "tenant", "datefrom", "dateto"})
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_SECONDS = re.compile(r"[0-9]{1,12}")


class RefusedError(Exception):
    """What makes the provider answer with result "0"."""

    def __init__(self, text: str, *, clock: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.clock = clock


@frozen
class Received:
    """One request, as it arrived; it holds neither the key nor the `authcode`.

    Attributes:
        number: Its place in the order of arrival, from 1.
        parameters: The form, without `authcode`; empty when there was none to be read.
        datefrom: The range's start as sent; None when missing or empty.
        dateto: The range's end, likewise.
        accepted: Whether it was in order. A fault may spoil the answer all the same.
        arrived: When it arrived, in seconds of `time.monotonic()`.
        refusal: Why it was not accepted; None when it was.
    """

    number: int
    parameters: Mapping[str, str]
    datefrom: str | None
    dateto: str | None
    accepted: bool
    arrived: float = field(repr=False)
    refusal: str | None = None


def read_form(content_type: str, query: bytes, body: bytes) -> list[tuple[str, str]]:
    """Decode a form-encoded body into its names and values.

    Raises:
        RefusedError: It is not form-encoded, or something stands in the address instead, where a
            proxy's log would keep it.
    """
    if query:
        raise RefusedError("parameters belong into the body, not into the address")
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise RefusedError("the body is not application/x-www-form-urlencoded")
    try:
        return parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict"
        )
    except ValueError as error:
        raise RefusedError("the body cannot be read as a form") from error


def check_envelope(
    pairs: list[tuple[str, str]], *, username: str, api_key: str, now: float, tolerance: float
) -> None:
    """Check what every function of the API shares: presence, signature, clock.

    Args:
        pairs: The form as it came, repeats included.
        username: The one known user.
        api_key: The key that makes the signature.
        now: The provider's clock, in Unix seconds.
        tolerance: By how many seconds a request's clock may differ.

    Raises:
        RefusedError: Something is missing, given twice, or wrong.
    """
    form = dict(pairs)
    if len(form) != len(pairs):
        repeated = sorted({name for name, _ in pairs if [n for n, _ in pairs].count(name) > 1})
        raise RefusedError(f"given more than once: {', '.join(repeated)}")
    if missing := [name for name in _REQUIRED if not form.get(name)]:
        raise RefusedError(f"missing: {', '.join(missing)}")
    if form.get("returntype", "json") not in {"json", "xml"}:
        raise RefusedError("unknown returntype")
    stamp = form["timestamp"]
    if not _SECONDS.fullmatch(stamp):
        raise RefusedError("timestamp is not in Unix seconds")
    signature = hashlib.md5((stamp + api_key).encode(), usedforsecurity=False).hexdigest()
    if form["username"] != username or form["authcode"] != signature:
        raise RefusedError("wrong username or authcode")
    if abs(int(stamp) - now) > tolerance:
        raise RefusedError("timestamp is out of step with the server's clock", clock=True)


def check_calls_history(form: Mapping[str, str]) -> None:
    """Check the parameters of `getCDR` itself.

    Raises:
        RefusedError: A parameter that the page does not name, no tenant, or dates that are not
            two, not in the page's format, or the wrong way round.
    """
    if unknown := sorted(form.keys() - _GET_CDR):
        raise RefusedError(f"unknown parameter: {', '.join(unknown)}")
    if not form.get("tenant"):
        raise RefusedError("missing: tenant")
    datefrom, dateto = form.get("datefrom", ""), form.get("dateto", "")
    if not datefrom and not dateto:
        return
    if not datefrom or not dateto:
        raise RefusedError("datefrom and dateto come together or not at all")
    for name, text in (("datefrom", datefrom), ("dateto", dateto)):
        if not _is_date(text):
            raise RefusedError(f"{name} is not a date in the format yyyy-mm-dd hh:mm:ss")
    if datefrom > dateto:
        raise RefusedError("datefrom is after dateto")


def _is_date(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    try:
        # No zone: the provider's text names none, and only the calendar is checked here.
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
