"""Claims that race, that are not answered, and that find the job gone."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from house import FickleJobStore, within

from encola.adapters.memory import InProcessNotifier, ManualClock, MemoryState, SeededIds
from encola.application.claim_job import ClaimJob
from encola.domain.job import Job, JobStatus
from encola.testing.builders import HICCUP, LEASE, NOON, a_job, after

RETENTION = timedelta(days=7)


class Scene:
    """A store that can be away, and a worker that claims."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOON)
        self.store = FickleJobStore(MemoryState(), InProcessNotifier())
        self.claim = ClaimJob(
            store=self.store,
            clock=self.clock,
            ids=SeededIds(),
            lease=LEASE,
            job_retention=RETENTION,
            patience=timedelta(seconds=60),
        )

    async def claimed(self, job: Job) -> Job | None:
        """Claim, moving the clock while it waits."""
        claiming = asyncio.create_task(self.claim(job))
        while not claiming.done():
            await asyncio.sleep(0)
            await self.clock.advance(timedelta(milliseconds=200))
        return await within(claiming)


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_a_waiting_job_is_claimed_under_the_next_attempt(scene: Scene) -> None:
    job = await scene.store.add(a_job())

    claimed = await scene.claimed(job)

    assert claimed == await scene.store.get(job.tenant_id, job.id)
    assert (claimed.status, claimed.attempt) == (JobStatus.PROCESSING, 1)


async def test_a_second_delivery_claims_nothing(scene: Scene) -> None:
    job = await scene.store.add(a_job())
    first = await scene.claimed(job)

    assert await scene.claimed(job) is None
    assert await scene.store.get(job.tenant_id, job.id) == first


async def test_an_old_delivery_claims_the_job_as_it_is_now(scene: Scene) -> None:
    old = await scene.store.add(a_job())
    running = old.claimed(NOON, LEASE)
    await scene.store.save(running)
    await scene.store.save(running.handed_back(NOON))

    claimed = await scene.claimed(old)

    assert claimed is not None
    assert (claimed.attempt, claimed.seq) == (2, 4)


async def test_a_job_that_waits_for_its_retry_is_not_claimed_by_an_old_delivery(scene: Scene) -> None:
    old = await scene.store.add(a_job(retry=replace(a_job().retry, retries=3)))
    running = old.claimed(NOON, LEASE)
    await scene.store.save(running)
    await scene.store.save(running.failed(HICCUP, after(60), 0.5))

    assert await scene.claimed(old) is None


@pytest.mark.parametrize("writes_first", [False, True], ids=["not written", "written"])
async def test_a_delivery_is_held_while_the_store_is_away(scene: Scene, writes_first: bool) -> None:
    job = await scene.store.add(a_job())
    scene.store.absences, scene.store.writes_first = 5, writes_first

    claimed = await scene.claimed(job)

    assert claimed == await scene.store.get(job.tenant_id, job.id)
    assert (claimed.attempt, claimed.seq) == (1, 2)


async def test_a_delivery_is_let_go_when_the_store_stays_away(scene: Scene) -> None:
    job = await scene.store.add(a_job())
    scene.store.absences = 10_000

    assert await scene.claimed(job) is None


async def test_a_job_that_the_store_lost_is_made_anew_under_another_epoch(scene: Scene) -> None:
    claimed = await scene.claimed(a_job())

    assert claimed is not None
    assert claimed == await scene.store.get(claimed.tenant_id, claimed.id)
    assert claimed.epoch != a_job().epoch


async def test_a_job_that_may_have_been_forgotten_is_not_made_anew(scene: Scene) -> None:
    await scene.clock.advance(RETENTION)

    assert await scene.claimed(a_job()) is None


async def test_a_job_that_waited_too_long_expires_instead(scene: Scene) -> None:
    job = await scene.store.add(a_job(expires_at=after(5), check_at=after(5)))
    await scene.clock.advance(timedelta(seconds=6))

    assert await scene.claimed(job) is None
    assert (await scene.store.get(job.tenant_id, job.id)).status is JobStatus.EXPIRED
