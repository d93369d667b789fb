"""What a call tells of itself to those who trace it."""

import asyncio
from typing import Any

import httpx
import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from encola.adapters.http import HttpServiceCaller
from encola.adapters.memory import InMemoryCircuitBoard, InMemoryMetrics
from encola.adapters.telemetry.opentelemetry import OpenTelemetryCalls
from encola.domain.context import ExecutionContext
from encola.domain.policy import OperationPolicy, Repeat
from encola.domain.service import ServiceCall
from encola.testing.builders import ACME

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALL = ServiceCall(
    service="query",
    path="/internal/query",
    operation=OperationPolicy(name="reading", timeout=5.0, repeat=Repeat.SAFE),
    context=ExecutionContext(tenant_id=ACME, traceparent=f"00-{TRACE}-b7ad6b7169203331-01", request_id="r-1"),
    data={"password": "secret"},
    attempts=4,
)


class Traced:
    """A caller whose service answers from a list, and whose spans are kept."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = list(answers)
        self._exporter = InMemorySpanExporter()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.caller = HttpServiceCaller(
            {"query": "http://query.test/base"},
            httpx.MockTransport(self._answer),
            chance=lambda: 0.0,
            metrics=InMemoryMetrics(),
            board=InMemoryCircuitBoard(),
            telemetry=OpenTelemetryCalls(tracers=tracers, meters=NoOpMeterProvider()),
        )

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if not self._answers:
            await asyncio.Event().wait()
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def recorded(self, *names: str) -> list[tuple[Any, ...]]:
        spans = (dict(span.attributes or {}) for span in self._exporter.get_finished_spans())
        return [tuple(span.get(name) for name in names) for span in spans]

    @property
    def sent(self) -> list[str]:
        return [request.headers["traceparent"] for request in self.requests]

    @property
    def spans(self) -> list[str]:
        contexts = (span.context for span in self._exporter.get_finished_spans())
        return [f"00-{context.trace_id:032x}-{context.span_id:016x}-01" for context in contexts]


async def test_every_attempt_is_recorded_with_what_came_of_it() -> None:
    nonsense = httpx.Response(200, content=b"nonsense")
    traced = Traced(httpx.Response(503), httpx.ReadError("reset"), nonsense)

    await traced.caller.call(CALL)

    names = ("http.response.status_code", "error.type", "http.request.resend_count")
    assert traced.recorded(*names) == [
        (503, "503", None),
        (None, "upstream_unavailable", 1),
        (200, "invalid_response", 2),
    ]


async def test_what_is_sent_is_what_is_recorded() -> None:
    traced = Traced(httpx.Response(503), httpx.Response(200, json=1))

    result = await traced.caller.call(CALL)

    assert len(set(traced.sent)) == 2
    assert traced.sent == traced.spans
    assert (result.meta.request_id, result.meta.trace_id) == ("r-1", TRACE)


async def test_an_attempt_that_is_given_up_is_recorded_too() -> None:
    traced = Traced()
    task = asyncio.create_task(traced.caller.call(CALL))
    async with asyncio.timeout(5):
        while not traced.requests:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert traced.recorded("error.type") == [("CancelledError",)]
