"""The stand-in provider: an ASGI application that answers `getCDR` from rows in memory.

A request takes five steps: read it, check it, choose its fault, wait, answer. A fault replaces or
breaks the answer at the end, so that even a refused request can suffer one.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

import anyio
from attrs import define, evolve, field, validators

from .answers import EmptyForm, ResultAs, params_entry, write_json, write_xml
from .asgi import (
    HTML_HEADERS,
    Response,
    accepts_gzip,
    answer_lifespan,
    compressed,
    read_body,
    send_response,
    wait_for_disconnect,
)
from .date_filter import DateRule, FilterMode, date_rule
from .faults import Fault, FaultPlan, fault_plan, no_faults
from .inprocess import HTTPClient, client_for
from .live import LiveRows
from .received import Received
from .row_store import RowStore
from .validation import InvalidRequestError, check_envelope, check_get_cdr, parse_form

if TYPE_CHECKING:
    from collections.abc import Iterable

    from attrs import Attribute

    from .asgi import Receive, Scope, Send
    from .rows import Row

Action: TypeAlias = Callable[[dict[str, str]], Mapping[str, object]]
Gate: TypeAlias = Callable[[Received], Awaitable[object]]

_GET_CDR = ("voice", "getCDR")


def _machine_time() -> float:
    # Looked up at each call, so that a library that replaces `time.time` sets this clock too.
    return time.time()


def _row_store(rows: Iterable[Row]) -> RowStore:
    store = RowStore()
    store.add(rows)
    return store


def _row_stores(tenants: Mapping[str, Iterable[Row]]) -> dict[str, RowStore]:
    return {tenant: _row_store(rows) for tenant, rows in tenants.items()}


def _check_filter_mode(
    _provider: Provider, _: Attribute[FilterMode | DateRule], mode: FilterMode | DateRule
) -> None:
    date_rule(mode)


def _check_where(where: Mapping[str, str | None]) -> None:
    if not where:
        raise TypeError("name at least one field by which to find the rows, such as uniqueid=...")


def _found(number: int, where: Mapping[str, str | None]) -> int:
    # Most often a mistake in the test, which would otherwise pass without having changed anything.
    if not number:
        raise LookupError(f"no row has {', '.join(f'{name}={where[name]!r}' for name in where)}")
    return number


@define(eq=False, repr=False)
class Provider:
    """Answer `getCDR` as the provider's page describes it, from rows in memory.

    It is an ASGI 3 application. `client()` reaches it without a socket, `LoopbackServer` with one.
    Its settings are attributes, and you can change them between requests.

    Args:
        rows: The default tenant's records, under the page's names. Every answer has their order.
        username: The user's e-mail address.
        api_key: The user's key, which signs.
        tenant: The default tenant.
        tenants: Further tenants, each with its rows.
        timezone: The zone of the rows' wall clock. Only `live` needs it, as dates are compared as
            text.
        filter_mode: What `datefrom` and `dateto` are compared with, by name or as a `DateRule`.
        ignore_dates: Whether every answer has all rows, whatever the dates.
        live: Whether a record is handed out only once its leg has ended by the provider's clock. A
            row without `end` ends `duration` seconds after its `start`; one without both always
            existed.
        cost_delay: With `live`, how many seconds after the end of a leg its costs appear. Until
            then its `cc_` fields are empty.
        clock: Returns the Unix time that the provider's clock shows, before `clock_skew`; a test
            can set it. Unless given it is the time of this machine.
        compress: Whether answers are compressed by gzip, for requests that accept it.
        latency: Seconds before each answer, or a callable that returns them.
        gate: An asynchronous callable, awaited with the request before each answer. A test can hold
            a request with it. Over `LoopbackServer` it runs in the server's thread.
        faults: One for each request in the order of arrival, None for none; after the last there
            are none. Or a callable that chooses by the request.
        actions: Further functions, by section and action. Each is called with the form, without
            `authcode`, and returns the answer's `params`.
        clock_skew: By how many seconds the provider's clock is ahead.
        clock_tolerance: By how many seconds a request's `timestamp` may differ from that clock.
        row_limit: To how many rows an answer is silently cut; None: it is never cut.
        row_limit_keeps: Whether an answer that is cut keeps its `"first"` or its `"last"` rows.
        empty: How an answer without calls looks.
        result_as: Whether `result` is text or a number.
        bom: Whether a byte order mark precedes the body.
        notice: What PHP prints before the body, such as `"<b>Notice</b>: ..."`.
        seed: Seeds `random`, for latencies and faults that are drawn.

    Attributes:
        requests: Every request since the last `reset()`, in the order of arrival.
        refusals: Why requests were not accepted, one text for each, in the same order.
        in_flight: How many requests are in flight, from arrival until the answer is sent.
        peak_in_flight: The largest `in_flight` since the last `reset()`.
        random: A source of randomness for this provider alone.
    """

    _default: RowStore = field(factory=RowStore, converter=_row_store, alias="rows")
    username: str = field(default="ops@example.com", kw_only=True)
    api_key: str = field(default="stand-in-key", kw_only=True)
    tenant: str = field(default="VOICE-29001-1", kw_only=True)
    _others: dict[str, RowStore] = field(
        factory=dict[str, RowStore], converter=_row_stores, alias="tenants", kw_only=True
    )
    timezone: str = field(default="Europe/Zurich", kw_only=True)
    filter_mode: FilterMode | DateRule = field(
        default="start", kw_only=True, validator=_check_filter_mode
    )
    ignore_dates: bool = field(default=False, kw_only=True)
    live: bool = field(default=False, kw_only=True)
    cost_delay: float = field(default=4 * 3600.0, kw_only=True)
    clock: Callable[[], float] = field(default=_machine_time, kw_only=True)
    compress: bool = field(default=False, kw_only=True)
    latency: float | Callable[[], float] = field(default=0.0, kw_only=True)
    gate: Gate | None = field(default=None, kw_only=True)
    _faults: FaultPlan = field(default=no_faults, converter=fault_plan, kw_only=True)
    actions: Mapping[tuple[str, str], Action] = field(
        factory=dict[tuple[str, str], Action], kw_only=True
    )
    clock_skew: float = field(default=0.0, kw_only=True)
    clock_tolerance: float = field(default=300.0, kw_only=True)
    row_limit: int | None = field(default=None, kw_only=True)
    row_limit_keeps: Literal["first", "last"] = field(
        default="first", kw_only=True, validator=validators.in_(("first", "last"))
    )
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
        return f"<Provider(rows={len(self._default)}, requests={len(self.requests)})>"

    @property
    def faults(self) -> FaultPlan:
        """The callable that chooses each request's fault. Set it to anything the argument takes."""
        return self._faults

    @faults.setter
    def faults(self, faults: Iterable[Fault | None] | FaultPlan) -> None:
        # A property, because mypy lets nobody assign a list to a converted attribute.
        self._faults = fault_plan(faults)

    def add(self, *rows: Row, tenant: str | None = None) -> None:
        """Append rows, as if more calls had been recorded since.

        Args:
            rows: The records. The provider keeps copies.
            tenant: Whose records they are; None: the default tenant's. A new name makes a new
                tenant.
        """
        if tenant is None or tenant == self.tenant:
            self._default.add(rows)
        else:
            self._others.setdefault(tenant, RowStore()).add(rows)

    def change(self, changes: Row, *, tenant: str | None = None, **where: str | None) -> int:
        """Replace fields of rows, as if the provider had corrected its records.

        `provider.change({"cc_cost": "0.12000"}, uniqueid="1", sequence="2")` sets a cost. The rows
        keep their places. An answer that is already selected keeps the old values.

        Args:
            changes: The fields to replace, with their new values.
            tenant: Whose records they are; None: the default tenant's.
            **where: The values by which to find the rows, under the page's names.

        Returns:
            How many rows have changed.

        Raises:
            LookupError: No row has these values, or there is no such tenant.
            TypeError: No field is named, or a new value is a number.
        """
        _check_where(where)
        return _found(self._store(tenant).change(where, changes), where)

    def remove(self, *, tenant: str | None = None, **where: str | None) -> int:
        """Remove rows, as if the provider had deleted its records.

        Args:
            tenant: Whose records they are; None: the default tenant's.
            **where: The values by which to find the rows, under the page's names.

        Returns:
            How many rows were removed.

        Raises:
            LookupError: No row has these values, or there is no such tenant.
            TypeError: No field is named.
        """
        _check_where(where)
        return _found(self._store(tenant).remove(where), where)

    def select(
        self, datefrom: str | None = None, dateto: str | None = None, tenant: str | None = None
    ) -> list[Row]:
        """Return exactly the rows of the answer to one request, as an oracle for tests.

        Args:
            datefrom: The first date, `yyyy-mm-dd hh:mm:ss`. Without both dates, every row.
            dateto: The second date, `yyyy-mm-dd hh:mm:ss`.
            tenant: Whose calls; None: the default tenant's.

        Returns:
            The rows in the provider's own order, cut to `row_limit`.

        Raises:
            KeyError: There is no such tenant.
            ValueError: Only one of the two dates is given.
        """
        rows = self.undivided(datefrom, dateto, tenant)
        if self.row_limit is None or len(rows) <= self.row_limit:
            return rows
        if self.row_limit_keeps == "first":
            return rows[: self.row_limit]
        return rows[len(rows) - self.row_limit :]

    def undivided(
        self, datefrom: str | None = None, dateto: str | None = None, tenant: str | None = None
    ) -> list[Row]:
        """Return the rows that one undivided request would give without `row_limit`.

        A client that asks for the range in windows must find exactly these. With `live` they are
        the rows of now.

        Args:
            datefrom: The first date, `yyyy-mm-dd hh:mm:ss`. Without both dates, every row.
            dateto: The second date, `yyyy-mm-dd hh:mm:ss`.
            tenant: Whose calls; None: the default tenant's.

        Returns:
            The rows in the provider's own order.

        Raises:
            KeyError: There is no such tenant.
            ValueError: Only one of the two dates is given.
        """
        if bool(datefrom) != bool(dateto):
            raise ValueError("datefrom and dateto come together or not at all")
        store = self._store(tenant)
        if datefrom and dateto and not self.ignore_dates:
            rows = store.select(date_rule(self.filter_mode), datefrom, dateto)
        else:
            rows = list(store)
        if self.live:
            rows = LiveRows(self.timezone).at(rows, self.now(), self.cost_delay)
        return rows

    def now(self) -> float:
        """Return what the provider's own clock shows, in Unix seconds."""
        return self.clock() + self.clock_skew

    def reset(self) -> None:
        """Clear `requests` and `refusals`, and measure `peak_in_flight` anew."""
        self.requests.clear()
        self.refusals.clear()
        self.peak_in_flight = self.in_flight

    def client(self) -> HTTPClient:
        """Return an HTTP client that reaches this provider without a socket."""
        return client_for(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"the provider speaks HTTP, not {scope['type']}")
        body = await read_body(receive)
        if body is None:
            return
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            received, error = self._receive(scope, body)
            fault = self._faults(received)
            if not await self._wait(received, receive):
                return
            if fault is not None and fault.kind == "hang":
                await wait_for_disconnect(receive)
                return
            response = self._answer(scope["method"], received, error)
            if fault is not None:
                response = self._apply_fault(fault, received, response)
            await send_response(response, send)
        finally:
            self.in_flight -= 1

    def _store(self, tenant: str | None) -> RowStore:
        if tenant is None or tenant == self.tenant:
            return self._default
        return self._others[tenant]

    def _receive(self, scope: Scope, body: bytes) -> tuple[Received, InvalidRequestError | None]:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        form: dict[str, str] = {}
        invalid = None
        try:
            if scope["method"] != "POST":
                raise InvalidRequestError(f"{scope['method']} is not POST")  # noqa: TRY301
            content_type = headers.get(b"content-type", b"").decode("latin-1")
            pairs = parse_form(content_type, scope.get("query_string", b""), body)
            form = dict(pairs)
            self._check(pairs, form)
        except InvalidRequestError as error:
            invalid = error
            self.refusals.append(error.text)
        form.pop("authcode", None)
        received = Received(
            number=len(self.requests) + 1,
            parameters=form,
            datefrom=form.get("datefrom") or None,
            dateto=form.get("dateto") or None,
            accepted=invalid is None,
            arrived=time.monotonic(),
            refusal=None if invalid is None else invalid.text,
            accepts_gzip=accepts_gzip(headers.get(b"accept-encoding", b"").decode("latin-1")),
        )
        self.requests.append(received)
        return received, invalid

    def _check(self, pairs: list[tuple[str, str]], form: dict[str, str]) -> None:
        check_envelope(
            pairs,
            username=self.username,
            api_key=self.api_key,
            now=self.now(),
            tolerance=self.clock_tolerance,
        )
        function = (form["section"], form["action"])
        if function in self.actions:
            return
        if function != _GET_CDR:
            raise InvalidRequestError("unknown section or action")
        check_get_cdr(form)
        if form["tenant"] != self.tenant and form["tenant"] not in self._others:
            raise InvalidRequestError("unknown tenant")

    async def _wait(self, received: Received, receive: Receive) -> bool:
        """Wait for the latency and the gate; False when the client disconnected meanwhile."""
        delay = self.latency() if callable(self.latency) else self.latency
        if delay <= 0 and self.gate is None:
            return True
        is_connected = False
        async with anyio.create_task_group() as group:

            async def cancel_on_disconnect() -> None:
                await wait_for_disconnect(receive)
                group.cancel_scope.cancel()

            group.start_soon(cancel_on_disconnect)
            if delay > 0:
                await anyio.sleep(delay)
            if self.gate is not None:
                await self.gate(received)
            is_connected = True
            group.cancel_scope.cancel()
        return is_connected

    def _answer(
        self, method: str, received: Received, invalid: InvalidRequestError | None
    ) -> Response:
        if invalid is not None:
            if method != "POST":
                return Response(b"POST only\n", status=405, headers=(("allow", "POST"),))
            return self._refuse(received, invalid.text, clock=invalid.clock)
        form = received.parameters
        action = self.actions.get((form["section"], form["action"]))
        if action is not None:
            params: dict[str, object] = {"params": action(dict(form))}
        else:
            rows = self.select(received.datefrom, received.dateto, form["tenant"])
            params = params_entry(rows, self.empty)
        return self._encode(received, {"result": self._result(1), "resulttxt": "success", **params})

    def _refuse(self, received: Received, text: str, *, clock: bool = False) -> Response:
        # The page writes "Error:" in its JSON examples; its neighbours write "error:" in XML.
        word = "error" if received.parameters.get("returntype") == "xml" else "Error"
        answer: dict[str, object] = {"result": self._result(0), "resulttxt": f"{word}: {text}"}
        if clock:
            answer["timestamperror"] = 1
        return self._encode(received, answer)

    def _result(self, value: int) -> str | int:
        return str(value) if self.result_as == "text" else value

    def _encode(self, received: Received, answer: dict[str, object]) -> Response:
        answer["timestamp"] = int(self.now())
        is_xml = received.parameters.get("returntype") == "xml"
        body = write_xml(answer) if is_xml else write_json(answer)
        byte_order_mark = b"\xef\xbb\xbf" if self.bom else b""
        response = Response(byte_order_mark + (self.notice or "").encode() + body)
        return compressed(response) if self.compress and received.accepts_gzip else response

    def _apply_fault(self, fault: Fault, received: Received, response: Response) -> Response:
        if fault.kind == "refuse":
            return self._refuse(received, fault.text)
        if fault.kind == "disconnect":
            return evolve(response, sent_bytes=0)
        if fault.kind == "cut":
            length = len(response.body)
            return evolve(
                response,
                sent_bytes=length // 2 if fault.after is None else min(fault.after, length - 1),
            )
        status = fault.code if fault.kind == "status" else 200
        return Response(fault.page, status=status, headers=(*HTML_HEADERS, *fault.headers))
