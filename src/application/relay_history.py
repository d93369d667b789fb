"""Carrying events into the durable past, out of the way of the jobs themselves."""

from dataclasses import dataclass

from encola.application.ports import JobFeed, JobHistory

BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayHistory:
    """Pass the feed on to a history, at least once and in order."""

    feed: JobFeed
    history: JobHistory
    consumer: str = "history"

    async def __call__(self) -> int:
        """Pass one batch on and return how many events it had.

        :raises StoreUnavailable: the history did not take it; the next call begins there again
        """
        entries = await self.feed.read(self.consumer, limit=BATCH)
        if entries:
            await self.history.record([entry.event for entry in entries])
            await self.feed.acknowledge(self.consumer, entries[-1].position)
        return len(entries)
