"""Taking a delivered job into this worker's hands."""

from dataclasses import dataclass, replace
from datetime import timedelta

from encola.application.ports import Clock, Ids, JobStore
from encola.domain.errors import IllegalTransition, JobChanged, JobNotFound, StoreUnavailable
from encola.domain.job import WAITING, Job, JobStatus

RETRY_WRITE = timedelta(milliseconds=200)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimJob:
    """Claim a job if it is still to be had.

    While the store is away the delivery is held, up to ``patience``; then it is let go, for the work
    board gives the job again. A job that the store has lost, as Redis can its last second, is made
    anew from the delivery, unless it is older than ``job_retention`` and may have been forgotten.
    """

    store: JobStore
    clock: Clock
    ids: Ids
    lease: timedelta
    job_retention: timedelta = timedelta(days=7)
    patience: timedelta = timedelta(minutes=2)

    async def __call__(self, delivered: Job) -> Job | None:
        """Return the job under its new attempt, or ``None`` when somebody else has it or it ended."""
        give_up_at = self.clock.now() + self.patience
        job: Job | None = delivered
        unsure: list[Job] = []
        while job is not None and self.clock.now() < give_up_at:
            following = self._following(job)
            if following is None:
                return None
            try:
                await self.store.save(following)
            except StoreUnavailable:
                unsure.append(following)
                await self.clock.sleep(RETRY_WRITE)
            except JobChanged:
                job = await self._changed(job, unsure)
                if job in unsure:
                    return job
            except JobNotFound:
                job = await self._remade(delivered)
            else:
                # Its time to live may have been over: then it expired, and nobody has it.
                return following if following.status is JobStatus.PROCESSING else None
        return None

    def _following(self, job: Job) -> Job | None:
        now = self.clock.now()
        try:
            return job.overdue(now) or job.claimed(now, self.lease)
        except IllegalTransition:
            return None

    async def _changed(self, job: Job, unsure: list[Job]) -> Job | None:
        """Return the stored job if it can be had, or what we wrote ourselves without being told."""
        try:
            stored = await self.store.get(job.tenant_id, job.id)
        except StoreUnavailable:
            return job
        except JobNotFound:
            return None
        own = next((claim for claim in unsure if _is_same(claim, stored)), None)
        if own is not None:
            return own
        is_due = stored.due_at is not None and stored.due_at <= self.clock.now()
        return stored if stored.status in WAITING and is_due else None

    async def _remade(self, delivered: Job) -> Job | None:
        age = self.clock.now() - delivered.updated_at
        if age >= self.job_retention:
            return None
        try:
            # Who watched the lost one must not take the numbers of this one for its own.
            return await self.store.add(replace(delivered, epoch=self.ids.epoch()))
        except StoreUnavailable:
            return delivered


def _is_same(claim: Job, stored: Job) -> bool:
    return (claim.seq, claim.epoch, claim.attempt, claim.started_at, claim.status) == (
        stored.seq,
        stored.epoch,
        stored.attempt,
        stored.started_at,
        stored.status,
    )
