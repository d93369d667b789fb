"""One attempt at one job: what a handler may return, raise and see."""

import asyncio
import dataclasses
import logging
import sys
from datetime import timedelta
from typing import Any

import pytest
from house import House, within
from pydantic import BaseModel

from encola.application.current import current_context, current_deadline
from encola.application.handlers import HandlerRegistry
from encola.application.job_context import JobContext, SyncJobContext
from encola.application.run_job import MAX_RESULT_BYTES
from encola.domain.context import ExecutionContext
from encola.domain.errors import JobFailed
from encola.domain.job import Job, JobStatus
from encola.domain.json_value import JSON
from encola.testing.builders import ACME, GLOBEX

ENDED = "encola_jobs_finished_total"
HOUR = timedelta(hours=1)


class Question(BaseModel):
    text: str


class Answer(BaseModel):
    words: tuple[str, ...]


@dataclasses.dataclass
class Point:
    x: int
    inner: "Point | None" = None


async def run_returning(house: House, value: Any) -> Job:
    async def give(ctx: JobContext, params: JSON) -> Any:
        return value

    house.handle(give)
    return await house.run()


async def run_raising(house: House, error: BaseException, **options: Any) -> Job:
    async def fail(ctx: JobContext, params: JSON) -> None:
        raise error

    house.handle(fail)
    return await house.run(**options)


def error_of(job: Job) -> tuple[str, str, bool]:
    assert job.error is not None
    return job.error.code, job.error.message, job.error.retryable


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("text", "text"),
        (Answer(words=("a", "b")), {"words": ["a", "b"]}),
        (Point(1, Point(2)), {"x": 1, "inner": {"x": 2, "inner": None}}),
        ((1, [Point(3)]), [1, [{"x": 3, "inner": None}]]),
        ({"a": Answer(words=())}, {"a": {"words": []}}),
    ],
    ids=repr,
)
async def test_what_a_handler_returns_is_the_result_as_plain_json(
    house: House, value: object, result: JSON
) -> None:
    job = await run_returning(house, value)

    assert (job.status, job.result) == (JobStatus.COMPLETED, result)
    assert await house.statuses(job) == ["queued", "processing", "completed"]
    assert house.metrics.counted(ENDED, type="work", status="completed") == 1
    assert house.run_job.running == {}


@pytest.mark.parametrize("value", [None, 0, 0.0, False, "", [], {}])
async def test_seed_16_a_falsy_result_is_stored_cached_and_announced(house: House, value: JSON) -> None:
    async def give(ctx: JobContext, params: JSON) -> JSON:
        return value

    house.handle(give, cache_ttl=HOUR)
    job = await house.run()
    again = await house.run(use_cache=True)

    assert job.status is JobStatus.COMPLETED
    assert job.result == again.result == value
    assert type(job.result) is type(value)
    assert again.cached
    assert (await house.events(job))[-1].payload["result"] == value


async def test_params_arrive_as_the_model_or_as_they_are(house: House) -> None:
    async def typed(ctx: JobContext, params: Question) -> str:
        return params.text

    async def plain(ctx: JobContext, params: dict[str, Any]) -> str:
        return params["text"].upper()

    house.handle(typed, "typed")
    house.handle(plain, "plain")

    assert (await house.run({"text": "a"}, type="typed")).result == "a"
    assert (await house.run({"text": "a"}, type="plain")).result == "A"


async def test_a_plain_function_runs_in_a_thread_and_sees_the_same_context(house: House) -> None:
    def count(ctx: SyncJobContext, params: Question) -> list[Any]:
        ctx.progress(1, 2, "half")
        ctx.checkpoint()
        ctx.output().write("so far")
        reply = ctx.call_service("agent", "/ask", {"q": 1}, operation_type="rag_query")
        context = current_context()
        return [ctx.attempt, ctx.tenant_id, context and context.tenant_id, params.text, dict(reply)["data"]]

    house.caller._answers = {("agent", "/ask"): {"a": 1}}
    house.handle(count)
    job = await house.run({"text": "x"})

    assert job.result == [1, "acme", "acme", "x", {"a": 1}]
    assert await house.statuses(job) == ["queued", "processing", "processing", "completed"]
    assert await house.text(job) == "so far"


async def test_a_plain_function_that_raises_fails_the_job(house: House) -> None:
    def fail(ctx: SyncJobContext, params: JSON) -> None:
        raise StopIteration if params else JobFailed("No paper.", code="no_paper")

    house.handle(fail)

    assert error_of(await house.run()) == ("no_paper", "No paper.", False)
    assert error_of(await house.run(1))[0] == "handler_error"


async def test_a_plain_function_that_gives_a_coroutine_is_waited_for(house: House) -> None:
    async def later() -> int:
        return 7

    house.handle(lambda ctx, params: later())

    assert (await house.run()).result == 7


