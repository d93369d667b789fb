"""What every work board promises."""

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest

from encola.application.ports import Lease
from encola.domain.context import JobId
from encola.domain.errors import JobNotFound
from encola.domain.job import Job, JobStatus, Priority, Progress
from encola.domain.policy import RetryPolicy
from encola.testing.builders import ACME, GLOBEX, HICCUP, LEASE, NOON, a_chunk, a_job, a_life, after, an_id
from encola.testing.contracts.job_store import a_key
from encola.testing.contracts.steps import keep, keep_running
from encola.testing.stores import Stores


def ids_of(jobs: list[Job]) -> list[JobId]:
    """Return the ids of jobs, in order."""
    return [job.id for job in jobs]


def lease_of(job: Job) -> Lease:
    """Return the lease under which the job runs."""
    return Lease(tenant_id=job.tenant_id, job_id=job.id, attempt=job.attempt)


async def take(stores: Stores, now: datetime, *, limit: int = 100) -> list[JobId]:
    """Take what is due for a minute, and return the ids."""
    return ids_of(await stores.board.take_due(now, again_at=now + 2 * LEASE, limit=limit))


async def overdue(stores: Stores, now: datetime, *, limit: int = 100) -> list[JobId]:
    """Return the ids of what is overdue."""
    return ids_of(await stores.board.overdue(now, limit=limit))


