"""What each answer means; the network's own faults are in the integration tests."""

import asyncio
import json
import ssl
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from encola.adapters.http.service_caller import HttpServiceCaller
from encola.adapters.memory.circuit_board import InMemoryCircuitBoard
from encola.adapters.memory.ids import SeededIds
from encola.adapters.memory.metrics import InMemoryMetrics
from encola.adapters.telemetry import ChildIds
from encola.application.ports import ServiceCaller
from encola.domain.context import ExecutionContext, TenantId
from encola.domain.errors import InvalidInput, NotJson, UnknownService
from encola.domain.policy import OPERATIONS, OperationPolicy, Repeat
from encola.domain.service import ServiceCall, ServiceResult
from encola.domain.trace import readable_traceparent
from encola.testing.contracts import ServiceCallerContract

Answering = Callable[[httpx.Request], httpx.Response]
SAFE = OperationPolicy(name="reading", timeout=5.0, repeat=Repeat.SAFE)
NEVER = OperationPolicy(name="acting", timeout=5.0, repeat=Repeat.NEVER)


async def answer(answering: Answering, policy: OperationPolicy = SAFE, **changes: Any) -> ServiceResult:
    fields: dict[str, Any] = {
        "service": "query",
        "path": "/internal/query",
        "operation": policy,
        "context": ExecutionContext(tenant_id=TenantId("acme")),
        "timeout": policy.timeout,
        "attempts": 2,
    }
    caller = HttpServiceCaller(
        {"query": "http://query.internal/base"},
        httpx.MockTransport(answering),
        chance=lambda: 0.0,
        metrics=InMemoryMetrics(),
        board=InMemoryCircuitBoard(),
        telemetry=ChildIds(SeededIds().random_hex),
    )
    return await caller.call(ServiceCall(**{**fields, **changes}))


def always(status: int, **content: Any) -> Answering:
    return lambda request: httpx.Response(status, **content)


async def library(request: httpx.Request) -> httpx.Response:
    """Play the two services of the contract."""
    if request.url.host == "ruin.test":
        raise httpx.ConnectError("refused")
    if request.url.path == "/v1/hanging":
        await asyncio.Event().wait()
    if request.url.path == "/v1/echo":
        return httpx.Response(200, content=await request.aread())
    return httpx.Response(500 if request.url.path == "/v1/failing" else 404)


class TestHttpServiceCaller(ServiceCallerContract):
    @pytest.fixture
    def caller(self) -> ServiceCaller:
        services = {"library": "http://library.test/v1", "ruin": "http://ruin.test"}
        transport = httpx.MockTransport(library)
        return HttpServiceCaller(
            services,
            transport,
            chance=lambda: 0.0,
            metrics=InMemoryMetrics(),
            board=InMemoryCircuitBoard(),
            telemetry=ChildIds(SeededIds().random_hex),
        )


@pytest.mark.parametrize(
    ("status", "code", "attempts", "retryable"),
    [
        (400, "bad_request", 1, False),
        (401, "unauthorized", 1, False),
        (402, "bad_request", 1, False),
        (403, "forbidden", 1, False),
        (404, "not_found", 1, False),
        (408, "bad_request", 2, True),
        (409, "conflict", 1, False),
        (410, "gone", 1, False),
        (413, "payload_too_large", 1, False),
        (418, "bad_request", 1, False),
        (422, "unprocessable", 1, False),
        (425, "bad_request", 2, True),
        (429, "rate_limited", 2, True),
        (500, "upstream_error", 2, True),
        (501, "upstream_error", 1, False),
        (502, "upstream_unavailable", 2, True),
        (503, "upstream_unavailable", 2, True),
        (504, "upstream_unavailable", 2, True),
        (505, "upstream_error", 1, False),
        (599, "upstream_error", 2, True),
    ],
)
async def test_each_status_has_one_code(status: int, code: str, attempts: int, retryable: bool) -> None:
    result = await answer(always(status))

    assert result.error is not None
    assert (result.error.code, result.error.status) == (code, status)
    assert (result.meta.attempts, result.error.retryable) == (attempts, retryable)
    assert result.error.retry_stopped_by == ("attempts" if attempts == 2 else None)
    assert result.error.message == f"The service 'query' answered {status}."


@pytest.mark.parametrize(
    ("error", "code", "attempts_if_safe", "attempts_if_not"),
    [
        (httpx.ConnectError("refused"), "upstream_unavailable", 2, 2),
        (httpx.ConnectTimeout("slow"), "upstream_unavailable", 2, 2),
        (httpx.ReadError("reset"), "upstream_unavailable", 2, 1),
        (httpx.WriteError("reset"), "upstream_unavailable", 2, 1),
        (httpx.CloseError("closed"), "upstream_unavailable", 2, 1),
        (
            httpx.RemoteProtocolError("Server disconnected without sending a response."),
            "upstream_unavailable",
            2,
            1,
        ),
        (httpx.RemoteProtocolError("illegal status line"), "invalid_response", 1, 1),
        (httpx.DecodingError("nonsense"), "upstream_unavailable", 2, 1),
    ],
)
async def test_each_fault_of_the_transport_has_one_code(
    error: httpx.HTTPError, code: str, attempts_if_safe: int, attempts_if_not: int
) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    safe, unsafe = await answer(fail), await answer(fail, NEVER)

    assert safe.error is not None
    assert unsafe.error is not None
    assert (safe.error.code, unsafe.error.code) == (code, code)
    assert (safe.meta.attempts, unsafe.meta.attempts) == (attempts_if_safe, attempts_if_not)


