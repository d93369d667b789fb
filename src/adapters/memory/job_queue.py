"""The queue between keepers and the worker of one process."""

import asyncio
import json

from encola.application.ports import JobDeliveries, JobQueue
from encola.domain.errors import Overloaded
from encola.domain.job import Job
from encola.domain.record import dump_job, load_job


class InProcessJobQueue(JobQueue, JobDeliveries):
    """Holds up to ``window`` jobs that no worker has received yet, first in, first out."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._messages: asyncio.Queue[str] = asyncio.Queue()

    async def publish(self, job: Job) -> None:
        message = json.dumps(dump_job(job), allow_nan=False)
        await asyncio.sleep(0)
        if self.capacity() <= 0:
            raise Overloaded(f"{self._window} jobs wait for a worker already.")
        self._messages.put_nowait(message)

    def capacity(self) -> int:
        return self._window - self._messages.qsize()

    async def receive(self) -> Job:
        return load_job(json.loads(await self._messages.get()))
