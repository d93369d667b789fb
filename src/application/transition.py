"""Reading a job, deciding on the next version, and saving it unless somebody was faster."""

from collections.abc import Callable

from encola.application.ports import JobStore
from encola.domain.context import JobId, TenantId
from encola.domain.errors import JobChanged
from encola.domain.job import Job

MAX_TRIES = 20


async def change_job(
    store: JobStore, tenant: TenantId, job_id: JobId, decide: Callable[[Job], Job | None]
) -> Job:
    """Save what ``decide`` makes of the job and return it; ``None`` leaves the job as it is.

    The decision is made anew whenever another writer came first.

    :raises JobNotFound: there is none, or it belongs to another tenant
    :raises JobChanged: others came first every time
    """
    for _ in range(MAX_TRIES):
        job = await store.get(tenant, job_id)
        following = decide(job)
        if following is None:
            return job
        try:
            await store.save(following)
        except JobChanged:
            continue
        return following
    raise JobChanged("The job changes faster than this request can follow; try again.")
