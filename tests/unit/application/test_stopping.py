"""How an attempt is brought to stop: by time, by the fence, by its worker, by a store that is away."""

import asyncio
import concurrent.futures
import threading
from datetime import timedelta

import pytest
from house import PATIENCE, FickleJobStore, House, within

from encola.adapters.memory import InProcessNotifier, MemoryState
from encola.application.job_context import JobContext, SyncJobContext
from encola.domain.errors import IllegalTransition
from encola.domain.job import Job, JobStatus
from encola.domain.json_value import JSON
from encola.testing.builders import ACME, LEASE, a_job

SHORT = timedelta(milliseconds=20)


async def hang(ctx: JobContext, params: JSON) -> None:
    await asyncio.Event().wait()


def code_of(job: Job) -> str:
    assert job.error is not None
    return job.error.code


async def take_away(house: House, job: Job) -> Job:
    """Let the lease end, and have another worker claim the job."""
    await house.clock.advance(LEASE)
    await house.recover_jobs()
    claimed = (await house.now(job)).claimed(house.clock.now(), LEASE)
    await house.store.save(claimed)
    return claimed


async def test_a_handler_that_runs_too_long_is_cancelled_and_fails(house: House) -> None:
    house.handle(hang)
    job = await house.run(timeout=SHORT)

    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert (code_of(job), job.error.message) == ("timeout", "The job ran longer than its 0.02 seconds.")


async def test_a_timeout_is_worth_repeating(house: House) -> None:
    house.handle(hang)

    assert (await house.run(timeout=SHORT, retries=1)).status is JobStatus.RETRYING


async def test_a_plain_function_that_runs_too_long_fails_and_hears_of_it(house: House) -> None:
    heard = threading.Event()

    def work(ctx: SyncJobContext, params: JSON) -> None:
        for _ in range(2000):
            if ctx.cancelled:
                heard.set()
                return
            threading.Event().wait(0.005)

    house.handle(work)
    job = await house.run(timeout=SHORT, retries=1)

    assert (job.status, code_of(job)) == (JobStatus.RETRYING, "timeout")
    assert await asyncio.to_thread(heard.wait, PATIENCE)


async def test_a_handler_that_ignores_its_cancellation_does_not_hold_up_the_end(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    let_go = asyncio.Event()

    async def stubborn(ctx: JobContext, params: JSON) -> str:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        await ctx.progress(1, 1)
        return "too late"

    house.handle(stubborn)
    job = await house.run(timeout=SHORT)
    let_go.set()
    for _ in range(5):
        await asyncio.sleep(0)

    assert code_of(job) == "timeout"
    assert await house.now(job) == job
    assert "ignores its cancellation" in caplog.text


async def test_an_attempt_that_lost_its_job_writes_nothing_more(house: House) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def work(ctx: JobContext, params: JSON) -> str:
        started.set()
        await asyncio.shield(go_on.wait())
        ctx.output().write("stale")
        await ctx.progress(1, 1)
        return "stale"

    house.handle(work)
    job = await house.submit()
    async with house.running(job):
        await within(started.wait())
        claimed = await take_away(house, job)
        go_on.set()

    assert await house.now(job) == claimed
    assert await house.text(job) is None
    assert house.metrics.observed("encola_job_run_seconds", type="work") == []


async def test_seed_08_a_late_write_does_not_undo_the_end(house: House) -> None:
    started = asyncio.Event()

    async def work(ctx: JobContext, params: JSON) -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await ctx.progress(1, 2)
        return "late"

    house.handle(work)
    job = await house.submit()
    async with house.running(job):
        await within(started.wait())
        claimed = await take_away(house, job)
        await house.store.save(claimed.completed("right", house.clock.now()))

    ended = await house.now(job)
    assert (ended.status, ended.result) == (JobStatus.COMPLETED, "right")


async def test_a_checkpoint_stops_a_handler_that_works_for_nothing(house: House) -> None:
    reached, fenced = asyncio.Event(), asyncio.Event()

    async def work(ctx: JobContext, params: JSON) -> str:
        reached.set()
        await asyncio.shield(fenced.wait())
        await ctx.checkpoint()
        return "never"

    house.handle(work)
    job = await house.submit()
    async with house.running(job):
        await within(reached.wait())
        next(iter(house.run_job.running.values())).fence()
        fenced.set()

    assert await house.statuses(job) == ["queued", "processing"]


async def test_a_checkpoint_stops_a_plain_function_that_works_for_nothing(house: House) -> None:
    reached, fenced = threading.Event(), threading.Event()
    raised: list[type[BaseException]] = []
    ended = threading.Event()

    def work(ctx: SyncJobContext, params: JSON) -> None:
        reached.set()
        fenced.wait(PATIENCE)
        try:
            ctx.checkpoint()
        except BaseException as error:
            raised.append(type(error))
            ended.set()
            raise

    house.handle(work)
    job = await house.submit()
    async with house.running(job):
        assert await asyncio.to_thread(reached.wait, PATIENCE)
        await house.cancel_job(ACME, job.id)
    fenced.set()

    assert await asyncio.to_thread(ended.wait, PATIENCE)
    assert raised == [asyncio.CancelledError]
    assert not issubclass(raised[0], concurrent.futures.CancelledError)


async def test_a_worker_that_leaves_hands_its_job_back(house: House) -> None:
    house.handle(hang)
    job = await house.submit()
    task = asyncio.create_task(house.run_job(job))
    await house.begun()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task)

    back = await house.now(job)
    assert await house.statuses(job) == ["queued", "processing", "queued"]
    assert (back.status, back.due_at, back.losses) == (JobStatus.QUEUED, house.clock.now(), 0)
    assert house.run_job.running == {}


