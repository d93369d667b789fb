"""The application under test with one bug each, of the kinds that job queues are known to have."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from encola import Encola
from encola.application.ports import FeedEntry, IdempotencyKey, JobQueue
from encola.domain.context import JobId, TenantId
from encola.domain.errors import JobChanged, Overloaded
from encola.domain.job import Job, JobStatus
from encola.entrypoints.container import Container
from tests.chaos.altered import Passing, altered, wrapped
from tests.chaos.jobs import declare

NEVER = timedelta(days=1)
DROPPED_OF = 40
SLOW_SUBSCRIBE_SECONDS = 0.3


class _NoFence(Passing):
    """A store that takes a result from whoever brings one, as one that does not compare attempts."""

    async def save(self, job: Job) -> None:
        try:
            await self._inner.save(job)
        except JobChanged:
            if job.status is not JobStatus.COMPLETED:
                raise
            stored = await self._inner.get(job.tenant_id, job.id)
            await self._inner.save(replace(job, seq=stored.seq + 1, attempt=stored.attempt))


class _PublishedForGood(Passing):
    """A board that strikes a job off when it is published, not when it is claimed."""

    async def take_due(self, now: datetime, *, again_at: datetime, **options: Any) -> list[Job]:
        jobs: list[Job] = await self._inner.take_due(now, again_at=again_at + NEVER, **options)
        return jobs


class _PostedForGood(Passing):
    """A store that does the same with what is published without having been on the board."""

    async def add(
        self, job: Job, key: IdempotencyKey | None = None, *, taken_until: datetime | None = None
    ) -> Job:
        until = None if taken_until is None else taken_until + NEVER
        stored: Job = await self._inner.add(job, key, taken_until=until)
        return stored


class _DroppedEvents(Passing):
    """A feed that loses one event in forty."""

    async def read(self, consumer: str, *, limit: int) -> Sequence[FeedEntry]:
        entries: Sequence[FeedEntry] = await self._inner.read(consumer, limit=limit)
        kept = [entry for entry in entries if entry.position % DROPPED_OF]
        return kept or entries


class _UnconfirmedSubscribe(Passing):
    """A notifier that says it listens before it does."""

    def subscribe(self, tenant: TenantId, job_id: JobId) -> AbstractAsyncContextManager[Any]:
        return self._subscribed(tenant, job_id)

    @asynccontextmanager
    async def _subscribed(self, tenant: TenantId, job_id: JobId) -> AsyncIterator[Any]:
        async with AsyncExitStack() as stack:
            yield _Late(stack, self._inner.subscribe(tenant, job_id))


class _Late:
    def __init__(self, stack: AsyncExitStack, subscribing: AbstractAsyncContextManager[Any]) -> None:
        self._stack = stack
        self._subscribing = subscribing
        self._subscription: Any = None

    async def receive(self) -> Any:
        if self._subscription is None:
            await asyncio.sleep(SLOW_SUBSCRIBE_SECONDS)
            self._subscription = await self._stack.enter_async_context(self._subscribing)
        return await self._subscription.receive()


class _PublishFirst(Passing):
    """A store that publishes a new job before it keeps it."""

    def __init__(self, inner: Any, queue: JobQueue) -> None:
        super().__init__(inner)
        self._queue = queue

    async def add(self, job: Job, *values: Any, **options: Any) -> Job:
        with suppress(Overloaded):
            await self._queue.publish(job)
        stored: Job = await self._inner.add(job, *values, **options)
        return stored


def _publish_first(container: Container) -> None:
    container.store.override(_PublishFirst(container.store(), container.queue()))


def _dropping(feeds: Sequence[Any]) -> list[Any]:
    return [_DroppedEvents(feed) for feed in feeds]


no_fence = wrapped(store=_NoFence)
published_first = altered(_publish_first)
dropped_event = wrapped(feeds=_dropping)
unconfirmed_subscribe = wrapped(notifier=_UnconfirmedSubscribe)

# Only in an API, so that it is a worker's bug alone that loses jobs when a worker dies.
_is_api = "api" in sys.argv
no_confirm = wrapped(board=_PublishedForGood, store=_PostedForGood) if _is_api else declare(Encola())
"""With ``ENCOLA_EARLY_ACK_SECONDS`` next to nothing it also acknowledges early."""
