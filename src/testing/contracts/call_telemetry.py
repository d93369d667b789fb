"""What everything that traces calls promises."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from encola.application.ports import CallTelemetry
from encola.domain.context import ExecutionContext
from encola.domain.policy import policy_for
from encola.domain.service import ServiceCall
from encola.domain.trace import readable_traceparent
from encola.testing.builders import ACME

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
URL = "http://query.test:9000/internal/query?q=leases"
CALL = ServiceCall(
    service="query",
    path="/internal/query",
    operation=policy_for("rag_query"),
    context=ExecutionContext(
        tenant_id=ACME,
        traceparent=f"00-{TRACE}-{SPAN}-01",
        tracestate="rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        request_id="r-1",
    ),
)
UNTRACED = replace(CALL, context=ExecutionContext(tenant_id=ACME))


def attempts_of(telemetry: CallTelemetry, call: ServiceCall, most: int = 3, **told: Any) -> list[str]:
    """Make attempts one after the other and return their ``traceparent``."""
    trace = telemetry.begin(call, URL)
    sent = []
    for number in range(1, most + 1):
        with trace.attempt(number) as attempt:
            sent.append(attempt.headers["traceparent"])
            for name, value in told.items():
                setattr(attempt, name, value)
    return sent


class CallTelemetryContract:
    """The promise of :class:`~encola.application.ports.CallTelemetry`. Subclass it and give ``telemetry``.

    What is recorded is each adapter's own affair; what is sent along is held to this.
    """

    @pytest.fixture
    def telemetry(self) -> CallTelemetry:
        """Return what traces calls, and records what it traces if it records at all."""
        raise NotImplementedError("return what traces calls")

    def test_every_attempt_is_a_span_of_its_own_in_the_trace_of_the_context(
        self, telemetry: CallTelemetry
    ) -> None:
        sent = attempts_of(telemetry, CALL)

        assert [text[:36] for text in sent] == [f"00-{TRACE}-"] * 3
        assert len({text[36:52] for text in sent} | {SPAN}) == 4
        assert all(readable_traceparent(text) for text in sent)

    def test_a_call_without_a_trace_begins_one_for_all_its_attempts(self, telemetry: CallTelemetry) -> None:
        sent = attempts_of(telemetry, UNTRACED)

        assert len({text[:36] for text in sent}) == 1
        assert len({text[36:52] for text in sent}) == 3
        assert all(readable_traceparent(text) for text in sent)

    def test_two_calls_without_a_trace_are_two_traces(self, telemetry: CallTelemetry) -> None:
        one, other = (attempts_of(telemetry, UNTRACED)[0][3:35] for _ in range(2))

        assert one != other

    @pytest.mark.parametrize("call", [CALL, UNTRACED])
    def test_the_trace_is_known_by_the_id_that_is_sent(
        self, telemetry: CallTelemetry, call: ServiceCall
    ) -> None:
        trace = telemetry.begin(call, URL)
        with trace.attempt(1) as attempt:
            assert trace.trace_id == attempt.headers["traceparent"][3:35]
        with trace.attempt(2) as attempt:
            assert trace.trace_id == attempt.headers["traceparent"][3:35]

    def test_the_trace_of_the_context_is_known_before_anything_is_sent(
        self, telemetry: CallTelemetry
    ) -> None:
        assert telemetry.begin(CALL, URL).trace_id == TRACE

    def test_the_state_of_the_trace_goes_along(self, telemetry: CallTelemetry) -> None:
        with telemetry.begin(CALL, URL).attempt(1) as attempt:
            assert attempt.headers["tracestate"] == CALL.context.tracestate
        with telemetry.begin(UNTRACED, URL).attempt(1) as attempt:
            assert "tracestate" not in attempt.headers

    def test_a_trace_that_is_not_sampled_stays_so(self, telemetry: CallTelemetry) -> None:
        context = replace(CALL.context, traceparent=f"00-{TRACE}-{SPAN}-00")
        for text in attempts_of(telemetry, replace(CALL, context=context)):
            assert (text[3:35], text[53:]) == (TRACE, "00")
            assert text[36:52] != SPAN

    def test_nothing_but_the_trace_is_sent(self, telemetry: CallTelemetry) -> None:
        with telemetry.begin(CALL, URL).attempt(1) as attempt:
            assert set(attempt.headers) == {"traceparent", "tracestate"}

    @pytest.mark.parametrize("error", [ValueError("x"), asyncio.CancelledError(), TimeoutError()])
    def test_an_exception_passes_through_as_it_is(
        self, telemetry: CallTelemetry, error: BaseException
    ) -> None:
        with pytest.raises(type(error)) as raised, telemetry.begin(CALL, URL).attempt(1):
            raise error

        assert raised.value is error

    @pytest.mark.parametrize(
        "told", [{}, {"status": 200}, {"status": 503}, {"error_type": "attempt_timeout"}]
    )
    def test_whatever_is_told_nobody_fails(self, telemetry: CallTelemetry, told: dict[str, Any]) -> None:
        assert len(attempts_of(telemetry, CALL, **told)) == 3

    async def test_calls_side_by_side_do_not_mix(self, telemetry: CallTelemetry) -> None:
        async def attempt(trace_id: str) -> tuple[str, str]:
            context = replace(CALL.context, traceparent=f"00-{trace_id}-{SPAN}-01")
            trace = telemetry.begin(replace(CALL, context=context), URL)
            with trace.attempt(1) as first:
                await asyncio.sleep(0)
                with trace.attempt(2) as second:
                    await asyncio.sleep(0)
            return first.headers["traceparent"], second.headers["traceparent"]

        traces = [f"{number:032x}" for number in range(1, 51)]
        sent = await asyncio.gather(*map(attempt, traces))

        assert [(first[3:35], second[3:35]) for first, second in sent] == [(name, name) for name in traces]
        assert len({text[36:52] for pair in sent for text in pair}) == 100
