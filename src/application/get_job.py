"""Reading one job."""

from dataclasses import dataclass

from encola.application.ports import JobStore
from encola.domain.context import TenantId, parse_job_id
from encola.domain.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class GetJob:
    """Return a job as last written."""

    store: JobStore

    async def __call__(self, tenant: TenantId, job_id: str) -> Job:
        """Return the tenant's job.

        :raises JobNotFound: there is none, or it belongs to another tenant
        """
        return await self.store.get(tenant, parse_job_id(job_id))
