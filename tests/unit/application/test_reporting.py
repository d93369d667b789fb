"""Progress and partial output, as a handler writes them and the store keeps them."""

import asyncio
from typing import Any

import pytest
from house import House

from encola.application.job_context import (
    FREE_PROGRESS,
    MAX_MESSAGE,
    MAX_OUTPUT_BYTES,
    ROLL_UP_BYTES,
    JobContext,
)
from encola.domain.errors import JobFailed, TooLarge
from encola.domain.event import JobEvent
from encola.domain.job import Job, JobStatus
from encola.domain.json_value import JSON
from encola.domain.output import OutputChunk
from encola.testing.builders import LEASE


async def reports(house: House, job: Job) -> list[Any]:
    return [event.progress for event in await house.events(job) if event.progress]


async def test_each_of_a_few_reports_is_an_event(house: House) -> None:
    async def work(ctx: JobContext, params: JSON) -> None:
        for step in range(3):
            await ctx.progress(step, 3, f"step {step}")

    house.handle(work)
    job = await house.run()

    assert [(report["current"], report["message"]) for report in await reports(house, job)] == [
        (0, "step 0"),
        (1, "step 1"),
        (2, "step 2"),
    ]
    assert [event.seq for event in await house.events(job)] == list(range(1, 7))


async def test_of_too_many_reports_the_latest_is_always_sent_before_the_end(house: House) -> None:
    total = 10 * FREE_PROGRESS

    async def work(ctx: JobContext, params: JSON) -> None:
        for step in range(1, total + 1):
            await ctx.progress(step, total)

    house.handle(work)
    job = await house.run()
    sent = [report["current"] for report in await reports(house, job)]

    assert sent[:FREE_PROGRESS] == list(range(1, FREE_PROGRESS + 1))
    assert sent[-1] == total
    assert len(sent) < total / 2
    assert sent == sorted(sent)
    assert (await house.statuses(job))[-1] == "completed"


async def test_a_report_held_back_is_sent_although_no_other_follows(house: House) -> None:
    seen = asyncio.Event()

    async def work(ctx: JobContext, params: JSON) -> None:
        for step in range(1, FREE_PROGRESS + 3):
            await ctx.progress(step, 100)
        async with asyncio.timeout(5):
            await seen.wait()

    async def watch(job: Job) -> None:
        async for event in house.follow_job(job.tenant_id, job.id):
            if (
                isinstance(event, JobEvent)
                and event.payload.get("progress", {}).get("current") == FREE_PROGRESS + 2
            ):  # type: ignore[union-attr]
                seen.set()

    house.handle(work)
    job = await house.submit()
    async with asyncio.TaskGroup() as group:
        group.create_task(watch(job))
        group.create_task(house.run_job(job))

    assert seen.is_set()
    assert (await house.now(job)).status is JobStatus.COMPLETED


@pytest.mark.parametrize(
    "report", [(float("nan"), 1, ""), (1, float("inf"), ""), (1, 2, b"m"), (1, 2, "\ud800")]
)
async def test_a_report_that_json_cannot_hold_is_the_handlers_error(
    house: House, report: tuple[Any, Any, Any]
) -> None:
    async def work(ctx: JobContext, params: JSON) -> None:
        await ctx.progress(*report)

    house.handle(work)
    job = await house.run()

    assert job.status is JobStatus.FAILED
    assert await reports(house, job) == []


async def test_a_long_message_is_cut(house: House) -> None:
    async def work(ctx: JobContext, params: JSON) -> None:
        await ctx.progress(1, 2, "m" * 10_000)

    house.handle(work)

    assert len((await reports(house, await house.run()))[0]["message"]) == MAX_MESSAGE


async def test_progress_keeps_the_lease(house: House) -> None:
    async def work(ctx: JobContext, params: JSON) -> None:
        await house.clock.advance(LEASE / 2)
        await ctx.progress(1, 2)
        job = next(iter(house.run_job.running.values())).job
        assert job.check_at == house.clock.now() + LEASE

    house.handle(work)

    assert (await house.run()).status is JobStatus.COMPLETED


async def test_output_is_rolled_up_and_whole_before_the_end(house: House) -> None:
    words = [f"wörd{n} " for n in range(500)]

    async def work(ctx: JobContext, params: JSON) -> str:
        for word in words:
            ctx.output().write(word)
        return "done"

    house.handle(work)
    job = await house.submit()
    async with house.notifier.subscribe(job.tenant_id, job.id) as heard:
        await house.run_job(job)
        announced = []
        while not (announced and isinstance(announced[-1], JobEvent) and announced[-1].final):
            announced.append(await heard.receive())

    chunks = [each for each in announced if isinstance(each, OutputChunk)]
    assert "".join(chunk.text for chunk in chunks) == "".join(words) == await house.text(job)
    assert [chunk.offset for chunk in chunks] == [0, *(chunk.end for chunk in chunks[:-1])]
    assert len(chunks) < len(words) / 10


async def test_much_output_goes_out_while_the_handler_still_runs(house: House) -> None:
    async def work(ctx: JobContext, params: JSON) -> bool:
        ctx.output().write("a" * ROLL_UP_BYTES)
        for _ in range(20):
            await asyncio.sleep(0)
        kept = await house.outputs.read(ctx.tenant_id, ctx.job_id)
        return [len(chunk.text) for chunk in kept] == [ROLL_UP_BYTES]

    house.handle(work)

    assert (await house.run()).result is True


async def test_outputs_have_names_of_their_own(house: House) -> None:
    async def work(ctx: JobContext, params: JSON) -> bool:
        ctx.output("thoughts").write("hm")
        ctx.output("answer").write("42")
        return ctx.output("answer") is ctx.output()

    house.handle(work)
    job = await house.run()

    assert job.result is True
    assert (await house.text(job, "thoughts"), await house.text(job)) == ("hm", "42")


async def test_outputs_are_bounded_in_length_and_number(house: House) -> None:
    async def work(ctx: JobContext, params: JSON) -> None:
        ctx.output().write("a" * MAX_OUTPUT_BYTES)
        with pytest.raises(TooLarge):
            ctx.output().write("b")
        for name in ("", "n" * 65):
            with pytest.raises(JobFailed):
                ctx.output(name)
        for n in range(15):
            ctx.output(str(n))
        with pytest.raises(JobFailed):
            ctx.output("seventeenth")

    house.handle(work)
    job = await house.run()

    assert job.status is JobStatus.COMPLETED
    assert len(await house.text(job) or "") == MAX_OUTPUT_BYTES


async def test_a_failed_attempt_leaves_the_output_it_had(house: House) -> None:
    async def work(ctx: JobContext, params: JSON) -> None:
        ctx.output().write("so far")
        raise JobFailed("Then it broke.")

    house.handle(work)

    assert await house.text(await house.run()) == "so far"


async def test_the_output_of_a_new_attempt_takes_the_place_of_the_last(house: House) -> None:
    async def work(ctx: JobContext, params: JSON) -> None:
        ctx.output().write(f"attempt {ctx.attempt}")
        if ctx.attempt == 1:
            raise JobFailed("Again.")

    house.handle(work)
    job = await house.run()
    await house.run_job(await house.retry_job(job.tenant_id, job.id))

    assert await house.text(job) == "attempt 2"
