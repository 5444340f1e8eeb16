"""Answers that wait to be read: no more of them than may be in flight."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import httpx
import pytest
from transports import answering

from boxis_async import (
    BoxisClient,
    ClockError,
    ConnectionFailedError,
    Hooks,
    MalformedAnswerError,
    RetryPolicy,
)

if TYPE_CHECKING:
    from boxis_async import RequestEvent, ResponseEvent

LONG = b'{"result":"1","params":{"cdr":[%s]}}' % b",".join(
    b'{"start":"2024-03-05 00:00:%02d","sequence":"%d"}' % (number % 60, number)
    for number in range(1, 3000)
)
"""It takes many steps to be read, and no time to be sent."""

BROKEN = LONG[:-2]
REFUSED = b'{"result":"0","timestamperror":1,"timestamp":1709640000}'


class Unread:
    """Counts the requests that were sent and whose answers were not read yet."""

    def __init__(self) -> None:
        self.now = self.most = self.read = 0
        self.hooks = Hooks(on_request=self._sent, on_response=self._received)

    def _sent(self, _: RequestEvent) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def _received(self, _: ResponseEvent) -> None:
        self.now -= 1
        self.read += 1


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize(
    ("body", "kind"),
    [(LONG, dict), (BROKEN, MalformedAnswerError), (REFUSED, ClockError)],
    ids=["good", "broken", "refused"],
)
async def test_answers_that_wait(concurrency: int, body: bytes, kind: type[object]) -> None:
    """While one answer is read, at most as many wait as may be in flight, and none for ever."""
    unread = Unread()
    async with (
        answering(lambda _: httpx.Response(200, content=body)) as http_client,
        BoxisClient(
            "a@example.com",
            "key",
            http_client=http_client,
            concurrency=concurrency,
            hooks=unread.hooks,
            retry=RetryPolicy(attempts=2, wait_initial=0, wait_max=0, wait_jitter=0),
        ) as client,
    ):
        calls = (client.call("voice", "getCDR") for _ in range(30))
        async with asyncio.timeout(30):
            found = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(one) for one in found} == {kind}
    assert unread.read >= 30
    assert unread.now == 0
    assert unread.most <= 2 * concurrency


async def test_a_place_is_given_back() -> None:
    """A request that is cancelled, or never answered, keeps no place from those after it."""

    def answer(_: httpx.Request) -> httpx.Response:
        nonlocal answered
        answered += 1
        if answered % 2:
            raise httpx.ReadError("gone")
        return httpx.Response(200, content=LONG)

    answered = 0
    async with (
        answering(answer) as http_client,
        BoxisClient(
            "a@example.com",
            "key",
            http_client=http_client,
            concurrency=2,
            retry=RetryPolicy(attempts=1),
        ) as client,
    ):
        for _ in range(10):
            cancelled = asyncio.create_task(client.call("voice", "getCDR"))
            await asyncio.sleep(0)
            cancelled.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionFailedError):
                await cancelled
            with contextlib.suppress(ConnectionFailedError):
                await asyncio.wait_for(client.call("voice", "getCDR"), 30)
    assert answered >= 10
