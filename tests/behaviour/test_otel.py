"""OpenTelemetry: spans of streams, windows and requests that nest, and metrics of them."""

from __future__ import annotations

import asyncio
import sys
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import attrs
import httpx
import pytest
from calls import DAY, HOUR, NEXT_DAY, hourly
from opentelemetry import context, trace
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from waiting import Gate, settled

from boxis_async import (
    BoxisError,
    Hooks,
    MissingExtraError,
    RequestEvent,
    RetryPolicy,
    UsageError,
    WindowError,
)
from boxis_async.otel import telemetry
from boxis_async.testing import Fault, InProcessTransport, Provider

if TYPE_CHECKING:
    from collections.abc import Generator

    from conftest import MakeClient
    from opentelemetry.sdk.trace import ReadableSpan

    from boxis_async import BoxisClient


@attrs.define
class Seen:
    """What an exporter would have sent."""

    spans: InMemorySpanExporter = attrs.field(factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = attrs.field(factory=InMemoryMetricReader)
    tracer_provider: TracerProvider = attrs.field(factory=TracerProvider)
    meter_provider: MeterProvider = attrs.field(init=False)
    hooks: Hooks = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.spans))
        self.meter_provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.hooks = self.made()

    def made(self, hooks: Hooks | None = None) -> Hooks:
        """Make the hooks, with others beside them."""
        return telemetry(
            hooks,
            tracer_provider=self.tracer_provider,
            meter_provider=self.meter_provider,
        )

    def named(self, name: str) -> list[ReadableSpan]:
        """List the spans of a name, by their start."""
        found = [span for span in self.spans.get_finished_spans() if span.name == name]
        return sorted(found, key=lambda span: span.start_time or 0)

    def metric(self, name: str) -> dict[frozenset[tuple[str, Any]], Any]:
        """Give the points of a metric, by their attributes."""
        data = self.reader.get_metrics_data()
        assert data is not None
        return {
            frozenset((point.attributes or {}).items()): getattr(
                point, "value", getattr(point, "count", None)
            )
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        }

    def total(self, name: str) -> float:
        """Add up the points of a metric."""
        return sum(self.metric(name).values())


@pytest.fixture
def seen() -> Seen:
    return Seen()


