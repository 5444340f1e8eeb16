"""One request as the stand-in received it: what a test can look at afterwards."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen


@frozen
class Received:
    """One request, as it arrived. It contains neither the API key nor the `authcode`.

    Attributes:
        number: Its place in the order of arrival, from 1.
        parameters: The form, without `authcode`; empty when the body was no form.
        datefrom: The range's start as sent; None when missing or empty.
        dateto: The range's end as sent; None when missing or empty.
        accepted: Whether the request was valid. A fault can still spoil the answer.
        arrived: When it arrived, in seconds of `time.monotonic()`.
        refusal: Why it was not accepted; None when it was.
        accepts_gzip: Whether its `Accept-Encoding` allows gzip.
    """

    number: int
    parameters: Mapping[str, str]
    datefrom: str | None
    dateto: str | None
    accepted: bool
    arrived: float = field(repr=False)
    refusal: str | None = None
    accepts_gzip: bool = False
