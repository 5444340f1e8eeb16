"""What can go wrong between a request and its answer, as values that a test lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias, get_args

from attrs import field, frozen, validators

from .received import Received

FaultKind: TypeAlias = Literal[
    "cut",
    "disconnect",
    "empty",
    "garbage",
    "hang",
    "html",
    "out_of_memory",
    "refuse",
    "status",
]
"""The kinds of `Fault`."""

FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
"""Every kind of fault: `[Fault(kind) for kind in FAULT_KINDS]` is one of each."""

_HTML = (
    b"<!DOCTYPE html>\n<html><head><title>Maintenance</title></head>"
    b"<body><h1>We will be back soon</h1></body></html>\n"
)
_STATUSES_WITHOUT_BODY = (204, 304)
_GARBAGE = b"\x1f\x8b\x00\xff\xfe{]\x00"
_OUT_OF_MEMORY = (
    b"<br />\n<b>Fatal error</b>:  Allowed memory size of 134217728 bytes exhausted "
    b"(tried to allocate 20480 bytes) in <b>/var/www/api/voice.php</b> on line <b>412</b><br />\n"
)


@frozen
class Fault:
    """Describe how one request goes wrong.

    `Fault(kind)` is a typical fault of that kind. The class methods below make more specific ones.

    Attributes:
        kind: One of `FAULT_KINDS`.
        code: The HTTP status of kind `"status"`.
        headers: Further response headers of kind `"status"`.
        body: The body, for kinds that answer with one of their own; None: a typical one.
        text: The error description of kind `"refuse"`.
        after: After how many bytes of the body kind `"cut"` closes; None: after half of them.
    """

    kind: FaultKind = field(validator=validators.in_(FAULT_KINDS))
    # 1xx is not a final answer, and HTTP ends at 599.
    code: int = field(default=500, validator=[validators.ge(200), validators.lt(600)])
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = field(default=None, repr=False)
    text: str = "internal error"
    after: int | None = field(default=None, validator=validators.optional(validators.ge(0)))

    @classmethod
    def status(
        cls, code: int, *, retry_after: float | str | None = None, location: str | None = None
    ) -> Fault:
        """Answer with an HTTP status other than 200.

        Args:
            code: The status, such as 429, 500 or 503.
            retry_after: The value of `Retry-After`: seconds, or an HTTP date.
            location: The value of `Location`, for a redirect.
        """
        headers: list[tuple[str, str]] = []
        if retry_after is not None:
            headers.append(("retry-after", str(retry_after)))
        if location is not None:
            headers.append(("location", location))
        return cls("status", code=code, headers=tuple(headers))

    @classmethod
    def html(cls, body: bytes | None = None) -> Fault:
        """Answer 200 with a web page, as a proxy under maintenance does."""
        return cls("html", body=body)

    @classmethod
    def empty(cls) -> Fault:
        """Answer 200 without a body, as PHP does after a fatal error that it does not display."""
        return cls("empty")

    @classmethod
    def cut(cls, after: int | None = None) -> Fault:
        """Announce the full length, send a part of the body, and close the connection.

        Args:
            after: How many bytes of the body are sent; None: half of them.
        """
        return cls("cut", after=after)

    @classmethod
    def garbage(cls, body: bytes | None = None) -> Fault:
        """Answer 200 with arbitrary bytes."""
        return cls("garbage", body=body)

    @classmethod
    def disconnect(cls) -> Fault:
        """Send the headers and close the connection before the body."""
        return cls("disconnect")

    @classmethod
    def hang(cls) -> Fault:
        """Never answer; the request ends when the client disconnects."""
        return cls("hang")

    @classmethod
    def out_of_memory(cls) -> Fault:
        """Answer 200 with PHP's "Allowed memory size exhausted", as for too large a range."""
        return cls("out_of_memory")

    @classmethod
    def refuse(cls, text: str) -> Fault:
        """Answer in the provider's form with result "0" and `Error: {text}`."""
        return cls("refuse", text=text)

    @property
    def page(self) -> bytes:
        """The body, for kinds that answer with one of their own."""
        if self.body is not None:
            return self.body
        if self.kind == "status" and self.code in _STATUSES_WITHOUT_BODY:
            return b""
        typical = {
            "html": _HTML,
            "garbage": _GARBAGE,
            "out_of_memory": _OUT_OF_MEMORY,
            "status": _HTML,
        }
        return typical.get(self.kind, b"")


FaultPlan: TypeAlias = Callable[[Received], Fault | None]
"""Choose the fault of a request; None: there is none."""


def no_faults(_: Received) -> Fault | None:
    """Answer every request as it should be."""
    return None


def fault_plan(faults: Iterable[Fault | None] | FaultPlan) -> FaultPlan:
    """Make a plan of a list: one entry for each request in the order of arrival, then no more."""
    if callable(faults):
        return faults
    remaining = iter(faults)
    return lambda _: next(remaining, None)
