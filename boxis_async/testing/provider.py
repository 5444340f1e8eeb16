"""A stand-in for the provider, written from its page alone: an ASGI app that holds call records."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import anyio
from attrs import define, field

from boxis_async.testing.asgi import HTML, Reply, gone, live, read, write
from boxis_async.testing.faults import Fault
from boxis_async.testing.ledger import FilterMode, Ledger
from boxis_async.testing.rules import (
    Received,
    RefusedError,
    check_calls_history,
    check_envelope,
    read_form,
)
from boxis_async.testing.wire import EmptyForm, ResultAs, numbered, write_json, write_xml

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

    from boxis_async.testing.asgi import Receive, Scope, Send
    from boxis_async.testing.ledger import Row

Action: TypeAlias = Callable[[dict[str, str]], Mapping[str, object]]
FaultPlan: TypeAlias = Callable[[Received], Fault | None]
Gate: TypeAlias = Callable[[Received], Awaitable[object]]

_GET_CDR = ("voice", "getCDR")


def _healthy(_: Received) -> Fault | None:
    return None


def _fault_plan(faults: Iterable[Fault | None] | FaultPlan) -> FaultPlan:
    if callable(faults):
        return faults
    remaining = iter(faults)
    return lambda _: next(remaining, None)


def _ledger(rows: Iterable[Row] | Ledger) -> Ledger:
    if isinstance(rows, Ledger):
        return rows
    ledger = Ledger()
    ledger.add(rows)
    return ledger


def _ledgers(tenants: Mapping[str, Iterable[Row] | Ledger]) -> dict[str, Ledger]:
    return {tenant: _ledger(rows) for tenant, rows in tenants.items()}


@define(eq=False, repr=False)
class Provider:
    """Answer `getCDR` as the provider's page describes it, from rows held in memory.

    It is an ASGI 3 application. `client()` reaches it without a socket, `LoopbackServer` with one.
    Its settings are attributes, and may be changed between requests.

    Args:
        rows: The default tenant's records, under the page's names. Their order is the order of
            every answer.
        username: The user's e-mail address.
        api_key: The user's key, which signs.
        tenant: The default tenant.
        tenants: Further tenants, each with its rows.
        timezone: The zone of the rows' wall clock. The provider itself only compares texts.
        filter_mode: What `datefrom` and `dateto` are compared with.
        latency: Seconds before each answer, or a callable that returns them.
        gate: Awaited with the request before it is answered, so that a test can hold it. Over
            `LoopbackServer` it runs in the server's thread.
        faults: One per request in the order of arrival, None meaning healthy, healthy again when
            they run out; or a callable that chooses by the request.
        actions: Further functions by section and action. Each is called with the form, less
            `authcode`, and returns the answer's `params`.
        clock_skew: By how many seconds the provider's clock is ahead.
        clock_tolerance: By how many seconds a request's `timestamp` may differ from that clock.
        row_limit: After how many rows an answer is cut without a word; None: never.
        empty: How an answer without calls looks.
        result_as: Whether `result` is text or a number.
        bom: Whether a byte order mark precedes the body.
        notice: What PHP prints before the body, such as `"<b>Notice</b>: ..."`.
        seed: Seeds `random`, for latencies and faults that draw.

    Attributes:
        requests: Every request since the last `reset()`, in the order of arrival.
        refusals: What the requests that were not accepted were told, in the same order.
        in_flight: How many requests are being worked on, from arrival until the answer is written.
        peak_in_flight: The most that there ever were since the last `reset()`.
        random: A source of randomness of its own.
    """

    _default: Ledger = field(factory=Ledger, converter=_ledger, alias="rows")
    username: str = field(default="ops@example.com", kw_only=True)
    api_key: str = field(default="stand-in-key", kw_only=True)
    tenant: str = field(default="VOICE-29001-1", kw_only=True)
    _others: dict[str, Ledger] = field(
        factory=dict[str, Ledger], converter=_ledgers, alias="tenants", kw_only=True
    )
    timezone: str = field(default="Europe/Zurich", kw_only=True)
    filter_mode: FilterMode = field(default="start", kw_only=True)
    latency: float | Callable[[], float] = field(default=0.0, kw_only=True)
    gate: Gate | None = field(default=None, kw_only=True)
    _faults: FaultPlan = field(default=_healthy, converter=_fault_plan, kw_only=True)
    actions: Mapping[tuple[str, str], Action] = field(
        factory=dict[tuple[str, str], Action], kw_only=True
    )
    clock_skew: float = field(default=0.0, kw_only=True)
    clock_tolerance: float = field(default=300.0, kw_only=True)
    row_limit: int | None = field(default=None, kw_only=True)
    empty: EmptyForm = field(default="cdr_list", kw_only=True)
    result_as: ResultAs = field(default="text", kw_only=True)
    bom: bool = field(default=False, kw_only=True)
    notice: str | None = field(default=None, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    requests: list[Received] = field(factory=list[Received], init=False)
    refusals: list[str] = field(factory=list[str], init=False)
    in_flight: int = field(default=0, init=False)
    peak_in_flight: int = field(default=0, init=False)
    random: random.Random = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311, repeatable, not secret

    def __repr__(self) -> str:
        return f"<Provider(rows={len(self._default.rows)}, requests={len(self.requests)})>"

    @property
    def faults(self) -> FaultPlan:
        """What chooses each request's fault; set it to whatever the argument takes."""
        return self._faults

    @faults.setter
    def faults(self, faults: Iterable[Fault | None] | FaultPlan) -> None:
        # A property, as a converted attribute takes a list at run time but not for mypy.
        self._faults = _fault_plan(faults)

    def add(self, *rows: Row, tenant: str | None = None) -> None:
        """Append rows, as if more calls had been recorded since.

        Args:
            rows: The records; copies are kept.
            tenant: Whose they are; None: the default tenant's. A new name makes a new tenant.
        """
        if tenant is None or tenant == self.tenant:
            self._default.add(rows)
        else:
            self._others.setdefault(tenant, Ledger()).add(rows)

    def select(
        self, datefrom: str | None = None, dateto: str | None = None, tenant: str | None = None
    ) -> list[Row]:
        """Return exactly what one request for a range is answered with, as an oracle for tests.

        Args:
            datefrom: `yyyy-mm-dd hh:mm:ss`; empty or None, as both must be, selects every row.
            dateto: Likewise.
            tenant: Whose calls; None: the default tenant's.

        Returns:
            The rows in the provider's own order, cut to `row_limit`.

        Raises:
            KeyError: There is no such tenant.
            ValueError: Only one of the two dates is given.
        """
        ledger = self._default if tenant in {None, self.tenant} else self._others[tenant or ""]
        if bool(datefrom) != bool(dateto):
            raise ValueError("datefrom and dateto come together or not at all")
        rows = (
            ledger.select(self.filter_mode, datefrom, dateto)
            if datefrom and dateto
            else list(ledger.rows)
        )
        return rows[: self.row_limit]

    def reset(self) -> None:
        """Forget the requests and refusals seen, and start the peak anew."""
        self.requests.clear()
        self.refusals.clear()
        self.peak_in_flight = self.in_flight

    def client(self) -> httpx.AsyncClient:
        """Return an HTTP client that reaches this provider without a socket."""
        # Here, so that the provider alone needs no HTTP library.
        from boxis_async.testing.inprocess import client_for  # noqa: PLC0415

        return client_for(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await live(receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"the provider speaks HTTP, not {scope['type']}")
        body = await read(receive)
        if body is None:
            return
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            received, refused = self._receive(scope, body)
            fault = self._faults(received)
            if not await self._hold(received, receive):
                return
            if fault is not None and fault.kind == "hang":
                await gone(receive)
                return
            reply = self._spoil(fault, received, self._answer(scope["method"], received, refused))
            await write(reply, send)
        finally:
            self.in_flight -= 1

    def _receive(self, scope: Scope, body: bytes) -> tuple[Received, RefusedError | None]:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        form: dict[str, str] = {}
        refused = None
        try:
            if scope["method"] != "POST":
                raise RefusedError(f"{scope['method']} is not POST")  # noqa: TRY301
            content_type = headers.get(b"content-type", b"").decode("latin-1")
            pairs = read_form(content_type, scope.get("query_string", b""), body)
            form = dict(pairs)
            self._check(pairs, form)
        except RefusedError as error:
            refused = error
            self.refusals.append(error.text)
        form.pop("authcode", None)
        received = Received(
            number=len(self.requests) + 1,
            parameters=form,
            datefrom=form.get("datefrom") or None,
            dateto=form.get("dateto") or None,
            accepted=refused is None,
            arrived=time.monotonic(),
            refusal=None if refused is None else refused.text,
        )
        self.requests.append(received)
        return received, refused

    def _check(self, pairs: list[tuple[str, str]], form: dict[str, str]) -> None:
        check_envelope(
            pairs,
            username=self.username,
            api_key=self.api_key,
            now=time.time() + self.clock_skew,
            tolerance=self.clock_tolerance,
        )
        function = (form["section"], form["action"])
        if function in self.actions:
            return
        if function != _GET_CDR:
            raise RefusedError("unknown section or action")
        check_calls_history(form)
        if form["tenant"] != self.tenant and form["tenant"] not in self._others:
            raise RefusedError("unknown tenant")

    async def _hold(self, received: Received, receive: Receive) -> bool:
        """Wait as long as latency and gate ask; False when the client went away meanwhile."""
        delay = self.latency() if callable(self.latency) else self.latency
        if delay <= 0 and self.gate is None:
            return True
        waited = False
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                await gone(receive)
                group.cancel_scope.cancel()

            group.start_soon(watch)
            if delay > 0:
                await anyio.sleep(delay)
            if self.gate is not None:
                await self.gate(received)
            waited = True
            group.cancel_scope.cancel()
        return waited

    def _answer(self, method: str, received: Received, refused: RefusedError | None) -> Reply:
        if refused is not None:
            if method != "POST":
                return Reply(b"POST only\n", status=405, headers=(("allow", "POST"),))
            return self._refuse(received, refused.text, clock=refused.clock)
        form = received.parameters
        function = (form["section"], form["action"])
        action = self.actions.get(function)
        if action is not None:
            params: dict[str, object] = {"params": action(dict(form))}
        else:
            rows = self.select(received.datefrom, received.dateto, form["tenant"])
            params = numbered(rows, self.empty)
        return self._compose(
            received, {"result": self._result(1), "resulttxt": "success", **params}
        )

    def _refuse(self, received: Received, text: str, *, clock: bool = False) -> Reply:
        # The page's examples write "Error:" in JSON; its sister pages "error:" in XML.
        word = "error" if received.parameters.get("returntype") == "xml" else "Error"
        answer: dict[str, object] = {"result": self._result(0), "resulttxt": f"{word}: {text}"}
        if clock:
            answer["timestamperror"] = 1
        return self._compose(received, answer)

    def _result(self, value: int) -> str | int:
        return str(value) if self.result_as == "text" else value

    def _compose(self, received: Received, answer: dict[str, object]) -> Reply:
        answer["timestamp"] = int(time.time() + self.clock_skew)
        xml = received.parameters.get("returntype") == "xml"
        body = write_xml(answer) if xml else write_json(answer)
        mark = b"\xef\xbb\xbf" if self.bom else b""
        return Reply(mark + (self.notice or "").encode() + body)

    def _spoil(self, fault: Fault | None, received: Received, reply: Reply) -> Reply:
        if fault is None:
            return reply
        if fault.kind == "refuse":
            return self._refuse(received, fault.text)
        if fault.kind in {"cut", "disconnect"}:
            whole = len(reply.body)
            half = whole // 2 if fault.after is None else min(fault.after, whole - 1)
            sent = half if fault.kind == "cut" else 0
            return Reply(reply.body, status=reply.status, headers=reply.headers, sent=sent)
        status = fault.code if fault.kind == "status" else 200
        return Reply(fault.page, status=status, headers=(*HTML, *fault.headers))
