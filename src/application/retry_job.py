"""Sending an ended job round again."""

from collections.abc import Callable
from dataclasses import dataclass

from encola.application.ports import Clock, JobStore
from encola.application.transition import change_job
from encola.domain.context import TenantId, parse_job_id
from encola.domain.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryJob:
    """Queue a failed, cancelled or expired job once more, under the same id."""

    store: JobStore
    clock: Clock
    nudge: Callable[[], None]

    async def __call__(self, tenant: TenantId, job_id: str) -> Job:
        """Return the queued job.

        :raises JobNotFound: there is none, or it belongs to another tenant
        :raises IllegalTransition: it lives, or it completed
        """
        known = parse_job_id(job_id)
        job = await change_job(self.store, tenant, known, lambda job: job.reopened(self.clock.now()))
        self.nudge()
        return job
