"""The guard in its place: before every attempt of the caller."""

import asyncio
from typing import Any

import httpx
import pytest

from encola.adapters.http.service_caller import HttpServiceCaller
from encola.adapters.memory.circuit_board import InMemoryCircuitBoard
from encola.adapters.memory.ids import SeededIds
from encola.adapters.memory.metrics import InMemoryMetrics
from encola.adapters.telemetry import ChildIds
from encola.domain.context import ExecutionContext, TenantId
from encola.domain.policy import OperationPolicy, Repeat
from encola.domain.service import ServiceCall, ServiceResult

ONCE = OperationPolicy(name="once", timeout=5.0, repeat=Repeat.SAFE, attempts=1)
THRICE = OperationPolicy(name="thrice", timeout=5.0, repeat=Repeat.SAFE)


class Service:
    """Answers as it is told, and counts the requests under each status."""

    def __init__(self) -> None:
        self.status = 200
        self.requests = 0
        self.hangs = False

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        if self.hangs:
            await asyncio.Event().wait()
        return httpx.Response(self.status, json={})


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def caller(service: Service) -> HttpServiceCaller:
    return HttpServiceCaller(
        {"query": "http://query.test", "other": "http://other.test"},
        httpx.MockTransport(service),
        chance=lambda: 0.0,
        metrics=InMemoryMetrics(),
        board=InMemoryCircuitBoard(),
        telemetry=ChildIds(SeededIds().random_hex),
    )


def a_call(policy: OperationPolicy = ONCE, *, tenant: str = "acme", **changes: Any) -> ServiceCall:
    fields: dict[str, Any] = {
        "service": "query",
        "path": "/",
        "operation": policy,
        "context": ExecutionContext(tenant_id=TenantId(tenant)),
        "timeout": policy.timeout,
        "attempts": policy.attempts,
    }
    return ServiceCall(**{**fields, **changes})


def code(result: ServiceResult) -> str | None:
    return result.error.code if result.error else None


async def test_a_service_that_fails_all_the_time_is_left_alone(
    caller: HttpServiceCaller, service: Service
) -> None:
    service.status = 500
    results = [await caller.call(a_call()) for _ in range(8)]

    assert [code(result) for result in results] == ["upstream_error"] * 5 + ["circuit_open"] * 3
    assert service.requests == 5
    refused = results[-1]
    assert refused.error is not None
    assert refused.error.retryable
    assert refused.error.retry_after is not None
    assert 0 < refused.error.retry_after <= 6
    assert (refused.meta.attempts, refused.meta.source) == (0, "local")


async def test_another_service_is_called_all_the_same(caller: HttpServiceCaller, service: Service) -> None:
    service.status = 500
    for _ in range(6):
        await caller.call(a_call())
    service.status = 200

    assert (await caller.call(a_call(service="other"))).success


async def test_who_answers_that_the_caller_is_wrong_is_not_left_alone(
    caller: HttpServiceCaller, service: Service
) -> None:
    service.status = 404
    results = [await caller.call(a_call()) for _ in range(30)]

    assert {code(result) for result in results} == {"not_found"}


async def test_repeating_stops_when_the_circuit_opens(caller: HttpServiceCaller, service: Service) -> None:
    service.status = 503
    for _ in range(4):
        await caller.call(a_call())

    result = await caller.call(a_call(THRICE))

    assert result.error is not None
    assert (result.error.code, result.error.retry_stopped_by) == ("upstream_unavailable", "circuit")
    assert (result.meta.attempts, service.requests) == (1, 5)


async def test_callers_together_repeat_no_more_than_the_budget_allows(
    caller: HttpServiceCaller, service: Service
) -> None:
    service.status = 429  # which the breaker takes for nothing
    results = await asyncio.gather(*(caller.call(a_call(THRICE)) for _ in range(40)))

    stopped = [result.error.retry_stopped_by for result in results if result.error]
    assert 40 + 10 <= service.requests <= 40 + 12
    assert stopped.count("budget") >= 28


async def test_too_many_calls_know_it_at_once_and_another_tenant_is_the_next(
    caller: HttpServiceCaller, service: Service
) -> None:
    service.hangs = True
    under_way = [asyncio.create_task(caller.call(a_call())) for _ in range(160)]
    too_many = await asyncio.gather(*under_way[150:])
    service.hangs = False
    other_tenant = asyncio.create_task(caller.call(a_call(tenant="globex")))
    await asyncio.sleep(0)
    under_way[0].cancel()

    assert (await other_tenant).success
    assert {code(result) for result in too_many} == {"bulkhead_full"}
    assert {result.meta.attempts for result in too_many} == {0}

    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)
    assert (await caller.call(a_call())).success


async def test_callers_that_leave_are_cancelled_and_say_nothing_of_the_service(
    caller: HttpServiceCaller, service: Service
) -> None:
    service.hangs = True
    under_way = [asyncio.create_task(caller.call(a_call())) for _ in range(60)]
    async with asyncio.timeout(10):
        while service.requests < 60:  # noqa: ASYNC110 - the service is a plain function
            await asyncio.sleep(0)
    for task in under_way:
        task.cancel()
    await asyncio.wait(under_way)
    service.hangs = False

    assert all(task.cancelled() for task in under_way)
    assert (await caller.call(a_call())).success


async def test_who_waits_for_a_place_waits_no_longer_than_its_time(
    caller: HttpServiceCaller, service: Service
) -> None:
    service.hangs = True
    under_way = [asyncio.create_task(caller.call(a_call())) for _ in range(100)]
    await asyncio.sleep(0)
    result = await caller.call(a_call(timeout=0.02))

    assert (code(result), result.meta.attempts) == ("bulkhead_full", 0)
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)
