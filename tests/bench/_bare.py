"""What one would write by hand: a request with httpx, and its body parsed by the library's code."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from _canned import START

from boxis_async import CDR, Window
from boxis_async._wire import json as wire_json
from boxis_async._wire.cooperative import at_once
from boxis_async._wire.messages import Reply
from boxis_async._wire.readers import RecordsReader
from boxis_async._wire.records import Fingerprinter, Records, make_converter
from boxis_async._wire.signing import Credentials, Key, sign
from boxis_async._wire.wallclock import WallClock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import timedelta

    import httpx

__all__ = ["KEY", "TENANT", "USERNAME", "Bare", "parse", "without_orjson"]

USERNAME, KEY, TENANT = "ops@example.com", "stand-in-key", "VOICE-29001-1"
_HEADERS = {"content-type": "application/x-www-form-urlencoded"}
_CONVERTER = make_converter(WallClock("Europe/Zurich"), Fingerprinter(b"key"))
_READ, _READ_MANY = (_CONVERTER.get_structure_hook(kind) for kind in (CDR, Records))


@contextlib.contextmanager
def without_orjson() -> Iterator[None]:
    """Read as where orjson is not installed."""
    with patch.object(wire_json, "fast_reader", lambda: None):
        yield


def parse(body: bytes, *, has_fingerprints: bool = True) -> list[CDR]:
    """Make records of an answer's bytes as a stream does, but without a break."""

    def convert(rows: Iterable[Any], kind: type[Records]) -> Records:
        if has_fingerprints:
            return _READ_MANY(rows, kind)
        cdrs = [_READ(row, CDR) for row in rows]
        return Records(cdrs, [])

    reader = RecordsReader(convert, "json", window=Window(None, None))
    return at_once(reader.read(Reply(200, body))).cdrs


class Bare:
    """Fetches the windows of a range by their number, one request each, and parses the bodies."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        length: timedelta,
        *,
        has_fingerprints: bool = True,
    ) -> None:
        self._http = http
        self._has_fingerprints = has_fingerprints
        self._url = url
        self._length = length
        self._credentials = Credentials(USERNAME, Key(KEY))

    async def fetch(self, number: int) -> list[CDR]:
        """Send one request, and give its records."""
        begin = START + number * self._length
        form = sign(
            self._credentials,
            section="voice",
            action="getCDR",
            parameters={
                "tenant": TENANT,
                "datefrom": f"{begin}",
                "dateto": f"{begin + self._length}",
            },
            timestamp=int(time.time()),
        )
        reply = await self._http.post(self._url, content=form.body, headers=_HEADERS)
        return parse(reply.content, has_fingerprints=self._has_fingerprints)
