"""The job feed in memory."""

import asyncio
from collections.abc import Sequence

from encola.adapters.memory.state import MemoryState
from encola.application.ports import FeedEntry, JobFeed


class InMemoryJobFeed(JobFeed):
    """The latest 100,000 events in the order of their writing.

    A consumer that falls further behind goes on with the oldest that is kept.
    """

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def read(self, consumer: str, *, limit: int) -> Sequence[FeedEntry]:
        await asyncio.sleep(0)
        feed = self._state.feed
        oldest = next(iter(feed), 1)
        first = max(oldest, self._state.consumers.get(consumer, 0) + 1)
        return [feed[position] for position in range(first, min(first + limit, oldest + len(feed)))]

    async def acknowledge(self, consumer: str, position: int) -> None:
        await asyncio.sleep(0)
        consumers = self._state.consumers
        consumers[consumer] = max(position, consumers.get(consumer, 0))
