"""Spans and durations of calls for OpenTelemetry, by its conventions for HTTP clients.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/ and http-metrics/ say the names.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import urlsplit

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import Histogram, MeterProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from encola.application.ports import CallAttempt, CallTelemetry, CallTrace
from encola.domain.context import ExecutionContext
from encola.domain.service import ServiceCall

SCOPE = "encola"
HIDDEN = "REDACTED"
DURATION = "http.client.request.duration"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

Attributes: TypeAlias = dict[str, str | int]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_FIRST_ERROR = 400
# Not the application's own choice of propagators: we send what our context carries, in W3C's form.
_headers = TraceContextTextMapPropagator()


class OpenTelemetryCalls(CallTelemetry):
    """Records a span and a duration for every attempt.

    The parent is the span that is current in this process if it belongs to the trace of the call's
    context, else the span that the context names. Where the context names none, the parent is the
    current span, or else the first attempt begins a trace and the others are its children. What
    becomes of spans and durations is for the providers to say: those given, or the process's own.
    """

    def __init__(
        self,
        *,
        tracers: TracerProvider | None = None,
        meters: MeterProvider | None = None,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._tracer = trace.get_tracer(SCOPE, tracer_provider=tracers)
        self._durations = metrics.get_meter(SCOPE, meter_provider=meters).create_histogram(
            DURATION,
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self._now = now

    def begin(self, call: ServiceCall, url: str) -> CallTrace:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        return _Spans(
            tracer=self._tracer,
            durations=self._durations,
            now=self._now,
            parent=_parent_of(call.context),
            common={
                "http.request.method": call.method,
                "server.address": parts.hostname or "",
                "server.port": port,
            },
            detail={"url.full": without_values(url), **_names_of(call)},
        )


@dataclass(slots=True)
class _Spans(CallTrace):
    """``common`` stands on spans and durations alike, ``detail`` on spans only."""

    tracer: Tracer
    durations: Histogram
    now: Callable[[], float]
    parent: Context
    common: Attributes
    detail: Attributes
    _last: Span = field(init=False, default=trace.INVALID_SPAN)

    @property
    def trace_id(self) -> str:
        known = self._last.get_span_context()
        if not known.is_valid:
            known = trace.get_current_span(self.parent).get_span_context()
        return trace.format_trace_id(known.trace_id) if known.is_valid else ""

    def attempt(self, number: int) -> AbstractContextManager[CallAttempt]:
        return self._attempt(number)

    @contextmanager
    def _attempt(self, number: int) -> Iterator[CallAttempt]:
        span = self._start(number)
        headers: dict[str, str] = {}
        _headers.inject(headers, trace.set_span_in_context(span, self.parent))
        attempt = CallAttempt(headers)
        began = self.now()
        try:
            yield attempt
        except BaseException as error:
            attempt.error_type = attempt.error_type or type(error).__name__
            raise
        finally:
            self._end(span, attempt, self.now() - began)

    def _start(self, number: int) -> Span:
        again: Attributes = {"http.request.resend_count": number - 1} if number > 1 else {}
        span = self.tracer.start_span(
            str(self.common["http.request.method"]),
            self.parent,
            SpanKind.CLIENT,
            self.common | self.detail | again,
        )
        self._last = span
        if not trace.get_current_span(self.parent).get_span_context().is_valid:
            self.parent = trace.set_span_in_context(span, self.parent)
        return span

    def _end(self, span: Span, attempt: CallAttempt, seconds: float) -> None:
        outcome: Attributes = {}
        if attempt.status is not None:
            outcome["http.response.status_code"] = attempt.status
        error = _error_type(attempt)
        if error is not None:
            outcome["error.type"] = error
            span.set_status(Status(StatusCode.ERROR))
        span.set_attributes(outcome)
        span.end()
        self.durations.record(seconds, self.common | outcome)


def without_values(url: str) -> str:
    """Return a URL with the names in its query, but none of the values."""
    place, mark, query = url.partition("?")
    if not mark:
        return url
    pairs = (pair.partition("=") for pair in query.split("&"))
    return f"{place}?{'&'.join(f'{name}={HIDDEN}' if equals else HIDDEN for name, equals, _ in pairs)}"


def _parent_of(context: ExecutionContext) -> Context:
    """Return where the attempts belong."""
    current = trace.get_current_span()
    known = current.get_span_context()
    is_here = known.is_valid and context.trace_id in ("", trace.format_trace_id(known.trace_id))
    if is_here:
        return trace.set_span_in_context(current, Context())
    sent = {"traceparent": context.traceparent, "tracestate": context.tracestate}
    return _headers.extract({name: text for name, text in sent.items() if text is not None}, Context())


def _names_of(call: ServiceCall) -> Attributes:
    names: Attributes = {
        "encola.service": call.service,
        "encola.operation": call.operation.name,
        "encola.tenant_id": call.context.tenant_id,
    }
    return names | ({"encola.request_id": call.context.request_id} if call.context.request_id else {})


def _error_type(attempt: CallAttempt) -> str | None:
    """Return what the conventions call ``error.type``: the status where that tells of the error."""
    if attempt.status is not None and attempt.status >= _FIRST_ERROR:
        return str(attempt.status)
    return attempt.error_type
