"""Looking after jobs that nobody looks after."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from encola.application.ports import Clock, JobStore, Lease, Metrics, StopSignals, WorkBoard
from encola.domain.errors import JobChanged, JobNotFound, StoreUnavailable
from encola.domain.job import Job

BATCH = 100


@dataclass(slots=True, kw_only=True)
class RecoverJobs:
    """Take jobs from workers whose lease ran out, and end jobs that waited too long."""

    board: WorkBoard
    store: JobStore
    clock: Clock
    metrics: Metrics
    nudge: Callable[[], None]
    stops: StopSignals
    respite: timedelta = timedelta(0)
    _resumes_at: datetime | None = None

    async def __call__(self) -> int:
        """Look after one batch and return how many jobs it changed.

        In the first ``respite`` it does nothing, nor in that after an outage: then every lease looks
        ended, and the living must have time to renew theirs.

        :raises StoreUnavailable: nothing could be read
        """
        now = self.clock.now()
        if self._resumes_at is None:
            self._resumes_at = now + self.respite
        if now < self._resumes_at:
            return 0
        try:
            overdue = await self.board.overdue(now, limit=BATCH)
        except StoreUnavailable:
            self._resumes_at = now + self.respite
            raise
        changed = 0
        for job in overdue:
            following = job.overdue(now)
            if following is not None and await self._save(following):
                changed += 1
                await self.stops.send(Lease.of(job))
        if changed:
            self.nudge()
        return changed

    async def _save(self, job: Job) -> bool:
        try:
            await self.store.save(job)
        except (JobChanged, JobNotFound):
            return False
        if job.status.is_terminal:
            self.metrics.count("encola_jobs_finished_total", type=job.type, status=job.status)
        return True
