"""HTTP statuses, as a user meets them: which error, and what it carries."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest
from calls import DAY, NEXT_DAY

from boxis_async import BadAnswerError, BoxisError, RateLimitError, StatusError, WindowError
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from conftest import MakeClient

    from boxis_async import BoxisClient

OTHERS = [*(301, 302, 307, 308), *(400, 401, 403, 404, 408, 410, 425, 451), *(500, 502, 503, 504)]
over_both = pytest.mark.parametrize("over_http", [False, True], ids=["in process", "over HTTP"])


async def status_error_of(client: BoxisClient, how: str) -> StatusError:
    """Give the error that a user meets, by a stream or by a call."""
    error: BoxisError | Exception | None
    with pytest.raises(BoxisError) as caught:
        await (
            client.call("voip", "getLineList", retry=True)
            if how == "call"
            else client.cdrs(DAY, NEXT_DAY, window=NEXT_DAY - DAY).to_list()
        )
    error = caught.value
    if isinstance(error, WindowError):
        assert str(error.cause) in str(error)
        error = error.cause
    assert isinstance(error, StatusError)
    return error


@over_both
@pytest.mark.parametrize("how", ["call", "stream"])
@pytest.mark.parametrize("retry_after", [None, "0", "soon", "Tue, 05 Mar 2024 12:00:00 GMT"])
async def test_too_many_requests(
    make_client: MakeClient, how: str, retry_after: str | None, *, over_http: bool
) -> None:
    """A 429 has an error of its own, which is a status error too, with `Retry-After` as sent."""
    provider = Provider(faults=lambda _: Fault.status(429, retry_after=retry_after))
    error = await status_error_of(make_client(provider, over_http=over_http), how)
    assert type(error) is RateLimitError
    assert isinstance(error, BadAnswerError)
    assert (error.status_code, error.retry_after) == (429, retry_after)
    assert str(error) == "HTTP status 429"
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is RateLimitError
    assert (again.status_code, again.retry_after) == (429, retry_after)
    # As often as anything that may pass.
    assert len(provider.requests) == 3


@over_both
@pytest.mark.parametrize("how", ["call", "stream"])
@pytest.mark.parametrize("status_code", OTHERS)
async def test_any_other_status(
    make_client: MakeClient, how: str, status_code: int, *, over_http: bool
) -> None:
    """Any other status without an answer is a status error, and no more than that."""
    provider = Provider(faults=lambda _: Fault.status(status_code, retry_after="0"))
    error = await status_error_of(make_client(provider, over_http=over_http), how)
    assert type(error) is StatusError
    assert (error.status_code, error.retry_after) == (status_code, "0")
    assert f"HTTP status {status_code}" in str(error)
    assert not hasattr(error, "status")


@pytest.mark.parametrize("how", ["call", "stream"])
async def test_what_the_api_says_with_a_429(make_client: MakeClient, how: str) -> None:
    """What the API itself says with a 429 is not lost."""
    body = b'{"result":"0","resulttxt":"Error: 100 requests an hour"}'
    provider = Provider(faults=lambda _: Fault("status", code=429, body=body))
    error = await status_error_of(make_client(provider), how)
    assert type(error) is RateLimitError
    assert "100 requests an hour" in str(error)
