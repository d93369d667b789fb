"""The history over HTTP: against the demo's history service, and against one that fails."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fault_server import Fault, FaultServer, reply

from encola.adapters.http import HttpJobHistory, HttpServiceCaller, build_transport
from encola.adapters.memory.circuit_board import InMemoryCircuitBoard
from encola.adapters.memory.ids import SeededIds
from encola.adapters.memory.metrics import InMemoryMetrics
from encola.adapters.memory.service_caller import ScriptedServiceCaller
from encola.adapters.telemetry import ChildIds
from encola.application.ports import JobHistory
from encola.domain.context import ExecutionContext, JobId, TenantId
from encola.domain.errors import StoreUnavailable
from encola.domain.event import JobEvent, announce
from encola.domain.job import Job, Progress
from encola.domain.json_value import JSON
from encola.domain.service import ServiceCall
from encola.entrypoints.demo.database import DemoDatabase
from encola.entrypoints.demo.history import JobLog, build_history_app
from encola.testing.contracts import JobHistoryContract

NOW = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)
ACME = TenantId("acme")
TAKEN = {"success": True, "data": None, "error": None}


def life_of(job_id: str, tenant: TenantId = ACME, steps: int = 1) -> list[JobEvent]:
    """Return the events of a job that completes after some progress."""
    second = timedelta(seconds=1)
    job = Job(
        id=JobId(job_id),
        context=ExecutionContext(tenant_id=tenant),
        type="query",
        queue="query_tasks",
        params={"secret": "hunter2"},
        epoch="k3x9",
        created_at=NOW,
        updated_at=NOW,
        fingerprint="f",
        request_digest="d",
    )
    life = [job, job.claimed(NOW + second, 30 * second)]
    for step in range(steps):
        life.append(life[-1].progressed(Progress(current=step, total=steps, message="ñ"), NOW, 30 * second))
    life.append(life[-1].completed({"answer": "sí", "score": 1.5, "big": 2**53 - 1, "none": None}, NOW))
    return [announce(job) for job in life]


@pytest.fixture
async def wire() -> AsyncIterator[httpx.AsyncBaseTransport]:
    async with build_transport() as transport:
        yield transport


def history_at(url: str, wire: httpx.AsyncBaseTransport) -> HttpJobHistory:
    caller = HttpServiceCaller(
        {"history": url},
        wire,
        chance=lambda: 0.0,
        metrics=InMemoryMetrics(),
        board=InMemoryCircuitBoard(),
        telemetry=ChildIds(SeededIds().random_hex),
    )
    return HttpJobHistory(caller)


@pytest.fixture
async def demo_history(tmp_path: Path) -> AsyncIterator[HttpJobHistory]:
    database = DemoDatabase(tmp_path / "demo.db")
    yield history_at("http://history.internal", httpx.ASGITransport(build_history_app(JobLog(database))))
    database.close()


@pytest.fixture
def history(demo_history: HttpJobHistory) -> HttpJobHistory:
    return demo_history


class TestHttpJobHistory(JobHistoryContract):
    """Forgetting is left to the service."""

    @pytest.fixture
    def history(self, demo_history: HttpJobHistory) -> JobHistory:
        return demo_history

    async def test_only_what_is_older_is_forgotten(self, history: JobHistory) -> None:
        await self._keeps_everything(history)

    async def test_forgetting_stops_at_the_limit(self, history: JobHistory) -> None:
        await self._keeps_everything(history)

    async def _keeps_everything(self, history: JobHistory) -> None:
        life = life_of("j-1")
        await history.record(life)

        assert await history.forget(NOW + timedelta(days=1), limit=10) == 0
        assert await history.events(ACME, JobId("j-1")) == life


async def test_what_was_recorded_is_read_back_byte_for_byte(history: HttpJobHistory) -> None:
    life = life_of("j-1")
    await history.record(life)

    assert await history.events(ACME, JobId("j-1")) == life


async def test_an_event_that_is_recorded_twice_is_kept_once(history: HttpJobHistory) -> None:
    life = life_of("j-1")
    await history.record(life[:2])
    await history.record(life)

    assert await history.events(ACME, JobId("j-1")) == life


async def test_a_long_life_is_read_page_by_page(history: HttpJobHistory) -> None:
    life = life_of("j-1", steps=210)
    await history.record(life)

    assert await history.events(ACME, JobId("j-1")) == life


async def test_an_unknown_or_foreign_job_has_no_events(history: HttpJobHistory) -> None:
    await history.record(life_of("j-1"))

    assert await history.events(ACME, JobId("j-2")) == []
    assert await history.events(TenantId("globex"), JobId("j-1")) == []


async def test_the_messages_are_those_of_the_contract(wire: httpx.AsyncBaseTransport) -> None:
    life = life_of("j-1", steps=0)
    async with FaultServer(reply(200, TAKEN)) as server:
        await history_at(server.url, wire).record(life)
        requests = server.requests
    first, *_, last = [json.loads(request.body) for request in requests]

    assert [request.target for request in requests] == [
        "/internal/jobs/register",
        "/internal/jobs/update",
        "/internal/jobs/update",
    ]
    assert {**first, "event": None} == {
        "job_id": "j-1",
        "job_type": "query",
        "params": None,
        "status": "queued",
        "seq": 1,
        "attempt": 0,
        "epoch": "k3x9",
        "event": None,
    }
    assert {**last, "event": None} == {
        "job_id": "j-1",
        "status": "completed",
        "result": life[-1].result,
        "error": None,
        "updated_at": life[-1].ts,
        "seq": 3,
        "attempt": 1,
        "epoch": "k3x9",
        "event": None,
    }
    assert last["event"] == life[-1].payload
    assert [request.headers["idempotency-key"] for request in requests] == [
        "j-1:k3x9:1",
        "j-1:k3x9:2",
        "j-1:k3x9:3",
    ]
    assert {request.headers["x-tenant-id"] for request in requests} == {"acme"}
    assert not any(b"hunter2" in request.body for request in requests)


async def test_events_of_one_job_are_told_in_order_whatever_the_others_do(
    wire: httpx.AsyncBaseTransport,
) -> None:
    lives = [life_of(f"j-{number}", steps=3) for number in range(20)]
    mixed = [event for step in zip(*lives, strict=True) for event in step]
    async with FaultServer(reply(200, TAKEN)) as server:
        await history_at(server.url, wire).record(mixed)
        told = [json.loads(request.body) for request in server.requests]

    for life in lives:
        assert [body["seq"] for body in told if body["job_id"] == life[0].job_id] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("fault", [reply(403), reply(501), reply(200, {"success": False})])
async def test_an_event_that_is_not_taken_stops_that_job_and_says_so(
    wire: httpx.AsyncBaseTransport, fault: Fault
) -> None:
    async with FaultServer(reply(200, TAKEN), fault) as server:
        with pytest.raises(StoreUnavailable):
            await history_at(server.url, wire).record(life_of("j-1"))
        told = [json.loads(request.body)["seq"] for request in server.requests]

    assert told == [1, 2]


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_an_event_that_is_refused_for_good_does_not_hold_up_those_after_it(
    wire: httpx.AsyncBaseTransport, status: int
) -> None:
    async with FaultServer(reply(200, TAKEN), reply(status), reply(200, TAKEN)) as server:
        await history_at(server.url, wire).record(life_of("j-1"))
        told = [json.loads(request.body)["seq"] for request in server.requests]

    assert told == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"events": None},
        {"events": [{"seq": 1}]},
        {"events": [{"seq": 0}]},
        {"events": [1]},
        {"events": [{**life_of("j-1")[0].payload, "status": "lost"}]},
        {"events": [event.payload for event in reversed(life_of("j-1"))]},
        {"events": [life_of("j-1")[0].payload] * 100},
    ],
)
async def test_an_answer_that_is_no_events_is_an_error(wire: httpx.AsyncBaseTransport, data: Any) -> None:
    async with FaultServer(reply(200, {"success": True, "data": data})) as server:
        with pytest.raises(StoreUnavailable):
            await history_at(server.url, wire).events(ACME, JobId("j-1"))


async def test_a_service_that_is_down_is_an_error_and_not_an_empty_past(
    wire: httpx.AsyncBaseTransport,
) -> None:
    async with FaultServer(reply(501)) as server:
        with pytest.raises(StoreUnavailable):
            await history_at(server.url, wire).events(ACME, JobId("j-1"))


async def test_nothing_to_record_is_nothing_sent(wire: httpx.AsyncBaseTransport) -> None:
    async with FaultServer(reply(200, TAKEN)) as server:
        await history_at(server.url, wire).record([])

    assert server.connections == 0


async def test_the_failure_of_one_life_cuts_no_other_short() -> None:
    """The one that is not turned away finds out whether the service is back."""
    failing, slow = life_of("j-1", steps=1)[0], life_of("j-2", steps=1)[0]
    told: list[str] = []

    async def answer(call: ServiceCall) -> JSON:
        job_id = call.data["job_id"]  # type: ignore[index,call-overload]
        if job_id == failing.job_id:
            raise OSError
        await asyncio.sleep(0.05)
        told.append(job_id)
        return {}

    history = HttpJobHistory(ScriptedServiceCaller({("history", "/internal/jobs/register"): answer}))
    with pytest.raises(StoreUnavailable):
        await history.record([failing, slow])

    assert told == [slow.job_id]