async def test_what_a_handler_raises_stays_in_the_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        job = await run_raising(house, ValueError("password=hunter2"))

    assert job.status is JobStatus.FAILED
    assert error_of(job) == ("handler_error", "The handler raised ValueError.", True)
    assert "hunter2" not in "".join(event.wire for event in await house.events(job))
    assert "hunter2" in caplog.text


async def test_a_declared_failure_speaks_for_itself(house: House) -> None:
    job = await run_raising(house, JobFailed("The paper is out.", code="no_paper"), retries=3)

    assert job.status is JobStatus.FAILED
    assert error_of(job) == ("no_paper", "The paper is out.", False)
    assert house.metrics.counted(ENDED, type="work", status="failed") == 1


@pytest.mark.parametrize("error", [JobFailed("Later.", retryable=True), OSError("gone")])
async def test_an_error_worth_repeating_is_repeated_as_often_as_declared(
    house: House, error: Exception
) -> None:
    job = await run_raising(house, error, retries=1)
    assert job.status is JobStatus.RETRYING

    await house.clock.advance(timedelta(minutes=5))
    await house.dispatch_jobs()
    await house.run_job(await within(house.queue.receive()))

    ended = await house.now(job)
    assert (ended.status, ended.attempt) == (JobStatus.FAILED, 2)
    assert await house.statuses(job) == ["queued", "processing", "retrying", "processing", "failed"]


async def test_seed_18_one_failure_is_written_once(house: House) -> None:
    job = await run_raising(house, RuntimeError())

    assert await house.statuses(job) == ["queued", "processing", "failed"]


async def test_a_message_that_is_not_unicode_does_not_stop_the_failure(house: House) -> None:
    job = await run_raising(house, JobFailed("bad \udcff name"))

    assert error_of(job)[1] == "bad ? name"


async def test_a_handler_that_cancels_itself_fails(house: House) -> None:
    job = await run_raising(house, asyncio.CancelledError())

    assert error_of(job)[0] == "handler_cancelled"


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_a_handler_that_would_end_the_process_fails_alone(house: House, asynchronous: bool) -> None:
    async def leave(ctx: JobContext, params: JSON) -> None:
        sys.exit(3)

    def leave_plainly(ctx: SyncJobContext, params: JSON) -> None:
        sys.exit(3)

    house.handle(leave if asynchronous else leave_plainly)
    job = await house.run()

    assert error_of(job)[0] == "handler_error"


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, {1: 2}, b"b", float("nan"), 2**60, "\ud800", {"deep": [object()]}], ids=repr
)
async def test_a_result_that_json_cannot_hold_fails_the_job(house: House, value: object) -> None:
    job = await run_returning(house, value)

    assert job.status is JobStatus.FAILED
    assert error_of(job)[0] == "result_not_json"


async def test_a_result_may_have_so_many_bytes_and_no_more(house: House) -> None:
    async def make(ctx: JobContext, params: int) -> str:
        return "a" * (params - 2)

    house.handle(make)

    assert (await house.run(MAX_RESULT_BYTES)).status is JobStatus.COMPLETED
    assert error_of(await house.run(MAX_RESULT_BYTES + 1))[0] == "result_too_large"


async def test_params_that_fit_no_longer_fail_the_job_without_telling_them(house: House) -> None:
    async def lax(ctx: JobContext, params: JSON) -> None: ...

    async def strict(ctx: JobContext, params: Question) -> None: ...

    house.handle(lax)
    job = await house.submit({"text": ["hunter2"]})
    house.handlers._types.clear()
    house.handle(strict)
    await house.run_job(job)

    code, message, retryable = error_of(await house.now(job))
    assert (code, retryable) == ("invalid_params", False)
    assert "hunter2" not in message


async def test_a_type_that_no_worker_knows_any_more_fails_the_job(house: House) -> None:
    async def work(ctx: JobContext, params: JSON) -> None: ...

    house.handle(work)
    job = await house.submit()
    stranger = dataclasses.replace(house.run_job, handlers=HandlerRegistry())
    await stranger(job)

    assert error_of(await house.now(job))[0] == "unknown_job_type"


async def test_a_handler_sees_its_job(house: House) -> None:
    seen: dict[str, Any] = {}
    names = ("job_id", "tenant_id", "agent_id", "conversation_id", "collection_id", "attempt", "deadline")

    async def look(ctx: JobContext, params: JSON) -> None:
        seen.update({name: getattr(ctx, name) for name in names})
        seen["cancelled"] = ctx.cancelled
        seen["current"] = (current_context(), current_deadline())
        await ctx.checkpoint()

    context = ExecutionContext(tenant_id=ACME, agent_id="a", conversation_id="b", collection_id="c")
    house.handle(look)
    job = await house.run(context=context, timeout=timedelta(seconds=9))

    deadline = house.clock.now() + timedelta(seconds=9)
    assert job.status is JobStatus.COMPLETED
    assert [seen[name] for name in names] == [job.id, "acme", "a", "b", "c", 1, deadline]
    assert not seen["cancelled"]
    assert seen["current"] == (context, deadline)
    assert current_context() is None


