"""Announcements within one process."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from encola.application.ports import Announcement, Notifier, Subscription
from encola.domain.context import JobId, TenantId


class InProcessSubscription(Subscription):
    """A buffer of bounded length that is dropped whole when it overflows."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._waiting: deque[Announcement | None] = deque()
        self._arrived = asyncio.Event()

    async def receive(self) -> Announcement | None:
        await self._arrived.wait()
        announcement = self._waiting.popleft()
        if not self._waiting:
            self._arrived.clear()
        return announcement

    def offer(self, announcement: Announcement) -> None:
        """Take it into the buffer. When that is full, say so by ``None`` in place of all it held."""
        if len(self._waiting) >= self._bound:
            self._waiting.clear()
            self._waiting.append(None)
        self._waiting.append(announcement)
        self._arrived.set()


class InProcessNotifier(Notifier):
    """Passes announcements from tasks to tasks of one loop."""

    def __init__(self, buffer: int = 256) -> None:
        self._buffer = buffer
        self._subscriptions: dict[tuple[TenantId, JobId], set[InProcessSubscription]] = {}

    async def publish(self, announcement: Announcement) -> None:
        # No await stands here: whoever publishes right after a write keeps the order of the writes.
        for subscription in self._subscriptions.get((announcement.tenant_id, announcement.job_id), ()):
            subscription.offer(announcement)

    def subscribe(self, tenant: TenantId, job_id: JobId) -> AbstractAsyncContextManager[Subscription]:
        return self._subscribed((tenant, job_id))

    @asynccontextmanager
    async def _subscribed(self, job: tuple[TenantId, JobId]) -> AsyncIterator[Subscription]:
        subscription = InProcessSubscription(self._buffer)
        self._subscriptions.setdefault(job, set()).add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions[job].discard(subscription)
            if not self._subscriptions[job]:
                del self._subscriptions[job]
