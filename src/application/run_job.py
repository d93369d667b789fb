"""Running one delivered job: claim, handler, end."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from encola.application.attempt import Attempt
from encola.application.call_service import CallService
from encola.application.claim_job import ClaimJob
from encola.application.current import running_in
from encola.application.fast_lane import FastLane
from encola.application.handlers import HandlerRegistry, JobType, plain_json
from encola.application.job_context import JobContext, SyncJobContext
from encola.application.notify import Notify
from encola.application.ports import (
    Cache,
    Clock,
    Ids,
    JobOutputs,
    JobStore,
    Lease,
    Metrics,
)
from encola.application.suspects import Suspects
from encola.application.threads import HandlerThreads
from encola.domain.errors import InvalidParams, JobFailed, NotJson, StoreUnavailable, UnknownJobType
from encola.domain.fingerprint import canonical_json
from encola.domain.job import WAITING, Job, JobError, JobStatus
from encola.domain.json_value import JSON

logger = logging.getLogger(__name__)

MAX_RESULT_BYTES = 1024 * 1024
MAX_MESSAGE = 2000


class HandlerStopped(BaseException):
    """The attempt was fenced while its handler ran; there is nothing left to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunJob:
    """Make one attempt at a delivered job, and write how it went.

    A delivery is a hint: a job that somebody else claimed, or that ended, is left alone.
    """

    store: JobStore
    outputs: JobOutputs
    handlers: HandlerRegistry
    cache: Cache
    call_service: CallService
    notify: Notify
    clock: Clock
    ids: Ids
    metrics: Metrics
    nudge: Callable[[], None]
    fast_lane: FastLane
    threads: HandlerThreads
    claim: ClaimJob
    suspects: Suspects
    grace: timedelta = timedelta(seconds=5)
    running: dict[Lease, Attempt] = field(default_factory=dict)

    async def __call__(self, delivered: Job) -> None:
        """Run the job if it can be claimed. Cancelling this hands the job back to the queue."""
        async with self.suspects.place(delivered) as may_run:
            job = await self.claim(delivered) if may_run else None
            if job is not None:
                self._note_start(delivered, job)
                await self._run(job)

    async def _run(self, job: Job) -> None:
        attempt = Attempt(
            job=job,
            store=self.store,
            outputs=self.outputs,
            clock=self.clock,
            lease=self.claim.lease,
            new_epoch=self.ids.epoch,
        )
        self.running[attempt.held_lease] = attempt
        self.metrics.change("encola_jobs_running", 1)
        try:
            await self._attempt(attempt)
        except HandlerStopped:
            logger.info("job %s: stopped, attempt %s", job.id, job.attempt)
        except asyncio.CancelledError:
            await attempt.hand_back()
            raise
        finally:
            self.metrics.change("encola_jobs_running", -1)
            self.running.pop(attempt.held_lease, None)
            attempt.fence()  # a handler that runs on all the same, as threads do, hears of the end
        self._note_end(attempt)

    async def _attempt(self, attempt: Attempt) -> None:
        job = attempt.job
        try:
            job_type = self.handlers.get(job.type)
            kept = await self._from_cache(job, job_type)
            if kept is not None:
                await attempt.complete(kept[0], cached=True)
                return
            result = await self._handle(attempt, job_type)
        except Exception as error:
            if not isinstance(error, JobFailed):
                logger.warning("job %s (%s): attempt failed", job.id, job.type, exc_info=error)
            await attempt.fail(explain(error), self.ids.chance())
        else:
            await attempt.complete(result)
            await self._to_cache(attempt, job_type)

    async def _handle(self, attempt: Attempt, job_type: JobType) -> JSON:
        context = JobContext(attempt, self.call_service, self.notify, self.clock)
        with running_in(attempt.job.context, context.deadline):
            handler = asyncio.create_task(self._invoke(job_type, context))
        try:
            value = await self._until_stopped(handler, attempt)
        finally:
            await context.settle()
        return _checked(value)

    async def _invoke(self, job_type: JobType, context: JobContext) -> object:
        try:
            return await self._call(job_type, context)
        except SystemExit as error:
            # Out of a task it would end the loop, and every other job with it.
            message = "The handler raised SystemExit."
            raise JobFailed(message, code="handler_error", retryable=True) from error

    async def _call(self, job_type: JobType, context: JobContext) -> object:
        params = job_type.parse(context._attempt.job.params)
        if job_type.is_async:
            return await job_type.function(context, params)  # type: ignore[misc]
        plain = SyncJobContext(context)
        value = await self.threads.run(lambda: job_type.function(plain, params))
        return await value if asyncio.iscoroutine(value) else value

    async def _until_stopped(self, handler: asyncio.Task[object], attempt: Attempt) -> object:
        """Return the handler's value; stop it at the job's timeout, and when it is fenced."""
        stopped = asyncio.create_task(attempt.stopped.wait())
        try:
            await asyncio.wait(
                {handler, stopped},
                timeout=attempt.job.timeout.total_seconds(),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if handler.done() and not handler.cancelled():
                return handler.result()
            if attempt.fenced:
                raise HandlerStopped
            if handler.done():
                raise JobFailed("The handler cancelled itself.", code="handler_cancelled")
            seconds = attempt.job.timeout.total_seconds()
            raise JobFailed(
                f"The job ran longer than its {seconds:g} seconds.", code="timeout", retryable=True
            )
        finally:
            stopped.cancel()
            await self._stop(handler, attempt.job)

    async def _stop(self, handler: asyncio.Task[object], job: Job) -> None:
        if handler.done():
            return
        handler.cancel()
        await asyncio.wait({handler}, timeout=self.grace.total_seconds())
        if not handler.done():
            logger.error("job %s (%s): the handler ignores its cancellation", job.id, job.type)
        elif not handler.cancelled():
            handler.exception()  # it is read here so that asyncio does not report it as forgotten

    async def _from_cache(self, job: Job, job_type: JobType) -> tuple[JSON] | None:
        if not job.use_cache or job_type.cache_ttl is None:
            return None
        try:
            hit = await self.cache.get(job.tenant_id, job.fingerprint)
        except StoreUnavailable:
            return None
        return None if hit is None else (hit.value,)

    async def _to_cache(self, attempt: Attempt, job_type: JobType) -> None:
        job = attempt.job
        if job_type.cache_ttl is not None and job.status is JobStatus.COMPLETED:
            with suppress(StoreUnavailable):  # the next job like it runs, that is all
                await self.cache.put(job.tenant_id, job.fingerprint, job.result, ttl=job_type.cache_ttl)

    def _note_start(self, delivered: Job, job: Job) -> None:
        waited_since = delivered.due_at or job.updated_at
        seconds = max(0.0, (job.updated_at - waited_since).total_seconds())
        self.metrics.observe("encola_job_queue_wait_seconds", seconds, type=job.type)

    def _note_end(self, attempt: Attempt) -> None:
        job = attempt.job
        if job.status.is_terminal and job.finished_at is not None and job.started_at is not None:
            self.metrics.count("encola_jobs_finished_total", type=job.type, status=job.status)
            seconds = (job.finished_at - job.started_at).total_seconds()
            self.metrics.observe("encola_job_run_seconds", seconds, type=job.type)
        if job.status in WAITING or not self.fast_lane.is_clear:
            self.nudge()


def explain(error: Exception) -> JobError:
    """Return what the watchers are told of an error.

    Only :class:`JobFailed` speaks for itself: the text of any other exception may hold what is not
    theirs to see, and goes to the worker's log alone.
    """
    if isinstance(error, JobFailed):
        message = _readable(str(error)) or "The job failed."
        return JobError(code=error.failure_code, message=message, retryable=error.retryable)
    if isinstance(error, NotJson):
        return JobError(code="result_not_json", message=f"The handler's result is not JSON. {error}")
    if isinstance(error, UnknownJobType | InvalidParams):
        return JobError(code=error.code, message=_readable(str(error)))
    name = type(error).__name__
    return JobError(code="handler_error", message=f"The handler raised {name}.", retryable=True)


def _readable(text: str) -> str:
    """Return the text without what is not Unicode, as halves of surrogate pairs in odd file names."""
    return text.encode(errors="replace").decode()[:MAX_MESSAGE]


def _checked(value: object) -> JSON:
    result = plain_json(value)
    size = len(canonical_json(result))
    if size > MAX_RESULT_BYTES:
        raise JobFailed(
            f"The result is {size} bytes; at most {MAX_RESULT_BYTES} are kept.", code="result_too_large"
        )
    return result
