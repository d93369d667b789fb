"""Every rule of a job's life.

Whatever decides what a job may become stands in this file; stores compare a version and write.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from encola.domain.context import ExecutionContext, JobId, TenantId
from encola.domain.errors import IllegalTransition
from encola.domain.json_value import JSON
from encola.domain.policy import RetryPolicy


class JobStatus(StrEnum):
    """Where a job is in its life. The last four are terminal."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    PROCESSING = "processing"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_terminal(self) -> bool:
        """Tell whether nothing follows but an explicit retry."""
        return not TRANSITIONS[self]


class Priority(StrEnum):
    """Which of a tenant's waiting jobs goes first."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.SCHEDULED: frozenset({JobStatus.QUEUED, JobStatus.CANCELLED, JobStatus.EXPIRED}),
    JobStatus.QUEUED: frozenset({JobStatus.PROCESSING, JobStatus.CANCELLED, JobStatus.EXPIRED}),
    JobStatus.PROCESSING: frozenset(
        {
            JobStatus.PROCESSING,  # progress
            JobStatus.QUEUED,  # handed back by a worker that is leaving
            JobStatus.RETRYING,
            JobStatus.COMPLETED,
            JobStatus.FAILED,
            JobStatus.CANCELLED,
        }
    ),
    JobStatus.RETRYING: frozenset({JobStatus.PROCESSING, JobStatus.CANCELLED, JobStatus.EXPIRED}),
    JobStatus.COMPLETED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELLED: frozenset(),
    JobStatus.EXPIRED: frozenset(),
}
"""What may follow by itself. A status from which nothing follows is terminal."""

REOPENABLE = frozenset({JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED})
"""What a person may send round again; it is then queued under a new attempt."""

POISONED_AFTER = 4
"""How many workers a job may cost before it is set aside."""

WAITING = frozenset({JobStatus.SCHEDULED, JobStatus.QUEUED, JobStatus.RETRYING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a handler says it is."""

    current: float
    total: float
    message: str = ""

    @property
    def percent(self) -> int:
        """Return whole percents between 0 and 100; an empty total is done."""
        share = self.current / self.total if self.total > 0 else 1.0
        return round(100 * min(max(share, 0.0), 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class JobError:
    """Why a job did not complete. ``message`` is shown to whoever watches the job."""

    code: str
    message: str
    retryable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job at one instant. Changing it means making the next one.

    ``seq`` counts the changes: it is the version that stores compare and the number of the event
    that announces the change, so neither can exist without the other. ``attempt`` is the fence: it
    rises with every claim. ``due_at`` is when a waiting job may be given to a worker; ``check_at``
    is when a keeper must look at it: the end of the lease while it is processed, of the time to
    live while it waits.
    """

    id: JobId
    context: ExecutionContext
    type: str
    queue: str
    params: JSON
    epoch: str
    created_at: datetime
    updated_at: datetime
    fingerprint: str
    request_digest: str
    status: JobStatus = JobStatus.QUEUED
    seq: int = 1
    attempt: int = 0
    failures: int = 0
    losses: int = 0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout: timedelta = timedelta(minutes=5)
    priority: Priority = Priority.NORMAL
    tags: tuple[str, ...] = ()
    use_cache: bool = False
    due_at: datetime | None = None
    check_at: datetime | None = None
    expires_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    progress: Progress | None = None
    result: JSON = None
    cached: bool = False
    error: JobError | None = None

    @property
    def tenant_id(self) -> TenantId:
        """Return whose job it is."""
        return self.context.tenant_id

    @property
    def deadline(self) -> datetime | None:
        """Return when the running attempt must have ended, or ``None`` when none runs."""
        return self.started_at + self.timeout if self.started_at else None

    def queued(self, now: datetime) -> "Job":
        """Return the scheduled job whose time has come."""
        self._must_be(JobStatus.SCHEDULED)
        return self._to(JobStatus.QUEUED, now, due_at=now, check_at=self.expires_at)

    def claimed(self, now: datetime, lease: timedelta) -> "Job":
        """Return the job in the hands of one worker, under the next attempt."""
        if self.status not in WAITING:
            raise IllegalTransition(f"A job that is {self.status} cannot be claimed.")
        return self._to(
            JobStatus.PROCESSING,
            now,
            attempt=self.attempt + 1,
            started_at=now,
            due_at=None,
            check_at=now + lease,
            progress=None,
            error=None,
        )

    def progressed(self, progress: Progress, now: datetime, lease: timedelta) -> "Job":
        """Return the running job a little further on; its lease starts again."""
        self._must_be(JobStatus.PROCESSING)
        return self._to(JobStatus.PROCESSING, now, progress=progress, check_at=now + lease)

    def completed(self, result: JSON, now: datetime, *, cached: bool = False) -> "Job":
        """Return the job with its result, whatever value that is."""
        return self._ended(JobStatus.COMPLETED, now, result=result, cached=cached)

    def failed(self, error: JobError, now: datetime, chance: float) -> "Job":
        """Return the job after its handler failed: retrying while its policy allows, else failed.

        ``chance`` is uniform in [0, 1) and spreads the retries.
        """
        failures = self.failures + 1
        if error.retryable and failures <= self.retry.retries:
            return self._retrying(error, now, self.retry.delay(failures, chance), failures=failures)
        return self._ended(JobStatus.FAILED, now, error=error, failures=failures)

    def lost(self, now: datetime) -> "Job":
        """Return the job whose worker let the lease run out; one that keeps killing them is set aside."""
        self._must_be(JobStatus.PROCESSING)
        losses = self.losses + 1
        if losses >= POISONED_AFTER:
            message = f"{losses} workers died while they ran this job; it is not tried again by itself."
            error = JobError(code="poisoned", message=message)
            return self._ended(JobStatus.FAILED, now, error=error, losses=losses)
        error = JobError(code="worker_lost", message="The worker died while it ran this job.", retryable=True)
        if losses <= self.retry.lost_retries:
            return self._retrying(error, now, timedelta(0), losses=losses)
        return self._ended(JobStatus.FAILED, now, error=error, losses=losses)

    def handed_back(self, now: datetime) -> "Job":
        """Return the job of a worker that leaves before the end; another attempt starts at once."""
        self._must_be(JobStatus.PROCESSING)
        return self._to(
            JobStatus.QUEUED, now, due_at=now, check_at=self.expires_at, started_at=None, progress=None
        )

    def cancelled(self, now: datetime) -> "Job":
        """Return the job stopped on request; a handler that still runs can write nothing more."""
        error = JobError(code="cancelled", message="The job was cancelled.")
        return self._ended(JobStatus.CANCELLED, now, error=error)

    def expired(self, now: datetime) -> "Job":
        """Return the job that waited longer than it was worth."""
        error = JobError(code="expired", message="The job waited longer than its time to live.")
        return self._ended(JobStatus.EXPIRED, now, error=error)

    def reopened(self, now: datetime) -> "Job":
        """Return the job queued once more on request, with its retries counted anew.

        :raises IllegalTransition: it lives, or it completed
        """
        if self.status not in REOPENABLE:
            raise IllegalTransition(f"A job that is {self.status} cannot be retried.")
        return replace(
            self,
            status=JobStatus.QUEUED,
            seq=self.seq + 1,
            updated_at=max(now, self.updated_at),
            due_at=now,
            check_at=None,
            expires_at=None,
            started_at=None,
            finished_at=None,
            progress=None,
            error=None,
            failures=0,
            losses=0,
        )

    def overdue(self, now: datetime) -> "Job | None":
        """Return what becomes of the job at ``now`` if nobody acts, or ``None`` when all is well."""
        if self.check_at is None or self.check_at > now:
            return None
        return self.lost(now) if self.status is JobStatus.PROCESSING else self.expired(now)

    def _retrying(self, error: JobError, now: datetime, delay: timedelta, **counts: int) -> "Job":
        return self._to(
            JobStatus.RETRYING,
            now,
            error=error,
            due_at=now + delay,
            check_at=self.expires_at,
            started_at=None,
            progress=None,
            **counts,
        )

    def _ended(self, status: JobStatus, now: datetime, **changes: object) -> "Job":
        return self._to(status, now, finished_at=now, due_at=None, check_at=None, **changes)

    def _must_be(self, status: JobStatus) -> None:
        if self.status is not status:
            raise IllegalTransition(f"The job is {self.status}, not {status}.")

    def _to(self, status: JobStatus, now: datetime, **changes: object) -> "Job":
        if status not in TRANSITIONS[self.status]:
            raise IllegalTransition(f"A job that is {self.status} cannot become {status}.")
        # A clock set back must not make a job's history run backwards.
        instant = max(now, self.updated_at)
        return replace(self, status=status, seq=self.seq + 1, updated_at=instant, **changes)  # type: ignore[arg-type]
