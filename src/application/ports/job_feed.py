"""All events of all jobs, in the order in which they were written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from encola.domain.event import JobEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEntry:
    """An event and its place in the feed."""

    position: int
    event: JobEvent


class JobFeed(Protocol):
    """Lets named consumers follow what happened, each at its own pace, at least once.

    Kept by the same writes as the :class:`JobStore`: an event is in the feed exactly when its state
    is in the store. Events of one job come in the order of their ``seq``.
    """

    async def read(self, consumer: str, *, limit: int) -> Sequence[FeedEntry]:
        """Return the first ``limit`` entries that the consumer has not acknowledged."""
        ...

    async def acknowledge(self, consumer: str, position: int) -> None:
        """Note that the consumer is done with everything up to ``position``; never goes back."""
        ...
