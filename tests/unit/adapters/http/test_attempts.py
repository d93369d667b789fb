"""Whatever a service does, a call ends in time and is repeated only where that is safe."""

import asyncio
import selectors
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st

from encola.adapters.http.service_caller import HttpServiceCaller
from encola.adapters.memory.circuit_board import InMemoryCircuitBoard
from encola.adapters.memory.ids import SeededIds
from encola.adapters.memory.metrics import InMemoryMetrics
from encola.adapters.telemetry import ChildIds
from encola.domain.context import ExecutionContext, TenantId
from encola.domain.policy import OperationPolicy, Repeat
from encola.domain.service import ServiceCall, ServiceResult

TIMEOUT = 8.0
TICK = 0.01
NOT_SENT = ("refused", "no connection in time")
TURNED_AWAY = ("503 with Retry-After", "429 with Retry-After")
FAULTS = (*NOT_SENT, *TURNED_AWAY, "ok", "500", "503", "429", "reset", "garbage", "hang", "503, never again")


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting until the next timer, moves the clock there."""

    def __init__(self) -> None:
        super().__init__()
        self.jumped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.jumped += timeout or 0.0
        return super().select(0)


class _JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes at once, and only while everybody waits."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.jumped


def run_without_waiting(work: Coroutine[Any, Any, ServiceResult]) -> ServiceResult:
    with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
        return runner.run(work)


@dataclass
class Service(httpx.AsyncBaseTransport):
    """Meets each attempt with the next fault, after a while; the last one is repeated."""

    faults: list[tuple[str, float]]
    attempts: list[tuple[str, float, httpx.Headers]] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        fault, seconds = self.faults[min(len(self.attempts), len(self.faults) - 1)]
        self.attempts.append((fault, asyncio.get_running_loop().time(), request.headers))
        await asyncio.sleep(3_600 if fault == "hang" else seconds)
        match fault:
            case "refused":
                raise httpx.ConnectError(fault)
            case "no connection in time":
                raise httpx.ConnectTimeout(fault)
            case "reset":
                raise httpx.ReadError(fault)
            case "garbage":
                raise httpx.RemoteProtocolError(fault)
            case "503, never again":
                return httpx.Response(503, json={"success": False, "error": {"retryable": False}})
        status, _, retry_after = fault.partition(" with ")
        headers = {"Retry-After": "2"} if retry_after else {}
        return httpx.Response(200 if status == "ok" else int(status), headers=headers, json={})


schedules = st.lists(
    st.tuples(st.sampled_from(FAULTS), st.sampled_from([0.0, 0.5, 2.5, 6.0])), min_size=1, max_size=6
)


async def called(service: Service, repeat: Repeat, attempts: int, chance: float) -> ServiceResult:
    policy = OperationPolicy(name="test", timeout=TIMEOUT, repeat=repeat, attempts=attempts)
    caller = HttpServiceCaller(
        {"query": "http://query.test"},
        service,
        chance=lambda: chance,
        metrics=InMemoryMetrics(),
        board=InMemoryCircuitBoard(),
        telemetry=ChildIds(SeededIds().random_hex),
    )
    began = asyncio.get_running_loop().time()
    result = await caller.call(
        ServiceCall(
            service="query",
            path="/",
            operation=policy,
            context=ExecutionContext(tenant_id=TenantId("acme")),
            timeout=TIMEOUT,
            attempts=attempts,
        )
    )
    end = began + TIMEOUT
    assert asyncio.get_running_loop().time() <= end + TICK
    assert all(at < end for _, at, _ in service.attempts)
    return result


@given(schedules, st.sampled_from(Repeat), st.integers(1, 6), st.floats(0, 1, exclude_max=True))
def test_no_call_outlives_its_time_or_has_more_attempts_than_its_policy(
    faults: list[tuple[str, float]], repeat: Repeat, attempts: int, chance: float
) -> None:
    service = Service(faults)
    result = run_without_waiting(called(service, repeat, attempts, chance))

    assert result.meta.attempts == len(service.attempts) <= attempts
    assert result.success == (result.error is None)
    if result.success:
        assert service.attempts[-1][0] == "ok"


@given(schedules, st.integers(1, 6), st.floats(0, 1, exclude_max=True))
def test_what_is_neither_keyed_nor_harmless_is_repeated_only_when_it_was_not_begun(
    faults: list[tuple[str, float]], attempts: int, chance: float
) -> None:
    service = Service(faults)
    run_without_waiting(called(service, Repeat.NEVER, attempts, chance))

    assert {fault for fault, _, _ in service.attempts[:-1]} <= {*NOT_SENT, *TURNED_AWAY}


@given(schedules, st.sampled_from([Repeat.KEYED, Repeat.SAFE]), st.floats(0, 1, exclude_max=True))
def test_attempts_are_numbered_have_one_key_and_ever_less_time(
    faults: list[tuple[str, float]], repeat: Repeat, chance: float
) -> None:
    service = Service(faults)
    run_without_waiting(called(service, repeat, 4, chance))
    headers = [headers for _, _, headers in service.attempts]
    times = [int(sent["x-request-timeout-ms"]) for sent in headers]

    assert [sent["x-attempt"] for sent in headers] == [str(number + 1) for number in range(len(headers))]
    assert len({sent.get("idempotency-key") for sent in headers}) == 1
    assert ("idempotency-key" in headers[0]) == (repeat is Repeat.KEYED)
    assert times == sorted(times, reverse=True)


def test_two_calls_have_two_keys() -> None:
    service = Service([("ok", 0.0)])
    for _ in range(2):
        run_without_waiting(called(service, Repeat.KEYED, 1, 0.0))

    assert len({headers["idempotency-key"] for _, _, headers in service.attempts}) == 2
