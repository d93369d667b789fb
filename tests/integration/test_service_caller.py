"""The service caller against a server that misbehaves on a real socket."""

import asyncio
import gzip
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, get_args

import httpx
import pytest
from fault_server import (
    Fault,
    FaultServer,
    close_after_request,
    delayed,
    dripping,
    endless_body,
    endless_headers,
    hang,
    raw,
    raw_reply,
    reply,
    reset_after_request,
    reset_before_request,
    reset_within_response,
    streaming,
)

from encola.adapters.http.answers import MAX_BYTES
from encola.adapters.http.service_caller import HttpServiceCaller
from encola.adapters.http.transport import HttpTransport, build_transport
from encola.adapters.memory.circuit_board import InMemoryCircuitBoard
from encola.adapters.memory.ids import SeededIds
from encola.adapters.memory.metrics import InMemoryMetrics
from encola.adapters.telemetry import ChildIds
from encola.domain.context import ExecutionContext, TenantId
from encola.domain.policy import OperationPolicy, Repeat
from encola.domain.service import ServiceCall, ServiceResult

SLACK = 1.0
FINE = {"success": True, "data": {"answer": 42}, "error": None}


@pytest.fixture(params=get_args(HttpTransport))
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncBaseTransport]:
    async with build_transport(request.param) as transport:
        yield transport


@pytest.fixture
def metrics() -> InMemoryMetrics:
    return InMemoryMetrics()


@pytest.fixture
def caller_to(
    transport: httpx.AsyncBaseTransport, metrics: InMemoryMetrics
) -> Callable[[str], HttpServiceCaller]:
    def build(url: str) -> HttpServiceCaller:
        return HttpServiceCaller(
            {"query": url},
            transport,
            chance=lambda: 0.5,
            metrics=metrics,
            board=InMemoryCircuitBoard(),
            telemetry=ChildIds(SeededIds().random_hex),
        )

    return build


def a_call(repeat: Repeat = Repeat.SAFE, **changes: Any) -> ServiceCall:
    timeout = changes.get("timeout", 2.0)
    call = ServiceCall(
        service="query",
        path="/internal/query",
        operation=OperationPolicy(name="rag_query", timeout=timeout, repeat=repeat),
        context=ExecutionContext(tenant_id=TenantId("acme"), agent_id="a-1"),
        data={"query": "¿qué?"},
        timeout=timeout,
        attempts=3,
    )
    return replace(call, **changes)


async def timed(caller: HttpServiceCaller, call: ServiceCall) -> tuple[ServiceResult, float]:
    loop = asyncio.get_running_loop()
    started = loop.time()
    result = await caller.call(call)
    return result, loop.time() - started


async def test_the_data_of_an_envelope_comes_back(caller_to: Callable[[str], HttpServiceCaller]) -> None:
    async with FaultServer(reply(200, FINE)) as server:
        result = await caller_to(server.url).call(a_call())

    assert result.success
    assert result.data == {"answer": 42}
    assert (result.meta.service, result.meta.operation, result.meta.attempts) == ("query", "rag_query", 1)


async def test_context_and_deadline_travel_in_headers(caller_to: Callable[[str], HttpServiceCaller]) -> None:
    context = ExecutionContext(
        tenant_id=TenantId("acme"),
        agent_id="a-1",
        conversation_id="c-1",
        collection_id="docs",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        tracestate="x=1",
        baggage="plan=a",
        request_id="r-1",
    )
    async with FaultServer(reply(503), reply(200, FINE)) as server:
        await caller_to(server.url).call(a_call(context=context))
        first, second = (request.headers for request in server.requests)

    sent = [first[f"x-{name}-id"] for name in ("tenant", "agent", "conversation", "collection")]
    assert sent == ["acme", "a-1", "c-1", "docs"]
    spans = [sent["traceparent"].split("-") for sent in (first, second)]
    assert [span[1] for span in spans] == ["0af7651916cd43dd8448eb211c80319c"] * 2
    assert len({span[2] for span in spans} | {"b7ad6b7169203331"}) == 3
    assert [first[name] for name in ("tracestate", "baggage", "x-request-id")] == ["x=1", "plan=a", "r-1"]
    assert first["x-operation"] == "rag_query"
    assert (first["x-attempt"], second["x-attempt"]) == ("1", "2")
    assert int(second["x-request-timeout-ms"]) < int(first["x-request-timeout-ms"]) <= 2000