async def test_seed_01_the_job_the_handler_the_queue_and_the_events_have_one_id(house: House) -> None:
    async def tell(ctx: JobContext, params: JSON) -> str:
        return ctx.job_id

    house.handle(tell)
    job = await house.submit()
    await house.dispatch_jobs()
    delivered = await within(house.queue.receive())
    await house.run_job(delivered)

    assert delivered.id == job.id == (await house.now(job)).result
    assert {event.job_id for event in await house.events(job)} == {job.id}


async def test_a_job_delivered_twice_runs_once(house: House) -> None:
    runs: list[int] = []

    async def note(ctx: JobContext, params: JSON) -> None:
        runs.append(ctx.attempt)
        await asyncio.sleep(0)

    house.handle(note)
    job = await house.submit()
    await asyncio.gather(*(house.run_job(job) for _ in range(5)))
    await house.run_job(job)

    assert runs == [1]
    assert await house.statuses(job) == ["queued", "processing", "completed"]


async def test_a_job_that_is_gone_is_left_alone(house: House) -> None:
    async def work(ctx: JobContext, params: JSON) -> None: ...

    house.handle(work)
    job = await house.run()
    await house.board.forget(house.clock.now() + HOUR, limit=10)

    await house.run_job(job)


async def test_a_delivery_that_is_behind_the_store_is_run_as_stored(house: House) -> None:
    async def attempt(ctx: JobContext, params: JSON) -> int:
        return ctx.attempt

    house.handle(attempt)
    job = await house.submit()
    await house.cancel_job(ACME, job.id)
    await house.retry_job(ACME, job.id)

    await house.run_job(job)

    assert (await house.now(job)).status is JobStatus.COMPLETED


async def test_a_message_that_comes_before_the_retry_is_due_is_left_alone(house: House) -> None:
    job = await run_raising(house, OSError(), retries=1)

    await house.run_job(await house.submit())
    await house.run_job(dataclasses.replace(job, seq=1, status=JobStatus.QUEUED, attempt=0))

    assert (await house.now(job)).status is JobStatus.RETRYING


async def test_a_job_whose_time_to_live_is_over_never_starts(house: House) -> None:
    job = await run_returning(house, 1)
    late = await house.submit(ttl=timedelta(seconds=5))
    await house.clock.advance(timedelta(seconds=5))

    await house.run_job(late)

    assert job.status is JobStatus.COMPLETED
    assert await house.statuses(late) == ["queued", "expired"]


async def test_equal_work_is_answered_from_the_cache_when_asked(house: House) -> None:
    runs: list[JSON] = []

    async def work(ctx: JobContext, params: JSON) -> int:
        runs.append(params)
        return len(runs)

    house.handle(work, cache_ttl=HOUR)
    first = await house.run({"a": 1})
    hit = await house.run({"a": 1}, use_cache=True)
    not_asked = await house.run({"a": 1})
    other_params = await house.run({"a": 2}, use_cache=True)
    other_tenant = await house.run({"a": 1}, use_cache=True, tenant=GLOBEX)
    agent = ExecutionContext(tenant_id=ACME, agent_id="x")
    other_agent = await house.run({"a": 1}, use_cache=True, context=agent)

    assert [job.cached for job in (first, hit, not_asked)] == [False, True, False]
    assert not any(job.cached for job in (other_params, other_tenant, other_agent))
    assert (hit.result, len(runs)) == (1, 5)
    assert (await house.events(hit))[-1].payload["cached"] is True


async def test_a_cached_result_is_kept_so_long_and_no_longer(house: House) -> None:
    async def work(ctx: JobContext, params: JSON) -> int:
        return 1

    house.handle(work, cache_ttl=HOUR)
    await house.run()
    await house.clock.advance(HOUR)

    assert not (await house.run(use_cache=True)).cached


async def test_a_type_that_declares_no_cache_and_a_failure_are_not_cached(house: House) -> None:
    async def fail(ctx: JobContext, params: JSON) -> None:
        raise JobFailed("No.")

    assert (await run_returning(house, 1)).status is JobStatus.COMPLETED
    house.handle(fail, "fail", cache_ttl=HOUR)
    await house.run(type="fail")

    assert not (await house.run(use_cache=True)).cached
    assert (await house.run(type="fail", use_cache=True)).status is JobStatus.FAILED


async def test_waiting_and_running_are_measured(house: House) -> None:
    async def work(ctx: JobContext, params: JSON) -> None:
        await house.clock.advance(timedelta(seconds=3))

    house.handle(work)
    job = await house.submit()
    await house.clock.advance(timedelta(seconds=2))
    await house.run_job(job)

    assert house.metrics.observed("encola_job_queue_wait_seconds", type="work") == [2.0]
    assert house.metrics.observed("encola_job_run_seconds", type="work") == [3.0]
    assert house.metrics.gauge("encola_jobs_running") == 0
