"""``Encola``, as a library's user meets it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from encola import Encola, EncolaError, ExecutionContext, Job, JobContext, JobEvent, JobFailed, JobStatus
from encola.domain.context import TenantId
from encola.domain.errors import (
    IdempotencyMismatch,
    IllegalTransition,
    InvalidContext,
    InvalidInput,
    InvalidParams,
    InvalidSettings,
    JobNotFound,
    UnknownJobType,
)

T = TypeVar("T")


class Name(BaseModel):
    name: str


@pytest.fixture
async def app() -> AsyncGenerator[Encola, None]:
    app = Encola(profile="memory")

    @app.job("greet")
    async def greet(ctx: JobContext, params: dict[str, str]) -> str:
        await ctx.progress(1, 2, "thinking")
        return f"Hello, {params['name']}!"

    @app.job("hang")
    async def hang(ctx: JobContext, params: Any) -> None:
        await asyncio.Event().wait()

    @app.job("typed", queue="query_tasks", retries=3, timeout=60)
    def typed(ctx: JobContext, params: Name) -> Name:
        return params

    yield app
    await app.runtime.stop()


async def within(work: Awaitable[T]) -> T:
    async with asyncio.timeout(10):
        return await work


async def watched(app: Encola, job: Job, **options: Any) -> list[JobEvent]:
    async def listed() -> list[JobEvent]:
        return [event async for event in app.watch(job.id, **options)]

    return await within(listed())


async def test_the_example_of_the_readme(app: Encola) -> None:
    async with app:
        job = await app.submit("greet", {"name": "Ada"})
        events = await watched(app, job)

    assert [(event.seq, event.status, event.result) for event in events] == [
        (1, "queued", None),
        (2, "processing", None),
        (3, "processing", None),
        (4, "completed", "Hello, Ada!"),
    ]
    assert [event.final for event in events] == [False, False, False, True]
    assert events[2].progress == {"current": 1, "total": 2, "percent": 50, "message": "thinking"}


async def test_a_model_comes_in_and_goes_out(app: Encola) -> None:
    async with app:
        job = await app.submit("typed", {"name": "Ada"})
        events = await watched(app, job)

    assert events[-1].result == {"name": "Ada"}
    assert (job.queue, job.retry.retries, job.timeout.total_seconds()) == ("query_tasks", 3, 60)


async def test_a_job_is_watched_without_naming_its_tenant(app: Encola) -> None:
    async with app:
        job = await app.submit("greet", {"name": "Ada"}, tenant="acme")

        assert (await watched(app, job))[-1].final
        assert (await watched(app, job, tenant="acme", since=3))[0].seq == 4
        assert (await app.get(job.id)).status is JobStatus.COMPLETED
        with pytest.raises(JobNotFound):
            await watched(app, job, tenant="globex")
        with pytest.raises(JobNotFound):
            await app.get(job.id, tenant="globex")


async def test_what_is_submitted_outside_waits_until_somebody_works(app: Encola) -> None:
    job = await app.submit("greet", {"name": "Ada"})
    for _ in range(20):
        await asyncio.sleep(0)
    assert (await app.get(job.id)).status is JobStatus.QUEUED

    async with app:
        assert (await watched(app, job))[-1].result == "Hello, Ada!"


async def test_an_application_can_be_left_and_entered_again(app: Encola) -> None:
    for _ in range(2):
        async with app as entered:
            assert entered is app
            job = await app.submit("greet", {"name": "Ada"})
            assert (await watched(app, job))[-1].final
    await asyncio.sleep(0)

    assert {task.get_coro().__qualname__ for task in asyncio.all_tasks()} & {
        "Keeper.run",
        "Worker.run",
    } == set()


async def test_leaving_hands_back_what_does_not_end_in_time(tmp_path: Path) -> None:
    app = Encola(profile="embedded", data_dir=tmp_path, drain_seconds=0.01)

    @app.job("hang")
    async def hang(ctx: JobContext, params: Any) -> None:
        await asyncio.Event().wait()

    async with app:
        job = await app.submit("hang")
        async with aclosing(app.watch(job.id)) as events:
            async for event in events:
                if event.status is JobStatus.PROCESSING:
                    break

    assert (await app.get(job.id)).status is JobStatus.QUEUED
    await app.runtime.stop()


async def test_a_running_job_is_cancelled(app: Encola) -> None:
    async with app:
        job = await app.submit("hang")
        async with asyncio.timeout(10):
            async for event in app.watch(job.id):
                if event.status is JobStatus.PROCESSING:
                    await app.cancel(job.id)

    assert event.status is JobStatus.CANCELLED
    assert event.error_info == {"code": "cancelled", "retryable": False}


async def test_a_failure_says_why(app: Encola) -> None:
    @app.job("fail")
    async def fail(ctx: JobContext, params: Any) -> None:
        raise JobFailed("The paper is out.", code="no_paper")

    async with app:
        last = (await watched(app, await app.submit("fail")))[-1]

    assert (last.type, last.status, last.error) == ("job_error", "failed", "The paper is out.")
    assert last.error_info == {"code": "no_paper", "retryable": False}


async def test_a_key_names_a_request(app: Encola) -> None:
    first = await app.submit("greet", {"name": "Ada"}, idempotency_key="k")

    assert await app.submit("greet", {"name": "Ada"}, idempotency_key="k") == first
    with pytest.raises(IdempotencyMismatch):
        await app.submit("greet", {"name": "Eve"}, idempotency_key="k")


async def test_a_context_goes_with_the_job(app: Encola) -> None:
    context = ExecutionContext(tenant_id=TenantId("acme"), agent_id="a", collection_id="c")

    assert (await app.submit("greet", {"name": "Ada"}, context=context)).context == context


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ({"job_type": "guess"}, UnknownJobType),
        ({"job_type": "typed", "params": {}}, InvalidParams),
        ({"job_type": "greet", "tenant": "a b"}, InvalidContext),
        ({"job_type": "greet", "params": {1: 2}}, InvalidInput),
        ({"job_type": "greet", "run_at": datetime(2026, 1, 1)}, InvalidInput),  # noqa: DTZ001
        ({"job_type": "greet", "delay": -1}, InvalidInput),
        ({"job_type": "greet", "timeout": 0}, InvalidInput),
    ],
    ids=str,
)
async def test_a_submission_that_cannot_be_right_is_refused(
    app: Encola, call: dict[str, Any], error: type[EncolaError]
) -> None:
    with pytest.raises(error):
        await app.submit(**call)
    assert await app.use_cases.count_jobs(TenantId("default")) == []


async def test_what_is_unknown_or_over_cannot_be_changed(app: Encola) -> None:
    async with app:
        job = await app.submit("greet", {"name": "Ada"})
        await watched(app, job)
        with pytest.raises(IllegalTransition):
            await app.cancel(job.id)

    for unknown in ("", "no-id", job.id[:-6] + "000000"):
        for ask in (app.get, app.cancel):
            with pytest.raises(JobNotFound):
                await ask(unknown)


async def test_a_handler_that_cannot_be_one_is_refused_where_it_is_written(app: Encola) -> None:
    async def too_few(ctx: JobContext) -> None: ...

    async def again(ctx: JobContext, params: Any) -> None: ...

    with pytest.raises(InvalidSettings, match=r"too_few must take two parameters"):
        app.job("too_few")(too_few)
    with pytest.raises(InvalidSettings, match="'greet' is registered twice"):
        app.job("greet")(again)


async def test_the_decorator_leaves_the_function_as_it_is(app: Encola) -> None:
    async def work(ctx: JobContext, params: Any) -> None: ...

    assert app.job("work")(work) is work


async def test_the_shipped_types_are_there_and_give_way_to_ones_own(app: Encola) -> None:
    @app.job("query")
    async def query(ctx: JobContext, params: Any) -> str:
        return "mine"

    async with app:
        job = await app.submit("query", "anything")
        assert (await watched(app, job))[-1].result == "mine"
    assert {"agent_execution", "embedding", "query"} <= {job_type.name for job_type in app.use_cases.handlers}


async def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(InvalidSettings, match="ENCOLA_PROFILE"):
        await Encola(profile="cloudy").submit("query", {})
    with pytest.raises(InvalidSettings, match="needs ENCOLA_REDIS_URL"):
        await Encola(profile="distributed").submit("query", {})


async def test_two_applications_in_one_process_do_not_meet(app: Encola) -> None:
    other = Encola(profile="memory")
    job = await app.submit("greet", {"name": "Ada"})

    with pytest.raises(JobNotFound):
        await other.get(job.id)
    await other.runtime.stop()


@pytest.mark.parametrize("at", ["/", "/jobs-of-mine"])
async def test_mounted_in_another_application_it_runs_jobs(app: Encola, at: str) -> None:
    host = FastAPI()

    @host.get("/own")
    async def own() -> str:
        return "mine"

    host.mount(at, app.asgi())
    transport = httpx.ASGITransport(app=host)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        base = at.rstrip("/")
        assert (await client.get("/own")).json() == "mine"
        accepted = await client.post(f"{base}/api/jobs", json={"type": "greet", "params": {"name": "Ada"}})
        assert accepted.status_code == 202
        job_id = accepted.json()["job_id"]
        answer = await client.get(f"{base}/api/jobs/{job_id}?wait=10")
        located = await client.get(accepted.headers["location"])

    assert (answer.json()["status"], answer.json()["result"]) == ("completed", "Hello, Ada!")
    assert located.json()["job_id"] == job_id


@pytest.mark.parametrize(
    "options", [{"priority": "urgent"}, {"delay": 1e300}, {"ttl": float("nan")}, {"retries": -1}]
)
async def test_an_option_that_cannot_be_right_is_an_invalid_input(options: dict[str, Any]) -> None:
    app = Encola(profile="memory")

    with pytest.raises(InvalidInput):
        await app.submit("query", {"query": "leases"}, **options)


def test_a_priority_that_does_not_exist_is_refused_when_the_type_is_registered() -> None:
    app = Encola(profile="memory")

    with pytest.raises(InvalidSettings, match="urgent"):
        app.job("greet", priority="urgent")(lambda ctx, params: None)
