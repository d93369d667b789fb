"""The queue between keepers and the worker of one process."""

import asyncio
import json
from dataclasses import replace

from encola.application.ports import JobDeliveries, JobQueue
from encola.domain.errors import Overloaded
from encola.domain.job import Job


class InProcessJobQueue(JobQueue, JobDeliveries):
    """Holds up to ``window`` jobs that no worker has received yet, first in, first out."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()

    async def publish(self, job: Job) -> None:
        message = _copied(job)
        await asyncio.sleep(0)
        if self.capacity() <= 0:
            raise Overloaded(f"{self._window} jobs wait for a worker already.")
        self._jobs.put_nowait(message)

    def post(self, job: Job) -> None:
        self._jobs.put_nowait(_copied(job))

    def full(self) -> frozenset[str]:
        return frozenset()

    def capacity(self) -> int:
        return self._window - self._jobs.qsize()

    async def receive(self) -> Job:
        return await self._jobs.get()


def _copied(job: Job) -> Job:
    """Return the job with params of its own, as a wire would: a job cannot be changed, but they can."""
    return replace(job, params=json.loads(json.dumps(job.params, allow_nan=False)))
