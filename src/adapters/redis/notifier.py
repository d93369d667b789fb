"""Announcements between processes, on pub/sub of Redis."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from encola.adapters.redis.announcements import job_of, pack, unpack
from encola.adapters.redis.links import RedisLinks
from encola.adapters.redis.subscriber import RedisSubscriber
from encola.application.ports import Announcement, Notifier, Subscription
from encola.domain.context import JobId, TenantId


class RedisSubscription(Subscription):
    """A buffer of bounded length that is dropped whole when it overflows, or something was missed."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._waiting: deque[Announcement | None] = deque()
        self._arrived = asyncio.Event()

    async def receive(self) -> Announcement | None:
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()

    def offer(self, announcement: Announcement) -> None:
        """Take it into the buffer."""
        if len(self._waiting) >= self._bound:
            self.lose()
        self._waiting.append(announcement)
        self._arrived.set()

    def lose(self) -> None:
        """Say by ``None``, in place of all that waits, that some were lost."""
        self._waiting.clear()
        self._waiting.append(None)
        self._arrived.set()


@dataclass(frozen=True, slots=True)
class _Watched:
    """Who watches which jobs of a tenant."""

    tenant: TenantId
    jobs: dict[JobId, set[RedisSubscription]] = field(default_factory=dict)


class RedisNotifier(Notifier):
    """Passes announcements on, through one channel a tenant.

    A process listens to the channels of the tenants that somebody watches, over one connection a
    shard, and reads of each announcement no more than the job's id unless that job is watched. Whoever
    watches while the connection is lost is told so at once, and again when it is back.
    """

    def __init__(self, links: RedisLinks, buffer: int = 256) -> None:
        self._links = links
        self._buffer = buffer
        self._subscribers = {
            keys.shard: RedisSubscriber(links.connect, self._heard, self._missed) for _, keys in links.all()
        }
        self._watched: dict[bytes, _Watched] = {}

    async def open(self) -> None:
        """Begin to connect; Redis need not be there yet."""
        for subscriber in self._subscribers.values():
            subscriber.open()

    async def close(self) -> None:
        """Disconnect; who still watches is told that some were lost, and hears nothing more."""
        for subscriber in self._subscribers.values():
            await subscriber.close()

    async def publish(self, announcement: Announcement) -> None:
        tenant = announcement.tenant_id
        link, keys = self._links.of(tenant)
        await link.call("PUBLISH", keys.live(tenant), pack(announcement))

    def subscribe(self, tenant: TenantId, job_id: JobId) -> AbstractAsyncContextManager[Subscription]:
        return self._subscribed(tenant, job_id)

    @asynccontextmanager
    async def _subscribed(self, tenant: TenantId, job_id: JobId) -> AsyncIterator[Subscription]:
        _, keys = self._links.of(tenant)
        channel = keys.live(tenant).encode()
        async with self._subscribers[keys.shard].listening(channel):
            subscription = RedisSubscription(self._buffer)
            watched = self._watched.setdefault(channel, _Watched(tenant))
            watchers = watched.jobs.setdefault(job_id, set())
            watchers.add(subscription)
            try:
                yield subscription
            finally:
                watchers.discard(subscription)
                if not watchers:
                    del watched.jobs[job_id]
                if not watched.jobs:
                    del self._watched[channel]

    def _heard(self, channel: bytes, data: bytes) -> None:
        watched = self._watched.get(channel)
        if watched is None:
            return
        watchers = watched.jobs.get(job_of(data))
        if watchers:
            announcement = unpack(watched.tenant, data)
            for subscription in watchers:
                subscription.offer(announcement)

    def _missed(self, channel: bytes) -> None:
        watched = self._watched.get(channel)
        if watched is not None:
            for watchers in watched.jobs.values():
                for subscription in watchers:
                    subscription.lose()
