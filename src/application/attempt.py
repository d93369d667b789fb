"""One attempt at one job, as the worker that makes it sees it."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

from encola.application.ports import Clock, JobOutputs, JobStore, Lease
from encola.domain.errors import EncolaError, JobChanged, JobNotFound, StoreUnavailable
from encola.domain.job import Job, JobError, JobStatus, Progress
from encola.domain.json_value import JSON
from encola.domain.output import OutputChunk

logger = logging.getLogger(__name__)

RETRY_WRITE = timedelta(milliseconds=200)


@dataclass(slots=True, kw_only=True, eq=False)
class Attempt:
    """Writes for a running job, while its fence holds.

    Writes are made one after the other. When the store refuses one because the job went to somebody
    else or ended, the attempt is fenced: it writes nothing more, and ``stopped`` is set. While the
    store is away a write is tried again, for as long as a lease lasts. A job that the store has lost, as
    Redis can its last second, is kept anew under another epoch: no running job is ever forgotten.
    """

    job: Job
    store: JobStore
    outputs: JobOutputs
    clock: Clock
    lease: timedelta
    new_epoch: Callable[[], str]
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _writes: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def held_lease(self) -> Lease:
        """Return the lease under which this attempt writes."""
        return Lease.of(self.job)

    @property
    def fenced(self) -> bool:
        """Tell whether the attempt may write no more."""
        return self.stopped.is_set()

    def fence(self) -> None:
        """Stop writing; whoever runs the handler hears of it through ``stopped``."""
        self.stopped.set()

    async def progress(self, progress: Progress) -> None:
        """Write how far the handler is."""
        await self._save(lambda job: job.progressed(progress, self.clock.now(), self.lease))

    async def complete(self, result: JSON, *, cached: bool = False) -> None:
        """Write the end with a result."""
        await self._save(lambda job: job.completed(result, self.clock.now(), cached=cached))

    async def fail(self, error: JobError, chance: float) -> None:
        """Write the failure; the job decides whether it is the end."""
        await self._save(lambda job: job.failed(error, self.clock.now(), chance))

    async def hand_back(self) -> None:
        """Write that another worker should take over."""
        await self._save(lambda job: job.handed_back(self.clock.now()))

    async def append(self, name: str, offset: int, text: str) -> bool:
        """Write a piece of partial output and tell whether it is kept.

        Losing one costs the watchers a preview, not the job its result, so it is only logged.
        """
        chunk = OutputChunk(
            tenant_id=self.job.tenant_id,
            job_id=self.job.id,
            attempt=self.job.attempt,
            name=name,
            offset=offset,
            text=text,
        )
        if self.fenced:
            return False
        try:
            await self.outputs.append(chunk)
        except EncolaError as error:
            logger.warning("job %s: partial output was dropped: %s", self.job.id, error)
            return False
        return True

    async def verify(self) -> None:
        """Find out why the lease was not renewed: fence, or keep the lost job anew.

        :raises StoreUnavailable: nobody can tell now
        """
        async with self._writing:
            if self.fenced or self.job.status is not JobStatus.PROCESSING:
                return
            try:
                stored = await self.store.get(self.job.tenant_id, self.job.id)
                if _place(stored) != _place(self.job):
                    self.fence()
            except JobNotFound:
                await self._restore()

    async def _restore(self) -> None:
        try:
            self.job = await self._keep_anew(self.job)
        except JobChanged:
            self.fence()

    async def _save(self, decide: Callable[[Job], Job]) -> None:
        # A write that was begun is finished even when the handler that asked for it is cancelled:
        # half-known, it would make every later one look like a stranger's.
        writing = asyncio.create_task(self._save_next(decide))
        self._writes.add(writing)
        writing.add_done_callback(self._writes.discard)
        await asyncio.shield(writing)

    async def _save_next(self, decide: Callable[[Job], Job]) -> None:
        async with self._writing:
            if self.fenced or self.job.status is not JobStatus.PROCESSING:
                return
            following = decide(self.job)
            try:
                async with asyncio.timeout(self.lease.total_seconds()):
                    self.job = await self._write(following)
            except (JobChanged, TimeoutError):
                self.fence()

    async def _write(self, following: Job) -> Job:
        """Return the job as it is then stored."""
        unsure = False
        while True:
            try:
                await self.store.save(following)
            except JobNotFound:
                with suppress(StoreUnavailable):
                    return await self._keep_anew(following)
            except StoreUnavailable:
                unsure = True
                await self.clock.sleep(RETRY_WRITE)
            except JobChanged:
                if unsure and await self._is_stored(following):
                    return following
                raise
            else:
                return following

    async def _keep_anew(self, job: Job) -> Job:
        """Return the job as it is stored, by us unless another attempt was faster.

        :raises JobChanged: another was
        """
        anew = replace(job, epoch=self.new_epoch())
        if await self.store.add(anew) != anew:
            raise JobChanged("Another attempt kept the lost job anew.")
        logger.warning("job %s: the store had lost it, and has it again", job.id)
        return anew

    async def _is_stored(self, following: Job) -> bool:
        """Tell whether a write whose answer was lost had been made after all."""
        try:
            stored = await self.store.get(following.tenant_id, following.id)
        except EncolaError:
            return False
        return _place(stored) == _place(following) and stored.seq == following.seq


def _place(job: Job) -> tuple[str, int, JobStatus]:
    """Return what tells one attempt's job from another's."""
    return job.epoch, job.attempt, job.status
