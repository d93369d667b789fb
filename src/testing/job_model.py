"""What stores should hold, as simply as it can be said."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from encola.application.ports import IdempotencyKey
from encola.domain.context import JobId
from encola.domain.event import JobEvent, announce
from encola.domain.job import Job, JobStatus, Priority

_RANKS = [Priority.HIGH, Priority.NORMAL, Priority.LOW]


class JobModel:
    """Every version of every job in a dict, and who took what until when."""

    def __init__(self) -> None:
        self.lives: dict[JobId, list[Job]] = {}
        self.outputs: dict[JobId, tuple[int, str]] = {}
        self._taken: dict[JobId, datetime] = {}
        self._keys: dict[str, tuple[JobId, datetime]] = {}

    @property
    def jobs(self) -> list[Job]:
        """Return the present version of each job."""
        return [life[-1] for life in self.lives.values()]

    def named(self, key: IdempotencyKey, at: datetime) -> Job | None:
        """Return the job that was made under the key, unless that has expired."""
        job_id, expires_at = self._keys.get(key.text, (None, at))
        return self.lives[job_id][-1] if job_id in self.lives and expires_at > at else None

    def add(self, job: Job, key: IdempotencyKey) -> None:
        """Keep a new job."""
        self.lives[job.id] = [job]
        self._keys[key.text] = (job.id, key.expires_at)

    def save(self, job: Job) -> None:
        """Keep the next version of a job."""
        self.lives[job.id].append(job)
        self._taken.pop(job.id, None)

    def amend(self, job_id: JobId, check_at: datetime) -> None:
        """Move the time at which a keeper must look, in place."""
        self.lives[job_id][-1] = replace(self.lives[job_id][-1], check_at=check_at)

    def take(self, job: Job, again_at: datetime) -> None:
        """Note that the job is taken."""
        self._taken[job.id] = again_at

    def reset(self, now: datetime) -> None:
        """Forget who took or leased what."""
        self._taken.clear()
        for job in self.jobs:
            if job.status is JobStatus.PROCESSING:
                self.amend(job.id, now)

    def forget(self, before: datetime) -> int:
        """Forget what ended before; return how many."""
        old = [job.id for job in self.jobs if job.finished_at is not None and job.finished_at < before]
        for job_id in old:
            del self.lives[job_id]
            self.outputs.pop(job_id, None)
        return len(old)

    def due(self, now: datetime) -> list[Job]:
        """Return the jobs that can be taken, in the order in which they must be."""
        free = (job for job in self.jobs if self._taken.get(job.id, now) <= now)
        return sorted((job for job in free if job.due_at is not None and job.due_at <= now), key=due_place)

    def overdue(self, now: datetime) -> list[Job]:
        """Return the jobs that a keeper must look at; the order among them is that of ``check_at``."""
        return [job for job in self.jobs if job.check_at is not None and job.check_at <= now]


def due_place(job: Job) -> tuple[int, datetime]:
    """Return what orders the jobs that are due."""
    assert job.due_at is not None
    return _RANKS.index(job.priority), job.due_at


def check_life(events: Sequence[JobEvent], life: Sequence[Job]) -> None:
    """Assert that the events are those of the versions, and could be those of a job at all."""
    assert [event.seq for event in events] == list(range(1, len(life) + 1)), "seq has a gap"
    assert list(events) == [announce(job) for job in life], "events are not the states"
    for before, after in pairwise(events):
        assert after.attempt >= before.attempt, "a lower attempt wrote"
        assert not before.final or after.status is JobStatus.QUEUED, "a job changed after its end"
