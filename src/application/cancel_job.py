"""Stopping a job."""

from dataclasses import dataclass

from encola.application.ports import Clock, JobStore, Lease, Metrics, StopSignals
from encola.application.transition import change_job
from encola.domain.context import TenantId, parse_job_id
from encola.domain.job import Job, JobStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelJob:
    """Cancel a job: what waits never runs, what runs is stopped and can write nothing more."""

    store: JobStore
    clock: Clock
    metrics: Metrics
    stops: StopSignals

    async def __call__(self, tenant: TenantId, job_id: str) -> Job:
        """Return the cancelled job; a second cancel changes nothing.

        :raises JobNotFound: there is none, or it belongs to another tenant
        :raises IllegalTransition: it ended otherwise before
        """
        ours: Job | None = None

        def cancel(job: Job) -> Job | None:
            nonlocal ours
            ours = None if job.status is JobStatus.CANCELLED else job.cancelled(self.clock.now())
            return ours

        job = await change_job(self.store, tenant, parse_job_id(job_id), cancel)
        if ours is not None:
            self.metrics.count("encola_jobs_finished_total", type=job.type, status=job.status)
            await self.stops.send(Lease.of(job))
        return job