async def test_the_body_is_sent_as_utf_8_json(caller_to: Callable[[str], HttpServiceCaller]) -> None:
    async with FaultServer(reply(200, FINE)) as server:
        await caller_to(server.url).call(a_call())
        request = server.requests[0]

    assert json.loads(request.body) == {"query": "¿qué?"}
    assert request.headers["content-type"] == "application/json"


async def test_two_failures_then_success_is_success(
    caller_to: Callable[[str], HttpServiceCaller], metrics: InMemoryMetrics
) -> None:
    async with FaultServer(reply(503), reply(503), reply(200, FINE)) as server:
        result = await caller_to(server.url).call(a_call())

    assert result.success
    assert result.meta.attempts == 3
    assert (
        metrics.counted(
            "encola_service_call_retries_total",
            service="query",
            operation="rag_query",
            reason="upstream_unavailable",
        )
        == 2
    )


@pytest.mark.parametrize(
    "fault",
    [
        hang,
        endless_headers,
        dripping(b"[" + b"1," * 500 + b"1]", every=0.05),
        delayed(5.0, reply(200, FINE)),
        reply(503, None, retry_after="1"),
    ],
    ids=["hang", "endless headers", "drip", "delay", "retry later"],
)
async def test_the_deadline_covers_everything(
    caller_to: Callable[[str], HttpServiceCaller], fault: Fault
) -> None:
    async with FaultServer(fault) as server:
        result, elapsed = await timed(caller_to(server.url), a_call(timeout=0.6))

    assert not result.success
    assert elapsed < 0.6 + SLACK
    assert result.error is not None
    assert result.error.retry_stopped_by == "deadline"


async def test_a_connection_that_never_comes_about_ends_with_the_deadline(
    caller_to: Callable[[str], HttpServiceCaller],
) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [await _half_open(port) for _ in range(3)]
        result, elapsed = await timed(caller_to(f"http://127.0.0.1:{port}"), a_call(timeout=0.5))
        for filler in fillers:
            filler.close()

    assert result.error is not None
    assert result.error.code == "deadline_exceeded"
    assert elapsed < 0.5 + SLACK


async def _half_open(port: int) -> socket.socket:
    filler = socket.socket()
    filler.setblocking(False)
    filler.connect_ex(("127.0.0.1", port))
    return filler


async def test_a_slow_attempt_leaves_time_for_another(
    caller_to: Callable[[str], HttpServiceCaller],
) -> None:
    async with FaultServer(hang, reply(200, FINE)) as server:
        result, elapsed = await timed(caller_to(server.url), a_call(timeout=1.0))

    assert result.success
    assert result.meta.attempts == 2
    assert 0.4 <= elapsed < 1.0 + SLACK


@pytest.mark.parametrize(
    "fault",
    [reset_before_request, reset_after_request, close_after_request, reset_within_response, hang, reply(503)],
    ids=["before", "after", "closed", "within", "hang", "503"],
)
async def test_what_may_have_been_processed_is_not_repeated_unless_that_is_safe(
    caller_to: Callable[[str], HttpServiceCaller], fault: Fault
) -> None:
    async with FaultServer(fault) as server:
        result = await caller_to(server.url).call(a_call(Repeat.NEVER, timeout=1.0))
        connections = server.connections

    assert connections == 1
    assert result.error is not None
    assert result.error.retry_stopped_by == "not_idempotent"


@pytest.mark.parametrize(
    "fault",
    [reset_before_request, reset_after_request, close_after_request, reset_within_response],
    ids=["before", "after", "closed", "within"],
)
async def test_a_keyed_call_is_repeated_under_one_key(
    caller_to: Callable[[str], HttpServiceCaller], fault: Fault
) -> None:
    async with FaultServer(fault, reset_after_request, reply(200, FINE)) as server:
        result = await caller_to(server.url).call(a_call(Repeat.KEYED))
        keys = {request.headers["idempotency-key"] for request in server.requests}

    assert result.success
    assert result.meta.attempts == 3
    assert len(keys) == 1


