"""Taking a job in."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from encola.application.fast_lane import FastLane
from encola.application.handlers import HandlerRegistry, JobType
from encola.application.ports import Clock, IdempotencyKey, Ids, JobStore, Metrics
from encola.domain.context import ExecutionContext
from encola.domain.errors import IdempotencyMismatch, InvalidInput, TooLarge
from encola.domain.fingerprint import digest, fingerprint
from encola.domain.job import Job, JobStatus, Priority
from encola.domain.json_value import JSON
from encola.domain.policy import RetryPolicy

MAX_PARAMS_BYTES = 256 * 1024
MAX_TAGS = 32
MAX_DELAY = timedelta(days=366)
MAX_TIMEOUT = timedelta(days=1)
KEY_LIFETIME = timedelta(hours=24)

# Made once, for json.dumps makes a new encoder whenever its options are not the default ones.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a caller asks for; what is ``None`` is as the job type says."""

    type: str
    params: JSON
    context: ExecutionContext
    queue: str | None = None
    priority: Priority | None = None
    delay: timedelta | None = None
    run_at: datetime | None = None
    ttl: timedelta | None = None
    timeout: timedelta | None = None
    retries: int | None = None
    use_cache: bool = False
    tags: tuple[str, ...] = ()
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """The accepted job; ``replayed`` when an earlier request had made it."""

    job: Job
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitJob:
    """Accept a job: when this returns, the job is kept and will run."""

    store: JobStore
    handlers: HandlerRegistry
    clock: Clock
    ids: Ids
    metrics: Metrics
    nudge: Callable[[], None]
    fast_lane: FastLane

    async def __call__(self, submission: Submission) -> Submitted:
        """Keep the job and return it.

        :raises UnknownJobType: no handler has that name
        :raises InvalidParams: the params do not fit the type
        :raises InvalidInput: another part of the submission cannot be right
        :raises IdempotencyMismatch: the key was used for another request
        """
        job_type = self.handlers.get(submission.type)
        work = fingerprint(job_type.name, submission.params, submission.context)
        _check(submission)
        self._check_queue(submission.queue)
        job_type.parse(submission.params)
        job = self._make(submission, job_type, work)
        stored = await self._keep(job, self._key(submission, job))
        if stored.request_digest != job.request_digest:
            raise IdempotencyMismatch("This Idempotency-Key was used with a different request.")
        if stored.id == job.id:
            self.metrics.count("encola_jobs_registered_total", type=job.type)
        return Submitted(job=stored, replayed=stored.id != job.id)

    def _check_queue(self, queue: str | None) -> None:
        known = self.handlers.queues
        if queue is not None and queue not in known:
            raise InvalidInput(f"There is no queue {queue!r}; known are {', '.join(known)}.")

    async def _keep(self, job: Job, key: IdempotencyKey | None) -> Job:
        if job.status is not JobStatus.QUEUED:
            return await self.store.add(job, key)
        with self.fast_lane.place(job.queue) as taken_until:
            stored = await self.store.add(job, key, taken_until=taken_until)
            if stored.id != job.id:
                return stored
            if taken_until is None:
                self.nudge()
            else:
                self.fast_lane.queue.post(stored)
        return stored

    def _make(self, submission: Submission, job_type: JobType, work: str) -> Job:
        now = self.clock.now()
        due_at = _due(submission, now)
        expires_at = due_at + submission.ttl if submission.ttl is not None else None
        retries = submission.retries
        return Job(
            id=self.ids.job_id(),
            context=submission.context,
            type=job_type.name,
            queue=submission.queue or job_type.queue,
            params=submission.params,
            epoch=self.ids.epoch(),
            created_at=now,
            updated_at=now,
            fingerprint=work,
            request_digest=_request_digest(submission, work),
            status=JobStatus.SCHEDULED if due_at > now else JobStatus.QUEUED,
            retry=job_type.retry if retries is None else RetryPolicy.of(retries),
            timeout=submission.timeout or job_type.timeout,
            priority=submission.priority or job_type.priority,
            tags=submission.tags,
            use_cache=submission.use_cache,
            due_at=due_at,
            check_at=expires_at,
            expires_at=expires_at,
        )

    def _key(self, submission: Submission, job: Job) -> IdempotencyKey | None:
        if submission.idempotency_key is None:
            return None
        return IdempotencyKey(text=submission.idempotency_key, expires_at=job.created_at + KEY_LIFETIME)


def _due(submission: Submission, now: datetime) -> datetime:
    if submission.run_at is not None:
        if submission.run_at - now > MAX_DELAY:
            raise InvalidInput(f"run_at must be at most {MAX_DELAY.days} days ahead.")
        return max(now, submission.run_at)
    return now + (submission.delay or timedelta(0))


def _check(submission: Submission) -> None:
    size = len(_encode(submission.params).encode())
    if size > MAX_PARAMS_BYTES:
        raise TooLarge(f"The params are {size} bytes; at most {MAX_PARAMS_BYTES} are taken.")
    if submission.delay is not None and submission.run_at is not None:
        raise InvalidInput("Give delay or run_at, not both.")
    for name in ("delay", "ttl", "timeout"):
        duration = getattr(submission, name)
        longest = MAX_TIMEOUT if name == "timeout" else MAX_DELAY
        if duration is not None and not timedelta(0) <= duration <= longest:
            raise InvalidInput(f"{name} must be between 0 and {longest.total_seconds():.0f} seconds.")
    if submission.timeout == timedelta(0):
        raise InvalidInput("timeout must be more than 0 seconds.")
    if submission.retries is not None and not 0 <= submission.retries <= 100:
        raise InvalidInput("retries must be between 0 and 100.")
    if len(submission.tags) > MAX_TAGS:
        raise InvalidInput(f"At most {MAX_TAGS} tags are taken.")


def _request_digest(submission: Submission, work: str) -> str:
    """Name the whole request, for its idempotency key; without one nobody will ask."""
    if submission.idempotency_key is None:
        return ""

    def seconds(duration: timedelta | None) -> float | None:
        return None if duration is None else duration.total_seconds()

    options: list[object] = [
        submission.queue,
        submission.priority and submission.priority.value,
        seconds(submission.delay),
        submission.run_at and submission.run_at.astimezone(UTC).isoformat(),
        seconds(submission.ttl),
        seconds(submission.timeout),
        submission.retries,
        submission.use_cache,
        list(submission.tags),
    ]
    return digest([work, *options])