@pytest.mark.parametrize(
    ("content", "data"),
    [
        ({"json": {"success": True, "data": [1]}}, [1]),
        ({"json": {"success": True}}, None),
        ({"json": {"success": True, "data": False, "error": None}}, False),
        ({"json": {"status": "ok"}}, {"status": "ok"}),
        ({"json": {"success": "yes"}}, {"success": "yes"}),
        ({"json": [0]}, [0]),
        ({"json": 0}, 0),
        ({"content": b"null"}, None),
        ({"content": b""}, None),
        ({"content": '{"a":"ñ"}'.encode()}, {"a": "ñ"}),
    ],
)
async def test_an_envelope_is_opened_and_other_json_is_the_data(content: Any, data: object) -> None:
    result = await answer(always(200, **content))

    assert result.success
    assert result.data == data


async def test_no_content_is_success() -> None:
    result = await answer(always(204))

    assert (result.success, result.data) == (True, None)


@pytest.mark.parametrize(
    ("error", "message", "retryable", "details"),
    [
        (
            {"code": "gone_fishing", "message": "later", "retryable": True},
            "later",
            True,
            {"code": "gone_fishing"},
        ),
        ({"message": "no", "details": {"field": "q"}}, "no", False, {"field": "q"}),
        ("plain words", "plain words", False, {}),
        (None, "The service 'query' reported a failure.", False, {}),
        (17, "The service 'query' reported a failure.", False, {}),
        ({"message": 17, "code": "not a code!"}, "The service 'query' reported a failure.", False, {}),
    ],
)
async def test_a_failure_in_the_envelope_keeps_the_words_of_the_service(
    error: object, message: str, retryable: bool, details: object
) -> None:
    result = await answer(always(200, json={"success": False, "data": None, "error": error}))

    assert result.error is not None
    assert (result.success, result.error.code, result.error.status) == (False, "upstream_error", 200)
    assert (result.error.message, result.error.retryable) == (message, retryable)
    assert result.error.details == details


@pytest.mark.parametrize("body", [{"detail": "not here"}, {"message": "not here"}, {"error": "not here"}])
async def test_the_words_of_other_error_bodies_are_kept_too(body: object) -> None:
    result = await answer(always(404, json=body))

    assert result.error is not None
    assert result.error.message == "not here"


async def test_a_certificate_that_is_not_trusted_is_not_tried_again() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("certificate") from ssl.SSLCertVerificationError()

    result = await answer(fail)

    assert result.error is not None
    assert (result.meta.attempts, result.error.retryable) == (1, False)


async def test_the_data_of_a_get_is_its_query() -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=[str(request.url), request.content.decode()])

    data = {"q": "a b&c", "limit": 5, "since": None, "all": True}
    result = await answer(echo, method="GET", path="/jobs?x=1", data=data)

    assert result.data == ["http://query.internal/base/jobs?x=1&q=a+b%26c&limit=5&all=true", ""]


async def test_a_call_without_data_has_no_body() -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=[request.content.decode(), request.headers.get("content-type")])

    assert (await answer(echo, data=None)).data == ["", None]
    assert (await answer(echo, data={})).data == ["{}", "application/json"]
    assert (await answer(echo, data={}, method="GET")).data == ["", None]


async def test_a_trace_that_is_none_is_not_passed_on() -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=request.headers.get("traceparent"))

    context = ExecutionContext(tenant_id=TenantId("acme"), traceparent="00-x\r\nX-Tenant-ID: other")
    result = await answer(echo, context=context)

    assert readable_traceparent(str(result.data)) == result.data


async def test_only_an_operation_that_needs_a_key_gets_one_unasked() -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json="idempotency-key" in request.headers)

    assert (await answer(echo, OPERATIONS["queue_job_create"])).data is True
    assert (await answer(echo, OPERATIONS["rag_query"])).data is False
    assert (await answer(echo, NEVER)).data is False


async def test_lines_are_split_wherever_the_pieces_end() -> None:
    stream = b'\n{"output":"a"}\n{"output":"\xc3\xb1"}\r\n{"other":1}\n\n{"success":true,"data":1}'
    for size in range(1, len(stream)):
        heard: list[str] = []

        async def pieces(size: int = size) -> Any:
            for start in range(0, len(stream), size):
                yield stream[start : start + size]

        headers = {"content-type": "application/x-ndjson; charset=utf-8"}
        result = await answer(always(200, content=pieces(), headers=headers), on_output=heard.append)

        assert (heard, result.data) == (["a", "ñ"], 1)


async def test_an_error_of_the_listener_reaches_the_caller() -> None:
    def refuse(text: str) -> None:
        raise TimeoutError(text)

    stream = json.dumps({"output": "a"}).encode()
    headers = {"content-type": "application/x-ndjson"}

    with pytest.raises(TimeoutError, match="a"):
        await answer(always(200, content=stream, headers=headers), on_output=refuse)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"service": "payments"}, UnknownService),
        ({"path": "/../x"}, UnknownService),
        ({"data": float("nan")}, NotJson),
        ({"data": {"when": object()}}, NotJson),
        ({"data": "\ud800"}, NotJson),
        ({"method": "BREW"}, InvalidInput),
        ({"method": "GET", "data": [1]}, InvalidInput),
        ({"idempotency_key": "a\r\nb"}, InvalidInput),
        ({"idempotency_key": ""}, InvalidInput),
    ],
)
async def test_misuse_is_raised_and_nothing_is_sent(changes: Any, error: type[Exception]) -> None:
    def unexpected(request: httpx.Request) -> httpx.Response:
        raise AssertionError("something was sent")

    with pytest.raises(error):
        await answer(unexpected, **changes)
