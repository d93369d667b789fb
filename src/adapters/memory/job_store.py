"""The job store in memory."""

import asyncio
from datetime import datetime
from itertools import islice

from encola.adapters.memory.state import MemoryState
from encola.application.ports import IdempotencyKey, JobStore, Notifier
from encola.domain.context import JobId, TenantId
from encola.domain.errors import JobChanged
from encola.domain.event import JobEvent
from encola.domain.job import Job


class InMemoryJobStore(JobStore):
    """Jobs in one process: for tests, and for whoever can bear to lose them."""

    def __init__(self, state: MemoryState, notifier: Notifier) -> None:
        self._state = state
        self._notifier = notifier

    async def add(
        self, job: Job, key: IdempotencyKey | None = None, *, taken_until: datetime | None = None
    ) -> Job:
        await asyncio.sleep(0)  # a real store would let others run here; so must this one
        kept = self._known(job, key)
        if kept is not None:
            return kept
        event = self._state.write(job)
        if taken_until is not None:
            self._state.take(job, taken_until)
        if key is not None:
            self._state.remember(job.tenant_id, key, job)
        await self._notifier.publish(event)
        return self._state.get(job.tenant_id, job.id)

    async def get(self, tenant: TenantId, job_id: JobId) -> Job:
        await asyncio.sleep(0)
        return self._state.get(tenant, job_id)

    async def save(self, job: Job) -> None:
        await asyncio.sleep(0)
        stored = self._state.get(job.tenant_id, job.id)
        if stored.seq != job.seq - 1 or stored.attempt > job.attempt:
            raise JobChanged(f"Job {job.id} has changed.")
        await self._notifier.publish(self._state.write(job))

    async def events(
        self, tenant: TenantId, job_id: JobId, *, after: int = 0, limit: int = 1000
    ) -> list[JobEvent]:
        await asyncio.sleep(0)
        kept = self._state.events(tenant, job_id)
        return list(islice((event for event in kept if event.seq > after), limit))

    def _known(self, job: Job, key: IdempotencyKey | None) -> Job | None:
        by_key = key and self._state.remembered(job.tenant_id, key, job.created_at)
        return by_key or self._state.find(job.tenant_id, job.id)