async def test_two_keyed_calls_have_two_keys_and_a_given_key_is_kept(
    caller_to: Callable[[str], HttpServiceCaller],
) -> None:
    async with FaultServer(reply(200, FINE)) as server:
        caller = caller_to(server.url)
        await caller.call(a_call(Repeat.KEYED))
        await caller.call(a_call(Repeat.KEYED))
        await caller.call(a_call(Repeat.KEYED, idempotency_key="job:epoch:7"))
        first, second, third = (request.headers["idempotency-key"] for request in server.requests)

    assert first != second
    assert third == "job:epoch:7"


async def test_a_refused_connection_is_tried_again_whatever_the_call(
    caller_to: Callable[[str], HttpServiceCaller],
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        caller = caller_to(f"http://127.0.0.1:{closed.getsockname()[1]}")
        result = await caller.call(a_call(Repeat.NEVER))

    assert result.error is not None
    assert result.error.code == "upstream_unavailable"
    assert result.meta.attempts == 3
    assert result.error.retry_stopped_by == "attempts"


async def test_retry_after_is_waited_for(caller_to: Callable[[str], HttpServiceCaller]) -> None:
    async with FaultServer(reply(429, None, retry_after="1"), reply(200, FINE)) as server:
        result, elapsed = await timed(caller_to(server.url), a_call(timeout=3.0))

    assert result.success
    assert elapsed >= 1.0


async def test_a_service_that_forbids_repetition_is_obeyed(
    caller_to: Callable[[str], HttpServiceCaller],
) -> None:
    told = {"success": False, "error": {"code": "broken", "message": "no use", "retryable": False}}
    async with FaultServer(reply(503, told)) as server:
        result = await caller_to(server.url).call(a_call())

    assert result.meta.attempts == 1
    assert result.error is not None
    assert (result.error.code, result.error.message, result.error.retryable) == (
        "upstream_unavailable",
        "no use",
        False,
    )
    assert result.error.details == {"code": "broken"}


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "invalid_response"),
        (raw(b"\x00\xff" * 500), "invalid_response"),
        (raw(b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 20000 + b"\r\n"), "invalid_response"),
        (raw_reply(200, b"<html>", content_type="text/html"), "invalid_response"),
        (raw_reply(200, b'{"a": NaN}'), "invalid_response"),
        (raw_reply(200, b"[" * 100_000), "invalid_response"),
        (raw_reply(200, gzip.compress(b"{}"), content_encoding="gzip"), "invalid_response"),
        (reply(302, FINE, location="http://127.0.0.1:1/"), "invalid_response"),
        (reply(304), "invalid_response"),
        (endless_body, "response_too_large"),
        (streaming({"output": "x" * 3_000_000}, *[{"output": "x" * 3_000_000}] * 3), "response_too_large"),
    ],
    ids=[
        "ssh",
        "bytes",
        "big headers",
        "html",
        "nan",
        "deep",
        "gzip",
        "redirect",
        "304",
        "endless",
        "long stream",
    ],
)
async def test_an_answer_that_breaks_the_rules_is_an_error_and_not_repeated(
    caller_to: Callable[[str], HttpServiceCaller], fault: Fault, code: str
) -> None:
    async with FaultServer(fault) as server:
        result = await caller_to(server.url).call(a_call(timeout=5.0))
        connections = server.connections

    assert result.error is not None
    assert (result.error.code, result.error.status, connections) == (code, 502, 1)


async def test_a_truncated_answer_is_repeated_when_safe(
    caller_to: Callable[[str], HttpServiceCaller],
) -> None:
    truncated = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
    async with FaultServer(truncated, reply(200, FINE)) as server:
        result = await caller_to(server.url).call(a_call())

    assert result.success
    assert result.meta.attempts == 2


async def test_an_answer_of_exactly_the_limit_is_taken(
    caller_to: Callable[[str], HttpServiceCaller],
) -> None:
    body = b'"' + b"x" * (MAX_BYTES - 2) + b'"'
    async with FaultServer(raw_reply(200, body)) as server:
        result = await caller_to(server.url).call(a_call(timeout=10.0))

    assert result.data == "x" * (MAX_BYTES - 2)


