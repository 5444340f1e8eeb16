"""A stand-in that compresses its answers, for requests that accept it."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import httpx
import pytest
from signed_by_hand import form

from boxis_async import BoxisClient, Contract, RetryPolicy
from boxis_async.testing import Fault, LoopbackServer, Provider
from boxis_async.testing.asgi import accepts_gzip

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from boxis_async.testing import Row

ROWS: list[Row] = [
    {"uniqueid": str(number), "start": "2026-10-01 10:00:00", "clid": "Zoë"}
    for number in range(500)
]


@pytest.fixture
def provider() -> Provider:
    return Provider(ROWS, compress=True, clock=lambda: 1_790_841_600.0, clock_tolerance=1e10)


@pytest.fixture(params=["in process", "over HTTP"])
async def http_client(
    request: pytest.FixtureRequest, provider: Provider
) -> AsyncIterator[httpx.AsyncClient]:
    """Reach the provider without a socket, and with one."""
    if request.param == "in process":
        async with provider.client() as client:
            yield client
        return
    with LoopbackServer(provider) as server:
        async with httpx.AsyncClient(base_url=server.url) as client:
            yield client


async def raw(client: httpx.AsyncClient, accept: str) -> tuple[httpx.Response, bytes]:
    """Return a response, and its body as it was sent."""
    headers = {"accept-encoding": accept}
    async with client.stream("POST", "/", data=form(), headers=headers) as response:
        return response, b"".join([chunk async for chunk in response.aiter_raw()])


async def test_compressed_if_accepted(http_client: httpx.AsyncClient, provider: Provider) -> None:
    """The same answer comes compressed or not, as the request wants; its length is what is sent."""
    plain, body = await raw(http_client, "identity")
    packed, smaller = await raw(http_client, "gzip")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) == len(smaller) < len(body) / 5
    assert gzip.decompress(smaller) == body
    assert [request.accepts_gzip for request in provider.requests] == [False, True]
    again, same = await raw(http_client, "gzip")
    assert (again.status_code, same) == (200, smaller)


async def test_not_compressed_unless_set(
    http_client: httpx.AsyncClient, provider: Provider
) -> None:
    """Without the setting no answer is compressed."""
    provider.compress = False
    response, body = await raw(http_client, "gzip")
    assert "content-encoding" not in response.headers
    assert body.startswith(b"{")


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("GZIP; q=1.0", True),
        ("br, *", True),
        ("", False),
        ("identity", False),
        ("br, deflate", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("*;q=0", False),
    ],
)
def test_accept_encoding(header: str, *, accepted: bool) -> None:
    """Gzip is accepted where it is named, or where anything is, unless its weight is zero."""
    assert accepts_gzip(header) is accepted


@pytest.mark.parametrize("over_http", [False, True])
@pytest.mark.parametrize("compress", [False, True])
async def test_clients_read_both(*, over_http: bool, compress: bool) -> None:
    """A client asks for gzip, and gets the same calls whether answers are compressed or not."""
    provider = Provider(ROWS, compress=compress)
    with LoopbackServer(provider) as server:
        async with provider.client() as inside:
            settings = {"base_url": server.url} if over_http else {"http_client": inside}
            async with BoxisClient(
                provider.username,
                provider.api_key,
                tenant=provider.tenant,
                # All are of one second, so that nothing could prove that an answer is whole.
                contract=Contract(no_cap_up_to=1000),
                **settings,
            ) as client:
                cdrs = await client.cdrs().to_list()
    assert [cdr.uniqueid for cdr in cdrs] == [row["uniqueid"] for row in ROWS]
    assert all(request.accepts_gzip for request in provider.requests)


async def test_refusals_and_faults() -> None:
    """A refusal is compressed too; one that is cut is cut in what is sent."""
    provider = Provider(ROWS, compress=True, faults=[Fault.refuse("no"), Fault.cut(after=40), None])
    async with provider.client() as client:
        response = await client.post("/", data=form(), headers={"accept-encoding": "gzip"})
        assert response.headers["content-encoding"] == "gzip"
        assert response.json()["resulttxt"] == "Error: no"
        retry = RetryPolicy(wait_initial=0, wait_jitter=0, wait_max=0)
        async with BoxisClient(
            provider.username,
            provider.api_key,
            tenant=provider.tenant,
            http_client=client,
            retry=retry,
            contract=Contract(no_cap_up_to=1000),
        ) as boxis:
            calls = boxis.cdrs()
            assert len(await calls.to_list()) == len(ROWS)
    assert calls.stats.retries == 1
