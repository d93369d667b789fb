"""Keeping jobs that may kill their worker away from each other."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from encola.domain.job import Job

SUSPECTED_AFTER = 2


class Suspects:
    """Lets a job whose workers died twice run only while few others like it run here.

    When a worker dies, all its jobs look alike. Run apart, the one that kills dies alone the next
    times, until it is quarantined, and the others end.
    """

    def __init__(self, limit: int, patience: timedelta = timedelta(seconds=5)) -> None:
        self._places = asyncio.Semaphore(limit)
        self._patience = patience

    @asynccontextmanager
    async def place(self, job: Job) -> AsyncGenerator[bool, None]:
        """Tell whether the job may run while the context lasts."""
        if job.losses < SUSPECTED_AFTER:
            yield True
            return
        try:
            async with asyncio.timeout(self._patience.total_seconds()):
                await self._places.acquire()
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            self._places.release()
