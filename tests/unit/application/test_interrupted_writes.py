"""A handler that is cancelled in the middle of a write, and writes whose answer is lost."""

import asyncio
from datetime import timedelta

from encola.adapters.memory import (
    InMemoryJobOutputs,
    InMemoryJobStore,
    InProcessNotifier,
    ManualClock,
    MemoryState,
)
from encola.application.attempt import Attempt
from encola.domain.errors import StoreUnavailable
from encola.domain.job import Job, JobStatus, Progress
from encola.testing.builders import LEASE, NOON, a_job


class GatedJobStore(InMemoryJobStore):
    """Answers a write only when told to; the write itself is made at once."""

    def __init__(self, state: MemoryState) -> None:
        super().__init__(state, InProcessNotifier())
        self.gate = asyncio.Event()
        self.gate.set()
        self.written = asyncio.Event()
        self.lost_answers = 0

    def forget_all(self) -> None:
        """Lose every job, as a store that is restored from an older copy."""
        self._state = MemoryState()

    async def save(self, job: Job) -> None:
        await super().save(job)
        self.written.set()
        await self.gate.wait()
        if self.lost_answers:
            self.lost_answers -= 1
            raise StoreUnavailable("The connection broke.")


async def an_attempt() -> tuple[GatedJobStore, Attempt]:
    state = MemoryState()
    store = GatedJobStore(state)
    job = a_job()
    await store.add(job)
    claimed = job.claimed(NOON, LEASE)
    await store.save(claimed)
    clock = ManualClock(NOON)
    outputs = InMemoryJobOutputs(state, InProcessNotifier())
    return store, Attempt(
        job=claimed, store=store, outputs=outputs, clock=clock, lease=LEASE, new_epoch=lambda: "anew"
    )


async def test_an_attempt_goes_on_after_its_handler_was_cancelled_in_the_middle_of_a_write() -> None:
    store, attempt = await an_attempt()
    store.gate.clear()
    store.written.clear()
    reporting = asyncio.create_task(attempt.progress(Progress(current=1, total=2)))
    await store.written.wait()

    reporting.cancel()
    await asyncio.wait({reporting})
    store.gate.set()
    await attempt.complete("done")

    stored = await store.get(attempt.job.tenant_id, attempt.job.id)
    assert reporting.cancelled()
    assert not attempt.fenced
    assert stored.status is JobStatus.COMPLETED
    assert stored.result == "done"


async def test_a_write_whose_answer_was_lost_is_known_as_ones_own() -> None:
    store, attempt = await an_attempt()
    store.lost_answers = 1
    completing = asyncio.create_task(attempt.complete("done"))
    while not completing.done():
        await asyncio.sleep(0)
        await attempt.clock.advance(timedelta(milliseconds=200))  # type: ignore[attr-defined]

    stored = await store.get(attempt.job.tenant_id, attempt.job.id)
    assert not attempt.fenced
    assert stored.status is JobStatus.COMPLETED
    assert stored.seq == attempt.job.seq == 3


async def test_a_lost_piece_of_output_ends_the_output_and_not_the_attempt() -> None:
    store, attempt = await an_attempt()

    assert not await attempt.append("answer", 10, "text at the wrong place")
    assert not attempt.fenced
    await attempt.complete("done")
    stored = await store.get(attempt.job.tenant_id, attempt.job.id)
    assert stored.status is JobStatus.COMPLETED


async def test_a_running_job_that_the_store_has_lost_is_kept_anew_at_its_next_write() -> None:
    store, attempt = await an_attempt()
    store.forget_all()

    await attempt.complete("done")

    stored = await store.get(attempt.job.tenant_id, attempt.job.id)
    assert (stored.status, stored.result, stored.epoch) == (JobStatus.COMPLETED, "done", "anew")
    assert not attempt.fenced


async def test_a_running_job_that_the_store_has_lost_is_kept_anew_when_its_lease_is_renewed() -> None:
    store, attempt = await an_attempt()
    store.forget_all()

    await attempt.verify()

    assert await store.get(attempt.job.tenant_id, attempt.job.id) == attempt.job
    assert not attempt.fenced
    await attempt.complete("done")
    assert attempt.job.status is JobStatus.COMPLETED


async def test_of_two_attempts_at_a_lost_job_one_keeps_it_anew_and_the_other_is_fenced() -> None:
    store, attempt = await an_attempt()
    _, other = await an_attempt()
    other.store = store
    store.forget_all()

    await attempt.verify()
    await other.verify()

    assert (attempt.fenced, other.fenced) == (False, True)


async def test_an_attempt_whose_lease_went_to_another_is_fenced() -> None:
    store, attempt = await an_attempt()
    await store.save(attempt.job.lost(NOON))

    await attempt.verify()

    assert attempt.fenced
