"""Watching a job: what was missed, then what happens, then the end, each exactly once."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta

from encola.application.ports import Announcement, Clock, JobOutputs, JobStore, Notifier
from encola.domain.context import JobId, TenantId
from encola.domain.errors import StoreUnavailable
from encola.domain.event import JobEvent
from encola.domain.output import OutputChunk

logger = logging.getLogger(__name__)

PAGE = 500
STORE_PAUSE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """The last event a watcher has seen; ``seq`` 0 is "none yet"."""

    seq: int
    epoch: str | None = None


FROM_THE_START = Since(seq=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """What a watcher did not see: all of it, or the present state alone.

    ``since`` is where its numbers begin, 0 with the present state alone; ``is_over`` says that the
    job has ended and the watcher knows.
    """

    events: list[JobEvent]
    is_whole: bool
    since: int = 0
    is_over: bool = False


@dataclass(slots=True)
class _Seen:
    """How far one watcher is."""

    seq: int = 0
    final: bool = False
    outputs: dict[str, tuple[int, int]] = field(default_factory=dict)

    def takes(self, chunk: OutputChunk) -> bool:
        """Tell whether the chunk continues, or begins anew, what this watcher has."""
        attempt, end = self.outputs.get(chunk.name, (0, 0))
        return chunk.offset == (end if chunk.attempt == attempt else 0) and chunk.attempt >= attempt

    def misses(self, chunk: OutputChunk) -> bool:
        """Tell whether something before the chunk did not arrive."""
        attempt, end = self.outputs.get(chunk.name, (0, 0))
        return chunk.offset > (end if chunk.attempt == attempt else 0) and chunk.attempt >= attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowJob:
    """Follow one job to its end.

    Subscribe, read what was missed, then go on live: in that order nothing falls between. A gap is
    filled from the store, never guessed. Should announcements fail to arrive at all, the store is
    read anew every ``backstop``.
    """

    store: JobStore
    outputs: JobOutputs
    notifier: Notifier
    clock: Clock
    backstop: timedelta = timedelta(seconds=20)

    async def __call__(
        self, tenant: TenantId, job_id: JobId, since: Since | None = None
    ) -> AsyncGenerator[Announcement, None]:
        """Yield what follows ``since``, up to the event that ends the job.

        What is still kept after ``since`` is replayed whole, or else replaced by the event of the
        present state. Without ``since`` it starts with the present state. Partial output comes as
        chunks, first all there is.

        :raises JobNotFound: there is none, or it belongs to another tenant
        """
        seen = _Seen()
        async with self.notifier.subscribe(tenant, job_id) as announcements:
            missed = await self.missed(tenant, job_id, since)
            seen.seq, seen.final = missed.since, missed.is_over
            for event in missed.events:
                yield _noted(seen, event)
            while not seen.final:
                async with aclosing(self._outputs(tenant, job_id, seen)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                # Until something is lost, what arrives is complete.
                while not seen.final:
                    announcement = await self._next(announcements.receive)
                    if announcement is None or _is_gap(seen, announcement):
                        break
                    if _is_new(seen, announcement):
                        yield _noted(seen, announcement)
                if not seen.final:
                    for event in await self._after(tenant, job_id, seen.seq):
                        yield _noted(seen, event)

    async def until(
        self, tenant: TenantId, job_id: JobId, since: Since | None, is_it: Callable[[JobEvent], bool]
    ) -> None:
        """Return when an event fits, or the job has ended."""
        async with aclosing(self(tenant, job_id, since)) as announcements:
            async for announcement in announcements:
                if isinstance(announcement, JobEvent) and is_it(announcement):
                    return

    async def missed(self, tenant: TenantId, job_id: JobId, since: Since | None) -> Missed:
        """Return what there is after ``since`` by now, without waiting for more.

        :raises JobNotFound: there is none, or it belongs to another tenant
        """
        job = await self.store.get(tenant, job_id)
        if since is not None and since.epoch in (None, job.epoch) and since.seq <= job.seq:
            events = await self._kept(tenant, job_id, since.seq)
            if not events or events[0].seq == since.seq + 1:
                is_over = not events and job.status.is_terminal
                return Missed(events=events, is_whole=True, since=since.seq, is_over=is_over)
        latest = (await self._kept(tenant, job_id, job.seq - 1))[-1:]
        return Missed(events=latest, is_whole=False)

    async def _kept(self, tenant: TenantId, job_id: JobId, after: int) -> list[JobEvent]:
        kept: list[JobEvent] = []
        while page := await self.store.events(tenant, job_id, after=after, limit=PAGE):
            kept += page
            after = page[-1].seq
            if len(page) < PAGE:
                break
        return kept

    async def _after(self, tenant: TenantId, job_id: JobId, seq: int) -> list[JobEvent]:
        while True:
            try:
                events = await self._kept(tenant, job_id, seq)
            except StoreUnavailable:
                await self.clock.sleep(STORE_PAUSE)
                continue
            whole = not events or events[0].seq == seq + 1
            return events if whole else events[-1:]

    async def _outputs(
        self, tenant: TenantId, job_id: JobId, seen: _Seen
    ) -> AsyncGenerator[OutputChunk, None]:
        try:
            chunks = await self.outputs.read(tenant, job_id)
        except StoreUnavailable:
            return
        for chunk in chunks:
            attempt, end = seen.outputs.get(chunk.name, (0, 0))
            if (chunk.attempt, chunk.end) > (attempt, end):
                seen.outputs[chunk.name] = (chunk.attempt, chunk.end)
                yield chunk

    async def _next(self, receive: Callable[[], Awaitable[Announcement | None]]) -> Announcement | None:
        try:
            async with asyncio.timeout(self.backstop.total_seconds()):
                return await receive()
        except TimeoutError:
            return None


def _is_new(seen: _Seen, announcement: Announcement) -> bool:
    if isinstance(announcement, OutputChunk):
        return seen.takes(announcement)
    return announcement.seq > seen.seq


def _is_gap(seen: _Seen, announcement: Announcement) -> bool:
    if isinstance(announcement, OutputChunk):
        return seen.misses(announcement)
    return announcement.seq > seen.seq + 1


def _noted(seen: _Seen, announcement: Announcement) -> Announcement:
    if isinstance(announcement, OutputChunk):
        seen.outputs[announcement.name] = (announcement.attempt, announcement.end)
    else:
        seen.seq = announcement.seq
        seen.final = announcement.final
    return announcement
