"""Handing due jobs to the queue."""

import asyncio
from dataclasses import dataclass

from encola.application.fast_lane import FastLane
from encola.application.ports import Clock, JobStore, WorkBoard
from encola.domain.errors import JobChanged, JobNotFound, Overloaded
from encola.domain.job import Job, JobStatus

BATCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchJobs:
    """Take what is due, as much as the queue has room for, and publish it.

    A job stays due until a worker claims it: one whose message was lost is published again after
    the fast lane's patience.
    """

    board: WorkBoard
    store: JobStore
    fast_lane: FastLane
    clock: Clock

    async def __call__(self) -> int:
        """Publish one batch and return how many jobs it had."""
        room = min(self.fast_lane.room, BATCH)
        if room <= 0:
            return 0
        with self.fast_lane.holding(room):
            now = self.clock.now()
            again_at = now + self.fast_lane.patience
            full = self.fast_lane.queue.full()
            jobs = await self.board.take_due(now, again_at=again_at, limit=room, skip=full)
            self.fast_lane.is_clear = len(jobs) < room and not full
            await asyncio.gather(*(self._publish(job) for job in jobs))
        return len(jobs)

    async def _publish(self, job: Job) -> None:
        try:
            if job.status is JobStatus.SCHEDULED:
                # Saving makes it due afresh, so the next batch publishes what is then queued.
                await self.store.save(job.queued(self.clock.now()))
            else:
                await self.fast_lane.queue.publish(job)
        except (JobChanged, JobNotFound, Overloaded):
            return  # whoever changed it takes care of it; what was not taken stays due