class WorkBoardContract:
    """The promise of :class:`~encola.application.ports.WorkBoard`. Subclass it and give ``stores``."""

    @pytest.fixture
    def stores(self) -> Stores:
        """Return empty stores."""
        raise NotImplementedError("return empty stores")

    async def test_a_job_is_due_from_its_due_time_on(self, stores: Stores) -> None:
        await stores.jobs.add(a_job(due_at=after(10), status=JobStatus.SCHEDULED))

        assert await take(stores, after(9.999999)) == []
        assert await take(stores, after(10)) == [an_id(1)]

    async def test_a_taken_job_is_given_as_it_is_stored(self, stores: Stores) -> None:
        await stores.jobs.add(a_job(params={"a": [0]}))

        taken = await stores.board.take_due(NOON, again_at=after(60), limit=1)

        assert taken == [await stores.jobs.get(ACME, an_id(1))] == [a_job(params={"a": [0]})]

    async def test_jobs_are_taken_by_priority_and_then_by_due_time(self, stores: Stores) -> None:
        wishes = [(Priority.LOW, 1), (Priority.NORMAL, 3), (Priority.HIGH, 4), (Priority.NORMAL, 2)]
        for number, (priority, second) in enumerate(wishes):
            await stores.jobs.add(a_job(number, priority=priority, due_at=after(second)))

        assert await take(stores, after(9)) == [an_id(2), an_id(3), an_id(1), an_id(0)]

    async def test_a_limit_takes_the_first_and_leaves_the_others(self, stores: Stores) -> None:
        for number in range(5):
            await stores.jobs.add(a_job(number, due_at=after(5 - number)))

        assert await take(stores, after(9), limit=2) == [an_id(4), an_id(3)]
        assert await take(stores, after(9), limit=2) == [an_id(2), an_id(1)]
        assert await take(stores, after(9), limit=2) == [an_id(0)]

    async def test_jobs_of_all_tenants_are_taken(self, stores: Stores) -> None:
        await stores.jobs.add(a_job(1))
        await stores.jobs.add(a_job(2, tenant=GLOBEX, due_at=after(1)))

        taken = await stores.board.take_due(after(9), again_at=after(60), limit=10)

        assert [job.tenant_id for job in taken] == [ACME, GLOBEX]

    async def test_a_taken_job_is_given_again_only_when_its_time_has_come(self, stores: Stores) -> None:
        await stores.jobs.add(a_job())
        await stores.board.take_due(NOON, again_at=after(60), limit=1)

        assert await take(stores, after(59.999999)) == []
        assert await take(stores, after(60)) == [an_id(1)]
        assert await take(stores, after(61)) == []

    async def test_two_callers_never_take_the_same_job(self, stores: Stores) -> None:
        for number in range(40):
            await stores.jobs.add(a_job(number))

        takings = await asyncio.gather(*(take(stores, NOON, limit=5) for _ in range(12)))

        taken = [job_id for taking in takings for job_id in taking]
        assert sorted(taken) == [an_id(number) for number in range(40)]

    async def test_a_claimed_job_is_not_due(self, stores: Stores) -> None:
        await stores.jobs.add(a_job())
        await take(stores, NOON)

        await stores.jobs.save(a_job().claimed(after(1), LEASE))

        assert await take(stores, after(9999)) == []

    async def test_a_job_that_is_added_as_taken_is_given_only_when_its_time_has_come(
        self, stores: Stores
    ) -> None:
        await stores.jobs.add(a_job(), taken_until=after(60))

        early = await stores.board.take_due(after(59), again_at=after(120), limit=10)
        in_time = await stores.board.take_due(after(60), again_at=after(120), limit=10)

        assert ids_of(early) == []
        assert ids_of(in_time) == [a_job().id]

    async def test_a_taken_job_that_changed_is_due_as_it_is_now(self, stores: Stores) -> None:
        scheduled = a_job(status=JobStatus.SCHEDULED)
        await stores.jobs.add(scheduled)
        await take(stores, NOON)

        await stores.jobs.save(scheduled.queued(after(1)))

        assert await take(stores, after(1)) == [an_id(1)]

    async def test_a_retrying_job_is_due_after_its_delay(self, stores: Stores) -> None:
        job = await keep_running(stores, a_job(retry=RetryPolicy(retries=1, first_delay=LEASE)))

        await stores.jobs.save(job.failed(HICCUP, after(10), 0.5))

        assert await take(stores, after(24.9)) == []
        assert await take(stores, after(25)) == [an_id(1)]

    async def test_a_job_handed_back_is_due_at_once(self, stores: Stores) -> None:
        job = await keep_running(stores, a_job())

        await stores.jobs.save(job.handed_back(after(10)))

        assert await take(stores, after(10)) == [an_id(1)]

    async def test_a_job_that_ended_is_never_due(self, stores: Stores) -> None:
        await keep(stores, *a_life(a_job(1)))
        await keep(stores, a_job(2), a_job(2).cancelled(after(1)))

        assert await take(stores, after(9999)) == []

    async def test_a_renewed_lease_is_checked_later(self, stores: Stores) -> None:
        job = await keep_running(stores, a_job())

        assert await stores.board.renew([lease_of(job)], after(100)) == []
        assert await overdue(stores, after(99.9)) == []
        assert await overdue(stores, after(100)) == [job.id]
        assert await stores.jobs.get(ACME, job.id) == replace(job, check_at=after(100))

    async def test_renewing_makes_no_event_and_no_new_version(self, stores: Stores) -> None:
        job = await keep_running(stores, a_job())

        await stores.board.renew([lease_of(job)], after(100))

        assert len(await stores.jobs.events(ACME, job.id)) == 2
        assert len(await stores.feed.read("x", limit=10)) == 2
        await stores.jobs.save(job.completed(1, after(3)))

    async def test_a_lease_holds_over_reports_of_progress(self, stores: Stores) -> None:
        job = await keep_running(stores, a_job())

        await stores.jobs.save(job.progressed(Progress(current=1, total=2), after(2), LEASE))

        assert await stores.board.renew([lease_of(job)], after(100)) == []

    async def test_leases_that_no_longer_hold_are_returned(self, stores: Stores) -> None:
        running = await keep_running(stores, a_job(1))
        ended = await keep(stores, *a_life(a_job(2)))
        given = await keep_running(stores, a_job(3))
        await stores.jobs.save(given.handed_back(after(2)))
        again = await keep_running(stores, a_job(4))
        back = again.handed_back(after(2))
        await stores.jobs.save(back)
        await stores.jobs.save(back.claimed(after(3), LEASE))
        over = [lease_of(job) for job in (ended, given, again, a_job(9), a_job(1))]
        over.append(replace(lease_of(running), tenant_id=GLOBEX))

        assert await stores.board.renew([lease_of(running), *over], after(100)) == over
        assert await overdue(stores, after(99)) == [an_id(4)]

    async def test_renewing_nothing_does_nothing(self, stores: Stores) -> None:
        assert await stores.board.renew([], after(100)) == []

    async def test_overdue_jobs_come_oldest_first_up_to_the_limit(self, stores: Stores) -> None:
        for number, second in enumerate([3, 1, 2]):
            await stores.jobs.add(a_job(number, check_at=after(second), expires_at=after(second)))

        assert await overdue(stores, after(0.9)) == []
        assert await overdue(stores, after(1)) == [an_id(1)]
        assert await overdue(stores, after(9)) == [an_id(1), an_id(2), an_id(0)]
        assert await overdue(stores, after(9), limit=2) == [an_id(1), an_id(2)]

    async def test_looking_for_overdue_jobs_takes_nothing(self, stores: Stores) -> None:
        job = await keep_running(stores, a_job())

        first, second = [await stores.board.overdue(after(999), limit=10) for _ in range(2)]

        assert first == second == [job]

    async def test_overdue_jobs_of_all_tenants_are_found(self, stores: Stores) -> None:
        await keep_running(stores, a_job(1))
        await keep_running(stores, a_job(2, tenant=GLOBEX))

        jobs = await stores.board.overdue(after(999), limit=10)

        assert {job.tenant_id for job in jobs} == {ACME, GLOBEX}

    async def test_a_job_that_ended_or_cannot_expire_is_never_overdue(self, stores: Stores) -> None:
        await keep(stores, *a_life(a_job(1, check_at=after(1), expires_at=after(1))))
        await stores.jobs.add(a_job(2))

        assert await overdue(stores, after(99_999)) == []

    async def test_a_report_of_progress_starts_the_lease_again(self, stores: Stores) -> None:
        job = await keep_running(stores, a_job())

        await stores.jobs.save(job.progressed(Progress(current=1, total=2), after(20), LEASE))

        assert await overdue(stores, after(49)) == []
        assert await overdue(stores, after(50)) == [job.id]

    async def test_after_a_reset_taken_jobs_can_be_taken(self, stores: Stores) -> None:
        await stores.jobs.add(a_job(1))
        await stores.jobs.add(a_job(2, due_at=after(50)))
        await take(stores, NOON)

        await stores.board.reset(after(1))

        assert await take(stores, after(1)) == [an_id(1)]
        assert await take(stores, after(50)) == [an_id(2)]

    async def test_a_reset_ends_every_lease_and_no_time_to_live(self, stores: Stores) -> None:
        running = await keep_running(stores, a_job(1))
        waiting = await stores.jobs.add(a_job(2, check_at=after(90), expires_at=after(90)))

        await stores.board.reset(after(2))

        assert await overdue(stores, after(1.9)) == []
        assert await overdue(stores, after(2)) == [running.id]
        assert await stores.jobs.get(ACME, waiting.id) == waiting
        assert len(await stores.jobs.events(ACME, running.id)) == running.seq

    async def test_a_reset_changes_no_version(self, stores: Stores) -> None:
        running = await keep_running(stores, a_job())

        await stores.board.reset(after(2))

        await stores.jobs.save(running.completed(1, after(3)))

    async def test_only_jobs_that_ended_before_are_forgotten(self, stores: Stores) -> None:
        old = await keep(stores, *a_life(a_job(1)))
        young = await keep(stores, a_job(2), a_job(2).cancelled(after(100)))
        running = await keep_running(stores, a_job(3))
        reopened = await keep(
            stores, a_job(4), a_job(4).cancelled(after(1)), a_job(4).cancelled(after(1)).reopened(after(2))
        )

        assert await stores.board.forget(after(3), limit=10) == 0
        assert await stores.board.forget(after(100), limit=10) == 1
        with pytest.raises(JobNotFound):
            await stores.jobs.get(ACME, old.id)
        for job in (young, running, reopened):
            assert await stores.jobs.get(ACME, job.id) == job

    async def test_forgetting_stops_at_the_limit(self, stores: Stores) -> None:
        for number in range(5):
            await keep(stores, *a_life(a_job(number)))

        assert [await stores.board.forget(after(999), limit=2) for _ in range(4)] == [2, 2, 1, 0]
        assert list(await stores.catalog.counts(ACME)) == []

    async def test_events_and_output_are_forgotten_with_their_job(self, stores: Stores) -> None:
        job = await keep_running(stores, a_job())
        await stores.outputs.append(a_chunk(job, "text"))
        await stores.jobs.save(job.completed(1, after(2)))

        await stores.board.forget(after(999), limit=10)

        with pytest.raises(JobNotFound):
            await stores.jobs.events(ACME, job.id)
        assert list(await stores.outputs.read(ACME, job.id)) == []

    async def test_the_key_of_a_forgotten_job_is_free(self, stores: Stores) -> None:
        await stores.jobs.add(a_job(1), a_key())
        await stores.jobs.save(a_job(1).cancelled(after(1)))
        await stores.board.forget(after(999), limit=10)

        assert (await stores.jobs.add(a_job(2), a_key())).id == an_id(2)
