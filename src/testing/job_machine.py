"""A state machine that does anything to stores, and compares them with a model."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from encola.application.ports import IdempotencyKey, JobFilter, Lease
from encola.domain.context import ExecutionContext, JobId
from encola.domain.errors import IllegalTransition, JobChanged, JobNotFound
from encola.domain.event import JobEvent
from encola.domain.job import Job, JobError, JobStatus, Priority, Progress
from encola.domain.json_value import JSON
from encola.domain.policy import RetryPolicy
from encola.testing.builders import ACME, GLOBEX, LEASE, NOON, a_chunk, a_job
from encola.testing.job_model import JobModel, check_life, due_place
from encola.testing.stores import Stores
from encola.testing.strategies import json_values, progresses, retry_policies

OpenStores: TypeAlias = Callable[[], AbstractAsyncContextManager[Stores]]
T = TypeVar("T")

KEY_LIFETIME = timedelta(minutes=5)
PATIENCE = timedelta(minutes=1)
PIECES = st.tuples(st.text("añ✓", min_size=1, max_size=3), st.sampled_from([0, 0, 0, 1, -1, -2]))
SECONDS = st.integers(0, 90).map(lambda seconds: timedelta(seconds=seconds))


def job_machine(open_stores: OpenStores) -> type["JobMachine"]:
    """Return a state machine over the stores that ``open_stores()`` opens, empty each time.

    Its ``TestCase`` is a test: ``TestMyStores = job_machine(my_stores).TestCase``.
    """
    return type("JobMachine", (JobMachine,), {"open_stores": staticmethod(open_stores)})


STEPS: dict[str, Callable[[Job, datetime], Job]] = {
    "queue": lambda job, now: job.queued(now),
    "lose": lambda job, now: job.lost(now),
    "cancel": lambda job, now: job.cancelled(now),
    "hand back": lambda job, now: job.handed_back(now),
    "reopen": lambda job, now: job.reopened(now),
    "expire": lambda job, now: job.expired(now),
}


class JobMachine(RuleBasedStateMachine):
    """Lets jobs live at random. After every step each job, its events and the model must agree."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.model = JobModel()
        self.now = NOON
        self._runner = asyncio.Runner()
        self._opened = self.open_stores()
        self.stores = self._run(self._opened.__aenter__())
        self._count = 0
        self._fed: list[JobEvent] = []

    @staticmethod
    def open_stores() -> AbstractAsyncContextManager[Stores]:
        """Open empty stores."""
        raise NotImplementedError("use job_machine()")

    def teardown(self) -> None:
        """Close the stores."""
        self._run(self._opened.__aexit__(None, None, None))
        self._runner.close()

    @rule(passing=SECONDS)
    def pass_time(self, passing: timedelta) -> None:
        """Let time pass."""
        self.now += passing

    @rule(
        target=ids,
        params=json_values(),
        retry=retry_policies(),
        priority=st.sampled_from(Priority),
        delay=st.sampled_from([0, 0, 0, 30]).map(lambda seconds: timedelta(seconds=seconds)),
        ttl=st.none() | SECONDS,
        key=st.sampled_from("abcdefgh"),
        claimed=st.booleans(),
    )
    def add(
        self,
        params: JSON,
        retry: RetryPolicy,
        priority: Priority,
        delay: timedelta,
        ttl: timedelta | None,
        key: str,
        claimed: bool,
    ) -> JobId:
        """Add a job under a key, which may be in use, and perhaps claim it."""
        self._count += 1
        expires_at = None if ttl is None else self.now + delay + ttl
        job = a_job(
            self._count,
            params=params,
            retry=retry,
            priority=priority,
            status=JobStatus.SCHEDULED if delay else JobStatus.QUEUED,
            created_at=self.now,
            updated_at=self.now,
            due_at=self.now + delay,
            expires_at=expires_at,
            check_at=expires_at,
        )
        named = IdempotencyKey(text=key, expires_at=self.now + KEY_LIFETIME)
        known = self.model.named(named, self.now)
        assert self._run(self.stores.jobs.add(job, named)) == (known or job)
        if known is None:
            self.model.add(job, named)
        if claimed:
            self.claim((known or job).id)
        return (known or job).id

    @rule(job_id=ids)
    def add_again(self, job_id: JobId) -> None:
        """Add a job that is there."""
        if job_id in self.model.lives:
            life = self.model.lives[job_id]
            assert self._run(self.stores.jobs.add(life[0])) == life[-1]

    @rule(job_id=ids, step=st.sampled_from(sorted(STEPS)))
    def move(self, job_id: JobId, step: str) -> None:
        """Let the job take a step, where it may."""
        self._change(job_id, lambda job: STEPS[step](job, self.now))

    @rule(job_id=ids)
    def claim(self, job_id: JobId) -> None:
        """Claim a job."""
        self._change(job_id, lambda job: job.claimed(self.now, LEASE))

    @rule(job_id=ids, progress=progresses())
    def progress(self, job_id: JobId, progress: Progress) -> None:
        """Report progress."""
        self._change(job_id, lambda job: job.progressed(progress, self.now, LEASE))

    @rule(job_id=ids, result=json_values())
    def complete(self, job_id: JobId, result: JSON) -> None:
        """Complete a job."""
        self._change(job_id, lambda job: job.completed(result, self.now))

    @rule(job_id=ids, retryable=st.booleans(), chance=st.floats(0, 1, exclude_max=True))
    def fail(self, job_id: JobId, retryable: bool, chance: float) -> None:
        """Let a handler fail."""
        error = JobError(code="flaw", message="It did not work.", retryable=retryable)
        self._change(job_id, lambda job: job.failed(error, self.now, chance))

    @rule(job_id=ids)
    def race(self, job_id: JobId) -> None:
        """Let two writers decide on the same version."""
        for job in self._present(job_id):
            both = [replace(job, seq=job.seq + 1, tags=(side,)) for side in ("left", "right")]
            if not job.status.is_terminal:
                winners = self._run(self._winners(both))
                assert len(winners) == 1
                self.model.save(winners[0])

    @rule(job_id=ids, data=st.data())
    def save_stale(self, job_id: JobId, data: st.DataObject) -> None:
        """Save what was decided on a version that is not the present one."""
        for job in self._present(job_id):
            seq = data.draw(st.sampled_from([*range(1, job.seq + 1), job.seq + 2]))
            with pytest.raises(JobChanged):
                self._run(self.stores.jobs.save(replace(job, seq=seq, result="stale")))

    @rule(job_id=ids)
    def save_late(self, job_id: JobId) -> None:
        """Save under an attempt that is over."""
        for job in self._present(job_id):
            late = replace(job, seq=job.seq + 1, attempt=job.attempt - 1, result="late")
            with pytest.raises(JobChanged):
                self._run(self.stores.jobs.save(late))

    @rule(job_id=ids)
    def look_from_outside(self, job_id: JobId) -> None:
        """Read and write as another tenant."""
        for job in self._present(job_id):
            theirs = replace(job, seq=job.seq + 1, context=ExecutionContext(tenant_id=GLOBEX))
            with pytest.raises(JobNotFound):
                self._run(self.stores.jobs.get(GLOBEX, job_id))
            with pytest.raises(JobNotFound):
                self._run(self.stores.jobs.events(GLOBEX, job_id))
            with pytest.raises(JobNotFound):
                self._run(self.stores.jobs.save(theirs))
            assert not self._run(self.stores.outputs.read(GLOBEX, job_id))

    @rule(limits=st.lists(st.integers(1, 4), min_size=1, max_size=3))
    def take_due(self, limits: list[int]) -> None:
        """Take what is due, in several goes."""
        expected = self.model.due(self.now)
        again_at = self.now + PATIENCE
        for limit in limits:
            taken = self._run(self.stores.board.take_due(self.now, again_at=again_at, limit=limit))
            assert [due_place(job) for job in taken] == [due_place(job) for job in expected[:limit]]
            for job in taken:
                assert job in expected
                expected.remove(job)
                self.model.take(job, again_at)

    @rule(limit=st.integers(1, 4))
    def look_for_overdue(self, limit: int) -> None:
        """Look for what is overdue."""
        expected = self.model.overdue(self.now)
        found = self._run(self.stores.board.overdue(self.now, limit=limit))
        checks = sorted(job.check_at for job in expected if job.check_at is not None)
        assert [job.check_at for job in found] == checks[:limit]
        assert all(job in expected for job in found)

    @rule(job_id=ids, step=st.sampled_from([0, 0, 0, 1, -1]))
    def renew(self, job_id: JobId, step: int) -> None:
        """Renew a lease, which may be over."""
        for job in self._present(job_id):
            lease = Lease(tenant_id=ACME, job_id=job_id, attempt=job.attempt + step)
            holds = job.status is JobStatus.PROCESSING and step == 0
            over = self._run(self.stores.board.renew([lease], self.now + LEASE))
            assert over == ([] if holds else [lease])
            if holds:
                self.model.amend(job_id, self.now + LEASE)

    @rule()
    def restart(self) -> None:
        """Forget who took or leased what."""
        self._run(self.stores.board.reset(self.now))
        self.model.reset(self.now)

    @rule(job_id=ids, pieces=st.lists(PIECES, min_size=1, max_size=4))
    def write_output(self, job_id: JobId, pieces: list[tuple[str, int]]) -> None:
        """Claim the job if it waits, and write pieces of output, at their place or beside it."""
        self.claim(job_id)
        for job in self._present(job_id):
            for text, shift in pieces:
                self._append(job, text, shift)

    @rule(limit=st.integers(1, 20))
    def follow_feed(self, limit: int) -> None:
        """Read and acknowledge a page of the feed."""
        for entry in self._run(self.stores.feed.read("machine", limit=limit)):
            self._fed.append(entry.event)
            self._run(self.stores.feed.acknowledge("machine", entry.position))
        for job_id, life in self.model.lives.items():
            fed = [event for event in self._fed if event.job_id == job_id]
            check_life(fed, life[: len(fed)])

    @rule(age=SECONDS)
    def forget(self, age: timedelta) -> None:
        """Forget old jobs, once the feed has been read."""
        self.follow_feed(100_000)
        before = self.now - age
        assert self._run(self.stores.board.forget(before, limit=1000)) == self.model.forget(before)

    @rule()
    def list_jobs(self) -> None:
        """List and count the jobs."""
        newest = sorted(self.model.jobs, key=lambda job: (job.created_at, job.id), reverse=True)
        listed = self._run(self.stores.catalog.list(ACME, JobFilter(), start=None, limit=1000))
        counts = self._run(self.stores.catalog.counts(ACME))
        assert list(listed) == newest
        assert sum(group.count for group in counts) == len(newest)
        assert not self._run(self.stores.catalog.list(GLOBEX, JobFilter(), start=None, limit=1000))

    @invariant()
    def the_stores_are_as_the_model(self) -> None:
        """Assert that state, events and output of every job are those of the model."""
        for job_id, life in self.model.lives.items():
            stored = self._run(self.stores.jobs.get(ACME, job_id))
            events = self._run(self.stores.jobs.events(ACME, job_id))
            outputs = self._run(self.stores.outputs.read(ACME, job_id))
            assert stored == life[-1]
            assert events[-1].status is stored.status
            check_life(events, life)
            kept = self.model.outputs.get(job_id)
            assert [(chunk.attempt, chunk.text) for chunk in outputs] == ([] if kept is None else [kept])

    def _change(self, job_id: JobId, decide: Callable[[Job], Job]) -> None:
        for job in self._present(job_id):
            try:
                following = decide(job)
            except IllegalTransition:
                return
            self._run(self.stores.jobs.save(following))
            self.model.save(following)

    def _append(self, job: Job, text: str, shift: int) -> None:
        attempt, kept = self.model.outputs.get(job.id, (job.attempt, ""))
        kept = kept if attempt == job.attempt else ""
        append = self.stores.outputs.append(a_chunk(job, text, offset=len(kept.encode()) + shift))
        if job.status is JobStatus.PROCESSING and shift == 0:
            self._run(append)
            self.model.outputs[job.id] = (job.attempt, kept + text)
        else:
            with pytest.raises(JobChanged):
                self._run(append)

    def _present(self, job_id: JobId) -> list[Job]:
        """Return the job as a list of one; of none, and none in the store, when it was forgotten."""
        if job_id in self.model.lives:
            return [self.model.lives[job_id][-1]]
        with pytest.raises(JobNotFound):
            self._run(self.stores.jobs.get(ACME, job_id))
        return []

    async def _winners(self, versions: list[Job]) -> list[Job]:
        outcomes = await asyncio.gather(*map(self.stores.jobs.save, versions), return_exceptions=True)
        assert all(outcome is None or isinstance(outcome, JobChanged) for outcome in outcomes)
        return [job for job, outcome in zip(versions, outcomes, strict=True) if outcome is None]

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)
