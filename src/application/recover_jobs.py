"""Looking after jobs that nobody looks after."""

from collections.abc import Callable
from dataclasses import dataclass

from encola.application.ports import Clock, JobStore, Metrics, WorkBoard
from encola.domain.errors import JobChanged, JobNotFound
from encola.domain.job import Job

BATCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverJobs:
    """Take jobs from workers whose lease ran out, and end jobs that waited too long."""

    board: WorkBoard
    store: JobStore
    clock: Clock
    metrics: Metrics
    nudge: Callable[[], None]

    async def __call__(self) -> int:
        """Look after one batch and return how many jobs it changed."""
        now = self.clock.now()
        changed = 0
        for job in await self.board.overdue(now, limit=BATCH):
            following = job.overdue(now)
            if following is not None:
                changed += await self._save(following)
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
