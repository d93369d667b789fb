"""Telling whoever watches now."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias

from encola.domain.context import JobId, TenantId
from encola.domain.event import JobEvent
from encola.domain.output import OutputChunk

Announcement: TypeAlias = JobEvent | OutputChunk


class Subscription(Protocol):
    """One watcher's bounded buffer."""

    async def receive(self) -> Announcement | None:
        """Wait for the next announcement; ``None`` says that some were lost: read the store again."""
        ...


class Notifier(Protocol):
    """Passes announcements on; remembers nothing and never waits for a watcher."""

    async def publish(self, announcement: Announcement) -> None:
        """Tell the present subscribers of that tenant's job. A slow one loses, the others do not."""
        ...

    def subscribe(self, tenant: TenantId, job_id: JobId) -> AbstractAsyncContextManager[Subscription]:
        """Subscribe while the context lasts. Once entered, no later announcement is missed unsaid."""
        ...
