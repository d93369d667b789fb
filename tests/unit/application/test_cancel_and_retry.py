"""Stopping a job, and sending it round again."""

import asyncio

import pytest
from house import House, within

from encola.application.job_context import JobContext
from encola.domain.errors import IllegalTransition, JobFailed, JobNotFound
from encola.domain.job import JobStatus
from encola.domain.json_value import JSON
from encola.testing.builders import ACME, GLOBEX

ENDED = "encola_jobs_finished_total"


async def work(ctx: JobContext, params: JSON) -> JSON:
    if params == "fail":
        raise JobFailed("No.")
    return params


async def test_a_queued_job_that_is_cancelled_never_runs(house: House) -> None:
    ran: list[JSON] = []

    async def note(ctx: JobContext, params: JSON) -> None:
        ran.append(params)

    house.handle(note)
    job = await house.submit(1)
    await house.dispatch_jobs()
    delivered = await within(house.queue.receive())

    cancelled = await house.cancel_job(ACME, job.id)
    await house.run_job(delivered)
    await house.dispatch_jobs()

    assert cancelled.status is JobStatus.CANCELLED
    assert ran == []
    assert await house.statuses(job) == ["queued", "cancelled"]
    assert house.queue.capacity() == 100


async def test_a_running_handler_is_cancelled_and_can_write_nothing_more(house: House) -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    async def hang(ctx: JobContext, params: JSON) -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            assert ctx.cancelled
            ctx.output().write("last words")
            await ctx.progress(1, 1)
            stopped.set()
        return "never"

    house.handle(hang)
    job = await house.submit()
    async with house.running(job):
        await within(started.wait())
        await house.cancel_job(ACME, job.id)
        await within(stopped.wait())

    assert await house.statuses(job) == ["queued", "processing", "cancelled"]
    assert await house.text(job) is None
    assert house.run_job.running == {}
    assert house.metrics.gauge("encola_jobs_running") == 0
    assert house.metrics.counted(ENDED, type="work", status="cancelled") == 1


async def test_a_second_cancel_changes_nothing(house: House) -> None:
    house.handle(work)
    job = await house.submit()

    first = await house.cancel_job(ACME, job.id)
    second = await house.cancel_job(ACME, job.id)

    assert second == first
    assert await house.statuses(job) == ["queued", "cancelled"]
    assert house.metrics.counted(ENDED, type="work", status="cancelled") == 1


@pytest.mark.parametrize("params", ["done", "fail"])
async def test_a_job_that_ended_otherwise_cannot_be_cancelled(house: House, params: str) -> None:
    house.handle(work)
    job = await house.run(params)

    with pytest.raises(IllegalTransition, match=job.status):
        await house.cancel_job(ACME, job.id)
    assert await house.now(job) == job


async def test_cancels_at_once_end_the_job_once(house: House) -> None:
    house.handle(work)
    job = await house.submit()

    await asyncio.gather(*(house.cancel_job(ACME, job.id) for _ in range(10)))

    assert await house.statuses(job) == ["queued", "cancelled"]
    assert house.metrics.counted(ENDED, type="work", status="cancelled") == 1


async def test_a_cancel_that_races_with_the_end_leaves_one_end(house: House) -> None:
    house.handle(work)
    for _ in range(20):
        job = await house.submit("done")
        await asyncio.gather(house.run_job(job), house.cancel_job(ACME, job.id), return_exceptions=True)
        assert sum(event.final for event in await house.events(job)) == 1


@pytest.mark.parametrize("params", ["fail", "cancel"])
async def test_a_retried_job_is_queued_and_runs_under_the_next_attempt(house: House, params: str) -> None:
    house.handle(work)
    job = await house.submit(params)
    if params == "cancel":
        await house.cancel_job(ACME, job.id)
    else:
        await house.run_job(job)
    nudges = house.nudges

    again = await house.retry_job(ACME, job.id)
    await house.dispatch_jobs()
    await house.run_job(await within(house.queue.receive()))

    assert (again.id, again.status) == (job.id, JobStatus.QUEUED)
    assert house.nudges > nudges
    assert (await house.now(job)).attempt == again.attempt + 1


async def test_what_completed_or_lives_cannot_be_retried(house: House) -> None:
    house.handle(work)
    completed, queued = await house.run("done"), await house.submit()

    for job in (completed, queued):
        with pytest.raises(IllegalTransition, match=job.status):
            await house.retry_job(ACME, job.id)
        assert await house.now(job) == job


async def test_another_tenant_can_neither_cancel_nor_retry(house: House) -> None:
    house.handle(work)
    job = await house.submit()

    for change in (house.cancel_job, house.retry_job):
        for tenant, job_id in [(GLOBEX, job.id), (ACME, "no-id")]:
            with pytest.raises(JobNotFound):
                await change(tenant, job_id)
    assert await house.now(job) == job
