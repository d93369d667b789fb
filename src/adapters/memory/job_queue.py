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
        # A job cannot be changed, but its params can: as on a wire, the receiver has its own.
        message = replace(job, params=json.loads(json.dumps(job.params, allow_nan=False)))
        await asyncio.sleep(0)
        if self.capacity() <= 0:
            raise Overloaded(f"{self._window} jobs wait for a worker already.")
        self._jobs.put_nowait(message)

    def capacity(self) -> int:
        return self._window - self._jobs.qsize()

    async def receive(self) -> Job:
        return await self._jobs.get()