async def test_output_is_passed_on_while_the_service_still_works(
    caller_to: Callable[[str], HttpServiceCaller],
) -> None:
    loop = asyncio.get_running_loop()
    heard: list[tuple[str, float]] = []
    call = a_call(on_output=lambda text: heard.append((text, loop.time())))
    async with FaultServer(streaming({"output": "ho"}, {"output": "la"}, FINE, every=0.1)) as server:
        result = await caller_to(server.url).call(call)
        accept = server.requests[0].headers["accept"]

    assert [text for text, _ in heard] == ["ho", "la"]
    assert heard[1][1] - heard[0][1] > 0.05
    assert result.data == {"answer": 42}
    assert accept.startswith("application/x-ndjson")


async def test_once_output_was_passed_on_nothing_is_repeated(
    caller_to: Callable[[str], HttpServiceCaller],
) -> None:
    heard: list[str] = []
    failing = streaming(
        {"output": "half"}, {"success": False, "error": {"message": "later", "retryable": True}}
    )
    async with FaultServer(failing) as server:
        result = await caller_to(server.url).call(a_call(on_output=heard.append))
        connections = server.connections

    assert (heard, connections) == (["half"], 1)
    assert result.error is not None
    assert (result.error.code, result.error.retryable) == ("upstream_error", True)
    assert result.error.retry_stopped_by == "not_idempotent"


async def test_a_stream_without_an_answer_is_an_error(
    caller_to: Callable[[str], HttpServiceCaller],
) -> None:
    async with FaultServer(streaming({"output": "half"})) as server:
        result = await caller_to(server.url).call(a_call())

    assert result.error is not None
    assert result.error.code == "invalid_response"


async def test_cancelling_the_caller_closes_the_connection(
    caller_to: Callable[[str], HttpServiceCaller],
) -> None:
    async with FaultServer(hang) as server:
        task = asyncio.create_task(caller_to(server.url).call(a_call(timeout=30.0)))
        await server.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(1.0):
            await server.left.wait()
        connections = server.connections

    assert connections == 1


async def test_the_client_still_serves_after_many_cancelled_calls(
    caller_to: Callable[[str], HttpServiceCaller],
) -> None:
    async with FaultServer(delayed(0.02, reply(200, FINE))) as server:
        caller = caller_to(server.url)
        for round_ in range(10):
            tasks = [asyncio.create_task(caller.call(a_call())) for _ in range(20)]
            await asyncio.sleep(0.003 * round_)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        results = await asyncio.gather(*(caller.call(a_call(timeout=5.0)) for _ in range(30)))

    assert all(result.success for result in results)


async def test_a_cookie_of_one_tenant_is_not_sent_for_another(
    caller_to: Callable[[str], HttpServiceCaller],
) -> None:
    async with FaultServer(reply(200, FINE, set_cookie="session=acme; Path=/")) as server:
        caller = caller_to(server.url)
        await caller.call(a_call())
        await caller.call(a_call(context=ExecutionContext(tenant_id=TenantId("globex"))))
        second = server.requests[1].headers

    assert "cookie" not in second


async def test_proxies_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch, caller_to: Callable[[str], HttpServiceCaller]
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with FaultServer(reply(200, FINE)) as server:
        result = await caller_to(server.url).call(a_call())

    assert result.success


async def test_a_closed_caller_says_that_the_process_is_leaving(
    caller_to: Callable[[str], HttpServiceCaller],
) -> None:
    caller = caller_to("http://127.0.0.1:1")
    await caller.close()
    result = await caller.call(a_call())

    assert result.error is not None
    assert result.error.code == "local_shutdown"


async def test_nothing_that_was_sent_or_answered_is_logged(
    caller_to: Callable[[str], HttpServiceCaller], caplog: pytest.LogCaptureFixture
) -> None:
    secret = "hunter2"
    told = {"success": False, "error": {"message": secret}}
    with caplog.at_level(logging.DEBUG, logger="encola"):
        async with FaultServer(reply(500, told)) as server:
            call = a_call(data={"password": secret}, path=f"/internal/query?key={secret}", attempts=1)
            result = await caller_to(server.url).call(call)
    said = [record.getMessage() for record in caplog.records if record.name.startswith("encola")]

    assert not result.success
    assert said == ["call of query (rag_query) failed: upstream_error after 1 attempts"]
