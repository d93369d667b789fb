"""The truth about live jobs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from encola.domain.context import JobId, TenantId
from encola.domain.event import JobEvent
from encola.domain.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """A caller's name for one request, remembered per tenant until ``expires_at``."""

    text: str
    expires_at: datetime


class JobStore(Protocol):
    """Keeps the one true state of every job, and its numbered events.

    A write is one step or none: the state, the event that announces it, the indexes by which
    keepers find the job, and then the announcement to whoever watches. A job of another tenant
    does not exist. The store compares and writes; it never decides what a job may become.
    """

    async def add(
        self, job: Job, key: IdempotencyKey | None = None, *, taken_until: datetime | None = None
    ) -> Job:
        """Keep a new job and its first event; return the job that is now stored.

        When the tenant used ``key`` before and it has not expired at ``job.created_at``, the job
        kept under it is returned as it is now, and nothing is written. The same job twice is kept
        once. With ``taken_until`` the new job counts as taken from the :class:`WorkBoard` until then.
        """
        ...

    async def get(self, tenant: TenantId, job_id: JobId) -> Job:
        """Return the job as last saved.

        :raises JobNotFound: there is none, or it belongs to another tenant
        """
        ...

    async def save(self, job: Job) -> None:
        """Replace the stored job by its next version, and append the event of that change.

        :raises JobChanged: the stored ``seq`` is not ``job.seq - 1``, or its attempt is higher
            than the job's; nothing is written
        :raises JobNotFound: this tenant has no such job
        """
        ...

    async def events(
        self, tenant: TenantId, job_id: JobId, *, after: int = 0, limit: int = 1000
    ) -> list[JobEvent]:
        """Return the kept events with ``seq > after``, oldest first, at most ``limit``.

        Of a very long life only the latest are kept, never fewer than 1,000; the first returned
        then has a ``seq`` beyond ``after + 1``. The event of the present state is always kept.

        :raises JobNotFound: there is none, or it belongs to another tenant
        """
        ...
