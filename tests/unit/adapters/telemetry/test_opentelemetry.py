"""What OpenTelemetry's own SDK makes of our calls."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from opentelemetry import trace as otel
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from encola.adapters.telemetry.opentelemetry import BUCKETS, DURATION, OpenTelemetryCalls, without_values
from encola.domain.service import ServiceCall
from encola.testing import contracts
from encola.testing.contracts.call_telemetry import CALL, SPAN, TRACE, UNTRACED, URL, attempts_of


class Ticks:
    """A clock that moves half a second each time somebody looks."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 0.5
        return self.seconds


@dataclass(frozen=True, slots=True)
class Recorder:
    """OpenTelemetry with everything it recorded in memory."""

    telemetry: OpenTelemetryCalls
    tracers: TracerProvider
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    @property
    def durations(self) -> list[HistogramDataPoint]:
        data: Any = self.reader.get_metrics_data()
        if data is None:
            return []
        (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
        assert (metric.name, metric.unit) == (DURATION, "s")
        return list(metric.data.data_points)


def recorder_with(**options: Any) -> Recorder:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider(shutdown_on_exit=False, **options)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider([reader], shutdown_on_exit=False)
    telemetry = OpenTelemetryCalls(tracers=tracers, meters=meters, now=Ticks())
    return Recorder(telemetry, tracers, exporter, reader)


@pytest.fixture
def recorder() -> Recorder:
    return recorder_with()


class TestOpenTelemetryCalls(contracts.CallTelemetryContract):
    @pytest.fixture
    def telemetry(self, recorder: Recorder) -> OpenTelemetryCalls:
        return recorder.telemetry


class TestOpenTelemetryCallsThatAreNotSampled(contracts.CallTelemetryContract):
    @pytest.fixture
    def telemetry(self) -> OpenTelemetryCalls:
        return recorder_with(sampler=ALWAYS_OFF).telemetry


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def parents(spans: tuple[ReadableSpan, ...]) -> list[str]:
    return [f"{span.parent.span_id:016x}" if span.parent else "" for span in spans]


def test_an_attempt_is_a_client_span_by_the_conventions(recorder: Recorder) -> None:
    attempts_of(recorder.telemetry, CALL, most=1, status=200)
    (span,) = recorder.spans

    assert (span.name, span.kind, span.status.status_code) == ("POST", SpanKind.CLIENT, StatusCode.UNSET)
    assert attributes(span) == {
        "http.request.method": "POST",
        "server.address": "query.test",
        "server.port": 9000,
        "url.full": "http://query.test:9000/internal/query?q=REDACTED",
        "http.response.status_code": 200,
        "encola.service": "query",
        "encola.operation": "rag_query",
        "encola.tenant_id": "acme",
        "encola.request_id": "r-1",
    }


def test_every_attempt_is_a_child_of_what_the_context_names(recorder: Recorder) -> None:
    sent = attempts_of(recorder.telemetry, CALL)

    assert parents(recorder.spans) == [SPAN] * 3
    assert [f"{span.context.span_id:016x}" for span in recorder.spans] == [text[36:52] for text in sent]
    assert {f"{span.context.trace_id:032x}" for span in recorder.spans} == {TRACE}


def test_where_no_sdk_is_set_up_the_trace_goes_on_as_it_came() -> None:
    idle = OpenTelemetryCalls(tracers=otel.NoOpTracerProvider(), meters=NoOpMeterProvider())

    assert attempts_of(idle, CALL) == [CALL.context.traceparent] * 3
    with idle.begin(UNTRACED, URL).attempt(1) as attempt:
        assert attempt.headers == {}
    assert idle.begin(UNTRACED, URL).trace_id == ""


def test_only_what_is_sent_again_counts_as_such(recorder: Recorder) -> None:
    attempts_of(recorder.telemetry, CALL)

    counts = [attributes(span).get("http.request.resend_count") for span in recorder.spans]
    assert counts == [None, 1, 2]


def test_without_a_trace_the_first_attempt_begins_one(recorder: Recorder) -> None:
    sent = attempts_of(recorder.telemetry, UNTRACED)

    assert parents(recorder.spans) == ["", sent[0][36:52], sent[0][36:52]]


@pytest.mark.parametrize("call", [UNTRACED, CALL])
def test_a_span_of_this_process_in_the_same_trace_is_the_parent(
    recorder: Recorder, call: ServiceCall
) -> None:
    with recorder.tracers.get_tracer("host").start_as_current_span("request") as host:
        here = host.get_span_context()
        if call.context.traceparent is not None:
            parent = f"00-{here.trace_id:032x}-{SPAN}-01"
            call = replace(call, context=replace(call.context, traceparent=parent))
        attempts_of(recorder.telemetry, call)

    assert parents(recorder.spans)[:3] == [f"{here.span_id:016x}"] * 3


def test_a_span_of_another_trace_that_is_current_here_is_not_the_parent(recorder: Recorder) -> None:
    with recorder.tracers.get_tracer("host").start_as_current_span("something else"):
        attempts_of(recorder.telemetry, CALL, most=1)
        assert otel.get_current_span().get_span_context().trace_id != int(TRACE, 16)

    assert parents(recorder.spans)[0] == SPAN


@pytest.mark.parametrize(
    ("told", "error_type"),
    [
        ({"status": 404}, "404"),
        ({"status": 503, "error_type": "upstream_unavailable"}, "503"),
        ({"status": 200, "error_type": "invalid_response"}, "invalid_response"),
        ({"error_type": "attempt_timeout"}, "attempt_timeout"),
    ],
)
def test_a_failure_says_of_what_kind_it_is(recorder: Recorder, told: dict[str, Any], error_type: str) -> None:
    attempts_of(recorder.telemetry, CALL, most=1, **told)
    (span,), (duration,) = recorder.spans, recorder.durations

    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"] == error_type
    assert attributes(span).get("http.response.status_code") == told.get("status")
    assert duration.attributes is not None
    assert duration.attributes["error.type"] == error_type


@pytest.mark.parametrize("error", [ValueError("a secret"), KeyboardInterrupt("a secret")], ids=repr)
def test_an_exception_ends_the_attempt_and_its_text_is_not_recorded(
    recorder: Recorder, error: BaseException
) -> None:
    with pytest.raises(type(error)), recorder.telemetry.begin(CALL, URL).attempt(1):
        raise error
    (span,) = recorder.spans

    assert attributes(span)["error.type"] == type(error).__name__
    assert "secret" not in span.to_json()


def test_durations_are_in_seconds_with_the_conventional_buckets(recorder: Recorder) -> None:
    attempts_of(recorder.telemetry, CALL, status=200)
    (point,) = recorder.durations

    assert (point.count, point.sum) == (3, 1.5)
    assert tuple(point.explicit_bounds) == BUCKETS


def test_nothing_that_is_many_stands_on_durations(recorder: Recorder) -> None:
    attempts_of(recorder.telemetry, CALL, status=200)
    (point,) = recorder.durations

    assert dict(point.attributes or {}) == {
        "http.request.method": "POST",
        "server.address": "query.test",
        "server.port": 9000,
        "http.response.status_code": 200,
    }


def test_a_port_that_is_not_spelt_is_the_schemes(recorder: Recorder) -> None:
    for scheme in ("http", "https"):
        with recorder.telemetry.begin(CALL, f"{scheme}://query.test/").attempt(1):
            pass

    assert [attributes(span)["server.port"] for span in recorder.spans] == [80, 443]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://a/b", "http://a/b"),
        ("http://a/b?", "http://a/b?REDACTED"),
        ("http://a/b?token", "http://a/b?REDACTED"),
        ("http://a/b?q=x&key=s%3Dt=u&v=", "http://a/b?q=REDACTED&key=REDACTED&v=REDACTED"),
    ],
)
def test_no_value_of_a_query_is_told(url: str, told: str) -> None:
    assert without_values(url) == told
