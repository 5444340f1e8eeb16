"""What one would write by hand: a request with httpx, and its body parsed by the library's code."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from _canned import START

from boxis_async import CDR
from boxis_async.records import Readings, make_converter
from boxis_async.wallclock import WallClock
from boxis_async.wire import Credentials, Key, read_answer, rows, sign

if TYPE_CHECKING:
    from datetime import timedelta

    import httpx

__all__ = ["KEY", "TENANT", "USERNAME", "Bare"]

USERNAME, KEY, TENANT = "ops@example.com", "stand-in-key", "VOICE-29001-1"
_HEADERS = {"content-type": "application/x-www-form-urlencoded"}


class Bare:
    """Fetches the windows of a range by their number, one request each, and parses the bodies."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        length: timedelta,
        *,
        has_fingerprints: bool = False,
    ) -> None:
        self._http = http
        self._has_fingerprints = has_fingerprints
        self._url = url
        self._length = length
        self._converter = make_converter(WallClock("Europe/Zurich"))
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
        structure = self._converter.structure
        found = rows(read_answer(reply.content, as_text=True))
        if self._has_fingerprints:
            return structure(found.values(), Readings)[0]
        return [structure(row, CDR) for row in found.values()]
