"""Stop signals between processes, on pub/sub of Redis."""

import asyncio
import logging
from collections import deque
from typing import Final

from encola.adapters.redis.links import RedisLinks
from encola.adapters.redis.subscriber import RedisSubscriber
from encola.application.ports import Lease, StopSignals
from encola.domain.context import JobId, TenantId
from encola.domain.errors import StoreUnavailable

logger = logging.getLogger(__name__)

KEPT: Final = 10_000
SEND_SECONDS: Final = 1.0
OPEN_SECONDS: Final = 1.0


class RedisStopSignals(StopSignals):
    """Sends every signal to all processes of its shard, and holds the latest until they are heeded."""

    def __init__(self, links: RedisLinks) -> None:
        self._links = links
        self._subscribers = {
            keys.own("stops").encode(): RedisSubscriber(links.connect, self._heard, lambda channel: None)
            for _, keys in links.all()
        }
        self._signals: deque[Lease] = deque(maxlen=KEPT)
        self._arrived = asyncio.Event()

    async def open(self) -> None:
        """Begin to listen. It waits a second for Redis at the most, which need not be there yet."""
        for channel, subscriber in self._subscribers.items():
            subscriber.open()
            subscriber.hold(channel)
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                for channel, subscriber in self._subscribers.items():
                    await subscriber.confirmed(channel)
        except TimeoutError:
            logger.info("Redis is not there yet; stop signals will be heard when it is")

    async def close(self) -> None:
        """Disconnect."""
        for subscriber in self._subscribers.values():
            await subscriber.close()

    async def send(self, lease: Lease) -> None:
        link, keys = self._links.of(lease.tenant_id)
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await link.call("PUBLISH", keys.own("stops"), _pack(lease))
        except (StoreUnavailable, TimeoutError):
            logger.info("no stop signal could be sent for attempt %d of job %s", lease.attempt, lease.job_id)

    async def receive(self) -> Lease:
        while not self._signals:
            self._arrived.clear()
            await self._arrived.wait()
        return self._signals.popleft()

    def _heard(self, channel: bytes, data: bytes) -> None:
        self._signals.append(_unpack(data))
        self._arrived.set()


def _pack(lease: Lease) -> str:
    return f"{lease.tenant_id} {lease.job_id} {lease.attempt}"


def _unpack(data: bytes) -> Lease:
    tenant, job_id, attempt = data.decode().split(" ")
    return Lease(tenant_id=TenantId(tenant), job_id=JobId(job_id), attempt=int(attempt))
