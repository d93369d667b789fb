"""The loop that takes jobs from the queue and runs them side by side."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from encola.application.ports import JobDeliveries
from encola.domain.job import Job

logger = logging.getLogger(__name__)


class Worker:
    """Runs up to ``concurrency`` jobs at once."""

    def __init__(
        self, deliveries: JobDeliveries, run_job: Callable[[Job], Awaitable[None]], concurrency: int
    ) -> None:
        self._deliveries = deliveries
        self._run_job = run_job
        self._places = asyncio.Semaphore(concurrency)
        self._jobs: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Take jobs until cancelled; those that run then go on."""
        while True:
            await self._places.acquire()
            try:
                job = await self._deliveries.receive()
            except BaseException:
                self._places.release()
                raise
            task = asyncio.create_task(self._run(job))
            self._jobs.add(task)
            task.add_done_callback(self._jobs.discard)

    async def drain(self, seconds: float) -> None:
        """Let running jobs end for so long, then hand the rest back."""
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=seconds)
        rest = list(self._jobs)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _run(self, job: Job) -> None:
        try:
            await self._run_job(job)
        except Exception:
            # The job keeps its lease; when that ends, a keeper gives it to another attempt.
            logger.exception("job %s (%s): the worker could not run it", job.id, job.type)
        finally:
            self._places.release()
