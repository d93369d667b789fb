"""Letting go of what was kept long enough."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from encola.application.ports import Clock, JobFeed, JobHistory, WorkBoard

BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetJobs:
    """Remove jobs that ended longer ago than ``job_retention``, and older history.

    Waits while one of ``consumers`` has not yet seen all of the feeds; they are those that read what
    is about to be removed, and none where a feed has entries of its own.
    """

    board: WorkBoard
    feeds: Sequence[JobFeed]
    histories: Sequence[JobHistory]
    consumers: Sequence[str]
    clock: Clock
    job_retention: timedelta = timedelta(days=7)
    history_retention: timedelta = timedelta(days=90)

    async def __call__(self) -> int:
        """Remove one batch and return how many jobs and events it had."""
        for consumer in self.consumers:
            for feed in self.feeds:
                if await feed.read(consumer, limit=1):
                    return 0
        now = self.clock.now()
        removed = await self.board.forget(now - self.job_retention, limit=BATCH)
        for history in self.histories:
            removed += await history.forget(now - self.history_retention, limit=BATCH)
        return removed