def values(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    return span.get_span_context().span_id  # type: ignore[union-attr,no-any-return]


async def test_spans_nest(provider: Provider, make_client: MakeClient, seen: Seen) -> None:
    """A stream's span is a child of what is current, a window's of it, and a request's of that."""
    client = make_client(provider, hooks=seen.hooks)
    with seen.tracer_provider.get_tracer("mine").start_as_current_span("mine") as mine:
        found = await client.cdrs(DAY, NEXT_DAY, window=6 * HOUR).to_list()
    (stream,) = seen.named("boxis stream")
    windows, requests = seen.named("boxis window"), seen.named("boxis request")
    assert len(windows) == len(requests) == 4
    assert parent_of(stream) == mine.get_span_context().span_id
    assert {parent_of(window) for window in windows} == {id_of(stream)}
    assert {parent_of(request) for request in requests} == set(map(id_of, windows))
    assert values(stream) == {
        "boxis.tenant": provider.tenant,
        "boxis.window.start": "2024-03-05 00:00:00",
        "boxis.window.end": "2024-03-06 00:00:00",
        "boxis.records": len(found),
        "boxis.windows": 4,
        "boxis.requests": 4,
    }
    assert sum(values(window)["boxis.records"] for window in windows) == len(found) == 24
    request = values(requests[0])
    assert request.pop("http.response.body.size") > 100
    assert request == {
        "boxis.tenant": provider.tenant,
        "boxis.section": "voice",
        "boxis.action": "getCDR",
        "boxis.attempt": 1,
        "boxis.window.start": "2024-03-05 00:00:00",
        "boxis.window.end": "2024-03-05 06:00:00",
        "boxis.records": 6,
        "http.response.status_code": 200,
    }


@pytest.mark.parametrize("lent", [True, False], ids=["lent", "own"])
async def test_spans_of_httpx_nest(
    lent: bool,  # noqa: FBT001 - a parameter
    provider: Provider,
    make_client: MakeClient,
    seen: Seen,
) -> None:
    """What instruments httpx makes the child of a request's span, over any connection."""
    instrumentor = HTTPXClientInstrumentor()
    if lent:
        async with httpx.AsyncClient(transport=InProcessTransport(provider)) as http_client:
            instrumentor.instrument_client(http_client, tracer_provider=seen.tracer_provider)
            client = make_client(provider, http_client=http_client, hooks=seen.hooks)
            await client.cdrs(DAY, NEXT_DAY, window=6 * HOUR).to_list()
    else:
        instrumentor.instrument(tracer_provider=seen.tracer_provider)
        try:
            client = make_client(provider, over_http=True, hooks=seen.hooks)
            await client.cdrs(DAY, NEXT_DAY, window=6 * HOUR).to_list()
        finally:
            instrumentor.uninstrument()
    spans = seen.spans.get_finished_spans()
    theirs = [span for span in spans if span.kind is SpanKind.CLIENT]
    assert len(theirs) == 4
    assert {parent_of(span) for span in theirs} == set(map(id_of, seen.named("boxis request")))


async def test_nothing_is_current_for_the_consumer(
    provider: Provider, make_client: MakeClient, seen: Seen
) -> None:
    """Between two items, after a break, and after a cancelled call, the consumer's span is its."""
    client = make_client(provider, hooks=seen.hooks)
    before = context.get_current()
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    async for _ in stream:
        assert context.get_current() == before
        break
    await stream.aclose()
    assert context.get_current() == before
    hanging = make_client(
        Provider(actions={("voip", "getLineList"): lambda _: {}}, faults=lambda _: Fault.hang()),
        hooks=seen.hooks,
    )
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await hanging.call("voip", "getLineList")
    assert context.get_current() == before
    assert not trace.get_current_span().get_span_context().is_valid
    (call,) = [s for s in seen.named("boxis request") if "boxis.tenant" not in values(s)]
    assert values(call)["error.type"] == "CancelledError"


async def test_failures_are_on_the_spans(make_client: MakeClient, seen: Seen) -> None:
    """A request that failed says how, a retry is an event of its window, and no text is shown."""
    faults = [Fault.status(503), Fault.refuse("Error: +41445550101 is unknown")]
    client = make_client(Provider(hourly(), faults=faults), hooks=seen.hooks)
    with pytest.raises(WindowError):
        await client.cdrs(DAY, NEXT_DAY, window=24 * HOUR).to_list()
    first, second = seen.named("boxis request")
    assert values(first)["error.type"] == "StatusError"
    assert values(first)["http.response.status_code"] == 503
    assert values(second)["boxis.attempt"] == 2
    (window,) = seen.named("boxis window")
    assert window.status.status_code is StatusCode.ERROR
    assert values(window)["error.type"] == "RefusedError"
    (retry,) = window.events
    assert dict(retry.attributes or {}) == {"boxis.attempt": 1, "error.type": "StatusError"}
    shown = "".join(span.to_json() for span in seen.spans.get_finished_spans())
    assert "+41445550101" not in shown
    assert seen.total("boxis.retries") == 1
    assert seen.total("boxis.requests") == seen.total("boxis.request.duration") == 2


async def test_halves_nest(make_client: MakeClient, seen: Seen) -> None:
    """The halves of a window are children of its span, which says that it was cut."""
    client = make_client(Provider(hourly()), hooks=seen.hooks)
    await client.cdrs(DAY, NEXT_DAY, window=24 * HOUR, row_limit=20).to_list()
    whole, *halves = seen.named("boxis window")
    assert values(whole)["boxis.split"] is True
    assert "boxis.records" not in values(whole)
    assert [parent_of(half) for half in halves] == [id_of(whole)] * 2
    assert seen.total("boxis.splits") == 1


async def test_metrics(make_client: MakeClient, seen: Seen) -> None:
    """Requests, records and the lag are counted, by tenant where that says something."""
    provider = Provider(hourly())
    client = make_client(provider, hooks=seen.hooks)
    await client.cdrs(DAY, NEXT_DAY, window=6 * HOUR).to_list()
    tenant = frozenset({("boxis.tenant", provider.tenant)})
    assert seen.metric("boxis.records") == {tenant: 24}
    kind = frozenset({("boxis.section", "voice"), ("boxis.action", "getCDR")})
    assert seen.metric("boxis.requests") == {kind: 4}
    (lag,) = seen.metric("boxis.lag").values()
    assert lag > timedelta(days=365).total_seconds()


async def test_a_stream_that_is_left(make_client: MakeClient, seen: Seen) -> None:
    """The spans of a stream that is closed end with it, and say that they were cancelled."""
    gate = Gate()
    client = make_client(Provider(hourly(), gate=gate), hooks=seen.hooks)
    stream = client.cdrs(DAY, NEXT_DAY, window=24 * HOUR)
    first = asyncio.ensure_future(anext(stream))
    await settled(lambda: gate.held == 1)
    await stream.aclose()
    with pytest.raises(BoxisError):
        await first
    for name in ("boxis stream", "boxis window", "boxis request"):
        (span,) = seen.named(name)
        assert values(span)["error.type"] == "CancelledError"


async def test_hooks_beside_it(provider: Provider, make_client: MakeClient, seen: Seen) -> None:
    """Hooks of the program's own are called too, within the span; one that fails spoils nothing."""
    current: list[int] = []

    def note(_: RequestEvent) -> None:
        current.append(trace.get_current_span().get_span_context().span_id)
        raise ValueError("a mistake")

    @contextmanager
    def within(_: RequestEvent) -> Generator[None]:
        current.append(trace.get_current_span().get_span_context().span_id)
        yield

    hooks = seen.made(Hooks(on_request=note, on_response=note, around_request=within))
    client = make_client(provider, hooks=hooks)
    assert len(await client.cdrs(DAY, NEXT_DAY, window=24 * HOUR).to_list()) == 24
    (request,) = seen.named("boxis request")
    assert current == [id_of(request)] * 3
    assert seen.total("boxis.requests") == 1


async def test_a_hook_around_that_fails(
    provider: Provider, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """What a hook puts around cannot change what happens: not by failing, nor by swallowing."""

    @contextmanager
    def failing_at_the_end(_: object) -> Generator[None]:
        yield
        raise ValueError("at the end")

    def failing_at_once(_: object) -> NoReturn:
        raise ValueError("at once")

    @contextmanager
    def swallowing(_: object) -> Generator[None]:
        with suppress(BaseException):
            yield

    hooks = Hooks(
        around_stream=failing_at_once, around_window=failing_at_the_end, around_request=swallowing
    )
    client: BoxisClient = make_client(provider, hooks=hooks, retry=RetryPolicy(attempts=1))
    assert len(await client.cdrs(DAY, NEXT_DAY, window=24 * HOUR).to_list()) == 24
    assert "a hook failed on StreamEvent" in caplog.text
    assert "a hook failed on WindowEvent" in caplog.text
    provider.faults = lambda _: Fault.status(503)
    with pytest.raises(WindowError, match="503"):
        await client.cdrs(DAY, NEXT_DAY, window=24 * HOUR).to_list()


async def test_without_an_sdk(provider: Provider, make_client: MakeClient) -> None:
    """With the API alone nothing is reported, and everything works."""
    client = make_client(provider, hooks=telemetry())
    assert len(await client.cdrs(DAY, NEXT_DAY).to_list()) == 24


def test_a_wrong_zone() -> None:
    """A zone that does not exist is refused."""
    with pytest.raises(UsageError, match="no time zone 'Mars'"):
        telemetry(timezone="Mars")


def test_without_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without OpenTelemetry the wing says which extra to install."""
    for name in [name for name in sys.modules if name.startswith("boxis_async.otel")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(MissingExtraError, match=r"boxis-async\[otel\]"):
        import boxis_async.otel  # noqa: F401, PLC0415 - that is the point
