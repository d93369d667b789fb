"""Carrying events into the durable past, out of the way of the jobs themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from encola.application.ports import Clock, FeedEntry, JobFeed, JobHistory

BATCH = 500
LONGEST_WAIT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayHistory:
    """Pass the feed on to a history, at least once and in order.

    With ``settle`` it waits until nothing has happened for so long, though never longer than ten
    seconds: telling a service costs as much as running a small job, and the jobs come first.
    """

    feed: JobFeed
    history: JobHistory
    clock: Clock
    consumer: str = "history"
    settle: timedelta = timedelta(0)

    async def __call__(self) -> int:
        """Pass one batch on and return how many events it had.

        :raises StoreUnavailable: the history did not take it; the next call begins there again
        """
        entries = await self.feed.read(self.consumer, limit=BATCH)
        if not entries or self._is_early(entries):
            return 0
        await self.history.record([entry.event for entry in entries])
        await self.feed.acknowledge(self.consumer, entries[-1].position)
        return len(entries)

    def _is_early(self, entries: Sequence[FeedEntry]) -> bool:
        if not self.settle:
            return False
        now = self.clock.now()
        oldest, newest = (datetime.fromisoformat(entries[place].event.ts) for place in (0, -1))
        return now - newest < self.settle and now - oldest < LONGEST_WAIT
