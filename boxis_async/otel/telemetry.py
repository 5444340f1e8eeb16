"""Spans of streams, windows and requests, and metrics of what they did.

A span is current in the task that does the work, never while the consumer of a stream has the turn.
So it is the parent of what happens inside: of a window's requests, and of the span that an
instrumentation of httpx makes of each. The parent of a stream's span is what was current when its
first item was requested. What came of a request or a window is reported by another hook, within the
span, so each writes on the span that is current then.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar
from zoneinfo import ZoneInfo

import attrs
from opentelemetry import metrics, trace
from opentelemetry.trace import Status, StatusCode

from boxis_async import Hooks, UsageError, WindowError, __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

    from boxis_async import (
        RequestEvent,
        ResponseEvent,
        RetryEvent,
        StreamEvent,
        Window,
        WindowEvent,
    )

__all__ = ["telemetry"]

E = TypeVar("E")

_NAME: Final = "boxis_async"
_HOOKS: Final = tuple(field.name for field in attrs.fields(Hooks))


@attrs.define
class _Totals:
    """What the windows of one stream came to."""

    records: int = 0
    windows: int = 0
    requests: int = 0


_totals: ContextVar[_Totals | None] = ContextVar("boxis_async.otel.totals", default=None)


def telemetry(
    hooks: Hooks | None = None,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    timezone: str = "Europe/Zurich",
) -> Hooks:
    """Make hooks that report to OpenTelemetry.

    Spans: `boxis stream`, `boxis window` and `boxis request`, with the tenant, the window, the
    attempt and the records. Metrics: `boxis.requests`, `boxis.request.duration` in seconds,
    `boxis.retries`, `boxis.splits`, `boxis.records`, and `boxis.lag`: how many seconds ago the
    window ended that came last.

    Args:
        hooks: Hooks of your own, which are called as well.
        tracer_provider: The one to use, if not the global one.
        meter_provider: The one to use, if not the global one.
        timezone: The zone of the provider's wall clock, an IANA name; for `boxis.lag`.

    Raises:
        UsageError: There is no such zone.
    """
    try:
        zone = ZoneInfo(timezone)
    except (KeyError, ValueError, OSError, TypeError) as error:
        raise UsageError(f"there is no time zone {timezone!r}: give an IANA name") from error
    tracer = trace.get_tracer(_NAME, __version__, tracer_provider)
    meter = metrics.get_meter(_NAME, __version__, meter_provider)
    ours = _Telemetry(tracer, meter, zone)
    mine = Hooks(**{name: getattr(ours, name) for name in _HOOKS if hasattr(ours, name)})
    return mine if hooks is None else _both(hooks, mine)


class _Telemetry:
    """The hooks."""

    def __init__(self, tracer: trace.Tracer, meter: metrics.Meter, zone: ZoneInfo) -> None:
        self._tracer = tracer
        self._zone = zone
        self._requests = meter.create_counter(
            "boxis.requests", "{request}", "Requests that were sent"
        )
        self._duration = meter.create_histogram(
            "boxis.request.duration", "s", "From sending to the last byte, or to the error"
        )
        self._retries = meter.create_counter(
            "boxis.retries", "{request}", "Requests that failed and are sent again"
        )
        self._splits = meter.create_counter(
            "boxis.splits", "{window}", "Windows that were cut in halves"
        )
        self._records = meter.create_counter(
            "boxis.records", "{record}", "Records that the provider returned"
        )
        self._lag = meter.create_gauge(
            "boxis.lag", "s", "How long ago the window ended that came last"
        )

    @contextmanager
    def around_stream(self, event: StreamEvent) -> Generator[None]:
        """Make the span of a stream."""
        totals = _Totals()
        token = _totals.set(totals)
        attributes = {"boxis.tenant": event.tenant, **_of_window(event.window)}
        try:
            with self._span("boxis stream", attributes) as span:
                try:
                    yield
                finally:
                    span.set_attributes({f"boxis.{k}": v for k, v in attrs.asdict(totals).items()})
        finally:
            _totals.reset(token)

    @contextmanager
    def around_window(self, event: WindowEvent) -> Generator[None]:
        """Make the span of a window."""
        attributes = {"boxis.tenant": event.tenant, **_of_window(event.window)}
        with self._span("boxis window", attributes):
            yield

    @contextmanager
    def around_request(self, event: RequestEvent) -> Generator[None]:
        """Make the span of a request."""
        if (totals := _totals.get()) is not None:
            totals.requests += 1
        with self._span("boxis request", _of_request(event)):
            yield

    def on_response(self, event: ResponseEvent) -> None:
        """Count a request, and write on its span how it ended."""
        found: dict[str, Any] = {
            "http.response.status_code": event.status_code,
            "http.response.body.size": event.size,
            "boxis.records": event.records,
        }
        span = trace.get_current_span()
        span.set_attributes({name: value for name, value in found.items() if value is not None})
        kind = {"boxis.section": event.section, "boxis.action": event.action}
        if event.error is not None:
            _fail(span, event.error)
            kind["error.type"] = type(event.error).__name__
        self._requests.add(1, kind)
        self._duration.record(event.seconds, kind)

    def on_retry(self, event: RetryEvent) -> None:
        """Count a request that is sent again, and note it on the span of its window."""
        reason = type(event.error).__name__
        self._retries.add(1, {"error.type": reason})
        trace.get_current_span().add_event(
            "boxis retry", {"boxis.attempt": event.attempt, "error.type": reason}
        )

    def on_split(self, event: WindowEvent) -> None:
        """Count a window that is cut, and say so on its span."""
        self._splits.add(1, {"boxis.tenant": event.tenant})
        trace.get_current_span().set_attribute("boxis.split", value=True)

    def on_window(self, event: WindowEvent) -> None:
        """Count the records of a window, and write on its span how it ended."""
        span = trace.get_current_span()
        if event.error is not None:
            _fail(span, event.error)
        if event.records is None:
            return
        span.set_attribute("boxis.records", event.records)
        tenant = {"boxis.tenant": event.tenant}
        self._records.add(event.records, tenant)
        if (totals := _totals.get()) is not None:
            totals.records += event.records
            totals.windows += 1
        if event.window.end is not None:
            end = event.window.end.replace(tzinfo=self._zone).timestamp()
            self._lag.set(time.time() - end, tenant)

    @contextmanager
    def _span(self, name: str, attributes: dict[str, Any]) -> Generator[Span]:
        # What fails is written by us: a traceback would repeat it, at length, on each level.
        with self._tracer.start_as_current_span(
            name, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as error:
                _fail(span, error)
                raise


def _of_window(window: Window | None) -> dict[str, str]:
    if window is None or window.start is None or window.end is None:
        return {}
    return {"boxis.window.start": f"{window.start}", "boxis.window.end": f"{window.end}"}


def _of_request(event: RequestEvent) -> dict[str, Any]:
    tenant = {} if event.tenant is None else {"boxis.tenant": event.tenant}
    return {
        "boxis.section": event.section,
        "boxis.action": event.action,
        "boxis.attempt": event.attempt,
        **tenant,
        **_of_window(event.window),
    }


def _fail(span: Span, error: BaseException) -> None:
    """Write on a span why it failed: by its kind alone, as a text can hold a telephone number."""
    cause = error.cause if isinstance(error, WindowError) and error.cause else error
    kind = type(cause).__name__
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, kind))


def _both(first: Hooks, second: Hooks) -> Hooks:
    """Make hooks that call those of both."""
    together: dict[str, Any] = {}
    for name in _HOOKS:
        found = [one for hooks in (first, second) if (one := getattr(hooks, name)) is not None]
        if len(found) < 2:  # noqa: PLR2004 - both
            together[name] = found[0] if found else None
        elif name.startswith("around_"):
            together[name] = _nested(*found)
        else:
            together[name] = _in_turn(*found)
    return Hooks(**together)


def _in_turn(first: Callable[[E], object], second: Callable[[E], object]) -> Callable[[E], object]:
    def call(event: E) -> None:
        try:
            first(event)
        finally:
            second(event)

    return call


def _nested(first: Callable[[E], Any], second: Callable[[E], Any]) -> Callable[[E], Any]:
    @contextmanager
    def around(event: E) -> Generator[None]:
        # Ours outside, so that what a log of yours says belongs to the span.
        with second(event), first(event):
            yield

    return around
