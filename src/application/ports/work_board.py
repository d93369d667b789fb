"""Where keepers and workers find what is to be done."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from encola.domain.context import JobId, TenantId
from encola.domain.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right of one attempt to write, for a while."""

    tenant_id: TenantId
    job_id: JobId
    attempt: int

    @classmethod
    def of(cls, job: Job) -> "Lease":
        """Return the right of the job's present attempt."""
        return cls(tenant_id=job.tenant_id, job_id=job.id, attempt=job.attempt)


class WorkBoard(Protocol):
    """Finds jobs by what they wait for, over all tenants.

    Kept by the same writes as the :class:`JobStore`; the two never disagree.
    """

    async def take_due(
        self, now: datetime, *, again_at: datetime, limit: int, skip: Collection[str] = ()
    ) -> list[Job]:
        """Take jobs whose ``due_at`` has come, by priority and then by due time.

        Jobs of the queues that ``skip`` names are left. Two callers never take the same job at
        once. A job that is taken and then neither claimed nor changed is given again from
        ``again_at`` on: a claim, not a taking, ends its wait.
        """
        ...

    async def renew(self, leases: Sequence[Lease], until: datetime) -> list[Lease]:
        """Extend each lease by setting the job's ``check_at``; return those that no longer hold.

        A lease holds while the stored job is under the same attempt and not waiting or ended. No
        event is made.
        """
        ...

    async def overdue(self, now: datetime, *, limit: int) -> list[Job]:
        """Return jobs whose ``check_at`` has come, oldest first. Nothing is taken."""
        ...

    async def reset(self, now: datetime) -> None:
        """Forget who took or leased what: taken jobs can be taken, every lease ends at ``now``.

        Only for a process that knows itself to be the only one.
        """
        ...

    async def forget(self, finished_before: datetime, *, limit: int) -> int:
        """Remove up to ``limit`` jobs that ended before, with events and output; return how many."""
        ...
