"""The work board in memory."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice

from encola.adapters.memory.state import MemoryState, runs_under
from encola.application.ports import Lease, WorkBoard
from encola.domain.job import Job


class InMemoryWorkBoard(WorkBoard):
    """What is to be done, read from the state that the in-memory store writes."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def take_due(
        self, now: datetime, *, again_at: datetime, limit: int, skip: Collection[str] = ()
    ) -> list[Job]:
        await asyncio.sleep(0)
        free = (
            (key, due)
            for key, due in self._state.due.items()
            if due.due_at <= now and due.free_at <= now and due.queue not in skip
        )
        first = sorted(free, key=lambda pair: (pair[1].rank, pair[1].due_at))[:limit]
        for _, due in first:
            due.free_at = again_at
        return [self._state.get(*key) for key, _ in first]

    async def renew(self, leases: Sequence[Lease], until: datetime) -> list[Lease]:
        await asyncio.sleep(0)
        return [lease for lease in leases if not self._extend(lease, until)]

    async def overdue(self, now: datetime, *, limit: int) -> list[Job]:
        await asyncio.sleep(0)
        over = sorted((at, key) for key, at in self._state.checks.items() if at <= now)
        return [self._state.get(*key) for _, key in islice(over, limit)]

    async def reset(self, now: datetime) -> None:
        await asyncio.sleep(0)
        for due in self._state.due.values():
            due.free_at = due.due_at
        for job in [self._state.get(*key) for key in self._state.checks]:
            if runs_under(job, job.attempt):
                self._state.amend(replace(job, check_at=now))

    async def forget(self, finished_before: datetime, *, limit: int) -> int:
        await asyncio.sleep(0)
        keys = self._state.ended_before(finished_before)[:limit]
        for key in keys:
            self._state.remove(key)
        return len(keys)

    def _extend(self, lease: Lease, until: datetime) -> bool:
        job = self._state.find(lease.tenant_id, lease.job_id)
        if job is None or not runs_under(job, lease.attempt):
            return False
        self._state.amend(replace(job, check_at=until))
        return True
