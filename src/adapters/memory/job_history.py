"""The history of jobs in memory."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

from encola.application.ports import JobHistory
from encola.domain.context import JobId, TenantId
from encola.domain.event import JobEvent

_Place: TypeAlias = tuple[str, int]


class InMemoryJobHistory(JobHistory):
    """Events by job; they stay until they are forgotten."""

    def __init__(self) -> None:
        self._events: dict[tuple[TenantId, JobId], dict[_Place, JobEvent]] = {}

    async def record(self, events: Sequence[JobEvent]) -> None:
        await asyncio.sleep(0)
        for event in events:
            of_job = self._events.setdefault((event.tenant_id, event.job_id), {})
            of_job.setdefault((event.epoch, event.seq), event)

    async def events(self, tenant: TenantId, job_id: JobId) -> Sequence[JobEvent]:
        await asyncio.sleep(0)
        return sorted(self._events.get((tenant, job_id), {}).values(), key=lambda event: event.seq)

    async def forget(self, before: datetime, *, limit: int) -> int:
        await asyncio.sleep(0)
        old = [
            event for of_job in self._events.values() for event in of_job.values() if _is_older(event, before)
        ]
        for event in old[:limit]:
            self._remove(event)
        return len(old[:limit])

    def _remove(self, event: JobEvent) -> None:
        job = (event.tenant_id, event.job_id)
        del self._events[job][event.epoch, event.seq]
        if not self._events[job]:
            del self._events[job]


def _is_older(event: JobEvent, instant: datetime) -> bool:
    return datetime.fromisoformat(event.ts) < instant
