"""The durable past."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from encola.domain.context import JobId, TenantId
from encola.domain.event import JobEvent


class JobHistory(Protocol):
    """Keeps every event of every job, longer than the store keeps the job."""

    async def record(self, events: Sequence[JobEvent]) -> None:
        """Keep the events; one that is kept already (same job, epoch and ``seq``) is kept once."""
        ...

    async def events(self, tenant: TenantId, job_id: JobId) -> Sequence[JobEvent]:
        """Return the job's events by ``seq``; empty for an unknown or foreign job."""
        ...

    async def forget(self, before: datetime, *, limit: int) -> int:
        """Remove up to ``limit`` events older than ``before``; return how many."""
        ...