class SlowEndStore(FickleJobStore):
    """A store that is slow to answer the write of an end, and whose announcements nobody hears."""

    def __init__(self, state: MemoryState, notifier: InProcessNotifier) -> None:
        super().__init__(state, InProcessNotifier())
        self.ending, self.let_end = asyncio.Event(), asyncio.Event()

    async def save(self, job: Job) -> None:
        await super().save(job)
        if job.status.is_terminal:
            self.ending.set()
            await self.let_end.wait()


async def test_a_worker_that_leaves_while_the_end_is_written_leaves_it_written() -> None:
    house = House(store=SlowEndStore)

    async def work(ctx: JobContext, params: JSON) -> str:
        return "done"

    house.handle(work)
    job = await house.submit()
    task = asyncio.create_task(house.run_job(job))
    await within(house.store.ending.wait())
    task.cancel()
    await asyncio.sleep(0)
    house.store.let_end.set()

    with pytest.raises(asyncio.CancelledError):
        await within(task)
    assert await house.statuses(job) == ["queued", "processing", "completed"]


async def test_a_result_waits_for_a_store_that_is_away_for_a_while() -> None:
    house = House(store=FickleJobStore)

    async def work(ctx: JobContext, params: JSON) -> str:
        house.store.absences = 5
        return "done"

    house.handle(work)
    job = await house.submit()
    await house.pass_time_until(asyncio.create_task(house.run_job(job)), timedelta(milliseconds=200))

    assert (await house.now(job)).result == "done"
    assert await house.statuses(job) == ["queued", "processing", "completed"]
    assert house.store.attempts == 1 + 5 + 1


async def test_a_write_whose_answer_was_lost_is_known_again() -> None:
    house = House(store=FickleJobStore)

    async def work(ctx: JobContext, params: JSON) -> str:
        house.store.absences, house.store.writes_first = 1, True
        await ctx.progress(1, 2)
        assert not ctx.cancelled
        house.store.absences = 1
        return "done"

    house.handle(work)
    job = await house.submit()
    await house.pass_time_until(asyncio.create_task(house.run_job(job)), timedelta(milliseconds=200))

    assert (await house.now(job)).result == "done"
    assert await house.statuses(job) == ["queued", "processing", "processing", "completed"]


async def test_seed_07_a_completed_job_is_never_failed_afterwards() -> None:
    house = House(store=FickleJobStore)

    async def work(ctx: JobContext, params: JSON) -> str:
        house.store.absences, house.store.writes_first = 1, True
        return "done"

    house.handle(work)
    job = await house.submit(retries=3)
    await house.pass_time_until(asyncio.create_task(house.run_job(job)), timedelta(milliseconds=200))
    await house.run_job(job)

    assert await house.statuses(job) == ["queued", "processing", "completed"]
    with pytest.raises(IllegalTransition):
        await house.cancel_job(ACME, job.id)


async def test_nothing_runs_while_the_claim_cannot_be_written() -> None:
    house = House(store=FickleJobStore)
    house.handle(hang)
    job = await house.submit()
    house.store.absences = 1_000_000

    await house.pass_time_until(asyncio.create_task(house.run_job(job)))

    assert await house.statuses(job) == ["queued"]
    assert house.run_job.running == {}


async def test_renewing_extends_the_lease_of_what_runs_and_fences_what_lost_it(house: House) -> None:
    house.handle(hang)
    kept, lost = await house.submit(), await house.submit()
    async with house.running(kept), house.running(lost):
        await house.begun(2)
        stranger = (await house.now(lost)).lost(house.clock.now()).claimed(house.clock.now(), LEASE)
        await house.clock.advance(timedelta(seconds=20))
        house.state.write(stranger)  # behind the notifier's back

        assert await house.renew_leases() == 1

        assert (await house.now(kept)).check_at == house.clock.now() + LEASE
        await house.cancel_job(ACME, kept.id)

    assert await house.now(lost) == stranger
    assert await house.renew_leases() == 0


async def test_what_never_ran_here_has_nothing_to_renew(house: House) -> None:
    await house.store.add(a_job())

    assert await house.renew_leases() == 0
